//! `/team/info`, the lists of teams, and what members of a team may do.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::keys;
use super::super::paging::{pages, paging};
use super::super::refusal::{Refusal, Refusals};
use super::make::PERMISSIONS;
use super::{memberships, permit, shown_all, with_spend};
use crate::objects::{Key, Kind, Team, User};
use crate::store::{Filter, KeysOf, Order, Page, Stored};

/// As many keys are shown beside teams at most; /key/list has pages of them.
pub(in crate::admin) const MOST_KEYS: i64 = 1000;
/// As many teams are read at once.
const TEAMS_AT_ONCE: i64 = 500;

/// Which team.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    #[param(required = true, value_type = String, min_length = 1)]
    team_id: Option<String>,
    /// Show no more keys than that, and never more than 1000.
    #[param(minimum = 0)]
    key_limit: Option<i64>,
}

/// Shows a team, its members and its keys.
#[utoipa::path(
    get, path = "/team/info", tag = "teams", params(Which),
    responses((status = 200, description = "The team, its keys and its members' limits", body = Object), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    let id = passed(which.team_id)?;
    let most = which.key_limit.unwrap_or(MOST_KEYS);
    if most < 0 {
        return Err(Refusal::field("key_limit", "key_limit must be 0 or more."));
    }
    let team: Option<Stored<Team>> = shared.db.find(&id).await?;
    may_see(&actor, &id, team.as_ref())?;
    let team = team.ok_or_else(|| unknown(&id))?;
    let filter = Filter { team: Some(&id), ..Filter::default() };
    let keys = keys_of(&shared, &filter, most.min(MOST_KEYS)).await?;
    let mut info = with_spend(&shared, &team).await?;
    for absent in ["team_member_budget_table", "organization_models"] {
        info.insert(absent.to_owned(), Value::Null);
    }
    Ok(Json(json!({
        "team_id": id,
        "team_info": info,
        "keys": keys,
        "team_memberships": memberships(&shared, std::slice::from_ref(&team)).await?.pop(),
    })))
}

fn passed(id: Option<String>) -> Result<String, Refusal> {
    let missing = || Refusal::field("team_id", "Malformed request. No team id passed in.");
    id.filter(|id| !id.is_empty()).ok_or_else(missing)
}

fn unknown(id: &str) -> Refusal {
    Refusal::missing("team_id", format!("Team not found, passed team id: {id}."))
}

/// Whether the actor may see a team: who may see all, its members, the admins of its organization, its own keys.
fn may_see(actor: &Actor, id: &str, team: Option<&Stored<Team>>) -> Result<(), Refusal> {
    let own = actor.caller.bearer().and_then(|bearer| bearer.team_id.as_deref());
    let organization = team.is_some_and(|team| permit::runs_organization(actor, &team.object));
    if actor.sees_all() || actor.is_member(id) || organization || own == Some(id) {
        return Ok(());
    }
    Err(Refusal::forbidden(match (actor.user.as_deref(), own) {
        (Some(user), _) => format!("User={user} not authorized to access this team={id}"),
        (None, Some(own)) => format!("Team key for team={own} not authorized to access this team={id}"),
        (None, None) => format!(
            "API key not authorized to access this team={id}. No user_id or team_id associated with this key."
        ),
    }))
}

/// The keys a filter finds, as answers show them.
pub(in crate::admin) async fn keys_of(
    shared: &Shared,
    filter: &Filter<'_>,
    most: i64,
) -> Result<Vec<Value>, Refusal> {
    let page = Page { order: Order::Created, limit: most, ..Page::default() };
    let keys: Vec<Stored<Key>> = shared.db.list(filter, &page).await?;
    let ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
    let spend = shared.db.spend(Kind::Key, &ids).await?;
    let shown = |key: &Stored<Key>| keys::shown(key, spend.get(&key.id).copied().unwrap_or(0));
    Ok(keys.iter().map(shown).collect())
}

/// Whose teams.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// Teams this user is member of.
    user_id: Option<String>,
    organization_id: Option<String>,
}

/// Lists teams with their keys, as far as there are no more than 1000 of these in all. `/v2/team/list` has pages.
#[utoipa::path(
    get, path = "/team/list", tag = "teams", params(Whose),
    responses((status = 200, description = "The teams", body = Vec<Object>), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(whose): Asked<Whose>,
) -> Result<Json<Value>, Refusal> {
    let organizations = scope(&actor, whose.user_id.as_deref())?;
    let filter = Filter {
        member: whose.user_id.as_deref().filter(|user| !user.is_empty()),
        organization: whose.organization_id.as_deref().filter(|id| !id.is_empty()),
        organizations: organizations.as_deref(),
        ..Filter::default()
    };
    let mut teams: Vec<Stored<Team>> = Vec::new();
    loop {
        let after = teams.last().map(|team| team.id.clone());
        let page = Page { limit: TEAMS_AT_ONCE, after: after.as_deref(), ..Page::default() };
        let part: Vec<Stored<Team>> = shared.db.list(&filter, &page).await?;
        let full = i64::try_from(part.len()).is_ok_and(|count| count == TEAMS_AT_ONCE);
        teams.extend(part);
        if !full {
            break;
        }
    }
    let mut rows = rows(&shared, &teams).await?;
    for (row, members) in rows.iter_mut().zip(memberships(&shared, &teams).await?) {
        row.insert("team_memberships".to_owned(), members.into());
        row.insert("keys".to_owned(), json!([]));
    }
    let mut left = MOST_KEYS;
    for (row, team) in rows.iter_mut().zip(&teams) {
        if left <= 0 || row.get("keys_count").and_then(Value::as_i64) == Some(0) {
            continue;
        }
        let its = Filter { team: Some(&team.id), ..Filter::default() };
        let keys = keys_of(&shared, &its, left).await?;
        left -= i64::try_from(keys.len()).unwrap_or(i64::MAX);
        row.insert("keys".to_owned(), keys.into());
    }
    Ok(Json(rows.into_iter().map(Value::Object).collect()))
}

/// The organizations whose teams the actor may list when it asks for those of `user`; all teams when `None`.
fn scope(actor: &Actor, user: Option<&str>) -> Result<Option<Vec<String>>, Refusal> {
    if actor.sees_all() || user.is_some_and(|user| actor.is_user(user) && actor.role.is_some()) {
        return Ok(None);
    }
    if !actor.organizations().is_empty() {
        return Ok(Some(actor.organizations().to_vec()));
    }
    let message =
        format!("Only admin users can query all teams/other teams. Your user role={}", actor.role_name());
    Err(Refusal::new(http::StatusCode::UNAUTHORIZED, message))
}

/// Teams as lists show them: with their spend, and how many members and keys they have.
async fn rows(shared: &Shared, teams: &[Stored<Team>]) -> Result<Vec<Map<String, Value>>, Refusal> {
    let ids: Vec<String> = teams.iter().map(|team| team.id.clone()).collect();
    let keys = shared.db.count_keys(KeysOf::Teams, &ids).await?;
    let mut rows = shown_all(shared, teams).await?;
    for (row, team) in rows.iter_mut().zip(teams) {
        row.insert("members_count".to_owned(), team.object.members_with_roles.len().into());
        row.insert("keys_count".to_owned(), keys.get(&team.id).copied().unwrap_or(0).into());
    }
    Ok(rows)
}

/// Which teams, and which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichTeams {
    /// Pages count from 1.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    page: i64,
    #[param(minimum = 1, maximum = 100)]
    page_size: i64,
    /// Begin after the team with this id, in place of `page`: as fast on the last page as on the first.
    cursor: Option<String>,
    /// Teams this user is member of.
    user_id: Option<String>,
    organization_id: Option<String>,
    team_id: Option<String>,
    /// A part of the alias.
    team_alias: Option<String>,
    /// The id, or a part of the alias.
    search: Option<String>,
    /// Teams that carry this tag.
    tag: Option<String>,
    /// `team_id`, `team_alias`, `created_at` or `spend`.
    sort_by: Option<String>,
    /// `asc` or `desc`.
    sort_order: String,
}

impl Default for WhichTeams {
    fn default() -> Self {
        Self {
            page: 1,
            page_size: 10,
            cursor: None,
            user_id: None,
            organization_id: None,
            team_id: None,
            team_alias: None,
            search: None,
            tag: None,
            sort_by: None,
            sort_order: "asc".to_owned(),
        }
    }
}

/// Lists teams, a page at a time.
#[utoipa::path(
    get, path = "/v2/team/list", tag = "teams", params(WhichTeams),
    responses((status = 200, description = "A page of teams", body = Object), Refusals)
)]
pub(super) async fn list_pages(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<WhichTeams>,
) -> Result<Json<Value>, Refusal> {
    let (page, size) = paging(which.page, which.page_size, 100)?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let user = given(&which.user_id);
    let organizations = scope(&actor, user.as_deref())?;
    if let Some(user) = &user
        && !actor.is_user(user)
        && shared.db.find::<User>(user).await?.is_none()
    {
        return Err(Refusal::missing("user_id", format!("User not found, passed user_id={user}")));
    }
    let (order, descending) = match given(&which.sort_by).as_deref() {
        None => (Order::Created, true),
        Some("team_id") => (Order::Id, descending(&which.sort_order)?),
        Some("team_alias") => (Order::Name, descending(&which.sort_order)?),
        Some("spend") => (Order::Spend, descending(&which.sort_order)?),
        Some(_) => (Order::Created, descending(&which.sort_order)?),
    };
    let (alias, search, organization) =
        (given(&which.team_alias), given(&which.search), given(&which.organization_id));
    let ids = given(&which.team_id).map(|id| vec![id]);
    let filter = Filter {
        ids: ids.as_deref(),
        name_part: alias.as_deref(),
        search: search.as_deref(),
        member: user.as_deref(),
        organization: organization.as_deref(),
        organizations: organizations.as_deref(),
        tag: which.tag.as_deref(),
        ..Filter::default()
    };
    let after = which.cursor.as_deref();
    let offset = if after.is_some() { 0 } else { (page - 1).saturating_mul(size) };
    let order = if after.is_some() { Order::Created } else { order };
    let part = Page { order, descending, limit: size, offset, after };
    let teams: Vec<Stored<Team>> = shared.db.list(&filter, &part).await?;
    let total = shared.db.count(Kind::Team, &filter).await?;
    let full = i64::try_from(teams.len()).is_ok_and(|count| count == size);
    let next = teams.last().filter(|_| full).map(|team| team.id.clone());
    Ok(Json(json!({
        "teams": rows(&shared, &teams).await?,
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": pages(total, size),
        "next_cursor": next,
    })))
}

fn descending(order: &str) -> Result<bool, Refusal> {
    match order.to_ascii_lowercase().as_str() {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(Refusal::field("sort_order", "Invalid sort order. Must be 'asc' or 'desc'")),
    }
}

/// Lists the teams one may join without being asked: there are none.
#[utoipa::path(
    get, path = "/team/available", tag = "teams",
    responses((status = 200, description = "No teams", body = Vec<Object>), Refusals)
)]
pub(super) async fn available(_actor: Actor) -> Json<Value> {
    Json(json!([]))
}

/// Which team's permissions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhosePermissions {
    #[param(required = true, value_type = String, min_length = 1)]
    team_id: Option<String>,
}

/// Shows what members may do with the team's keys, and what they could be allowed.
#[utoipa::path(
    get, path = "/team/permissions_list", tag = "teams", params(WhosePermissions),
    responses((status = 200, description = "The permissions", body = Object), Refusals)
)]
pub(super) async fn permissions(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<WhosePermissions>,
) -> Result<Json<Value>, Refusal> {
    let id = passed(which.team_id)?;
    let team: Option<Stored<Team>> = shared.db.find(&id).await?;
    let team = match team {
        Some(team) if actor.sees_all() => team,
        None if actor.sees_all() => return Err(unknown(&id)),
        team => permit::must_manage(&actor, &id, team, || unknown(&id))?,
    };
    Ok(Json(json!({
        "team_id": id,
        "team_member_permissions": team.object.team_member_permissions,
        "all_available_permissions": PERMISSIONS,
    })))
}

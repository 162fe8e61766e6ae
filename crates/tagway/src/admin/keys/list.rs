//! `/key/list` and `/key/aliases`

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::paging::{pages, paging};
use super::super::refusal::{Refusal, Refusals};
use super::super::users;
use super::{digest_of, shown};
use crate::objects::{Key, Kind, User};
use crate::store::{Filter, Order, Page, SeenBy, Stored};
use tagway_core::secret;

/// Which keys, and which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Pages count from 1.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    page: i64,
    /// Keys on a page.
    #[param(minimum = 1, maximum = 100)]
    size: i64,
    /// Begin after the key with this id, in place of `page`: as fast on the last page as on the first.
    cursor: Option<String>,
    user_id: Option<String>,
    team_id: Option<String>,
    organization_id: Option<String>,
    project_id: Option<String>,
    key_hash: Option<String>,
    key_alias: Option<String>,
    /// Keys that carry this tag.
    tag: Option<String>,
    /// Whether `key_alias` may be a part of the alias.
    substring_matching: bool,
    /// All fields instead of digests.
    return_full_object: bool,
    /// Keys of the caller's teams, too.
    include_team_keys: bool,
    /// Keys that the caller made for others, too.
    include_created_by_keys: bool,
    /// The digest, or a part of the alias.
    search: Option<String>,
    /// `active`, `expired` or `revoked` (blocked); `deleted` finds nothing: deleted keys are gone.
    status: Option<String>,
    /// `active` or `expired`.
    expires: Option<String>,
    /// `user`: all fields, with the key's user beside them.
    expand: Option<String>,
    /// `spend`, `max_budget`, `created_at`, `updated_at`, `token` or `key_alias`.
    #[param(pattern = "^(spend|max_budget|created_at|updated_at|token|key_alias)$")]
    sort_by: Option<String>,
    /// `asc` or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    sort_order: String,
}

impl Default for Which {
    fn default() -> Self {
        Self {
            page: 1,
            size: 10,
            cursor: None,
            user_id: None,
            team_id: None,
            organization_id: None,
            project_id: None,
            key_hash: None,
            key_alias: None,
            tag: None,
            substring_matching: false,
            return_full_object: false,
            include_team_keys: false,
            include_created_by_keys: false,
            search: None,
            status: None,
            expires: None,
            expand: None,
            sort_by: None,
            sort_order: "desc".to_owned(),
        }
    }
}

/// Lists keys: all of them for admins, their own for others.
#[utoipa::path(
    get, path = "/key/list", tag = "keys", params(Which),
    responses((status = 200, description = "A page of digests, or of keys", body = Object), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    let (page, size) = paging(which.page, which.size, 100)?;
    let order = order(which.sort_by.as_deref())?;
    let descending = match which.sort_order.to_ascii_lowercase().as_str() {
        "desc" => true,
        "asc" => false,
        _ => return Err(Refusal::field("sort_order", "Invalid sort order. Must be 'asc' or 'desc'")),
    };
    let teams = actor.teams();
    let seen = scope(&actor, &which, &teams)?;
    let ids = match &which.key_hash {
        None => None,
        Some(hash) => {
            let digest = digest_of(hash);
            let found = match digest {
                Some(digest) => shared.db.keys_by_digest(&[digest]).await?.remove(&digest),
                None => None,
            };
            let by_id = digest.map(|digest| secret::hex(&digest));
            Some(vec![found.map(|found| found.key.id).or(by_id).unwrap_or_default()])
        }
    };
    let now = Timestamp::now().to_string();
    let Standing { ended, blocked, nowhere } = standing(&which)?;
    let ids = if nowhere { Some(Vec::new()) } else { ids };
    let alias = which.key_alias.as_deref();
    let filter = Filter {
        ids: ids.as_deref(),
        name: alias.filter(|_| !which.substring_matching),
        name_part: alias.filter(|_| which.substring_matching),
        team: which.team_id.as_deref(),
        user: which.user_id.as_deref(),
        organization: which.organization_id.as_deref(),
        project: which.project_id.as_deref(),
        tag: which.tag.as_deref(),
        search: which.search.as_deref().filter(|search| !search.is_empty()),
        ended: ended.map(|ended| (ended, now.as_str())),
        blocked,
        seen_by: seen,
        ..Filter::default()
    };
    let after = which.cursor.as_deref();
    let offset = if after.is_some() { 0 } else { (page - 1).saturating_mul(size) };
    let order = if after.is_some() { Order::Created } else { order };
    let part = Page { order, descending, limit: size, offset, after };
    let keys: Vec<Stored<Key>> = shared.db.list(&filter, &part).await?;
    let total = shared.db.count(Kind::Key, &filter).await?;
    let full = i64::try_from(keys.len()).is_ok_and(|count| count == size);
    let next = keys.last().filter(|_| full).map(|key| key.id.clone());
    let with_user = which.expand.as_deref().is_some_and(|wanted| wanted.split(',').any(|one| one == "user"));
    let keys: Vec<Value> = if which.return_full_object || with_user {
        let ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
        let spend = shared.db.spend(Kind::Key, &ids).await?;
        let mut shown: Vec<Value> =
            keys.iter().map(|key| shown(key, spend.get(&key.id).copied().unwrap_or(0))).collect();
        if with_user {
            add_users(&shared, &mut shown).await?;
        }
        shown
    } else {
        keys.into_iter().map(|key| key.object.token.into()).collect()
    };
    Ok(Json(json!({
        "keys": keys,
        "total_count": total,
        "current_page": page,
        "total_pages": pages(total, size),
        "next_cursor": next,
    })))
}

/// Which keys are meant by how they stand.
#[derive(Debug, Default)]
struct Standing {
    ended: Option<bool>,
    blocked: Option<bool>,
    nowhere: bool,
}

fn standing(which: &Which) -> Result<Standing, Refusal> {
    let mut standing = match which.status.as_deref() {
        None => Standing::default(),
        Some("active") => Standing { ended: Some(false), blocked: Some(false), nowhere: false },
        Some("expired") => Standing { ended: Some(true), ..Standing::default() },
        Some("revoked") => Standing { blocked: Some(true), ..Standing::default() },
        Some("deleted") => Standing { nowhere: true, ..Standing::default() },
        Some(_) => {
            let message = "Invalid status value. Supported: 'active', 'expired', 'revoked', 'deleted'.";
            return Err(Refusal::field("status", message));
        }
    };
    let ended = match which.expires.as_deref() {
        None => return Ok(standing),
        Some("active") => false,
        Some("expired") => true,
        Some(_) => {
            let message = "Invalid expires value. Supported: 'active', 'expired'.";
            return Err(Refusal::field("expires", message));
        }
    };
    standing.nowhere |= standing.ended.is_some_and(|other| other != ended);
    standing.ended = Some(ended);
    Ok(standing)
}

/// Puts its user beside each key.
async fn add_users(shared: &Shared, keys: &mut [Value]) -> Result<(), Refusal> {
    let mut ids: Vec<String> =
        keys.iter().filter_map(|key| key["user_id"].as_str()).map(str::to_owned).collect();
    ids.sort_unstable();
    ids.dedup();
    let found: Vec<Stored<User>> = if ids.is_empty() { Vec::new() } else { shared.db.find_all(&ids).await? };
    let rows = users::shown_all(shared, &found).await?;
    for key in keys {
        let user = rows.iter().find(|row| row.get("user_id") == Some(&key["user_id"]));
        key["user"] = json!(user);
    }
    Ok(())
}

/// What the actor may list; everything when `None`.
fn scope<'a>(actor: &'a Actor, which: &Which, teams: &'a [String]) -> Result<Option<SeenBy<'a>>, Refusal> {
    if actor.sees_all() {
        return Ok(None);
    }
    let Some(user) = actor.user.as_deref() else {
        return Err(Refusal::forbidden(
            "You are not authorized to access this endpoint. No 'user_id' is associated with your API key.",
        )
        .typed("bad_request_error"));
    };
    let not_yours = |field: &'static str, whose: &str| {
        let message = format!("You are not authorized to check {whose} keys");
        Err(Refusal::forbidden(message).typed("bad_request_error").param(field))
    };
    if which.user_id.as_deref().is_some_and(|asked| asked != user) {
        return not_yours("user_id", "another user's");
    }
    if which.team_id.as_deref().is_some_and(|team| !actor.is_member(team)) {
        return not_yours("team_id", "this team's");
    }
    if which.organization_id.as_deref().is_some_and(|organization| !actor.is_org_admin(organization)) {
        return not_yours("organization_id", "this organization's");
    }
    let teams = if which.include_team_keys { teams } else { &[] };
    Ok(Some(SeenBy { user, teams, made: which.include_created_by_keys }))
}

fn order(name: Option<&str>) -> Result<Order, Refusal> {
    Ok(match name {
        None | Some("created_at") => Order::Created,
        Some("updated_at") => Order::Updated,
        Some("token") => Order::Id,
        Some("key_alias") => Order::Name,
        Some("spend") => Order::Spend,
        Some("max_budget") => Order::MaxBudget,
        Some(_) => {
            let message = "Invalid sort column. Must be one of: spend, max_budget, created_at, updated_at, token, key_alias";
            return Err(Refusal::field("sort_by", message));
        }
    })
}

/// Which aliases.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichAliases {
    #[param(minimum = 1, maximum = 2_147_483_647)]
    page: i64,
    #[param(minimum = 1, maximum = 100)]
    size: i64,
    /// A part of the alias.
    search: Option<String>,
    team_id: Option<String>,
}

impl Default for WhichAliases {
    fn default() -> Self {
        Self { page: 1, size: 50, search: None, team_id: None }
    }
}

/// Lists the aliases of keys, by name.
#[utoipa::path(
    get, path = "/key/aliases", tag = "keys", params(WhichAliases),
    responses((status = 200, description = "A page of aliases", body = Object), Refusals)
)]
pub(super) async fn aliases(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<WhichAliases>,
) -> Result<Json<Value>, Refusal> {
    if !actor.sees_all() {
        actor.must_manage_keys()?;
    }
    let (page, size) = paging(which.page, which.size, 100)?;
    let teams = actor.teams();
    let user = actor.user.clone().unwrap_or_default();
    let seen = (!actor.sees_all()).then_some(SeenBy { user: &user, teams: &teams, made: false });
    let filter = Filter {
        name_part: Some(which.search.as_deref().unwrap_or_default()),
        team: which.team_id.as_deref(),
        seen_by: seen,
        ..Filter::default()
    };
    let offset = (page - 1).saturating_mul(size);
    let part = Page { order: Order::Name, descending: false, limit: size, offset, after: None };
    let keys: Vec<Stored<Key>> = shared.db.list(&filter, &part).await?;
    let total = shared.db.count(Kind::Key, &filter).await?;
    let aliases: Vec<Option<String>> = keys.into_iter().map(|key| key.object.key_alias).collect();
    Ok(Json(json!({
        "aliases": aliases, "total_count": total, "current_page": page,
        "total_pages": pages(total, size), "size": size,
    })))
}

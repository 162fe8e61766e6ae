//! `/team/update` and the small changes of a team: block, models, permissions of its members, reset of its spend.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, Part, object};
use super::super::keys;
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::{Bounds, ResetSpend, Spent, retime, set_spend};
use super::super::shown::{Ignored, reset_at};
use super::make::{KEPT, check, check_permissions};
use super::{not_found, permit, wanted, with_spend};
use crate::objects::{Kind, Team};
use crate::store::Stored;

/// What stands in the list of a team that may use no model at all: an empty list is no limit.
const NO_MODELS: &str = "no-default-models";

/// What a request for a change may say beside the team's own fields.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct Wishes {
    /// Which team.
    #[schema(required = true)]
    team_id: Option<String>,
    /// Tags that its requests inherit; they land in `metadata.tags`.
    tags: Option<Vec<String>>,
    /// Dollars spent so far.
    #[schema(minimum = 0)]
    spend: Option<f64>,
}

/// The body of a request for a change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct UpdateTeam {
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Team,
}

/// Changes a team. Fields that are absent stay as they are; `null` takes a value away. `metadata` is replaced as
/// a whole, `tags` alone leave the rest of it.
#[utoipa::path(
    post, path = "/team/update", tag = "teams", request_body = UpdateTeam,
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    let id = wanted(given.peek(&Wishes::default(), &[])?.team_id)?;
    let (stored, ignored) = apply(&shared, &actor, &id, given, false).await?;
    let mut answer = object(&ignored);
    answer.insert("team_id".to_owned(), id.into());
    answer.insert("data".to_owned(), with_spend(&shared, &stored).await?.into());
    Ok(Json(answer.into()))
}

/// Changes a team; `metadata` is merged into what is there, and a `null` in it takes a value away.
#[utoipa::path(
    patch, path = "/team/{team_id}", tag = "teams", request_body = Team,
    params(("team_id" = String, Path, description = "Which team")),
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn patch(
    State(shared): State<Shared>,
    actor: Actor,
    Part(id): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    let (stored, ignored) = apply(&shared, &actor, &id, given, true).await?;
    let mut answer = object(&ignored);
    answer.extend(with_spend(&shared, &stored).await?);
    Ok(Json(answer.into()))
}

async fn apply(
    shared: &Shared,
    actor: &Actor,
    id: &str,
    mut given: Given,
    merge: bool,
) -> Result<(Stored<Team>, Ignored), Refusal> {
    actor.must_change()?;
    let mut change = Change::begin_for(shared, actor, &given).await?;
    let before: Option<Stored<Team>> = change.find(id).await?;
    permit::update(actor, id, before.as_ref())?;
    let before = before.ok_or_else(|| not_found(id))?;
    let wishes: Wishes = given.peek(&Wishes::default(), &[])?;
    let mut team: Team = given.peek(&before.object, KEPT)?;
    if merge && given.gives("metadata") {
        let patch = std::mem::replace(&mut team.metadata, before.object.metadata.clone());
        merge_into(&mut team.metadata, patch);
    }
    if let Some(tags) = &wishes.tags {
        team.metadata.insert("tags".to_owned(), tags.clone().into());
    }
    // To belong to no organization any more is said with null.
    if team.organization_id.as_deref() == Some("") {
        team.organization_id.clone_from(&before.object.organization_id);
    }
    permit::fields(actor, &given, &before.object, &team)?;
    permit::money_and_place(actor, &before.object, &team)?;
    given.drop::<Team>(KEPT);
    given.drop::<Wishes>(&[]);
    let ignored = given.rest()?;
    if let Some(field) =
        ["members_with_roles", "members", "admins"].iter().find(|name| ignored.contains_key(**name))
    {
        let message = format!(
            "'{field}' cannot be changed here: use /team/member_add, member_update and member_delete."
        );
        return Err(Refusal::field(*field, message));
    }
    team.ignored.extend(ignored.clone());
    if team.limits.windows_differ(&before.object.limits) {
        team.limits.budget_reset_at = None;
    }
    team.limits.settle(change.now())?;
    if let (Some(soft), Some(max)) = (team.limits.soft_budget, team.limits.max_budget)
        && max <= soft
    {
        let message = format!("max_budget ({max:?}) must be strictly greater than soft_budget ({soft:?})");
        return Err(Refusal::field("max_budget", message));
    }
    check(&mut change, actor, id, &team).await?;
    permit::within(actor, &mut change, &before.object, &team).await?;
    let stored = change.update(&before, team).await?;
    let bounds = Bounds::of(&stored.object, &stored.object.limits);
    let old_bounds = Bounds::of(&before.object, &before.object.limits);
    retime(&mut change, Kind::Team, id, old_bounds, bounds).await?;
    if wishes.spend.is_some() {
        let until = bounds.end(&mut change).await?;
        change.set_spend(Kind::Team, id, keys::spend(wishes.spend)?, until).await?;
    }
    change.commit().await?;
    Ok((stored, Ignored::from(&ignored)))
}

/// RFC 7396.
fn merge_into(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(&name);
            }
            Value::Object(inner) => {
                if let Some(Value::Object(below)) = target.get_mut(&name) {
                    merge_into(below, inner);
                } else {
                    let mut below = Map::new();
                    merge_into(&mut below, inner);
                    target.insert(name, below.into());
                }
            }
            value => {
                target.insert(name, value);
            }
        }
    }
}

/// Which team.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = TeamById)]
struct Which {
    #[schema(required = true, value_type = String)]
    team_id: Option<String>,
}

/// Refuses all requests with the team's keys, from the next one on.
#[utoipa::path(
    post, path = "/team/block", tag = "teams", request_body = Which,
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn block(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_blocked(&shared, &actor, given, true).await
}

/// Lets requests with the team's keys in again.
#[utoipa::path(
    post, path = "/team/unblock", tag = "teams", request_body = Which,
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn unblock(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_blocked(&shared, &actor, given, false).await
}

async fn set_blocked(
    shared: &Shared,
    actor: &Actor,
    mut given: Given,
    blocked: bool,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let Which { team_id } = given.take()?;
    given.nothing_else()?;
    let id = wanted(team_id)?;
    let mut change = Change::begin(shared, actor).await?;
    let found = change.find(&id).await?;
    let before = permit::must_manage(actor, &id, found, || not_found(&id))?;
    let after = Team { blocked, ..before.object.clone() };
    let stored = change.update(&before, after).await?;
    change.commit().await?;
    Ok(Json(with_spend(shared, &stored).await?.into()))
}

/// Models of a team.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct TeamModels {
    #[schema(required = true, value_type = String)]
    team_id: Option<String>,
    #[schema(required = true)]
    models: Vec<String>,
}

/// Adds models to those a team may use. A team whose list is empty may use all: its first entry narrows it to
/// that one.
#[utoipa::path(
    post, path = "/team/model/add", tag = "teams", request_body = TeamModels,
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn add_models(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_models(&shared, &actor, given, |list, given| {
        list.retain(|model| model != NO_MODELS);
        for model in given {
            if !list.contains(&model) {
                list.push(model);
            }
        }
    })
    .await
}

/// Takes models from those a team may use. Without its last one it may use none, which the list says as
/// `no-default-models`: an empty list would allow everything.
#[utoipa::path(
    post, path = "/team/model/delete", tag = "teams", request_body = TeamModels,
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn delete_models(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_models(&shared, &actor, given, |list, given| {
        let limited = !list.is_empty();
        list.retain(|model| !given.contains(model));
        if limited && list.is_empty() {
            list.push(NO_MODELS.to_owned());
        }
    })
    .await
}

async fn set_models(
    shared: &Shared,
    actor: &Actor,
    mut given: Given,
    edit: impl FnOnce(&mut Vec<String>, Vec<String>) + Send,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let TeamModels { team_id, models } = given.take()?;
    given.nothing_else()?;
    let id = wanted(team_id)?;
    let mut change = Change::begin(shared, actor).await?;
    let found = change.find(&id).await?;
    let before = permit::must_manage(actor, &id, found, || not_found(&id))?;
    let mut after = before.object.clone();
    edit(&mut after.models, models);
    check(&mut change, actor, &id, &after).await?;
    let stored = change.update(&before, after).await?;
    change.commit().await?;
    Ok(Json(with_spend(shared, &stored).await?.into()))
}

/// What members may do with the team's keys.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Permissions {
    #[schema(required = true, value_type = String)]
    team_id: Option<String>,
    /// Paths, such as `/key/generate`.
    #[schema(required = true, value_type = Vec<String>)]
    team_member_permissions: Option<Vec<String>>,
}

/// Sets what members may do with the team's keys.
#[utoipa::path(
    post, path = "/team/permissions_update", tag = "teams", request_body = Permissions,
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn update_permissions(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_change()?;
    let Permissions { team_id, team_member_permissions } = given.take()?;
    given.nothing_else()?;
    let id = wanted(team_id)?;
    let permissions = team_member_permissions.ok_or_else(|| {
        Refusal::field("team_member_permissions", "Missing required field 'team_member_permissions'.")
    })?;
    check_permissions(&permissions)?;
    let mut change = Change::begin(&shared, &actor).await?;
    let found = change.find(&id).await?;
    let before = permit::must_manage(&actor, &id, found, || not_found(&id))?;
    let after = Team { team_member_permissions: permissions, ..before.object.clone() };
    let stored = change.update(&before, after).await?;
    change.commit().await?;
    Ok(Json(with_spend(&shared, &stored).await?.into()))
}

/// Sets what was spent by a team.
#[utoipa::path(
    post, path = "/team/{team_id}/reset_spend", tag = "teams", request_body = ResetSpend,
    params(("team_id" = String, Path, description = "Which team")),
    responses((status = 200, description = "Before and after", body = Object), Refusals)
)]
pub(super) async fn reset_spend(
    State(shared): State<Shared>,
    actor: Actor,
    Part(id): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let wish = ResetSpend::only(given)?;
    let mut change = Change::begin_spending(&shared, &actor).await?;
    let found: Option<Stored<Team>> = change.find(&id).await?;
    let stored = found.ok_or_else(|| not_found(&id))?;
    let bounds = Bounds::of(&stored.object, &stored.object.limits);
    let Spent { spend, before } = set_spend(&mut change, Kind::Team, &id, bounds, &wish).await?;
    change.commit().await?;
    let limits = stored.object.limits;
    Ok(Json(json!({
        "team_id": id,
        "spend": spend,
        "previous_spend": before,
        "max_budget": limits.max_budget,
        "budget_reset_at": reset_at(&limits),
    })))
}

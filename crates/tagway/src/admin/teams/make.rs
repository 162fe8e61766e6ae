//! `POST /team/new`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tagway_core::access::Models;
use tagway_core::snapshot::Named;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, object};
use super::super::keys;
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::Bounds;
use super::super::shown::Ignored;
use super::join::{Joining, Share, join};
use super::{permit, shown};
use crate::objects::{Budget, Kind, Organization, Owner as _, Team};
use crate::store::{Edit, StoreError};

/// Fields of a team that only the gateway sets, or that have endpoints of their own.
pub(super) const KEPT: &[&str] = &["members_with_roles", "ignored", "budget_reset_at"];

/// What a member may do with the team's keys, if the team says so: paths, as LiteLLM writes them.
pub(super) const PERMISSIONS: &[&str] = &[
    "/key/generate",
    "/key/update",
    "/key/delete",
    "/key/info",
    "/key/regenerate",
    "/key/service-account/generate",
    "/key/{key_id}/regenerate",
    "/key/list",
    "/key/block",
    "/key/unblock",
    "/key/bulk_update",
    "/key/{key_id}/reset_spend",
    "/key/aliases",
    "/key/health",
    "/key/access_group_assignment",
    "/team/key/bulk_update",
    "/team/daily/activity",
    "/team/daily/activity/aggregated",
    "/spend/logs",
    "/spend/logs/v2",
    "/auto_router/manage",
];

/// What a request for a team may say beside the team's own fields.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct Wishes {
    /// Its id; a random one when absent.
    team_id: Option<String>,
    /// Tags that its requests inherit; they land in `metadata.tags`.
    pub(super) tags: Option<Vec<String>>,
    /// Dollars spent so far.
    #[schema(minimum = 0)]
    pub(super) spend: Option<f64>,
    /// Its members, beside the caller, who becomes an admin of it.
    members_with_roles: Vec<Joining>,
    #[schema(ignore)]
    admins: Vec<Value>,
    #[schema(ignore)]
    members: Vec<Value>,
}

/// The body of a request for a team.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct NewTeam {
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Team,
}

/// Makes a team. The caller becomes an admin of it.
#[utoipa::path(
    post, path = "/team/new", tag = "teams", request_body = NewTeam,
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn new(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    let blank = Team::default();
    let mut team: Team = given.peek(&blank, KEPT)?;
    let wishes: Wishes = given.peek(&Wishes::default(), &[])?;
    team.organization_id = team.organization_id.filter(|id| !id.is_empty());
    permit::make(&actor, team.organization_id.as_deref())?;
    if let Some(tags) = &wishes.tags {
        team.metadata.insert("tags".to_owned(), tags.clone().into());
    }
    permit::fields(&actor, &given, &blank, &team)?;
    given.drop::<Team>(KEPT);
    given.drop::<Wishes>(&[]);
    team.ignored = given.rest()?;
    if !wishes.admins.is_empty() || !wishes.members.is_empty() {
        let message = "Members are given as members_with_roles: [{\"role\": \"user\", \"user_id\": \"…\"}].";
        return Err(Refusal::field("members_with_roles", message));
    }
    let id = id(wishes.team_id)?;
    let mut change = Change::begin(&shared, &actor).await?;
    let taken = || {
        Refusal::field("team_id", format!("Team id = {id} already exists. Please use a different team id."))
    };
    if change.find::<Team>(&id).await?.is_some() {
        return Err(taken());
    }
    team.limits.settle(change.now())?;
    if let (Some(soft), Some(max)) = (team.limits.soft_budget, team.limits.max_budget)
        && max <= soft
    {
        let message = format!("soft_budget ({soft:?}) must be strictly lower than max_budget ({max:?})");
        return Err(Refusal::field("soft_budget", message));
    }
    check(&mut change, &actor, &id, &team).await?;
    permit::within(&actor, &mut change, &blank, &team).await?;
    for joining in &wishes.members_with_roles {
        join(&mut change, &actor, &mut team, joining, &Share::default()).await?;
    }
    let maker = Joining { user_id: actor.user.clone(), user_email: None, role: "admin".to_owned() };
    if maker.user_id.is_some() && actor.role.is_some() {
        // One who is listed already keeps the role given there.
        join(&mut change, &actor, &mut team, &maker, &Share::default()).await?;
    }
    let stored = change.insert(&id, team).await.map_err(|error| match error {
        StoreError::Taken => taken(),
        error => error.into(),
    })?;
    let spend = keys::spend(wishes.spend)?;
    if 0 < spend {
        let until = Bounds::of(&stored.object, &stored.object.limits).end(&mut change).await?;
        change.set_spend(Kind::Team, &id, spend, until).await?;
    }
    change.commit().await?;
    let mut answer = object(&Ignored::from(&stored.object.ignored));
    answer.extend(shown(&stored, spend));
    Ok(Json(Value::Object(answer)))
}

/// The id asked for, or a random one.
fn id(asked: Option<String>) -> Result<String, Refusal> {
    match asked.filter(|id| !id.trim().is_empty()) {
        None => Ok(Uuid::new_v4().to_string()),
        Some(id) if id == "litellm-dashboard" => {
            let message = "The team id litellm-dashboard is reserved. Please use a different team id.";
            Err(Refusal::field("team_id", message))
        }
        Some(id) => Ok(id),
    }
}

/// Whether a team's fields make sense, alone and within its organization.
pub(super) async fn check(edit: &mut Edit, actor: &Actor, id: &str, team: &Team) -> Result<(), Refusal> {
    team.policy(id)?;
    check_permissions(&team.team_member_permissions)?;
    within_organization(edit, actor, team).await
}

/// Whether members can be allowed these.
pub(super) fn check_permissions(permissions: &[String]) -> Result<(), Refusal> {
    match permissions.iter().find(|permission| !PERMISSIONS.contains(&permission.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(Refusal::field(
            "team_member_permissions",
            format!("Unknown permission '{unknown}'. Must be one of: {}", PERMISSIONS.join(", ")),
        )),
    }
}

/// A team has no more than its organization.
async fn within_organization(edit: &mut Edit, actor: &Actor, team: &Team) -> Result<(), Refusal> {
    let Some(id) = &team.organization_id else { return Ok(()) };
    let Some(organization) = edit.find::<Organization>(id).await? else {
        let message = format!("Organization not found for organization_id={id}");
        return Err(Refusal::field("organization_id", message));
    };
    let organization = organization.object;
    let allowed = Models::new(&organization.models);
    let snapshot = &actor.current.snapshot;
    for model in team.models.iter().filter(|model| *model != "no-default-models") {
        let groups = match snapshot.find(model) {
            Some(Named::Group(group)) => snapshot.group(group).access_groups.as_slice(),
            _ => &[],
        };
        if !allowed.allow(&[model], groups) {
            let list = organization.models.iter().map(|model| format!("'{model}'")).collect::<Vec<_>>();
            let message = format!(
                "Model '{model}' not in organization's allowed models. Organization allowed models=[{}]. Organization: {id}",
                list.join(", ")
            );
            return Err(Refusal::field("models", message));
        }
    }
    let mut limits = organization.limits;
    if let Some(budget) = &organization.budget_id
        && let Some(budget) = edit.find::<Budget>(budget).await?
    {
        let given = budget.object.limits;
        limits.max_budget = limits.max_budget.or(given.max_budget);
        limits.tpm_limit = limits.tpm_limit.or(given.tpm_limit);
        limits.rpm_limit = limits.rpm_limit.or(given.rpm_limit);
    }
    #[expect(clippy::cast_precision_loss, reason = "compared and shown, not counted with")]
    let count = |limit: Option<u64>| limit.map(|limit| limit as f64);
    let own = &team.limits;
    for (field, own, most) in [
        ("max_budget", own.max_budget, limits.max_budget),
        ("tpm_limit", count(own.tpm_limit), count(limits.tpm_limit)),
        ("rpm_limit", count(own.rpm_limit), count(limits.rpm_limit)),
    ] {
        if let (Some(own), Some(most)) = (own, most)
            && most < own
        {
            let (own, most) = match field {
                "max_budget" => (format!("{own:?}"), format!("{most:?}")),
                _ => (own.to_string(), most.to_string()),
            };
            let message =
                format!("Team {field} ({own}) exceeds organization's {field} ({most}). Organization: {id}");
            return Err(Refusal::field(field, message));
        }
    }
    Ok(())
}

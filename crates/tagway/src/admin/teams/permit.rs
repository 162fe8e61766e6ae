//! Who may do what with which team: LiteLLM's rules for admins of teams and organizations, and tagway's own for
//! what is an admin's matter.

use http::StatusCode;
use serde_json::{Map, Value};

use super::super::actor::Actor;
use super::super::given::Given;
use super::super::refusal::Refusal;
use crate::objects::{Member, Object as _, Organization, Team};
use crate::store::{Edit, Stored};

/// Fields that decide where requests go, or how budgets hold. An admin has the say, or the admin of the team's organization.
const ADMINS: &[&str] = &[
    "tags",
    "allowed_tags",
    "allow_client_tags",
    "tag_expression",
    "allowed_model_region",
    "router_settings",
    "strict",
    "budget_window",
    "budget_timezone",
    "default_estimated_output_tokens",
    "default_estimated_output_tokens_per_model",
    "spend",
    "temp_budget_increase",
    "temp_budget_expiry",
];

/// Those of them that are money.
const MONEY: &[&str] = &["spend", "temp_budget_increase", "temp_budget_expiry"];

/// Whether the actor administers the organization a team belongs to.
pub(super) fn runs_organization(actor: &Actor, team: &Team) -> bool {
    team.organization_id.as_deref().is_some_and(|organization| actor.is_org_admin(organization))
}

/// Whether the actor may change a team's members and keys.
pub(super) fn manages(actor: &Actor, team: &Stored<Team>) -> bool {
    actor.is_admin() || actor.is_team_admin(&team.id) || runs_organization(actor, &team.object)
}

/// Only who may change a team's members. One who is nobody to the team does not learn whether it is there.
pub(in crate::admin) fn must_manage(
    actor: &Actor,
    id: &str,
    team: Option<Stored<Team>>,
    unknown: impl FnOnce() -> Refusal,
) -> Result<Stored<Team>, Refusal> {
    match team {
        Some(team) if manages(actor, &team) => Ok(team),
        None if actor.is_admin() => Err(unknown()),
        _ => {
            let path = actor.path();
            let message =
                format!("Call not allowed. User not proxy admin OR team admin. route={path}, team_id={id}");
            Err(Refusal::forbidden(message))
        }
    }
}

/// Whether the actor may make a team in this organization, or in none.
pub(super) fn make(actor: &Actor, organization: Option<&str>) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    actor.must_change()?;
    match organization {
        Some(organization) if actor.is_org_admin(organization) => Ok(()),
        Some(_) => Err(actor.refused()),
        None => {
            let refused = match actor.must_be_admin() {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let own = actor.organizations().iter().map(|id| format!("'{id}'")).collect::<Vec<_>>();
            if own.is_empty() {
                return Err(refused);
            }
            let message = format!(
                "Passed organization_id is None, please specify the organization_id in your request. You are part of multiple organizations: [{}]",
                own.join(", ")
            );
            Err(Refusal::new(StatusCode::UNAUTHORIZED, message).param("organization_id"))
        }
    }
}

/// Whether the fields given for a team are the actor's to give.
pub(super) fn fields(actor: &Actor, given: &Given, before: &Team, after: &Team) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    let organization = runs_organization(actor, after);
    for field in ADMINS.iter().filter(|field| given.gives(field)) {
        if !organization || MONEY.contains(field) {
            let message = format!("Only proxy admins can set `{field}` on a team.");
            return Err(Refusal::forbidden(message).param(*field));
        }
    }
    for field in ["tags", "tier"] {
        if !organization && before.metadata.get(field) != after.metadata.get(field) {
            let message =
                format!("Only proxy admins can change metadata.{field}: it decides where requests go.");
            return Err(Refusal::forbidden(message).param(format!("metadata.{field}")));
        }
    }
    Ok(())
}

/// Whether a team stays within what its organization was given: the admin of an organization divides its tags and its
/// tier among the teams, and gives none that it does not have.
pub(super) async fn within(
    actor: &Actor,
    edit: &mut Edit,
    before: &Team,
    after: &Team,
) -> Result<(), Refusal> {
    let Some(id) = after.organization_id.as_deref().filter(|_| !actor.is_admin()) else { return Ok(()) };
    let Some(organization) = edit.find::<Organization>(id).await? else { return Ok(()) };
    let organization = organization.object;
    let (own, old) = (organization.tags(), before.tags());
    // `!` and `&` only narrow.
    let wider = |tag: &&str| !tag.starts_with(['!', '&']) && !own.contains(tag) && !old.contains(tag);
    if !own.is_empty()
        && let Some(tag) = after.tags().into_iter().find(wider)
    {
        let message = format!(
            "Only proxy admins can give a team the tag '{tag}', which its organization {id} does not have."
        );
        return Err(Refusal::forbidden(message).param("tags"));
    }
    let tier = |metadata: &Map<String, Value>| metadata.get("tier").filter(|tier| !tier.is_null()).cloned();
    let (own, new) = (tier(&organization.metadata), tier(&after.metadata));
    if own.is_some() && new.is_some() && new != own && new != tier(&before.metadata) {
        let message =
            format!("Only proxy admins can give a team another tier than its organization {id} has.");
        return Err(Refusal::forbidden(message).param("metadata.tier"));
    }
    Ok(())
}

/// Whether the actor may change a team's fields.
pub(super) fn update(actor: &Actor, id: &str, team: Option<&Stored<Team>>) -> Result<(), Refusal> {
    actor.must_change()?;
    if actor.is_admin() || team.is_some_and(|team| runs_organization(actor, &team.object)) {
        return Ok(());
    }
    Err(Refusal::forbidden(if actor.is_team_admin(id) {
        "Team admins on this proxy cannot edit team settings. Ask a proxy admin to change them."
    } else {
        "You do not have access to this team"
    }))
}

/// What nobody but an admin changes on an existing team: more money, another organization.
pub(super) fn money_and_place(actor: &Actor, before: &Team, after: &Team) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    let moved = before.organization_id != after.organization_id;
    if moved && !runs_organization(actor, after) {
        return Err(Refusal::forbidden(
            "Relocating a team to a different organization requires PROXY_ADMIN or org-admin of the destination org.",
        )
        .param("organization_id"));
    }
    let refused = |message| Err(Refusal::forbidden(message).param("max_budget"));
    match (before.limits.max_budget, after.limits.max_budget) {
        (Some(current), Some(asked)) if current < asked => refused(format!(
            "Only a proxy admin can raise a team's max_budget. Team's current max_budget={current:?}, requested={asked:?}."
        )),
        (Some(current), None) => refused(format!(
            "Only a proxy admin can remove a team's max_budget. Team's current max_budget={current:?}."
        )),
        _ => Ok(()),
    }
}

/// Whether the actor may give a member these limits. The admin of a team divides what the team has: to take a
/// limit back that somebody was given is a matter of those above.
pub(super) fn member_money(
    actor: &Actor,
    team: &Team,
    before: &Member,
    after: &Member,
) -> Result<(), Refusal> {
    if actor.is_admin() || runs_organization(actor, team) {
        return Ok(());
    }
    let count = |limit: Option<u64>| limit.map_or(u64::MAX, |limit| limit);
    let budget = |member: &Member| member.max_budget_in_team.unwrap_or(f64::INFINITY);
    let period = before.max_budget_in_team.is_some() && before.budget_duration != after.budget_duration;
    for (field, loosened) in [
        ("max_budget_in_team", budget(before) < budget(after)),
        ("budget_duration", period),
        ("tpm_limit", count(before.tpm_limit) < count(after.tpm_limit)),
        ("rpm_limit", count(before.rpm_limit) < count(after.rpm_limit)),
    ] {
        if loosened {
            let message = format!("Only proxy admins can raise or remove a member's `{field}`.");
            return Err(Refusal::forbidden(message).param(field));
        }
    }
    Ok(())
}

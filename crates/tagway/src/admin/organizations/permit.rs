//! Who may do what with which organization.

use http::StatusCode;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::refusal::Refusal;
use crate::objects::Kind;

/// Whether the actor may make or delete organizations.
pub(super) fn own_all(actor: &Actor, deed: &str) -> Result<(), Refusal> {
    actor.must_be_admin().map_err(|refusal| {
        if actor.role.is_none() {
            return refusal;
        }
        let message = format!("Only proxy admins can {deed} organizations. You are {}", actor.role_name());
        Refusal::new(StatusCode::UNAUTHORIZED, message).param("user_role")
    })
}

/// Whether the actor may see an organization.
pub(super) async fn see(shared: &Shared, actor: &Actor, organization: Option<&str>) -> Result<(), Refusal> {
    if actor.must_see_all().is_ok() { Ok(()) } else { administer(shared, actor, organization).await }
}

/// Whether the actor may manage an organization's members.
pub(super) async fn administer(
    shared: &Shared,
    actor: &Actor,
    organization: Option<&str>,
) -> Result<(), Refusal> {
    let Err(refusal) = actor.must_be_admin() else { return Ok(()) };
    let (Some(user), Some(_)) = (&actor.user, actor.role) else {
        return Err(refusal);
    };
    let Some(organization) = organization else {
        let message = "Passed organization_id is None, please pass an organization_id in your request";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, message).param("organization_id"));
    };
    // Who only views everything changes nothing, whatever else it is.
    if actor.is_org_admin(organization) && !actor.sees_all() {
        return Ok(());
    }
    let memberships = shared.db.memberships(Kind::Organization, user).await?;
    let (message, param) = match memberships.into_iter().find(|(id, _)| id == organization) {
        Some((_, role)) => (
            format!(
                "You do not have the required role to perform {} in Organization {organization}. Your role is {role} in Organization {organization}",
                actor.path()
            ),
            "user_role",
        ),
        None => (
            format!(
                "You do not have a role within the selected organization. Passed organization_id: {organization}. Please contact the organization admin to request access."
            ),
            "organization_id",
        ),
    };
    Err(Refusal::new(StatusCode::UNAUTHORIZED, message).param(param))
}

/// What a member may cost is an admin's matter.
pub(super) fn money(actor: &Actor, given: bool) -> Result<(), Refusal> {
    if !given || actor.must_be_admin().is_ok() {
        return Ok(());
    }
    let message = "Only proxy admins can set `max_budget_in_organization`.";
    Err(Refusal::forbidden(message).param("max_budget_in_organization"))
}

//! What somebody who is no admin may do with users, once an admin has put the path on the list of its key.

use super::super::actor::Actor;
use super::super::given::Given;
use super::super::refusal::Refusal;
use crate::objects::{Role, User};

/// Whether the actor may make this user: with no role beyond the usual one, and nothing that decides where
/// requests go.
pub(super) fn make(actor: &Actor, given: &Given, user: &User) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    if let Some(role @ (Role::ProxyAdmin | Role::ProxyAdminViewer)) = user.user_role {
        let message = format!(
            "Only proxy admins can create administrative users (proxy_admin, proxy_admin_viewer). Attempted to create user with role: {}. Your role: {}",
            role.as_str(),
            actor.role_name()
        );
        return Err(Refusal::forbidden(message).param("user_role"));
    }
    for field in ["user_role", "spend", "tags", "organizations", "organization_id"] {
        if given.gives(field) {
            let message = format!("Only proxy admins can set `{field}` on a user.");
            return Err(Refusal::forbidden(message).param(field));
        }
    }
    if let Some(field) = ["tags", "tier"].into_iter().find(|field| user.metadata.contains_key(*field)) {
        let message = format!("Only proxy admins can set metadata.{field}: it decides where requests go.");
        return Err(Refusal::forbidden(message).param(format!("metadata.{field}")));
    }
    Ok(())
}

/// Whether the actor may change the user `id` into `after`: itself, and nothing but its names.
pub(super) fn change(actor: &Actor, id: &str, before: &User, after: &User) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    if !actor.is_user(id) {
        return Err(Refusal::forbidden(
            "User does not have permission to update this user. Only PROXY_ADMIN can update other users.",
        ));
    }
    if before.user_role != after.user_role {
        return Err(Refusal::forbidden("Only proxy admins can modify user roles.").param("user_role"));
    }
    let named =
        User { user_alias: after.user_alias.clone(), user_email: after.user_email.clone(), ..before.clone() };
    if named == *after {
        return Ok(());
    }
    Err(Refusal::forbidden(
        "Non-admin users can modify nothing but `user_alias` and `user_email` on their own record. Contact your proxy admin.",
    ))
}

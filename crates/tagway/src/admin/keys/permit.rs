//! Who may do what with which key: LiteLLM's rules for owners, teams and admins, and tagway's own for what is an
//! admin's matter.

use http::StatusCode;

use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::put_tags::granted;
use super::super::refusal::Refusal;
use crate::objects::{Key, Object as _, Project, Team};
use crate::store::{Edit, Stored};

/// Fields that decide where requests go, which paths they may take, or how much they may cost in the end: an
/// admin's matter.
const ADMINS: &[(&str, &str)] = &[
    ("tags", "Only proxy admins can set tags on a key: they decide where its requests may go."),
    ("allowed_tags", "Only proxy admins can set `allowed_tags` on a key."),
    ("allow_client_tags", "Only proxy admins can set `allow_client_tags` on a key."),
    ("tag_expression", "Only proxy admins can set `tag_expression` on a key."),
    ("allowed_model_region", "Only proxy admins can set `allowed_model_region` on a key."),
    ("router_settings", "Only proxy admins can set `router_settings` on a key."),
    (
        "allowed_routes",
        "Only proxy admins can set `allowed_routes` on a key. Use `key_type` to pick a preset route bucket instead.",
    ),
    ("spend", "Only proxy admins can set `spend` on a key."),
    ("budget_id", "Only proxy admins can set `budget_id` on a key."),
    ("strict", "Only proxy admins can set `strict` on a key."),
    ("budget_window", "Only proxy admins can set `budget_window` on a key."),
    ("budget_timezone", "Only proxy admins can set `budget_timezone` on a key."),
    ("temp_budget_increase", "Only proxy admins can set `temp_budget_increase` on a key."),
    ("temp_budget_expiry", "Only proxy admins can set `temp_budget_expiry` on a key."),
    (
        "default_estimated_output_tokens",
        "Only proxy admins can set `default_estimated_output_tokens` on a key.",
    ),
    (
        "default_estimated_output_tokens_per_model",
        "Only proxy admins can set `default_estimated_output_tokens_per_model` on a key.",
    ),
    ("blocked", "Only proxy admins can block a key this way; use /key/block."),
];

/// Whether the fields given are the actor's to give. `before` is the key as it was.
pub(super) fn fields(actor: &Actor, given: &Given, before: &Key, after: &Key) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    // Who may set a tag, its declaration may say.
    let granted = granted(&actor.current.snapshot, actor, before, after);
    for (field, why) in ADMINS {
        if given.gives(field) && !(granted && *field == "tags") {
            return Err(Refusal::forbidden(*why).param(*field));
        }
    }
    for field in ["tags", "tier"] {
        if granted && field == "tags" {
            continue;
        }
        if before.metadata.get(field) != after.metadata.get(field) {
            let message =
                format!("Only proxy admins can change metadata.{field}: it decides where requests go.");
            return Err(Refusal::forbidden(message).param(format!("metadata.{field}")));
        }
    }
    Ok(())
}

/// What nobody but an admin changes on an existing key: whose it is, and what it may cost.
pub(super) fn money(actor: &Actor, before: &Key, after: &Key) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    if before.user_id != after.user_id {
        let name = |user: &Option<String>| user.clone().unwrap_or("None".to_owned());
        let message = format!(
            "Non-admin caller is not allowed to rebind the key from user={} to user={}",
            name(&before.user_id),
            name(&after.user_id)
        );
        return Err(Refusal::forbidden(message).param("user_id"));
    }
    let (one, other) = (&before.limits, &after.limits);
    let money = one.max_budget != other.max_budget
        || one.soft_budget != other.soft_budget
        || one.budget_duration != other.budget_duration
        || one.model_max_budget != other.model_max_budget;
    if money {
        let message = format!(
            "Only proxy admins can call /key/update (max_budget/spend). user_role={}, user_id={}",
            actor.role_name(),
            actor.user.as_deref().unwrap_or("None")
        );
        return Err(Refusal::forbidden(message).param("max_budget"));
    }
    for (field, same) in [
        ("team_id", before.team_id == after.team_id),
        ("organization_id", before.organization_id == after.organization_id),
        ("project_id", before.project_id == after.project_id),
    ] {
        if !same {
            let message = format!("Only proxy admins can change `{field}` of a key.");
            return Err(Refusal::forbidden(message).param(field));
        }
    }
    Ok(())
}

/// Whether the actor may make a key for this user and team.
pub(super) async fn make(actor: &Actor, edit: &mut Edit, key: &Key) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    if let Some(user) = key.user_id.as_deref().filter(|user| !actor.is_user(user)) {
        let message = format!(
            "User can only create keys for themselves. Got user_id={user}, Your ID={}",
            actor.user.as_deref().unwrap_or("None")
        );
        return Err(Refusal::forbidden(message));
    }
    foreign_links(actor, edit, key).await?;
    let Some(team) = &key.team_id else { return Ok(()) };
    if actor.is_team_admin(team) {
        return Ok(());
    }
    if !actor.is_member(team) {
        let user = actor.user.as_deref().unwrap_or("None");
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("User={user} not assigned to team={team}"),
        ));
    }
    member_may(actor, edit, team).await
}

/// What an admin demands of a key's requests holds for the keys that are made with it, too: else whoever may make
/// keys makes one without.
pub(super) async fn hand_down(actor: &Actor, change: &mut Change<'_>, key: &mut Key) -> Result<(), Refusal> {
    let Some(bearer) = actor.caller.bearer().filter(|_| !actor.is_admin()) else { return Ok(()) };
    if bearer.token_of.is_some() {
        // What claims say of a caller stays true of the keys it makes.
        let tags: Vec<&str> = bearer.policy.tags.iter().map(|tag| &**tag).collect();
        if !tags.is_empty() {
            change.hands_down(&tags);
            key.metadata.insert("tags".to_owned(), tags.into());
        }
        return Ok(());
    }
    let Some(maker) = change.find::<Key>(&bearer.id).await? else { return Ok(()) };
    let maker = maker.object;
    change.hands_down(&maker.tags());
    for field in ["tags", "tier"] {
        if let Some(value) = maker.metadata.get(field) {
            key.metadata.insert(field.to_owned(), value.clone());
        }
    }
    key.allowed_tags = maker.allowed_tags;
    key.allow_client_tags = maker.allow_client_tags;
    key.tag_expression = maker.tag_expression;
    key.allowed_model_region = maker.allowed_model_region;
    key.router_settings = maker.router_settings;
    Ok(())
}

/// What a key inherits from a project or an organization is not for everybody to take.
async fn foreign_links(actor: &Actor, edit: &mut Edit, key: &Key) -> Result<(), Refusal> {
    if let Some(id) = &key.project_id {
        let stored: Option<Stored<Project>> = edit.find(id).await?;
        let team = stored.and_then(|project| project.object.team_id);
        if !team.is_some_and(|team| actor.is_member(&team)) {
            let message = format!("You are not a member of the team of project {id}.");
            return Err(Refusal::forbidden(message).param("project_id"));
        }
    }
    if let Some(id) = key.organization_id.as_ref().filter(|id| !actor.is_org_admin(id)) {
        let message = format!("Only proxy admins and admins of organization {id} make keys for it.");
        return Err(Refusal::forbidden(message).param("organization_id"));
    }
    Ok(())
}

/// Whether a plain member of a team may call this path for the team's keys.
async fn member_may(actor: &Actor, edit: &mut Edit, team: &str) -> Result<(), Refusal> {
    let stored: Option<Stored<Team>> = edit.find(team).await?;
    let permissions = stored.map(|stored| stored.object.team_member_permissions).unwrap_or_default();
    let path = actor.path();
    // LiteLLM's name of the placeholder in its permissions.
    let named = path.replace("{key}", "{key_id}");
    if permissions.iter().any(|permission| permission == path || *permission == named) {
        return Ok(());
    }
    let mut may = vec!["/key/health".to_owned(), "/key/info".to_owned()];
    may.extend(permissions);
    let list = may.iter().map(|path| format!("'{path}'")).collect::<Vec<_>>().join(", ");
    Err(Refusal::new(
        StatusCode::UNAUTHORIZED,
        format!(
            "Team member does not have permissions for endpoint: {path}. You only have access to the following endpoints: [{list}] for team {team}. To create keys for this team, please ask your proxy admin to check the team member permission settings and update the settings to allow team member users to create keys."
        ),
    )
    .typed("team_member_permission_error")
    .param(path))
}

/// What somebody wants with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Change its fields.
    Update,
    /// Take it away, or put another in its place.
    End,
    /// Block it, or let it in again.
    Block,
    /// Count its spend anew.
    Reset,
}

/// Whether the actor may do this with a key.
pub(super) async fn touch(
    actor: &Actor,
    edit: &mut Edit,
    key: &Stored<Key>,
    deed: Deed,
) -> Result<(), Refusal> {
    if actor.is_admin() {
        return Ok(());
    }
    let path = actor.path();
    let owner = key.object.user_id.as_deref().is_some_and(|user| actor.is_user(user));
    match &key.object.team_id {
        Some(team) if actor.is_team_admin(team) => return Ok(()),
        Some(team) if actor.is_member(team) && matches!(deed, Deed::Update | Deed::End) => {
            if owner && deed == Deed::End {
                return Ok(());
            }
            return member_may(actor, edit, team).await;
        }
        Some(_) => {}
        None if owner && deed == Deed::End => return Ok(()),
        // What an admin made for somebody is the admin's to change.
        None if owner && deed == Deed::Update && key.created_by.as_deref() == actor.user.as_deref() => {
            return Ok(());
        }
        None => {}
    }
    if let (Some(team), Deed::Block) = (&key.object.team_id, deed) {
        let stored: Option<Stored<Team>> = edit.find(team).await?;
        let organization = stored.and_then(|team| team.object.organization_id);
        if organization.is_some_and(|organization| actor.is_org_admin(&organization)) {
            return Ok(());
        }
    }
    Err(Refusal::forbidden(match deed {
        Deed::End => "You are not authorized to delete or regenerate this key".to_owned(),
        Deed::Update | Deed::Block | Deed::Reset => format!(
            "Only proxy admins, team admins, or org admins can call {path}. user_role={}, user_id={}",
            actor.role_name(),
            actor.user.as_deref().unwrap_or("None")
        ),
    }))
}

/// Whether the actor may see a key.
pub(super) fn see(actor: &Actor, key: &Stored<Key>) -> Result<(), Refusal> {
    let own = key.object.user_id.as_deref().is_some_and(|user| actor.is_user(user));
    let bearer = actor.caller.bearer();
    let itself = bearer.is_some_and(|bearer| *bearer.id == *key.id);
    let team = key.object.team_id.as_deref();
    let teams = team.is_some_and(|team| actor.is_member(team));
    if actor.sees_all() || own || itself || teams {
        return Ok(());
    }
    Err(unseen(actor))
}

/// The refusal of one who may not see a key, whether there is one or not.
pub(super) fn unseen(actor: &Actor) -> Refusal {
    let role = actor.role_name();
    Refusal::forbidden(format!("You are not allowed to access this key's info. Your role={role}"))
}

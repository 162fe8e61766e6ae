//! Who asks the management API for something, and what that role may do. The roles and their answers are
//! LiteLLM's; every handler begins with one of the questions here.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use http::{Method, StatusCode, request};
use tagway_core::access::Purpose;

use super::Shared;
use super::refusal::Refusal;
use crate::auth::{self, Caller, Presented, Who};
use crate::live::Current;
use crate::objects::{Kind, Role, User};
use crate::store;

/// The user that the master key stands for.
pub(super) const MASTER_USER: &str = "default_user_id";

/// Somebody with a key, whatever it is worth.
pub(crate) struct Known {
    pub(crate) current: Arc<Current>,
    pub(crate) caller: Caller,
    /// The path as it was called.
    called: String,
    /// The path as it is documented: `/key/{key}/regenerate`.
    path: String,
}

impl FromRequestParts<Shared> for Known {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut request::Parts, shared: &Shared) -> Result<Self, Refusal> {
        let current = shared.live.current();
        let path = parts.uri.path();
        let purpose = purpose(path, &parts.method);
        let presented = Presented { headers: &parts.headers, path, purpose };
        let caller = auth::identify(&current.snapshot, &shared.directory, presented).await?;
        let matched = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Ok(Self { current, caller, called: path.to_owned(), path: matched.to_owned() })
    }
}

/// LiteLLM's groups of paths.
fn purpose(path: &str, method: &Method) -> Purpose {
    let below = path.strip_prefix("/v1").unwrap_or(path);
    if below.starts_with("/models") {
        return Purpose::Llm;
    }
    if path == "/me/usage" {
        return Purpose::Own;
    }
    let shows = ["/info", "/list", "/health", "/aliases", "/available", "/explain", "/audit"];
    if *method == Method::GET && shows.iter().any(|word| path.contains(word)) {
        return Purpose::Info;
    }
    let posted = ["/key/health", "/v2/key/info", "/route/explain", "/spend/calculate"];
    if posted.contains(&path) { Purpose::Info } else { Purpose::Management }
}

/// Somebody known, with role and memberships.
pub(crate) struct Actor {
    pub(crate) current: Arc<Current>,
    pub(crate) caller: Caller,
    called: String,
    path: String,
    /// `None` for a key that belongs to no known user.
    pub(crate) role: Option<Role>,
    /// The user the key belongs to.
    pub(crate) user: Option<String>,
    /// Teams it is member of, and whether as an admin.
    teams: Vec<(String, bool)>,
    /// Organizations it administers.
    organizations: Vec<String>,
}

impl FromRequestParts<Shared> for Actor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut request::Parts, shared: &Shared) -> Result<Self, Refusal> {
        let Known { current, caller, called, path } = Known::from_request_parts(parts, shared).await?;
        let mut actor = Self {
            current,
            caller,
            called,
            path,
            role: None,
            user: None,
            teams: Vec::new(),
            organizations: Vec::new(),
        };
        match &actor.caller.who {
            Who::Master => {
                actor.role = Some(Role::ProxyAdmin);
                actor.user = Some(MASTER_USER.to_owned());
            }
            // Nobody can be told from an admin: everybody sees what an admin sees, and nobody changes the store.
            Who::Open => actor.role = Some(Role::ProxyAdmin),
            Who::Token(bearer) if bearer.token_of.as_ref().is_some_and(|of| of.admin) => {
                actor.role = Some(Role::ProxyAdmin);
                actor.user = bearer.user_id.as_deref().map(str::to_owned);
            }
            Who::Key(bearer) | Who::Token(bearer) => {
                let Some(user) = bearer.user_id.as_deref().map(str::to_owned) else { return Ok(actor) };
                let db = &shared.db;
                if let Some(known) = db.find::<User>(&user).await? {
                    actor.role = Some(known.object.user_role.unwrap_or_default());
                }
                let teams = db.memberships(Kind::Team, &user).await?;
                actor.teams = teams.into_iter().map(|(team, role)| (team, role == "admin")).collect();
                let organizations = db.memberships(Kind::Organization, &user).await?;
                let administered = organizations.into_iter().filter(|(_, role)| role == "org_admin");
                actor.organizations = administered.map(|(id, _)| id).collect();
                actor.user = Some(user);
            }
        }
        Ok(actor)
    }
}

impl Actor {
    /// Whether it may change everything.
    pub(crate) fn is_admin(&self) -> bool {
        self.role == Some(Role::ProxyAdmin)
    }

    /// Whether it may see everything.
    pub(crate) fn sees_all(&self) -> bool {
        matches!(self.role, Some(Role::ProxyAdmin | Role::ProxyAdminViewer))
    }

    /// Only who may change everything.
    pub(crate) fn must_be_admin(&self) -> Result<(), Refusal> {
        if self.is_admin() || self.path_is_granted() { Ok(()) } else { Err(self.refused()) }
    }

    /// Only who may see everything.
    pub(crate) fn must_see_all(&self) -> Result<(), Refusal> {
        if self.sees_all() || self.path_is_granted() { Ok(()) } else { Err(self.refused()) }
    }

    /// Who may manage keys at all: admins, and internal users within what is theirs.
    pub(crate) fn must_manage_keys(&self) -> Result<(), Refusal> {
        let may = matches!(self.role, Some(Role::ProxyAdmin | Role::InternalUser));
        if may || self.path_is_granted() { Ok(()) } else { Err(self.refused()) }
    }

    /// Who may change something of its own: everybody but viewers of everything. What is its own, the handler
    /// says.
    pub(crate) fn must_change(&self) -> Result<(), Refusal> {
        if self.role == Some(Role::ProxyAdminViewer) { Err(self.refused()) } else { Ok(()) }
    }

    /// An admin has put this very path on the key's list.
    fn path_is_granted(&self) -> bool {
        // A token's list is that of all teams, and nobody's in particular.
        self.caller.who.key().is_some_and(|bearer| bearer.policy.routes.names_path(&self.called))
    }

    /// LiteLLM's refusal of a role that may not call a path.
    pub(crate) fn refused(&self) -> Refusal {
        let path = &self.path;
        if self.role == Some(Role::ProxyAdminViewer) {
            return Refusal::forbidden(format!(
                "user not allowed to access this route, role= proxy_admin_viewer. Trying to access: {path}"
            ))
            .typed("auth_error")
            .param("None");
        }
        let role = self.role.map_or("unknown", Role::as_str);
        let message = format!(
            "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route={path}. Your role={role}. Your user_id={}",
            covered(self.user.as_deref())
        );
        Refusal::new(StatusCode::UNAUTHORIZED, message).param("None")
    }

    /// Whether it is this user.
    pub(crate) fn is_user(&self, user: &str) -> bool {
        self.user.as_deref() == Some(user)
    }

    /// Whether it is a member of a team, in whatever role.
    pub(crate) fn is_member(&self, team: &str) -> bool {
        self.teams.iter().any(|(id, _)| id == team)
    }

    /// Whether it administers a team.
    pub(crate) fn is_team_admin(&self, team: &str) -> bool {
        self.teams.iter().any(|(id, admin)| *admin && id == team)
    }

    /// Whether it administers an organization.
    pub(crate) fn is_org_admin(&self, organization: &str) -> bool {
        self.organizations.iter().any(|id| id == organization)
    }

    /// The teams it is a member of.
    pub(crate) fn teams(&self) -> Vec<String> {
        self.teams.iter().map(|(id, _)| id.clone()).collect()
    }

    /// The organizations it administers.
    pub(crate) fn organizations(&self) -> &[String] {
        &self.organizations
    }

    /// Its role as refusals say it.
    pub(crate) fn role_name(&self) -> &'static str {
        self.role.unwrap_or_default().as_str()
    }

    /// The path it calls, as it is documented.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether the gateway has no master key, so that nobody is known.
    pub(crate) fn is_anybody(&self) -> bool {
        matches!(self.caller.who, Who::Open)
    }

    /// Its name in the audit.
    pub(crate) fn signature(&self) -> store::Actor {
        let key = self.caller.bearer().map(|bearer| &*bearer.id);
        let id = self.user.as_deref().or(key).unwrap_or("unknown").to_owned();
        let role = match self.caller.who {
            Who::Master => "master_key",
            _ => self.role.map_or("key", Role::as_str),
        };
        store::Actor { id, role }
    }
}

/// A user's id, as far as a refusal shows it.
fn covered(user: Option<&str>) -> String {
    let Some(user) = user else { return "*******".to_owned() };
    let chars: Vec<char> = user.chars().collect();
    if chars.len() <= 8 {
        return "***".to_owned();
    }
    let (first, last) = (chars.iter().take(6), chars.iter().skip(chars.len() - 2));
    first.copied().chain("***".chars()).chain(last.copied()).collect()
}

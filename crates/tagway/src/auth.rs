//! Who is calling: reads the key from the request's headers, compares or looks up its digest, and says whether
//! its bearer may come in at all. Knows nothing of what the caller wants.

mod token;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, StatusCode, header};
use jiff::Timestamp;
use smallvec::SmallVec;
use subtle::ConstantTimeEq as _;
use tagway_core::access::{Policy, Purpose, Routes};
use tagway_core::config::Owner;
use tagway_core::secret;
use tagway_core::snapshot::Snapshot;
use tagway_core::tag::{Origin, UnknownTags};

use crate::directory::{Bearer, Directory, Grant, Purse, Unreachable};
use crate::jwt;
use crate::meter::Metered;

/// Why a caller may not come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// No key at all.
    #[error("Authentication Error, No api key passed in.")]
    Missing,
    /// A header that holds no key.
    #[error("Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.")]
    Malformed,
    /// A key nobody knows.
    #[error("Authentication Error, Invalid proxy server token passed. The key is not known to this gateway.")]
    Unknown,
    /// The key, or what it belongs to, is blocked.
    #[error("Authentication Error, {}", blocked(*.origin, .id))]
    Blocked { origin: Origin, id: String },
    /// The key is past its end.
    #[error("Authentication Error - Expired Key. Key Expiry time {end} and current time {now}")]
    Expired { end: Timestamp, now: Timestamp, key_name: String },
    /// What the key belongs to is gone.
    #[error(
        "Authentication Error, the key belongs to a {0} that does not exist any more. Ask for a new key."
    )]
    Orphan(&'static str),
    /// The key is not for this path.
    #[error(
        "Virtual key is not allowed to call this route. Only allowed to call routes: [{allowed}]. Tried to call route: {path}"
    )]
    Route { allowed: String, path: String },
    /// A token that proves nothing, or names what does not do.
    #[error(transparent)]
    Token(#[from] jwt::Wrong),
    /// A token names a team that is not stored.
    #[error("Team doesn't exist in db. Team={0}. Create team via `/team/new` call.")]
    NoTeam(Box<str>),
    /// A token names an organization that is not stored, or a user that cannot be read.
    #[error("Authentication Error, the token names a {0} that does not exist.")]
    NoOwner(&'static str),
    /// `x-litellm-team-id` names a team that the token does not.
    #[error("x-litellm-team-id does not name one of the teams of the token. Allowed team ids: [{0}]")]
    ForeignTeam(String),
    /// A token's team, or an admin's scope, is not for this path.
    #[error("{whose} not allowed to access this route. Route={path}, Allowed Routes=[{allowed}]")]
    TokenRoute { whose: &'static str, path: String, allowed: String },
    /// The key is not in memory, and the store cannot be asked.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

fn blocked(origin: Origin, id: &str) -> String {
    match origin {
        Origin::Key => "Key is blocked. Update via `/key/unblock` if you're an admin.".to_owned(),
        Origin::Team => format!("Team={id} is blocked. Update via `/team/unblock` if you're an admin."),
        Origin::Project => {
            format!("Project={id} is blocked. Update via `/project/update` if you're an admin.")
        }
        Origin::Customer => {
            format!("Customer={id} is blocked. Update via `/customer/unblock` if you're an admin.")
        }
        Origin::User => format!("User={id} is blocked. Update via `/user/update` if you're an admin."),
        other => {
            let kind = other.as_str();
            format!("The {kind} {id} is blocked. Update via `/{kind}/update` if you're an admin.")
        }
    }
}

impl Denied {
    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Route { .. } | Self::ForeignTeam(_) | Self::TokenRoute { .. } => StatusCode::FORBIDDEN,
            Self::Token(jwt::Wrong::Unfit(unfit)) if unfit.forbids() => StatusCode::FORBIDDEN,
            Self::NoTeam(_) => StatusCode::NOT_FOUND,
            Self::Unreachable(_) | Self::Token(jwt::Wrong::NoKeys) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Token(_)
            | Self::NoOwner(_)
            | Self::Missing
            | Self::Malformed
            | Self::Unknown
            | Self::Blocked { .. }
            | Self::Expired { .. }
            | Self::Orphan(_) => StatusCode::UNAUTHORIZED,
        }
    }

    /// `error.type` of the answer.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Token(jwt::Wrong::Expired) => "expired_key",
            Self::Token(jwt::Wrong::NoKeys) => "auth_provider_unavailable",
            Self::Missing
            | Self::Malformed
            | Self::Blocked { .. }
            | Self::Orphan(_)
            | Self::Route { .. }
            | Self::Token(_)
            | Self::NoTeam(_)
            | Self::NoOwner(_)
            | Self::ForeignTeam(_)
            | Self::TokenRoute { .. } => "auth_error",
            Self::Unknown => "token_not_found_in_db",
            Self::Expired { .. } => "expired_key",
            Self::Unreachable(_) => "service_unavailable_error",
        }
    }

    /// `error.param` of the answer.
    pub(crate) fn param(&self) -> &str {
        match self {
            Self::Unknown => "key",
            Self::Expired { key_name, .. } => key_name,
            // Python's None as text.
            _ => "None",
        }
    }
}

/// Who it is.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// The bearer of the master key.
    Master,
    /// Anybody: the gateway has no master key.
    Open,
    /// The bearer of a virtual key.
    Key(Arc<Bearer>),
    /// The bearer of a JSON Web Token.
    Token(Arc<Bearer>),
}

impl Who {
    /// The bearer of a virtual key or of a token.
    pub(crate) fn bearer(&self) -> Option<&Arc<Bearer>> {
        match self {
            Self::Key(bearer) | Self::Token(bearer) => Some(bearer),
            Self::Master | Self::Open => None,
        }
    }

    /// The virtual key.
    pub(crate) fn key(&self) -> Option<&Arc<Bearer>> {
        match self {
            Self::Key(bearer) => Some(bearer),
            Self::Token(_) | Self::Master | Self::Open => None,
        }
    }
}

/// Somebody whose request may proceed, with everything the request inherits and must obey.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    /// What stands above the key, and the customer.
    grants: SmallVec<[Arc<Grant>; 4]>,
}

impl Caller {
    /// One whom a request is supposed to come from: the bearer of a key with these owners above it, or of the master
    /// key where there are none.
    pub(crate) fn supposed(owners: Vec<Owner>) -> Self {
        let (mut key, mut grants, mut user) = (None, SmallVec::<[Arc<Grant>; 4]>::new(), None);
        for Owner { policy, alias } in owners {
            if policy.origin == Origin::Key {
                key = Some((policy, alias));
                continue;
            }
            if policy.origin == Origin::User {
                user = Some(policy.id.clone());
            }
            grants.push(Arc::new(Grant::supposed(policy, alias)));
        }
        if key.is_none() && grants.is_empty() {
            return Self { who: Who::Master, grants };
        }
        const ORDER: [Origin; 6] = [
            Origin::Jwt,
            Origin::Team,
            Origin::Project,
            Origin::Organization,
            Origin::User,
            Origin::Customer,
        ];
        grants.sort_by_key(|grant| ORDER.iter().position(|origin| *origin == grant.policy.origin));
        let (policy, alias) = key.unwrap_or_else(|| (Owner::new(Origin::Key).policy, None));
        Self { who: Who::Key(Arc::new(Bearer::supposed(policy, alias, user))), grants }
    }

    /// The policies its requests meet: the key's first, then those of what stands above it.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        let own = self.bearer().map(|bearer| &bearer.policy);
        own.into_iter().chain(self.grants.iter().map(|grant| &grant.policy))
    }

    /// The same policies with their owners' limits of rate.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (&Policy, &[Metered])> {
        let own = self.bearer().map(|bearer| (&bearer.policy, &*bearer.limits));
        own.into_iter().chain(self.grants.iter().map(|grant| (&grant.policy, &*grant.limits)))
    }

    /// The budgets of the same owners.
    pub(crate) fn purses(&self) -> impl Iterator<Item = (Origin, &Purse)> {
        let own = self.bearer().map(|bearer| (bearer.policy.origin, &bearer.purse));
        own.into_iter().chain(self.grants.iter().map(|grant| (grant.policy.origin, &grant.purse)))
    }

    /// What becomes of tags nobody knows, where its key or something above it says so: the strictest holds.
    pub(crate) fn unknown_tags(&self) -> Option<UnknownTags> {
        self.policies().filter_map(|policy| policy.unknown_tags).max()
    }

    /// The virtual key, or the token.
    pub(crate) fn bearer(&self) -> Option<&Bearer> {
        self.who.bearer().map(|bearer| &**bearer)
    }

    /// What the key, or an owner above it, is called.
    pub(crate) fn alias_of(&self, origin: Origin) -> Option<&str> {
        if origin == Origin::Key {
            return self.who.key()?.alias.as_deref();
        }
        self.grants.iter().find(|grant| grant.policy.origin == origin)?.alias()
    }

    /// Whether nothing above it, or it itself, is blocked.
    fn is_not_blocked(&self) -> Result<(), Denied> {
        match self.policies().find(|policy| policy.blocked) {
            Some(policy) => Err(Denied::Blocked { origin: policy.origin, id: policy.id.to_string() }),
            None => Ok(()),
        }
    }

    /// Adds the customer that the request names.
    ///
    /// # Errors
    /// The customer is blocked, or the store cannot be asked about it.
    pub(crate) async fn on_behalf_of(&mut self, directory: &Directory, customer: &str) -> Result<(), Denied> {
        let Some(grant) = directory.customer(customer).await? else { return Ok(()) };
        let policy = &grant.policy;
        if policy.blocked {
            return Err(Denied::Blocked { origin: policy.origin, id: policy.id.to_string() });
        }
        self.grants.push(grant);
        Ok(())
    }
}

/// What a request says of its sender.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) path: &'a str,
    pub(crate) purpose: Purpose,
}

/// Finds out who is calling.
///
/// # Errors
/// No key, a malformed one, one that is not known, or one whose bearer may not come in.
pub(crate) async fn identify(
    snapshot: &Snapshot,
    directory: &Directory,
    presented: Presented<'_>,
) -> Result<Caller, Denied> {
    let Some(master) = &snapshot.master_digest else {
        return Ok(Caller { who: Who::Open, grants: SmallVec::new() });
    };
    let key = key_of(snapshot.config.general.key_header.as_ref(), presented.headers)?;
    if key.is_empty() {
        return Err(Denied::Missing);
    }
    let digest = secret::digest(key);
    // Digests have one length, so that the comparison tells nothing of the key's. Looking one up tells nothing
    // either: who can choose digests at will has broken SHA-256.
    if bool::from(digest.ct_eq(master)) {
        return Ok(Caller { who: Who::Master, grants: SmallVec::new() });
    }
    if let Some(rules) = &snapshot.config.general.jwt
        && jwt::is_token(key)
    {
        let new_users = &snapshot.config.proxy.new_users;
        return token::identify(rules, new_users, directory, (key, digest), presented).await;
    }
    let bearer = directory.key(digest).await?.ok_or(Denied::Unknown)?;
    let grants = bearer.grants().map_err(Denied::Orphan)?;
    let caller = Caller { who: Who::Key(Arc::clone(&bearer)), grants };
    caller.is_not_blocked()?;
    if let Some(end) = bearer.ends() {
        let now = Timestamp::now();
        if end <= now {
            let key_name = bearer.name.to_string();
            return Err(Denied::Expired { end, now, key_name });
        }
    }
    let routes = &bearer.policy.routes;
    if !routes.allow(presented.path, presented.purpose) {
        let allowed = names(routes);
        return Err(Denied::Route { allowed, path: without_keys(presented.path) });
    }
    Ok(caller)
}

/// Paths and groups of them, for an error message.
fn names(routes: &Routes) -> String {
    routes.names().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// A path as it may be shown: keys that stand in it are not repeated.
fn without_keys(path: &str) -> String {
    let shown = path.split('/').map(|segment| if segment.starts_with("sk-") { "sk-***" } else { segment });
    shown.collect::<Vec<_>>().join("/")
}

/// The key a request presents. LiteLLM's own header goes before `Authorization`, other SDKs' after it, so that a
/// client with a foreign `Authorization` can still name its key.
fn key_of<'h>(own: Option<&HeaderName>, headers: &'h HeaderMap) -> Result<&'h str, Denied> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().map_err(|_| Denied::Unknown));
    for name in own.into_iter().chain(&[HeaderName::from_static("x-litellm-api-key")]) {
        if let Some(value) = text(name) {
            let value = value?;
            return Ok(bearer(value).unwrap_or(value));
        }
    }
    if let Some(value) = text(&header::AUTHORIZATION) {
        let value = value?.trim();
        if !value.is_empty() {
            return bearer(value).filter(|key| !key.is_empty()).ok_or(Denied::Malformed);
        }
    }
    for name in ["x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key"] {
        if let Some(value) = text(&HeaderName::from_static(name)) {
            return value;
        }
    }
    Err(Denied::Missing)
}

/// What follows `Bearer `, whatever its case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_at_checked("bearer".len())?;
    let separated = key.is_empty() || key.starts_with(' ');
    (scheme.eq_ignore_ascii_case("bearer") && separated).then(|| key.trim())
}

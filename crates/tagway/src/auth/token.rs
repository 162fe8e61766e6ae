//! Who comes with a JSON Web Token: verified once and remembered until it ends, with the stored team, organization and
//! user that its claims name above it. Decides which of several teams counts; what a claim means is the core's.

use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use smallvec::SmallVec;
use tagway_core::config::{Jwt, NewUsers};

use super::{Caller, Denied, Presented, Who, names, without_keys};
use crate::directory::{Bearer, Directory, Token};
use crate::jwt::{Proven, Wrong};
use crate::objects::{Role, Team, User};

/// LiteLLM's header for one of several teams.
const TEAM: &str = "x-litellm-team-id";

/// Finds out whose token it is.
///
/// # Errors
/// It proves nothing, or whoever it names may not come in.
pub(super) async fn identify(
    rules: &Arc<Jwt>,
    new_users: &NewUsers,
    directory: &Directory,
    (token, digest): (&str, [u8; 32]),
    presented: Presented<'_>,
) -> Result<Caller, Denied> {
    let now = Timestamp::now();
    let bearer = match directory.token(&digest, rules) {
        Some(bearer) => bearer,
        None => {
            let proven = directory.verifier.verify(rules, token, now.as_second()).await?;
            directory.admit(digest, with_newcomers(rules, new_users, proven, now)).await?
        }
    };
    if bearer.ends().is_some_and(|end| end <= now) {
        return Err(Wrong::Expired.into());
    }
    let caller = in_a_team(&bearer, presented.headers)?;
    caller.is_not_blocked()?;
    let Some(bearer) = caller.who.bearer() else { return Ok(caller) };
    let routes = &bearer.policy.routes;
    if !routes.allow(presented.path, presented.purpose) {
        let whose = if bearer.token_of.as_ref().is_some_and(|of| of.admin) { "Admin" } else { "Team" };
        let (path, allowed) = (without_keys(presented.path), names(routes));
        return Err(Denied::TokenRoute { whose, path, allowed });
    }
    Ok(caller)
}

/// A token with the user and the team that it makes, where nobody has made them.
fn with_newcomers(rules: &Arc<Jwt>, new_users: &NewUsers, proven: Proven, now: Timestamp) -> Token {
    let new_user = rules.makes_users.then(|| {
        let mut user = User { user_role: Some(Role::InternalUser), ..User::default() };
        user.own_budget(new_users);
        user
    });
    // A budget that cannot be settled is none that could hold.
    let new_user = new_user.and_then(|mut user| user.limits.settle(now).ok().map(|()| Box::new(user)));
    let new_team = rules.makes_teams.then(Box::<Team>::default);
    Token { rules: Arc::clone(rules), proven, new_user, new_team }
}

/// The bearer in the team that the request names, or in the first of its teams that there is.
fn in_a_team(bearer: &Arc<Bearer>, headers: &HeaderMap) -> Result<Caller, Denied> {
    let all = || std::iter::once(bearer).chain(bearer.in_next_teams());
    if let Some(named) = headers.get(TEAM) {
        let is = |id: &str| id.as_bytes() == named.as_bytes();
        return match all().find(|one| one.team_id.as_deref().is_some_and(is)) {
            Some(found) => above(found),
            None => {
                let ids = all().filter_map(|one| one.team_id.as_deref());
                Err(Denied::ForeignTeam(ids.map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ")))
            }
        };
    }
    let first = above(bearer);
    if matches!(first, Err(Denied::NoTeam(_)))
        && !bearer.token_of.as_ref().is_some_and(|of| of.one_team)
        && let Some(other) = bearer.in_next_teams().find_map(|other| above(other).ok())
    {
        return Ok(other);
    }
    first
}

/// The bearer with everything above it.
fn above(bearer: &Arc<Bearer>) -> Result<Caller, Denied> {
    let grants = bearer.grants().map_err(|missing| match (missing, &bearer.team_id) {
        ("team", Some(id)) => Denied::NoTeam(id.clone()),
        (missing, _) => Denied::NoOwner(missing),
    })?;
    Ok(Caller { who: Who::Token(Arc::clone(bearer)), grants })
}

impl Caller {
    /// The same caller in the other teams that its token names, where the model that is asked for decides. Customers are
    /// to be added later.
    pub(crate) fn in_other_teams(&self, headers: &HeaderMap) -> SmallVec<[Self; 2]> {
        let decides = |bearer: &&Bearer| bearer.token_of.as_ref().is_some_and(|of| !of.one_team);
        let bearer = self.bearer().filter(decides).filter(|_| !headers.contains_key(TEAM));
        let others = bearer.into_iter().flat_map(Bearer::in_next_teams);
        let others = others.filter_map(|other| above(other).ok());
        others.filter(|caller| caller.is_not_blocked().is_ok()).collect()
    }

    /// The customer that a token names.
    pub(crate) fn own_customer(&self) -> Option<&str> {
        self.bearer()?.token_of.as_ref()?.customer.as_deref()
    }
}

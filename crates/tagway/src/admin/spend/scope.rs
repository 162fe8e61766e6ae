//! Whose spend a caller may see: LiteLLM's rules, except that nobody but those who see everything learns of what
//! others spend under a tag.

use super::super::Shared;
use super::super::actor::Actor;
use super::super::keys;
use super::super::refusal::Refusal;
use crate::objects::{Role, Team};
use crate::store::{Dim, Slice, Stored};

/// What a team lists among `team_member_permissions` where its members may see all of its figures, …
pub(super) const FIGURES: &str = "/team/daily/activity";
/// … and all of its requests.
pub(super) const REQUESTS: &str = "/spend/logs";

/// What answers call the key of requests that came with the master key, as LiteLLM does.
pub(super) const MASTER: &str = "litellm_proxy_master_key";

/// Whose requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    Everybody,
    /// A user's own, and those of teams.
    Own {
        user: String,
        teams: Vec<String>,
    },
}

impl Reach {
    /// What an actor may see: everything, or its own and that of the teams it administers, or whose members may all
    /// see it because the team says so of this path.
    ///
    /// # Errors
    /// It is neither an admin nor a user.
    pub(super) async fn of(shared: &Shared, actor: &Actor, permission: &str) -> Result<Self, Refusal> {
        if actor.sees_all() {
            return Ok(Self::Everybody);
        }
        match (&actor.user, actor.role) {
            (Some(user), Some(Role::InternalUser | Role::InternalUserViewer)) => {
                let teams = permitted(shared, actor, permission).await?;
                Ok(Self::Own { user: user.clone(), teams })
            }
            _ => actor.must_see_all().map(|()| Self::Everybody),
        }
    }

    /// The requests it leaves of these.
    pub(super) fn within(self, mut slice: Slice) -> Slice {
        if let Self::Own { user, teams } = self {
            slice.any = vec![(Dim::User, vec![user]), (Dim::Team, teams)];
        }
        slice
    }
}

/// The teams of an actor whose spend it may see all of.
async fn permitted(shared: &Shared, actor: &Actor, permission: &str) -> Result<Vec<String>, Refusal> {
    let (mut teams, others): (Vec<String>, Vec<String>) =
        actor.teams().into_iter().partition(|team| actor.is_team_admin(team));
    if !others.is_empty() {
        let found: Vec<Stored<Team>> = shared.db.find_all(&others).await?;
        let open = found.into_iter().filter(|team| permits(&team.object, permission));
        teams.extend(open.map(|team| team.id));
    }
    Ok(teams)
}

/// Whether a team lets its members do this.
pub(super) fn permits(team: &Team, permission: &str) -> bool {
    team.team_member_permissions.iter().any(|one| one == permission)
}

/// The id under which the requests of a key are counted: of the key itself, of one of its digests, or of its id. Keys
/// that are gone are known by their id alone, and the master key has none.
pub(super) async fn key_id(shared: &Shared, key: &str) -> Result<Option<String>, Refusal> {
    if key == MASTER {
        return Ok(None);
    }
    if is_tokens(key) {
        return Ok(Some(key.to_owned()));
    }
    if let Some(found) = keys::look_up(shared, key).await? {
        return Ok(Some(found.id));
    }
    // A key that nobody knows has no requests, and its text is not repeated.
    let gone = tagway_core::secret::unhex(key).map(|digest| tagway_core::secret::hex(&digest));
    Ok(Some(gone.unwrap_or_else(|| "-".to_owned())))
}

/// Whether this is the id under which the requests of a token's subject are counted.
fn is_tokens(key: &str) -> bool {
    key.strip_prefix("hashed-jwt-").and_then(tagway_core::secret::unhex).is_some()
}

/// The ids in a list with commas; none where there is nothing in it.
pub(super) fn listed(text: Option<&str>) -> Vec<String> {
    let items = text.unwrap_or_default().split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

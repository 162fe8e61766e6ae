//! `/user/info` and `/v2/user/info`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::super::teams::{self, MOST_KEYS, keys_of};
use super::shown;
use crate::objects::{Kind, Team, User};
use crate::store::{Filter, Page, Stored};

/// As many teams are shown beside a user at most; /v2/team/list has pages of them.
const MOST_TEAMS: i64 = 1000;

/// Which user.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The caller when absent; for who may see all users, everybody.
    user_id: Option<String>,
}

/// Shows a user with its keys and teams, no more than 1000 of each.
#[utoipa::path(
    get, path = "/user/info", tag = "users", params(Which),
    responses((status = 200, description = "The user, its keys and teams", body = Object), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    let asked = which.user_id.filter(|id| !id.is_empty());
    let id = match asked {
        Some(id) if actor.sees_all() || actor.is_user(&id) => Some(id),
        Some(id) => {
            let message = format!(
                "key not allowed to access this user's info. user_id={id}, key's user_id={}",
                actor.user.as_deref().unwrap_or("None")
            );
            return Err(Refusal::forbidden(message));
        }
        None if actor.sees_all() => None,
        None => match &actor.user {
            Some(id) => Some(id.clone()),
            None => return Err(unknown("None")),
        },
    };
    let user: Option<Map<String, Value>> = match &id {
        None => None,
        Some(id) => {
            let stored: Stored<User> = shared.db.find(id).await?.ok_or_else(|| unknown(id))?;
            let mut row = shown(&shared, &stored).await?;
            row.insert("organization_memberships".to_owned(), organizations(&shared, id).await?.into());
            Some(row)
        }
    };
    let keys = Filter { user: id.as_deref(), ..Filter::default() };
    let member = Filter { member: id.as_deref(), ..Filter::default() };
    let page = Page { limit: MOST_TEAMS, ..Page::default() };
    let teams: Vec<Stored<Team>> = shared.db.list(&member, &page).await?;
    Ok(Json(json!({
        "user_id": id,
        "user_info": user,
        "keys": keys_of(&shared, &keys, MOST_KEYS).await?,
        "teams": teams::shown_all(&shared, &teams).await?,
    })))
}

fn unknown(id: &str) -> Refusal {
    Refusal::missing("user_id", format!("User {id} not found"))
}

/// The organizations a user is member of, as LiteLLM shows them.
async fn organizations(shared: &Shared, user: &str) -> Result<Vec<Value>, Refusal> {
    let memberships = shared.db.memberships(Kind::Organization, user).await?;
    let shown =
        |(id, role): (String, String)| json!({"user_id": user, "organization_id": id, "user_role": role});
    Ok(memberships.into_iter().map(shown).collect())
}

/// Shows a user alone.
#[utoipa::path(
    get, path = "/v2/user/info", tag = "users", params(Which),
    responses((status = 200, description = "The user", body = Object), Refusals)
)]
pub(super) async fn info_alone(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    let own = || actor.user.clone().ok_or_else(|| gone("None"));
    let id = which.user_id.filter(|id| !id.is_empty()).map_or_else(own, Ok)?;
    // Whether there is a user is nobody's business but those who may see it.
    if !actor.sees_all() && !actor.is_user(&id) {
        return Err(gone(&id));
    }
    let stored: Stored<User> = shared.db.find(&id).await?.ok_or_else(|| gone(&id))?;
    Ok(Json(shown(&shared, &stored).await?.into()))
}

fn gone(id: &str) -> Refusal {
    Refusal::missing("user_id", format!("User not found: {id}"))
}

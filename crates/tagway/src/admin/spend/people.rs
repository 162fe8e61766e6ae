//! `/spend/keys` and `/spend/users`: keys and users as they are listed elsewhere, those that have spent the most first.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::keys;
use super::super::refusal::{Refusal, Refusals};
use super::super::users;
use super::scope::{FIGURES, Reach};
use crate::objects::{Key, Kind, User};
use crate::store::{Filter, Order, Page, Stored};

/// As many are listed at most.
const MOST: i64 = 1000;

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    #[param(minimum = 1, maximum = 1000)]
    limit: i64,
    /// Leave out so many.
    #[param(minimum = 0, maximum = 100_000)]
    offset: i64,
}

impl Default for Part {
    fn default() -> Self {
        Self { limit: MOST, offset: 0 }
    }
}

impl Part {
    fn page(&self) -> Result<Page<'static>, Refusal> {
        if !(1..=MOST).contains(&self.limit) {
            return Err(Refusal::field("limit", format!("limit must be between 1 and {MOST}.")));
        }
        if !(0..=100_000).contains(&self.offset) {
            return Err(Refusal::field("offset", "offset must be between 0 and 100000."));
        }
        Ok(Page {
            order: Order::Spend,
            descending: true,
            limit: self.limit,
            offset: self.offset,
            ..Page::default()
        })
    }
}

/// Lists keys by what they have spent: all of them for admins, their own for others.
#[utoipa::path(
    get, path = "/spend/keys", tag = "spend", params(Part),
    responses((status = 200, description = "Keys", body = Vec<Object>), Refusals)
)]
pub(super) async fn by_key(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(part): Asked<Part>,
) -> Result<Json<Value>, Refusal> {
    let reach = Reach::of(&shared, &actor, FIGURES).await?;
    let user = match &reach {
        Reach::Everybody => None,
        Reach::Own { user, .. } => Some(user.as_str()),
    };
    let filter = Filter { user, ..Filter::default() };
    let found: Vec<Stored<Key>> = shared.db.list(&filter, &part.page()?).await?;
    let ids: Vec<String> = found.iter().map(|key| key.id.clone()).collect();
    let spend = shared.db.spend(Kind::Key, &ids).await?;
    let shown = |key: &Stored<Key>| keys::shown(key, spend.get(&key.id).copied().unwrap_or(0));
    Ok(Json(found.iter().map(shown).collect()))
}

/// Which user.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichUser {
    /// This one alone. Only admins may ask for others.
    user_id: Option<String>,
}

/// Lists users by what they have spent: all of them for admins, themselves for others.
#[utoipa::path(
    get, path = "/spend/users", tag = "spend", params(WhichUser, Part),
    responses((status = 200, description = "Users", body = Vec<Object>), Refusals)
)]
pub(super) async fn by_user(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<WhichUser>,
    Asked(part): Asked<Part>,
) -> Result<Json<Value>, Refusal> {
    let reach = Reach::of(&shared, &actor, FIGURES).await?;
    let mut asked = which.user_id.filter(|user| !user.is_empty());
    if let Reach::Own { user, .. } = reach {
        if asked.as_ref().is_some_and(|asked| *asked != user) {
            return Err(Refusal::forbidden("Not authorized to view spend for another user.").param("user_id"));
        }
        asked = Some(user);
    }
    let ids = asked.map(|user| vec![user]);
    let filter = Filter { ids: ids.as_deref(), ..Filter::default() };
    let found: Vec<Stored<User>> = shared.db.list(&filter, &part.page()?).await?;
    let rows: Vec<Map<String, Value>> = users::shown_all(&shared, &found).await?;
    Ok(Json(rows.into_iter().map(Value::Object).collect()))
}

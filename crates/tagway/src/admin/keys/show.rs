//! `/key/info`, `/v2/key/info` and `/key/health`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::super::Shared;
use super::super::actor::{Actor, Known};
use super::super::given::{Asked, Given};
use super::super::refusal::{Refusal, Refusals};
use super::{budget_table, look_up, permit, spent, with_info};
use crate::objects::Key;
use crate::store::{Filter, Page};

/// Which key.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The key, or its digest; the caller's own when absent.
    key: Option<String>,
}

/// Shows a key's fields.
#[utoipa::path(
    get, path = "/key/info", tag = "keys", params(Which),
    responses((status = 200, description = "The key's fields", body = Object), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    let unknown = || Refusal::missing("key", "Key not found in database");
    let asked = match which.key.filter(|key| !key.is_empty()) {
        Some(key) => key,
        None => actor.caller.bearer().map(|bearer| bearer.token.to_string()).ok_or_else(unknown)?,
    };
    let stored = look_up(&shared, &asked).await?;
    // Whether a key exists is nobody's business but those who may see it.
    let stored = match stored {
        Some(stored) => stored,
        None if actor.sees_all() => return Err(unknown()),
        None => return Err(permit::unseen(&actor)),
    };
    permit::see(&actor, &stored)?;
    let spend = spent(&shared, &stored.id).await?;
    let budget = budget_table(&shared, &stored.object).await?;
    Ok(Json(with_info(&asked, &stored, spend, budget)))
}

/// Which keys.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct SeveralKeys {
    /// Keys, or their digests: up to 500.
    #[schema(max_items = 500)]
    keys: Vec<String>,
    /// Aliases of keys, in place of `keys`.
    #[schema(max_items = 500)]
    key_aliases: Vec<String>,
}

/// Shows several keys; those that are not known, or are not the caller's to see, are left out.
#[utoipa::path(
    post, path = "/v2/key/info", tag = "keys", request_body = SeveralKeys,
    responses((status = 200, description = "The keys' fields", body = Object), Refusals)
)]
pub(super) async fn infos(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    let SeveralKeys { keys, key_aliases } = given.take()?;
    given.nothing_else()?;
    if keys.is_empty() && key_aliases.is_empty() {
        return Err(Refusal::field("keys", "No keys passed in."));
    }
    if MOST_AT_ONCE < keys.len() + key_aliases.len() {
        return Err(Refusal::field(
            "keys",
            format!("No more than {MOST_AT_ONCE} keys can be shown at once."),
        ));
    }
    let mut found = Vec::new();
    for key in &keys {
        found.extend(look_up(&shared, key).await?);
    }
    for alias in &key_aliases {
        let filter = Filter { name: Some(alias), ..Filter::default() };
        found.extend(shared.db.list::<Key>(&filter, &Page { limit: 1, ..Page::default() }).await?);
    }
    let (mut asked, mut infos) = (Vec::new(), Vec::new());
    for stored in found.iter().filter(|stored| permit::see(&actor, stored).is_ok()) {
        let spend = spent(&shared, &stored.id).await?;
        let budget = budget_table(&shared, &stored.object).await?;
        let mut shown = with_info(&stored.object.token, stored, spend, budget);
        asked.push(shown["key"].take());
        infos.push(shown["info"].take());
    }
    Ok(Json(json!({"key": asked, "info": infos})))
}

/// As many keys are shown at once at most.
const MOST_AT_ONCE: usize = 500;

/// Says that the caller's key works.
#[utoipa::path(
    post, path = "/key/health", tag = "keys",
    responses((status = 200, description = "It does", body = Object), Refusals)
)]
pub(super) async fn health(_known: Known) -> Json<Value> {
    Json(json!({"key": "healthy", "logging_callbacks": null}))
}

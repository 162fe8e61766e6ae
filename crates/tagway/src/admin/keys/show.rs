//! `/key/info` and `/key/health`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::{Actor, Known};
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::{look_up, permit, spent, with_info};

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
    Ok(Json(with_info(&asked, &stored, spend)))
}

/// Says that the caller's key works.
#[utoipa::path(
    post, path = "/key/health", tag = "keys",
    responses((status = 200, description = "It does", body = Object), Refusals)
)]
pub(super) async fn health(_known: Known) -> Json<Value> {
    Json(json!({"key": "healthy", "logging_callbacks": null}))
}

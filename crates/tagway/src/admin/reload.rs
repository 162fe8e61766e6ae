//! `POST /config/reload`: reads the configuration again.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::Shared;
use super::actor::Actor;
use super::refusal::{Refusal, Refusals};

/// Reads the configuration again; the answer lists what deserves a look. All problems come back in the error.
#[utoipa::path(
    post, path = "/config/reload", tag = "configuration",
    responses((status = 200, description = "What is in force now", body = Object), Refusals)
)]
pub(super) async fn reload(State(shared): State<Shared>, actor: Actor) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let live = shared.live;
    let reloaded =
        tokio::task::spawn_blocking(move || live.reload().map(|notes| (notes, live.current()))).await;
    match reloaded {
        Ok(Ok((notes, current))) => {
            shared.catalog.refresh().await;
            Ok(Json(json!({
                "message": "Configuration reloaded",
                "deployments": current.snapshot.deployments.len(),
                "model_groups": current.snapshot.groups.len(),
                "notes": notes,
            })))
        }
        Ok(Err(problems)) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("The configuration has problems; the old one stays in force.\n{problems}"),
        )),
        Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The reload broke off.")),
    }
}

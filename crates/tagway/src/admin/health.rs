//! Probes, as Kubernetes asks for them; no key needed, nothing secret told.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::Shared;
use crate::store::Db;

/// Says that the process answers.
#[utoipa::path(
    get, path = "/health/liveliness", tag = "health", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "application/json"))
)]
pub(super) async fn liveliness() -> Json<&'static str> {
    liveness().await
}

/// Says that the process answers.
#[utoipa::path(
    get, path = "/health/liveness", tag = "health", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "application/json"))
)]
pub(super) async fn liveness() -> Json<&'static str> {
    Json("I'm alive!")
}

/// Says that the gateway takes requests.
///
/// What is not as it should be shows here without ending that: a configuration that could
/// not be reloaded, since the old one still serves, and a store that does not answer, since known keys still work.
#[utoipa::path(
    get, path = "/health/readiness", tag = "health", security(()),
    responses(
        (status = 200, description = "It does", body = Object),
        (status = 503, description = "It shuts down", body = Object)
    )
)]
pub(super) async fn readiness(State(shared): State<Shared>) -> (StatusCode, Json<Value>) {
    let has_store = !matches!(shared.db, Db::Absent);
    let reached = has_store && shared.directory.reaches_store();
    let db = if reached { "connected" } else { "Not connected" };
    if shared.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining", "db": db})));
    }
    let mut body = json!({"status": "healthy", "db": db});
    if has_store && !reached {
        body["store"] = json!({
            "status": "unreachable",
            "hint": "Keys in memory keep working; others, and the management API, get 503 until the store answers.",
        });
    }
    let rejected = shared.live.rejected();
    if 0 < rejected {
        body["config"] = json!({
            "status": "stale",
            "rejected_reloads": rejected,
            "hint": "The configuration file has problems; see the log, or run `tagway check`.",
        });
    }
    (StatusCode::OK, Json(body))
}

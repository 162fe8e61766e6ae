//! Probes, as Kubernetes asks for them; no key needed, nothing secret told.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::Shared;

/// The process answers.
pub(super) async fn liveness() -> Json<&'static str> {
    Json("I'm alive!")
}

/// The gateway takes requests. A configuration that could not be reloaded shows here: the old one still serves.
pub(super) async fn readiness(State(shared): State<Shared>) -> (StatusCode, Json<Value>) {
    if shared.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining", "db": "Not connected"})));
    }
    let mut body = json!({"status": "healthy", "db": "Not connected"});
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

//! Probes, as Kubernetes asks for them; no key needed, nothing secret told.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shared;
use crate::ledger;
use crate::meter::Sharing;
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
/// not be reloaded, since the old one still serves, a store that does not answer, since known keys still work, and
/// receipts that wait for it (`ledger`).
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
    if let Some(limits) = &shared.limits {
        body["valkey"] = valkey(limits);
    }
    if !shared.ledger.is_off() {
        body["ledger"] = ledger(shared.ledger.state());
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

/// How this gateway fares with the others.
fn valkey(limits: &Sharing) -> Value {
    let gateways = limits.gateways();
    if !limits.is_lost() {
        return json!({"status": "connected", "gateways": gateways});
    }
    let hint = if limits.refuses() {
        "Requests with limits of rate get 503 until it answers (fail_closed_rate_limit_enforcement)."
    } else {
        "This gateway enforces its share of limits of rate, by the number of gateways it knew last, until it answers."
    };
    json!({"status": "unreachable", "gateways": gateways, "hint": hint})
}

/// Receipts that wait for the store for longer are told of.
const LAG: i64 = 10_000;

/// How receipts fare on their way to the store.
fn ledger(state: ledger::State) -> Value {
    let (status, hint) = if 0 < state.dropped {
        ("lossy", Some("Receipts were lost: neither the journal nor memory had room for them."))
    } else if state.failing || state.durable && 0 < state.in_memory {
        ("failing", Some("The journal cannot be written: receipts are kept in memory alone. See the log."))
    } else if state.lag.is_some_and(|lag| LAG < lag) {
        ("behind", Some("The store does not take receipts: they wait in the journal."))
    } else {
        ("healthy", None)
    };
    let mut shown = json!({
        "status": status,
        "waiting_bytes": state.backlog + state.in_memory,
        "lag_seconds": state.lag.map_or(0, |lag| lag / 1000),
        "last_shipment": state.shipped_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
        "dropped": state.dropped,
    });
    if let Some(hint) = hint {
        shown["hint"] = hint.into();
    }
    shown
}

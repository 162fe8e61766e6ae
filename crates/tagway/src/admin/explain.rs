//! `POST /route/explain`: where a request would go, and why, without any call to a provider. The body is that of
//! the request in question; it is read and decided as a real one is.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use super::Shared;
use super::actor::Actor;
use super::given::unread;
use super::refusal::{Refusal, Refusals};
use crate::accounts::now_millis;
use crate::data::suppose::{self, Ground, Request};
use crate::route::Trail;

/// Says where a request would go, and why, without any call to a provider. The body is that of the request; `user_agent` in the body stands for the header of the request in question.
#[utoipa::path(
    post, path = "/route/explain", tag = "routing", request_body = Object,
    responses((status = 200, description = "The candidates, and how they were found", body = Object), Refusals)
)]
pub(super) async fn explain(
    State(shared): State<Shared>,
    actor: Actor,
    mut headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let body = body.map_err(|rejection| unread(&rejection))?;
    let mut body: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|why| Refusal::field("request_body", format!("Invalid JSON payload: {why}")))?;
    let Some(model) = body.get("model").and_then(Value::as_str).map(str::to_owned) else {
        return Err(Refusal::field("model", "'model' must be a string: the model group to explain."));
    };
    if let Some(agent) = body.remove("user_agent").as_ref().and_then(Value::as_str) {
        let agent = HeaderValue::from_str(agent).map_err(|_| {
            Refusal::field(
                "user_agent",
                "'user_agent' must be what a header can hold: no control characters.",
            )
        })?;
        headers.insert(USER_AGENT, agent);
    }
    let text = suppose::body_text(suppose::PATH, body);
    let ground = Ground::in_force(&actor.current, &shared.values);
    let request = Request::read(&actor.caller, &headers, suppose::PATH, &text)?;
    let labels = request.tags(&ground, now_millis())?;
    let mut trail: Trail = Some(Vec::new());
    let planned = request.plan(&ground, &labels, &mut trail);
    let mut hops = trail.unwrap_or_default();
    let mut answer = match planned {
        Ok(plan) => {
            let ids: Vec<&str> = plan
                .candidates
                .iter()
                .filter_map(|at| {
                    Some(ground.snapshot.deployment(*plan.group.deployments.get(at)?).entry.info.id.as_str())
                })
                .collect();
            let strategy = if ids.len() < 2 { "the only candidate" } else { plan.group.strategy.name() };
            // Where a fallback serves, the groups before it have been decided, too.
            let decision = hops.pop();
            let mut told = json!({"model": model, "model_group": plan.group.name, "candidates": ids, "strategy": strategy, "decision": decision});
            if !hops.is_empty() {
                told["fallback_from"] = json!(hops);
            }
            told
        }
        Err(refused) => {
            let decision = hops.into_iter().next();
            json!({"model": model, "candidates": [], "error": refused.message, "decision": decision})
        }
    };
    if let Some(warning) = labels.warning {
        answer["warning"] = String::from_utf8_lossy(warning.as_bytes()).into();
    }
    Ok(Json(answer))
}

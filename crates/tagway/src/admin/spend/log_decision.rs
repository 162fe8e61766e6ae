//! `GET /route/decision/{call_id}`: how a request was routed, where that was kept: to whom the log shows the request,
//! and to the key that made it. Deployments that are nobody's business but the admin's are left out.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Part;
use super::super::models::is_shown_to;
use super::super::refusal::{Refusal, Refusals};
use super::logs::with_request;
use super::scope::{REQUESTS, Reach};
use super::search::Search;
use crate::receipt::Receipt;
use crate::store::{LogFilter, LogPart};

/// Shows how a request was routed, by its call id. The decision is kept of a sample of requests
/// (`tag_settings.explain_sample`), and of each that was refused.
#[utoipa::path(
    get, path = "/route/decision/{call_id}", tag = "routing",
    params(("call_id" = String, Path, description = "`x-litellm-call-id` of the answer")),
    responses(
        (status = 200, body = Object, description = "Which tags it had, who served it, and how that was decided"),
        Refusals
    )
)]
pub(super) async fn show(
    State(shared): State<Shared>,
    actor: Actor,
    Part(call): Part,
) -> Result<Json<Value>, Refusal> {
    let own = actor.caller.bearer().map(|bearer| bearer.id.clone());
    let reach = match Reach::of(&shared, &actor, REQUESTS).await {
        Ok(reach) => Some(reach),
        // It may see what its own key has done.
        Err(_) if own.is_some() => None,
        Err(refusal) => return Err(refusal),
    };
    let mut found = match &reach {
        Some(reach) => first(&shared, &call, &LogFilter::default(), reach).await?,
        None => None,
    };
    if let Some(own) = own.as_deref().filter(|_| found.is_none()) {
        let filter = LogFilter { key: Some(own), ..LogFilter::default() };
        found = first(&shared, &call, &filter, &Reach::Everybody).await?;
    }
    let Some(receipt) = found else {
        let message = format!("Request not found, passed call_id={call}");
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    };
    let kept = shared.db.log_decision(receipt.id).await?;
    let mut decision = kept.and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or(Value::Null);
    if !actor.sees_all() {
        only_own(&actor, &mut decision);
    }
    Ok(Json(shown(&receipt, &decision)))
}

async fn first(
    shared: &Shared,
    call: &str,
    filter: &LogFilter<'_>,
    reach: &Reach,
) -> Result<Option<Receipt>, Refusal> {
    let search = with_request(Search::new(filter, reach, false), Some(call));
    let LogPart { receipts, .. } = search.after(shared, None, 1).await?;
    Ok(receipts.into_iter().next())
}

/// Leaves out the deployments that requests of the actor can never reach, whether they are still there or not.
fn only_own(actor: &Actor, decision: &mut Value) {
    let is_shown = is_shown_to(actor);
    let deployments = &actor.current.snapshot.deployments;
    let shown: HashSet<&str> = deployments
        .iter()
        .filter(|deployment| is_shown(deployment))
        .map(|deployment| deployment.entry.info.id.as_str())
        .collect();
    for hop in decision["hops"].as_array_mut().into_iter().flatten() {
        if let Some(verdicts) = hop["deployments"].as_array_mut() {
            verdicts.retain(|verdict| verdict["id"].as_str().is_some_and(|id| shown.contains(id)));
        }
        for path in ["/boundary", "/outcome/candidates/ids"] {
            if let Some(ids) = hop.pointer_mut(path).and_then(Value::as_array_mut) {
                ids.retain(|id| id.as_str().is_some_and(|id| shown.contains(id)));
            }
        }
    }
}

fn shown(receipt: &Receipt, decision: &Value) -> Value {
    let about = &receipt.subject;
    let tags: Vec<Value> =
        about.tags.iter().map(|tagged| json!({"tag": tagged.tag, "origin": tagged.origin})).collect();
    let matched = about.matched.as_ref().map(|(via, value)| json!({"via": via, "value": value}));
    json!({
        "call_id": receipt.call_id(),
        "request_id": Receipt::name_of(receipt.id, &mut uuid::Uuid::encode_buffer()),
        "began": Timestamp::from_millisecond(receipt.began).ok(),
        "endpoint": about.endpoint,
        "model": about.asked,
        "model_group": about.group,
        "deployment": about.deployment,
        "matched": matched,
        "status": receipt.status,
        "error": receipt.error,
        "retries": receipt.retries,
        "fallbacks": receipt.fallbacks,
        "tags": tags,
        "kept": !decision.is_null(),
        "decision": decision,
    })
}

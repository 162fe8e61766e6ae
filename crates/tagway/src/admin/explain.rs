//! `POST /route/explain`: where a request would go, and why, without any call to a provider. The body is that of
//! the request in question.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use http::HeaderMap;
use serde_json::{Value, json};
use std::time::Instant;
use tagway_core::snapshot::Endpoint;
use tagway_core::tag::{Expression, Origin};
use tagway_core::wire::peek::{Known as Field, Peek};

use super::actor::Actor;
use super::given::unread;
use super::refusal::{Refusal, Refusals};
use crate::route::{self, Trail, Wanted};
use crate::tags::{self, Asked};

/// Says where a request would go, and why, without any call to a provider. The body is that of the request; `user_agent` in the body stands for the header of the request in question.
#[utoipa::path(
    post, path = "/route/explain", tag = "routing", request_body = Object,
    responses((status = 200, description = "The candidates, and how they were found", body = Object), Refusals)
)]
pub(super) async fn explain(
    actor: Actor,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let current = &actor.current;
    let snapshot = &current.snapshot;
    let body = body.map_err(|rejection| unread(&rejection))?;
    let peek = Peek::read(&body)
        .map_err(|why| Refusal::field("request_body", format!("Invalid JSON payload: {why}")))?;
    let Some(model) = peek.string(Field::Model) else {
        return Err(Refusal::field("model", "'model' must be a string: the model group to explain."));
    };
    let customer = peek.string(Field::User);
    let asked = Asked {
        caller: &actor.caller,
        headers: &headers,
        peek: &peek,
        path: Endpoint::Chat.path(),
        model: &model,
        stream: peek.is_true(Field::Stream),
        customer: customer.as_deref(),
    };
    let tags = tags::resolve(snapshot, &asked, Endpoint::Chat)?;
    let expression = match peek.string(Field::TagExpression) {
        Some(text) => Some(Expression::parse(&text).map_err(|error| {
            Refusal::field("tag_expression", format!("Invalid 'tag_expression': {error}"))
        })?),
        None => None,
    };
    let agent = peek.json_of("user_agent").and_then(tagway_core::wire::json::text_of);
    let agent = agent.as_deref().or_else(|| headers.get(http::header::USER_AGENT)?.to_str().ok());
    let expression = expression.as_ref().map(|expression| (expression, Origin::Body));
    let wanted =
        Wanted { expressions: expression.as_slice(), user_agent: agent, ..Wanted::new(&model, &tags) };
    let mut trail: Trail = Some(Vec::new());
    let planned = route::plan(snapshot, &current.board, &wanted, Instant::now(), &mut trail);
    let hop = trail.into_iter().flatten().next();
    Ok(Json(match planned {
        Ok(plan) => {
            let ids: Vec<&str> = plan
                .candidates
                .iter()
                .filter_map(|at| {
                    Some(snapshot.deployment(*plan.group.deployments.get(at)?).entry.info.id.as_str())
                })
                .collect();
            let strategy = if ids.len() < 2 { "the only candidate" } else { plan.group.strategy.name() };
            json!({"model": model, "model_group": plan.group.name, "candidates": ids, "strategy": strategy, "decision": hop})
        }
        Err(no_route) => {
            json!({"model": model, "candidates": [], "error": no_route.to_string(), "decision": hop})
        }
    }))
}

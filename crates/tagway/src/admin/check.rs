//! `GET /health`: calls every deployment, or those of one model, and says which answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagway_core::snapshot::{Deployment, DeploymentId, Named, Snapshot};
use tokio::task::JoinSet;
use utoipa::IntoParams;

use super::Shared;
use super::actor::Actor;
use super::given::Asked;
use super::models::without_query;
use super::refusal::{ErrorBody, Refusal};

/// Deployments called at a time.
const AT_ONCE: usize = 16;
/// What is shown of a healthy provider's headers.
const SHOWN: [&str; 2] = ["x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens"];

/// Which deployments; all of them when nothing is said.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Those of this model group.
    model: Option<String>,
    /// The one with this id.
    model_id: Option<String>,
}

/// Calls deployments to see which answer. A question for one model or deployment is answered 503 when none is healthy.
#[utoipa::path(
    get, path = "/health", tag = "health", params(Which),
    responses(
        (status = 200, description = "Which answer, and which do not", body = Object),
        (status = 400, description = "The query cannot be read", body = ErrorBody),
        (status = 401, description = "No key, or one that may not do this", body = ErrorBody),
        (status = 403, description = "The key is known, and may not do this", body = ErrorBody),
        (status = 503, description = "None of those asked for answers", body = Object)
    )
)]
pub(super) async fn check(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    actor.must_see_all()?;
    let current = &actor.current;
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    for some in asked(&current.snapshot, &which).chunks(AT_ONCE) {
        let mut calls = JoinSet::new();
        for id in some.iter().copied() {
            let called = (shared.probe)(Arc::clone(current), id);
            calls.spawn(async move { (id, called.await) });
        }
        let mut answers = calls.join_all().await;
        answers.sort_by_key(|(id, _)| id.0);
        for (id, answer) in answers {
            let deployment = current.snapshot.deployment(id);
            let list = if answer.is_ok() { &mut healthy } else { &mut unhealthy };
            list.push(shown(deployment, answer));
        }
    }
    let one = which.model.is_some() || which.model_id.is_some();
    let status = if one && healthy.is_empty() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = json!({
        "healthy_endpoints": healthy, "unhealthy_endpoints": unhealthy,
        "healthy_count": healthy.len(), "unhealthy_count": unhealthy.len(),
    });
    Ok((status, Json(body)))
}

/// The deployments asked for. A wildcard has no model to be called by.
fn asked(snapshot: &Snapshot, which: &Which) -> Vec<DeploymentId> {
    let group = which.model.as_deref().map(|model| snapshot.find(model));
    (0..)
        .zip(&snapshot.deployments)
        .filter(|(at, deployment)| match group {
            Some(Some(Named::Group(group))) => deployment.group == group,
            Some(Some(Named::Deployment(id))) => id == DeploymentId(*at),
            Some(None) => false,
            None => true,
        })
        .filter(|(_, deployment)| which.model_id.as_ref().is_none_or(|id| *id == deployment.entry.info.id))
        .filter(|(_, deployment)| deployment.model_json.is_some())
        .map(|(at, _)| DeploymentId(at))
        .collect()
}

fn shown(deployment: &Deployment, answer: Result<HeaderMap, String>) -> Value {
    let entry = &deployment.entry;
    let mut fields = Map::new();
    if let Some(base) = &entry.api_base {
        fields.insert("api_base".into(), without_query(base).into());
    }
    fields.insert("model".into(), entry.model.as_str().into());
    match answer {
        Ok(headers) => {
            for name in SHOWN {
                if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
                    fields.insert(name.into(), value.into());
                }
            }
        }
        Err(failure) => {
            fields.insert("error".into(), failure.into());
        }
    }
    fields.insert("model_id".into(), entry.info.id.as_str().into());
    Value::Object(fields)
}

//! `GET /health`: which deployments answer, asked now or, where they are checked in the background, by the last check.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagway_core::config::HealthChecks;
use tagway_core::snapshot::{Deployment, DeploymentId, Named, Snapshot};
use utoipa::IntoParams;

use super::Shared;
use super::actor::Actor;
use super::given::Asked;
use super::models::{is_shown_to, without_query};
use super::refusal::{ErrorBody, Refusal, Refusals};
use crate::checks;
use crate::health::Outcome;

/// Who sees everything sees these; LiteLLM tells others of it.
const FOR_ADMINS: [&str; 2] = ["api_base", "api_version"];
const NOTICE: HeaderName = HeaderName::from_static("litellm-health-field-notice");

/// Which deployments; all of them when nothing is said.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Those of this model group.
    model: Option<String>,
    /// The one with this id.
    model_id: Option<String>,
}

/// Says which deployments answer.
///
/// They are called now; with `background_health_checks` it is told what the last checks have shown. Who does not see
/// everything is told of deployments it may use. A question for one model or deployment is answered 503 when none is
/// healthy.
#[utoipa::path(
    get, path = "/health", tag = "health", params(Which),
    responses(
        (status = 200, description = "Which answer, and which do not", body = Object),
        (status = 400, description = "The query cannot be read", body = ErrorBody),
        (status = 401, description = "No key, or one that may not do this", body = ErrorBody),
        (status = 403, description = "The key is known, and may not do this", body = ErrorBody),
        (status = 404, description = "There is no such deployment", body = ErrorBody),
        (status = 503, description = "None of those asked for answers", body = Object)
    )
)]
pub(super) async fn check(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Response, Refusal> {
    let current = &actor.current;
    let snapshot = &current.snapshot;
    let rules = &snapshot.config.general.health;
    let ids = asked(&actor, &which)?;
    let outcomes: Vec<(DeploymentId, Option<Arc<Outcome>>)> = if rules.every.is_some() {
        let checked = ids.into_iter().filter(|id| checks::in_background(snapshot.deployment(*id), rules));
        checked.map(|id| (id, current.board.last_check(id))).collect()
    } else {
        shared.checks.all(current, ids).await
    };
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    for (id, outcome) in outcomes {
        let Some(outcome) = outcome else { continue };
        let list = if outcome.answer.is_ok() { &mut healthy } else { &mut unhealthy };
        let mut fields = shown(snapshot.deployment(id), &outcome, rules);
        if !actor.sees_all() {
            FOR_ADMINS.iter().for_each(|name| drop(fields.remove(*name)));
        }
        list.push(fields);
    }
    let one = which.model.is_some() || which.model_id.is_some();
    let status = if one && healthy.is_empty() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = json!({
        "healthy_endpoints": healthy, "unhealthy_endpoints": unhealthy,
        "healthy_count": healthy.len(), "unhealthy_count": unhealthy.len(),
    });
    let mut answer = (status, Json(body)).into_response();
    if !actor.sees_all() {
        let notice = HeaderValue::from_static("api_base, api_version are admin-only on this endpoint");
        answer.headers_mut().insert(NOTICE, notice);
    }
    Ok(answer)
}

/// Shows the last check of each deployment, where they are checked in the background: of all that the caller may use.
#[utoipa::path(
    get, path = "/health/latest", tag = "health",
    responses((status = 200, description = "The last checks, by the ids of deployments", body = Object), Refusals)
)]
pub(super) async fn latest(actor: Actor) -> Json<Value> {
    let current = &actor.current;
    let is_shown = is_shown_to(&actor);
    let mut checks = Map::new();
    for (deployment, at) in current.snapshot.deployments.iter().zip(0..).filter(|(one, _)| is_shown(one)) {
        let Some(last) = current.board.last_check(DeploymentId(at)) else { continue };
        let (entry, healthy) = (&deployment.entry, last.answer.is_ok());
        let check = json!({
            "model_name": entry.model_name,
            "model_id": entry.info.id,
            "status": if healthy { "healthy" } else { "unhealthy" },
            "healthy_count": u8::from(healthy),
            "unhealthy_count": u8::from(!healthy),
            "error_message": last.answer.as_ref().err().map(|ill| ill.message.as_str()),
            "response_time_ms": last.took.as_secs_f64() * 1000.0,
            "checked_by": "background_health_check",
            "checked_at": last.at,
        });
        checks.insert(entry.info.id.clone(), check);
    }
    Json(json!({"total_models": checks.len(), "latest_health_checks": checks}))
}

/// The deployments asked for that can be checked.
fn asked(actor: &Actor, which: &Which) -> Result<Vec<DeploymentId>, Refusal> {
    let snapshot = &actor.current.snapshot;
    let rules = &snapshot.config.general.health;
    let known = |id: &String| snapshot.deployments.iter().any(|one| one.entry.info.id == *id);
    if actor.sees_all()
        && let Some(id) = which.model_id.as_ref().filter(|id| !known(id))
    {
        return Err(Refusal::new(StatusCode::NOT_FOUND, format!("Model with ID {id} not found")));
    }
    let shown = is_shown_to(actor);
    let meant: Vec<DeploymentId> = (0..)
        .zip(&snapshot.deployments)
        .filter(|(at, deployment)| {
            is_meant(snapshot, which, DeploymentId(*at), deployment) && shown(deployment)
        })
        .map(|(at, _)| DeploymentId(at))
        .collect();
    if meant.is_empty() && !actor.sees_all() {
        let refused = match which {
            // The same whether there is such a one or not.
            Which { model_id: Some(id), .. } => {
                Some(format!("key not allowed to health-check model_id {id}"))
            }
            Which { model: Some(model), .. } => {
                Some(format!("key not allowed to health-check model {model}"))
            }
            Which { model: None, model_id: None } => None,
        };
        if let Some(message) = refused {
            return Err(Refusal::new(StatusCode::FORBIDDEN, message));
        }
    }
    let skipped =
        |deployment: &Deployment| rules.skip_disabled && deployment.entry.info.health.not_in_background;
    let can = |id: &DeploymentId| {
        let deployment = snapshot.deployment(*id);
        checks::can_be_asked(deployment) && !skipped(deployment)
    };
    Ok(meant.into_iter().filter(can).collect())
}

/// Whether a question means a deployment: an id goes before a model's name.
fn is_meant(snapshot: &Snapshot, which: &Which, at: DeploymentId, deployment: &Deployment) -> bool {
    if let Some(id) = &which.model_id {
        return *id == deployment.entry.info.id;
    }
    match which.model.as_deref().map(|model| snapshot.find(model)) {
        Some(Some(Named::Group(group))) => deployment.group == group,
        Some(Some(Named::Deployment(id))) => id == at,
        Some(None) => which.model.as_ref() == Some(&deployment.entry.model),
        None => true,
    }
}

fn shown(deployment: &Deployment, outcome: &Outcome, rules: &HealthChecks) -> Map<String, Value> {
    let entry = &deployment.entry;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    put("model", entry.model.as_str().into());
    if rules.details {
        put("api_base", entry.api_base.as_deref().map(without_query).into());
        put("api_version", entry.api_version.clone().into());
        put("mode", entry.info.fields.get("mode").cloned().into());
        put("base_model", entry.base_model.clone().into());
        put("rpm", entry.rpm.into());
        put("tpm", entry.tpm.into());
        match &outcome.answer {
            Ok(headers) => headers.iter().for_each(|(name, value)| put(name, value.as_str().into())),
            Err(ill) => put("error", ill.message.as_str().into()),
        }
    }
    if let Err(ill) = &outcome.answer {
        put("exception_status", ill.status.into());
    }
    put("model_id", entry.info.id.as_str().into());
    fields
}

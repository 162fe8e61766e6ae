//! `/v1/models` and `/model/info`: what can be asked for, and what stands behind it.

use axum::Json;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagway_core::config::{Deployment, is_secret};
use tagway_core::snapshot::Snapshot;

use super::Known;

/// LiteLLM's constant for a model's date of creation.
const CREATED: u64 = 1_677_610_602;

/// The names a client may ask for: aliases first, then groups in config order. A wildcard is no name; it is
/// listed for those who ask for it.
fn names(snapshot: &Snapshot, wildcards: bool) -> Vec<&str> {
    let aliases = snapshot.config.router.aliases.iter().filter(|alias| !alias.hidden);
    let mut names: Vec<&str> = aliases.map(|alias| alias.name.as_str()).collect();
    for group in &snapshot.groups {
        if !names.contains(&group.name.as_str()) && (wildcards || !group.name.contains('*')) {
            names.push(&group.name);
        }
    }
    names
}

fn model(snapshot: &Snapshot, name: &str) -> Value {
    let mut model = json!({"id": name, "object": "model", "created": CREATED, "owned_by": "openai"});
    // Shown when the config says them.
    if let Some(group) = snapshot.groups.iter().find(|group| group.name == name) {
        let fields = group.deployments.first().map(|id| &snapshot.deployment(*id).entry.info.fields);
        for key in ["mode", "max_input_tokens", "max_output_tokens"] {
            if let Some(value) = fields.and_then(|fields| fields.get(key)) {
                model[key] = value.clone();
            }
        }
    }
    model
}

#[derive(Deserialize)]
pub(super) struct Listing {
    return_wildcard_routes: Option<bool>,
}

/// `GET /v1/models`
pub(super) async fn list(known: Known, Query(listing): Query<Listing>) -> Json<Value> {
    let snapshot = &known.current.snapshot;
    let names = names(snapshot, listing.return_wildcard_routes.unwrap_or(false));
    let data: Vec<Value> = names.into_iter().map(|name| model(snapshot, name)).collect();
    Json(json!({"data": data, "object": "list"}))
}

/// `GET /v1/models/{model}`
pub(super) async fn one(known: Known, Path(name): Path<String>) -> Response {
    let snapshot = &known.current.snapshot;
    if names(snapshot, false).contains(&name.as_str()) {
        return Json(model(snapshot, &name)).into_response();
    }
    let detail = format!("The model `{name}` does not exist or is not accessible");
    (StatusCode::NOT_FOUND, Json(json!({ "detail": detail }))).into_response()
}

#[derive(Deserialize)]
pub(super) struct Which {
    litellm_model_id: Option<String>,
}

/// `GET /v1/model/info`: every deployment, without its secrets.
pub(super) async fn info(known: Known, Query(which): Query<Which>) -> Response {
    let deployments = known.current.snapshot.deployments.iter().map(|deployment| &deployment.entry);
    let data: Vec<Value> = deployments
        .filter(|entry| which.litellm_model_id.as_ref().is_none_or(|id| *id == entry.info.id))
        .map(shown)
        .collect();
    if let (Some(id), true) = (&which.litellm_model_id, data.is_empty()) {
        let error = format!("Model id = {id} not found on litellm proxy");
        return (StatusCode::BAD_REQUEST, Json(json!({"detail": {"error": error}}))).into_response();
    }
    Json(json!({ "data": data })).into_response()
}

/// An address without its query, which may hold a credential.
pub(super) fn without_query(address: &str) -> &str {
    address.split_once('?').map_or(address, |(address, _)| address)
}

/// A value as it may be shown: what stands under a name that sounds secret, at any depth, becomes `***`.
fn masked(name: &str, value: &Value) -> Value {
    match value {
        _ if is_secret(name) => "***".into(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), masked(name, value))).collect()
        }
        Value::Array(items) => items.iter().map(|item| masked(name, item)).collect(),
        other => other.clone(),
    }
}

fn shown(entry: &Deployment) -> Value {
    let mut params = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            params.insert(key.into(), value);
        }
    };
    put("model", entry.model.as_str().into());
    put("api_base", entry.api_base.as_deref().map(without_query).into());
    put("api_version", entry.api_version.clone().into());
    put("organization", entry.organization.clone().into());
    put("tags", if entry.tags.is_empty() { Value::Null } else { entry.tags.clone().into() });
    put("tag_regex", if entry.tag_regex.is_empty() { Value::Null } else { entry.tag_regex.clone().into() });
    put("weight", entry.weight.into());
    put("order", entry.order.into());
    put("rpm", entry.rpm.into());
    put("tpm", entry.tpm.into());
    put("timeout", entry.timeout.map(|time| time.as_secs_f64()).into());
    put("stream_timeout", entry.stream_timeout.map(|time| time.as_secs_f64()).into());
    put("max_retries", entry.max_retries.into());
    for (name, price) in &entry.prices {
        put(name, (*price).into());
    }
    for (name, value) in &entry.defaults {
        put(name, masked(name, value));
    }
    let fields = entry.info.fields.iter();
    let mut info: Map<String, Value> =
        fields.map(|(name, value)| (name.clone(), masked(name, value))).collect();
    info.insert("id".into(), entry.info.id.as_str().into());
    info.insert("db_model".into(), false.into());
    json!({"model_name": entry.model_name, "litellm_params": params, "model_info": info})
}

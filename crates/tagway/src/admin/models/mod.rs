//! `/v1/models`, `/model/info` and `/model_group/info`: what a caller may ask for, and what stands behind it. A virtual
//! key sees what it may use.

mod groups;
mod info;
mod standing;

use axum::Json;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tagway_core::config::is_secret;
use tagway_core::snapshot::{Deployment, Named, Snapshot};
use tagway_core::tag::{Ask, RequestTags};
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::actor::{Actor, Known};
use super::given::{Asked, Part};
use super::refusal::{ErrorBody, Refusals};
use crate::access;
use crate::seal::Seal;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    // A model's name may hold slashes, which a documented path cannot say.
    let by_name = OpenApiRouter::with_openapi(ByName::openapi())
        .route("/v1/models/{*model}", get(one))
        .route("/models/{*model}", get(one));
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_without_version))
        .merge(by_name)
        .routes(routes!(info::info, info::info_in_body))
        .routes(routes!(info::info_v1))
        .routes(routes!(info::info_v2))
        .routes(routes!(groups::info))
        .routes(routes!(groups::access_groups))
}

/// The paths that name a model.
#[derive(OpenApi)]
#[openapi(paths(one, one_without_version))]
struct ByName;

/// LiteLLM's constant for a model's date of creation.
const CREATED: u64 = 1_677_610_602;

/// Which names.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// Wildcards, too.
    return_wildcard_routes: Option<bool>,
}

/// Lists the models the caller may use.
#[utoipa::path(
    get, path = "/v1/models", tag = "models", params(Listing),
    responses((status = 200, description = "The models, as OpenAI lists them", body = Object), Refusals)
)]
async fn list(known: Known, Asked(listing): Asked<Listing>) -> Json<Value> {
    let snapshot = &known.current.snapshot;
    let wildcards = listing.return_wildcard_routes.unwrap_or(false);
    let names = access::usable(snapshot, &known.caller).into_iter();
    let names = names.filter(|name| wildcards || !name.contains('*'));
    let data: Vec<Value> = names.map(|name| model(snapshot, name)).collect();
    Json(json!({"data": data, "object": "list"}))
}

/// Lists the models the caller may use.
#[utoipa::path(
    get, path = "/models", tag = "models", params(Listing),
    responses((status = 200, description = "The models, as OpenAI lists them", body = Object), Refusals)
)]
async fn list_without_version(known: Known, listing: Asked<Listing>) -> Json<Value> {
    list(known, listing).await
}

/// Shows a model the caller may use.
#[utoipa::path(
    get, path = "/v1/models/{model}", tag = "models",
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "The model, as OpenAI shows it", body = Object),
        (status = 400, description = "The path cannot be read", body = ErrorBody),
        (status = 401, description = "No key, or an unknown one", body = ErrorBody),
        (status = 403, description = "The key may not call this path", body = ErrorBody),
        (status = 404, description = "The caller may use no such model", body = Object),
        (status = 503, description = "The store cannot be reached", body = ErrorBody)
    )
)]
async fn one(known: Known, Part(name): Part) -> Response {
    let snapshot = &known.current.snapshot;
    if access::usable(snapshot, &known.caller).contains(&name.as_str()) && !name.contains('*') {
        return Json(model(snapshot, &name)).into_response();
    }
    let detail = format!("The model `{name}` does not exist or is not accessible");
    (StatusCode::NOT_FOUND, Json(json!({ "detail": detail }))).into_response()
}

/// Shows a model the caller may use.
#[utoipa::path(
    get, path = "/models/{model}", tag = "models",
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "The model, as OpenAI shows it", body = Object),
        (status = 400, description = "The path cannot be read", body = ErrorBody),
        (status = 401, description = "No key, or an unknown one", body = ErrorBody),
        (status = 403, description = "The key may not call this path", body = ErrorBody),
        (status = 404, description = "The caller may use no such model", body = Object),
        (status = 503, description = "The store cannot be reached", body = ErrorBody)
    )
)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
async fn one_without_version(known: Known, name: Part) -> Response {
    one(known, name).await
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

/// The model groups an actor may see: those it may use, or all of them.
fn visible_groups<'a>(snapshot: &'a Snapshot, actor: &Actor) -> Vec<&'a str> {
    if actor.sees_all() {
        return snapshot.groups.iter().map(|group| group.name.as_str()).collect();
    }
    let mut groups = Vec::new();
    for name in access::usable(snapshot, &actor.caller) {
        if let Some(Named::Group(id)) = snapshot.find(access::meant(&actor.caller, name)) {
            let group = snapshot.group(id).name.as_str();
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    groups
}

/// Which deployments an actor may see: all of them, or those that its requests can ever reach, whatever they say.
pub(super) fn is_shown_to(actor: &Actor) -> impl Fn(&Deployment) -> bool + '_ {
    let snapshot = &actor.current.snapshot;
    let groups = visible_groups(snapshot, actor);
    move |deployment| {
        actor.sees_all()
            || groups.contains(&deployment.entry.model_name.as_str())
                && may_reach(snapshot, actor, deployment)
    }
}

/// Whether requests of an actor can ever reach a deployment, whatever they say.
fn may_reach(snapshot: &Snapshot, actor: &Actor, deployment: &Deployment) -> bool {
    let caller = &actor.caller;
    let mut tags = RequestTags::new();
    for policy in caller.policies() {
        policy.tags.iter().for_each(|tag| tags.push(&**tag, policy.origin));
    }
    let expressions: Vec<_> =
        caller.policies().filter_map(|policy| Some((policy.expression.as_ref()?, policy.origin))).collect();
    let regions: Vec<&str> = caller.policies().filter_map(|policy| policy.region.as_deref()).collect();
    let ask = Ask {
        expressions: &expressions,
        regions: &regions,
        turn_on: caller.policies().any(|policy| policy.tag_filtering),
        tier: caller.policies().find_map(|policy| policy.tier),
        ..Ask::new(&tags)
    };
    snapshot.group(deployment.group).index.permitted(&ask).contains(deployment.position)
}

/// An address without its query, which may hold a credential.
pub(super) fn without_query(address: &str) -> &str {
    address.split_once('?').map_or(address, |(address, _)| address)
}

/// A value as it may be shown: what was sealed, and what stands under a name that sounds secret, at any depth, becomes
/// `***`.
pub(super) fn masked(name: &str, value: &Value) -> Value {
    match value {
        _ if is_secret(name) => "***".into(),
        Value::String(text) if Seal::is_sealed(text) => "***".into(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), masked(name, value))).collect()
        }
        Value::Array(items) => items.iter().map(|item| masked(name, item)).collect(),
        other => other.clone(),
    }
}

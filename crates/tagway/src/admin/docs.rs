//! The OpenAPI document at `/openapi.json`, and a page to read and try it at `/docs`.

use axum::Router;
use serde_json::{Value, json};
use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::SwaggerUi;

use super::Shared;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tagway",
        description = "The management API: LiteLLM's paths and bodies, held to what tags allow.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    security(("bearer" = []), ("x-litellm-api-key" = [])),
    modifiers(&Keys)
)]
struct Document;

/// The ways to present a key.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
        components.add_security_scheme(
            "x-litellm-api-key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-litellm-api-key"))),
        );
    }
}

/// The document without its paths.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Gives every operation a name of its own: handlers of different resources are called the same.
fn name_operations(document: &mut Value) {
    for (path, operations) in members(document, "paths") {
        let words = path.split(['/', '-']).map(|part| part.trim_matches(['{', '}']));
        let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            operation["operationId"] = format!("{name}_{method}").into();
        }
    }
}

/// Says of schemas what the types behind them cannot say: every field of a body is an `Option`, so that whichever is
/// missing can be named in the refusal, but one that is required may not be `null` either.
fn require_values(schema: &mut Value) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    for name in required.iter().filter_map(Value::as_str) {
        let Some(types) = schema.pointer_mut(&format!("/properties/{name}/type")) else { continue };
        let Some(some) = types.as_array_mut() else { continue };
        some.retain(|kind| kind != "null");
        if let [only] = some.as_slice() {
            *types = only.clone();
        }
    }
    for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        require_values(part);
    }
}

/// Operations whose body may be absent, for all of its fields may.
const BODILESS: &[&str] =
    &["/budget/new", "/key/generate", "/key/{key}/regenerate", "/team/new", "/team/{team_id}", "/user/new"];

/// Says of bodies what [`super::given::Given`] does: where there are no other fields, those that ask for nothing do
/// no harm.
fn describe_bodies(document: &mut Value) {
    let mut schemas = document["components"]["schemas"].take();
    for (path, operations) in members(document, "paths") {
        for (_, operation) in operations.as_object_mut().into_iter().flatten() {
            let Some(body) = operation.get_mut("requestBody") else { continue };
            body["required"] = (!BODILESS.contains(&path.as_str())).into();
            let reference = body.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
            let Some(name) = reference.and_then(|at| at.rsplit('/').next()) else { continue };
            let others = schemas.get_mut(name).and_then(|schema| schema.get_mut("additionalProperties"));
            if let Some(others) = others.filter(|others| **others == Value::Bool(false)) {
                *others = json!({"enum": [null, false, [], {}]});
            }
        }
    }
    document["components"]["schemas"] = schemas;
}

fn members<'a>(document: &'a mut Value, name: &str) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    document.get_mut(name).and_then(Value::as_object_mut).into_iter().flatten()
}

/// Serves the whole document and its page.
pub(super) fn routes(document: &utoipa::openapi::OpenApi) -> Router<Shared> {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    name_operations(&mut document);
    for (_, schema) in members(&mut document["components"], "schemas") {
        require_values(schema);
    }
    describe_bodies(&mut document);
    SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", document).into()
}

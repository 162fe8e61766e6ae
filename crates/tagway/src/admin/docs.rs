//! The OpenAPI document at `/openapi.json`, and a page to read and try it at `/docs`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header;
use serde_json::{Value, json};
use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::{Config, SwaggerUi};

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

/// Says of a body's fields what [`super::given::Given`] does and their types cannot say: one that is required may not
/// be `null`, and `null` for another means its default. Fields that only the gateway sets are not read, like unknown ones.
fn describe_fields(schema: &mut Value) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        // utoipa writes it into the items of a list and the names of a map.
        fields.retain(|_, field| {
            let marks = ["/readOnly", "/items/readOnly", "/propertyNames/readOnly"];
            marks.iter().all(|mark| field.pointer(mark) != Some(&Value::Bool(true)))
        });
    }
    for (name, field) in members(schema, "properties") {
        let is_required = required.iter().any(|required| required == name);
        // utoipa writes the same for `i64`.
        if field.get("format") == Some(&json!("int64")) && field.get("minimum") == Some(&json!(0)) {
            field["format"] = "uint64".into();
        }
        if let Some(kind) = field.get_mut("type") {
            let mut kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
            kinds.retain(|kind| kind != "null");
            if !is_required {
                kinds.push("null".into());
            }
            *kind = if let [only] = kinds.as_slice() { only.clone() } else { kinds.into() };
        } else if !is_required && field.get("$ref").is_some() {
            *field = json!({"oneOf": [{"type": "null"}, field]});
        }
    }
}

/// The schemas whose fields are a body's fields.
fn bodies(schemas: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next()) {
        found.insert(name.to_owned());
        bodies(schemas, &schemas[name], found);
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        bodies(schemas, part, found);
    }
}

/// Operations whose body may be absent, for all of its fields may.
const BODILESS: &[&str] =
    &["/budget/new", "/key/generate", "/key/{key}/regenerate", "/team/new", "/team/{team_id}", "/user/new"];

/// Says of bodies what [`super::given::Given`] does: where there are no other fields, those that ask for nothing do
/// no harm.
fn describe_bodies(document: &mut Value) {
    let mut schemas = document["components"]["schemas"].take();
    let mut found = BTreeSet::new();
    for (path, operations) in members(document, "paths") {
        for (_, operation) in operations.as_object_mut().into_iter().flatten() {
            let is_call = operation["tags"][0] == "calls";
            let Some(body) = operation.get_mut("requestBody").filter(|_| !is_call) else { continue };
            body["required"] = (!BODILESS.contains(&path.as_str())).into();
            if let Some(schema) = body.pointer("/content/application~1json/schema") {
                bodies(&schemas, schema, &mut found);
            }
        }
    }
    let described = schemas.as_object_mut().into_iter().flatten().filter(|(name, _)| found.contains(*name));
    for schema in described.flat_map(|(_, schema)| parts(schema)) {
        describe_fields(schema);
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            schema["additionalProperties"] = json!({"enum": [null, false, [], {}]});
        }
    }
    document["components"]["schemas"] = schemas;
}

/// A schema whose fields stand in one place, or in several.
fn parts(schema: &mut Value) -> Vec<&mut Value> {
    if schema.get("allOf").is_none() {
        return vec![schema];
    }
    schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten().flat_map(parts).collect()
}

fn members<'a>(document: &'a mut Value, name: &str) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    document.get_mut(name).and_then(Value::as_object_mut).into_iter().flatten()
}

/// The whole document as JSON, made when somebody asks for it: it takes more memory than all the rest of an idle
/// gateway.
fn json() -> Bytes {
    let (_, document) = super::documented().split_for_parts();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    name_operations(&mut document);
    describe_bodies(&mut document);
    document.to_string().into()
}

/// Serves the whole document and its page.
pub(super) fn routes() -> Router<Shared> {
    static JSON: LazyLock<Bytes> = LazyLock::new(json);
    let serve = async || ([(header::CONTENT_TYPE, "application/json")], JSON.clone());
    let page: Router<Shared> = SwaggerUi::new("/docs").config(Config::from("/openapi.json")).into();
    page.route("/openapi.json", get(serve))
}

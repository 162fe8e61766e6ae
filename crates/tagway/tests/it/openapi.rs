//! The OpenAPI document: whole, without two things of one name, and true about keys. What it says of bodies and
//! answers, scripts/schemathesis holds against a running gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{Gateway, config, deployment};

fn one() -> String {
    config(&[deployment("m", "one", "model: openai/x, mock_response: a")], "")
}

async fn document(gateway: &Gateway) -> Value {
    // Whoever has no key yet may read it.
    let answer = gateway.client.get(format!("{}/openapi.json", gateway.url)).send().await.unwrap();
    answer.json().await.unwrap()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(Method, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(|(method, of)| (method.to_uppercase().parse().unwrap(), path.as_str(), of))
        })
        .collect()
}

#[tokio::test]
async fn the_openapi_document_changes_only_on_purpose() {
    let gateway = Gateway::start(&one());
    let mut document = document(&gateway).await;
    document["info"]["version"] = "[version]".into();
    insta::assert_json_snapshot!(document);
}

#[tokio::test]
async fn every_operation_of_the_openapi_document_has_a_name_of_its_own() {
    let gateway = Gateway::start(&one());
    let document = document(&gateway).await;
    let operations = operations(&document);
    let names: BTreeSet<&str> =
        operations.iter().map(|(.., operation)| operation["operationId"].as_str().unwrap()).collect();
    assert!(names.contains("tag_new_post") && names.contains("model_model_id_update_patch"), "{names:?}");
    assert_eq!(names.len(), operations.len());
}

/// Of two types of one name, one would be described by the other's schema.
#[tokio::test]
async fn every_schema_of_the_openapi_document_is_there_and_of_one_type() {
    let gateway = Gateway::start(&one());
    let document = document(&gateway).await;
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(used.iter().all(|name| schemas.contains_key(*name)), "{used:?}");
    let mut types: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    described(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut types);
    for name in schemas.keys() {
        // Lists and the like have no type of their own.
        assert!(types.get(name).is_none_or(|files| files.len() == 1), "{name}: {:?}", types[name]);
    }
    assert!(types.contains_key("KeyById") && types.contains_key("Team"));
}

/// The names under which types of the code are described, and where.
fn described(folder: &Path, found: &mut BTreeMap<String, Vec<PathBuf>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            described(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for item in text
            .split("#[derive(")
            .skip(1)
            .filter(|item| item.split_once(')').is_some_and(|(derived, _)| derived.contains("ToSchema")))
        {
            let head = item.split_once('{').unwrap().0;
            let renamed = head.split_once("schema(as = ").map(|(_, name)| name.split(')').next().unwrap());
            let own = head.split_whitespace().last().unwrap();
            found.entry(renamed.unwrap_or(own).to_owned()).or_default().push(path.clone());
        }
    }
}

fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
    match value {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|at| at.strip_prefix("#/components/schemas/")));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_documented_operation_asks_for_a_key_and_says_so() {
    let gateway = Gateway::start(&one());
    let document = document(&gateway).await;
    for (method, path, operation) in operations(&document) {
        let called = path.replace(['{', '}'], "");
        for key in [None, Some("sk-unknown-key-0123456789")] {
            let mut request = gateway.client.request(method.clone(), format!("{}{called}", gateway.url));
            if method != Method::GET {
                request = request.json(&json!({"model": "m", "messages": []}));
            }
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let answer = request.send().await.unwrap();
            // `[{}]`: a probe, which no key is needed for.
            if operation["security"] == json!([{}]) {
                assert_eq!(answer.status(), 200, "{method} {path}");
                continue;
            }
            assert_eq!(operation.get("security"), None, "{method} {path}");
            assert_eq!(answer.status(), 401, "{method} {path}");
            assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], "401", "{method} {path}");
            let told = &operation["responses"]["401"]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(told, "#/components/schemas/ErrorBody", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_of_a_request_is_refused_as_everything_else() {
    let gateway = Gateway::start(&one());
    let plain = |request: reqwest::RequestBuilder| request.header("content-type", "text/plain");
    for (request, status) in [
        (gateway.get("/audit/%FF"), 400),
        (gateway.get("/v1/models/%FF"), 400),
        (gateway.get("/key/list?page=x"), 400),
        (gateway.get("/key/list?user_id=%00"), 400),
        (plain(gateway.post("/team/%FF/reset_spend", &json!({}))).body("{"), 400),
        (plain(gateway.post("/key/generate", &json!({}))).body("{"), 400),
        (plain(gateway.post("/route/explain", &json!({}))).body("x".repeat(3 << 20)), 413),
        (plain(gateway.post("/key/generate", &json!({}))).body("x".repeat(3 << 20)), 413),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (status, &"application/json".parse().unwrap())
        );
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], status.to_string());
    }
}

#[tokio::test]
async fn the_page_of_the_document_loads_nothing_from_elsewhere() {
    let gateway = Gateway::start(&one());
    let page = gateway.client.get(format!("{}/docs", gateway.url)).send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.url().path()), (200, "/docs/"));
    let page = page.text().await.unwrap();
    let attributes = page.split([' ', '>']).filter_map(|word| {
        word.strip_prefix("src=\"")
            .or_else(|| word.strip_prefix("href=\""))
            .map(|at| at.trim_end_matches('"'))
    });
    let mut files: Vec<&str> = attributes.collect();
    assert!(files.len() > 3, "{page}");
    files.push("swagger-initializer.js");
    for file in files {
        assert!(!file.contains("//"), "{file}");
        let answer = gateway.client.get(format!("{}/docs/{file}", gateway.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{file}");
        assert!(!answer.bytes().await.unwrap().is_empty(), "{file}");
    }
}

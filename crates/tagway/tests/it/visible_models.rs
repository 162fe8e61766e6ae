//! What a virtual key sees of the models: what it may use.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::gateway::{Gateway, config, deployment, error};

fn several() -> String {
    let grouped = "  - {model_name: gpt-4o, litellm_params: {model: openai/x, mock_response: b}, model_info: {id: beta-1, access_groups: [beta]}}\n";
    config(
        &[
            deployment("gpt-4", "four", "model: openai/x, mock_response: a, rpm: 3"),
            deployment("gpt-4", "four-too", "model: openai/x, mock_response: a, rpm: 4"),
            grouped.to_owned(),
            deployment("'openai/*'", "wild", "model: 'openai/*', mock_response: c"),
        ],
        "router_settings: {model_group_alias: {best: gpt-4o}}\n",
    )
}

async fn ok(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

/// Names or ids of what a list shows to a key with these fields.
async fn seen(gateway: &Gateway, fields: Value, path: &str, at: &str) -> Vec<String> {
    let key = ok(gateway.post("/key/generate", &fields)).await["key"].as_str().unwrap().to_owned();
    let list = ok(gateway.client.get(format!("{}{path}", gateway.url)).bearer_auth(key)).await;
    let items = list["data"].as_array().unwrap().iter();
    items.map(|item| item.pointer(at).unwrap().as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_key_lists_the_models_it_may_use() {
    let gateway = Gateway::start(&several());
    for (fields, names) in [
        (json!({}), &["best", "gpt-4", "gpt-4o"][..]),
        (json!({"models": ["gpt-4"]}), &["gpt-4"]),
        (json!({"models": ["beta"]}), &["best", "gpt-4o"]),
        (json!({"models": ["gpt-4", "openai/o1"]}), &["gpt-4", "openai/o1"]),
        (json!({"models": ["gpt-4"], "aliases": {"mine": "gpt-4", "not": "nosuch"}}), &["gpt-4", "mine"]),
        (json!({"models": ["no-default-models"]}), &[]),
    ] {
        assert_eq!(seen(&gateway, fields.clone(), "/v1/models", "/id").await, names, "{fields}");
    }
    let wildcards =
        seen(&gateway, json!({"models": ["openai/*"]}), "/models?return_wildcard_routes=true", "/id").await;
    assert_eq!(wildcards, ["best", "gpt-4", "gpt-4o", "openai/*"]);
    let key = ok(gateway.post("/key/generate", &json!({"models": ["gpt-4", "openai/o1"]}))).await["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let one = |name: &str| gateway.client.get(format!("{}/v1/models/{name}", gateway.url)).bearer_auth(&key);
    assert_eq!(ok(one("gpt-4")).await["id"], "gpt-4");
    assert_eq!(ok(one("openai/o1")).await["id"], "openai/o1");
    assert_eq!(error(one("gpt-4o")).await.0, 404);
}

#[tokio::test]
async fn a_key_sees_the_deployments_and_groups_of_its_models() {
    let gateway = Gateway::start(&several());
    for (fields, ids, groups) in [
        (json!({}), &["four", "four-too", "beta-1", "wild"][..], &["gpt-4", "gpt-4o", "openai/*"][..]),
        (json!({"models": ["gpt-4"]}), &["four", "four-too"], &["gpt-4"]),
        (json!({"models": ["beta"]}), &["beta-1"], &["gpt-4o"]),
        (json!({"models": ["openai/o1"]}), &["wild"], &["openai/*"]),
    ] {
        for path in ["/model/info", "/v1/model/info", "/v2/model/info"] {
            assert_eq!(seen(&gateway, fields.clone(), path, "/model_info/id").await, ids, "{path} {fields}");
        }
        assert_eq!(
            seen(&gateway, fields.clone(), "/model_group/info", "/model_group").await,
            groups,
            "{fields}"
        );
    }
    let key = ok(gateway.post("/key/generate", &json!({"models": ["gpt-4"]}))).await["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let foreign =
        gateway.client.get(format!("{}/model/info?litellm_model_id=wild", gateway.url)).bearer_auth(&key);
    assert_eq!(error(foreign).await.0, 400);
    let groups =
        gateway.client.get(format!("{}/model_group/info?model_group=gpt-4o", gateway.url)).bearer_auth(&key);
    assert_eq!(ok(groups).await, json!({"data": []}));
}

#[tokio::test]
async fn a_model_group_is_the_sum_of_its_deployments() {
    let gateway = Gateway::start(&several());
    let group = ok(gateway.get("/model_group/info?model_group=gpt-4")).await;
    insta::assert_json_snapshot!(group);
    let access = ok(gateway.get("/access_group/list")).await;
    assert_eq!(
        access["access_groups"],
        json!([{"access_group": "beta", "model_names": ["gpt-4o"], "deployment_count": 1, "spend": null, "budget": null}])
    );
}

#[tokio::test]
async fn deployments_are_paged_searched_and_sorted() {
    let gateway = Gateway::start(&several());
    let ids = async |query: &str| {
        let list = ok(gateway.get(&format!("/v2/model/info{query}"))).await;
        let ids: Vec<Value> =
            list["data"].as_array().unwrap().iter().map(|item| item["model_info"]["id"].clone()).collect();
        (ids, list["total_count"].as_i64().unwrap(), list["total_pages"].as_i64().unwrap())
    };
    assert_eq!(ids("?size=3").await, (vec![json!("four"), json!("four-too"), json!("beta-1")], 4, 2));
    assert_eq!(ids("?size=3&page=2").await.0, ["wild"]);
    assert_eq!(ids("?search=GPT-4O").await.0, ["beta-1"]);
    assert_eq!(ids("?access_group=beta").await.0, ["beta-1"]);
    assert_eq!(ids("?modelId=wild").await.0, ["wild"]);
    assert_eq!(ids("?sortBy=model_name&sortOrder=desc").await.0[0], "wild");
    for query in ["?sortOrder=x", "?sortBy=x", "?page=0", "?size=x"] {
        assert_eq!(error(gateway.get(&format!("/v2/model/info{query}"))).await.0, 400, "{query}");
    }
}

//! Health, models, explanations, and the command line.

use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, command, config, deployment, error};

fn two() -> String {
    config(
        &[
            deployment(
                "gpt-4",
                "free",
                "model: openai/x, api_key: sk-secret-1, mock_response: a, tags: [free]",
            ),
            deployment(
                "gpt-4",
                "rest",
                "model: openai/x, mock_response: b, tags: [default], temperature: 0.5",
            ),
            deployment("'openai/*'", "wild", "model: 'openai/*', mock_response: c"),
        ],
        "router_settings:\n  enable_tag_filtering: true\n  model_group_alias: {shown: gpt-4, hidden: {model: gpt-4, hidden: true}}\n",
    )
}

#[tokio::test]
async fn probes_need_no_key() {
    let gateway = Gateway::start(&two());
    for path in ["/health/liveliness", "/health/liveness"] {
        let answer = gateway.client.get(format!("{}{path}", gateway.url)).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "\"I'm alive!\"");
    }
    let ready = gateway.client.get(format!("{}/health/readiness", gateway.url)).send().await.unwrap();
    let mut ready: Value = ready.json().await.unwrap();
    let ledger = ready.as_object_mut().unwrap().remove("ledger").unwrap();
    assert_eq!(ready, json!({"status": "healthy", "db": "connected"}));
    assert_eq!(
        ledger,
        json!({"status": "healthy", "waiting_bytes": 0, "lag_seconds": 0, "last_shipment": null, "dropped": 0})
    );
}

#[tokio::test]
async fn models_are_listed_as_openai_lists_them() {
    let gateway = Gateway::start(&two());
    for path in ["/v1/models", "/models"] {
        let models: Value = gateway.get(path).send().await.unwrap().json().await.unwrap();
        let ids: Vec<_> =
            models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["shown", "gpt-4"]);
        assert_eq!(models["object"], "list");
    }
    let one: Value = gateway.get("/v1/models/gpt-4").send().await.unwrap().json().await.unwrap();
    assert_eq!((&one["id"], &one["object"]), (&json!("gpt-4"), &json!("model")));
    let (status, body) = error(gateway.get("/v1/models/nosuch")).await;
    assert_eq!(
        (status, &body["detail"]),
        (404, &json!("The model `nosuch` does not exist or is not accessible"))
    );
}

#[tokio::test]
async fn model_info_shows_every_deployment_and_no_secret() {
    let gateway = Gateway::start(&two());
    let info = gateway.get("/v1/model/info").send().await.unwrap().text().await.unwrap();
    assert!(!info.contains("sk-secret-1"));
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["data"].as_array().unwrap().len(), 3);
    insta::assert_json_snapshot!(info["data"][1]);
    let one: Value =
        gateway.get("/model/info?litellm_model_id=free").send().await.unwrap().json().await.unwrap();
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
    assert_eq!(error(gateway.get("/model/info?litellm_model_id=nosuch")).await.0, 400);
}

#[tokio::test]
async fn a_decision_is_explained_without_any_call() {
    let gateway = Gateway::start(&two());
    let answer =
        gateway.post("/route/explain", &json!({"model": "gpt-4", "tags": ["free"]})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    insta::assert_json_snapshot!(answer.json::<Value>().await.unwrap());
    let refused: Value = gateway
        .post("/route/explain", &json!({"model": "gpt-4", "tags": ["free", "!free"]}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(refused["candidates"], json!([]));
    assert!(refused["error"].as_str().unwrap().starts_with("Not allowed to access model"));
}

#[tokio::test]
async fn a_caller_who_asks_sees_how_its_request_was_routed() {
    let gateway = Gateway::start(&two());
    let request = gateway.chat("gpt-4", json!({"tags": ["free"]})).header("x-tagway-explain", "true");
    let answer = request.send().await.unwrap();
    let route: Value = serde_json::from_str(answer.header("x-tagway-route")).unwrap();
    assert_eq!(route["deployment"], "free");
    assert_eq!(route["hops"][0]["model_group"], "gpt-4");
    let silent = gateway.chat("gpt-4", json!({"tags": ["free"]})).send().await.unwrap();
    assert_eq!(silent.header("x-tagway-route"), "");
}

#[test]
fn the_command_line_explains_and_checks() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, two()).unwrap();
    let explain = |more: &[&str]| {
        let output = command()
            .args(["explain", "--model", "gpt-4", "--config"])
            .arg(&path)
            .args(more)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = explain(&["--tags", "free"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(text);
    let (code, json) = explain(&["--tags", "free", "--tag-expression", "not free", "--format", "json"]);
    assert_eq!(code, Some(1));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["model_group"], "gpt-4");
    let check = command().arg("check").arg(&path).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stdout));
    std::fs::write(&path, "model_list: 5\n").unwrap();
    assert_eq!(command().arg("check").arg(&path).output().unwrap().status.code(), Some(2));
}

#[test]
fn flags_of_litellm_are_accepted() {
    let config = config(&[deployment("m", "one", "model: openai/x, mock_response: a")], "");
    let args = ["--num_workers", "8", "--detailed_debug", "--telemetry", "False"];
    let gateway = Gateway::start_with(&config, &args, &[]);
    drop(gateway);
}

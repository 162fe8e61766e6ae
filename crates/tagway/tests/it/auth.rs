//! Who may use the gateway.

use serde_json::json;

use crate::gateway::{Gateway, KEY, chat_body, deployment, error};

fn one() -> String {
    let more = format!("general_settings: {{master_key: {KEY}, litellm_key_header_name: X-My-Key}}\n");
    format!("model_list:\n{}{more}", deployment("m", "one", "model: openai/x, mock_response: a"))
}

#[tokio::test]
async fn a_key_is_taken_from_every_header_that_clients_use() {
    let gateway = Gateway::start(&one());
    for (name, value) in [
        ("authorization", format!("Bearer {KEY}")),
        ("authorization", format!("bearer {KEY} ")),
        ("x-api-key", KEY.into()),
        ("api-key", KEY.into()),
        ("x-litellm-api-key", KEY.into()),
        ("x-litellm-api-key", format!("Bearer {KEY}")),
        ("x-my-key", KEY.into()),
    ] {
        let request =
            gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).header(name, &value);
        let status = request.json(&chat_body("m", json!({}))).send().await.unwrap().status();
        assert_eq!(status, 200, "{name}");
    }
}

#[tokio::test]
async fn without_a_known_key_every_endpoint_refuses_and_never_echoes_the_key() {
    let gateway = Gateway::start(&one());
    let mut seen = Vec::new();
    for authorization in
        [None, Some("sk-without-scheme"), Some("Bearer "), Some("Bearer sk-wrong-key-123456789")]
    {
        let mut request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let (status, body) = error(request.json(&chat_body("m", json!({})))).await;
        assert_eq!(status, 401);
        assert!(!body.to_string().contains("sk-w"), "{body}");
        seen.push(body);
    }
    insta::assert_json_snapshot!(seen);
    for path in ["/v1/models", "/model/info"] {
        let (status, _) = error(gateway.client.get(format!("{}{path}", gateway.url))).await;
        assert_eq!(status, 401, "{path}");
    }
    for path in ["/route/explain", "/config/reload"] {
        let (status, _) = error(gateway.client.post(format!("{}{path}", gateway.url))).await;
        assert_eq!(status, 401, "{path}");
    }
}

#[tokio::test]
async fn an_empty_master_key_does_not_start_and_an_empty_key_opens_nothing() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, one().replace(KEY, "''")).unwrap();
    let output = crate::gateway::command().arg("--config").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let gateway = Gateway::start(&one());
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).header("x-api-key", "");
    assert_eq!(error(request.json(&chat_body("m", json!({})))).await.0, 401);
}

#[tokio::test]
async fn without_a_master_key_the_gateway_is_open_and_says_so_loudly() {
    let config = format!("model_list:\n{}", deployment("m", "one", "model: openai/x, mock_response: a"));
    let gateway = Gateway::start(&config);
    gateway.log("NO MASTER KEY");
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url));
    assert_eq!(request.json(&chat_body("m", json!({}))).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_environment_may_hold_the_master_key() {
    let config = format!("model_list:\n{}", deployment("m", "one", "model: openai/x, mock_response: a"));
    let gateway = Gateway::start_with(&config, &[], &[("LITELLM_MASTER_KEY", KEY)]);
    let open = gateway.client.post(format!("{}/v1/chat/completions", gateway.url));
    assert_eq!(open.json(&chat_body("m", json!({}))).send().await.unwrap().status(), 401);
    assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
}

//! A new configuration comes into force without a request noticing.

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::gateway::{Answered as _, Gateway, at, config, deployment, error};

fn answering(id: &str) -> String {
    config(&[deployment("m", id, "model: openai/x, mock_response: a")], "")
}

fn write(gateway: &Gateway, config: &str) {
    // As editors and deployments do: a new file in the old one's place.
    let new = gateway.dir.path().join("new.yaml");
    std::fs::write(&new, config).unwrap();
    std::fs::rename(new, gateway.config_path()).unwrap();
}

async fn serves(gateway: &Gateway) -> String {
    gateway.chat("m", json!({})).send().await.unwrap().deployment().to_owned()
}

#[tokio::test]
async fn sighup_an_api_call_and_a_changed_file_all_reload() {
    let gateway = Gateway::start(&answering("first"));
    assert_eq!(serves(&gateway).await, "first");
    write(&gateway, &answering("second"));
    gateway.signal("HUP");
    gateway.log("configuration reloaded");
    assert_eq!(serves(&gateway).await, "second");
    write(&gateway, &answering("third"));
    gateway.log("configuration reloaded");
    assert_eq!(serves(&gateway).await, "third");
    write(&gateway, &answering("fourth"));
    let answer = gateway.post("/config/reload", &json!({})).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["message"], "Configuration reloaded");
    assert_eq!(serves(&gateway).await, "fourth");
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_configuration_and_shows() {
    let gateway = Gateway::start(&answering("first"));
    write(&gateway, "model_list:\n  - model_nam: m\n    litellm_params: {model: openai/x}\n");
    let (status, body) = error(gateway.post("/config/reload", &json!({}))).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("model_name"), "{body}");
    assert_eq!(serves(&gateway).await, "first");
    let ready: Value = gateway.get("/health/readiness").send().await.unwrap().json().await.unwrap();
    assert_eq!(ready["config"]["status"], "stale");
    write(&gateway, &answering("second"));
    gateway.log("configuration reloaded");
    let ready: Value = gateway.get("/health/readiness").send().await.unwrap().json().await.unwrap();
    assert_eq!((&ready["status"], &ready["config"]), (&json!("healthy"), &Value::Null));
}

#[tokio::test]
async fn a_stream_that_began_before_a_reload_ends_as_it_began() {
    let fake = Fake::script([Reply::chat(["a", "b"]).hold(After::Chunks(2))]).await;
    let gateway = Gateway::start(&config(&[at("m", "first", &fake.url(), "[default]")], ""));
    let mut answer = gateway.chat("m", json!({"stream": true})).send().await.unwrap();
    answer.chunk().await.unwrap().unwrap();
    write(&gateway, &answering("second"));
    gateway.signal("HUP");
    gateway.log("configuration reloaded");
    assert_eq!(serves(&gateway).await, "second");
    fake.release();
    let mut rest = String::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        rest += std::str::from_utf8(&chunk).unwrap();
    }
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
}

#[tokio::test]
async fn no_request_is_dropped_while_the_configuration_changes() {
    let gateway = Gateway::start(&answering("first"));
    for round in 0..20 {
        let calls: Vec<_> = (0..20).map(|_| tokio::spawn(gateway.chat("m", json!({})).send())).collect();
        write(&gateway, &answering(&format!("d{round}")));
        assert_eq!(gateway.post("/config/reload", &json!({})).send().await.unwrap().status(), 200);
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn a_broken_configuration_never_starts() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, "model_list:\n  - model_name: m\n    litellm_params: {model: openai/x, tags: free, api_base: 'ftp://x'}\nrouter_settings: {enable_tag_filterin: true}\n").unwrap();
    let output = crate::gateway::command().arg("--config").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("tags") && said.contains("enable_tag_filtering"), "{said}");
}

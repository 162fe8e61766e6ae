//! Limits of rate of keys and of what stands above them.

use reqwest::Response;
use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::gateway::{Answered as _, Gateway, at, chat_body, config, deployment};

fn gateway() -> Gateway {
    let mocks = ["m", "n"].map(|name| deployment(name, name, "model: openai/fake, mock_response: hi"));
    Gateway::start(&config(&mocks, ""))
}

async fn made(gateway: &Gateway, path: &str, body: Value) -> Value {
    let response = gateway.post(path, &body).send().await.unwrap();
    assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
    response.json().await.unwrap()
}

async fn key(gateway: &Gateway, body: Value) -> String {
    made(gateway, "/key/generate", body).await["key"].as_str().unwrap().to_owned()
}

async fn chat(gateway: &Gateway, key: &str, model: &str) -> Response {
    let url = format!("{}/v1/chat/completions", gateway.url);
    gateway.client.post(url).bearer_auth(key).json(&chat_body(model, json!({}))).send().await.unwrap()
}

#[tokio::test]
async fn a_keys_requests_a_minute_are_held_and_the_refusal_says_when_to_come_back() {
    let gateway = gateway();
    let key = key(&gateway, json!({"rpm_limit": 2})).await;
    let first = chat(&gateway, &key, "m").await;
    assert_eq!((first.status().as_u16(), first.header("x-litellm-key-rpm-limit")), (200, "2"));
    assert_eq!(chat(&gateway, &key, "m").await.status(), 200);
    let refused = chat(&gateway, &key, "m").await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    let body: Value = refused.json().await.unwrap();
    assert_eq!(
        (&body["error"]["type"], &body["error"]["reason"]),
        (&"throttling_error".into(), &"rate_limit".into())
    );
    assert!(body["error"]["message"].as_str().unwrap().starts_with("Rate limit exceeded for key"), "{body}");
}

#[tokio::test]
async fn a_teams_limit_holds_for_all_of_its_keys_together() {
    let gateway = gateway();
    made(&gateway, "/team/new", json!({"team_id": "t", "rpm_limit": 2})).await;
    let (one, two) =
        (key(&gateway, json!({"team_id": "t"})).await, key(&gateway, json!({"team_id": "t"})).await);
    assert_eq!(chat(&gateway, &one, "m").await.status(), 200);
    assert_eq!(chat(&gateway, &two, "m").await.status(), 200);
    assert_eq!(chat(&gateway, &one, "m").await.status(), 429);
}

#[tokio::test]
async fn a_limit_for_a_model_leaves_others_alone() {
    let gateway = gateway();
    let key = key(&gateway, json!({"model_rpm_limit": {"m": 1}})).await;
    assert_eq!(chat(&gateway, &key, "m").await.status(), 200);
    assert_eq!(chat(&gateway, &key, "m").await.status(), 429);
    assert_eq!(chat(&gateway, &key, "n").await.status(), 200);
}

#[tokio::test]
async fn tokens_are_counted_and_a_raised_limit_lets_requests_in_again() {
    let gateway = gateway();
    // The mock uses 30 tokens a request.
    let key = key(&gateway, json!({"tpm_limit": 20})).await;
    assert_eq!(chat(&gateway, &key, "m").await.status(), 200);
    assert_eq!(chat(&gateway, &key, "m").await.status(), 429);
    made(&gateway, "/key/update", json!({"key": key, "tpm_limit": null})).await;
    assert_eq!(chat(&gateway, &key, "m").await.status(), 200);
}

#[tokio::test]
async fn a_change_of_the_key_does_not_forget_what_was_used() {
    let gateway = gateway();
    let key = key(&gateway, json!({"rpm_limit": 1})).await;
    assert_eq!(chat(&gateway, &key, "m").await.status(), 200);
    made(&gateway, "/key/update", json!({"key": key, "metadata": {"note": "changed"}})).await;
    assert_eq!(chat(&gateway, &key, "m").await.status(), 429);
}

#[tokio::test]
async fn limits_of_a_budget_hold_where_the_key_has_none_and_change_with_it() {
    let gateway = gateway();
    made(&gateway, "/budget/new", json!({"budget_id": "b", "rpm_limit": 1})).await;
    let key = key(&gateway, json!({"budget_id": "b"})).await;
    assert_eq!(chat(&gateway, &key, "m").await.status(), 200);
    assert_eq!(chat(&gateway, &key, "m").await.status(), 429);
    made(&gateway, "/budget/update", json!({"budget_id": "b", "rpm_limit": 1000})).await;
    assert_eq!(chat(&gateway, &key, "m").await.status(), 200);
}

#[tokio::test]
async fn a_stream_holds_its_place_until_it_ends() {
    let held = Reply::chat(["a"]).hold(After::Chunks(1));
    let fake = Fake::script([held, Reply::completion("b", 1, 1)]).await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let key = key(&gateway, json!({"max_parallel_requests": 1})).await;
    let url = format!("{}/v1/chat/completions", gateway.url);
    let body = chat_body("m", json!({"stream": true}));
    let stream = gateway.client.post(url).bearer_auth(&key).json(&body).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(chat(&gateway, &key, "m").await.status(), 429);
    fake.release();
    assert!(stream.text().await.unwrap().contains("[DONE]"));
    gateway.log("stream=true");
    assert_eq!(chat(&gateway, &key, "m").await.status(), 200);
}

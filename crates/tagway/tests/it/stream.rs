//! Streams of events.

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::gateway::{Answered as _, Gateway, at, config};

async fn one(fake: &Fake) -> Gateway {
    Gateway::start(&config(&[at("asked", "one", &fake.url(), "[default]")], ""))
}

async fn streamed(gateway: &Gateway, more: Value) -> String {
    let mut body = json!({"stream": true});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    gateway.chat("asked", body).send().await.unwrap().text().await.unwrap()
}

/// The JSON of every event, `[DONE]` left out.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn said(events: &[Value]) -> String {
    events.iter().filter_map(|event| event.pointer("/choices/0/delta/content")?.as_str()).collect()
}

#[tokio::test]
async fn a_stream_carries_the_name_asked_for_one_id_and_its_end() {
    let fake = Fake::sse(["Hel", "lo"]).await;
    let gateway = one(&fake).await;
    let answer = gateway.chat("asked", json!({"stream": true})).send().await.unwrap();
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(answer.deployment(), "one");
    let text = answer.text().await.unwrap();
    let events = events(&text);
    assert_eq!(said(&events), "Hello");
    assert!(events.iter().all(|event| event["model"] == "asked" && event["id"] == events[0]["id"]));
    assert!(text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn usage_is_always_asked_for_and_shown_to_those_who_asked() {
    let fake = Fake::sse(["Hi"]).await;
    let gateway = one(&fake).await;
    let unasked = events(&streamed(&gateway, json!({})).await);
    assert_eq!(fake.last().json()["stream_options"], json!({"include_usage": true}));
    assert!(unasked.iter().all(|event| event["usage"].is_null()));
    let asked = events(&streamed(&gateway, json!({"stream_options": {"include_usage": true}})).await);
    assert!(asked.last().unwrap()["usage"]["total_tokens"].is_u64());
    assert_eq!(asked.len(), unasked.len() + 1);
    gateway.log("completion_tokens");
}

#[tokio::test]
async fn stream_options_without_a_stream_stay_behind() {
    let fake = Fake::start().await;
    let gateway = one(&fake).await;
    let answer =
        gateway.chat("asked", json!({"stream_options": {"include_usage": true}})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(fake.last().json()["stream_options"], Value::Null);
}

#[tokio::test]
async fn events_arrive_when_they_are_sent() {
    let fake = Fake::script([Reply::chat(["first", "second"]).hold(After::Chunks(2))]).await;
    let gateway = one(&fake).await;
    let mut answer = gateway.chat("asked", json!({"stream": true})).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("first") {
        text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
    }
    assert!(!text.contains("second"));
    fake.release();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text += std::str::from_utf8(&chunk).unwrap();
    }
    assert_eq!(said(&events(&text)), "firstsecond");
}

#[tokio::test]
async fn a_provider_that_breaks_mid_stream_ends_it_with_an_error_event() {
    for reply in [
        Reply::chat(["a", "b", "c"]).reset(After::Chunks(2)),
        Reply::chat(["a", "b"]).close(After::Chunks(2)),
    ] {
        let fake = Fake::script([reply]).await;
        let gateway = one(&fake).await;
        let text = streamed(&gateway, json!({})).await;
        let events = events(&text);
        assert_eq!(said(&events), "a");
        assert_eq!(events.last().unwrap()["error"]["code"], "500", "{text}");
        assert!(!text.contains("[DONE]"));
        assert!(gateway.log("tagway::request").contains("upstream_broken"));
    }
}

#[tokio::test]
async fn an_error_event_of_the_provider_ends_the_stream() {
    let chunk = json!({"id": "c", "model": "x", "choices": [{"index": 0, "delta": {"content": "a"}}]});
    let error = json!({"error": {"message": "the model fell over", "type": "server_error"}});
    let fake = Fake::script([Reply::sse([chunk, error.clone()])]).await;
    let gateway = one(&fake).await;
    let text = streamed(&gateway, json!({})).await;
    assert!(text.ends_with("\"reason\":\"upstream_error\"}}\n\n"), "{text}");
    assert!(text.contains("the model fell over"));
    let fake = Fake::script([Reply::sse([error])]).await;
    let gateway = one(&fake).await;
    let answer = gateway.chat("asked", json!({"stream": true})).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.header("content-type")), (500, "application/json"));
}

#[tokio::test]
async fn a_stream_that_just_stops_still_gets_its_end() {
    let chunk = json!({"id": "c", "model": "x", "choices": [{"index": 0, "delta": {"content": "a"}}]});
    let fake = Fake::script([Reply::sse([chunk])]).await;
    let gateway = one(&fake).await;
    assert!(streamed(&gateway, json!({})).await.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn what_comes_behind_the_end_mark_is_no_matter() {
    let chunk =
        json!({"id": "c", "model": "x", "choices": [{"index": 0, "delta": {"content": "a"}}]}).to_string();
    let whole = || Reply::sse([chunk.clone(), "[DONE]".to_owned()]);
    for reply in [whole().close(After::Body), whole().reset(After::Body), whole().stall(After::Body)] {
        let fake = Fake::script([reply]).await;
        let gateway = one(&fake).await;
        let text = streamed(&gateway, json!({})).await;
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        assert_eq!(text.matches("data: ").count(), 2, "{text}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_upstream_call() {
    let fake = Fake::script([Reply::chat(["a", "b"]).stall(After::Chunks(2))]).await;
    let gateway = one(&fake).await;
    let mut answer = gateway.chat("asked", json!({"stream": true})).send().await.unwrap();
    answer.chunk().await.unwrap().unwrap();
    drop(answer);
    fake.until_client_left().await;
    assert!(gateway.log("tagway::request").contains("client_left"));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_cancels_too() {
    let fake = Fake::script([Reply::ok().stall(After::Request)]).await;
    let gateway = one(&fake).await;
    let call = tokio::spawn(gateway.chat("asked", json!({})).send());
    fake.until_hits(1).await;
    call.abort();
    fake.until_client_left().await;
}

#[tokio::test]
async fn a_silent_provider_is_given_up() {
    let fake = Fake::script([Reply::chat(["a", "b"]).stall(After::Chunks(2))]).await;
    let params = format!("model: openai/x, api_base: '{}/v1', api_key: k, stream_timeout: 0.2", fake.url());
    let gateway = Gateway::start(&config(&[crate::gateway::deployment("asked", "one", &params)], ""));
    let text = streamed(&gateway, json!({})).await;
    assert!(text.contains("\"reason\":\"timeout\""), "{text}");
    fake.until_client_left().await;
}

#[tokio::test]
async fn events_cut_at_any_byte_arrive_whole() {
    let fake = Fake::script([Reply::chat(["Hé", "😀", "lo"]).split_every(3)]).await;
    let gateway = one(&fake).await;
    assert_eq!(said(&events(&streamed(&gateway, json!({})).await)), "Hé😀lo");
}

#[tokio::test]
async fn responses_stream_too() {
    let fake = Fake::start().await;
    let gateway = one(&fake).await;
    let request = gateway.post("/v1/responses", &json!({"model": "asked", "input": "x", "stream": true}));
    let text = request.send().await.unwrap().text().await.unwrap();
    let events = events(&text);
    assert_eq!(events.last().unwrap()["type"], "response.completed");
    assert_eq!(events.last().unwrap()["response"]["model"], "asked");
    assert!(text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_mock_streams_without_any_upstream() {
    let gateway = Gateway::start(&config(
        &[crate::gateway::deployment("asked", "one", "model: openai/x, mock_response: 'Hello you'")],
        "",
    ));
    let text = streamed(&gateway, json!({"stream_options": {"include_usage": true}})).await;
    let events = events(&text);
    assert_eq!(said(&events), "Hello you");
    assert_eq!(events.last().unwrap()["usage"]["total_tokens"], 30);
}

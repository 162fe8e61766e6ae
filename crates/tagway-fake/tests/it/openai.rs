//! The default script, as an OpenAI client would meet it.

use serde_json::{Value, json};
use tagway_fake::{Fake, OpenAi, Reply};

use crate::support::{Client, End, parsed, post};

const CHAT: &str = "/v1/chat/completions";

fn chat(model: &str, stream: bool) -> String {
    json!({"model": model, "messages": [{"role": "user", "content": "12345678"}], "stream": stream})
        .to_string()
}

fn said(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn chats() {
    let fake = Fake::named("free").await;
    let got = post(&fake, CHAT, &chat("gpt-x", false)).await;
    let body = got.json();
    assert_eq!(body["choices"][0]["message"]["content"], "Hello from free");
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("gpt-x")));
    let usage = &body["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(2), &json!(4), &json!(6))
    );
    for line in
        ["openai-processing-ms: 1", "x-ratelimit-limit-requests: 100", "x-ratelimit-remaining-requests: 99"]
    {
        assert!(got.has(line), "{line}");
    }
    assert!(got.head.contains("\r\nx-request-id: req_"));
}

#[tokio::test]
async fn streams_chats_with_usage_only_if_asked() {
    let fake = Fake::sse(["Hel", "lo"]).await;
    let got = post(&fake, CHAT, &chat("m", true)).await;
    let chunks = parsed(&got.events());
    assert!(got.has("content-type: text/event-stream; charset=utf-8"));
    assert_eq!((said(&chunks).as_str(), chunks.len()), ("Hello", 4));
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(got.events().last().unwrap(), "[DONE]");

    let asked = r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;
    let chunks = parsed(&post(&fake, CHAT, asked).await.events());
    assert_eq!((chunks.len(), &chunks[4]["choices"]), (5, &json!([])));
    assert_eq!((&chunks[3]["usage"], &chunks[4]["usage"]["total_tokens"]), (&json!(null), &json!(2)));

    let whole = post(&fake, CHAT, &chat("m", false)).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], "Hello");
}

#[tokio::test]
async fn scripted_chats_do_not_depend_on_the_request() {
    let fake = Fake::script([
        Reply::chat(["a", "b"]),
        Reply::chat_with_usage(["c"], 9, 2),
        Reply::completion("d", 5, 1),
    ])
    .await;
    assert_eq!(said(&parsed(&post(&fake, "/", "").await.events())), "ab");
    let chunks = parsed(&post(&fake, "/", "").await.events());
    assert_eq!(chunks[3]["usage"]["total_tokens"], 11);
    let whole = post(&fake, "/", "").await.json();
    assert_eq!(
        (&whole["choices"][0]["message"]["content"], &whole["usage"]["prompt_tokens"]),
        (&json!("d"), &json!(5))
    );
}

#[tokio::test]
async fn usage_and_chunks_can_be_set() {
    let fake = Fake::run(OpenAi::named("x").chunks(5).usage(1000, 50)).await;
    let chunks = parsed(&post(&fake, CHAT, &chat("m", true)).await.events());
    assert_eq!((chunks.len(), said(&chunks).as_str()), (7, "Hello from x Hello from "));
    assert_eq!(post(&fake, CHAT, &chat("m", false)).await.json()["usage"]["total_tokens"], 1050);
}

#[tokio::test]
async fn completes() {
    let fake = Fake::start().await;
    let got = post(&fake, "/v1/completions", r#"{"model":"m","prompt":[1,2,3]}"#).await.json();
    assert_eq!(
        (&got["object"], &got["choices"][0]["text"]),
        (&json!("text_completion"), &json!("Hello from fake"))
    );
    assert_eq!(got["usage"]["prompt_tokens"], 3);
    let events = post(&fake, "/v1/completions", r#"{"model":"m","prompt":"p","stream":true}"#).await.events();
    let text: String =
        parsed(&events).iter().map(|c| c["choices"][0]["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!((text.as_str(), events.last().unwrap().as_str()), ("Hello from fake", "[DONE]"));
}

#[tokio::test]
async fn embeds_every_kind_of_input() {
    let fake = Fake::start().await;
    let embed = async |input: Value, format: &str| {
        let body = json!({"model": "e", "input": input, "encoding_format": format}).to_string();
        post(&fake, "/v1/embeddings", &body).await.json()
    };
    for (input, count, tokens) in [
        (json!("12345"), 1, 2),
        (json!(["12345", "b"]), 2, 3),
        (json!([1, 2, 3]), 1, 3),
        (json!([[1, 2], [3]]), 2, 3),
    ] {
        let got = embed(input, "float").await;
        assert_eq!(
            (got["data"].as_array().unwrap().len(), &got["usage"]["total_tokens"]),
            (count, &json!(tokens))
        );
        assert_eq!(got["data"][0]["embedding"].as_array().unwrap().len(), 8);
    }
    let coded = embed(json!("12345"), "base64").await["data"][0]["embedding"].as_str().unwrap().len();
    assert_eq!(coded, 44);
    assert_eq!(embed(json!([]), "float").await["error"]["message"], "'$.input' is invalid.");
}

#[tokio::test]
async fn responds() {
    let fake = Fake::start().await;
    let whole = post(&fake, "/v1/responses", r#"{"model":"m","input":"12345678"}"#).await.json();
    assert_eq!(whole["output"][0]["content"][0]["text"], "Hello from fake");
    assert_eq!((&whole["status"], &whole["usage"]["total_tokens"]), (&json!("completed"), &json!(6)));

    let got = post(&fake, "/v1/responses", r#"{"model":"m","input":"12345678","stream":true}"#).await;
    let text = got.text();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: response.")).collect();
    assert_eq!(
        names,
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
    );
    let events = parsed(&got.events());
    assert_eq!((&events[4]["delta"], &events[4]["sequence_number"]), (&json!("Hello "), &json!(4)));
    assert_eq!(events[10]["response"]["usage"]["output_tokens"], 4);
}

#[tokio::test]
async fn lists_models() {
    let fake = Fake::named("free").await;
    let mut client = Client::to(&fake).await;
    client.send("GET /v1/models HTTP/1.1\r\nHost: f\r\n\r\n").await;
    let got = client.reply().await.json();
    assert_eq!(
        (&got["object"], &got["data"][0]["id"], &got["data"][1]["id"]),
        (&json!("list"), &json!("free"), &json!("fake-400"))
    );
}

#[tokio::test]
async fn refuses_in_the_shape_of_openai() {
    let fake = Fake::start().await;
    for (path, body, status, word) in [
        ("/v1/nothing", "{}", 404, "Invalid URL"),
        ("/v1/models", "{}", 405, "Not allowed"),
        (CHAT, "not json", 400, "parse the JSON body"),
        (CHAT, "{}", 400, "model parameter"),
        (CHAT, r#"{"model":"m"}"#, 400, "'messages'"),
        (CHAT, r#"{"model":"m","messages":[],"stream":"yes"}"#, 400, "'stream'"),
        (CHAT, r#"{"model":"m","messages":[],"stream_options":{"include_usage":true}}"#, 400, "only allowed"),
    ] {
        let got = post(&fake, path, body).await;
        assert_eq!(got.status, status, "{body}");
        assert!(got.json()["error"]["message"].as_str().unwrap().contains(word), "{}", got.text());
    }
}

#[tokio::test]
async fn models_fail_as_they_are_called() {
    let fake = Fake::start().await;
    for (model, status) in [("fake-400", 400), ("fake-401", 401), ("openai/fake-429", 429), ("fake-500", 500)]
    {
        let got = post(&fake, CHAT, &chat(model, true)).await;
        assert_eq!((got.status, got.has("retry-after: 2")), (status, status == 429));
    }
    let provoked = async |model: &str, stream: bool| {
        let mut client = Client::to(&fake).await;
        client.post(CHAT, &chat(model, stream)).await;
        let (bytes, end) = client.rest().await;
        (String::from_utf8(bytes).unwrap(), end)
    };
    assert_eq!(provoked("fake-reset", false).await, (String::new(), End::Reset));
    let (bytes, end) = provoked("fake-reset", true).await;
    assert!(bytes.contains("Hello ") && !bytes.contains("[DONE]") && end == End::Reset);
    for stream in [false, true] {
        let (bytes, end) = provoked("fake-truncated", stream).await;
        assert!(
            bytes.starts_with("HTTP/1.1 200") && !bytes.contains("stop") && end == End::Closed,
            "{bytes}"
        );
    }
    assert!(provoked("fake-garbage", false).await.0.starts_with("this is not"));
    let slow = post(&fake, CHAT, &chat("fake-slow", true)).await;
    assert_eq!(said(&parsed(&slow.events())), "Hello from fake");

    let mut client = Client::to(&fake).await;
    client.post(CHAT, &chat("fake-stall", true)).await;
    client.until(b"data: ").await;
    drop(client);
    fake.until_client_left().await;
}

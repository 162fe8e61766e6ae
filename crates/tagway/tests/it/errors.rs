//! What clients see when something is wrong: one shape, LiteLLM's words, a status that SDKs understand.

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::gateway::{Answered as _, Gateway, KEY, at, config, deployment, error};

async fn refused_with(reply: Reply) -> (u16, Value, Fake) {
    let fake = Fake::script([reply]).await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let (status, body) = error(gateway.chat("m", json!({}))).await;
    (status, body, fake)
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_told_what_is_wrong() {
    let gateway = Gateway::start(&config(&[deployment("m", "one", "model: openai/x, mock_response: a")], ""));
    let deep = format!(r#"{{"model":"m","messages":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let mut seen = Vec::new();
    for body in [
        r#"{"model": "m", "messages": ["#,
        "",
        "[1]",
        "null",
        r#"{"model": 5, "messages": []}"#,
        r#"{"messages": [{}]}"#,
        r#"{"model": "m"}"#,
        r#"{"model": "m", "model": "n", "messages": []}"#,
        r#"{"model": "m", "messages": [], "stream": "yes"}"#,
        r#"{"model": "m", "messages": [], "timeout": "soon"}"#,
        r#"{"model": "m", "messages": [], "num_retries": -1}"#,
        r#"{"model": "m", "messages": [], "fallbacks": "n"}"#,
        r#"{"model": "m", "messages": [], "tags": 5}"#,
        r#"{"model": "m", "messages": [], "litellm_metadata": 5}"#,
        r#"{"model": "m", "messages": [], "metadata": {"tags": {}}}"#,
        &deep,
    ] {
        let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(KEY);
        let (status, answer) = error(request.body(body.to_owned())).await;
        let shown: String = body.chars().take(60).collect();
        seen.push(json!({"body": shown, "status": status, "answer": answer["error"]}));
    }
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(KEY);
    let (status, answer) = error(request.body(&b"{\"model\": \"\xff\"}"[..])).await;
    seen.push(json!({"body": "invalid UTF-8", "status": status, "answer": answer["error"]}));
    insta::assert_json_snapshot!(seen);
}

#[tokio::test]
async fn a_providers_refusal_keeps_its_status_and_message() {
    let mut seen = Vec::new();
    for status in [400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504] {
        let (status, body, _fake) = refused_with(Reply::error(status, "the provider says so")).await;
        assert_eq!(body["error"]["code"], status.to_string());
        seen.push(format!("{status} {} · {}", body["error"]["type"], body["error"]["message"]));
    }
    insta::assert_snapshot!(seen.join("\n"));
}

#[tokio::test]
async fn a_key_the_provider_repeats_is_hidden() {
    let (_, body, _fake) = refused_with(Reply::error(401, "Incorrect API key provided: sk-upstream")).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("Incorrect API key provided: ***"), "{message}");
}

#[tokio::test]
async fn a_provider_that_answers_nonsense_is_a_500() {
    let mut seen = Vec::new();
    for reply in [
        Reply::completion("hello", 1, 1).cut(20),
        Reply::raw(200, "text/html", "<html>hello</html>"),
        Reply::empty(200),
        Reply::ok().reset(After::Request),
        Reply::ok().reset(After::Head),
        Reply::garbage("not http at all\r\n\r\n"),
    ] {
        let (status, body, _fake) = refused_with(reply).await;
        assert_eq!(status, 500);
        seen.push(body["error"]["message"].as_str().unwrap().to_owned());
    }
    insta::assert_snapshot!(seen.join("\n---\n"));
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_a_500_that_hides_the_address() {
    let gateway = Gateway::start(&config(&[at("m", "one", "http://127.0.0.1:9", "[default]")], ""));
    let (status, body) = error(gateway.chat("m", json!({}))).await;
    assert_eq!(status, 500);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("litellm.InternalServerError"), "{message}");
    assert!(!message.contains("127.0.0.1"), "{message}");
}

#[tokio::test]
async fn a_late_provider_is_a_408_whoever_set_the_limit() {
    let fake = Fake::script([Reply::ok().stall(After::Request)]).await;
    let params = |more: &str| format!("model: openai/x, api_base: '{}/v1', api_key: k{more}", fake.url());
    let gateway = Gateway::start(&config(
        &[deployment("slow", "a", &params(", timeout: 0.2")), deployment("other", "b", &params(""))],
        "",
    ));
    let by_config = gateway.chat("slow", json!({}));
    let by_body = gateway.chat("other", json!({"timeout": 0.2}));
    let by_header = gateway.chat("other", json!({})).header("x-litellm-timeout", "0.2");
    let streaming = gateway.chat("other", json!({"stream": true, "timeout": 0.2}));
    for (request, value, own) in [
        (by_config, " - timeout value=0.2", "timeout: 0.2"),
        (by_body, " - timeout value=0.2", "timeout: None"),
        (by_header, " - timeout value=0.2", "timeout: None"),
        (streaming, "\n\nDeployment Info: request_timeout: None", "timeout: None"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.header("x-litellm-timeout")), (408, "0.2"));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "408");
        let message = body["error"]["message"].as_str().unwrap();
        let start = "litellm.Timeout: APITimeoutError - Request timed out. Error_str: Request timed out.";
        assert!(message.starts_with(&format!("{start}{value}")), "{message}");
        assert!(message.contains(&format!("Deployment Info: request_timeout: None\n{own}\n\n")), "{message}");
    }
}

#[tokio::test]
async fn mocks_play_errors() {
    let names = ["RateLimitError", "InternalServerError", "ContextWindowExceededError"];
    let deployments =
        names.map(|name| deployment(name, name, &format!("model: openai/x, mock_response: litellm.{name}")));
    let gateway = Gateway::start(&config(&deployments, ""));
    let mut statuses = Vec::new();
    for name in names {
        let (status, body) = error(gateway.chat(name, json!({}))).await;
        assert!(body["error"]["message"].as_str().unwrap().starts_with(&format!("litellm.{name}")));
        statuses.push(status);
    }
    assert_eq!(statuses, [429, 500, 400]);
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_as_litellm_does() {
    let gateway = Gateway::start(&config(&[deployment("m", "one", "model: openai/x, mock_response: a")], ""));
    let (status, body) = error(gateway.get("/no/such/path")).await;
    assert_eq!((status, body), (404, json!({"detail": "Not Found"})));
    let answer = gateway.get("/v1/chat/completions").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.header("allow")), (405, "POST"));
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"detail": "Method Not Allowed"}));
    let (status, _) = error(gateway.post("/v1/models", &json!({}))).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn an_error_carries_a_call_id_and_the_providers_headers_but_no_deployment() {
    let fake = Fake::script([Reply::error(400, "no").header("x-ratelimit-remaining-requests", "3")]).await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let answer = gateway.chat("m", json!({})).send().await.unwrap();
    assert!(!answer.header("x-litellm-call-id").is_empty());
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "3");
    assert!(answer.headers().get("x-litellm-model-id").is_none());
}

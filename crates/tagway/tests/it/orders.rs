//! Groups with an `order`, fallbacks a request names, and what the answer says of them.

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::gateway::{Answered as _, Gateway, config, deployment, error};

fn ordered(id: &str, fake: &Fake, order: u32) -> String {
    deployment(
        "m",
        id,
        &format!("model: openai/x, api_base: '{}/v1', api_key: k, order: {order}", fake.url()),
    )
}

fn settings(more: &str) -> String {
    format!("router_settings: {{enable_tag_filtering: true, {more}}}\n")
}

#[tokio::test]
async fn the_next_order_serves_as_a_fallback_once_the_first_has_failed() {
    for (status, calls) in [(500, 3), (400, 1)] {
        let (bad, good) = (Fake::script([Reply::error(status, "no")]).await, Fake::start().await);
        let settings = settings("num_retries: 2, disable_cooldowns: true");
        let gateway =
            Gateway::start(&config(&[ordered("first", &bad, 1), ordered("second", &good, 2)], &settings));
        let answer = gateway.chat("m", json!({})).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "second"));
        assert_eq!(answer.header("x-litellm-attempted-fallbacks"), "1");
        assert_eq!(answer.header("x-litellm-attempted-retries"), "0");
        assert_eq!(answer.header("x-litellm-model-group"), "m");
        assert_eq!((bad.hits(), good.hits()), (calls, 1));
    }
}

#[tokio::test]
async fn a_retry_goes_to_the_next_order_while_the_first_cools_down() {
    let (bad, good) = (Fake::script([Reply::error(429, "no")]).await, Fake::start().await);
    for (retries, expected) in [(1, ("1", "0")), (0, ("0", "1"))] {
        let settings = settings(&format!("num_retries: {retries}"));
        let gateway =
            Gateway::start(&config(&[ordered("first", &bad, 1), ordered("second", &good, 2)], &settings));
        let answer = gateway.chat("m", json!({})).send().await.unwrap();
        assert_eq!(answer.deployment(), "second");
        let counts =
            (answer.header("x-litellm-attempted-retries"), answer.header("x-litellm-attempted-fallbacks"));
        assert_eq!(counts, expected);
        let answer = gateway.chat("m", json!({})).send().await.unwrap();
        assert_eq!(answer.header("x-litellm-attempted-fallbacks"), "0");
    }
    assert_eq!((bad.hits(), good.hits()), (2, 4));
}

#[tokio::test]
async fn a_refused_key_cools_a_lone_deployment_down_and_a_rate_limit_does_not() {
    for (status, then) in [(401, "cooling_down"), (404, "cooling_down"), (429, "upstream_refused")] {
        let fake = Fake::script([Reply::error(status, "no")]).await;
        let gateway = Gateway::start(&config(&[ordered("one", &fake, 1)], &settings("num_retries: 0")));
        assert_eq!(error(gateway.chat("m", json!({}))).await.0, status);
        let (again, body) = error(gateway.chat("m", json!({}))).await;
        assert_eq!((again, &body["error"]["reason"]), (429, &json!(then)));
    }
}

#[tokio::test]
async fn a_requests_fallbacks_may_be_objects_and_an_empty_list_forbids_them() {
    let (bad, other) = (Fake::script([Reply::error(500, "no")]).await, Fake::start().await);
    let at = |name: &str, fake: &Fake| {
        deployment(name, name, &format!("model: openai/x, api_base: '{}/v1', api_key: k", fake.url()))
    };
    let deployments =
        [at("m", &bad), at("n", &other), deployment("o", "o", "model: openai/x, mock_response: o")];
    let settings = settings("num_retries: 0, fallbacks: [{m: [o]}]");
    let gateway = Gateway::start(&config(&deployments, &settings));
    for fallbacks in [
        json!(["n"]),
        json!([{"m": ["n"]}]),
        json!([{"o": ["o"]}, {"m": ["n"]}]),
        json!([{"model": "n", "messages": [{"role": "user", "content": "shorter"}]}]),
        json!(["unknown", "n"]),
    ] {
        let answer = gateway.chat("m", json!({"fallbacks": fallbacks, "tags": []})).send().await.unwrap();
        assert_eq!((answer.deployment(), answer.header("x-litellm-attempted-fallbacks")), ("n", "1"));
        assert_eq!(answer.json::<Value>().await.unwrap()["model"], "m");
    }
    let replaced = other.requests().into_iter().filter(|seen| seen.text().contains("shorter")).count();
    assert_eq!(replaced, 1);
    assert!(!other.last().text().contains("fallbacks"), "{}", other.last().text());
    assert_eq!(error(gateway.chat("m", json!({"fallbacks": []}))).await.0, 500);
    let (status, body) = error(gateway.chat("m", json!({"fallbacks": [{"m": 5}]}))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("fallbacks")));
}

#[tokio::test]
async fn a_request_may_name_groups_for_long_prompts_and_forbidden_content() {
    for (field, code) in [
        ("context_window_fallbacks", "context_length_exceeded"),
        ("content_policy_fallbacks", "content_policy_violation"),
    ] {
        let refusal = Reply::json(400, &json!({"error": {"message": "no", "code": code}}));
        let fake = Fake::script([refusal]).await;
        let deployments =
            [ordered("small", &fake, 1), deployment("n", "large", "model: openai/x, mock_response: b")];
        let gateway = Gateway::start(&config(&deployments, ""));
        let answer = gateway.chat("m", json!({field: [{"m": ["n"]}]})).send().await.unwrap();
        assert_eq!(answer.deployment(), "large");
        assert_eq!(error(gateway.chat("m", json!({field: [{"o": ["n"]}]}))).await.0, 400);
    }
}

#[tokio::test]
async fn when_fallbacks_fail_too_the_first_error_names_the_last() {
    let (bad, worse) =
        (Fake::script([Reply::error(500, "one")]).await, Fake::script([Reply::error(503, "two")]).await);
    let at = |name: &str, fake: &Fake| {
        deployment(name, name, &format!("model: openai/x, api_base: '{}/v1', api_key: k", fake.url()))
    };
    let settings = settings("num_retries: 1, retry_after: 0, fallbacks: [{m: [n]}]");
    let gateway = Gateway::start(&config(&[at("m", &bad), at("n", &worse)], &settings));
    let answer = gateway.chat("m", json!({})).send().await.unwrap();
    for absent in ["x-litellm-attempted-retries", "x-litellm-attempted-fallbacks", "x-litellm-model-group"] {
        assert_eq!(answer.header(absent), "");
    }
    insta::assert_json_snapshot!(answer.json::<Value>().await.unwrap());
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_is_not_tried_again_but_may_fall_back() {
    let failing = Reply::sse([r#"{"error": {"message": "overloaded"}}"#]);
    let fake = Fake::script([failing]).await;
    let deployments = [ordered("one", &fake, 1), deployment("n", "two", "model: openai/x, mock_response: b")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 2")));
    let (status, body) = error(gateway.chat("m", json!({"stream": true}))).await;
    assert_eq!((status, fake.hits()), (500, 1));
    let message = "litellm.APIConnectionError: APIConnectionError: OpenAIException - overloaded";
    assert_eq!(body["error"]["message"], message);
    let answer = gateway.chat("m", json!({"stream": true, "fallbacks": ["n"]})).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "two"));
}

#[tokio::test]
async fn a_deployment_has_retries_of_its_own_under_either_name() {
    for name in ["num_retries", "max_retries"] {
        let fake = Fake::script([Reply::error(500, "no")]).await;
        let params = format!("model: openai/x, api_base: '{}/v1', api_key: k, {name}: 0", fake.url());
        let gateway =
            Gateway::start(&config(&[deployment("m", "one", &params)], &settings("num_retries: 2")));
        assert_eq!(error(gateway.chat("m", json!({}))).await.0, 500);
        assert_eq!(fake.hits(), 1);
    }
}

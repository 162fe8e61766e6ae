//! What a provider gets to see, and what it does not.

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::gateway::{Answered as _, Gateway, KEY, at, chat_body, config, deployment};

#[tokio::test]
async fn the_body_keeps_its_bytes_but_for_the_model_and_the_gateways_own_fields() {
    let fake = Fake::start().await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let body = r#"{ "model" : "m","tags":["x"], "messages":[ {"role":"user","content":"h\u00e9 \ud83d\ude00"} ],
 "temperature":1.50,"metadata":{"tags":["y"],"a":"b"},"litellm_metadata":{"k":1},"unknown":{"z":[1e2]},"timeout":9 }"#;
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(KEY);
    assert_eq!(request.body(body).send().await.unwrap().status(), 200);
    assert_eq!(
        fake.last().text(),
        r#"{ "model" : "gpt-4o", "messages":[ {"role":"user","content":"h\u00e9 \ud83d\ude00"} ],
 "temperature":1.50,"unknown":{"z":[1e2]}}"#
    );
    assert_eq!(fake.malformed(), Vec::<String>::new());
}

#[tokio::test]
async fn no_header_of_the_client_reaches_the_provider_but_the_trace() {
    let fake = Fake::start().await;
    let params = format!(
        "model: openai/gpt-4o, api_base: '{}/v1/', api_key: sk-upstream, organization: org-1, tags: [t], extra_headers: {{X-Team: blue}}",
        fake.url()
    );
    let gateway = Gateway::start(&config(&[deployment("m", "one", &params)], ""));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = gateway.chat("m", json!({})).header("user-agent", "secret-agent").header("cookie", "a=b");
    let request =
        request.header("x-api-key", "sk-client").header("traceparent", trace).header("x-litellm-tags", "t");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let seen = fake.last();
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.header("authorization"), Some("Bearer sk-upstream"));
    assert_eq!(seen.header("openai-organization"), Some("org-1"));
    assert_eq!(seen.header("x-team"), Some("blue"));
    assert_eq!(seen.header("traceparent"), Some(trace));
    assert_eq!(seen.header("host"), fake.url().strip_prefix("http://"));
    let head = String::from_utf8(seen.head).unwrap().to_lowercase();
    for secret in ["secret-agent", "a=b", "sk-client", KEY, "x-litellm"] {
        assert!(!head.contains(secret), "{head}");
    }
    assert_eq!(answer.header("x-litellm-model-api-base"), format!("{}/v1/", fake.url()));
}

#[tokio::test]
async fn defaults_of_the_deployment_are_added_and_the_clients_win() {
    let fake = Fake::start().await;
    let params = format!(
        "model: openai/gpt-4o, api_base: '{}/v1', api_key: k, temperature: 0.5, max_tokens: 7, seed: 3",
        fake.url()
    );
    let gateway = Gateway::start(&config(&[deployment("m", "one", &params)], ""));
    gateway.chat("m", json!({"max_tokens": 9})).send().await.unwrap();
    let body = fake.last().json();
    assert_eq!(
        (&body["temperature"], &body["max_tokens"], &body["seed"]),
        (&json!(0.5), &json!(9), &json!(3))
    );
}

#[tokio::test]
async fn metadata_goes_where_the_provider_has_it_less_its_tags() {
    let fake = Fake::start().await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let metadata = json!({"tags": ["x"], "trace": "t", "n": 1});
    gateway
        .post("/v1/responses", &json!({"model": "m", "input": "x", "metadata": metadata}))
        .send()
        .await
        .unwrap();
    assert_eq!(fake.last().json()["metadata"], json!({"trace": "t"}));
    gateway.chat("m", json!({"metadata": metadata})).send().await.unwrap();
    assert_eq!(fake.last().json()["metadata"], Value::Null);
    gateway.chat("m", json!({"metadata": metadata, "store": true})).send().await.unwrap();
    assert_eq!(fake.last().json()["metadata"], json!({"trace": "t"}));
}

#[tokio::test]
async fn every_endpoint_reaches_its_own_path() {
    let fake = Fake::start().await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    for (path, body) in [
        ("/v1/completions", json!({"model": "m", "prompt": "x"})),
        ("/completions", json!({"model": "m", "prompt": "x"})),
        ("/v1/embeddings", json!({"model": "m", "input": ["x", "y"]})),
        ("/v1/responses", json!({"model": "m", "input": "x"})),
        ("/openai/deployments/m/embeddings", json!({"input": "x"})),
        ("/engines/m/completions", json!({"prompt": "x"})),
    ] {
        let answer = gateway.post(path, &body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["model"], "m", "{path}");
        let kind = path.rsplit('/').next().unwrap();
        assert_eq!(fake.last().path, format!("/v1/{kind}"), "{path}");
    }
}

#[tokio::test]
async fn connections_to_a_provider_are_reused() {
    let fake = Fake::start().await;
    let config = config(&[at("m", "one", &fake.url(), "[default]")], "");
    let gateway = Gateway::start_with(&config, &["--workers", "1"], &[]);
    for stream in [false, true, false, true] {
        gateway.chat("m", json!({"stream": stream})).send().await.unwrap().bytes().await.unwrap();
    }
    assert_eq!((fake.hits(), fake.connections()), (4, 1));
}

#[tokio::test]
async fn a_connection_the_provider_closed_meanwhile_is_not_noticed_by_the_client() {
    let fake =
        Fake::script([Reply::completion("a", 1, 1).connection_close(), Reply::completion("b", 1, 1)]).await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    for _ in 0..2 {
        assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn names_that_mean_something_to_the_gateway_stay_behind() {
    let fake = Fake::start().await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let more = json!({
        "num_retries": 0, "cache": {}, "rpm": 1, "order": 2, "id": "x", "aws_region_name": "r", "no-log": true,
        "router_settings": {"enable_tag_filtering": false}, "user_api_key_team_id": "t", "inherited_tags": ["a"],
        "mock_response": "hello", "request_timeout": 9, "kept": 1,
    });
    let answer = gateway.chat("m", more).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let seen = fake.last().json();
    let names: Vec<&str> = seen.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["model", "messages", "kept"]);
    let refused = gateway.chat("m", json!({"mock_testing_fallbacks": true})).send().await.unwrap();
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn a_client_may_not_choose_the_upstream_or_its_credentials() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    for (field, value) in [
        ("api_base", json!(other.url())),
        ("base_url", json!(other.url())),
        ("api_key", json!("sk-mine")),
        ("extra_headers", json!({"a": "b"})),
        ("user_config", json!({})),
    ] {
        let answer = gateway
            .post("/v1/chat/completions", &chat_body("m", json!({field: value})))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 401, "{field}");
        let body: Value = answer.json().await.unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains(field), "{body}");
    }
    assert_eq!((fake.hits(), other.hits()), (0, 0));
}

#[tokio::test]
async fn the_answers_headers_tell_who_answered_and_what_the_provider_said() {
    let fake = Fake::start().await;
    let params = format!(
        "model: openai/gpt-4o, api_base: '{}/v1', api_key: k, input_cost_per_token: 0.001, output_cost_per_token: 0.002",
        fake.url()
    );
    let gateway = Gateway::start(&config(&[deployment("m", "one", &params)], ""));
    let answer = gateway.chat("m", json!({})).header("x-litellm-call-id", "my-call").send().await.unwrap();
    let shown = |name: &str| answer.header(name).to_owned();
    assert_eq!(shown("x-litellm-call-id"), "my-call");
    assert_eq!(shown("x-litellm-model-id"), "one");
    assert_eq!(shown("x-litellm-model-name"), "openai/gpt-4o");
    assert_eq!(shown("x-litellm-model-group"), "m");
    assert_eq!(shown("x-litellm-attempted-retries"), "0");
    assert_eq!(shown("x-litellm-attempted-fallbacks"), "0");
    assert_eq!(shown("x-ratelimit-limit-requests"), "100");
    assert_eq!(shown("llm_provider-x-ratelimit-limit-requests"), "100");
    assert_eq!(shown("llm_provider-content-type"), "application/json");
    let number = |name: &str| answer.header(name).parse::<f64>().unwrap();
    assert!(number("x-litellm-overhead-duration-ms") <= number("x-litellm-response-duration-ms"));
    let cost = number("x-litellm-response-cost");
    assert!(
        (cost - number("x-litellm-response-cost-input") - number("x-litellm-response-cost-output")).abs()
            < 1e-9
    );
    assert!(0.0 < cost);
}

//! Small things LiteLLM does that clients have come to rely on.

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::gateway::{Answered as _, Gateway, KEY, at, config, deployment, error};

fn wild() -> Gateway {
    let settings = "router_settings:\n  enable_tag_filtering: true\n  model_group_alias: {nick: openai/zed, short: m}\n  fallbacks: [{bad: [openai/other]}]\n  num_retries: 0\n";
    let deployments = [
        deployment("m", "one", "model: openai/x, mock_response: a"),
        deployment("bad", "bad", "model: openai/x, mock_response: litellm.InternalServerError"),
        deployment("'openai/*'", "wild", "model: 'openai/*', mock_response: c"),
    ];
    Gateway::start(&config(&deployments, settings))
}

#[tokio::test]
async fn the_group_header_says_the_name_that_was_asked_for() {
    let gateway = wild();
    for (model, group, name) in [
        ("m", "m", "openai/x"),
        ("short", "short", "openai/x"),
        ("one", "one", "openai/x"),
        ("openai/foo", "openai/foo", "openai/foo"),
        ("nick", "nick", "openai/zed"),
        ("gpt-4o", "gpt-4o", "openai/gpt-4o"),
        ("bad", "openai/other", "openai/other"),
    ] {
        let answer = gateway.chat(model, json!({})).send().await.unwrap();
        let said = (answer.header("x-litellm-model-group"), answer.header("x-litellm-model-name"));
        assert_eq!(said, (group, name), "{model}");
        assert_eq!(answer.json::<Value>().await.unwrap()["model"], model);
    }
    assert_eq!(error(gateway.chat("nobody-knows", json!({}))).await.0, 400);
}

#[tokio::test]
async fn an_alias_of_what_a_wildcard_knows_sends_the_name_it_stands_for() {
    let fake = Fake::start().await;
    let params = format!("model: 'openai/*', api_base: '{}/v1', api_key: k", fake.url());
    let settings = "router_settings: {model_group_alias: {nick: any/zed}}\n";
    let gateway = Gateway::start(&config(&[deployment("'any/*'", "wild", &params)], settings));
    assert_eq!(gateway.chat("nick", json!({})).send().await.unwrap().status(), 200);
    assert_eq!(fake.last().json()["model"], "zed");
}

#[tokio::test]
async fn a_request_that_names_no_model_is_refused_even_by_a_wildcard() {
    let gateway =
        Gateway::start(&config(&[deployment("'*'", "star", "model: 'openai/*', mock_response: a")], ""));
    let request = gateway.post("/v1/chat/completions", &json!({"messages": []}));
    let (status, body) = error(request).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("model=None"), "{body}");
}

#[tokio::test]
async fn a_page_in_a_browser_may_call_and_read() {
    let gateway = wild();
    let origin = "http://page.example";
    let answer = gateway.chat("m", json!({})).header("origin", origin).send().await.unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let refused = gateway.chat("unknown", json!({})).header("origin", origin).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.header("access-control-allow-origin")), (400, "*"));
    let none = gateway.chat("m", json!({})).send().await.unwrap();
    assert_eq!(none.header("access-control-allow-origin"), "");
    let asked =
        gateway.client.request(reqwest::Method::OPTIONS, format!("{}/v1/chat/completions", gateway.url));
    let asked = asked.header("origin", origin).header("access-control-request-method", "POST");
    let answer = asked.header("access-control-request-headers", "authorization").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("access-control-allow-headers"), "authorization");
    assert!(answer.header("access-control-allow-methods").contains("POST"));
}

#[tokio::test]
async fn unknown_prices_cost_nothing_and_mocks_have_no_overhead() {
    let gateway = wild();
    let answer = gateway.chat("m", json!({})).send().await.unwrap();
    for name in ["x-litellm-response-cost-input", "x-litellm-response-cost-output", "x-litellm-key-spend"] {
        assert_eq!(answer.header(name), "0.0", "{name}");
    }
    assert_eq!(answer.header("x-litellm-response-cost"), "");
    assert_eq!(answer.header("x-litellm-overhead-duration-ms"), "");
}

#[tokio::test]
async fn a_mock_answers_as_often_as_asked() {
    let gateway = wild();
    let answer: Value = gateway.chat("m", json!({"n": 2})).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["choices"][1]["index"], 1);
    let text = gateway.chat("m", json!({"n": 2, "stream": true})).send().await.unwrap().text().await.unwrap();
    assert!(text.contains(r#"{"index":1,"delta":{"role":"assistant","content":"a"}}"#), "{text}");
}

#[tokio::test]
async fn extra_body_stands_for_the_fields_in_it() {
    let fake = Fake::start().await;
    let params = format!(
        "model: openai/x, api_base: '{}/v1', api_key: k, extra_body: {{top_k: 5, kept: {{a: 1}}}}",
        fake.url()
    );
    let gateway = Gateway::start(&config(&[deployment("m", "one", &params)], ""));
    gateway.chat("m", json!({})).send().await.unwrap();
    assert_eq!((&fake.last().json()["top_k"], &fake.last().json()["kept"]), (&json!(5), &json!({"a": 1})));
    let more = json!({"seed": 3, "extra_body": {
        "top_k": 9, "zed": 1, "seed": 4, "tags": ["x"], "model": "other", "api_key": "sk", "timeout": 1,
    }});
    gateway.chat("m", more).send().await.unwrap();
    let seen = fake.last().json();
    assert_eq!((&seen["top_k"], &seen["zed"], &seen["seed"]), (&json!(9), &json!(1), &json!(3)));
    assert_eq!(seen["model"], "x");
    for absent in ["tags", "api_key", "timeout", "extra_body"] {
        assert_eq!(seen.get(absent), None, "{absent}");
    }
    assert_eq!(fake.malformed(), Vec::<String>::new());
}

#[tokio::test]
async fn responses_get_only_the_defaults_they_know() {
    let fake = Fake::start().await;
    let params = format!(
        "model: openai/x, api_base: '{}/v1', api_key: k, max_tokens: 7, temperature: 0.5, odd: 1",
        fake.url()
    );
    let gateway = Gateway::start(&config(&[deployment("m", "one", &params)], ""));
    gateway.post("/v1/responses", &json!({"model": "m", "input": "x"})).send().await.unwrap();
    assert_eq!(fake.last().text(), r#"{"model":"x","input":"x","temperature":0.5}"#);
}

#[tokio::test]
async fn the_last_tags_header_counts_in_any_charset() {
    let gateway = Gateway::start(&config(
        &[
            deployment("m", "north", "model: openai/x, mock_response: a, tags: [größe]"),
            deployment("m", "rest", "model: openai/x, mock_response: b, tags: [default]"),
        ],
        "",
    ));
    for bytes in ["größe".as_bytes(), b"gr\xf6\xdfe"] {
        let tags = reqwest::header::HeaderValue::from_bytes(bytes).unwrap();
        let request = gateway.chat("m", json!({})).header("x-litellm-tags", "other");
        assert_eq!(request.header("x-litellm-tags", tags).send().await.unwrap().deployment(), "north");
    }
}

#[tokio::test]
async fn responses_name_their_own_tags_before_the_metadatas() {
    let gateway = Gateway::start(&config(
        &[deployment("m", "one", "model: openai/x, mock_response: a, tags: [a]")],
        "",
    ));
    let more =
        json!({"model": "m", "input": "x", "messages": [], "tags": ["b"], "metadata": {"tags": ["c"]}});
    for (path, order) in [("/v1/responses", "['b', 'c']"), ("/v1/chat/completions", "['c', 'b']")] {
        let (status, body) = error(gateway.post(path, &more)).await;
        assert_eq!(status, 401);
        assert!(body["error"]["message"].as_str().unwrap().ends_with(order), "{body}");
    }
}

#[tokio::test]
async fn metadata_of_the_wrong_shape_is_refused_where_it_means_something() {
    let gateway = wild();
    for (path, field, value, status) in [
        ("/v1/chat/completions", "litellm_metadata", json!("{broken"), 400),
        ("/v1/chat/completions", "litellm_metadata", json!("[1]"), 400),
        ("/v1/chat/completions", "litellm_metadata", json!("{}"), 200),
        ("/v1/chat/completions", "metadata", json!(5), 200),
        ("/v1/responses", "metadata", json!(5), 400),
    ] {
        let body = json!({"model": "m", "messages": [], "input": "x", field: value});
        let answer = gateway.post(path, &body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path} {body}");
        if status == 400 {
            assert_eq!(answer.json::<Value>().await.unwrap()["error"]["type"], "bad_request_error");
        }
    }
}

#[tokio::test]
async fn a_streams_limit_may_be_set_apart() {
    let fake = Fake::script([Reply::ok().delay(std::time::Duration::from_secs(20))]).await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let limited = [
        gateway.chat("m", json!({"stream": true})).header("x-litellm-stream-timeout", "0.1"),
        gateway.chat("m", json!({"stream": true, "timeout": 9, "stream_timeout": 0.1})),
        gateway.chat("m", json!({"request_timeout": 0.1})),
    ];
    for request in limited {
        assert_eq!(error(request).await.0, 408);
    }
}

#[tokio::test]
async fn a_providers_odd_error_is_shown_as_python_shows_it() {
    let fake = Fake::script([Reply::json(500, &json!({"detail": ["it's", null, true]}))]).await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let (_, body) = error(gateway.chat("m", json!({}))).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(r#"Error code: 500 - {'detail': ["it's", None, True]}"#), "{message}");
}

#[tokio::test]
async fn other_providers_key_headers_open_too() {
    let gateway = wild();
    for name in ["x-goog-api-key", "ocp-apim-subscription-key"] {
        let answer = gateway.client.get(format!("{}/v1/models", gateway.url)).header(name, KEY).send();
        assert_eq!(answer.await.unwrap().status(), 200, "{name}");
    }
}

#[tokio::test]
async fn health_calls_the_deployments_of_a_model() {
    let (good, bad) = (Fake::start().await, Fake::script([Reply::error(500, "broken")]).await);
    let deployments = [
        at("m", "good", &good.url(), "[a]"),
        at("m", "bad", &bad.url(), "[b]"),
        at("only-bad", "other", &bad.url(), "[b]"),
        deployment("'openai/*'", "wild", "model: 'openai/*', mock_response: c"),
    ];
    let gateway = Gateway::start(&config(&deployments, ""));
    for (query, status, counts) in [
        ("?model=m", 200, (1, 1)),
        ("?model=only-bad", 503, (0, 1)),
        ("?model=nobody", 503, (0, 0)),
        ("?model_id=good", 200, (1, 0)),
        ("", 200, (1, 2)),
    ] {
        let answer = gateway.get(&format!("/health{query}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["healthy_count"], &body["unhealthy_count"]), (&json!(counts.0), &json!(counts.1)));
        if query == "?model=m" {
            assert_eq!(body["healthy_endpoints"][0]["model_id"], "good");
            let error = body["unhealthy_endpoints"][0]["error"].as_str().unwrap();
            assert!(error.ends_with("OpenAIException - broken"), "{error}");
            assert!(!body.to_string().contains("sk-upstream"), "{body}");
        }
    }
    let answer = gateway.client.get(format!("{}/health", gateway.url)).send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

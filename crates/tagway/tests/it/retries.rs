//! When a provider fails: retries inside the tags' candidates, fallbacks to other groups, cooldowns.

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::gateway::{Answered as _, Gateway, at, config, deployment, error};

fn settings(more: &str) -> String {
    format!("router_settings: {{enable_tag_filtering: true, {more}}}\n")
}

#[tokio::test]
async fn a_failed_call_is_tried_again_on_another_candidate() {
    let (bad, good) = (Fake::reply(500, "{}").await, Fake::start().await);
    let deployments = [at("m", "bad", &bad.url(), "[a]"), at("m", "good", &good.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 1")));
    for _ in 0..10 {
        let answer = gateway.chat("m", json!({"tags": ["a"]})).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "good"));
        let retried = answer.header("x-litellm-attempted-retries") == "1";
        assert_eq!(answer.header("x-litellm-max-retries") == "1", retried);
    }
}

#[tokio::test]
async fn retries_never_leave_the_tags() {
    let (bad, other) = (Fake::reply(500, "{}").await, Fake::start().await);
    let deployments = [at("m", "bad", &bad.url(), "[a]"), at("m", "other", &other.url(), "[b, default]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 2, retry_after: 0")));
    let (status, _) = error(gateway.chat("m", json!({"tags": ["a"]}))).await;
    assert_eq!((status, bad.hits(), other.hits()), (500, 3, 0));
}

#[tokio::test]
async fn a_bad_request_is_not_tried_again_and_a_client_may_forbid_retries() {
    let fake = Fake::script([Reply::error(400, "no"), Reply::error(500, "no")]).await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[a]")], &settings("num_retries: 2")));
    assert_eq!(error(gateway.chat("m", json!({"tags": ["a"]}))).await.0, 400);
    assert_eq!(fake.hits(), 1);
    let by_body = gateway.chat("m", json!({"tags": ["a"], "num_retries": 0}));
    let by_header = gateway.chat("m", json!({"tags": ["a"]})).header("x-litellm-num-retries", "0");
    for (request, hits) in [(by_body, 2), (by_header, 3)] {
        assert_eq!(error(request).await.0, 500);
        assert_eq!(fake.hits(), hits);
    }
}

#[tokio::test]
async fn fallbacks_serve_with_the_same_tags() {
    let (bad, good) = (Fake::reply(500, "{}").await, Fake::named("good").await);
    let deployments = [
        at("m", "bad", &bad.url(), "[a]"),
        at("n", "good", &good.url(), "[a]"),
        at("n", "wrong", &bad.url(), "[b]"),
    ];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 0, fallbacks: [{m: [n]}]")));
    let answer = gateway.chat("m", json!({"tags": ["a"]})).send().await.unwrap();
    assert_eq!((answer.deployment(), answer.header("x-litellm-model-group")), ("good", "n"));
    assert_eq!(answer.header("x-litellm-attempted-fallbacks"), "1");
    assert_eq!(answer.json::<Value>().await.unwrap()["model"], "m");
    let (status, _) = error(gateway.chat("m", json!({"tags": ["a"], "disable_fallbacks": true}))).await;
    assert_eq!(status, 500);
    let streamed = gateway.chat("m", json!({"tags": ["a"], "stream": true})).send().await.unwrap();
    assert_eq!((streamed.status().as_u16(), streamed.deployment()), (200, "good"));
}

#[tokio::test]
async fn a_tag_error_falls_back_and_the_first_error_is_the_answer() {
    let deployments = [
        deployment("m", "m1", "model: openai/x, mock_response: a, tags: [a]"),
        deployment("n", "n1", "model: openai/x, mock_response: b, tags: [b]"),
    ];
    let gateway = Gateway::start(&config(&deployments, &settings("fallbacks: [{m: [n]}]")));
    let answer = gateway.chat("m", json!({"tags": ["b"]})).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "n1"));
    let (status, body) = error(gateway.chat("m", json!({"tags": ["c"]}))).await;
    assert_eq!(status, 401);
    assert!(body["error"]["message"].as_str().unwrap().contains("Passed model=m "), "{body}");
}

#[tokio::test]
async fn a_request_may_name_its_own_fallbacks() {
    let bad = Fake::reply(500, "{}").await;
    let deployments = [
        at("m", "bad", &bad.url(), "[a]"),
        deployment("n", "good", "model: openai/x, mock_response: b, tags: [a]"),
    ];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 0")));
    let answer = gateway.chat("m", json!({"tags": ["a"], "fallbacks": ["n"]})).send().await.unwrap();
    assert_eq!(answer.deployment(), "good");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_to_the_groups_for_long_prompts() {
    let full =
        json!({"error": {"message": "maximum context length is 8", "code": "context_length_exceeded"}});
    let small = Fake::script([Reply::json(400, &full)]).await;
    let deployments = [
        at("m", "small", &small.url(), "[a]"),
        deployment("large", "large", "model: openai/x, mock_response: b, tags: [a]"),
    ];
    let gateway =
        Gateway::start(&config(&deployments, &settings("context_window_fallbacks: [{m: [large]}]")));
    let answer = gateway.chat("m", json!({"tags": ["a"]})).send().await.unwrap();
    assert_eq!(answer.deployment(), "large");
}

#[tokio::test]
async fn a_model_the_client_made_up_cools_nothing_down() {
    let fake = Fake::script([Reply::error(404, "no such model"), Reply::completion("a", 1, 1)]).await;
    let params = format!("model: 'openai/*', api_base: '{}/v1', api_key: k", fake.url());
    let gateway =
        Gateway::start(&config(&[deployment("'openai/*'", "wild", &params)], &settings("num_retries: 0")));
    assert_eq!(error(gateway.chat("openai/typo", json!({}))).await.0, 404);
    assert_eq!(gateway.chat("openai/gpt-4o", json!({})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_endless_retry_after_does_not_take_a_deployment_away() {
    let fake =
        Fake::script([Reply::error(429, "slow down").header("retry-after", "1e18"), Reply::error(500, "no")])
            .await;
    let deployments = [at("m", "one", &fake.url(), "[a]"), at("m", "two", &fake.url(), "[b]")];
    let more = settings("num_retries: 0, cooldown_time: 7");
    let gateway = Gateway::start(&config(&deployments, &more));
    assert_eq!(error(gateway.chat("m", json!({"tags": ["a"]}))).await.0, 429);
    let answer = gateway.chat("m", json!({"tags": ["a"]})).send().await.unwrap();
    assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 7);
}

#[tokio::test]
async fn a_rate_limited_deployment_cools_down_and_says_for_how_long() {
    let (limited, other) =
        (Fake::script([Reply::error(429, "slow down").retry_after(30)]).await, Fake::start().await);
    let deployments = [at("m", "limited", &limited.url(), "[a]"), at("m", "other", &other.url(), "[b]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 0")));
    assert_eq!(error(gateway.chat("m", json!({"tags": ["a"]}))).await.0, 429);
    let answer = gateway.chat("m", json!({"tags": ["a"]})).send().await.unwrap();
    assert_eq!(answer.status(), 429);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&wait));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["reason"], "cooling_down");
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("No deployments available for selected model, Try again in")
    );
    assert_eq!((limited.hits(), other.hits()), (1, 0));
    let answer = gateway.chat("m", json!({"tags": ["b"]})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_retry_policy_says_how_often_each_kind_of_failure_is_tried_again() {
    let fake =
        Fake::script([Reply::error(400, "no"), Reply::error(400, "no"), Reply::error(500, "no")]).await;
    let more = settings(
        "num_retries: 2, retry_after: 0, disable_cooldowns: true, \
         retry_policy: {BadRequestErrorRetries: 1, InternalServerErrorRetries: 0}, \
         model_group_retry_policy: {n: {DefaultRetries: 1}}",
    );
    let deployments = [at("m", "one", &fake.url(), "[a]"), at("n", "two", &fake.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &more));
    assert_eq!(error(gateway.chat("m", json!({"tags": ["a"]}))).await.0, 400);
    assert_eq!(fake.hits(), 2, "a bad request, once more");
    assert_eq!(error(gateway.chat("m", json!({"tags": ["a"]}))).await.0, 500);
    assert_eq!(fake.hits(), 3, "an internal error, never");
    assert_eq!(error(gateway.chat("n", json!({"tags": ["a"]}))).await.0, 500);
    assert_eq!(fake.hits(), 5, "another policy for another group");
    let forbidden = gateway.chat("n", json!({"tags": ["a"], "num_retries": 0}));
    assert_eq!(error(forbidden).await.0, 500);
    assert_eq!(fake.hits(), 6, "a client may forbid retries all the same");
}

#[tokio::test]
async fn retries_are_no_more_than_their_share_of_the_requests() {
    let fake = Fake::reply(500, "{}").await;
    let more = settings(
        "num_retries: 1, retry_after: 0, disable_cooldowns: true, retry_budget: {percent: 50, min_per_second: 0}",
    );
    let deployments = [at("m", "one", &fake.url(), "[a]"), at("m", "two", &fake.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &more));
    for _ in 0..20 {
        assert_eq!(error(gateway.chat("m", json!({"tags": ["a"]}))).await.0, 500);
    }
    assert_eq!(fake.hits(), 30, "half as many retries as requests");
}

#[tokio::test]
async fn retries_end_with_the_clients_time() {
    let limited = Fake::script([Reply::error(429, "slow down").retry_after(30)]).await;
    let silent = Fake::script([Reply::ok().stall(After::Request)]).await;
    let deployments = [at("m", "limited", &limited.url(), "[a]"), at("n", "silent", &silent.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 5, retry_after: 0")));
    let started = std::time::Instant::now();
    let hurried = gateway.chat("m", json!({"tags": ["a"], "timeout": 5}));
    assert_eq!(error(hurried).await.0, 429, "no answer can come in time");
    let by_sdk = gateway.chat("m", json!({"tags": ["a"]})).header("x-stainless-read-timeout", "5");
    assert_eq!(error(by_sdk).await.0, 429);
    assert_eq!(limited.hits(), 2);
    let told = gateway.chat("n", json!({"tags": ["a"]})).header("x-stainless-read-timeout", "0.2");
    let (status, body) = error(told).await;
    assert_eq!((status, silent.hits()), (408, 1));
    assert!(body["error"]["message"].to_string().contains("timeout value=0.2"), "{body}");
    assert_eq!(error(gateway.chat("n", json!({"tags": ["a"], "timeout": 0.3}))).await.0, 408);
    assert_eq!(silent.hits(), 2, "all the time there was");
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}

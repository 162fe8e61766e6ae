//! Limits of deployments: one that has reached its own is not chosen while another has room, and nobody is sent where
//! the tags do not lead.

use std::time::Instant;

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::gateway::{Answered as _, Gateway, KEY, config, deployment, error};

const ENFORCED: &str = "router_settings: {enable_tag_filtering: true, num_retries: 0, optional_pre_call_checks: [enforce_model_rate_limits]}\n";

fn mock(id: &str, params: &str) -> String {
    deployment("m", id, &format!("model: openai/x, mock_response: a, {params}"))
}

/// A deployment of a fake with the tag `a`.
fn at(fake: &Fake, id: &str, params: &str) -> String {
    let url = fake.url();
    deployment("m", id, &format!("model: openai/x, api_base: \"{url}/v1\", api_key: k, tags: [a], {params}"))
}

/// Which deployments answer so many requests.
async fn served(gateway: &Gateway, count: u32, more: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let answer = gateway.chat("m", more.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        ids.push(answer.deployment().to_owned());
    }
    ids.sort();
    ids
}

#[tokio::test]
async fn a_deployment_at_its_limit_leaves_requests_to_others_that_the_tags_allow() {
    let gateway = Gateway::start(&config(
        &[
            mock("small", "tags: [a], rpm: 2"),
            mock("large", "tags: [a], rpm: 3"),
            mock("other", "tags: [b], rpm: 100"),
        ],
        ENFORCED,
    ));
    let tagged = json!({"tags": ["a"]});
    assert_eq!(served(&gateway, 5, &tagged).await, ["large", "large", "large", "small", "small"]);
    let refused = gateway.chat("m", tagged.clone()).send().await.unwrap();
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    let (status, body) = error(gateway.chat("m", tagged)).await;
    assert_eq!(status, 429);
    let said = body["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("litellm.RateLimitError: Model rate limit exceeded. RPM limit="), "{said}");
    assert!(said.contains("id=small") && said.contains("id=large") && !said.contains("other"), "{said}");
    let told = ["type", "code", "param", "reason"].map(|name| &body["error"][name]);
    assert_eq!(told, [&json!("throttling_error"), &json!("429"), &Value::Null, &json!("rate_limit")]);
    assert_eq!(served(&gateway, 1, &json!({"tags": ["b"]})).await, ["other"]);
}

#[tokio::test]
async fn without_the_check_rpm_and_tpm_are_shares_only() {
    let gateway = Gateway::start(&config(&[mock("one", "rpm: 1, tpm: 1")], ""));
    assert_eq!(served(&gateway, 5, &json!({})).await.len(), 5);
}

#[tokio::test]
async fn tokens_count_when_the_answer_is_there() {
    let more = "router_settings: {enable_pre_call_checks: true, num_retries: 0}\n";
    let gateway = Gateway::start(&config(&[mock("one", "tpm: 40")], more));
    // A mock uses 30 tokens.
    assert_eq!(served(&gateway, 2, &json!({})).await.len(), 2);
    let (status, body) = error(gateway.chat("m", json!({}))).await;
    assert_eq!(status, 429);
    let said = body["error"]["message"].as_str().unwrap();
    assert!(said.contains("TPM limit=40, id=one, model_group=m"), "{said}");
}

#[tokio::test]
async fn the_next_order_takes_over_from_one_that_is_full_and_so_does_a_fallback() {
    let more = "router_settings: {num_retries: 0, enable_pre_call_checks: true, fallbacks: [{m: [n]}]}\n";
    let gateway = Gateway::start(&config(
        &[
            mock("first", "order: 1, rpm: 1"),
            mock("second", "order: 2, rpm: 1"),
            deployment("n", "last", "model: openai/x, mock_response: b"),
        ],
        more,
    ));
    for expected in ["first", "second", "last"] {
        assert_eq!(served(&gateway, 1, &json!({})).await, [expected]);
    }
}

#[tokio::test]
async fn a_failure_is_told_even_where_the_limit_leaves_no_retry() {
    let fake = Fake::answer(|_| Reply::error(500, "broken")).await;
    let more = "router_settings: {num_retries: 3, enable_pre_call_checks: true}\n";
    let gateway = Gateway::start(&config(&[at(&fake, "one", "rpm: 2")], more));
    let (status, body) = error(gateway.chat("m", json!({}))).await;
    assert_eq!(status, 500, "{body}");
    assert_eq!(fake.hits(), 2);
}

#[tokio::test]
async fn what_was_used_of_a_limit_survives_a_reload() {
    let of = |rpm: u32| config(&[mock("one", &format!("rpm: {rpm}"))], ENFORCED);
    let gateway = Gateway::start(&of(3));
    served(&gateway, 3, &json!({})).await;
    std::fs::write(gateway.config_path(), of(5)).unwrap();
    assert_eq!(gateway.post("/config/reload", &json!({})).send().await.unwrap().status(), 200);
    served(&gateway, 2, &json!({})).await;
    assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 429);
}

#[tokio::test]
async fn a_stream_keeps_its_place_at_the_deployment_and_another_request_waits_for_it_a_moment() {
    let held = Reply::chat(["a"]).hold(After::Chunks(1));
    let fake = Fake::script([held, Reply::completion("b", 1, 1)]).await;
    let gateway = Gateway::start(&config(&[at(&fake, "one", "max_parallel_requests: 1")], ""));
    let chat = |stream: bool| gateway.chat("m", json!({"stream": stream, "tags": ["a"]}));
    let stream = chat(true).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let began = Instant::now();
    // One may wait, and does so in vain; a second one is refused at once.
    let (one, two) = tokio::join!(error(chat(false)), error(chat(false)));
    for (status, body) in [one, two] {
        assert_eq!(status, 429);
        let said = body["error"]["message"].as_str().unwrap();
        assert!(said.contains("already has max_parallel_requests=1 requests in flight"), "{said}");
    }
    assert!(900 < began.elapsed().as_millis());
    assert_eq!(fake.hits(), 1);
    let waiting = tokio::spawn(chat(false).send());
    fake.release();
    assert!(stream.text().await.unwrap().contains("[DONE]"));
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    assert_eq!(fake.hits(), 2);
}

#[tokio::test]
async fn as_many_requests_wait_for_a_place_as_there_are_and_the_upstream_never_sees_more() {
    let fake = Fake::answer(|_| Reply::chat(["a"]).hold(After::Chunks(1))).await;
    let gateway = Gateway::start(&config(&[at(&fake, "one", "max_parallel_requests: 3")], ""));
    let chat = || gateway.chat("m", json!({"stream": true, "tags": ["a"]})).send();
    let streams = [chat().await.unwrap(), chat().await.unwrap(), chat().await.unwrap()];
    let mut more = tokio::task::JoinSet::new();
    for _ in 0..10 {
        more.spawn(chat());
    }
    let next = async |more: &mut tokio::task::JoinSet<_>| {
        let answer: Result<reqwest::Response, _> = more.join_next().await.unwrap().unwrap();
        answer.unwrap()
    };
    for _ in 0..7 {
        assert_eq!(next(&mut more).await.status(), 429);
    }
    assert_eq!((fake.hits(), more.len()), (3, 3));
    fake.release_all();
    for stream in streams {
        assert!(stream.text().await.unwrap().contains("[DONE]"));
    }
    for _ in 0..3 {
        let waited = next(&mut more).await;
        assert_eq!(waited.status(), 200);
        waited.text().await.unwrap();
    }
    assert_eq!(fake.hits(), 6);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let held = Reply::chat(["a", "b"]).stall(After::Chunks(1));
    let fake = Fake::script([held, Reply::completion("b", 1, 1)]).await;
    let more = "router_settings: {num_retries: 0, default_max_parallel_requests: 1}\n";
    let gateway = Gateway::start(&config(&[at(&fake, "one", "")], more));
    let mut stream = gateway.chat("m", json!({"stream": true})).send().await.unwrap();
    stream.chunk().await.unwrap().unwrap();
    drop(stream);
    fake.until_client_left().await;
    assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn no_more_calls_at_once_than_a_deployment_takes_while_another_has_places() {
    let held = || Reply::chat(["a"]).hold(After::Chunks(1));
    let (small, large) = (Fake::script([held()]).await, Fake::script([held(), held(), held()]).await);
    let deployments =
        [at(&small, "small", "max_parallel_requests: 1"), at(&large, "large", "max_parallel_requests: 3")];
    let gateway = Gateway::start(&config(&deployments, ""));
    let chat = || gateway.chat("m", json!({"stream": true, "tags": ["a"]})).send();
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(chat().await.unwrap());
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    assert_eq!((small.hits(), large.hits()), (1, 3));
    assert_eq!(chat().await.unwrap().status(), 429);
    let shown = gateway.get("/model/info").send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(shown["data"][1]["litellm_params"]["max_parallel_requests"], 3);
    assert!(!shown.to_string().contains(KEY));
}

/// A deployment of the model `m` with limits of tags at it.
fn limiting(id: &str, params: &str, info: &str) -> String {
    format!(
        "  - {{model_name: m, litellm_params: {{model: openai/x, {params}}}, model_info: {{id: {id}, {info}}}}}\n"
    )
}

#[tokio::test]
async fn tags_have_limits_of_their_own_at_a_deployment() {
    let info = "request_limits: {eng: 1, \"customer:*\": 2}, token_limits: {\"heavy:*\": 20}";
    let gateway = Gateway::start(&config(
        &[
            limiting("one", "mock_response: a, order: 1", info),
            limiting("two", "mock_response: b, order: 2", "request_limits: {eng: 1}"),
        ],
        "router_settings: {num_retries: 0}\n",
    ));
    // Each tag of a pattern for itself; the next order takes over.
    for (tag, expected) in [
        ("customer:1", "one"),
        ("customer:2", "one"),
        ("customer:1", "one"),
        ("customer:1", "two"),
        ("heavy:1", "one"),
        ("heavy:1", "two"),
        ("heavy:2", "one"),
        ("!eng", "one"),
        ("eng", "one"),
        ("eng", "two"),
    ] {
        assert_eq!(served(&gateway, 1, &json!({"tags": [tag]})).await, [expected], "{tag}");
    }
    let (status, body) = error(gateway.chat("m", json!({"tags": ["eng", "other"]}))).await;
    assert_eq!((status, &body["error"]["reason"]), (429, &json!("rate_limit")));
    let said = body["error"]["message"].as_str().unwrap();
    assert!(said.contains("RPM limit=1, id=two, model_group=m, tag=eng"), "{said}");
    let shown: Value = gateway.get("/model/info").send().await.unwrap().json().await.unwrap();
    let shown = &shown["data"][0]["model_info"];
    assert_eq!(shown["request_limits"], json!({"eng": 1, "customer:*": 2}));
    assert_eq!(shown["token_limits"], json!({"heavy:*": 20}));
}

#[tokio::test]
async fn tags_have_budgets_of_their_own_at_a_deployment_and_a_restart_forgets_none() {
    let fake = Fake::answer(|_| Reply::completion("hi", 10, 20)).await;
    let (url, price) = (fake.url(), "input_cost_per_token: 0, output_cost_per_token: 0.05");
    let one = |id: &str, order: u8, info: &str| {
        let params = format!("api_base: \"{url}/v1\", api_key: k, order: {order}, {price}");
        limiting(id, &params, info)
    };
    // An answer costs a dollar.
    let info = "dollar_limits: {eng: {max_budget: 1}, \"customer:*\": {max_budget: 2, budget_duration: 30d}}";
    let deployments = [one("a", 1, info), one("a/customer:1", 2, "")];
    let gateway = Gateway::start(&config(&deployments, "router_settings: {num_retries: 0}\n"));
    let tagged = |tag: &str| json!({"tags": [tag], "max_tokens": 20});
    for (tag, expected) in [
        ("customer:1", "a"),
        ("customer:1", "a"),
        ("customer:1", "a/customer:1"),
        ("customer:2", "a"),
        ("eng", "a"),
        ("eng", "a/customer:1"),
    ] {
        assert_eq!(served(&gateway, 1, &tagged(tag)).await, [expected], "{tag}");
    }
    gateway.signal("TERM");
    let gateway = Gateway::start_in(gateway.stopped(), &[], &[]);
    for (tag, expected) in [
        ("customer:1", "a/customer:1"),
        ("eng", "a/customer:1"),
        ("customer:2", "a"),
        ("customer:2", "a/customer:1"),
    ] {
        assert_eq!(served(&gateway, 1, &tagged(tag)).await, [expected], "{tag}");
    }
    // The boundary: whoever names the deployment is not led to another one.
    let (status, body) = error(gateway.chat("a", tagged("customer:1"))).await;
    assert_eq!((status, &body["error"]["type"]), (429, &json!("budget_exceeded")));
    let said = body["error"]["message"].as_str().unwrap();
    assert!(
        said.contains("Deployment=a (") && said.contains("Tag=customer:1 Current cost: 2.0, Max budget: 2.0"),
        "{said}"
    );
}

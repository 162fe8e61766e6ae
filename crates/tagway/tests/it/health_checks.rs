//! Health checks: deployments are called in the background or on demand, and who fails serves only where nobody else
//! may.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::customers::{key, ok};
use crate::gateway::{Answered as _, Gateway, PATIENCE, at, config, deployment, error};
use crate::prometheus::metrics;

/// A provider that answers with the status its switch says.
struct Switched {
    fake: Fake,
    status: Arc<AtomicU16>,
}

impl Switched {
    async fn to(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let said = Arc::clone(&status);
        let fake = Fake::answer(move |_| match said.load(Ordering::Relaxed) {
            200 => Reply::completion("hi", 1, 1),
            status => Reply::error(status, "out of order"),
        });
        Self { fake: fake.await, status }
    }

    fn turn(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// How many requests were a client's.
    fn served(&self) -> usize {
        self.fake.requests().iter().filter(|seen| !is_check(&seen.json())).count()
    }
}

fn is_check(body: &Value) -> bool {
    body.pointer("/messages/0/content") == Some(&json!("Hello"))
}

const OFTEN: &str = "  background_health_checks: true
  health_check_interval: 0.1
  health_check_staleness_threshold: 3600
";
const ROUTES: &str = "  enable_health_check_routing: true\n";
const ROUTER: &str =
    "router_settings: {enable_tag_filtering: true, num_retries: 0, disable_cooldowns: true}\n";

/// A deployment of `m` whose turn comes first.
fn before_others(id: &str, provider: &Switched) -> String {
    let url = provider.fake.url();
    deployment("m", id, &format!("model: openai/gpt-4o, api_base: \"{url}/v1\", api_key: k, order: 1"))
}

/// Asks until the answer is so.
async fn until(gateway: &Gateway, path: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told: Value = gateway.get(path).send().await.unwrap().json().await.unwrap();
        if reached(&told) {
            return told;
        }
        assert!(Instant::now() < deadline, "{told}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The ids of one of `/health`'s lists.
fn ids(told: &Value, list: &str) -> Vec<String> {
    let items = told[list].as_array().unwrap().iter();
    items.map(|item| item["model_id"].as_str().unwrap().to_owned()).collect()
}

/// How a deployment is, as `/model/info` shows it.
fn health_of(told: &Value, id: &str) -> Value {
    let all = told["data"].as_array().unwrap();
    all.iter().find(|one| one["model_info"]["id"] == id).unwrap()["health"].clone()
}

#[tokio::test]
async fn who_fails_a_check_serves_nobody_until_one_passes() {
    let (good, bad) = (Switched::to(200).await, Switched::to(500).await);
    let deployments = [at("m", "good", &good.fake.url(), "[]"), at("m", "bad", &bad.fake.url(), "[]")];
    let metered = "litellm_settings: {callbacks: [prometheus]}\n";
    let gateway = Gateway::start(&config(&deployments, &[OFTEN, ROUTES, ROUTER, metered].concat()));
    let told =
        until(&gateway, "/health", |told| told["healthy_count"] == 1 && told["unhealthy_count"] == 1).await;
    assert_eq!(
        (ids(&told, "healthy_endpoints"), ids(&told, "unhealthy_endpoints")),
        (vec!["good".to_owned()], vec!["bad".to_owned()])
    );
    assert_eq!(told["unhealthy_endpoints"][0]["exception_status"], 500);
    for _ in 0..30 {
        assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().deployment(), "good");
    }
    assert_eq!(bad.served(), 0);
    let info: Value = ok(gateway.get("/model/info")).await;
    let (of_good, of_bad) = (health_of(&info, "good"), health_of(&info, "bad"));
    assert_eq!((&of_good["state"], &of_bad["state"]), (&json!("healthy"), &json!("unhealthy")));
    assert!(of_bad["why"].as_str().unwrap().contains("out of order"), "{of_bad}");
    for field in ["since", "checked_at"] {
        of_bad[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    let groups = ok(gateway.get("/model_group/info")).await;
    assert_eq!(groups["data"][0]["deployment_states"], json!({"healthy": 1, "unhealthy": 1}));
    assert_eq!(groups["data"][0]["health_status"], "healthy");
    let latest = ok(gateway.get("/health/latest")).await;
    assert_eq!(latest["total_models"], 2);
    let status = |id: &str| latest["latest_health_checks"][id]["status"].clone();
    assert_eq!((status("good"), status("bad")), (json!("healthy"), json!("unhealthy")));
    let explained = ok(gateway.post("/route/explain", &json!({"model": "m"}))).await;
    let reasons = explained["decision"]["deployments"].as_array().unwrap();
    assert_eq!(reasons[1]["reason"], "its last health check has failed");
    let metrics = metrics(&gateway).await;
    let state =
        |id: &str, state: &str| metrics.sum("tagway_deployment_state", &[("model_id", id), ("state", state)]);
    assert_eq!(
        (state("bad", "unhealthy"), state("bad", "healthy"), state("good", "healthy")),
        (1.0, 0.0, 1.0)
    );

    bad.turn(200);
    until(&gateway, "/health", |told| told["healthy_count"] == 2).await;
    let deadline = Instant::now() + PATIENCE;
    while bad.served() == 0 {
        assert!(Instant::now() < deadline, "nothing goes to the healed one");
        gateway.chat("m", json!({})).send().await.unwrap();
    }
}

#[tokio::test]
async fn where_all_that_may_serve_have_failed_they_are_tried_and_nobody_else() {
    let (eu, us) = (Switched::to(500).await, Switched::to(200).await);
    let deployments = [at("m", "eu", &eu.fake.url(), "[eu]"), at("m", "us", &us.fake.url(), "[us, default]")];
    let gateway = Gateway::start(&config(&deployments, &[OFTEN, ROUTES, ROUTER].concat()));
    until(&gateway, "/health?model_id=eu", |told| told["unhealthy_count"] == 1).await;
    let (status, body) = error(gateway.chat("m", json!({"tags": ["eu"]}))).await;
    assert_eq!(status, 500, "{body}");
    assert_eq!((eu.served(), us.served()), (1, 0));
}

#[tokio::test]
async fn checks_alone_change_nothing_for_requests() {
    let bad = Switched::to(500).await;
    let deployments =
        [before_others("bad", &bad), deployment("m", "good", "model: openai/x, mock_response: hi, order: 2")];
    let gateway = Gateway::start(&config(&deployments, &[OFTEN, ROUTER].concat()));
    until(&gateway, "/health", |told| told["unhealthy_count"] == 1).await;
    gateway.chat("m", json!({})).send().await.unwrap();
    assert_eq!(bad.served(), 1, "its order decides");
}

#[tokio::test]
async fn a_busy_deployment_serves_on_where_transient_errors_are_ignored() {
    let busy = Switched::to(429).await;
    let deployments = [
        before_others("busy", &busy),
        deployment("m", "good", "model: openai/x, mock_response: hi, order: 2"),
    ];
    let transient = "  health_check_ignore_transient_errors: true\n";
    let gateway = Gateway::start(&config(&deployments, &[OFTEN, ROUTES, transient, ROUTER].concat()));
    until(&gateway, "/health", |told| told["unhealthy_count"] == 1).await;
    gateway.chat("m", json!({})).send().await.unwrap();
    assert_eq!(busy.served(), 1);
    busy.turn(500);
    until(&gateway, "/model/info", |told| health_of(told, "busy")["state"] == "unhealthy").await;
    assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().deployment(), "good");
}

#[tokio::test]
async fn a_deployment_is_called_by_one_check_at_a_time_and_the_others_do_not_wait_for_it() {
    let slow = Fake::answer(|_| Reply::completion("hi", 1, 1).hold(After::Request)).await;
    let quick = Fake::start().await;
    let deployments = [at("m", "slow", &slow.url(), "[]"), at("m", "quick", &quick.url(), "[]")];
    let _gateway = Gateway::start(&config(&deployments, &[OFTEN, ROUTER].concat()));
    slow.until_held(1).await;
    quick.until_hits(quick.hits() + 5).await;
    assert_eq!(slow.hits(), 1);
    slow.release_all();
    slow.until_hits(2).await;
}

#[tokio::test]
async fn with_background_checks_a_question_calls_nobody() {
    let fakes = [Fake::start().await, Fake::start().await];
    let idle = "model_info: {id: idle, disable_background_health_check: true}";
    let deployments = [
        at("m", "awake", &fakes[0].url(), "[]"),
        format!(
            "  - {{model_name: m, litellm_params: {{model: openai/x, api_base: \"{}\", api_key: k}}, {idle}}}\n",
            fakes[1].url()
        ),
    ];
    let rarely = "  background_health_checks: true\n  health_check_interval: 3600\n";
    let gateway = Gateway::start(&config(&deployments, &[rarely, ROUTER].concat()));
    until(&gateway, "/health", |told| told["healthy_count"] == 1).await;
    for _ in 0..3 {
        assert_eq!(ids(&ok(gateway.get("/health")).await, "healthy_endpoints"), ["awake"]);
    }
    assert_eq!((fakes[0].hits(), fakes[1].hits()), (1, 0));
    let alone = gateway.get("/health?model_id=idle").send().await.unwrap();
    assert_eq!(alone.status(), 503);
}

#[tokio::test]
async fn a_check_asks_what_the_deployment_is_for() {
    let fake = Fake::start().await;
    let url = fake.url();
    let one = |model: &str, info: &str| {
        format!(
            "  - {{model_name: \"{model}\", litellm_params: {{model: \"{model}\", api_base: \"{url}/v1\", api_key: k}}, model_info: {{{info}}}}}\n"
        )
    };
    let deployments = [
        one("openai/*", "id: wild, health_check_model: openai/gpt-4o-mini, health_check_max_tokens: 3"),
        one("openai/words", "id: words, mode: embedding"),
        one(
            "openai/plain",
            "id: plain, health_check_params: {top_k: 1}, health_check_supports_max_tokens: false",
        ),
        one("openai/o3-mini", "id: thinks, health_check_reasoning_effort: low"),
        one("openai/paints", "id: paints, mode: image_generation"),
    ];
    let gateway = Gateway::start(&config(&deployments, ""));
    let asked = async |id: &str| {
        let before = fake.hits();
        let told: Value =
            gateway.get(&format!("/health?model_id={id}")).send().await.unwrap().json().await.unwrap();
        (
            told["healthy_count"].clone(),
            fake.requests()[before..].iter().map(|seen| (seen.path.clone(), seen.json())).collect::<Vec<_>>(),
        )
    };
    let hello = json!([{"role": "user", "content": "Hello"}]);
    let (healthy, seen) = asked("wild").await;
    assert_eq!(healthy, 1);
    assert_eq!(
        seen,
        [(
            "/v1/chat/completions".to_owned(),
            json!({"model": "gpt-4o-mini", "messages": hello, "max_tokens": 3})
        )]
    );
    let (_, seen) = asked("words").await;
    assert_eq!(seen, [("/v1/embeddings".to_owned(), json!({"model": "words", "input": ["Hello"]}))]);
    let (_, seen) = asked("plain").await;
    assert_eq!(seen[0].1, json!({"model": "plain", "messages": hello, "top_k": 1}));
    let (_, seen) = asked("thinks").await;
    assert_eq!(
        seen[0].1,
        json!({"model": "o3-mini", "messages": hello, "max_completion_tokens": 16, "reasoning_effort": "low"})
    );
    let (healthy, seen) = asked("paints").await;
    assert!(healthy == 0 && seen.is_empty(), "what is not served is not checked: {seen:?}");
}

#[tokio::test]
async fn a_check_has_a_time_of_its_own() {
    let fake = Fake::answer(|_| Reply::completion("hi", 1, 1).stall(After::Head)).await;
    let one = format!(
        "  - {{model_name: m, litellm_params: {{model: openai/x, api_base: \"{}\", api_key: k}}, model_info: {{id: one, health_check_timeout: 0.2}}}}\n",
        fake.url()
    );
    let gateway = Gateway::start(&config(&[one], "  health_check_details: false\n"));
    let answer = gateway.get("/health?model=m").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let body: Value = answer.json().await.unwrap();
    let expected = json!({"model": "openai/x", "exception_status": 408, "model_id": "one"});
    assert_eq!(body["unhealthy_endpoints"], json!([expected]), "and no details");
}

#[tokio::test]
async fn a_key_sees_the_health_of_what_it_may_use() {
    let fake = Fake::start().await;
    let url = fake.url();
    let deployments =
        [at("m", "a", &url, "[a]"), at("m", "b", &url, "[b]"), at("other", "other", &url, "[a]")];
    let gateway = Gateway::start(&config(&deployments, ""));
    let mine = key(&gateway, json!({"models": ["m"], "tags": ["a"]})).await;
    let asked = |query: &str| gateway.client.get(format!("{}/health{query}", gateway.url)).bearer_auth(&mine);
    let answer = asked("").send().await.unwrap();
    assert_eq!(
        answer.header("litellm-health-field-notice"),
        "api_base, api_version are admin-only on this endpoint"
    );
    let body: Value = answer.json().await.unwrap();
    let seen = body["healthy_endpoints"].as_array().unwrap();
    assert_eq!(ids(&body, "healthy_endpoints"), ["a"]);
    assert_eq!((&seen[0]["model"], seen[0].get("api_base")), (&json!("openai/gpt-4o"), None));
    for query in ["?model=other", "?model_id=b", "?model_id=nobody"] {
        assert_eq!(error(asked(query)).await.0, 403, "{query}");
    }
    assert_eq!(error(gateway.get("/health?model_id=nobody")).await.0, 404);
    assert_eq!(ids(&ok(gateway.get("/health")).await, "healthy_endpoints"), ["a", "b", "other"]);
}

#[tokio::test]
async fn a_cooldown_is_told_with_its_reason_and_its_end() {
    let (bad, good) = (Switched::to(401).await, Switched::to(200).await);
    let deployments = [at("m", "bad", &bad.fake.url(), "[a]"), at("m", "good", &good.fake.url(), "[b]")];
    let router = "router_settings: {enable_tag_filtering: true, num_retries: 0, cooldown_time: 600}\n";
    let gateway = Gateway::start(&config(&deployments, router));
    assert_eq!(health_of(&ok(gateway.get("/model/info")).await, "bad"), json!({"state": "healthy"}));
    assert_eq!(error(gateway.chat("m", json!({"tags": ["a"]}))).await.0, 401);
    let told = health_of(&ok(gateway.get("/v1/model/info")).await, "bad");
    assert_eq!(
        (&told["state"], &told["why"]),
        (&json!("cooling_down"), &json!("calls failed, the last with status 401"))
    );
    let left = told["seconds_left"].as_f64().unwrap();
    assert!((500.0..=600.0).contains(&left), "{told}");
    told["since"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
}

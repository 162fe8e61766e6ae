//! Limits of rate of several gateways at one Valkey: they hold as if there were one gateway, while one dies, and while
//! Valkey is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::budgets_held::status;
use crate::gateway::{Gateway, KEY, chat_body, config, deployment, error};
use crate::store::key;
use crate::stores::{Home, Store, statuses, until};
use crate::valkeys::Valkey;

const MOCK: &str = "model: openai/x, mock_response: a";

/// Two gateways on one store and one Valkey.
fn two(valkey: &Valkey, config: &str) -> ([Gateway; 2], Home) {
    let home = Home::new(Store::Sqlite);
    let url = valkey.url();
    let gateways = [(); 2].map(|()| home.gateway_with(config, &[("REDIS_URL", url.as_str())]));
    for gateway in &gateways {
        gateway.log("limits are shared");
    }
    (gateways, home)
}

pub fn mocks(more: &str) -> String {
    let models = ["m", "n"].map(|name| deployment(name, name, MOCK));
    format!("model_list:\n{}general_settings: {{master_key: {KEY}}}\n{more}", models.concat())
}

fn chat(gateway: &Gateway, key: &str, model: &str, more: Value) -> reqwest::RequestBuilder {
    let url = format!("{}/v1/chat/completions", gateway.url);
    gateway.client.post(url).bearer_auth(key).json(&chat_body(model, more))
}

/// Whether a gateway has heard of a key.
pub async fn knows(gateway: &Gateway, key: &str) -> bool {
    status(gateway.client.get(format!("{}/v1/models", gateway.url)).bearer_auth(key)).await == 200
}

/// How many of so many requests with a key, sent to one gateway and the other in turn, are served.
pub async fn served_by_two(gateways: &[Gateway; 2], count: usize, key: &str) -> usize {
    served(gateways, count, |gateway| chat(gateway, key, "m", json!({}))).await
}

/// How many of these requests, sent to one gateway and the other in turn, are served; the others get 429.
async fn served(
    gateways: &[Gateway; 2],
    count: usize,
    request: impl Fn(&Gateway) -> reqwest::RequestBuilder,
) -> usize {
    let mut served = 0;
    for n in 0..count {
        match status(request(&gateways[n % 2])).await {
            200 => served += 1,
            other => assert_eq!(other, 429),
        }
    }
    served
}

#[tokio::test]
async fn requests_a_minute_of_whomever_hold_over_two_gateways() {
    let valkey = Valkey::start();
    let tags = "tags:\n  - {name: eng, rpm_limit: 3}\n  - {name: \"customer:*\", rpm_limit: 2}\n";
    let (gateways, _home) = two(&valkey, &mocks(tags));
    let [here, _] = &gateways;
    for (path, body) in [
        ("/organization/new", json!({"organization_id": "o", "organization_alias": "o", "rpm_limit": 3})),
        ("/team/new", json!({"team_id": "t", "rpm_limit": 3})),
        ("/user/new", json!({"user_id": "u", "rpm_limit": 3, "auto_create_key": false})),
        ("/customer/new", json!({"user_id": "c", "budget_id": "b"})),
    ] {
        if path == "/customer/new" {
            let made =
                here.post("/budget/new", &json!({"budget_id": "b", "rpm_limit": 3})).send().await.unwrap();
            assert_eq!(made.status(), 200);
        }
        let made = here.post(path, &body).send().await.unwrap();
        assert_eq!(made.status(), 200, "{path}: {}", made.text().await.unwrap());
    }
    for (what, fields, model, more, expected) in [
        ("key", json!({"rpm_limit": 5}), "m", json!({}), 5),
        ("model", json!({"model_rpm_limit": {"n": 4}}), "n", json!({}), 4),
        ("another", json!({"model_rpm_limit": {"n": 4}}), "m", json!({}), 20),
        ("team", json!({"team_id": "t"}), "m", json!({}), 3),
        ("user", json!({"user_id": "u"}), "m", json!({}), 3),
        ("organization", json!({"organization_id": "o"}), "m", json!({}), 3),
        ("customer", json!({}), "m", json!({"user": "c"}), 3),
        ("tag", json!({}), "m", json!({"tags": ["eng"]}), 3),
        ("pattern", json!({}), "m", json!({"tags": ["customer:1"]}), 2),
        ("pattern", json!({}), "m", json!({"tags": ["customer:2"]}), 2),
    ] {
        let key = key(here, fields).await;
        until(what, || async { knows(&gateways[1], &key).await }).await;
        assert_eq!(
            served(&gateways, 20, |gateway| chat(gateway, &key, model, more.clone())).await,
            expected,
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_deployments_limits_hold_over_two_gateways() {
    let valkey = Valkey::start();
    let more = "router_settings: {num_retries: 0, enable_pre_call_checks: true}\n";
    let limited = [
        deployment("m", "one", &format!("{MOCK}, rpm: 3")),
        deployment("m", "two", &format!("{MOCK}, rpm: 4")),
        deployment("n", "three", &format!("{MOCK}, tpm: 40")),
    ];
    let (gateways, _home) = two(&valkey, &config(&limited, more));
    assert_eq!(served(&gateways, 20, |gateway| gateway.chat("m", json!({}))).await, 7);
    // A mock uses 30 tokens, which all gateways know soon after.
    let asked = Instant::now();
    let mut count = 0;
    while status(gateways[count % 2].chat("n", json!({}))).await == 200 {
        count += 1;
        assert!(asked.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(count, 2);
}

#[tokio::test]
async fn no_more_requests_are_in_progress_on_two_gateways_than_on_one_and_a_dead_ones_are_forgotten() {
    let valkey = Valkey::start();
    let fake = Fake::answer(|_| Reply::completion("hi", 1, 1).delay(Duration::from_secs(60))).await;
    let at = deployment("m", "one", &format!("model: openai/x, api_base: \"{}/v1\", api_key: k", fake.url()));
    let (gateways, _home) = two(&valkey, &config(&[at], ""));
    let key = key(&gateways[0], json!({"max_parallel_requests": 3})).await;
    until("it is known", || async { knows(&gateways[1], &key).await }).await;
    let [here, there] = &gateways;
    let mut held = Vec::new();
    for (count, gateway) in [here, there, here].into_iter().enumerate() {
        held.push(tokio::spawn(chat(gateway, &key, "m", json!({})).send()));
        fake.until_hits(count + 1).await;
    }
    for gateway in [here, there] {
        assert_eq!(status(chat(gateway, &key, "m", json!({}))).await, 429);
    }
    here.signal("KILL");
    let again = chat(there, &key, "m", json!({})).timeout(Duration::from_secs(1));
    until("the dead gateway is forgotten", || async {
        // It is let in when the upstream is asked.
        let _ = again.try_clone().unwrap().send().await;
        4 <= fake.hits()
    })
    .await;
}

/// Requests to these gateways, without a pause, until told to stop; the gateways that do not answer are left out.
struct Load {
    over: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<Vec<u16>>>,
    began: Instant,
}

impl Load {
    fn begin(gateways: &[Gateway; 2], key: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let client = |n: usize| {
            let over = Arc::clone(&over);
            let request = chat(&gateways[n % 2], key, "m", json!({}));
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let Ok(answer) = request.try_clone().unwrap().send().await else { break };
                    seen.push(answer.status().as_u16());
                    if seen.last() != Some(&200) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                seen
            })
        };
        let clients = (0..8).map(client).collect();
        Self { over, clients, began: Instant::now() }
    }

    /// How many were served within less than a minute.
    async fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        assert!(self.began.elapsed() < Duration::from_secs(55));
        let mut seen = Vec::new();
        for client in self.clients {
            seen.extend(client.await.unwrap());
        }
        let seen = statuses(seen);
        assert!(seen.keys().all(|status| matches!(status, 200 | 429)), "{seen:?}");
        seen[&200]
    }
}

#[tokio::test]
async fn a_limit_is_kept_within_a_twentieth_while_one_of_two_gateways_is_killed() {
    const LIMIT: usize = 1200;
    let valkey = Valkey::start();
    let (gateways, _home) = two(&valkey, &mocks(""));
    let key = key(&gateways[0], json!({"rpm_limit": LIMIT})).await;
    let load = Load::begin(&gateways, &key);
    until("some are served", || async { 2_000_000 < load.began.elapsed().as_micros() }).await;
    gateways[0].signal("KILL");
    until("all are served", || async { 8_000_000 < load.began.elapsed().as_micros() }).await;
    let served = load.end().await;
    assert!((LIMIT - LIMIT / 20..=LIMIT).contains(&served), "{served}");
}

#[tokio::test]
async fn a_valkey_that_restarts_under_load_fails_nobody_and_counters_are_right_afterwards() {
    const LIMIT: usize = 1200;
    let mut valkey = Valkey::start();
    let (gateways, _home) = two(&valkey, &mocks(""));
    let key = key(&gateways[0], json!({"rpm_limit": LIMIT})).await;
    let load = Load::begin(&gateways, &key);
    let wait = async |seconds: u64| {
        until("time", || async { seconds < load.began.elapsed().as_secs() }).await;
    };
    wait(0).await;
    valkey.down();
    gateways[0].log("each gateway enforces its share of limits");
    wait(1).await;
    valkey.up();
    gateways[0].log("limits are shared");
    gateways[1].log("limits are shared");
    wait(8).await;
    let served = load.end().await;
    assert!((LIMIT - LIMIT / 20..=LIMIT + LIMIT / 20).contains(&served), "{served}");
}

#[tokio::test]
async fn without_valkey_a_gateway_enforces_its_share_or_refuses() {
    let ready = async |gateway: &Gateway| {
        let answer = gateway.client.get(format!("{}/health/readiness", gateway.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["valkey"].clone()
    };
    for closed in [false, true] {
        let mut valkey = Valkey::start();
        let general = format!("{KEY}, fail_closed_rate_limit_enforcement: {closed}");
        let (gateways, _home) = two(&valkey, &mocks("").replace(KEY, &general));
        let [here, _] = &gateways;
        let limited = key(here, json!({"rpm_limit": 6, "max_parallel_requests": 9})).await;
        let free = key(here, json!({})).await;
        until("both are there", || async {
            ready(here).await == json!({"status": "connected", "gateways": 2})
        })
        .await;
        valkey.down();
        until("it is lost", || async { ready(here).await["status"] == "unreachable" }).await;
        assert_eq!(status(chat(here, &free, "m", json!({}))).await, 200);
        if closed {
            let refused = chat(here, &limited, "m", json!({})).send().await.unwrap();
            assert_eq!(refused.headers()["retry-after"], "1");
            let (status, body) = error(chat(here, &limited, "m", json!({}))).await;
            assert_eq!((status, &body["error"]["reason"]), (503, &json!("valkey_unreachable")));
            let said = body["error"]["message"].as_str().unwrap();
            assert!(said.contains("fail_closed_rate_limit_enforcement"), "{said}");
        } else {
            let mut served = 0;
            while status(chat(here, &limited, "m", json!({}))).await == 200 {
                served += 1;
            }
            assert_eq!(served, 3);
        }
        valkey.up();
        for gateway in &gateways {
            until("it is back", || async { ready(gateway).await["status"] == "connected" }).await;
        }
        let expected = if closed { 6 } else { 3 };
        until("the limit is known again", || async {
            let answer = chat(here, &limited, "m", json!({})).send().await.unwrap();
            let left = answer.headers().get("x-ratelimit-api_key-remaining-requests");
            left.is_some_and(|left| left.to_str().unwrap().parse::<i32>().unwrap() < expected)
        })
        .await;
        let more = served(&gateways, 12, |gateway| chat(gateway, &limited, "m", json!({}))).await;
        assert!((expected as usize - 2..=expected as usize).contains(&more), "{closed}: {more}");
    }
}

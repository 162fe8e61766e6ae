//! Deployments that fail take a break, and come back: which failures count, for how long, and who finds out that it is
//! over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagway_fake::{After, Fake, OpenAi, Reply};

use crate::gateway::{Answered as _, Gateway, PATIENCE, at, config, deployment, error};

fn settings(more: &str) -> String {
    format!("router_settings: {{enable_tag_filtering: true, retry_after: 0, {more}}}\n")
}

/// A deployment with more to say in its `model_info`.
fn with_info(id: &str, fake: &Fake, info: &str) -> String {
    let params = format!("model: openai/x, api_base: \"{}/v1\", api_key: k, tags: [a]", fake.url());
    let entry = deployment("m", id, &params);
    entry.replacen(&format!("id: {id}"), &format!("id: {id}, {info}"), 1)
}

fn a() -> Value {
    json!({"tags": ["a"]})
}

async fn status(gateway: &Gateway, body: Value) -> u16 {
    let answer = gateway.chat("m", body).send().await.unwrap();
    let status = answer.status().as_u16();
    answer.bytes().await.unwrap();
    status
}

/// Asks until an answer is as wanted.
async fn until(gateway: &Gateway, mut wanted: impl FnMut(u16, &str) -> bool) {
    let began = Instant::now();
    loop {
        let answer = gateway.chat("m", a()).send().await.unwrap();
        if wanted(answer.status().as_u16(), answer.deployment()) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}");
    }
}

#[tokio::test]
async fn a_deployment_that_only_fails_is_called_five_times_and_no_client_sees_it() {
    let (bad, good) = (Fake::reply(500, "{}").await, Fake::start().await);
    let deployments = [at("m", "bad", &bad.url(), "[a]"), at("m", "good", &good.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 1, cooldown_time: 60")));
    for _ in 0..100 {
        assert_eq!(status(&gateway, a()).await, 200);
    }
    assert_eq!((bad.hits(), good.hits()), (5, 100));
}

#[tokio::test]
async fn some_failures_among_many_answers_cool_nothing_down() {
    let shaky = || {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        Fake::answer(move |_| match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 4 {
            0 => Reply::error(500, "now and then"),
            _ => Reply::completion("hi", 1, 1),
        })
    };
    let (one, two) = (shaky().await, shaky().await);
    let deployments = [at("m", "one", &one.url(), "[a]"), at("m", "two", &two.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 1, cooldown_time: 60")));
    for _ in 0..80 {
        assert!(matches!(status(&gateway, a()).await, 200 | 500));
    }
    assert!(20 < one.hits() && 20 < two.hits(), "{} {}", one.hits(), two.hits());
}

#[tokio::test]
async fn allowed_fails_are_counted_by_deployment_and_by_class() {
    let [plain, own, by_class] = [Fake::reply(503, "{}"), Fake::reply(503, "{}"), Fake::reply(503, "{}")];
    let (plain, own, by_class, good) = (plain.await, own.await, by_class.await, Fake::start().await);
    let deployments = [
        with_info("plain", &plain, "mode: chat"),
        with_info("own", &own, "allowed_fails: 1"),
        with_info(
            "by_class",
            &by_class,
            "allowed_fails: 9, allowed_fails_policy: {ServiceUnavailableErrorAllowedFails: 0}",
        ),
        at("m", "good", &good.url(), "[a]"),
    ];
    let more = settings("num_retries: 3, allowed_fails: 2, cooldown_time: 60");
    let gateway = Gateway::start(&config(&deployments, &more));
    for _ in 0..40 {
        assert_eq!(status(&gateway, a()).await, 200);
    }
    assert_eq!((plain.hits(), own.hits(), by_class.hits()), (3, 2, 1));
}

#[tokio::test]
async fn a_deployment_may_have_a_cooldown_of_its_own_or_none() {
    let (short, never, good) =
        (Fake::reply(429, "{}").await, Fake::reply(429, "{}").await, Fake::start().await);
    let deployments = [
        with_info("short", &short, "cooldown_time: 0.05"),
        with_info("never", &never, "cooldown_time: 0"),
        at("m", "good", &good.url(), "[a]"),
    ];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 2, cooldown_time: 600")));
    let began = Instant::now();
    while short.hits() < 3 || never.hits() < 3 {
        assert_eq!(status(&gateway, a()).await, 200);
        assert!(began.elapsed() < PATIENCE, "{} {}", short.hits(), never.hits());
    }
}

#[tokio::test]
async fn a_provider_that_asks_for_a_longer_break_gets_it() {
    let limited = Fake::script([Reply::error(429, "slow down").retry_after(300)]).await;
    let deployments = [at("m", "limited", &limited.url(), "[a]"), at("m", "other", &limited.url(), "[b]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 5, allowed_fails: 10")));
    let began = Instant::now();
    assert_eq!(status(&gateway, a()).await, 429);
    assert!(began.elapsed() < Duration::from_secs(30), "nobody waits for five minutes");
    let answer = gateway.chat("m", a()).send().await.unwrap();
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert_eq!((answer.status().as_u16(), limited.hits()), (429, 1));
    assert!((200..=300).contains(&wait), "{wait}");
}

#[tokio::test]
async fn one_call_finds_out_whether_a_deployment_is_back() {
    let down = (0..5).map(|_| Reply::error(500, "down"));
    let probe = [Reply::completion("back", 1, 1).hold(After::Request), Reply::completion("back", 1, 1)];
    let healing = Fake::script(down.chain(probe)).await;
    let good = Fake::start().await;
    let deployments = [at("m", "healing", &healing.url(), "[a, h]"), at("m", "good", &good.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 1, cooldown_time: 0.2")));
    until(&gateway, |_, _| healing.hits() == 5).await;
    // The call that tries it out is kept waiting; others go on elsewhere meanwhile.
    let (url, client) = (gateway.url.clone(), gateway.client.clone());
    let ask = move || {
        let body = json!({"model": "m", "tags": ["a"], "messages": [{"role": "user", "content": "hi"}]});
        let request = client.post(format!("{url}/v1/chat/completions")).bearer_auth(crate::gateway::KEY);
        tokio::spawn(request.json(&body).send())
    };
    let began = Instant::now();
    let mut asked = Vec::new();
    while healing.hits() < 6 {
        asked.push(ask());
        tokio::task::yield_now().await;
        assert!(began.elapsed() < PATIENCE);
        while 8 < asked.iter().filter(|asked| !asked.is_finished()).count() {
            tokio::task::yield_now().await;
        }
    }
    let before = good.hits();
    for _ in 0..30 {
        assert_eq!(status(&gateway, a()).await, 200);
    }
    assert_eq!(healing.hits(), 6);
    assert!(before + 30 <= good.hits());
    // Where nobody else may serve, waiting for the outcome would help nobody.
    let only = gateway.chat("m", json!({"tags": ["h"]})).send().await.unwrap();
    assert_eq!((only.status().as_u16(), only.deployment(), healing.hits()), (200, "healing", 7));
    healing.release_all();
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    until(&gateway, |status, id| status == 200 && id == "healing").await;
}

#[tokio::test]
async fn a_deployment_that_fails_when_it_is_tried_out_takes_another_break() {
    let (bad, good) = (Fake::reply(500, "{}").await, Fake::start().await);
    let deployments = [at("m", "bad", &bad.url(), "[a]"), at("m", "good", &good.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 1, cooldown_time: 0.3")));
    until(&gateway, |_, _| bad.hits() == 5).await;
    let began = Instant::now();
    let mut asked = 0_u32;
    while bad.hits() < 8 {
        assert_eq!(status(&gateway, a()).await, 200);
        asked += 1;
        assert!(began.elapsed() < PATIENCE);
    }
    assert!(Duration::from_millis(600) <= began.elapsed(), "one call after each break");
    assert!(6 < asked, "{asked}");
}

#[tokio::test]
async fn callers_without_patience_take_no_deployment_away_from_others() {
    let slow = Fake::run(OpenAi::default().delay(Duration::from_millis(400))).await;
    let deployments = [at("m", "slow", &slow.url(), "[a]"), at("m", "other", &slow.url(), "[b]")];
    let gateway = Gateway::start(&config(&deployments, &settings("num_retries: 0, cooldown_time: 60")));
    for _ in 0..12 {
        assert_eq!(status(&gateway, json!({"tags": ["a"], "timeout": 0.02})).await, 408);
    }
    assert_eq!(status(&gateway, a()).await, 200);
}

#[tokio::test]
async fn a_deployment_that_says_nothing_within_its_time_takes_a_break() {
    let (silent, good) = (Fake::script([Reply::ok().stall(After::Request)]).await, Fake::start().await);
    let deployments = [at("m", "silent", &silent.url(), "[a]"), at("m", "good", &good.url(), "[a]")];
    let more = settings("num_retries: 1, timeout: 0.1, cooldown_time: 60");
    let gateway = Gateway::start(&config(&deployments, &more));
    for _ in 0..60 {
        assert_eq!(status(&gateway, a()).await, 200);
    }
    assert_eq!(silent.hits(), 5);
}

#[tokio::test]
async fn streams_that_break_in_the_middle_count() {
    let breaking = Fake::script([Reply::chat(["a", "b", "c"]).reset(After::Chunks(2))]).await;
    let good = Fake::start().await;
    let deployments = [at("m", "breaking", &breaking.url(), "[a]"), at("m", "good", &good.url(), "[a]")];
    let gateway = Gateway::start(&config(&deployments, &settings("cooldown_time: 60")));
    for _ in 0..60 {
        let answer = gateway.chat("m", json!({"tags": ["a"], "stream": true})).send().await.unwrap();
        answer.bytes().await.unwrap();
    }
    assert_eq!(breaking.hits(), 5);
}

#[tokio::test]
async fn a_deployment_much_slower_than_the_others_takes_a_break_but_is_better_than_none() {
    let (slow, fast) =
        (Fake::run(OpenAi::default().delay(Duration::from_millis(150))).await, Fake::start().await);
    let deployments = [at("m", "slow", &slow.url(), "[a, s]"), at("m", "fast", &fast.url(), "[a]")];
    let more = settings("cooldown_time: 60, outlier_ejection: {latency_factor: 4, min_requests: 5}");
    let gateway = Gateway::start(&config(&deployments, &more));
    let mut row = 0;
    until(&gateway, |status, id| {
        assert_eq!(status, 200);
        row = if id == "fast" { row + 1 } else { 0 };
        30 < row
    })
    .await;
    let before = slow.hits();
    assert!((5..40).contains(&before), "{before}");
    let (status, body) = error(gateway.chat("m", json!({"tags": ["s", "!a"]}))).await;
    assert_eq!(status, 401, "{body}");
    let only = gateway.chat("m", json!({"tags": ["s"]})).send().await.unwrap();
    assert_eq!((only.status().as_u16(), only.deployment()), (200, "slow"));
}

//! Ramps: shares that grow by themselves, and stop by themselves where the variant is worse than the control.

use std::time::Duration;

use serde_json::{Value, json};
use tagway_fake::{Fake, OpenAi, Reply, Script};

use crate::gateway::{Answered as _, Gateway, config, deployment, error};
use crate::prometheus::metrics;
use crate::spend::{get, key, ok};
use crate::stores::{Home, Store, on_both_stores, until};

/// A ramp that began some seconds ago, or will begin.
fn ramping(old: &Fake, new: &Fake, began: i64, steps: &str, hold: &str) -> String {
    let at = |id: &str, url: &str, tags: &str| {
        deployment("m", id, &format!("model: openai/x, api_base: \"{url}/v1\", api_key: sk-u, tags: {tags}"))
    };
    let starts_at = jiff::Timestamp::now().as_second() - began;
    let starts_at = jiff::Timestamp::from_second(starts_at).unwrap();
    config(
        &[at("old", &old.url(), "[]"), at("new", &new.url(), "[canary]")],
        &format!(
            r#"router_settings: {{enable_tag_filtering: true, num_retries: 0, disable_cooldowns: true}}
litellm_settings: {{callbacks: [prometheus]}}
experiments:
  - name: e
    ramp: {{variant: canary, control: control, starts_at: {starts_at}, steps: {steps}, {hold}}}
"#
        ),
    )
}

const HALF: &str = "[{share: 50%, for: 1d}, {share: 100%}]";

async fn ramp(gateway: &Gateway) -> Value {
    let all = ok(gateway.get("/experiments")).await;
    all[0]["ramp"].clone()
}

async fn share(gateway: &Gateway) -> Value {
    ok(gateway.get("/experiments")).await[0]["variants"][1]["share"].clone()
}

/// Sends a request for each of so many users, and says how many the variant's deployment was to serve.
async fn users(gateway: &Gateway, users: std::ops::Range<u32>) -> usize {
    let mut new = 0;
    for user in users {
        let answer = gateway.chat("m", json!({"user": format!("user-{user}")})).send().await.unwrap();
        // A failure has no deployment: only the variant's fails here.
        new += usize::from(answer.status() != 200 || answer.deployment() == "new");
    }
    new
}

on_both_stores!(
    a_variant_that_fails_more_is_held_on_every_gateway_and_after_a_restart,
    a_variant_that_fails_more_is_rolled_back_where_that_is_asked_for,
);

async fn a_variant_that_fails_more_is_held_on_every_gateway_and_after_a_restart(store: Store) {
    let (old, new) = (Fake::start().await, Fake::run(Script::answer(|_| Reply::error(500, "broken"))).await);
    let config = ramping(&old, &new, 10, HALF, "hold: {error_rate: 10%, min_requests: 20}");
    let home = Home::new(store);
    let (one, other) = (home.gateway(&config), home.gateway(&config));
    assert_eq!((&ramp(&one).await["state"], share(&one).await), (&json!("running"), json!(0.5)));
    // Neither gateway has seen enough by itself.
    let half = users(&one, 0..30).await + users(&other, 30..60).await;
    assert!((20..=40).contains(&half), "{half} of 60");
    for gateway in [&one, &other] {
        until("the ramp is held", async || ramp(gateway).await["state"] == "held").await;
    }
    let held = ramp(&other).await;
    let why = held["why"].as_str().unwrap();
    assert!(why.starts_with("`canary`: 100.00 % of its requests fail, of the control's 0.00 %"), "{why}");
    assert_eq!((&held["step"], share(&other).await), (&json!(1), json!(0.5)));
    assert_eq!(held["next_step_at"], Value::Null);
    assert_eq!(held["figures"]["canary"]["error_rate"], 1.0, "{held}");
    let told = metrics(&one).await;
    assert_eq!(told.sum("tagway_experiment_held", &[("experiment", "e")]), 1.0, "{}", told.text);
    let shares = [("experiment", "e"), ("variant", "canary")];
    assert_eq!(told.sum("tagway_experiment_share", &shares), 0.5);
    drop((one, other));

    let again = home.gateway(&config);
    until("it is held still", async || ramp(&again).await["state"] == "held").await;
    assert_eq!(ramp(&again).await["held_since"], held["held_since"]);
    let nobody = key(&again, json!({})).await;
    let (status, _) =
        error(again.client.post(format!("{}/experiments/e/resume", again.url)).bearer_auth(&nobody)).await;
    assert_eq!(status, 401);
    assert_eq!(error(get(&again, &nobody, "/experiments")).await.0, 401);
    let resumed = ok(again.post("/experiments/e/resume", &json!({}))).await;
    assert_eq!((&resumed["ramp"]["state"], &resumed["ramp"]["why"]), (&json!("running"), &Value::Null));
    assert_eq!(resumed["ramp"]["figures"]["canary"]["requests"], 0, "what came before is not judged again");
    // Nothing is judged before enough requests have come again.
    users(&again, 0..10).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(ramp(&again).await["state"], "running");
    users(&again, 10..60).await;
    until("it is held once more", async || ramp(&again).await["state"] == "held").await;
    let audit = ok(again.get("/audit?kind=experiment")).await;
    let said = audit.to_string();
    assert!(said.contains("tagway") && said.contains("\"updated\""), "{said}");
    assert_eq!(error(again.post("/experiments/none/resume", &json!({}))).await.0, 404);
}

async fn a_variant_that_fails_more_is_rolled_back_where_that_is_asked_for(store: Store) {
    let (old, new) = (Fake::start().await, Fake::run(Script::answer(|_| Reply::error(500, "broken"))).await);
    let hold = "hold: {error_rate: 10%, min_requests: 10, on_breach: rollback}";
    let hook = Fake::script([Reply::empty(204)]).await;
    let home = Home::new(store);
    let config = ramping(&old, &new, 10, HALF, hold)
        .replace("general_settings:\n", "general_settings:\n  alerting: [webhook]\n");
    let gateway = home.gateway_with(&config, &[("WEBHOOK_URL", &hook.url())]);
    users(&gateway, 0..60).await;
    until("it is rolled back", async || ramp(&gateway).await["state"] == "rolled_back").await;
    assert_eq!(share(&gateway).await, json!(0.0));
    until("somebody is told", async || hook.hits() == 1).await;
    let told = hook.last().json();
    assert_eq!(
        (&told["event"], &told["experiment"]),
        (&json!("experiment_rolled_back"), &json!("e")),
        "{told}"
    );
    let before = new.hits();
    assert_eq!(users(&gateway, 0..60).await, 0);
    assert_eq!(new.hits(), before, "nobody gets the variant any more");
    let resumed = ok(gateway.post("/experiments/e/resume", &json!({}))).await;
    assert_eq!((&resumed["ramp"]["state"], &resumed["ramp"]["step"]), (&json!("running"), &json!(1)));
    let back = ok(gateway.post("/experiments/e/rollback", &json!({}))).await;
    assert_eq!((&back["ramp"]["state"], &back["variants"][1]["share"]), (&json!("rolled_back"), &json!(0.0)));
    assert!(back["ramp"]["why"].as_str().unwrap().starts_with("rolled back by "), "{back}");
}

#[tokio::test]
async fn a_variant_whose_answers_take_longer_is_held_and_one_that_is_well_is_not() {
    let (old, fast) = (Fake::start().await, Fake::start().await);
    let slow = Fake::run(OpenAi::default().delay(Duration::from_millis(150))).await;
    let hold = "hold: {error_rate: 1%, latency: 1.5, min_requests: 10}";
    let held = Gateway::start(&ramping(&old, &slow, 10, HALF, hold));
    let well = Gateway::start(&ramping(&old, &fast, 10, HALF, "hold: {error_rate: 1%, min_requests: 10}"));
    users(&held, 0..40).await;
    users(&well, 0..40).await;
    until("it is held", async || ramp(&held).await["state"] == "held").await;
    let why = ramp(&held).await["why"].clone();
    assert!(why.as_str().unwrap().contains("p95 until its answers begin is "), "{why}");
    // The other one has had as many looks.
    until("it was judged", async || {
        ramp(&well).await["figures"]["canary"]["requests"].as_u64().unwrap() >= 10
    })
    .await;
    tokio::time::sleep(Duration::from_millis(2000)).await;
    assert_eq!(ramp(&well).await["state"], "running");
}

#[tokio::test]
async fn a_canary_that_is_cooling_down_is_served_by_others_and_counts_as_failing() {
    let (old, new) = (Fake::start().await, Fake::run(Script::answer(|_| Reply::error(500, "broken"))).await);
    let hold = "hold: {error_rate: 10%, min_requests: 10}";
    let config = ramping(&old, &new, 10, HALF, hold)
        .replace("disable_cooldowns: true", "allowed_fails: 0, cooldown_time: 60");
    let gateway = Gateway::start(&config);
    users(&gateway, 0..60).await;
    assert!(new.hits() < 10, "{}", new.hits());
    until("it is held", async || ramp(&gateway).await["state"] == "held").await;
    assert_eq!(ramp(&gateway).await["figures"]["canary"]["error_rate"], 1.0);
}

#[tokio::test]
async fn shares_grow_by_the_clock_and_stay_where_somebody_holds_them() {
    let (old, new) = (Fake::start().await, Fake::start().await);
    let steps = "[{share: 0, for: 8s}, {share: 100%}]";
    let gateway = Gateway::start(&ramping(&old, &new, -3600, steps, ""));
    assert_eq!((&ramp(&gateway).await["state"], users(&gateway, 0..5).await), (&json!("scheduled"), 0));
    drop(gateway);

    let gateway = Gateway::start(&ramping(&old, &new, 0, steps, ""));
    let to_new = users(&gateway, 0..5).await;
    // Unless the machine is very slow.
    if ramp(&gateway).await["step"] == 1 {
        assert_eq!(to_new, 0);
    }
    until("the next step", async || ramp(&gateway).await["step"] == 2).await;
    assert_eq!(users(&gateway, 0..5).await, 5);
    drop(gateway);

    let gateway = Gateway::start(&ramping(&old, &new, 0, "[{share: 0, for: 15s}, {share: 100%}]", ""));
    let began = std::time::Instant::now();
    let held = ok(gateway.post("/experiments/e/hold", &json!({}))).await;
    assert_eq!((&held["ramp"]["state"], &held["ramp"]["step"]), (&json!("held"), &json!(1)));
    assert!(held["ramp"]["why"].as_str().unwrap().starts_with("held by "), "{held}");
    until("its step would have ended", async || Duration::from_secs(16) < began.elapsed()).await;
    assert_eq!(users(&gateway, 0..5).await, 0, "the schedule stands still");
    let resumed = ok(gateway.post("/experiments/e/resume", &json!({}))).await;
    assert_eq!((&resumed["ramp"]["state"], &resumed["ramp"]["step"]), (&json!("running"), &json!(1)));
    until("the next step", async || users(&gateway, 0..1).await == 1).await;
}

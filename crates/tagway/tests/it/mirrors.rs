//! Mirrors: a share of requests is sent once more; the client notices nothing, and the copies are paid by a tag.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagway_fake::{After, Fake, OpenAi, Reply, Script};

use crate::gateway::{Answered as _, Gateway, KEY, config, deployment};
use crate::prometheus::metrics;
use crate::spend::{booked, chat, dates, key, ok};
use crate::stores::{Store, on_both_stores, until};

fn at(model: &str, id: &str, fake: &Fake, more: &str) -> String {
    let of = format!("model: openai/gpt-4o, api_base: \"{}/v1\", api_key: sk-up", fake.url());
    let prices = "input_cost_per_token: 0.000001, output_cost_per_token: 0.000002";
    deployment(model, id, &format!("{of}, {prices}{more}"))
}

fn mirroring(deployments: &[String], mirrors: &str) -> String {
    let settings = "router_settings: {enable_tag_filtering: true, num_retries: 2, disable_cooldowns: true}";
    let metrics = "litellm_settings: {callbacks: [prometheus]}";
    config(deployments, &format!("{settings}\n{metrics}\nmirrors:\n{mirrors}"))
}

/// How many copies of a mirror ended so.
async fn ended(gateway: &Gateway, how: &str) -> u64 {
    metrics(gateway).await.sum("tagway_mirror_requests_total", &[("mirror", "shadow"), ("outcome", how)])
        as u64
}

async fn until_ended(gateway: &Gateway, how: &str, count: u64) {
    until(how, async || ended(gateway, how).await == count).await;
}

on_both_stores!(a_copy_is_paid_by_the_mirrors_tag_and_by_nobody_else);

async fn a_copy_is_paid_by_the_mirrors_tag_and_by_nobody_else(store: Store) {
    let (old, new) = (
        Fake::run(OpenAi::default().usage(1000, 500)).await,
        Fake::run(OpenAi::default().usage(10_000, 0)).await,
    );
    let default = ", tags: [default]";
    let deployments = [at("m", "old", &old, default), at("n", "new", &new, default)];
    let (gateway, _home) = Gateway::on(
        store,
        &mirroring(&deployments, "  - {name: shadow, models: [m], to: n, share: 100%, tag: 'shadow:n'}\n"),
    );
    let mine = key(&gateway, json!({"user_id": "u1", "max_budget": 0.0021})).await;
    let body = json!({"user": "ada", "tags": ["eng"], "metadata": {"trace": "x"}, "temperature": 0.5});
    let answer = chat(&gateway, &mine, "m", body).await;
    assert_eq!((answer.status(), answer.deployment()), (reqwest::StatusCode::OK, "old"));
    let call_id = answer.headers()["x-litellm-call-id"].to_str().unwrap().to_owned();
    let streamed = chat(&gateway, KEY, "m", json!({"stream": true})).await;
    assert!(streamed.text().await.unwrap().contains("[DONE]"));
    until_ended(&gateway, "answered", 2).await;
    assert_eq!((old.hits(), new.hits()), (2, 2));
    // The same words to the other model, and nothing of the gateway's.
    let copies = new.requests();
    let copy = copies.iter().find(|seen| seen.json()["stream"] != true).unwrap();
    let original = old.requests().into_iter().find(|seen| seen.json()["stream"] != true).unwrap();
    assert_eq!(copy.json(), original.json());
    assert_eq!(copy.json()["tags"], Value::Null);
    assert!(
        copy.header("x-litellm-call-id").is_none() && copy.header("authorization") == Some("Bearer sk-up")
    );
    assert!(copies.iter().any(|seen| seen.json()["stream"] == true), "a stream is copied as one");

    booked(&gateway, 4).await;
    let tags = ok(gateway.get(&format!("/spend/tags?{}", dates()))).await;
    let of =
        |tag: &str| tags.as_array().unwrap().iter().find(|row| row["individual_request_tag"] == tag).cloned();
    let shadow = of("shadow:n").unwrap();
    assert_eq!((&shadow["log_count"], &shadow["total_spend"]), (&json!(2), &json!(0.02)));
    let eng = of("eng").unwrap();
    assert_eq!(
        (&eng["log_count"], &eng["total_spend"]),
        (&json!(1), &json!(0.002)),
        "the copy has not its tags"
    );
    let info = ok(gateway.get(&format!("/key/info?key={mine}"))).await;
    assert_eq!(info["info"]["spend"], json!(0.002), "nor does the key pay for it");
    assert_eq!(chat(&gateway, &mine, "m", json!({})).await.status(), 200, "its budget has room still");
    let logs = ok(gateway.get(&format!("/spend/logs/v2?tag=shadow:n&{}", dates()))).await;
    let ids: Vec<&str> =
        logs["data"].as_array().unwrap().iter().map(|row| row["request_id"].as_str().unwrap()).collect();
    assert!(!ids.is_empty() && !ids.contains(&call_id.as_str()), "{ids:?}");
    let mut of = Vec::new();
    for id in ids {
        let told = ok(gateway.get(&format!("/route/decision/{id}"))).await;
        assert_eq!(told["decision"]["mirror"], "shadow", "{told}");
        of.push(told["decision"]["mirror_of"].clone());
    }
    assert!(of.contains(&json!(call_id)), "{of:?} tells which request it is a copy of: {call_id}");
    let compared = ok(gateway.get(&format!("/tag/compare?a=eng&b=shadow:n&{}", dates()))).await;
    assert!(compared["difference"]["requests"]["absolute"].as_f64().unwrap() > 0.0, "{compared}");
}

#[tokio::test]
async fn a_slow_or_broken_mirror_neither_delays_nor_fails_a_request() {
    let old = Fake::start().await;
    let silent = Fake::run(Script::answer(|_| Reply::ok().stall(After::Request))).await;
    let broken = Fake::run(Script::answer(|_| Reply::error(500, "broken"))).await;
    let deployments =
        [at("m", "old", &old, ""), at("silent", "silent", &silent, ""), at("broken", "broken", &broken, "")];
    let gateway = Gateway::start(&mirroring(
        &deployments,
        "  - {name: still, models: [m], to: silent, share: 1, max_parallel: 2}\n  - {name: shadow, models: [m], to: broken, share: 1}\n",
    ));
    let began = Instant::now();
    for _ in 0..6 {
        let answer = gateway.chat("m", json!({})).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "old"));
        answer.text().await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    until_ended(&gateway, "failed", 6).await;
    assert_eq!(broken.hits(), 6, "a copy is not tried again");
    let still = [("mirror", "still"), ("outcome", "dropped_busy")];
    until("the others are dropped", async || {
        metrics(&gateway).await.sum("tagway_mirror_requests_total", &still) == 4.0
    })
    .await;
    assert_eq!(silent.hits(), 2);
    // Others may use what is only bad for copies: it does not cool down.
    assert_eq!(gateway.chat("broken", json!({})).send().await.unwrap().status(), 500);
    assert!(6 < broken.hits());
}

#[tokio::test]
async fn a_copy_never_leaves_the_boundary_of_its_request_and_is_never_copied() {
    let (home, away) = (Fake::start().await, Fake::start().await);
    let deployments = [
        at("m", "m", &home, ""),
        at("m", "m-a", &home, ", tags: [team-a]"),
        at("n", "n-b", &away, ", tags: [team-b]"),
        at("n", "n-any", &away, ", tags: [default]"),
        at("n", "n-a", &home, ", tags: [team-a]"),
        at("o", "o", &home, ", tags: [default]"),
    ];
    let mirrors = "  - {name: shadow, models: [m], to: n, share: 100%}\n  - {name: again, models: [n], to: o, share: 100%}\n  - {name: there, models: [o], to: n-b, share: 100%}\n";
    let gateway = Gateway::start(&mirroring(&deployments, mirrors));
    let team = key(&gateway, json!({"metadata": {"tags": ["team-a"]}})).await;
    for count in 1..=20 {
        assert_eq!(chat(&gateway, &team, "m", json!({})).await.status(), 200);
        // So that none is dropped.
        until_ended(&gateway, "answered", count).await;
    }
    assert_eq!(away.hits(), 0);
    assert_eq!(home.hits(), 40, "and copies are not copied");
    // The request itself is one of those of `o`, whose mirror leads out of the boundary.
    assert_eq!(chat(&gateway, &team, "o", json!({})).await.status(), 200);
    let refused = [("mirror", "there"), ("outcome", "dropped_refused")];
    until("it is dropped", async || {
        metrics(&gateway).await.sum("tagway_mirror_requests_total", &refused) == 1.0
    })
    .await;
    assert_eq!(away.hits(), 0);
    // A constraint of the request holds for its copy.
    assert_eq!(chat(&gateway, KEY, "m", json!({"tags": ["!team-b", "&team-a"]})).await.status(), 200);
    until_ended(&gateway, "answered", 21).await;
    assert_eq!(away.hits(), 0);
}

/// Waits until no copy is in progress.
async fn all_ended(gateway: &Gateway) {
    until("all copies have ended", async || {
        metrics(gateway).await.sum("tagway_mirror_in_flight_requests", &[]) == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_mirror_copies_the_requests_it_is_for() {
    let (old, new) = (Fake::start().await, Fake::start().await);
    let deployments = [at("m", "old", &old, ""), at("n", "new", &new, "")];
    let mirror = "  - {name: shadow, to: n, share: 50%, sticky: user, max_parallel: 100, when: 'request.stream == false'}\n";
    let gateway = Gateway::start(&mirroring(&deployments, mirror));
    let copied = async |more: Value| {
        let before = new.hits();
        for user in 0..20 {
            let mut body = json!({"user": format!("user-{user}"), "model": "m", "messages": []});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            gateway.chat("m", body).send().await.unwrap().text().await.unwrap();
        }
        all_ended(&gateway).await;
        let seen = new.requests().split_off(before);
        let mut users: Vec<String> = seen.iter().map(|seen| seen.json()["user"].to_string()).collect();
        users.sort();
        users
    };
    let users = copied(json!({})).await;
    assert!((3..=17).contains(&users.len()), "{users:?} of 20");
    assert_eq!(copied(json!({})).await, users, "always the same ones");
    assert_eq!(copied(json!({"stream": true})).await, [""; 0], "no streams");
    assert_eq!(copied(json!({"x": "x".repeat(2 << 20)})).await, [""; 0], "nothing large");
    assert_eq!(ended(&gateway, "dropped_large").await, users.len() as u64);
    assert_eq!(gateway.chat("n", json!({"user": "user-1"})).send().await.unwrap().status(), 200);
    all_ended(&gateway).await;
    assert_eq!(ended(&gateway, "answered").await, 2 * users.len() as u64, "none of its own requests");
}

#[tokio::test]
async fn a_copy_takes_no_room_that_is_not_there() {
    let (old, new) =
        (Fake::start().await, Fake::run(Script::answer(|_| Reply::ok().hold(After::Request))).await);
    let deployments = [at("m", "old", &old, ""), at("n", "new", &new, ", max_parallel_requests: 1")];
    let gateway =
        Gateway::start(&mirroring(&deployments, "  - {name: shadow, models: [m], to: n, share: 100%}\n"));
    for _ in 0..3 {
        assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
    }
    until_ended(&gateway, "dropped_full", 2).await;
    assert_eq!(new.hits(), 1);
    new.release_all();
    until_ended(&gateway, "answered", 1).await;
}

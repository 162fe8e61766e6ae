//! The store is lost, is slow, comes back: who is known is served, nobody else gets in, and nothing is restarted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::{Gateway, chat_body};
use crate::store::{chat, key, one};
use crate::stores::{Database, Home, Store, Traffic, Way, statuses, until};

/// A gateway on a database, and the way between them.
fn behind_a_way() -> (Gateway, Way, Home) {
    let home = Home::new(Store::Postgres);
    let way = Way::to(&database(&home).url);
    let url = way.through(&database(&home).url);
    (Gateway::start_with(&one(), &[], &[("DATABASE_URL", url.as_str())]), way, home)
}

fn database(home: &Home) -> &Database {
    let Home::Database(database) = home else { panic!("not a database") };
    database
}

/// The status of a chat with a key, and whether the client is told when to come back.
async fn chat_told(gateway: &Gateway, key: &str) -> (u16, bool) {
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(key);
    let answer = request.json(&chat_body("m", json!({}))).send().await.unwrap();
    (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
}

async fn ready(gateway: &Gateway) -> Value {
    let answer = gateway.client.get(format!("{}/health/readiness", gateway.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn a_lost_store_stops_only_who_is_not_known(traffic: Traffic) {
    let (gateway, way, _home) = behind_a_way();
    let cached = key(&gateway, json!({})).await;
    let other = key(&gateway, json!({})).await;
    assert_eq!(chat(&gateway, &cached).await, 200);
    assert_eq!(chat(&gateway, "sk-nobody-knows-this-one").await, 401);
    way.set(traffic);
    let began = Instant::now();
    assert_eq!(chat_told(&gateway, "sk-nobody-asked-for-this-one").await, (503, true));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // From now on nobody waits.
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(chat(&gateway, &cached).await, 200);
        for unknown in [other.as_str(), "sk-nobody-knows-this-one", "sk-another-one-that-is-unknown"] {
            assert_eq!(chat_told(&gateway, unknown).await, (503, true));
        }
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let body = ready(&gateway).await;
    assert_eq!((&body["db"], &body["store"]["status"]), (&json!("Not connected"), &json!("unreachable")));
    let began = Instant::now();
    let answer = gateway.post("/key/generate", &json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(chat(&gateway, &cached).await, 200);

    way.set(Traffic::Flows);
    until("the store is found again", || async { ready(&gateway).await["db"] == "connected" }).await;
    assert_eq!(chat(&gateway, &other).await, 200);
    assert_eq!(chat(&gateway, "sk-nobody-knows-this-one").await, 401);
    let made = key(&gateway, json!({})).await;
    assert_eq!(chat(&gateway, &made).await, 200);
}

#[tokio::test]
async fn a_store_that_refuses_stops_only_who_is_not_known() {
    a_lost_store_stops_only_who_is_not_known(Traffic::Refused).await;
}

#[tokio::test]
async fn a_store_that_falls_silent_stops_only_who_is_not_known() {
    a_lost_store_stops_only_who_is_not_known(Traffic::Silent).await;
}

#[tokio::test]
async fn what_changed_elsewhere_during_an_outage_holds_afterwards() {
    let (gateway, way, home) = behind_a_way();
    let peer = home.gateway(&one());
    let made = key(&gateway, json!({})).await;
    assert_eq!(chat(&gateway, &made).await, 200);
    way.set(Traffic::Refused);
    let blocked = peer.post("/key/block", &json!({"key": made})).send().await.unwrap();
    assert_eq!(blocked.status(), 200);
    assert_eq!(chat(&gateway, &made).await, 200);
    way.set(Traffic::Flows);
    until("the block is heard of", || async { chat(&gateway, &made).await == 401 }).await;
}

#[tokio::test]
async fn a_flood_of_invented_keys_costs_the_store_little_and_the_known_nothing() {
    let (gateway, way, _home) = behind_a_way();
    let gateway = Arc::new(gateway);
    let known = key(&gateway, json!({})).await;
    assert_eq!(chat(&gateway, &known).await, 200);
    let over = Arc::new(AtomicBool::new(false));
    let (began, before) = (Instant::now(), way.statements());
    let flood = |stream: u32| {
        let (gateway, over) = (Arc::clone(&gateway), Arc::clone(&over));
        async move {
            let mut seen = Vec::new();
            for number in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                seen.push(chat(&gateway, &format!("sk-invented-{stream}-{number}")).await);
            }
            seen
        }
    };
    let floods: Vec<_> = (0..64).map(|stream| tokio::spawn(flood(stream))).collect();
    let mut served = 0;
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(chat(&gateway, &known).await, 200);
        served += 1;
    }
    over.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    for flood in floods {
        seen.extend(flood.await.unwrap());
    }
    let (statements, elapsed) = (way.statements() - before, began.elapsed().as_secs_f64());
    let seen = statuses(seen);
    assert!(seen.keys().all(|status| matches!(status, 401 | 503)), "{seen:?}");
    // 500 looks a second at most, and what goes on anyway.
    assert!((statements as f64) < 520.0 * elapsed + 50.0, "{statements} statements in {elapsed} s, {seen:?}");
    assert!(0 < served);
    // A key once known is not forgotten for those that are not.
    way.set(Traffic::Refused);
    assert_eq!(chat(&gateway, &known).await, 200);
}

/// The server ends every connection and lets nobody in for a while, twice, as in a restart.
#[tokio::test]
async fn a_restart_of_the_database_under_load_fails_nobody_who_is_known_and_looks_like_no_bug() {
    let (gateway, home) = Gateway::on(Store::Postgres, &one());
    let gateway = Arc::new(gateway);
    let known = key(&gateway, json!({})).await;
    assert_eq!(chat(&gateway, &known).await, 200);
    let over = Arc::new(AtomicBool::new(false));
    let managing = |stream: u32| {
        let (gateway, over) = (Arc::clone(&gateway), Arc::clone(&over));
        async move {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let path = if stream.is_multiple_of(2) { "/key/generate" } else { "/key/list" };
                let request =
                    if stream.is_multiple_of(2) { gateway.post(path, &json!({})) } else { gateway.get(path) };
                seen.push(request.send().await.unwrap().status().as_u16());
            }
            seen
        }
    };
    let managers: Vec<_> = (0..8).map(|stream| tokio::spawn(managing(stream))).collect();
    for _ in 0..2 {
        database(&home).open(false).await;
        for number in 0..20 {
            assert_eq!(chat(&gateway, &known).await, 200);
            let status = chat(&gateway, &format!("sk-unknown-number-{number}")).await;
            assert!(matches!(status, 401 | 503), "{status}");
        }
        database(&home).open(true).await;
        until("the store is found again", || async { ready(&gateway).await["db"] == "connected" }).await;
        key(&gateway, json!({})).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    for manager in managers {
        seen.extend(manager.await.unwrap());
    }
    let seen = statuses(seen);
    assert!(seen.keys().all(|status| matches!(status, 200 | 503)), "{seen:?}");
}

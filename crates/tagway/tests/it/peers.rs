//! Several gateways on one store: what changes on one holds on all of them within a second.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, chat_body, config, deployment};
use crate::store::{chat, key, one};
use crate::stores::{Home, Store, Traffic, Way, given, on_both_stores, until};

const SOON: Duration = Duration::from_secs(1);

on_both_stores!(
    a_key_blocked_or_deleted_on_one_gateway_is_refused_by_the_other,
    tags_changed_on_one_gateway_lead_elsewhere_on_the_other,
    a_key_the_other_refused_before_it_was_made_is_served,
    gateways_hear_of_each_other_at_a_valkey,
);

async fn a_key_blocked_or_deleted_on_one_gateway_is_refused_by_the_other(store: Store) {
    let home = Home::new(store);
    let (here, there) = (home.gateway(&one()), home.gateway(&one()));
    block_and_delete(&here, &there).await;
}

async fn block_and_delete(here: &Gateway, there: &Gateway) {
    let made = key(here, json!({})).await;
    assert_eq!(chat(there, &made).await, 200);
    for (path, body, expected) in [
        ("/key/block", json!({"key": made}), 401),
        ("/key/unblock", json!({"key": made}), 200),
        ("/key/delete", json!({"keys": [made]}), 401),
    ] {
        assert_eq!(here.post(path, &body).send().await.unwrap().status(), 200);
        assert_eq!(chat(here, &made).await, expected);
        let took = until(path, || async { chat(there, &made).await == expected }).await;
        assert!(took < SOON, "{path}: {took:?}");
    }
}

async fn tags_changed_on_one_gateway_lead_elsewhere_on_the_other(store: Store) {
    let home = Home::new(store);
    let config = config(
        &[
            deployment("m", "free", "model: openai/x, mock_response: a, tags: [free]"),
            deployment("m", "paid", "model: openai/x, mock_response: a, tags: [paid]"),
        ],
        "",
    );
    let (here, there) = (home.gateway(&config), home.gateway(&config));
    let made = key(&here, json!({"tags": ["free"]})).await;
    let serves = async |key: &str| {
        let request = there.client.post(format!("{}/v1/chat/completions", there.url)).bearer_auth(key);
        request.json(&chat_body("m", json!({}))).send().await.unwrap().deployment().to_owned()
    };
    assert_eq!(serves(&made).await, "free");
    let update = here.post("/key/update", &json!({"key": made, "tags": ["paid"]})).send().await.unwrap();
    assert_eq!(update.status(), 200);
    let took = until("the new tag", || async { serves(&made).await == "paid" }).await;
    assert!(took < SOON, "{took:?}");

    let team = here.post("/team/new", &json!({"team_id": "t", "tags": ["free"]})).send().await.unwrap();
    assert_eq!(team.status(), 200);
    let made = key(&here, json!({"team_id": "t"})).await;
    assert_eq!(serves(&made).await, "free");
    let update = here.post("/team/update", &json!({"team_id": "t", "tags": ["paid"]})).send().await.unwrap();
    assert_eq!(update.status(), 200);
    let took = until("the team's new tag", || async { serves(&made).await == "paid" }).await;
    assert!(took < SOON, "{took:?}");
}

async fn a_key_the_other_refused_before_it_was_made_is_served(store: Store) {
    let home = Home::new(store);
    let (here, there) = (home.gateway(&one()), home.gateway(&one()));
    let text = "sk-will-exist-in-a-moment";
    assert_eq!(chat(&there, text).await, 401);
    assert_eq!(key(&here, json!({"key": text})).await, text);
    let took = until("the new key", || async { chat(&there, text).await == 200 }).await;
    assert!(took < SOON, "{took:?}");
}

#[tokio::test]
async fn without_notifications_changes_are_found_by_looking() {
    let home = Home::new(Store::Postgres);
    let (here, there) = (home.gateway(&one()), home.gateway(&one()));
    let Home::Database(database) = &home else { unreachable!() };
    until("both listen", || async { database.end_connections("LISTEN%").await == 2 }).await;
    block_and_delete(&here, &there).await;
    // They listen again.
    until("both listen", || async { database.end_connections("LISTEN%").await == 2 }).await;
}

/// A connection to the Valkey of the tests.
async fn valkey() -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(given("TAGWAY_TEST_VALKEY_URL")).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// The channels on which so many listen.
async fn channels(listeners: u64) -> Vec<String> {
    let mut valkey = valkey().await;
    let names: Vec<String> =
        redis::cmd("PUBSUB").arg("CHANNELS").arg("tagway:*:changes").query_async(&mut valkey).await.unwrap();
    let mut found = Vec::new();
    for name in names {
        let (_, count): (String, u64) =
            redis::cmd("PUBSUB").arg("NUMSUB").arg(&name).query_async(&mut valkey).await.unwrap();
        if count == listeners {
            found.push(name);
        }
    }
    found
}

async fn gateways_hear_of_each_other_at_a_valkey(store: Store) {
    let home = Home::new(store);
    let url = given("TAGWAY_TEST_VALKEY_URL");
    let env = [("REDIS_URL", url.as_str())];
    // A number of listeners no other test has, not even this one on the other store, where it listens, too.
    let count: usize = if matches!(store, Store::Sqlite) { 4 } else { 6 };
    let gateways: Vec<Gateway> = (0..count).map(|_| home.gateway_with(&one(), &env)).collect();
    until("all are there", || async { !channels(count as u64).await.is_empty() }).await;
    let channel = channels(count as u64).await.remove(0);
    // An installation with another store meets elsewhere.
    let (_stranger, _other) = {
        let other = Home::new(store);
        (other.gateway_with(&one(), &env), other)
    };
    let client = redis::Client::open(url).unwrap();
    let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel();
    let config = redis::AsyncConnectionConfig::new().set_push_sender(sender);
    let mut info =
        redis::IntoConnectionInfo::into_connection_info(client.get_connection_info().clone()).unwrap();
    let login = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
    info = info.set_redis_settings(login);
    let client = redis::Client::open(info).unwrap();
    let mut listening = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
    listening.subscribe(&channel).await.unwrap();
    while let Ok(push) = pushed.try_recv() {
        assert_ne!(push.kind, redis::PushKind::Message);
    }
    block_and_delete(&gateways[0], &gateways[3]).await;
    until("a message", || {
        let heard = pushed.try_recv().is_ok_and(|push| push.kind == redis::PushKind::Message);
        async move { heard }
    })
    .await;
}

#[tokio::test]
async fn a_message_at_the_valkey_makes_a_gateway_look_at_once() {
    let home = Home::new(Store::Postgres);
    let Home::Database(database) = &home else { unreachable!() };
    let way = Way::to(&database.url);
    let url = way.through(&database.url);
    let redis = given("TAGWAY_TEST_VALKEY_URL");
    let env = [("DATABASE_URL", url.as_str()), ("REDIS_URL", redis.as_str())];
    let _gateway = Gateway::start_with(&one(), &[], &env);
    let mut database =
        <sqlx::PgConnection as sqlx::Connection>::connect(database.url.as_str()).await.unwrap();
    let id: String =
        sqlx::query_scalar("SELECT id FROM installation").fetch_one(&mut database).await.unwrap();
    let channel = format!("tagway:{id}:changes");
    let mut valkey = valkey().await;
    until("it is there", || {
        let channel = channel.clone();
        async move { channels(1).await.contains(&channel) }
    })
    .await;
    let began = Instant::now();
    for _ in 0..10 {
        let before = way.statements();
        redis::cmd("PUBLISH").arg(&channel).arg("").exec_async(&mut valkey).await.unwrap();
        until("it looks", || async { before < way.statements() }).await;
    }
    // Two looks a second without being called.
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_lost_valkey_is_said_once_and_nothing_fails() {
    let url = url::Url::parse(&given("TAGWAY_TEST_VALKEY_URL")).unwrap();
    let way = Way::to(&url);
    let home = Home::new(Store::Sqlite);
    let config = |address: &url::Url| {
        one().replace("router_settings: {", &format!("router_settings: {{redis_url: '{address}', "))
    };
    let gateway = home.gateway(&config(&way.through(&url)));
    way.set(Traffic::Refused);
    let said = gateway.log("Valkey cannot be reached");
    assert!(!said.contains(url.password().unwrap()), "{said}");
    // Nor is it needed to start.
    let peer = home.gateway(&config(&way.through(&url)));
    block_and_delete(&gateway, &peer).await;
    way.set(Traffic::Flows);
    gateway.log("Valkey answers again");
    way.set(Traffic::Refused);
    gateway.log("Valkey cannot be reached");
    block_and_delete(&gateway, &peer).await;
    let info: Value = gateway.get("/key/list").send().await.unwrap().json().await.unwrap();
    assert_eq!(info["total_count"], 0);
}

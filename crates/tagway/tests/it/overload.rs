//! More requests at once than the gateway serves: some wait, the more important ones first, the others are turned away
//! at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};
use tokio::task::JoinHandle;

use crate::gateway::{Gateway, KEY, PATIENCE, at, error};

const TAGS: &str =
    "tags: [{name: chat, priority: high}, {name: batch, priority: low}, {name: \"job:*\", priority: low}]\n";

/// A gateway with metrics and these settings beside the master key.
fn gateway(fake: &Fake, settings: &str) -> Gateway {
    Gateway::start(&format!(
        "model_list:\n{}general_settings: {{master_key: {KEY}, {settings}}}\n{TAGS}\
         litellm_settings: {{callbacks: [prometheus]}}\nrouter_settings: {{num_retries: 0}}\n",
        at("m", "one", &fake.url(), "[default]")
    ))
}

/// An upstream whose streams end when they are released.
async fn held() -> Fake {
    Fake::answer(|_| Reply::chat(["a"]).hold(After::Chunks(1))).await
}

/// A stream that is being served.
async fn stream(gateway: &Gateway, tags: &[&str]) -> Response {
    let answer = gateway.chat("m", json!({"stream": true, "tags": tags})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

/// A request in the background, and its status.
fn asks(gateway: &Gateway, tags: &[&str]) -> JoinHandle<u16> {
    let request = gateway.chat("m", json!({"stream": true, "tags": tags}));
    tokio::spawn(async move {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        // What was begun is read to its end.
        answer.bytes().await.unwrap();
        status
    })
}

/// A number among the metrics; 0 where there is none.
async fn metric(gateway: &Gateway, name: &str) -> f64 {
    let page = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or(0.0)
}

/// Waits until so many of this priority wait.
async fn until_queued(gateway: &Gateway, priority: &str, count: f64) {
    let name = format!("litellm_admission_queued_requests{{priority=\"{priority}\"}}");
    let deadline = Instant::now() + PATIENCE;
    while metric(gateway, &name).await != count {
        assert!(Instant::now() < deadline, "{count} {priority} requests should wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn where_nobody_may_wait_one_request_too_many_is_turned_away_at_once() {
    let fake = held().await;
    let gateway = gateway(&fake, "global_max_parallel_requests: 2");
    let streams = [stream(&gateway, &[]).await, stream(&gateway, &["chat"]).await];
    let began = Instant::now();
    let answer = gateway.chat("m", json!({})).send().await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(900));
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        body["error"],
        json!({
            "message": "Gateway at capacity: 2 in-flight, 0 queued requests. Retry later.",
            "type": "overloaded_error", "param": null, "code": "503", "reason": "overload",
        })
    );
    assert_eq!(fake.hits(), 2);
    drop(streams);
    fake.release_all();
    let shed = "litellm_admission_rejected_requests_total{priority=\"high\",reason=\"queue_full\"}";
    // What it would have said of itself was not read: it counts as what it might have been.
    assert_eq!(metric(&gateway, shed).await, 1.0);
}

#[tokio::test]
async fn who_waits_is_served_in_turn_and_who_finds_the_queue_full_is_turned_away() {
    let fake = held().await;
    let settings =
        "global_max_parallel_requests: 1, max_queued_requests: 2, admission_queue_timeout_seconds: 30";
    let gateway = gateway(&fake, settings);
    let first = stream(&gateway, &["chat"]).await;
    let waiting = [asks(&gateway, &["chat"]), asks(&gateway, &["chat"])];
    until_queued(&gateway, "high", 2.0).await;
    assert_eq!(error(gateway.chat("m", json!({"tags": ["chat"]}))).await.0, 503);
    assert_eq!(fake.hits(), 1);
    fake.release_all();
    first.bytes().await.unwrap();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200);
    }
    assert_eq!(fake.hits(), 3);
    assert_eq!(metric(&gateway, "litellm_admission_admitted_requests").await, 0.0);
    until_queued(&gateway, "high", 0.0).await;
}

#[tokio::test]
async fn nobody_waits_longer_than_the_configuration_says() {
    let fake = held().await;
    let settings =
        "global_max_parallel_requests: 1, max_queued_requests: 5, admission_queue_timeout_seconds: 0.3";
    let gateway = gateway(&fake, settings);
    let held = stream(&gateway, &[]).await;
    let began = Instant::now();
    assert_eq!(error(gateway.chat("m", json!({}))).await.0, 503);
    assert!((Duration::from_millis(300)..Duration::from_secs(10)).contains(&began.elapsed()));
    drop(held);
    let shed = "litellm_admission_rejected_requests_total{priority=\"normal\",reason=\"queue_timeout\"}";
    assert_eq!(metric(&gateway, shed).await, 1.0);
}

#[tokio::test]
async fn places_are_kept_for_more_important_requests() {
    let fake = held().await;
    let settings = "global_max_parallel_requests: 10, priority_shares: {low: 0.2, normal: 0.3}";
    let gateway = gateway(&fake, settings);
    let mut streams = vec![stream(&gateway, &["job:nightly"]).await, stream(&gateway, &["batch"]).await];
    // A low one may not, however many tags it carries; a normal one may, and a high one all the more.
    assert_eq!(error(gateway.chat("m", json!({"tags": ["batch", "chat"]}))).await.0, 503);
    streams.push(stream(&gateway, &[]).await);
    assert_eq!(error(gateway.chat("m", json!({"tags": ["other", "!batch"]}))).await.0, 503);
    for _ in 0..7 {
        streams.push(stream(&gateway, &["chat"]).await);
    }
    assert_eq!(error(gateway.chat("m", json!({"tags": ["chat"]}))).await.0, 503);
    assert_eq!(fake.hits(), 10);
}

#[tokio::test]
async fn the_more_important_go_first_and_take_the_seats_of_the_others() {
    let fake = held().await;
    let settings =
        "global_max_parallel_requests: 1, max_queued_requests: 2, admission_queue_timeout_seconds: 30";
    let gateway = gateway(&fake, settings);
    let first = stream(&gateway, &[]).await;
    let earlier = asks(&gateway, &["batch", "earlier"]);
    until_queued(&gateway, "low", 1.0).await;
    let later = asks(&gateway, &["batch", "later"]);
    until_queued(&gateway, "low", 2.0).await;
    // Not for one of the same kind.
    assert_eq!(error(gateway.chat("m", json!({"tags": ["batch"]}))).await.0, 503);
    let chat = asks(&gateway, &["chat"]);
    assert_eq!(later.await.unwrap(), 503);
    until_queued(&gateway, "high", 1.0).await;
    until_queued(&gateway, "low", 1.0).await;
    let normal = asks(&gateway, &["normal"]);
    assert_eq!(earlier.await.unwrap(), 503);
    until_queued(&gateway, "normal", 1.0).await;
    fake.release();
    first.bytes().await.unwrap();
    // The place goes to the important one, which holds it.
    until_queued(&gateway, "high", 0.0).await;
    until_queued(&gateway, "normal", 1.0).await;
    fake.release();
    assert_eq!(chat.await.unwrap(), 200);
    until_queued(&gateway, "normal", 0.0).await;
    fake.release();
    assert_eq!(normal.await.unwrap(), 200);
    let displaced = "litellm_admission_rejected_requests_total{priority=\"low\",reason=\"displaced\"}";
    assert_eq!(metric(&gateway, displaced).await, 2.0);
}

#[tokio::test]
async fn a_tag_that_a_key_inherits_cannot_be_outbid_and_its_requests_are_not_even_read() {
    let fake = held().await;
    let settings = "global_max_parallel_requests: 2, priority_shares: {low: 0.5, normal: 0.5}";
    let gateway = gateway(&fake, settings);
    let made = gateway.post("/key/generate", &json!({"tags": ["batch"]})).send().await.unwrap();
    let key = made.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned();
    let _held = stream(&gateway, &[]).await;
    // Its body never comes.
    let mut socket = TcpStream::connect(gateway.url.strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-length: 1000\r\nx-litellm-tags: chat\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut said = [0; 12];
    socket.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 503");
    stream(&gateway, &["chat"]).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_leaves_the_queue() {
    let fake = held().await;
    let settings =
        "global_max_parallel_requests: 1, max_queued_requests: 1, admission_queue_timeout_seconds: 30";
    let gateway = gateway(&fake, settings);
    let first = stream(&gateway, &[]).await;
    let left = asks(&gateway, &[]);
    until_queued(&gateway, "normal", 1.0).await;
    left.abort();
    until_queued(&gateway, "normal", 0.0).await;
    let stays = asks(&gateway, &[]);
    until_queued(&gateway, "normal", 1.0).await;
    fake.release_all();
    first.bytes().await.unwrap();
    assert_eq!(stays.await.unwrap(), 200);
    assert_eq!(fake.hits(), 2);
}

#[tokio::test]
async fn a_connection_too_many_is_turned_away_at_once_and_leaves_the_others_alone() {
    let fake = held().await;
    let gateway = gateway(&fake, "max_connections: 3");
    let address = gateway.url.strip_prefix("http://").unwrap();
    let connect = || {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let stream = stream(&gateway, &[]).await;
    let idle = [connect(), connect()];
    let mut said = String::new();
    connect().read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nretry-after: 1\r\n"), "{said}");
    let body: Value = serde_json::from_str(said.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&json!("overloaded_error"), &json!("503")));
    drop(idle);
    // There is room again as soon as the workers have seen them leave.
    let deadline = Instant::now() + PATIENCE;
    while gateway.get("/health/liveliness").send().await.is_ok_and(|answer| answer.status() == 503) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.release_all();
    assert!(stream.text().await.unwrap().contains("[DONE]"));
}

#[tokio::test]
async fn a_stored_tag_has_a_priority_too() {
    let fake = held().await;
    let gateway = gateway(&fake, "global_max_parallel_requests: 2, priority_shares: {low: 0.5}");
    let tag = json!({"name": "nightly", "priority": "low"});
    let made: Value = gateway.post("/tag/new", &tag).send().await.unwrap().json().await.unwrap();
    assert_eq!(made["tag"]["priority"], "low", "{made}");
    let _held = stream(&gateway, &[]).await;
    assert_eq!(error(gateway.chat("m", json!({"tags": ["nightly"]}))).await.0, 503);
    let higher = json!({"name": "nightly", "priority": "high"});
    assert_eq!(gateway.post("/tag/update", &higher).send().await.unwrap().status(), 200);
    stream(&gateway, &["nightly"]).await;
    let (status, body) =
        error(gateway.post("/tag/update", &json!({"name": "nightly", "priority": "top"}))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("priority")), "{body}");
}

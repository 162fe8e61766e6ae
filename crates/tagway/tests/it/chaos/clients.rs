//! Clients that are slow, or leave: others are served as ever, and what those held is given back.

use std::time::Duration;

use serde_json::json;
use tagway_fake::{After, Fake, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{count, decent, drive, fields, metric, tell};
use crate::gateway::{Gateway, KEY, at, chat_body};
use crate::stores::until;

/// A gateway with metrics and these settings.
fn gateway(fake: &Fake, settings: &str) -> Gateway {
    Gateway::start(&format!(
        "model_list:\n{}general_settings: {{master_key: {KEY}, {settings}}}\n\
         litellm_settings: {{callbacks: [prometheus]}}\n",
        at("m", "one", &fake.url(), "[]")
    ))
}

async fn page(gateway: &Gateway) -> String {
    gateway.get("/metrics").send().await.unwrap().text().await.unwrap()
}

/// Begins a request on a connection that takes little at a time, and sends as much of its body.
async fn begun(gateway: &Gateway, body: &str, sent: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let address = gateway.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut socket = socket.connect(address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), &body.as_bytes()[..sent]].concat()).await.unwrap();
    socket
}

/// The beginning of an answer.
async fn status_line(socket: &mut TcpStream) -> String {
    let mut said = [0; 12];
    socket.read_exact(&mut said).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn slow_clients_slow_down_nobody_else() {
    let big = "x".repeat(64 << 10);
    let long = Reply::chat((0..64).map(|_| big.clone()));
    let fake = Fake::answer(move |seen| match seen.text().contains("a lot") {
        true => long.clone(),
        false => decent(seen, "well"),
    })
    .await;
    let gateway = gateway(&fake, "max_request_size_mb: 1");
    let slow = count(30, 300);
    let (small, lots) = (chat_body("m", json!({})), chat_body("m", json!({"stream": true, "user": "a lot"})));
    let (small, lots) = (small.to_string(), lots.to_string());
    let (mut senders, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..slow {
        senders.push(begun(&gateway, &small, 10).await);
        // It takes a little of four megabytes, and no more.
        let mut reader = begun(&gateway, &lots, lots.len()).await;
        assert_eq!(status_line(&mut reader).await, "HTTP/1.1 200");
        readers.push(reader);
    }
    let outcome = drive(count(200, 2000), 8, |number| gateway.chat("m", fields(number, json!({})))).await;
    tell(&format!(
        "beside {slow} slow senders and {slow} slow readers: {:?}, p50 {:?}, p99 {:?}",
        outcome.statuses(),
        outcome.percentile(50),
        outcome.percentile(99)
    ));
    assert!(outcome.failed("well").is_empty(), "{:?}", outcome.statuses());
    assert!(outcome.percentile(99) < Duration::from_secs(2), "{:?}", outcome.percentile(99));
    drop(readers);
    // A slow sender that goes on is served in the end.
    for sender in &mut senders {
        sender.write_all(&small.as_bytes()[10..]).await.unwrap();
        assert_eq!(status_line(sender).await, "HTTP/1.1 200");
    }
    until("nothing is in progress", || async {
        metric(&page(&gateway).await, "litellm_in_flight_requests") == 0.0
    })
    .await;
}

#[tokio::test]
async fn clients_that_leave_give_back_all_that_they_held() {
    let fake = Fake::answer(|_| Reply::chat(["a", "b"]).stall(After::Chunks(2))).await;
    let (places, rounds) = (20, count(3, 50));
    let settings = format!(
        "global_max_parallel_requests: {places}, max_queued_requests: {places}, admission_queue_timeout_seconds: 60"
    );
    let gateway = gateway(&fake, &settings);
    for round in 1..=rounds {
        let mut streams = Vec::new();
        for _ in 0..places {
            let mut stream = gateway.chat("m", json!({"stream": true})).send().await.unwrap();
            stream.chunk().await.unwrap().unwrap();
            streams.push(stream);
        }
        let mut waiting = JoinSet::new();
        for _ in 0..places {
            waiting.spawn(gateway.chat("m", json!({"stream": true})).send());
        }
        let queued = "litellm_admission_queued_requests{priority=\"normal\"}";
        let are_queued = async |gateway: &Gateway, count: f64| metric(&page(gateway).await, queued) == count;
        until("they wait", || are_queued(&gateway, f64::from(places))).await;
        waiting.shutdown().await;
        until("who waited has left", || are_queued(&gateway, 0.0)).await;
        drop(streams);
        fake.until_aborted(round * usize::try_from(places).unwrap()).await;
        let taken = "litellm_admission_admitted_requests";
        until("all places are free", || async { metric(&page(&gateway).await, taken) == 0.0 }).await;
    }
    let left = fake.aborted();
    tell(&format!("{left} clients left their streams, and as many the queue: every place was given back"));
}

//! Upstreams that break the rules of HTTP, TCP or DNS: where nothing has been relayed another one serves, and what has
//! begun ends with an error that the client can see.

use std::time::Duration;

use serde_json::json;
use tagway_fake::{After, Fake, Reply, Seen};

use super::{count, decent, drive, fields, is_stream, tell};
use crate::gateway::{Gateway, at, config};

/// What a client may see of an upstream that misbehaves so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    /// Nothing: another one serves.
    Nothing,
    /// Nothing, where the answer comes in one piece; the error at the end of a stream that had begun.
    BrokenStream,
}
use Shows::{BrokenStream, Nothing};

/// A way to misbehave.
type Way = (&'static str, Shows, fn(&Seen) -> Reply);

const WAYS: &[Way] = &[
    ("resets before its head", Nothing, |seen| decent(seen, "ill").reset(After::Request)),
    ("closes before its head", Nothing, |seen| decent(seen, "ill").close(After::Request)),
    ("hangs before its head", Nothing, |seen| decent(seen, "ill").stall(After::Request)),
    ("resets behind its head", Nothing, |seen| decent(seen, "ill").reset(After::Head)),
    ("hangs behind its head", Nothing, |seen| decent(seen, "ill").stall(After::Head)),
    ("speaks no HTTP", Nothing, |_| Reply::garbage("this is not the protocol you are looking for\r\n\r\n")),
    ("says nothing and closes", Nothing, |_| Reply::garbage("")),
    ("answers no JSON", Nothing, |_| Reply::text(200, "<html>welcome</html>")),
    ("answers cut JSON", Nothing, |_| Reply::completion("ill", 5, 1).cut(40)),
    ("promises more than it sends", Nothing, |_| Reply::completion("ill", 5, 1).declare_length(100_000)),
    ("contradicts itself on its length", Nothing, |_| {
        Reply::completion("ill", 5, 1).header("content-length", "5").header("content-length", "7")
    }),
    ("has a head without an end", Nothing, |_| Reply::ok().huge_headers(2000, 2000)),
    ("sends its head too slowly", Nothing, |seen| decent(seen, "ill").slow_head(Duration::from_secs(2))),
    ("answers 500", Nothing, |_| Reply::error(500, "ill")),
    ("answers 502 in HTML", Nothing, |_| Reply::text(502, "<html>bad gateway</html>")),
    ("is out of quota", Nothing, |_| Reply::error(429, "slow down").retry_after(1)),
    ("begins with an error event", Nothing, |seen| match is_stream(seen) {
        true => Reply::sse(["{\"error\": {\"message\": \"ill\", \"code\": \"500\"}}"]),
        false => Reply::error(500, "ill"),
    }),
    ("resets in the middle", BrokenStream, |seen| middle(seen, Reply::reset)),
    ("closes in the middle", BrokenStream, |seen| middle(seen, Reply::close)),
    ("hangs in the middle", BrokenStream, |seen| middle(seen, Reply::stall)),
];

/// In the middle of a stream or of a body.
fn middle(seen: &Seen, turn: fn(Reply, After) -> Reply) -> Reply {
    let place = if is_stream(seen) { After::Chunks(2) } else { After::Bytes(30) };
    turn(decent(seen, "ill"), place)
}

const SETTINGS: &str = "router_settings: {num_retries: 2, timeout: 1, stream_timeout: 1, cooldown_time: 0, allowed_fails: 100000}\n";

#[tokio::test]
async fn whatever_one_upstream_does_clients_get_whole_answers_or_see_that_they_are_not() {
    // The ways are independent of each other, and most of them are spent waiting.
    let runs = WAYS.iter().map(|way| tokio::spawn(misbehaves(*way)));
    let runs: Vec<_> = runs.collect();
    for run in runs {
        run.await.unwrap();
    }
}

async fn misbehaves((name, seen, reply): Way) {
    let ill = Fake::answer(reply).await;
    let well = Fake::answer(|seen| decent(seen, "well")).await;
    // The ill one is always asked first.
    let first = at("m", "ill", &ill.url(), "[], order: 1");
    let gateway = Gateway::start(&config(&[first, at("m", "well", &well.url(), "[], order: 2")], SETTINGS));
    let requests = count(6, 60);
    let outcome = drive(requests, 6, |number| gateway.chat("m", fields(number, json!({})))).await;
    let slowest = outcome.percentile(100);
    tell(&format!("an upstream that {name}: {:?}, slowest {slowest:?}", outcome.statuses()));
    assert!(0 < ill.hits(), "{name}");
    assert!(slowest < Duration::from_secs(20), "{name}: {slowest:?}");
    for got in &outcome.all {
        let streamed = got.body.starts_with("data:");
        if seen == BrokenStream && streamed && !got.is_whole("well") {
            // It says so, and does not end as if it were whole.
            let told = got.body.contains("\"error\"") && !got.body.contains("[DONE]");
            assert!(told, "{name}: {}", got.body);
        } else {
            assert!(got.is_whole("well"), "{name}: {} {}", got.status, got.body);
        }
    }
    if seen == Nothing {
        assert!(requests <= well.hits(), "{name}");
    }
}

#[tokio::test]
async fn who_refuses_connections_or_has_no_address_is_passed_over() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let well = Fake::answer(|seen| decent(seen, "well")).await;
    let deployments = [
        at("m", "refuses", &closed, "[], order: 1"),
        at("m", "nowhere", "http://no-such-host.invalid:9", "[], order: 2"),
        at("m", "well", &well.url(), "[], order: 3"),
    ];
    let gateway = Gateway::start(&config(&deployments, SETTINGS));
    let requests = count(20, 1000);
    let outcome = drive(requests, 8, |number| gateway.chat("m", fields(number, json!({})))).await;
    tell(&format!("refused and not resolved: {:?}, p99 {:?}", outcome.statuses(), outcome.percentile(99)));
    assert!(outcome.failed("well").is_empty(), "{:?}", outcome.statuses());
}

#[tokio::test]
async fn an_upstream_that_trickles_is_slow_and_not_broken() {
    let slow =
        Fake::answer(|seen| decent(seen, "slowly").split_every(25).chunk_delay(Duration::from_millis(20)))
            .await;
    let gateway = Gateway::start(&config(&[at("m", "slow", &slow.url(), "[]")], SETTINGS));
    let requests = count(20, 400);
    let outcome = drive(requests, 20, |number| gateway.chat("m", fields(number, json!({})))).await;
    tell(&format!("trickling: {:?}, p99 {:?}", outcome.statuses(), outcome.percentile(99)));
    assert!(outcome.failed("slowly").is_empty(), "{:?}", outcome.statuses());
    assert_eq!(slow.hits(), requests);
}

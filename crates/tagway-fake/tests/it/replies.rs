//! Each kind of reply, as bytes on the wire.

use std::time::{Duration, Instant};

use serde_json::json;
use tagway_fake::{After, Event, Fake, Reply};
use tokio::io::AsyncReadExt;

use crate::support::{Client, End, post, provoke};

#[tokio::test]
async fn a_fixed_reply_is_always_that() {
    let fake = Fake::reply(429, r#"{"error":{"message":"slow down"}}"#).await;
    for _ in 0..2 {
        let got = post(&fake, "/v1/chat/completions", "{}").await;
        assert_eq!((got.status, got.text().as_str()), (429, r#"{"error":{"message":"slow down"}}"#));
        assert!(got.has("content-type: application/json"));
    }
    assert_eq!((fake.hits(), fake.connections()), (2, 2));
}

#[tokio::test]
async fn a_script_goes_in_order_and_its_last_reply_repeats() {
    let fake =
        Fake::script([Reply::error(503, "busy").retry_after(1), Reply::text(200, "plain").reason("Fine")])
            .await;
    let mut client = Client::to(&fake).await;
    let mut got = Vec::new();
    for _ in 0..3 {
        client.post("/", "").await;
        got.push(client.reply().await);
    }
    assert_eq!(
        got[0].json()["error"],
        json!({"message": "busy", "type": "server_error", "param": null, "code": null})
    );
    assert!(got[0].has("retry-after: 1"));
    assert_eq!(got[1].head.lines().next(), Some("HTTP/1.1 200 Fine"));
    assert_eq!((got[2].status, got[2].text().as_str()), (200, "plain"));
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn a_function_can_answer() {
    let fake = Fake::answer(|seen| Reply::json(200, &json!({"you": seen.json()["me"]}))).await;
    assert_eq!(post(&fake, "/", r#"{"me":7}"#).await.json(), json!({"you": 7}));
}

#[tokio::test]
async fn resets_where_told() {
    let reply = || Reply::sse(["one", "two"]);
    for (at, seen) in [
        (After::Request, ""),
        (After::Head, "\r\n\r\n"),
        (After::Chunks(1), "data: one\n\n\r\n"),
        (After::Bytes(14), "\r\nb\r\ndat"),
        (After::Body, "data: two\n\n\r\n"),
    ] {
        let (bytes, end) = provoke(&Fake::script([reply().reset(at)]).await).await;
        assert_eq!(end, End::Reset, "{at:?}");
        assert!(bytes.ends_with(seen) && bytes.is_empty() == seen.is_empty(), "{at:?}: {bytes:?}");
    }
}

#[tokio::test]
async fn closes_where_told() {
    let reply = || Reply::json(200, &json!({"a": 1}));
    for (at, seen) in [(After::Request, ""), (After::Head, "\r\n\r\n"), (After::Bytes(3), "\r\n\r\n{\"a")] {
        let (bytes, end) = provoke(&Fake::script([reply().close(at)]).await).await;
        assert_eq!(end, End::Closed);
        assert!(bytes.ends_with(seen) && bytes.is_empty() == seen.is_empty(), "{at:?}: {bytes:?}");
        assert!(bytes.is_empty() || bytes.contains("content-length: 7\r\n"));
    }
}

#[tokio::test]
async fn a_fault_beyond_the_end_still_happens() {
    let (bytes, end) = provoke(&Fake::script([Reply::sse(["one"]).reset(After::Chunks(9))]).await).await;
    assert!(end == End::Reset && bytes.ends_with("data: one\n\n\r\n"), "{bytes:?}");
}

#[tokio::test]
async fn lengths_can_lie() {
    let declared = |n| Fake::script([Reply::text(200, "12345").declare_length(n)]);
    let (short, long) = (provoke(&declared(3).await).await, provoke(&declared(9).await).await);
    assert!(short.0.contains("content-length: 3\r\n") && short.0.ends_with("\r\n\r\n12345"));
    assert!(long.0.contains("content-length: 9\r\n") && long.0.ends_with("\r\n\r\n12345"));
    let (own, end) =
        provoke(&Fake::script([Reply::text(200, "12").header("Content-Length", "many")]).await).await;
    assert!(own.contains("Content-Length: many\r\n") && !own.contains("content-length"));
    assert_eq!(end, End::Closed);
}

#[tokio::test]
async fn a_cut_body_is_valid_http_and_broken_json() {
    let fake = Fake::script([Reply::json(200, &json!({"a": [1, 2, 3]})).cut(8)]).await;
    assert_eq!(post(&fake, "/", "").await.text(), r#"{"a":[1,"#);
}

#[tokio::test]
async fn bodies_are_framed_as_told() {
    let whole = Reply::text(200, "body");
    let (bytes, end) = provoke(&Fake::script([whole.clone().until_close()]).await).await;
    assert_eq!(
        (bytes.as_str(), end),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n\r\nbody", End::Closed)
    );
    let (bytes, end) = provoke(&Fake::script([whole.clone().connection_close()]).await).await;
    assert!(
        bytes.ends_with("content-length: 4\r\nconnection: close\r\n\r\nbody") && end == End::Closed,
        "{bytes:?}"
    );
    let (bytes, _) = provoke(&Fake::script([whole.chunked().connection_close()]).await).await;
    assert!(bytes.ends_with("\r\n\r\n4\r\nbody\r\n0\r\n\r\n"), "{bytes:?}");
    let sse = Fake::script([Reply::sse(["x"]).framing(tagway_fake::Framing::Length)]).await;
    assert!(post(&sse, "/", "").await.has("content-length: 9"));
}

#[tokio::test]
async fn empty_bodies() {
    let fake = Fake::script([Reply::empty(200), Reply::empty(204)]).await;
    let mut client = Client::to(&fake).await;
    client.post("/", "").await;
    assert_eq!(client.reply().await.head, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    client.post("/", "").await;
    assert_eq!(client.reply().await.head, "HTTP/1.1 204 No Content\r\n\r\n");
}

#[tokio::test]
async fn garbage_is_not_http() {
    let (bytes, end) = provoke(&Fake::script([Reply::garbage("\0\u{1}no\r\n")]).await).await;
    assert_eq!((bytes.as_str(), end), ("\0\u{1}no\r\n", End::Closed));
}

#[tokio::test]
async fn heads_can_be_huge_and_slow() {
    let fake = Fake::script([Reply::ok().huge_headers(3, 50_000)]).await;
    assert!(150_000 < post(&fake, "/", "").await.head.len());

    let fake = Fake::script([Reply::ok().slow_head(Duration::from_millis(10))]).await;
    let start = Instant::now();
    assert_eq!(post(&fake, "/", "").await.json(), json!({}));
    // Four lines with three pauses; there is no upper bound on a busy machine.
    assert!(Duration::from_millis(30) <= start.elapsed());
}

#[tokio::test]
async fn delays_are_kept() {
    let pause = Duration::from_millis(10);
    let events = [Event::data("a"), Event::data("b").after(pause), Event::data("c")];
    let fake = Fake::script([Reply::sse(events).delay(pause).chunk_delay(pause)]).await;
    let start = Instant::now();
    assert_eq!(post(&fake, "/", "").await.events(), ["a", "b", "c"]);
    assert!(4 * pause <= start.elapsed());
}

#[tokio::test]
async fn a_chunk_can_be_gigantic() {
    let fake = Fake::script([Reply::of_size(5_000_000).chunked()]).await;
    let mut client = Client::to(&fake).await;
    client.post("/", "").await;
    assert!(client.until(b"\r\n\r\n4c4b40\r\n").await.starts_with(b"HTTP/1.1 200"));
    let mut body = vec![0; 5_000_000];
    client.0.read_exact(&mut body).await.unwrap();
    assert!(body.iter().all(|byte| *byte == b'x'));
    client.until(b"\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn events_have_names_comments_lines_and_either_line_end() {
    let events = || [Event::named("n", "1\n2"), Event::comment("ping"), Event::raw("data:tight\n\n")];
    let lf = Fake::script([Reply::sse(events())]).await;
    assert_eq!(post(&lf, "/", "").await.text(), "event: n\ndata: 1\ndata: 2\n\n: ping\n\ndata:tight\n\n");
    let crlf = Fake::script([Reply::sse(events()).crlf()]).await;
    let text = post(&crlf, "/", "").await.text();
    assert_eq!(text, "event: n\r\ndata: 1\r\ndata: 2\r\n\r\n: ping\r\n\r\ndata:tight\n\n");
}

#[tokio::test]
async fn events_can_be_split_anywhere() {
    let whole = "data: é\n\ndata: two\n\n";
    for size in 1..=whole.len() + 1 {
        let fake = Fake::script([Reply::sse(["é", "two"]).split_every(size)]).await;
        let mut client = Client::to(&fake).await;
        client.post("/", "").await;
        let first = size.min(whole.len());
        client.until(format!("\r\n\r\n{first:x}\r\n").as_bytes()).await;
        let mut chunk = vec![0; first];
        client.0.read_exact(&mut chunk).await.unwrap();
        assert_eq!(chunk, whole.as_bytes()[..first]);
        assert_eq!(post(&fake, "/", "").await.text(), whole);
    }
}

#[tokio::test]
async fn a_held_reply_waits_for_the_test() {
    let fake = Fake::script([Reply::text(200, "now").hold(After::Request)]).await;
    let (mut one, mut two) = (Client::to(&fake).await, Client::to(&fake).await);
    one.post("/", "").await;
    two.post("/", "").await;
    fake.until_held(2).await;
    assert_eq!(fake.counts().finished, 0);
    fake.release();
    fake.until_finished(1).await;
    assert_eq!(fake.counts().held, 1);
    fake.release_all();
    assert_eq!((one.reply().await.text(), two.reply().await.text()), ("now".into(), "now".into()));
    assert_eq!(post(&fake, "/", "").await.text(), "now");
}

#[tokio::test]
async fn a_stream_held_half_way_shows_its_first_half() {
    let fake = Fake::script([Reply::sse(["a", "b"]).hold(After::Chunks(1))]).await;
    let mut client = Client::to(&fake).await;
    client.post("/", "").await;
    client.until(b"data: a\n\n\r\n").await;
    fake.until_held(1).await;
    fake.release();
    client.until(b"data: b\n\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_wherever_the_reply_is() {
    let places = [After::Request, After::Head, After::Chunks(1), After::Bytes(2), After::Body];
    let stalls = places.map(|at| Reply::sse(["a", "b"]).stall(at));
    let others = [Reply::ok().hold(After::Request), Reply::ok().delay(Duration::from_secs(600))];
    let fake = Fake::script(stalls.into_iter().chain(others)).await;
    for n in 1..=7 {
        let mut client = Client::to(&fake).await;
        client.post("/", "{}").await;
        fake.until_read(n).await;
        drop(client);
        fake.until_aborted(n).await;
    }
    fake.until_client_left().await;
    assert_eq!((fake.counts().held, fake.counts().finished), (0, 0));
}

#[tokio::test]
async fn a_client_that_leaves_after_the_reply_has_aborted_nothing() {
    let fake = Fake::start().await;
    let mut client = Client::to(&fake).await;
    client.post("/v1/chat/completions", r#"{"model":"m","messages":[],"stream":true}"#).await;
    client.until(b"0\r\n\r\n").await;
    drop(client);
    fake.until_finished(1).await;
    assert_eq!(fake.aborted(), 0);
}

#[tokio::test]
async fn dropping_the_fake_ends_its_connections_and_its_port() {
    let fake = Fake::script([Reply::ok().stall(After::Request)]).await;
    let addr = fake.addr();
    let mut client = Client::to(&fake).await;
    client.post("/", "").await;
    fake.until_hits(1).await;
    drop(fake);
    assert!(client.rest().await.0.is_empty());
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn finishing_lets_a_reply_end() {
    let fake = Fake::script([Reply::text(200, "done").hold(After::Head)]).await;
    let (mut idle, mut busy) = (Client::to(&fake).await, Client::to(&fake).await);
    busy.post("/", "").await;
    fake.until_held(1).await;
    fake.release();
    fake.finish(Duration::from_secs(20)).await;
    assert_eq!(busy.reply().await.text(), "done");
    assert_eq!(idle.rest().await.1, End::Closed);
}

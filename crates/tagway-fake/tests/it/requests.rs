//! What the fake records, and what it refuses to take for HTTP.

use tagway_fake::{After, Fake, Reply};
use tokio::io::AsyncWriteExt;

use crate::support::{Client, End, post};

#[tokio::test]
async fn a_request_is_kept_as_it_came() {
    let fake = Fake::reply(200, "{}").await;
    let mut client = Client::to(&fake).await;
    let head = "PUT /a/b?c=d%20e HTTP/1.1\r\nHOST: f\r\nX-One:  1 \r\nx-one: 2\r\nContent-Length: 8\r\n\r\n";
    client.send(&format!("{head}{{\"x\": 1}}")).await;
    client.reply().await;
    let seen = fake.last();
    assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.whole), ("PUT", "/a/b?c=d%20e", true));
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["HOST", "X-One", "x-one", "Content-Length"]);
    assert_eq!((seen.header("X-ONE"), seen.header_all("x-one")), (Some("1"), vec!["1", "2"]));
    assert_eq!((seen.head, seen.body.as_slice()), (head.as_bytes().to_vec(), &b"{\"x\": 1}"[..]));
    assert_eq!(fake.last().json()["x"], 1);
    assert_eq!((fake.requests().len(), fake.malformed().len()), (1, 0));
}

#[tokio::test]
async fn chunked_bodies_are_read_and_a_connection_serves_many() {
    let fake = Fake::reply(200, "{}").await;
    let mut client = Client::to(&fake).await;
    client.send("POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\n").await;
    fake.until_hits(1).await;
    assert!(!fake.last().whole);
    client.send("de\r\n0\r\n\r\n").await;
    client.reply().await;
    assert_eq!(fake.last().body, b"abcde");
    client.post("/", "again").await;
    client.reply().await;
    assert_eq!((fake.last().text().as_str(), fake.hits(), fake.connections()), ("again", 2, 1));
}

#[tokio::test]
async fn a_client_may_expect_100_continue() {
    let fake = Fake::reply(200, "{}").await;
    let mut client = Client::to(&fake).await;
    client.send("POST / HTTP/1.1\r\nHost: f\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.until(b"\r\n\r\n").await, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hi").await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn a_body_cut_short_is_kept_and_counts_as_no_reply_aborted() {
    let fake = Fake::reply(200, "{}").await;
    let mut client = Client::to(&fake).await;
    client.send("POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 9\r\n\r\nhalf").await;
    let (_, end) = {
        client.0.shutdown().await.unwrap();
        client.rest().await
    };
    assert_eq!(end, End::Closed);
    let seen = fake.last();
    assert_eq!((seen.text().as_str(), seen.whole), ("half", false));
    assert_eq!((fake.hits(), fake.counts().read, fake.aborted()), (1, 0, 0));
}

#[tokio::test]
async fn a_body_can_be_left_unread() {
    let fake = Fake::script([Reply::error(413, "too large").ignore_body()]).await;
    let mut client = Client::to(&fake).await;
    client.send("POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 9\r\n\r\nsome").await;
    assert_eq!(client.reply().await.status, 413);
    assert_eq!(client.rest().await.1, End::Closed);
    assert_eq!((fake.last().body.len(), fake.last().whole, fake.counts().read), (0, false, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_leaves_is_noticed_behind_its_unread_body() {
    let fake = Fake::script([Reply::ok().ignore_body().stall(After::Request)]).await;
    let mut client = Client::to(&fake).await;
    client.send("POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 9\r\n\r\n").await;
    fake.until_hits(1).await;
    client.send("some").await;
    drop(client);
    fake.until_client_left().await;
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_told() {
    let fake = Fake::start().await;
    let mut client = Client::to(&fake).await;
    client.send("POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 400);
    assert_eq!(client.rest().await.1, End::Closed);
    assert_eq!((fake.hits(), fake.malformed().len()), (0, 1));
}

#[tokio::test]
async fn a_length_too_small_does_not_pass_unseen() {
    let fake = Fake::reply(200, "{}").await;
    let mut client = Client::to(&fake).await;
    client.send("POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 2\r\n\r\n{}surplus").await;
    client.reply().await;
    client.0.shutdown().await.unwrap();
    client.rest().await;
    assert_eq!(fake.malformed().len(), 1);
}

#[tokio::test]
async fn old_clients_and_head_requests_get_replies_they_can_read() {
    let fake = Fake::script([Reply::sse(["x"])]).await;
    let mut client = Client::to(&fake).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let (bytes, end) = client.rest().await;
    assert!(bytes.ends_with(b"\r\n\r\ndata: x\n\n") && end == End::Closed);

    let mut client = Client::to(&fake).await;
    client.send("HEAD / HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n").await;
    assert!(client.rest().await.0.ends_with(b"\r\n\r\n"));
}

#[tokio::test]
#[should_panic(expected = "body is not JSON")]
async fn a_body_that_is_not_json_ends_the_test() {
    let fake = Fake::reply(200, "{}").await;
    post(&fake, "/", "no").await;
    fake.last().json();
}

#[tokio::test]
#[should_panic(expected = "no request has come")]
async fn no_last_request_ends_the_test() {
    Fake::start().await.last();
}

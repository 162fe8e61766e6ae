//! The binary, and the JSON form of replies it reads.

use std::process::Stdio;

use tagway_fake::Reply;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::Client;

#[tokio::test]
async fn serves_on_every_address_and_ends_on_a_signal() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tagway-fake"))
        .args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--name", "east", "--name", "west"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for name in ["east", "west"] {
        let line = lines.next_line().await.unwrap().unwrap();
        let addr = line.strip_prefix(&format!("{name} listens on http://")).unwrap();
        let mut client = Client(TcpStream::connect(addr).await.unwrap());
        client.post("/v1/chat/completions?key=secret", r#"{"model":"m","messages":[]}"#).await;
        let said = client.reply().await.json()["choices"][0]["message"]["content"].clone();
        assert_eq!(said, format!("Hello from {name}"));
    }
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert!(child.wait().await.unwrap().success());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).await.unwrap();
    assert_eq!(told, "east POST /v1/chat/completions m\nwest POST /v1/chat/completions m\n");
}

#[test]
fn a_written_reply_with_a_mistake_is_refused() {
    for (wrong, word) in [
        (r#"{"statsu": 1}"#, "unknown field"),
        (r#"{"json": 1, "text": "x"}"#, "more than one body"),
        (r#"{"events": [{"after_ms": 1}]}"#, "exactly one of"),
        (r#"{"usage": [1, 2]}"#, "belongs to chat"),
        (r#"{"headers": {"a": 1}}"#, "not a string"),
        (r#"{"framing": "length", "declare_length": 1}"#, "exclude"),
        (r#"{"reset": "later"}"#, "unknown variant"),
    ] {
        let error = serde_json::from_str::<Reply>(wrong).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_written_reply_is_the_built_one() {
    let written: Reply = serde_json::from_str(
        r#"{"status": 201, "headers": {"a": ["b", "c"]}, "events": ["x", {"event": "e", "data": {"n": 1}}],
            "split_every": 3, "reset": {"bytes": 4}, "crlf": true}"#,
    )
    .unwrap();
    let events = [tagway_fake::Event::data("x"), tagway_fake::Event::named("e", r#"{"n":1}"#)];
    let built = Reply::sse(events).status(201).header("a", "b").header("a", "c").split_every(3).crlf();
    assert_eq!(format!("{written:?}"), format!("{:?}", built.reset(tagway_fake::After::Bytes(4))));
    let error: Reply = serde_json::from_str(r#"{"error": "no"}"#).unwrap();
    assert_eq!(format!("{error:?}"), format!("{:?}", Reply::error(500, "no")));
}

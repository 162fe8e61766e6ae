//! Limits and manners: what is too large, too slow or too strange, and how the gateway ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;
use tagway_fake::{After, Fake, Reply};

use crate::gateway::{Gateway, KEY, PATIENCE, at, chat_body, config, deployment, error};

fn mock(more: &str) -> Gateway {
    Gateway::start(&format!(
        "model_list:\n{}general_settings: {{master_key: {KEY}{more}}}\n",
        deployment("m", "one", "model: openai/x, mock_response: a")
    ))
}

/// Sends bytes and reads what comes until the gateway closes the connection, or says so by `until`.
fn raw(gateway: &Gateway, bytes: &[u8], until: &str) -> String {
    let mut socket = TcpStream::connect(gateway.url.strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // The gateway may have refused and closed before all is sent.
    let _ = socket.write_all(bytes);
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while until.is_empty() || !seen.contains(until) {
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => seen += &String::from_utf8_lossy(&buffer[..count]),
        }
    }
    seen
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let gateway = mock(", max_request_size_mb: 0.001");
    let large = chat_body("m", json!({"user": "x".repeat(2000)}));
    let (status, body) = error(gateway.post("/v1/chat/completions", &large)).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("413")));
    assert!(body["error"]["message"].as_str().unwrap().contains("max_request_size_mb"));
    let chunk = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600)).repeat(3);
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n");
    let seen = raw(&gateway, format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}").as_bytes(), "}}");
    assert!(seen.starts_with("HTTP/1.1 413"), "{seen}");
    assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_flood_of_tags_is_refused_at_once() {
    let gateway = mock("");
    let tags: Vec<String> = (0..300).map(|n| format!("t{n}")).collect();
    for request in [
        gateway.chat("m", json!({"tags": tags})),
        gateway.chat("m", json!({"metadata": {"tags": tags}})),
        gateway.chat("m", json!({})).header("x-litellm-tags", tags.join(",")),
    ] {
        let (status, body) = error(request).await;
        assert_eq!(status, 400);
        assert!(body["error"]["message"].as_str().unwrap().starts_with("Too many tags"), "{body}");
    }
}

#[tokio::test]
async fn tags_in_metadata_may_be_forbidden() {
    let gateway = mock(", reject_clientside_metadata_tags: true");
    for metadata in [json!({"tags": ["a"]}), json!("{\"tags\": [\"a\"]}")] {
        let (status, _) = error(gateway.chat("m", json!({"litellm_metadata": metadata}))).await;
        assert_eq!(status, 400);
    }
    assert_eq!(gateway.chat("m", json!({"metadata": {"a": "b"}})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_large_body_within_the_limit_is_served() {
    let fake = Fake::start().await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let words = "word ".repeat(1_000_000);
    let answer =
        gateway.chat("m", json!({"messages": [{"role": "user", "content": words}]})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(fake.last().json()["messages"][0]["content"], words);
}

#[tokio::test]
async fn malformed_requests_get_a_4xx_and_the_gateway_lives_on() {
    let gateway = mock("");
    let auth = format!("authorization: Bearer {KEY}\r\n");
    let post = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n";
    for request in [
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
        format!("{post}{auth}content-length: 5\r\ncontent-length: 6\r\n\r\nhello").into_bytes(),
        format!("{post}{auth}content-length: -1\r\n\r\n").into_bytes(),
        format!("{post}{auth}transfer-encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        format!("{post}{auth}x: {}\r\n\r\n", "y".repeat(500_000)).into_bytes(),
        format!("{post}{}\r\n", "a: b\r\n".repeat(500)).into_bytes(),
        format!("{post}authorization: Bearer \u{1}\r\n\r\n").into_bytes(),
        format!("{post}{auth}bad header\r\n\r\n").into_bytes(),
    ] {
        let seen = raw(&gateway, &request, "\r\n\r\n");
        assert!(
            seen.is_empty() || seen.starts_with("HTTP/1.1 4"),
            "{:?}: {seen}",
            String::from_utf8_lossy(&request)
        );
    }
    let half = format!("{post}{auth}content-length: 100\r\n\r\n{{\"model\"");
    let socket = TcpStream::connect(gateway.url.strip_prefix("http://").unwrap()).unwrap();
    (&socket).write_all(half.as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_gateway_told_to_stop_finishes_its_streams_and_takes_no_new_ones() {
    let fake = Fake::script([Reply::chat(["a", "b"]).hold(After::Chunks(2))]).await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[default]")], ""));
    let mut answer = gateway.chat("m", json!({"stream": true})).send().await.unwrap();
    answer.chunk().await.unwrap().unwrap();
    gateway.signal("TERM");
    gateway.log("stopping");
    let address = gateway.url.strip_prefix("http://").unwrap().to_owned();
    tokio::time::timeout(PATIENCE, async {
        while TcpStream::connect(&address).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    fake.release();
    let mut rest = String::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        rest += std::str::from_utf8(&chunk).unwrap();
    }
    assert!(rest.ends_with("data: [DONE]\n\n"));
    assert_eq!(gateway.ended(), Some(0));
}

#[tokio::test]
async fn a_gateway_told_to_stop_does_not_wait_for_ever() {
    let fake = Fake::script([Reply::chat(["a", "b"]).stall(After::Chunks(1))]).await;
    let config = config(&[at("m", "one", &fake.url(), "[default]")], "");
    let gateway = Gateway::start_with(&config, &["--shutdown-grace", "1"], &[]);
    let _answer = gateway.chat("m", json!({"stream": true})).send().await.unwrap();
    gateway.signal("INT");
    gateway.log("were cut off");
    assert_eq!(gateway.ended(), Some(0));
}

#[tokio::test]
async fn neither_bodies_nor_keys_are_logged_and_json_lines_are_json() {
    let fake = Fake::start().await;
    let gateway = Gateway::start_with(
        &config(&[at("m", "one", &fake.url(), "[default]")], ""),
        &["--json-logs"],
        &[("RUST_LOG", "trace")],
    );
    let call = gateway
        .chat("m", json!({"tags": ["t1"], "user": "secret-words"}))
        .header("x-litellm-call-id", "id-1");
    call.send().await.unwrap();
    let mut line = gateway.log("\"");
    let mut lines = line.clone();
    while !line.contains("id-1") || !line.contains("tagway::request") {
        line = gateway.log("");
        lines += &line;
    }
    for secret in [KEY, "sk-upstream", "secret-words"] {
        assert!(!lines.contains(secret), "{secret}");
    }
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    insta::assert_json_snapshot!(record, {
        ".timestamp" => "[time]", ".total_us" => "[us]", ".upstream_us" => "[us]",
    });
}

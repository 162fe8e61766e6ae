//! A client as bare as the fake: it shows bytes, and how a connection ended.

use std::io::ErrorKind;

use serde_json::Value;
use tagway_fake::Fake;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client(pub(crate) TcpStream);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

/// A reply by its parts.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// With the chunks undone, as far as they came.
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The data of each event of a stream.
    pub(crate) fn events(&self) -> Vec<String> {
        self.text()
            .split("\n\n")
            .filter_map(|e| e.lines().find_map(|l| l.strip_prefix("data: ")))
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.head.lines().any(|l| l == line)
    }
}

impl Client {
    pub(crate) async fn to(fake: &Fake) -> Self {
        Self(TcpStream::connect(fake.addr()).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) {
        let length = body.len();
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: f\r\nContent-Length: {length}\r\n\r\n{body}"))
            .await;
    }

    /// Everything to the end of the connection.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, End) {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match self.0.read(&mut buffer).await {
                Ok(0) => return (all, End::Closed),
                Ok(n) => all.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return (all, End::Reset),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads exactly up to the end of `mark`.
    pub(crate) async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        while !all.ends_with(mark) {
            all.push(self.0.read_u8().await.unwrap());
        }
        all
    }

    /// One well-framed reply; the connection stays.
    pub(crate) async fn reply(&mut self) -> Got {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = Vec::new();
        if head.contains("\r\ntransfer-encoding: chunked\r\n") {
            loop {
                let line = String::from_utf8(self.until(b"\r\n").await).unwrap();
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                let mut chunk = vec![0; size + 2];
                self.0.read_exact(&mut chunk).await.unwrap();
                assert_eq!(&chunk[size..], b"\r\n");
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = head.split("content-length: ").nth(1) {
            body.resize(length.split("\r\n").next().unwrap().parse().unwrap(), 0);
            self.0.read_exact(&mut body).await.unwrap();
        }
        Got { status, head, body }
    }
}

/// One request on a connection of its own.
pub(crate) async fn post(fake: &Fake, path: &str, body: &str) -> Got {
    let mut client = Client::to(fake).await;
    client.post(path, body).await;
    client.reply().await
}

/// One request, and all that comes of it to the end of the connection.
pub(crate) async fn provoke(fake: &Fake) -> (String, End) {
    let mut client = Client::to(fake).await;
    client.post("/v1/x", "{}").await;
    let (bytes, end) = client.rest().await;
    (String::from_utf8(bytes).unwrap(), end)
}

/// The events that are JSON.
pub(crate) fn parsed(events: &[String]) -> Vec<Value> {
    events.iter().filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

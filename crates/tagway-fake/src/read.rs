//! Reads one request off a connection: its head, then its body by length or by chunks. Strict on purpose:
//! what RFC 9112 lets a lenient server repair is reported, because a gateway that sends it has a bug.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::record::Seen;

/// More than any honest head; past it the client is not going to stop.
const LARGEST_HEAD: usize = 1 << 20;

/// Why no request came of it.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection ended, at a place where it may or not.
    Left,
    /// What came is not HTTP/1.1 as it should be.
    Malformed(String),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Exactly(usize),
    Chunked,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) seen: Seen,
    pub(crate) length: Length,
    pub(crate) http10: bool,
    /// The client wants the connection closed after the reply.
    pub(crate) close: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects: bool,
}

/// Reads a head; bytes beyond it stay in `buffer`.
pub(crate) async fn head(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Request, Broken> {
    let mut searched = 0_usize;
    let end = loop {
        let start = searched.saturating_sub(3);
        if let Some(found) = buffer[start..].windows(4).position(|four| four == b"\r\n\r\n") {
            break start + found + 4;
        }
        searched = buffer.len();
        if LARGEST_HEAD < searched {
            return Err(Broken::Malformed(format!("no end of the head in {searched} bytes")));
        }
        if from.read_buf(buffer).await? == 0 {
            return Err(match searched {
                0 => Broken::Left,
                _ => Broken::Malformed(format!("the connection ended {searched} bytes into a head")),
            });
        }
    };
    parse(&buffer.split_to(end)).map_err(Broken::Malformed)
}

fn parse(head: &[u8]) -> Result<Request, String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.strip_suffix("\r\n\r\n").unwrap_or(&text).split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(method), Some(path), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("request line: {first:?}"));
    };
    let http10 = match version {
        "HTTP/1.1" => false,
        "HTTP/1.0" => true,
        _ => return Err(format!("version: {version:?}")),
    };
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&b))
    };
    if !is_token(method)
        || !(path.starts_with('/') || path == "*")
        || path.bytes().any(|b| b.is_ascii_control())
    {
        return Err(format!("request line: {first:?}"));
    }
    let mut headers = Vec::new();
    for line in lines {
        // The value is not repeated in the complaint: it may be a credential.
        let Some((name, value)) = line.split_once(':') else {
            return Err("a header line without a colon".to_owned());
        };
        if !is_token(name) {
            return Err(format!("header name: {name:?}"));
        }
        if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(format!("a control character in header {name}"));
        }
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let seen = Seen {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        head: head.to_vec(),
        ..Seen::default()
    };
    if !http10 && seen.header_all("host").len() != 1 {
        return Err("not exactly one Host".to_owned());
    }
    let length = length(&seen)?;
    let wish = seen.header_all("connection").join(",").to_ascii_lowercase();
    let wishes = |word: &str| wish.split(',').any(|w| w.trim() == word);
    let close = wishes("close") || (http10 && !wishes("keep-alive"));
    let expects = seen.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    Ok(Request { seen, length, http10, close, expects })
}

fn length(seen: &Seen) -> Result<Length, String> {
    match (&seen.header_all("content-length")[..], &seen.header_all("transfer-encoding")[..]) {
        ([], []) => Ok(Length::Exactly(0)),
        ([digits], []) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map(Length::Exactly).map_err(|_| format!("content-length: {digits:?}"))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
        (lengths, codings) => Err(format!("content-length {lengths:?} with transfer-encoding {codings:?}")),
    }
}

/// Reads a body into `body`, which keeps what came even if the rest does not.
pub(crate) async fn body(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    length: Length,
    body: &mut Vec<u8>,
) -> Result<(), Broken> {
    match length {
        Length::Exactly(count) => take(from, buffer, count, body).await,
        Length::Chunked => loop {
            let line = line(from, buffer).await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            // `from_str_radix` alone would let a sign pass.
            let size = match usize::from_str_radix(digits, 16) {
                Ok(size) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => size,
                _ => return Err(Broken::Malformed(format!("chunk size: {line:?}"))),
            };
            if size == 0 {
                while !self::line(from, buffer).await?.is_empty() {}
                return Ok(());
            }
            take(from, buffer, size, body).await?;
            if !self::line(from, buffer).await?.is_empty() {
                return Err(Broken::Malformed("a chunk longer than its size".to_owned()));
            }
        },
    }
}

async fn take(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    mut count: usize,
    into: &mut Vec<u8>,
) -> Result<(), Broken> {
    while count != 0 {
        if buffer.is_empty() && from.read_buf(buffer).await? == 0 {
            return Err(Broken::Left);
        }
        let now = count.min(buffer.len());
        into.extend_from_slice(&buffer[..now]);
        buffer.advance(now);
        count -= now;
    }
    Ok(())
}

async fn line(from: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<String, Broken> {
    loop {
        if let Some(end) = buffer.windows(2).position(|two| two == b"\r\n") {
            let line = buffer.split_to(end);
            buffer.advance(2);
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        if LARGEST_HEAD < buffer.len() {
            return Err(Broken::Malformed("a chunk line without end".to_owned()));
        }
        if from.read_buf(buffer).await? == 0 {
            return Err(Broken::Left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(input: &str) -> Result<(Request, Vec<u8>), Broken> {
        let (mut from, mut buffer, mut bytes) = (input.as_bytes(), BytesMut::new(), Vec::new());
        let request = head(&mut from, &mut buffer).await?;
        body(&mut from, &mut buffer, request.length, &mut bytes).await?;
        Ok((request, bytes))
    }

    #[tokio::test]
    async fn keeps_case_order_and_bytes() {
        let (request, body) = read(
            "POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nX-Two: 2\r\nx-two:  3 \r\nContent-Length: 2\r\n\r\nhi",
        )
        .await
        .unwrap();
        assert_eq!((request.seen.path.as_str(), request.seen.route()), ("/v1/x?a=b", "/v1/x"));
        assert_eq!(request.seen.headers[1], ("X-Two".to_owned(), "2".to_owned()));
        assert_eq!(request.seen.header_all("X-TWO"), ["2", "3"]);
        assert_eq!(body, b"hi");
    }

    #[tokio::test]
    async fn undoes_chunks() {
        let chunks = "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
        let (_, body) =
            read(&format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
                .await
                .unwrap();
        assert_eq!(body, b"abcde");
    }

    #[tokio::test]
    async fn refuses_what_a_lenient_server_would_repair() {
        for wrong in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX: a\nb\r\n\r\n",
            "GET / HTTP/2\r\nHost: h\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\nx",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        ] {
            assert!(matches!(read(wrong).await, Err(Broken::Malformed(_))), "{wrong:?}");
        }
    }
}

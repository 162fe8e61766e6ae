//! Lays a reply out as steps: bytes to write, times to wait, places to misbehave. Pure, so that the
//! framing rules can be read and tested without a socket.

use std::time::Duration;

use crate::reply::{After, Body, Framing, Reply, Turn};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait(Duration),
    Write(Vec<u8>),
    Turn(Turn),
}

pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Whether the connection may carry another request afterwards.
    pub(crate) reusable: bool,
}

/// What of the request bears on the shape of the reply.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asked {
    /// A HEAD request: the body must not be sent.
    pub(crate) head_only: bool,
    /// HTTP/1.0 knows no chunks.
    pub(crate) http10: bool,
    /// The client wants, or its version implies, a close.
    pub(crate) close: bool,
}

struct Piece {
    delay: Duration,
    bytes: Vec<u8>,
}

/// Lays out `reply`.
pub(crate) fn lay_out(reply: &Reply, asked: Asked) -> Plan {
    let chunked = reply.framing == Framing::Chunked && !asked.http10;
    let pieces = if asked.head_only { Vec::new() } else { pieces(reply) };
    let mut steps = Steps { steps: Vec::new(), turns: &reply.turns };
    steps.wait(reply.delay);
    steps.turns_at(|at| at == After::Request);
    let whole: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
    head(reply, asked, whole, &mut steps);
    steps.turns_at(|at| matches!(at, After::Head | After::Chunks(0) | After::Bytes(0)));

    let mut sent = 0;
    let count = pieces.len();
    // A whole body goes out with its head, as servers do; a stream's head goes first.
    let mut join = matches!(reply.body, Body::Whole(_)) && !chunked;
    for (index, piece) in pieces.into_iter().enumerate() {
        steps.wait(piece.delay);
        if chunked {
            steps.write(format!("{:x}\r\n", piece.bytes.len()).as_bytes(), false);
            join = true;
        }
        let end = sent + piece.bytes.len();
        // A turn inside a chunk leaves the client with a chunk shorter than its size line said.
        for stop in steps.stops_within(sent, end) {
            let from = piece.bytes.len() - (end - sent);
            steps.write(&piece.bytes[from..from + stop - sent], join);
            sent = stop;
            steps.turns_at(|at| at == After::Bytes(stop));
            join = false;
        }
        steps.write(&piece.bytes[piece.bytes.len() - (end - sent)..], join);
        sent = end;
        if chunked {
            steps.write(b"\r\n", true);
        }
        join = false;
        steps.turns_at(|at| at == After::Chunks(index + 1) || (end != 0 && at == After::Bytes(end)));
    }
    // Places beyond the end are the end: a test that miscounts must still see its fault.
    steps.turns_at(|at| match at {
        After::Body => true,
        After::Chunks(n) => count < n,
        After::Bytes(n) => sent < n,
        After::Request | After::Head => false,
    });
    if chunked && !asked.head_only {
        steps.write(b"0\r\n\r\n", true);
    }
    Plan { steps: steps.steps, reusable: chunked_or_counted(reply, chunked) && !must_close(reply, asked) }
}

fn chunked_or_counted(reply: &Reply, chunked: bool) -> bool {
    chunked || reply.framing == Framing::Length
}

fn must_close(reply: &Reply, asked: Asked) -> bool {
    reply.close || asked.close || !reply.read_body || frames_itself(reply)
}

/// Whether the script wrote its own framing headers, whose truth nobody knows.
fn frames_itself(reply: &Reply) -> bool {
    let ours = ["content-length", "transfer-encoding"];
    reply.headers.iter().any(|(name, _)| ours.iter().any(|own| name.eq_ignore_ascii_case(own)))
}

fn head(reply: &Reply, asked: Asked, length: usize, steps: &mut Steps<'_>) {
    if reply.framing == Framing::Bare {
        return;
    }
    let reason = reply.reason.as_deref().unwrap_or_else(|| reason(reply.status));
    let mut lines = vec![format!("HTTP/1.1 {} {reason}\r\n", reply.status)];
    lines.extend(reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    // 204 and 304 have no body by definition, and a length of nothing would be a lie of ours.
    let bodiless = matches!(reply.status, 204 | 304) && length == 0;
    if !frames_itself(reply) && !bodiless {
        match reply.framing {
            // Only a body that was laid out has a known length; a HEAD reply may leave it out.
            Framing::Length if !asked.head_only => lines.push(format!("content-length: {length}\r\n")),
            Framing::Declared(n) => lines.push(format!("content-length: {n}\r\n")),
            Framing::Chunked if !asked.http10 => lines.push("transfer-encoding: chunked\r\n".to_owned()),
            Framing::Length | Framing::Chunked | Framing::UntilClose | Framing::Bare => {}
        }
    }
    if reply.close {
        lines.push("connection: close\r\n".to_owned());
    }
    lines.push("\r\n".to_owned());
    if reply.head_line_delay.is_zero() {
        return steps.write(lines.concat().as_bytes(), false);
    }
    for (index, line) in lines.iter().enumerate() {
        if index != 0 {
            steps.wait(reply.head_line_delay);
        }
        steps.write(line.as_bytes(), false);
    }
}

fn pieces(reply: &Reply) -> Vec<Piece> {
    let parts: Vec<Piece> = match &reply.body {
        Body::Whole(bytes) => vec![Piece { delay: Duration::ZERO, bytes: bytes.clone() }],
        Body::Events(events) => {
            events.iter().map(|event| Piece { delay: event.after, bytes: event.bytes(reply.crlf) }).collect()
        }
    };
    let mut pieces = match reply.split_every {
        Some(size) => recut(&parts, size),
        None => parts,
    };
    // A chunk of no bytes would be the end of the body.
    pieces.retain(|piece| !piece.bytes.is_empty());
    for piece in pieces.iter_mut().skip(1) {
        piece.delay += reply.chunk_delay;
    }
    pieces
}

/// Cuts without regard to the parts' borders. A part's delay goes to the piece that holds its first byte.
fn recut(parts: &[Piece], size: usize) -> Vec<Piece> {
    let all: Vec<u8> = parts.iter().flat_map(|part| part.bytes.iter().copied()).collect();
    let mut pieces: Vec<Piece> =
        all.chunks(size).map(|bytes| Piece { delay: Duration::ZERO, bytes: bytes.to_vec() }).collect();
    let mut start = 0;
    for part in parts {
        if let Some(piece) = pieces.get_mut(start / size) {
            piece.delay += part.delay;
        }
        start += part.bytes.len();
    }
    pieces
}

struct Steps<'a> {
    steps: Vec<Step>,
    turns: &'a [(After, Turn)],
}

impl Steps<'_> {
    fn wait(&mut self, delay: Duration) {
        if !delay.is_zero() {
            self.steps.push(Step::Wait(delay));
        }
    }

    /// `join` adds to the write before it, if that is the last step: one packet instead of two.
    fn write(&mut self, bytes: &[u8], join: bool) {
        match self.steps.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Step::Write(last)) if join => last.extend_from_slice(bytes),
            _ => self.steps.push(Step::Write(bytes.to_vec())),
        }
    }

    fn turns_at(&mut self, here: impl Fn(After) -> bool) {
        self.steps.extend(self.turns.iter().filter(|(at, _)| here(*at)).map(|(_, turn)| Step::Turn(*turn)));
    }

    /// The byte places strictly between `start` and `end` where something happens, in order, each once.
    fn stops_within(&self, start: usize, end: usize) -> Vec<usize> {
        let mut stops: Vec<usize> = self
            .turns
            .iter()
            .filter_map(|(at, _)| match at {
                After::Bytes(n) if start < *n && *n < end => Some(*n),
                _ => None,
            })
            .collect();
        stops.sort_unstable();
        stops.dedup();
        stops
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Scripted",
    }
}

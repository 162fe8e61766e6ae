//! A reply as a value: what to send, and where to misbehave. Building one does nothing; `plan` lays it out
//! as steps and `connection` walks them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::openai;
use crate::sse::Event;

/// A scripted reply. Start from a constructor, then say how it differs from a decent one.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) reason: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    pub(crate) framing: Framing,
    pub(crate) delay: Duration,
    pub(crate) chunk_delay: Duration,
    pub(crate) head_line_delay: Duration,
    pub(crate) split_every: Option<usize>,
    pub(crate) crlf: bool,
    pub(crate) turns: Vec<(After, Turn)>,
    pub(crate) read_body: bool,
    pub(crate) close: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Whole(Vec<u8>),
    Events(Vec<Event>),
}

/// How the client learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`, true to the body.
    Length,
    /// `Content-Length` of this value, true or not. The connection closes after the body.
    Declared(u64),
    /// `Transfer-Encoding: chunked`, one chunk per write.
    Chunked,
    /// Neither: the body ends with the connection.
    UntilClose,
    /// No head at all; the body is all that is sent, and the connection closes.
    Bare,
}

/// A place in the reply where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The request has been read and nothing has been sent.
    Request,
    /// The head has been sent.
    Head,
    /// This many chunks (events, or the pieces `split_every` makes) have been sent.
    Chunks(usize),
    /// This many bytes of the body have been sent, wherever in a chunk that falls.
    Bytes(usize),
    /// The body has been sent, but for the mark of its end.
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Stall,
    Hold,
    Reset,
    Close,
}

impl Reply {
    fn new(status: u16, content_type: Option<&str>, body: Body, framing: Framing) -> Self {
        Self {
            status,
            reason: None,
            headers: content_type.map(|v| ("content-type".to_owned(), v.to_owned())).into_iter().collect(),
            body,
            framing,
            delay: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            head_line_delay: Duration::ZERO,
            split_every: None,
            crlf: false,
            turns: Vec::new(),
            read_body: true,
            close: false,
        }
    }

    /// Status 200 with an empty JSON object, for replies whose content does not matter.
    pub fn ok() -> Self {
        Self::json(200, &json!({}))
    }

    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::raw(status, "application/json", body.to_string())
    }

    /// A body of text, typed as JSON if it is JSON and as plain text if not.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        Self::raw(status, if is_json { "application/json" } else { "text/plain; charset=utf-8" }, body)
    }

    /// Any bytes under any content type.
    pub fn raw(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, Some(content_type), Body::Whole(body.into()), Framing::Length)
    }

    /// No body and no content type.
    pub fn empty(status: u16) -> Self {
        Self::new(status, None, Body::Whole(Vec::new()), Framing::Length)
    }

    /// An error in the shape of OpenAI's, with the type and code that go with the status.
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(status, &openai::error_body(status, message))
    }

    /// A body of this many bytes in one piece; with [`Reply::chunked`], one gigantic chunk.
    pub fn of_size(bytes: usize) -> Self {
        Self::raw(200, "application/octet-stream", vec![b'x'; bytes])
    }

    /// A stream of events, one chunk and one write each.
    pub fn sse<E: Into<Event>>(events: impl IntoIterator<Item = E>) -> Self {
        let events = events.into_iter().map(Into::into).collect();
        Self::new(200, Some("text/event-stream; charset=utf-8"), Body::Events(events), Framing::Chunked)
    }

    /// A chat stream with these deltas, a finish chunk and `[DONE]`, whatever was asked. Its first chunk
    /// carries the role and no content, so the deltas are chunks 2, 3, ….
    pub fn chat<S: Into<String>>(deltas: impl IntoIterator<Item = S>) -> Self {
        openai::scripted_stream(deltas.into_iter().map(Into::into).collect(), None)
    }

    /// As [`Reply::chat`], with a usage chunk before `[DONE]`.
    pub fn chat_with_usage<S: Into<String>>(
        deltas: impl IntoIterator<Item = S>,
        prompt_tokens: u64,
        completion_tokens: u64,
    ) -> Self {
        let usage = Some((prompt_tokens, completion_tokens));
        openai::scripted_stream(deltas.into_iter().map(Into::into).collect(), usage)
    }

    /// A whole chat completion with this content and usage, whatever was asked.
    pub fn completion(content: &str, prompt_tokens: u64, completion_tokens: u64) -> Self {
        openai::scripted_completion(content, prompt_tokens, completion_tokens)
    }

    /// Bytes that need not be HTTP, with no head, then the end of the connection.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(200, None, Body::Whole(bytes.into()), Framing::Bare)
    }

    /// Another status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Another reason phrase.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds a header; `content-type` replaces the one there. A `content-length` or `transfer-encoding`
    /// given here stands instead of the true one, and the connection closes after the reply.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        if name.eq_ignore_ascii_case("content-type") {
            self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case("content-type"));
        }
        self.headers.push((name, value.into()));
        self
    }

    /// `Retry-After` in seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("retry-after", seconds.to_string())
    }

    /// Adds `count` headers whose values are `size` bytes long.
    pub fn huge_headers(mut self, count: usize, size: usize) -> Self {
        self.headers.extend((0..count).map(|i| (format!("x-huge-{i}"), "h".repeat(size))));
        self
    }

    /// Waits before the first byte.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits before each chunk but the first.
    pub fn chunk_delay(mut self, delay: Duration) -> Self {
        self.chunk_delay = delay;
        self
    }

    /// Sends the head line by line, waiting before each line but the first.
    pub fn slow_head(mut self, per_line: Duration) -> Self {
        self.head_line_delay = per_line;
        self
    }

    /// Cuts the body every `bytes` bytes, across the borders of events and characters; each piece is a
    /// write of its own (and a chunk of its own). A number above the body's size sends it in one piece.
    pub fn split_every(mut self, bytes: usize) -> Self {
        self.split_every = Some(bytes.max(1));
        self
    }

    /// Ends the lines of events with CRLF.
    pub fn crlf(mut self) -> Self {
        self.crlf = true;
        self
    }

    /// Frames the body so.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Frames the body in chunks.
    pub fn chunked(self) -> Self {
        self.framing(Framing::Chunked)
    }

    /// Ends the body by closing the connection.
    pub fn until_close(self) -> Self {
        self.framing(Framing::UntilClose)
    }

    /// Declares this `Content-Length`, true or not, and closes after the body.
    pub fn declare_length(self, length: u64) -> Self {
        self.framing(Framing::Declared(length))
    }

    /// Cuts a whole body to its first `bytes` bytes with a `Content-Length` to match: valid HTTP, broken
    /// JSON. (For a body shorter than its declared length, use [`Reply::close`] with [`After::Bytes`].)
    pub fn cut(mut self, bytes: usize) -> Self {
        if let Body::Whole(body) = &mut self.body {
            body.truncate(bytes);
        }
        self
    }

    /// Sends nothing more until the client leaves.
    pub fn stall(self, at: After) -> Self {
        self.turn(at, Turn::Stall)
    }

    /// Waits until the test calls [`Fake::release`](crate::Fake::release), then goes on.
    pub fn hold(self, at: After) -> Self {
        self.turn(at, Turn::Hold)
    }

    /// Resets the connection (RST).
    pub fn reset(self, at: After) -> Self {
        self.turn(at, Turn::Reset)
    }

    /// Closes the connection (FIN), however much was still to come.
    pub fn close(self, at: After) -> Self {
        self.turn(at, Turn::Close)
    }

    /// Says `Connection: close` and does so after the reply.
    pub fn connection_close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Never reads the request's body.
    pub fn ignore_body(mut self) -> Self {
        self.read_body = false;
        self
    }

    fn turn(mut self, at: After, turn: Turn) -> Self {
        self.turns.push((at, turn));
        self
    }
}

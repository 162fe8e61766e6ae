//! The JSON form of a reply, for script files. Each field is one builder call of [`Reply`]; a field nobody
//! knows is an error, since a misspelt fault would be a decent reply.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::reply::{After, Framing, Reply};
use crate::sse::Event;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    status: Option<u16>,
    reason: Option<String>,
    headers: Map<String, Value>,

    // At most one of these is the body.
    json: Option<Value>,
    text: Option<String>,
    error: Option<String>,
    events: Option<Vec<WrittenEvent>>,
    chat: Option<Vec<String>>,
    size: Option<usize>,
    garbage: Option<String>,

    /// `[prompt, completion]` tokens of `chat`.
    usage: Option<(u64, u64)>,
    framing: Option<WrittenFraming>,
    declare_length: Option<u64>,
    cut: Option<usize>,
    split_every: Option<usize>,
    crlf: bool,
    delay_ms: u64,
    chunk_delay_ms: u64,
    head_line_delay_ms: u64,
    stall: Option<WrittenAfter>,
    reset: Option<WrittenAfter>,
    close: Option<WrittenAfter>,
    connection_close: bool,
    ignore_body: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenFraming {
    Length,
    Chunked,
    UntilClose,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenAfter {
    Request,
    Head,
    Body,
    Chunks(usize),
    Bytes(usize),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenEvent {
    Plain(String),
    Full(FullEvent),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FullEvent {
    event: Option<String>,
    data: Option<Value>,
    comment: Option<String>,
    raw: Option<String>,
    after_ms: u64,
}

impl From<WrittenAfter> for After {
    fn from(written: WrittenAfter) -> Self {
        match written {
            WrittenAfter::Request => Self::Request,
            WrittenAfter::Head => Self::Head,
            WrittenAfter::Body => Self::Body,
            WrittenAfter::Chunks(n) => Self::Chunks(n),
            WrittenAfter::Bytes(n) => Self::Bytes(n),
        }
    }
}

impl WrittenEvent {
    fn event(self) -> Result<Event, String> {
        let full = match self {
            Self::Plain(data) => return Ok(Event::data(data)),
            Self::Full(full) => full,
        };
        let event = match (full.data, full.comment, full.raw) {
            (Some(data), None, None) => {
                // A string is the data itself; anything else is data as JSON.
                let data = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
                full.event
                    .map_or_else(|| Event::data(data.as_str()), |name| Event::named(name, data.as_str()))
            }
            (None, Some(comment), None) => Event::comment(comment),
            (None, None, Some(raw)) => Event::raw(raw),
            _ => return Err("an event needs exactly one of data, comment, raw".to_owned()),
        };
        Ok(event.after(Duration::from_millis(full.after_ms)))
    }
}

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Written::deserialize(from)?.reply().map_err(serde::de::Error::custom)
    }
}

impl Written {
    fn reply(mut self) -> Result<Reply, String> {
        let mut reply = self.body()?;
        if let Some(status) = self.status {
            reply = reply.status(status);
        }
        if let Some(reason) = self.reason {
            reply = reply.reason(reason);
        }
        for (name, value) in self.headers {
            let values = if let Value::Array(values) = value { values } else { vec![value] };
            for value in values {
                let value = value.as_str().ok_or_else(|| format!("header {name} is not a string"))?;
                reply = reply.header(name.as_str(), value);
            }
        }
        reply = match (self.framing, self.declare_length) {
            (None, None) => reply,
            (None, Some(length)) => reply.declare_length(length),
            (Some(WrittenFraming::Length), None) => reply.framing(Framing::Length),
            (Some(WrittenFraming::Chunked), None) => reply.chunked(),
            (Some(WrittenFraming::UntilClose), None) => reply.until_close(),
            (Some(_), Some(_)) => return Err("framing and declare_length exclude each other".to_owned()),
        };
        if let Some(bytes) = self.cut {
            reply = reply.cut(bytes);
        }
        if let Some(bytes) = self.split_every {
            reply = reply.split_every(bytes);
        }
        if self.crlf {
            reply = reply.crlf();
        }
        if let Some(at) = self.stall {
            reply = reply.stall(at.into());
        }
        if let Some(at) = self.reset {
            reply = reply.reset(at.into());
        }
        if let Some(at) = self.close {
            reply = reply.close(at.into());
        }
        if self.connection_close {
            reply = reply.connection_close();
        }
        if self.ignore_body {
            reply = reply.ignore_body();
        }
        Ok(reply
            .delay(Duration::from_millis(self.delay_ms))
            .chunk_delay(Duration::from_millis(self.chunk_delay_ms))
            .slow_head(Duration::from_millis(self.head_line_delay_ms)))
    }

    fn body(&mut self) -> Result<Reply, String> {
        let usage = self.usage.take();
        if usage.is_some() && self.chat.is_none() {
            return Err("usage belongs to chat".to_owned());
        }
        let status = self.status.unwrap_or(200);
        let mut bodies = Vec::new();
        bodies.extend(self.json.take().map(|body| Reply::json(status, &body)));
        bodies.extend(self.text.take().map(|body| Reply::text(status, body)));
        bodies.extend(self.error.take().map(|message| {
            let status = *self.status.get_or_insert(500);
            Reply::error(status, &message)
        }));
        bodies.extend(self.size.take().map(Reply::of_size));
        bodies.extend(self.garbage.take().map(Reply::garbage));
        bodies.extend(self.chat.take().map(|deltas| match usage {
            Some((prompt, completion)) => Reply::chat_with_usage(deltas, prompt, completion),
            None => Reply::chat(deltas),
        }));
        if let Some(events) = self.events.take() {
            bodies.push(Reply::sse(
                events.into_iter().map(WrittenEvent::event).collect::<Result<Vec<_>, _>>()?,
            ));
        }
        match bodies.len() {
            0 => Ok(Reply::empty(status)),
            1 => bodies.pop().ok_or_else(String::new),
            _ => Err("more than one body: json, text, error, events, chat, size, garbage".to_owned()),
        }
    }
}

//! The default script: an OpenAI-compatible provider, as far as a gateway can tell. It refuses what the
//! real one refuses in the requests a gateway rewrites, and counts tokens by a rule tests can do in their
//! heads: a quarter of the characters, rounded up.

mod chat;
mod embeddings;
mod failures;
mod responses;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::record::Seen;
use crate::reply::Reply;

/// An OpenAI-compatible provider: what it says and how fast.
///
/// Serves `POST …/chat/completions`, `…/completions`, `…/embeddings`, `…/responses` and `GET …/models`.
/// The models `fake-500`, `fake-429`, `fake-401`, `fake-400`, `fake-reset`, `fake-stall`, `fake-slow`,
/// `fake-truncated` and `fake-garbage` fail as they are called.
#[derive(Debug)]
pub struct OpenAi {
    name: String,
    deltas: Vec<String>,
    usage: Option<(u64, u64)>,
    delay: Duration,
    chunk_delay: Duration,
    served: AtomicU64,
}

impl Default for OpenAi {
    fn default() -> Self {
        Self::named("fake")
    }
}

impl OpenAi {
    /// Says "Hello from {name}".
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            deltas: format!("Hello from {name}").split_inclusive(' ').map(str::to_owned).collect(),
            usage: None,
            delay: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            served: AtomicU64::new(0),
        }
    }

    /// Says these deltas instead.
    pub fn says<S: Into<String>>(mut self, deltas: impl IntoIterator<Item = S>) -> Self {
        self.deltas = deltas.into_iter().map(Into::into).collect();
        self
    }

    /// Says its words over and over until there are `count` deltas.
    pub fn chunks(mut self, count: usize) -> Self {
        let words = std::mem::take(&mut self.deltas);
        let spaced = words.iter().map(|word| format!("{} ", word.trim_end()));
        self.deltas = spaced.cycle().take(count).collect();
        self
    }

    /// Reports this usage, whatever was said.
    pub fn usage(mut self, prompt_tokens: u64, completion_tokens: u64) -> Self {
        self.usage = Some((prompt_tokens, completion_tokens));
        self
    }

    /// Waits before the first byte of each reply.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits between the chunks of a stream.
    pub fn chunk_delay(mut self, delay: Duration) -> Self {
        self.chunk_delay = delay;
        self
    }

    pub(crate) fn answer(&self, seen: &Seen) -> Reply {
        let turn = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        let reply = self.route(seen, turn).unwrap_or_else(|no| Reply::error(no.status, &no.message));
        reply
            .delay(self.delay)
            .header("x-request-id", format!("req_{turn:032x}"))
            .header("openai-processing-ms", self.delay.as_millis().max(1).to_string())
            .header("x-ratelimit-limit-requests", "100")
            .header("x-ratelimit-remaining-requests", "99")
    }

    fn route(&self, seen: &Seen, turn: u64) -> Result<Reply, Refusal> {
        let path = seen.route();
        let is = |end: &str| path.ends_with(end);
        let method = if is("/models") { "GET" } else { "POST" };
        let known = is("/chat/completions") || is("/completions") || is("/embeddings") || is("/responses");
        if !known && !is("/models") {
            return Err(Refusal::new(404, &format!("Invalid URL ({} {path})", seen.method)));
        }
        if seen.method != method {
            return Err(Refusal::new(405, &format!("Not allowed to {} on {path}", seen.method)));
        }
        if is("/models") {
            return Ok(self.models());
        }
        let said = self.said(seen, turn)?;
        let reply = if is("/chat/completions") {
            chat::chat(&said)
        } else if is("/completions") {
            chat::completion(&said)
        } else if is("/embeddings") {
            embeddings::embed(&said)
        } else {
            responses::respond(&said)
        }?;
        Ok(failures::apply(&said, reply.chunk_delay(self.chunk_delay)))
    }

    fn said(&self, seen: &Seen, turn: u64) -> Result<Said, Refusal> {
        let body: Value = serde_json::from_slice(&seen.body)
            .map_err(|_| Refusal::new(400, "We could not parse the JSON body of your request."))?;
        let Some(model) = body.get("model").and_then(Value::as_str).map(str::to_owned) else {
            return Err(Refusal::new(400, "you must provide a model parameter"));
        };
        let stream = flag(&body, "stream")?;
        let options = body.get("stream_options").filter(|options| !options.is_null());
        if options.is_some() && !stream {
            let why = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(Refusal::new(400, why));
        }
        let include_usage = options.map_or(Ok(false), |options| flag(options, "include_usage"))?;
        let deltas = self.deltas.clone();
        Ok(Said { turn, created: now(), model, stream, include_usage, deltas, usage: self.usage, body })
    }

    fn models(&self) -> Reply {
        let ids = std::iter::once(self.name.as_str()).chain(failures::MODELS.iter().copied());
        let data: Vec<Value> = ids
            .map(|id| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": self.name}))
            .collect();
        Reply::json(200, &json!({"object": "list", "data": data}))
    }
}

/// A request turned down, in the provider's words.
struct Refusal {
    status: u16,
    message: String,
}

impl Refusal {
    fn new(status: u16, message: &str) -> Self {
        Self { status, message: message.to_owned() }
    }
}

/// A request understood, and what will be said to it.
struct Said {
    turn: u64,
    created: u64,
    model: String,
    stream: bool,
    include_usage: bool,
    deltas: Vec<String>,
    usage: Option<(u64, u64)>,
    body: Value,
}

impl Said {
    fn id(&self, prefix: &str) -> String {
        format!("{prefix}{:024x}", self.turn)
    }

    fn text(&self) -> String {
        self.deltas.concat()
    }

    /// Prompt and completion tokens, the prompt being in this field of the request.
    fn tokens(&self, prompt: &str) -> (u64, u64) {
        let counted = || (tokens(self.body.get(prompt).unwrap_or(&Value::Null)), tokens_of(&self.text()));
        self.usage.unwrap_or_else(counted)
    }

    /// The field, which must be there.
    fn required(&self, field: &str) -> Result<&Value, Refusal> {
        let missing = || Refusal::new(400, &format!("Missing required parameter: '{field}'."));
        self.body.get(field).filter(|value| !value.is_null()).ok_or_else(missing)
    }
}

fn flag(body: &Value, field: &str) -> Result<bool, Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Refusal::new(400, &format!("Invalid type for '{field}': expected a boolean."))),
    }
}

fn tokens_of(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}

/// Tokens of anything that stands for text: a string, token numbers, messages, parts.
fn tokens(value: &Value) -> u64 {
    match value {
        Value::String(text) => tokens_of(text),
        Value::Number(_) => 1,
        Value::Array(parts) => parts.iter().map(tokens).sum(),
        Value::Object(fields) => fields.get("content").or_else(|| fields.get("text")).map_or(0, tokens),
        Value::Null | Value::Bool(_) => 0,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// OpenAI's error body, with the type and code it gives to this status.
pub(crate) fn error_body(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => ("invalid_request_error", Some("unsupported_country_region_territory")),
        404 => ("invalid_request_error", Some("unknown_url")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..500 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

fn scripted(deltas: Vec<String>, usage: Option<(u64, u64)>, stream: bool) -> Said {
    let (model, body) = ("fake".to_owned(), Value::Null);
    Said { turn: 0, created: now(), model, stream, include_usage: usage.is_some(), deltas, usage, body }
}

/// A chat stream that does not depend on the request.
pub(crate) fn scripted_stream(deltas: Vec<String>, usage: Option<(u64, u64)>) -> Reply {
    chat::chat_stream(&scripted(deltas, usage, true))
}

/// A chat completion that does not depend on the request.
pub(crate) fn scripted_completion(content: &str, prompt_tokens: u64, completion_tokens: u64) -> Reply {
    let usage = Some((prompt_tokens, completion_tokens));
    chat::chat_whole(&scripted(vec![content.to_owned()], usage, false))
}

//! From a request's bytes to a [`Call`]: the body is read within its limits and its fields are checked. Knows
//! nothing of deployments.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use smallvec::SmallVec;
use tagway_core::snapshot::{Endpoint, json_string};
use tagway_core::tag::Expression;
use tagway_core::wire::json::text_of;
use tagway_core::wire::peek::{Known, Peek};
use tagway_core::wire::splice;

use super::failure::Failure;
use super::names;
use super::wanted_fallbacks::{self, Targets};
use crate::tags::{Malformed, kind_of};

/// A body must arrive within this time, however small its pieces.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Room made for a body before its first byte is there: a client's claim of a length costs it nothing.
const FIRST_ROOM: usize = 1 << 20;

/// An answer that does not stream, or an error's, may be this large.
const LARGEST_ANSWER: usize = 256 << 20;

/// Headers of the client's that go to the provider.
const PASSED_ON: [HeaderName; 2] =
    [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

/// A request for a model.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) peek: Peek<'a>,
    /// The model's name as a JSON string: what answers call it.
    pub(crate) model_json: String,
    pub(crate) stream: bool,
    /// The client wants the usage of the stream.
    pub(crate) asked_for_usage: bool,
    pub(crate) timeout: Option<Duration>,
    /// How long the client waits for an answer to begin, and until when that is.
    pub(crate) patience: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) num_retries: Option<u32>,
    pub(crate) fallbacks: Option<Targets>,
    pub(crate) context_fallbacks: Option<Targets>,
    pub(crate) policy_fallbacks: Option<Targets>,
    pub(crate) disable_fallbacks: bool,
    pub(crate) expression: Option<Expression>,
    /// The largest answer that is read as a whole.
    pub(crate) largest: usize,
    pub(crate) passed_on: SmallVec<[(HeaderName, HeaderValue); 2]>,
}

impl Call<'_> {
    /// The models it names as fallbacks of `model`.
    pub(crate) fn named_fallbacks(&self, model: &str) -> Vec<String> {
        let all = [&self.fallbacks, &self.context_fallbacks, &self.policy_fallbacks];
        all.into_iter().flatten().flat_map(|targets| targets.names(model)).map(str::to_owned).collect()
    }

    /// The same call with another body.
    pub(crate) fn with<'b>(&self, peek: Peek<'b>) -> Call<'b> {
        Call {
            endpoint: self.endpoint,
            peek,
            model_json: self.model_json.clone(),
            stream: self.stream,
            asked_for_usage: self.asked_for_usage,
            timeout: self.timeout,
            patience: self.patience,
            deadline: self.deadline,
            num_retries: self.num_retries,
            fallbacks: None,
            context_fallbacks: None,
            policy_fallbacks: None,
            disable_fallbacks: self.disable_fallbacks,
            expression: self.expression.clone(),
            largest: self.largest,
            passed_on: self.passed_on.clone(),
        }
    }
}

/// Reads a body, at most `limit` bytes of it.
pub(crate) async fn body(mut body: Incoming, limit: usize) -> Result<Bytes, Failure> {
    let hint = body.size_hint();
    if limit < usize::try_from(hint.lower()).unwrap_or(usize::MAX) {
        return Err(Failure::TooLarge { limit });
    }
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Failure::BrokenBody)?.into_data() else { continue };
            match &first {
                // Small bodies come in one piece and are not copied.
                None => first = Some(data),
                Some(begin) => {
                    if all.is_empty() {
                        let length = usize::try_from(hint.lower()).unwrap_or(0).min(FIRST_ROOM);
                        all.reserve(length.max(begin.len() + data.len()));
                        all.extend_from_slice(begin);
                    }
                    all.extend_from_slice(&data);
                }
            }
            if limit < all.len().max(first.as_ref().map_or(0, Bytes::len)) {
                return Err(Failure::TooLarge { limit });
            }
        }
        Ok(if all.is_empty() { first.unwrap_or_default() } else { all.freeze() })
    };
    if body_is_there(&hint) {
        return reading.await;
    }
    tokio::time::timeout(BODY_TIME, reading).await.unwrap_or(Err(Failure::SlowBody(BODY_TIME)))
}

/// Whether there is nothing to wait for.
fn body_is_there(hint: &http_body::SizeHint) -> bool {
    hint.exact() == Some(0)
}

/// Reads what a call says. `path_model` is the model named by the path, which wins over the body's.
pub(crate) fn call<'a>(
    endpoint: Endpoint,
    path_model: Option<&str>,
    headers: &HeaderMap,
    peek: Peek<'a>,
) -> Result<(Call<'a>, Option<Cow<'a, str>>), Failure> {
    let given = peek.json(Known::Model).filter(|json| *json != "null");
    let named = match given {
        Some(json) => Some(text_of(json).ok_or(Failure::ModelNotText)?),
        None => None,
    };
    if let Some((parameter, known)) = required(endpoint)
        && peek.json(known).is_none_or(|json| json == "null")
    {
        return Err(Failure::MissingParameter { route: endpoint.path(), parameter });
    }
    let asked = path_model.map(|model| Cow::Owned(model.to_owned())).or(named);
    let model_json = match (path_model, given) {
        (None, Some(json)) => json.to_owned(),
        (Some(model), _) => json_string(model),
        (None, None) => "null".to_owned(),
    };
    let stream = boolean(&peek, Known::Stream, "stream")? && endpoint != Endpoint::Embeddings;
    let timeout = timeout(&peek, headers, stream)?;
    let patience = timeout.or_else(|| patience(headers));
    let call = Call {
        endpoint,
        model_json,
        stream,
        asked_for_usage: splice::asked_for_usage(&peek),
        timeout,
        patience,
        deadline: patience.and_then(|patience| Instant::now().checked_add(patience)),
        num_retries: retries(&peek, headers)?,
        fallbacks: wanted_fallbacks::read(&peek, Known::Fallbacks, "fallbacks")?,
        context_fallbacks: wanted_fallbacks::read(
            &peek,
            Known::ContextWindowFallbacks,
            "context_window_fallbacks",
        )?,
        policy_fallbacks: wanted_fallbacks::read(
            &peek,
            Known::ContentPolicyFallbacks,
            "content_policy_fallbacks",
        )?,
        disable_fallbacks: boolean(&peek, Known::DisableFallbacks, "disable_fallbacks")?,
        expression: expression(&peek, headers)?,
        largest: LARGEST_ANSWER,
        passed_on: PASSED_ON
            .into_iter()
            .filter_map(|name| headers.get(&name).cloned().map(|v| (name, v)))
            .collect(),
        peek,
    };
    Ok((call, asked))
}

/// The field that a request to an endpoint must have.
pub(super) fn required(endpoint: Endpoint) -> Option<(&'static str, Known)> {
    match endpoint {
        Endpoint::Chat => Some(("messages", Known::Messages)),
        Endpoint::Completions => Some(("prompt", Known::Prompt)),
        Endpoint::Embeddings | Endpoint::Responses => Some(("input", Known::Input)),
    }
}

fn wrong(name: &'static str, expected: &str, json: &str) -> Malformed {
    Malformed {
        name,
        message: format!(
            "Invalid type for '{name}': expected {expected}, but got {} instead.",
            kind_of(json)
        ),
    }
}

fn boolean(peek: &Peek<'_>, known: Known, name: &'static str) -> Result<bool, Malformed> {
    match peek.json(known) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(json) => Err(wrong(name, "a boolean", json)),
    }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A setting of one request: its header wins over its field. Numbers may be written as text.
fn setting<'a>(
    peek: &Peek<'a>,
    known: Known,
    field: &'static str,
    headers: &'a HeaderMap,
    header: &'static HeaderName,
) -> Option<(&'static str, Cow<'a, str>)> {
    if let Some(text) = header_text(headers, header) {
        return Some((header.as_str(), Cow::Borrowed(text)));
    }
    let json = peek.json(known).filter(|json| *json != "null")?;
    Some((field, text_of(json).unwrap_or(Cow::Borrowed(json))))
}

fn timeout(peek: &Peek<'_>, headers: &HeaderMap, stream: bool) -> Result<Option<Duration>, Malformed> {
    /// "No limit", where a point in time must still be computed.
    const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
    let of_stream = || setting(peek, Known::StreamTimeout, "stream_timeout", headers, &names::STREAM_TIMEOUT);
    let given = if stream { of_stream() } else { None }
        .or_else(|| setting(peek, Known::Timeout, "timeout", headers, &names::TIMEOUT))
        .or_else(|| setting(peek, Known::RequestTimeout, "request_timeout", headers, &names::TIMEOUT));
    let Some((name, text)) = given else { return Ok(None) };
    let seconds = text.parse::<f64>().ok().filter(|seconds| 0.0 <= *seconds);
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(Duration::ZERO) => Ok(Some(FOREVER)),
        Some(timeout) => Ok(Some(timeout.min(FOREVER))),
        None => Err(Malformed {
            name,
            message: format!("Invalid '{name}': expected a number of seconds, 0 for no limit."),
        }),
    }
}

/// How long OpenAI's libraries say they wait.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let seconds = header_text(headers, &names::STAINLESS_READ_TIMEOUT)?.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|patience| !patience.is_zero())
}

fn retries(peek: &Peek<'_>, headers: &HeaderMap) -> Result<Option<u32>, Malformed> {
    /// A client may not multiply its requests without bound.
    const MOST: u32 = 10;
    let given = setting(peek, Known::NumRetries, "num_retries", headers, &names::NUM_RETRIES);
    let Some((name, text)) = given else { return Ok(None) };
    match text.parse::<u32>() {
        Ok(count) => Ok(Some(count.min(MOST))),
        Err(_) => Err(Malformed {
            name,
            message: format!(
                "Invalid '{name}': expected a whole number, 0 or more; at most {MOST} retries are made."
            ),
        }),
    }
}

fn expression(peek: &Peek<'_>, headers: &HeaderMap) -> Result<Option<Expression>, Malformed> {
    let (name, text) =
        match (peek.json(Known::TagExpression), header_text(headers, &names::TAGWAY_TAG_EXPRESSION)) {
            (Some("null") | None, None) => return Ok(None),
            (Some("null") | None, Some(text)) => ("x-tagway-tag-expression", Cow::Borrowed(text)),
            (Some(json), _) => {
                ("tag_expression", text_of(json).ok_or_else(|| wrong("tag_expression", "a string", json))?)
            }
        };
    let parsed = Expression::parse(&text);
    parsed.map(Some).map_err(|error| Malformed { name, message: format!("Invalid '{name}': {error}") })
}

/// The client's own call id, when it is one a header and a log can carry.
pub(crate) fn call_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let own = headers.get(&names::CALL_ID)?;
    (!own.is_empty() && own.len() <= 128 && own.to_str().is_ok()).then(|| own.clone())
}

/// The User-Agent as text.
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::USER_AGENT)?.to_str().ok()
}

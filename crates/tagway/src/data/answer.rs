//! The answer to the client: LiteLLM's headers around the provider's body, and the one shape of every error.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use tagway_core::money::Nanos;
use tagway_core::snapshot::Endpoint;

use super::attempt::{Around, Reply};
use super::content::Content;
use super::cost;
use super::explain;
use super::failure::Failure;
use super::names;
use super::provider_headers;
use super::record::Record;
use super::relay::Relay;
use crate::accounts::now_millis;
use crate::error::error_json;
use crate::ledger::Seen;
use crate::route::{Plan, Trail, whole_seconds};

/// Most answers have no more headers.
const ROOM: usize = 48;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What goes to the client.
pub(crate) enum Body {
    /// Complete.
    Whole(Bytes),
    /// A stream in progress.
    Relay(Box<Relay>),
    /// An answer of the management API.
    Admin(axum::body::Body),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Relay(relay) => {
                relay.poll_bytes(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Admin(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Relay(_) => false,
            Self::Admin(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Relay(_) => SizeHint::default(),
            Self::Admin(body) => body.size_hint(),
        }
    }
}

/// An answer whose record is still to be attached.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
}

impl Answer {
    /// The response. The record of a stream is settled when the stream ends, others at once.
    pub(crate) fn with(self, mut record: Record) -> Response<Body> {
        record.status = self.status;
        let body = match self.content {
            Content::Whole { body, usage } => {
                record.usage(usage);
                record.settle(|| Seen::Whole(body.clone()), true);
                Body::Whole(body)
            }
            Content::Events { events, usage } => {
                record.usage(Some(usage));
                record.settle(|| Seen::Nothing, true);
                Body::Whole(events)
            }
            Content::Stream(mut relay) => {
                relay.record = Some(record);
                Body::Relay(relay)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Builds the answer to a served call.
pub(crate) fn build(
    around: &Around<'_>,
    plan: &Plan<'_>,
    reply: Reply,
    record: &Record,
    trail: &Trail,
    now: Instant,
) -> Answer {
    let deployment = around.snapshot.deployment(reply.deployment);
    let mut headers = record.permits.head(ROOM);
    let stream = !matches!(reply.content, Content::Whole { .. });
    headers.insert(&names::CALL_ID, record.call_id.clone());
    for (name, value) in &deployment.reply_headers {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(name) = reply.model_name {
        headers.insert(&names::MODEL_NAME, name);
    }
    headers.insert(&names::MODEL_GROUP, plan.asked.clone());
    for (name, value) in record.key_limits() {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(warning) = &record.warning {
        headers.insert(&names::TAGWAY_WARNING, warning.clone());
    }
    if let Some(budget) = record.key_account().and_then(|account| account.max(now_millis())) {
        headers.insert(&names::KEY_MAX_BUDGET, cost::text(budget));
    }
    headers.insert(&names::VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    let usage = match &reply.content {
        Content::Whole { usage, .. } => usage.as_ref(),
        Content::Events { .. } | Content::Stream(_) => None,
    };
    let prices = reply.prices.map(|prices| prices.lasting(reply.took));
    cost::tell(&mut headers, prices.as_ref(), usage, spent(record));
    let total = now.saturating_duration_since(record.began);
    headers.insert(&names::RESPONSE_DURATION_MS, millis(total));
    if deployment.entry.mock.is_none() {
        headers.insert(&names::OVERHEAD_DURATION_MS, millis(total.saturating_sub(record.upstream)));
    }
    headers.insert(&names::ATTEMPTED_RETRIES, HeaderValue::from(record.tries.retries));
    headers.insert(&names::ATTEMPTED_FALLBACKS, HeaderValue::from(record.tries.fallbacks));
    if 0 < record.tries.retries {
        headers.insert(&names::MARETRIES, HeaderValue::from(record.tries.max_retries));
    }
    provider_headers::copy(&reply.headers, &mut headers, stream || record.endpoint == Endpoint::Responses);
    if let Some(route) = explain::header(trail, Some(deployment)) {
        headers.insert(&names::TAGWAY_ROUTE, route);
    }
    if stream {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(&names::ACCEL_BUFFERING, HeaderValue::from_static("no"));
    } else {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    Answer { status: reply.status, headers, content: reply.content }
}

/// What the key has spent before this request.
fn spent(record: &Record) -> Nanos {
    record.key_account().map_or(Nanos::ZERO, |account| account.spent(now_millis()))
}

/// Milliseconds with three digits behind the point.
fn millis(duration: Duration) -> HeaderValue {
    let micros = duration.as_micros();
    let mut text = [b'0'; 32];
    let mut whole = itoa::Buffer::new();
    let whole = whole.format(micros / 1000).as_bytes();
    let length = whole.len() + 4;
    let Some(target) = text.get_mut(..length) else { return HeaderValue::from_static("0.0") };
    target[..whole.len()].copy_from_slice(whole);
    target[whole.len()] = b'.';
    for (digit, power) in [(1, 100), (2, 10), (3, 1)] {
        target[whole.len() + digit] = b'0' + u8::try_from(micros / power % 10).unwrap_or(0);
    }
    HeaderValue::from_bytes(target).unwrap_or(HeaderValue::from_static("0.0"))
}

/// The answer to a request that failed.
pub(crate) fn failed(failure: &Failure, trail: &Trail, mut record: Record) -> Response<Body> {
    record.failed(failure);
    record.settle(|| Seen::Nothing, true);
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(&names::CALL_ID, record.call_id.clone());
    headers.insert(&names::RESPONSE_COST, HeaderValue::from_static("0"));
    headers.insert(&names::KEY_SPEND, cost::text(spent(&record)));
    if let Some(refused) = failure.refused() {
        provider_headers::copy(&refused.headers, &mut headers, false);
    }
    if failure.is_providers() {
        let limit = match failure {
            Failure::Timeout { limit, .. } => *limit,
            _ => record.current.snapshot.config.router.timeout,
        };
        let limit = limit.as_secs_f64();
        headers.insert(&names::TIMEOUT, tagway_core::snapshot::header_value(&format!("{limit:?}")));
    }
    if let Some(wait) = failure.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait).max(1)));
    }
    if let Some(warning) = record.warning.take() {
        headers.insert(&names::TAGWAY_WARNING, warning);
    }
    if let Some(route) = explain::header(trail, None) {
        headers.insert(&names::TAGWAY_ROUTE, route);
    }
    headers.insert(header::CONTENT_TYPE, JSON);
    let mut response = Response::new(Body::Whole(error_body(failure, &record)));
    *response.status_mut() = failure.status();
    *response.headers_mut() = headers;
    response
}

/// A provider's failure names the group, as in LiteLLM.
fn error_body(failure: &Failure, record: &Record) -> Bytes {
    let mut message = failure.to_string();
    if failure.is_providers()
        && !matches!(failure, Failure::Event { .. })
        && let Some(about) = &record.tries.about_fallbacks
    {
        message.push_str("\n\nLiteLLM: model group '");
        message.push_str(&record.model);
        message.push_str(about);
    }
    error_json(&message, failure.kind(), failure.param(), failure.status(), failure.reason()).into()
}

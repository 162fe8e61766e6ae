//! One call of one deployment: the request is built from the client's bytes, sent, and the answer read as far
//! as it must be before the client may see anything of it.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version, header};
use http_body_util::Full;
use tagway_core::snapshot::{Deployment, DeploymentId, Endpoint, header_value};
use tagway_core::usage::Usage;
use tagway_core::wire::peek::Known;
use tagway_core::wire::reply;
use tagway_core::wire::splice::{self, Changes};
use tagway_core::wire::sse::{SseMap, Wishes};

use super::attempt::{Around, Begun, Reply};
use super::failure::{Failure, deployment_info};
use super::intake::Call;
use super::mock;
use super::refused::Refused;
use super::relay::{Relay, Whose};
use super::upstream::{self, Broken, Exchange};

/// The body of an answer.
pub(crate) enum Content {
    /// Complete.
    Whole { body: Bytes, usage: Option<Usage> },
    /// A stream of events that is complete already.
    Events { events: Bytes, usage: Usage },
    /// A stream of events in progress.
    Stream(Box<Relay>),
}

/// Calls one deployment. `begun` is set once it begins to answer.
pub(crate) async fn fetch(
    around: &Around<'_>,
    id: DeploymentId,
    model: &str,
    call: &Call<'_>,
    begun: &mut Option<Begun>,
) -> Result<Reply, Failure> {
    let deployment = around.snapshot.deployment(id);
    let started = Instant::now();
    let model_name = deployment.model_json.is_none().then(|| header_value(&deployment.model_for(model)));
    let prices = deployment.prices_for(model);
    if let Some(mock) = &deployment.entry.mock {
        let content = mock::play(mock, model, call)?;
        *begun = Some(Begun::new(id, deployment, model, started));
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        return Ok(Reply {
            deployment: id,
            model_name,
            prices,
            headers,
            status,
            content,
            took: started.elapsed(),
        });
    }
    let silence = limit(around, deployment, call);
    let left = call.deadline.map(|deadline| deadline.saturating_duration_since(started));
    let limit = left.map_or(silence, |left| left.min(silence));
    let late = |_| Failure::Timeout {
        limit: call.patience.map_or(silence, |patience| patience.min(silence)),
        taken: started.elapsed(),
        stream: call.stream,
        own: deployment.entry.timeout,
        impatient: limit < own_limit(around, deployment, call),
    };
    let called = tokio::time::timeout(limit, answered(around, id, model, call, silence, started, begun))
        .await
        .map_err(late)?;
    let (status, headers, content) = called?;
    Ok(Reply { deployment: id, model_name, prices, headers, status, content, took: started.elapsed() })
}

/// The time a call may take: the client's wish, the deployment's, the router's.
fn limit(around: &Around<'_>, deployment: &Deployment, call: &Call<'_>) -> Duration {
    call.timeout.unwrap_or_else(|| own_limit(around, deployment, call))
}

/// The same without the client's wish.
fn own_limit(around: &Around<'_>, deployment: &Deployment, call: &Call<'_>) -> Duration {
    let router = &around.snapshot.config.router;
    let entry = &deployment.entry;
    let stream = if call.stream { entry.stream_timeout.or(router.stream_timeout) } else { None };
    stream.or(entry.timeout).unwrap_or(router.timeout)
}

async fn answered(
    around: &Around<'_>,
    id: DeploymentId,
    model: &str,
    call: &Call<'_>,
    silence: Duration,
    started: Instant,
    begun: &mut Option<Begun>,
) -> Result<(StatusCode, HeaderMap, Content), Failure> {
    let deployment = around.snapshot.deployment(id);
    let origin = deployment.origin.as_ref();
    let no_upstream = || Failure::NoUpstream { id: deployment.entry.info.id.clone() };
    let origin = origin.ok_or_else(no_upstream)?;
    let path = deployment.path(call.endpoint).ok_or_else(no_upstream)?;
    let body = body_for(deployment, model, call);
    let build = || {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(path.clone());
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        headers.clone_from(&deployment.request_headers);
        for (name, value) in &call.passed_on {
            headers.insert(name.clone(), value.clone());
        }
        request
    };
    let (parts, mut exchange) = upstream::send(around.pool, origin, build)
        .await
        .map_err(|broken| unreachable(deployment, &broken))?;
    if !parts.status.is_success() {
        let body = whole(&mut exchange, &parts.headers, deployment, call.largest).await?;
        let mut refused = Refused::read(parts.status, parts.headers, &body, &deployment.blame, model);
        // Some providers repeat the key they refuse.
        refused.message = without_key(deployment, refused.message);
        if matches!(refused.status, StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT) {
            refused.message.push_str(&deployment_info(deployment.entry.timeout));
        }
        return Err(Failure::Refused(Box::new(refused)));
    }
    *begun = Some(Begun::new(id, deployment, model, started));
    let content = if call.stream {
        stream(exchange, deployment, call, silence).await?
    } else {
        let body = whole(&mut exchange, &parts.headers, deployment, call.largest).await?;
        let read =
            reply::read(body, &call.model_json).map_err(|fault| garbled(deployment, fault.to_string()))?;
        Content::Whole { body: read.body, usage: read.usage }
    };
    Ok((parts.status, parts.headers, content))
}

fn body_for(deployment: &Deployment, model: &str, call: &Call<'_>) -> Bytes {
    let stream_usage = call.stream
        && matches!(call.endpoint, Endpoint::Chat | Endpoint::Completions)
        && deployment.entry.provider.stream_options;
    let changes = Changes {
        model: &deployment.upstream_model_json(model),
        include_usage: stream_usage,
        streams: call.stream,
        keep_metadata: call.endpoint == Endpoint::Responses || call.peek.is_true(Known::Store),
        defaults: deployment.defaults(call.endpoint),
    };
    splice::request(&call.peek, &changes).into()
}

fn unreachable(deployment: &Deployment, broken: &Broken) -> Failure {
    Failure::Unreachable { blame: deployment.blame.clone(), detail: broken.to_string() }
}

fn garbled(deployment: &Deployment, detail: String) -> Failure {
    Failure::Garbled { blame: deployment.blame.clone(), detail }
}

/// The rest of a body, in one piece; a body that comes in one piece is not copied.
async fn whole(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    deployment: &Deployment,
    largest: usize,
) -> Result<Bytes, Failure> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(data) = exchange.data().await {
        let data = data.map_err(|broken| unreachable(deployment, &broken))?;
        match &first {
            None => first = Some(data),
            Some(begin) => {
                if rest.is_empty() {
                    rest.reserve(length.unwrap_or(0).min(largest).max(begin.len() + data.len()));
                    rest.extend_from_slice(begin);
                }
                rest.extend_from_slice(&data);
            }
        }
        if largest < rest.len() {
            return Err(garbled(deployment, format!("The answer is larger than {largest} bytes.")));
        }
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() })
}

/// Reads a stream until it has something to show: what fails before that may be tried again.
async fn stream(
    mut exchange: Exchange,
    deployment: &Deployment,
    call: &Call<'_>,
    silence: Duration,
) -> Result<Content, Failure> {
    let mut map = SseMap::new(Wishes { model: call.model_json.clone(), hide_usage: !call.asked_for_usage });
    let mut first = Vec::new();
    loop {
        let Some(data) = exchange.data().await else {
            return Err(garbled(deployment, "The stream ended before its first event.".into()));
        };
        let data = data.map_err(|broken| unreachable(deployment, &broken))?;
        map.push(&data, &mut first).map_err(|error| garbled(deployment, error.to_string()))?;
        if let Some(payload) = &map.seen().error
            && map.seen().events == 0
        {
            let detail = without_key(deployment, error_text(payload));
            return Err(Failure::Event { blame: deployment.blame.clone(), detail });
        }
        if !first.is_empty() {
            break;
        }
    }
    let whose = Whose { blame: deployment.blame.clone(), key: deployment.entry.api_key.clone() };
    let relay = Relay::new(exchange, map, first.into(), silence, whose);
    Ok(Content::Stream(Box::new(relay)))
}

/// A provider's words without the key it was called with.
fn without_key(deployment: &Deployment, text: String) -> String {
    match &deployment.entry.api_key {
        Some(key) => key.hide_in(text),
        None => text,
    }
}

/// The message of an error event.
pub(crate) fn error_text(payload: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(payload).ok();
    let message = json.as_ref().and_then(|json| json.pointer("/error/message")?.as_str());
    message.unwrap_or(payload).to_owned()
}

//! A provider's refusal in LiteLLM's words: its status and message become the error class clients know. Reads
//! the provider's body; knows nothing of the request.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::python;

/// An error a provider answered with.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// `error.type` for the client.
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) class: Class,
    /// The provider's `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// The provider's headers.
    pub(crate) headers: HeaderMap,
}

/// Refusals that have fallbacks of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The prompt does not fit the model.
    ContextWindow,
    /// The provider's content policy was violated.
    ContentPolicy,
    /// Anything else.
    Other,
}

impl Refused {
    /// Reads a refusal. `blame` is the provider's name in messages, `model` the name it was asked for.
    pub(crate) fn read(
        status: StatusCode,
        headers: HeaderMap,
        body: &[u8],
        blame: &str,
        model: &str,
    ) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let error = json.as_ref().and_then(|json| json.get("error"));
        let text = |field: &str| error.and_then(|error| error.get(field)).and_then(Value::as_str);
        let said = match (text("message"), &json) {
            (Some(message), _) => message.to_owned(),
            (None, Some(json)) => {
                let mut said = format!("Error code: {} - ", status.as_u16());
                python::write(json, &mut said);
                said
            }
            (None, None) if body.is_empty() => format!("Error code: {}", status.as_u16()),
            (None, None) => String::from_utf8_lossy(&body[..body.len().min(2000)]).into_owned(),
        };
        let class = class(status, text("code").unwrap_or_default(), &said);
        let invalid =
            text("type") == Some("invalid_request_error") && !said.contains("Incorrect API key provided");
        Self {
            status,
            kind: kind(status, invalid),
            message: message(status, class, invalid, blame, model, &said),
            class,
            retry_after: retry_after(&headers),
            headers,
        }
    }
}

fn class(status: StatusCode, code: &str, said: &str) -> Class {
    if !status.is_client_error() {
        return Class::Other;
    }
    if code == "context_length_exceeded" || said.contains("maximum context length") {
        Class::ContextWindow
    } else if code == "content_policy_violation" || said.contains("content_policy_violation") {
        Class::ContentPolicy
    } else {
        Class::Other
    }
}

fn kind(status: StatusCode, invalid: bool) -> &'static str {
    match status.as_u16() {
        401 if invalid => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        429 => "throttling_error",
        400..500 => "invalid_request_error",
        _ => "internal_server_error",
    }
}

fn message(status: StatusCode, class: Class, invalid: bool, blame: &str, model: &str, said: &str) -> String {
    let advice = "https://docs.litellm.ai/docs/routing#fallbacks";
    let start = match (class, status.as_u16()) {
        (Class::ContextWindow, _) => {
            return format!(
                "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: {blame} - {said}\nmodel={model}. context_window_fallbacks=None. fallbacks=None.\n\nSet 'context_window_fallback' - {advice}"
            );
        }
        (Class::ContentPolicy, _) => {
            return format!(
                "litellm.BadRequestError: litellm.ContentPolicyViolationError: ContentPolicyViolationError: {blame} - {said}\nmodel={model}. content_policy_fallback=None. fallbacks=None.\n\nSet 'content_policy_fallback' - {advice}"
            );
        }
        (Class::Other, 401) if invalid => "litellm.BadRequestError: ",
        (Class::Other, 401) => "litellm.AuthenticationError: AuthenticationError: ",
        (Class::Other, 404) => "litellm.NotFoundError: ",
        (Class::Other, 408 | 504) => "litellm.Timeout: Timeout Error: ",
        (Class::Other, 429) => "litellm.RateLimitError: RateLimitError: ",
        (Class::Other, 400 | 422) => "litellm.BadRequestError: ",
        (Class::Other, 500) => "litellm.InternalServerError: InternalServerError: ",
        (Class::Other, 502) => "litellm.BadGatewayError: BadGatewayError: ",
        (Class::Other, 503) => "litellm.ServiceUnavailableError: ServiceUnavailableError: ",
        (Class::Other, _) => "litellm.APIError: APIError: ",
    };
    format!("{start}{blame} - {said}")
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = httpdate::parse_http_date(text).ok()?;
    at.duration_since(std::time::SystemTime::now()).ok()
}

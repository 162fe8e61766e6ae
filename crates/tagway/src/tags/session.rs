//! Which session a request belongs to: LiteLLM's places for its id, the first one that says something.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use tagway_core::wire::json::{Walk, text_of};
use tagway_core::wire::peek::{Known, Peek};

/// LiteLLM's header.
static SESSION: HeaderName = HeaderName::from_static("x-litellm-session-id");

/// The session's id.
pub(crate) fn of<'a>(headers: &'a HeaderMap, peek: &Peek<'a>) -> Option<Cow<'a, str>> {
    let within = |known: Known| {
        let text = peek.text();
        let mut fields = Walk::fields(text, peek.span(known)?)?;
        text_of(&text[fields.find(|field| &text[field.key.clone()] == "session_id")?.value])
    };
    headers
        .get(&SESSION)
        .and_then(|value| value.to_str().ok())
        .map(Cow::Borrowed)
        .filter(|id| !id.is_empty())
        .or_else(|| peek.json_of("litellm_session_id").and_then(text_of))
        .or_else(|| within(Known::LitellmMetadata))
        .or_else(|| within(Known::Metadata))
        .filter(|id| !id.is_empty())
}

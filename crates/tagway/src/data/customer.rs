//! Which customer (end user) a request is made for: LiteLLM's places for it, the first one that says something.

use std::borrow::Cow;

use http::HeaderMap;
use tagway_core::wire::json::{Walk, text_of};
use tagway_core::wire::peek::{Known, Peek};

const HEADERS: [&str; 2] = ["x-litellm-customer-id", "x-litellm-end-user-id"];

/// The customer's id.
pub(super) fn of<'a>(headers: &'a HeaderMap, peek: &Peek<'a>) -> Option<Cow<'a, str>> {
    let header = HEADERS.iter().find_map(|name| says(headers.get(*name)?.to_str().ok().map(Cow::Borrowed)));
    header
        .or_else(|| says(peek.string(Known::User)))
        .or_else(|| says(within(peek, Known::LitellmMetadata, "user")))
        .or_else(|| says(within(peek, Known::Metadata, "user_id")))
        .or_else(|| says(peek.json_of("safety_identifier").and_then(text_of)))
        // No customer is called that, and PostgreSQL cannot even be asked.
        .filter(|id| !id.contains('\0'))
}

fn says(id: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    id.filter(|id| !id.is_empty())
}

fn within<'a>(peek: &Peek<'a>, known: Known, name: &str) -> Option<Cow<'a, str>> {
    let text = peek.text();
    let field = Walk::fields(text, peek.span(known)?)?.find(|field| &text[field.key.clone()] == name)?;
    text_of(&text[field.value])
}

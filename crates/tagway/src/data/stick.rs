//! What requests of one user, session or the like have in common: the hash of it, for the strategy that sticks. Knows no
//! deployments.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use tagway_core::strategy::{By, hash};
use tagway_core::tag::name::{Marker, TagName};
use tagway_core::wire::json::{Walk, text_of};
use tagway_core::wire::peek::{Known, Peek};

use super::attempt::Around;
use super::intake::Call;
use crate::auth::Caller;
use crate::route::Wanted;

/// LiteLLM's header.
static SESSION: HeaderName = HeaderName::from_static("x-litellm-session-id");

/// The hash; `None` when the request says nothing of it.
pub(super) fn key(
    by: &By,
    around: &Around<'_>,
    caller: &Caller,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
) -> Option<u64> {
    let bearer = || caller.bearer();
    match by {
        By::User => around.customer.or_else(|| bearer()?.user_id.as_deref()).map(hash),
        By::Key => bearer().map(|bearer| hash(&bearer.id)),
        By::Session => session(around.headers, &call.peek).map(|id| hash(&id)),
        By::Header(name) => header(around.headers, name).map(hash),
        By::Tag(prefix) => wanted.tags.iter().find_map(|tag| {
            let name = TagName::parse(tag.text(), &around.snapshot.config.router.tags.prefix)?;
            let value = name.name.strip_prefix(&**prefix)?.strip_prefix(':')?;
            (name.marker != Marker::Excluded && !value.is_empty()).then(|| hash(value))
        }),
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

/// LiteLLM's places for a session's id.
fn session<'a>(headers: &'a HeaderMap, peek: &Peek<'a>) -> Option<Cow<'a, str>> {
    let within = |known: Known| {
        let text = peek.text();
        let mut fields = Walk::fields(text, peek.span(known)?)?;
        text_of(&text[fields.find(|field| &text[field.key.clone()] == "session_id")?.value])
    };
    header(headers, &SESSION)
        .map(Cow::Borrowed)
        .or_else(|| peek.json_of("litellm_session_id").and_then(text_of))
        .or_else(|| within(Known::LitellmMetadata))
        .or_else(|| within(Known::Metadata))
        .filter(|id| !id.is_empty())
}

//! What requests of one user, session or the like have in common: the hash of it, for whatever sticks. Knows no
//! deployments.

use http::{HeaderMap, HeaderName};
use tagway_core::strategy::{By, hash};
use tagway_core::tag::RequestTag;
use tagway_core::tag::name::{Marker, TagName};
use tagway_core::wire::peek::Peek;

use super::session;
use crate::auth::Caller;

/// A request, as far as something of it may stick.
#[derive(Clone, Copy)]
pub(crate) struct Sticking<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) peek: &'a Peek<'a>,
    /// The customer it names.
    pub(crate) customer: Option<&'a str>,
    pub(crate) tags: &'a [RequestTag<'a>],
    /// `tag_routing_prefix`
    pub(crate) prefix: &'a str,
}

/// The hash; `None` when the request says nothing of it.
pub(crate) fn key(by: &By, request: &Sticking<'_>) -> Option<u64> {
    let bearer = || request.caller.bearer();
    match by {
        By::User => request.customer.or_else(|| bearer()?.user_id.as_deref()).map(hash),
        By::Key => bearer().map(|bearer| hash(&bearer.id)),
        By::Session => session::of(request.headers, request.peek).map(|id| hash(&id)),
        By::Header(name) => header(request.headers, name).map(hash),
        By::Tag(prefix) => request.tags.iter().find_map(|tag| {
            let name = TagName::parse(tag.text(), request.prefix)?;
            let value = name.name.strip_prefix(&**prefix)?.strip_prefix(':')?;
            (name.marker != Marker::Excluded && !value.is_empty()).then(|| hash(value))
        }),
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

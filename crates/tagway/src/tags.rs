//! The tags of a request, from everywhere a caller may put them and from everything it inherits. One function for
//! every endpoint: routing, budgets, limits and logs read its one result.

mod assign;
mod derive;
pub(crate) mod session;
pub(crate) mod stick;
mod violations;
mod watch;

use std::borrow::Cow;
use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::IgnoredAny;
use tagway_core::access::TagForbidden;
use tagway_core::config::General;
use tagway_core::snapshot::{Endpoint, Snapshot};
use tagway_core::tag::{Origin, RequestTags};
use tagway_core::vocabulary::Objection;
use tagway_core::wire::json::{Walk, text_of};
use tagway_core::wire::peek::{Known, Peek};

use crate::accounts::now_millis;
pub(crate) use assign::{Moment, Variants, assign, is_among};
pub(crate) use derive::{Asked, Undecided};
pub(crate) use violations::{By, Violation, Violations};
use watch::Ear;
pub(crate) use watch::{Watch, Watched};

/// Why a request's tags are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTags {
    /// Something holds what it cannot hold.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The caller may not send them.
    #[error(transparent)]
    Forbidden(#[from] TagForbidden),
    /// A rule cannot judge the request, and denies it.
    #[error(transparent)]
    Undecided(#[from] Undecided),
    /// They break the vocabulary.
    #[error(transparent)]
    Objection(#[from] Box<Objection>),
}

/// The tags of a request.
pub(crate) struct Resolved<'a> {
    pub(crate) tags: RequestTags<'a>,
    /// What the caller is to be warned of.
    pub(crate) warning: Option<HeaderValue>,
}

/// A field of the request holds what it cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Malformed {
    /// The field or header.
    pub(crate) name: &'static str,
    /// What is wrong, and what is expected.
    pub(crate) message: String,
}

/// The most tags a request may carry: far more than anybody routes or accounts by.
const MOST_TAGS: usize = 256;

/// Resolves the tags of a request: the caller's first, then those it inherits from its key, team, project,
/// organization, user and customer, then those of headers that label, and of rules.
///
/// # Errors
/// A field that should hold tags holds something else, the caller may not send such a tag, a rule denies what it
/// cannot judge, or one of the tags breaks the vocabulary.
pub(crate) fn resolve<'a>(
    snapshot: &'a Snapshot,
    asked: &Asked<'a>,
    endpoint: Endpoint,
    watched: Watched<'_>,
) -> Result<Resolved<'a>, BadTags> {
    let Asked { caller, headers, peek, .. } = *asked;
    let Snapshot { config, aliases, .. } = snapshot;
    let prefix = &config.router.tags.prefix;
    let mut tags = of_caller(&config.general, headers, peek, endpoint)?;
    for policy in caller.policies() {
        for tag in &policy.tags {
            tags.push(&**tag, policy.origin);
        }
    }
    tags.rename(aliases, prefix);
    // Only now: a tag that is inherited as well may be repeated.
    for policy in caller.policies() {
        policy.check_tags(&tags, aliases, prefix)?;
    }
    of_headers(&config.proxy.spend_tag_headers, headers, &mut tags);
    derive::derive(snapshot, asked, &mut tags)?;
    tags.rename(aliases, prefix);
    if !snapshot.vocabulary.binds() {
        return Ok(Resolved { tags, warning: None });
    }
    let mut ear = Ear::new(watched, caller);
    snapshot.vocabulary.check(&mut tags, asked.expression, now_millis(), &mut ear)?;
    Ok(Resolved { tags, warning: ear.warning() })
}

/// Headers that label what a request costs, as LiteLLM writes them: `x-team: research`.
fn of_headers<'a>(names: &[HeaderName], headers: &'a HeaderMap, tags: &mut RequestTags<'a>) {
    for name in names {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            tags.push(format!("{name}: {value}"), Origin::Header);
        }
    }
}

/// The tags that the request itself gives: `metadata.tags`, `litellm_metadata.tags`, then body `tags` or, without
/// them, the `x-litellm-tags` header. On `/responses` the metadata's come last, as in LiteLLM.
fn of_caller<'a>(
    general: &General,
    headers: &'a HeaderMap,
    peek: &Peek<'a>,
    endpoint: Endpoint,
) -> Result<RequestTags<'a>, Malformed> {
    let mut tags = RequestTags::default();
    let metadata_last = endpoint == Endpoint::Responses;
    if metadata_last {
        direct(headers, peek, &mut tags)?;
    }
    for (known, origin) in
        [(Known::Metadata, Origin::Metadata), (Known::LitellmMetadata, Origin::LitellmMetadata)]
    {
        if let Some(span) = peek.span(known) {
            metadata(general, peek.text(), span, origin, endpoint, &mut tags)?;
        }
    }
    if !metadata_last {
        direct(headers, peek, &mut tags)?;
    }
    Ok(tags)
}

/// The body's `tags` or the header's.
fn direct<'a>(headers: &'a HeaderMap, peek: &Peek<'a>, tags: &mut RequestTags<'a>) -> Result<(), Malformed> {
    let body = peek.span(Known::Tags).filter(|span| &peek.text()[span.clone()] != "null");
    if let Some(span) = body {
        // A list in the body, even an empty one, replaces the header's.
        return list(peek.text(), span, "tags", Origin::Body, tags);
    }
    // Of several such headers the last one counts.
    let Some(value) = headers.get_all("x-litellm-tags").iter().next_back() else { return Ok(()) };
    few(memchr::memchr_iter(b',', value.as_bytes()).count(), "x-litellm-tags")?;
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => tags.push_header(text),
        // HTTP's old charset, which some clients still send.
        Err(_) => {
            let text: String = value.as_bytes().iter().copied().map(char::from).collect();
            for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
                tags.push(tag.to_owned(), Origin::Header);
            }
        }
    }
    Ok(())
}

/// The `tags` of `metadata` or `litellm_metadata`: an object, or JSON text of one.
fn metadata<'a>(
    general: &General,
    text: &'a str,
    span: Range<usize>,
    origin: Origin,
    endpoint: Endpoint,
    tags: &mut RequestTags<'a>,
) -> Result<(), Malformed> {
    let name = if origin == Origin::Metadata { "metadata" } else { "litellm_metadata" };
    let no_object = |kind: &str| Malformed {
        name,
        message: format!("Invalid type for '{name}': expected an object, but got {kind} instead."),
    };
    // Where the provider's API has no `metadata`, nobody cares for its shape.
    let strict = origin == Origin::LitellmMetadata || endpoint == Endpoint::Responses;
    let field = if origin == Origin::Metadata { "metadata.tags" } else { "litellm_metadata.tags" };
    let json = &text[span.clone()];
    if json.starts_with('"') {
        // An object within a string: its text is not the body's, so the tags are copied.
        let inner = text_of(json).unwrap_or_default();
        let whole = 0..inner.len();
        let object =
            serde_json::from_str::<IgnoredAny>(&inner).is_ok() && inner.trim_start().starts_with('{');
        if strict && !object {
            return Err(no_object("a string"));
        }
        if let Some(found) = field_of(&inner, whole) {
            allowed(general, field)?;
            let mut own = RequestTags::default();
            list(&inner, found, field, origin, &mut own)?;
            for tag in own.iter() {
                tags.push(Cow::Owned(tag.text().to_owned()), origin);
            }
        }
        return Ok(());
    }
    if !json.starts_with('{') {
        return if strict && json != "null" { Err(no_object(kind_of(json))) } else { Ok(()) };
    }
    let Some(found) = field_of(text, span) else { return Ok(()) };
    allowed(general, field)?;
    list(text, found, field, origin, tags)
}

/// Whether a client may give tags in its metadata.
fn allowed(general: &General, field: &'static str) -> Result<(), Malformed> {
    if !general.reject_client_metadata_tags {
        return Ok(());
    }
    Err(Malformed {
        name: field,
        message: format!(
            "Client-side '{field}' is not allowed by this gateway (reject_clientside_metadata_tags). Send tags in the 'tags' field or the 'x-litellm-tags' header."
        ),
    })
}

/// Each tag is compared with those before it, so that their number must be bounded.
fn few(count: usize, name: &'static str) -> Result<(), Malformed> {
    if count <= MOST_TAGS {
        return Ok(());
    }
    Err(Malformed { name, message: format!("Too many tags in '{name}': a request may carry {MOST_TAGS}.") })
}

fn field_of(text: &str, object: Range<usize>) -> Option<Range<usize>> {
    Walk::fields(text, object)?.filter(|f| &text[f.key.clone()] == "tags").last().map(|f| f.value)
}

/// A list of tags, or one tag; items that are no strings are passed over, as LiteLLM does.
fn list<'a>(
    text: &'a str,
    span: Range<usize>,
    field: &'static str,
    origin: Origin,
    tags: &mut RequestTags<'a>,
) -> Result<(), Malformed> {
    let json = &text[span.clone()];
    if json == "null" {
        return Ok(());
    }
    if let Some(tag) = text_of(json) {
        tags.push(tag, origin);
        return Ok(());
    }
    let Some(items) = Walk::elements(text, span) else {
        return Err(Malformed {
            name: field,
            message: format!(
                "Invalid type for '{field}': expected a list of strings, but got {} instead.",
                kind_of(json)
            ),
        });
    };
    for (count, item) in items.enumerate() {
        few(count + 1, field)?;
        if let Some(tag) = text_of(&text[item]) {
            tags.push(tag, origin);
        }
    }
    Ok(())
}

/// A JSON value's kind in words.
pub(crate) fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ if json.contains(['.', 'e', 'E']) => "a number",
        _ => "an integer",
    }
}

//! What requests of one user, session or the like have in common: the hash of it, for the strategy that sticks. Knows no
//! deployments.

use http::{HeaderMap, HeaderName};
use tagway_core::strategy::{By, hash};
use tagway_core::tag::name::{Marker, TagName};

use super::attempt::Around;
use super::intake::Call;
use crate::auth::Caller;
use crate::route::Wanted;
use crate::tags::session;

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
        By::Session => session::of(around.headers, &call.peek).map(|id| hash(&id)),
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

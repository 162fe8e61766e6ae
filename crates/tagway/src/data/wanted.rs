//! From a caller, a call and its tags to what the router is asked: what is bound by the key and everything above it goes
//! with what the request says. Decides nothing.

use http::HeaderMap;
use smallvec::SmallVec;
use tagway_core::access::{Policy, TagForbidden};
use tagway_core::config::Config;
use tagway_core::snapshot::Snapshot;
use tagway_core::tag::{Expression, Origin, RequestTag};
use tagway_core::vocabulary::Outcome;

use super::failure::Failure;
use super::intake;
use crate::access;
use crate::auth::Caller;
use crate::route::{self, Wanted};
use crate::tags::Watch;

/// Tag expressions, with whose they are.
pub(super) type Expressions<'a> = SmallVec<[(&'a Expression, Origin); 2]>;

/// The question to the router.
pub(super) fn of<'a>(
    config: &Config,
    caller: &'a Caller,
    model: &'a str,
    tags: &'a [RequestTag<'a>],
    expressions: &'a [(&'a Expression, Origin)],
    regions: &'a [&'a str],
    headers: &'a HeaderMap,
) -> Wanted<'a> {
    Wanted {
        model: access::meant(caller, model),
        tags,
        expressions,
        turn_on: caller.policies().any(|policy| policy.tag_filtering),
        unknown: route::unknown_tags(config, caller.unknown_tags()),
        // The key's tier goes before its team's.
        tier: caller.policies().find_map(|policy| policy.tier),
        regions,
        user_agent: intake::user_agent(headers),
        variants: &[],
    }
}

/// Notes a tag that nobody knows: one that the request was refused for, or would have been.
pub(super) fn note_unknown(
    snapshot: &Snapshot,
    wanted: &Wanted<'_>,
    failure: Option<&Failure>,
    watch: &Watch,
    caller: &Caller,
) {
    let refused = failure.is_some_and(|failure| failure.reason() == Some("unknown_tag"));
    let outcome = if refused { Outcome::Refused } else { Outcome::Observed };
    if !refused && !wanted.unknown.observed {
        return;
    }
    if let Some(tag) = route::stranger(snapshot, wanted) {
        watch.unknown(tag.text(), outcome, caller);
    }
}

/// Where requests must stay.
pub(super) fn regions(caller: &Caller) -> SmallVec<[&str; 2]> {
    caller.policies().filter_map(|policy| policy.region.as_deref()).collect()
}

/// The expressions that hold for a request: the caller's, and those it inherits.
///
/// # Errors
/// The caller may not name tags.
pub(super) fn expressions<'a>(
    caller: &'a Caller,
    own: Option<&'a Expression>,
) -> Result<Expressions<'a>, Failure> {
    let mut all = SmallVec::new();
    if let Some(own) = own {
        // It names tags, too.
        if let Some(policy) = caller.policies().find(|policy| !policy.allow_client_tags) {
            let owner = policy.origin.as_str();
            return Err(TagForbidden::All { tag: "tag_expression".to_owned(), owner }.into());
        }
        all.push((own, Origin::Body));
    }
    let inherited = |policy: &'a Policy| Some((policy.expression.as_ref()?, policy.origin));
    all.extend(caller.policies().filter_map(inherited));
    Ok(all)
}

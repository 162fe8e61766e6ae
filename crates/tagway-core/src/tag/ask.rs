//! What a request asks of a model group. Decides nothing.

use super::UnknownTags;
use super::expression::Expression;
use super::request::{Origin, RequestTag};
use crate::config::Tier;

/// What a request asks of a model group.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Its tags, from everywhere: a `&RequestTags`.
    pub tags: &'a [RequestTag<'a>],
    /// Its `User-Agent`; an empty one is none.
    pub user_agent: Option<&'a str>,
    /// `enable_tag_filtering: true` of its key or team. There is no way to turn filtering off.
    pub turn_on: bool,
    /// `unknown_tags` of its key or team, in place of the router's.
    pub unknown: Option<UnknownTags>,
    /// Its tag expressions. The caller's acts as a required tag does; any other shrinks the group itself.
    /// Both hold when filtering is off, too.
    pub expressions: &'a [(&'a Expression, Origin)],
    /// The tier of its key. Holds in a group that has tiers, filtering on or off.
    pub tier: Option<Tier>,
    /// The regions it is bound to: one in all of them serves it, or nobody.
    pub regions: &'a [&'a str],
}

impl<'a> Ask<'a> {
    /// An ask with tags and nothing else.
    pub fn new(tags: &'a [RequestTag<'a>]) -> Self {
        Self {
            tags,
            user_agent: None,
            turn_on: false,
            unknown: None,
            expressions: &[],
            tier: None,
            regions: &[],
        }
    }

    /// Its `User-Agent`, if it says anything.
    pub(super) fn header(&self) -> Option<&'a str> {
        self.user_agent.filter(|value| !value.is_empty())
    }
}

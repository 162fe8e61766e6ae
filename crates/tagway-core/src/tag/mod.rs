//! Tags: where a request's tags come from, and which deployments they leave.

mod alias;
mod ask;
mod decide;
mod explain;
mod expression;
mod hash;
mod index;
mod members;
pub mod name;
mod observe;
mod permit;
mod refusal;
mod region;
mod registry;
mod request;

pub use alias::Aliases;
pub use ask::Ask;
pub use decide::{Decision, Matched, Via};
pub use explain::{COOLING, Explanation, Outcome, StepTaken, TagPart, Verdict, explain};
pub use expression::{Expression, MOST_TERMS, SyntaxError};
pub use index::{DeploymentTags, GroupIndex, check_pattern};
pub use members::Members;
pub use observe::{Observer, Role, Silent, Step, Switch};
pub use refusal::Refusal;
pub(crate) use registry::Registry;
pub use request::{Origin, RequestTag, RequestTags, python_list, python_string};

/// The `router_settings` every tag decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `enable_tag_filtering`; a group's own switch and a key's or team's come before it.
    pub enable_tag_filtering: bool,
    /// `tag_filtering_match_any`: any positive tag in common is enough (default), or all must be there.
    pub match_any: bool,
    /// `tag_routing_prefix`; empty means none.
    pub prefix: String,
    /// `inherited_tags`.
    pub inherited: InheritedTags,
    /// `unknown_tags`.
    pub unknown: UnknownTags,
    /// `tag_hierarchy`: `region:eu` matches `region:eu:fra` too.
    pub hierarchy: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enable_tag_filtering: false,
            match_any: true,
            prefix: String::new(),
            inherited: InheritedTags::Enforce,
            unknown: UnknownTags::Route,
            hierarchy: false,
        }
    }
}

/// What inherited tags mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InheritedTags {
    /// They are a boundary no caller tag leads out of.
    #[default]
    Enforce,
    /// They join the caller's in one list, as in LiteLLM.
    Merge,
}

/// What becomes of a tag that neither a deployment of the group carries nor the registry declares for routing; the
/// strictest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum UnknownTags {
    /// It takes part in the decision, as in LiteLLM.
    #[default]
    Route,
    /// It is a label for accounting only.
    Attribute,
    /// The request is refused.
    Reject,
}

impl UnknownTags {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 3] =
        [("route", Self::Route), ("attribute", Self::Attribute), ("reject", Self::Reject)];
}

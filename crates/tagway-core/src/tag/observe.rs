//! What a tag decision tells whoever listens. Decides nothing: a decision is the same whether or not somebody
//! listens, and a listener that does nothing costs nothing.

use std::fmt;

use serde::Serialize;

use super::expression::Expression;
use super::members::Members;
use super::name::Marker;
use super::request::{Origin, RequestTag};
use crate::config::Tier;

/// Listens to a decision.
pub trait Observer {
    /// Whether filtering is on, and who said so. Told first.
    fn filtering(&mut self, _on: bool, _by: Switch) {}

    /// What becomes of a tag; `name` is it without prefix and marker, `known` whether the group knows it.
    /// Not told of tags when filtering is off.
    fn tag(&mut self, _tag: &RequestTag<'_>, _name: &str, _role: Role, _known: bool) {}

    /// A step, and the deployments that are left after it. Usually fewer than before; more after
    /// [`Step::FailOpen`] and perhaps after [`Step::Untagged`].
    fn step(&mut self, _step: Step<'_>, _left: &Members) {}
}

/// An observer that does not listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// Who turned tag filtering on or left it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// The `router_settings` of the key or team.
    Request,
    /// `model_info.enable_tag_filtering` of the group.
    Group,
    /// `router_settings.enable_tag_filtering`.
    Router,
}

/// What part a tag plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A deployment may match by it.
    Positive,
    /// A deployment must carry it.
    Required,
    /// A deployment must not carry it.
    Excluded,
    /// Declared as a label for accounting.
    Attribution,
    /// Known to nobody: a label (`unknown_tags: attribute`) or refused (`reject`).
    Unknown,
    /// In quarantine: a label for accounting.
    Quarantined,
    /// None: a lone marker, or filtering is off.
    Nothing,
}

impl Role {
    pub(super) fn of(marker: Marker) -> Self {
        match marker {
            Marker::Positive => Self::Positive,
            Marker::Required => Self::Required,
            Marker::Excluded => Self::Excluded,
        }
    }
}

/// A step of a decision. Its `Display` says what happened.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// The deployments that do not cool down.
    Healthy,
    /// A region that the request is bound to holds.
    Region(&'a str),
    /// The key's tier holds.
    Tier(Tier),
    /// An expression holds.
    Expression(&'a Expression, Origin),
    /// Filtering is off: whatever is left may serve.
    FilteringOff,
    /// The inherited positive tags hold.
    Boundary,
    /// A `!` or `&` tag holds.
    Constraint(&'a RequestTag<'a>),
    /// Positive tags or the User-Agent found deployments.
    Matched {
        /// Those found by tags; the rest was found by User-Agent.
        by_tags: &'a Members,
    },
    /// Nothing matched, and no positive tag is known: the default deployments.
    NoMatchDefault,
    /// `&` tags or an expression and nothing else: whatever satisfies them.
    ConstraintsOnly,
    /// No positive tag: the default deployments, or all if none is.
    Untagged,
    /// No positive tag of the caller is known: whatever is inside the boundary.
    BoundaryItself,
    /// Nothing is left.
    NoMatch,
    /// Nothing was left and the group falls open.
    FailOpen,
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("not cooling down"),
            Self::Region(region) => write!(f, "in the region `{region}`"),
            Self::Tier(Tier::Free) => f.write_str("in the key's tier, free"),
            Self::Tier(Tier::Paid) => f.write_str("in the key's tier, paid"),
            Self::Expression(expression, origin) => {
                write!(f, "satisfies the expression of {}: {expression}", origin.as_str())
            }
            Self::FilteringOff => f.write_str("tag filtering is off"),
            Self::Boundary => f.write_str("inside the boundary of the inherited tags"),
            Self::Constraint(tag) => write!(f, "satisfies `{}` from {}", tag.text(), tag.origin().as_str()),
            Self::Matched { .. } => f.write_str("matches a tag, or by User-Agent"),
            Self::NoMatchDefault => f.write_str("nothing matches and no tag is known: tagged `default`"),
            Self::ConstraintsOnly => f.write_str("satisfies every constraint; nothing else is asked"),
            Self::Untagged => f.write_str("no tag asks for anything: tagged `default`, or any if none is"),
            Self::BoundaryItself => f.write_str("no known tag asks for less than the whole boundary"),
            Self::NoMatch => f.write_str("nothing is left"),
            Self::FailOpen => f.write_str("falls open: tagged `default`, or any if none is"),
        }
    }
}

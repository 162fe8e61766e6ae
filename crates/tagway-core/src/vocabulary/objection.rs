//! Why the use of a tag is refused, or warned of: in words, and by a short name for machines. Does not know HTTP. Names no
//! tag but the one in question and those that the vocabulary offers in its place.

use std::fmt;

use super::terms::{Setter, Setters};
use crate::tag::Origin;

/// What is wrong with the use of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The tag as it was written.
    pub tag: Box<str>,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with the use of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is none of the values of its pattern.
    Value {
        /// The pattern.
        pattern: Box<str>,
        /// The tag it may have meant.
        nearest: Option<String>,
        /// Otherwise those there are, the first ones.
        allowed: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// Whoever sets it may not.
    Setter {
        /// Who that is.
        setter: Setter,
        /// Who may.
        allowed: Setters,
    },
    /// It takes in tags that whoever sets it may not set.
    Reach {
        /// Who sets it.
        setter: Setter,
    },
    /// It is no name for a tag.
    Name {
        /// The pattern for names.
        pattern: Box<str>,
    },
    /// Its pattern has as many tags as it may have.
    TooMany {
        /// The pattern.
        pattern: Box<str>,
        /// How many.
        most: u64,
    },
    /// It is retired.
    Retired {
        /// Since when.
        since: Box<str>,
        /// What to use instead.
        replaced_by: Option<Box<str>>,
        /// Who gives it to requests, where the caller does not.
        whose: Option<Origin>,
    },
    /// It is going to retire.
    Retiring {
        /// When.
        on: Box<str>,
        /// What to use instead.
        replaced_by: Option<Box<str>>,
    },
    /// It is in quarantine.
    Quarantined {
        /// What to use instead.
        replaced_by: Option<Box<str>>,
    },
    /// `unknown_tags: reject`, and nobody knows it.
    Unknown,
}

/// What is wrong, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// [`Why::Value`]
    Value,
    /// [`Why::Setter`] and [`Why::Reach`]
    SetBy,
    /// [`Why::Name`]
    Name,
    /// [`Why::TooMany`]
    MaxValues,
    /// [`Why::Retired`]
    Retired,
    /// [`Why::Retiring`]
    Retiring,
    /// [`Why::Quarantined`]
    Quarantined,
    /// [`Why::Unknown`]
    Unknown,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Value,
        Self::SetBy,
        Self::Name,
        Self::MaxValues,
        Self::Retired,
        Self::Retiring,
        Self::Quarantined,
        Self::Unknown,
    ];

    /// Its name in errors, metrics and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Value => "tag_value",
            Self::SetBy => "tag_set_by",
            Self::Name => "tag_name",
            Self::MaxValues => "tag_max_values",
            Self::Retired => "tag_retired",
            Self::Retiring => "tag_retiring",
            Self::Quarantined => "tag_quarantined",
            Self::Unknown => "unknown_tag",
        }
    }
}

impl Objection {
    /// What is wrong, for machines.
    pub fn reason(&self) -> Reason {
        match self.why {
            Why::Value { .. } => Reason::Value,
            Why::Setter { .. } | Why::Reach { .. } => Reason::SetBy,
            Why::Name { .. } => Reason::Name,
            Why::TooMany { .. } => Reason::MaxValues,
            Why::Retired { .. } => Reason::Retired,
            Why::Retiring { .. } => Reason::Retiring,
            Why::Quarantined { .. } => Reason::Quarantined,
            Why::Unknown => Reason::Unknown,
        }
    }

    /// Whether it is about who sets the tag, and not about the tag.
    pub fn is_about_setter(&self) -> bool {
        matches!(self.reason(), Reason::SetBy | Reason::Quarantined)
    }
}

impl std::error::Error for Objection {}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = &self.tag;
        let instead = |f: &mut fmt::Formatter<'_>, other: &Option<Box<str>>| match other {
            Some(other) => write!(f, " Use '{other}' instead."),
            None => Ok(()),
        };
        match &self.why {
            Why::Value { pattern, nearest, allowed, more } => {
                write!(f, "Tag '{tag}' is none of those that '{pattern}' allows.")?;
                if let Some(nearest) = nearest {
                    return write!(f, " Did you mean '{nearest}'?");
                }
                let allowed = allowed.iter().map(|tag| format!("'{tag}'")).collect::<Vec<_>>().join(", ");
                match more {
                    0 => write!(f, " It allows {allowed}."),
                    more => write!(f, " It allows {allowed} and {more} more."),
                }
            }
            Why::Setter { setter, allowed } => {
                write!(f, "Tag '{tag}' may not be set by {setter}: only by {allowed}.")
            }
            Why::Reach { setter } => {
                write!(
                    f,
                    "Tag '{tag}' takes in tags that may not be set by {setter}. Name the tags you mean."
                )
            }
            Why::Name { pattern } => {
                write!(f, "Tag '{tag}' is no name for a tag here: names match {pattern}")
            }
            Why::TooMany { pattern, most } => {
                write!(
                    f,
                    "Tag '{tag}' is one too many: '{pattern}' may have {most} different tags, and has them."
                )
            }
            Why::Retired { since, replaced_by, whose } => {
                match whose {
                    Some(Origin::Jwt) => {
                        write!(
                            f,
                            "Tag '{tag}', which the token gives to this request, is retired since {since}."
                        )?;
                    }
                    Some(whose) => {
                        let whose = whose.as_str();
                        write!(
                            f,
                            "Tag '{tag}', which the {whose} gives to this request, is retired since {since}: it must be taken off the {whose}."
                        )?;
                    }
                    None => write!(f, "Tag '{tag}' is retired since {since}.")?,
                }
                instead(f, replaced_by)
            }
            Why::Retiring { on, replaced_by } => {
                write!(f, "Tag '{tag}' retires on {on}, and is refused from then on.")?;
                instead(f, replaced_by)
            }
            Why::Quarantined { replaced_by } => {
                write!(f, "Tag '{tag}' is in quarantine: it labels, and takes no part in routing.")?;
                instead(f, replaced_by)
            }
            Why::Unknown => write!(f, "Tag '{tag}' is neither declared nor carried by a deployment."),
        }
    }
}

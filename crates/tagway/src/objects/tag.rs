//! Tags as objects.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::config::TagKind;
use tagway_core::priority::Priority;
use utoipa::ToSchema;

use super::{Kind, Limits, Links, Object};

/// A declared tag, or a pattern of tags ending in `*`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Tag {
    /// Names it had before it was renamed, and those of tags that were merged into it: they mean this tag.
    #[schema(read_only)]
    pub(crate) aliases: Vec<String>,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Who answers for it.
    pub(crate) owner: Option<String>,
    /// Whether it takes part in routing, in accounting, or in both.
    pub(crate) kind: TagUse,
    /// How important requests are that carry it, while the gateway has more of them than it serves at a time.
    pub(crate) priority: Option<TagPriority>,
    /// The deployments that carry it, by id or by model name.
    pub(crate) models: Vec<String>,
    /// A budget that gives the limits which the tag has not itself.
    #[schema(max_length = 255)]
    pub(crate) budget_id: Option<String>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

/// What a tag is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TagUse {
    Routing,
    Attribution,
    #[default]
    Both,
}

impl From<TagUse> for TagKind {
    fn from(of: TagUse) -> Self {
        match of {
            TagUse::Routing => Self::Routing,
            TagUse::Attribution => Self::Attribution,
            TagUse::Both => Self::Both,
        }
    }
}

impl From<TagKind> for TagUse {
    fn from(of: TagKind) -> Self {
        match of {
            TagKind::Routing => Self::Routing,
            TagKind::Attribution => Self::Attribution,
            TagKind::Both => Self::Both,
        }
    }
}

/// How important a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TagPriority {
    Low,
    Normal,
    High,
}

impl From<TagPriority> for Priority {
    fn from(of: TagPriority) -> Self {
        match of {
            TagPriority::Low => Self::Low,
            TagPriority::Normal => Self::Normal,
            TagPriority::High => Self::High,
        }
    }
}

impl Object for Tag {
    const KIND: Kind = Kind::Tag;

    fn links(&self) -> Links<'_> {
        Links { budget: self.budget_id.as_deref(), ..Links::default() }
    }
}

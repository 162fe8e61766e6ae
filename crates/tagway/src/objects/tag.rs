//! Tags as objects.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::config::TagKind;
use tagway_core::priority::Priority;
use tagway_core::vocabulary::{MOST_VALUES, Mode, Retirement, Setter, Setters, Terms};
use utoipa::ToSchema;

use super::{Kind, Limits, Links, Object, Unfit};

/// The longest name of a tag, in characters.
const LONGEST: usize = 255;

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
    /// What may follow the pattern; anything when empty.
    pub(crate) values: Vec<String>,
    /// Who may set it; everybody when absent.
    pub(crate) set_by: Option<Vec<TagSetter>>,
    /// As many different tags of the pattern are taken.
    #[schema(minimum = 1, maximum = 100_000)]
    pub(crate) max_values: Option<u64>,
    /// From this date (`2026-12-31`, UTC) or time on, requests that carry it are refused; until then they are warned.
    pub(crate) retire_at: Option<String>,
    /// What to use instead, for messages.
    pub(crate) replaced_by: Option<String>,
    /// Whether it only labels: it takes no part in routing, and nobody may put it on an object.
    pub(crate) quarantined: bool,
    /// What becomes of what breaks these rules, in place of what the configuration says.
    pub(crate) mode: Option<TagMode>,
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

/// Who sets a tag: proxy admins, team admins and other holders of keys on objects, callers in requests, rules of the
/// configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TagSetter {
    Admin,
    TeamAdmin,
    Key,
    Caller,
    Rule,
}

impl From<TagSetter> for Setter {
    fn from(of: TagSetter) -> Self {
        match of {
            TagSetter::Admin => Self::Admin,
            TagSetter::TeamAdmin => Self::TeamAdmin,
            TagSetter::Key => Self::Key,
            TagSetter::Caller => Self::Caller,
            TagSetter::Rule => Self::Rule,
        }
    }
}

/// What becomes of what breaks the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TagMode {
    Enforce,
    Observe,
}

impl From<TagMode> for Mode {
    fn from(of: TagMode) -> Self {
        match of {
            TagMode::Enforce => Self::Enforce,
            TagMode::Observe => Self::Observe,
        }
    }
}

impl Tag {
    /// One that is declared by its own name from now on: what its pattern says of single tags holds.
    pub(crate) fn of_pattern(kind: TagKind, terms: &Terms) -> Self {
        const SETTERS: [TagSetter; 5] =
            [TagSetter::Admin, TagSetter::TeamAdmin, TagSetter::Key, TagSetter::Caller, TagSetter::Rule];
        let setters = |set_by: Setters| SETTERS.into_iter().filter(|it| set_by.has((*it).into())).collect();
        Self {
            kind: kind.into(),
            set_by: terms.set_by.map(setters),
            retire_at: terms.retirement.as_ref().map(|retirement| retirement.text.to_string()),
            replaced_by: terms.replaced_by.clone(),
            quarantined: terms.quarantined,
            mode: terms.mode.map(|mode| match mode {
                Mode::Enforce => TagMode::Enforce,
                Mode::Observe => TagMode::Observe,
            }),
            ..Self::default()
        }
    }

    /// What the use of the tag called `name` is bound to.
    ///
    /// # Errors
    /// A field holds what it cannot hold.
    pub(crate) fn terms(&self, name: &str) -> Result<Terms, Unfit> {
        let is_pattern = name.ends_with('*');
        let one = |field| Unfit::new(field, format!("'{field}' is for patterns: '{name}' is one tag."));
        if !self.values.is_empty() && !is_pattern {
            return Err(one("values"));
        }
        if self.max_values.is_some() && !is_pattern {
            return Err(one("max_values"));
        }
        for value in &self.values {
            let sound = !value.is_empty()
                && value.trim() == value
                && !value.contains([',', '*'])
                && !value.contains(char::is_control)
                && name.chars().count() + value.chars().count() <= LONGEST;
            if !sound {
                let message = format!(
                    "'values' holds {value:?}: a value has no comma, no '*', no control characters and no white space around it, and makes a tag of up to {LONGEST} characters."
                );
                return Err(Unfit::new("values", message));
            }
        }
        if self.max_values.is_some_and(|most| !(1..=MOST_VALUES).contains(&most)) {
            return Err(Unfit::new(
                "max_values",
                format!("'max_values' must be between 1 and {MOST_VALUES}."),
            ));
        }
        if self.set_by.as_ref().is_some_and(Vec::is_empty) {
            let message =
                "'set_by' is empty, so that nobody could set the tag. Set 'retire_at' to end its use.";
            return Err(Unfit::new("set_by", message));
        }
        if self.replaced_by.is_some() && self.retire_at.is_none() && !self.quarantined {
            let message = "'replaced_by' is without effect: set 'retire_at' or 'quarantined' as well.";
            return Err(Unfit::new("replaced_by", message));
        }
        let retirement = self.retire_at.as_deref().map(Retirement::parse).transpose();
        Ok(Terms {
            values: self.values.clone(),
            set_by: self.set_by.as_ref().map(|all| all.iter().map(|setter| (*setter).into()).collect()),
            max_values: self.max_values,
            retirement: retirement.map_err(|why| Unfit::new("retire_at", format!("'retire_at' {why}.")))?,
            replaced_by: self.replaced_by.clone(),
            quarantined: self.quarantined,
            mode: self.mode.map(Into::into),
        })
    }
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

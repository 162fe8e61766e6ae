//! Virtual keys.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::access::{Models, Policy, Routes};
use tagway_core::config::Rates;
use tagway_core::tag::{Origin, UnknownTags};
use utoipa::ToSchema;

use super::policy::{self, Given};
use super::{Kind, Limits, Links, Object, Owner, Unfit, by_model, tags_of};

/// A virtual key, without the key itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Key {
    /// A name for people; no two keys have the same.
    #[schema(max_length = 255)]
    pub(crate) key_alias: Option<String>,
    /// The key's beginning and last four characters.
    #[schema(read_only)]
    pub(crate) key_name: Option<String>,
    /// Not valid from this time on.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) expires: Option<Timestamp>,
    /// Whether requests with it are refused.
    pub(crate) blocked: Option<bool>,
    #[schema(max_length = 255)]
    pub(crate) user_id: Option<String>,
    #[schema(max_length = 255)]
    pub(crate) team_id: Option<String>,
    #[schema(max_length = 255)]
    pub(crate) organization_id: Option<String>,
    #[schema(max_length = 255)]
    pub(crate) project_id: Option<String>,
    /// A budget that gives the limits which the key does not give itself.
    #[schema(max_length = 255)]
    pub(crate) budget_id: Option<String>,
    /// Model names, wildcards (`openai/*`), access groups, `all-team-models`, `all-proxy-models`,
    /// `no-default-models`. None: whatever its team may use.
    pub(crate) models: Vec<String>,
    /// Other names for models: `{"fast": "gpt-4o-mini"}`.
    pub(crate) aliases: BTreeMap<String, String>,
    /// Paths or groups of paths (`llm_api_routes`, `management_routes`, `info_routes`) it may call. None: all.
    pub(crate) allowed_routes: Vec<String>,
    /// Free-form; `tags` and `tier` in it take part in routing.
    pub(crate) metadata: Map<String, Value>,
    /// Patterns of the tags its requests may send (`customer:*`); any when absent.
    pub(crate) allowed_tags: Option<Vec<String>>,
    /// Whether its requests may send tags at all.
    pub(crate) allow_client_tags: Option<bool>,
    /// An expression that holds for every request: `region:eu and not preview`.
    pub(crate) tag_expression: Option<String>,
    /// Where its requests must be served: the `region_name` of deployments.
    pub(crate) allowed_model_region: Option<String>,
    pub(crate) router_settings: RouterSettings,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    /// Requests a minute by model.
    pub(crate) model_rpm_limit: Option<BTreeMap<String, u64>>,
    /// Tokens a minute by model.
    pub(crate) model_tpm_limit: Option<BTreeMap<String, u64>>,
    /// How many tokens an answer is taken to have before it is there, when its request does not limit them.
    pub(crate) default_estimated_output_tokens: Option<u64>,
    /// The same by model.
    pub(crate) default_estimated_output_tokens_per_model: Option<BTreeMap<String, u64>>,
    /// How often it was regenerated.
    #[schema(read_only)]
    pub(crate) rotation_count: u64,
    /// When it was regenerated last.
    #[schema(value_type = Option<String>, format = DateTime, read_only)]
    pub(crate) last_rotation_at: Option<Timestamp>,
    /// The digest of the key in force, in hexadecimal.
    #[schema(read_only)]
    pub(crate) token: String,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

/// What a key or team may change of the router's settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RouterSettings {
    /// `true` turns tag filtering on for its requests; nothing turns it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enable_tag_filtering: Option<bool>,
    /// What becomes of tags that nobody knows, in place of what the configuration says. Of several that a request
    /// meets the strictest holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unknown_tags: Option<UnknownTagsRule>,
}

/// What becomes of a tag that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnknownTagsRule {
    Route,
    Attribute,
    Reject,
}

impl From<UnknownTagsRule> for UnknownTags {
    fn from(rule: UnknownTagsRule) -> Self {
        match rule {
            UnknownTagsRule::Route => Self::Route,
            UnknownTagsRule::Attribute => Self::Attribute,
            UnknownTagsRule::Reject => Self::Reject,
        }
    }
}

impl Object for Key {
    const KIND: Kind = Kind::Key;

    fn links(&self) -> Links<'_> {
        Links {
            name: self.key_alias.as_deref(),
            team: self.team_id.as_deref(),
            user: self.user_id.as_deref(),
            organization: self.organization_id.as_deref(),
            project: self.project_id.as_deref(),
            budget: self.budget_id.as_deref(),
        }
    }

    fn tags(&self) -> Vec<&str> {
        tags_of(&self.metadata)
    }
}

impl Owner for Key {
    const ORIGIN: Origin = Origin::Key;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn name_in_messages(&self) -> Option<Box<str>> {
        let alias = self.key_alias.as_deref().filter(|alias| !alias.is_empty()).unwrap_or("key");
        Some(match &self.key_name {
            Some(name) => format!("{alias} ({name})").into(),
            None => alias.into(),
        })
    }

    fn whose_model_budget(&self, id: &str) -> String {
        let alias = self.key_alias.as_deref().unwrap_or("None");
        format!("LiteLLM Virtual Key: {id}, key_alias: {alias}")
    }

    fn estimated_output(&self) -> (Option<u64>, Option<&BTreeMap<String, u64>>) {
        (self.default_estimated_output_tokens, self.default_estimated_output_tokens_per_model.as_ref())
    }

    fn model_rates(&self) -> Vec<(Box<str>, Rates)> {
        by_model(self.model_rpm_limit.as_ref(), self.model_tpm_limit.as_ref())
    }

    fn policy(&self, id: &str) -> Result<Policy, Unfit> {
        policy::of(Given {
            origin: Self::ORIGIN,
            id,
            blocked: self.blocked.unwrap_or(false),
            metadata: &self.metadata,
            allowed_tags: self.allowed_tags.as_deref(),
            allow_client_tags: self.allow_client_tags,
            tag_expression: self.tag_expression.as_deref(),
            router_settings: Some(&self.router_settings),
            region: self.allowed_model_region.as_deref(),
            models: Models::new(&self.models),
            aliases: &self.aliases,
            routes: Routes::new(&self.allowed_routes),
        })
    }
}

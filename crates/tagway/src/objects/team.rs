//! Teams.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::access::{Models, Policy, Routes};
use tagway_core::config::Rates;
use tagway_core::tag::Origin;
use utoipa::ToSchema;

use super::policy::{self, Given};
use super::{Kind, Limits, Links, Object, Owner, RouterSettings, Unfit, by_model, tags_of};

/// A team: its keys share its models, tags, limits and budget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Team {
    /// A name for people.
    #[schema(max_length = 255)]
    pub(crate) team_alias: Option<String>,
    #[schema(max_length = 255)]
    pub(crate) organization_id: Option<String>,
    /// Whether requests with its keys are refused.
    pub(crate) blocked: bool,
    /// What its keys may use at most; everything when empty.
    pub(crate) models: Vec<String>,
    /// Other names for models: `{"fast": "gpt-4o-mini"}`.
    pub(crate) model_aliases: BTreeMap<String, String>,
    /// Free-form; `tags` and `tier` in it take part in routing.
    pub(crate) metadata: Map<String, Value>,
    /// Patterns of the tags its requests may send (`customer:*`); any when absent.
    pub(crate) allowed_tags: Option<Vec<String>>,
    /// Whether its requests may send tags at all.
    pub(crate) allow_client_tags: Option<bool>,
    /// An expression that holds for every request of its keys.
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
    /// Its members, and what they are in it.
    pub(crate) members_with_roles: Vec<Member>,
    /// What members may do with the team's keys, by path (`/key/generate`).
    pub(crate) team_member_permissions: Vec<String>,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

/// A member of a team.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Member {
    #[schema(max_length = 255)]
    pub(crate) user_id: Option<String>,
    pub(crate) user_email: Option<String>,
    /// `admin` or `user`.
    pub(crate) role: String,
    /// Dollars this member may spend in the team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_budget_in_team: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tpm_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rpm_limit: Option<u64>,
    /// How long `max_budget_in_team` holds before it begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget_duration: Option<String>,
}

impl Object for Team {
    const KIND: Kind = Kind::Team;

    fn links(&self) -> Links<'_> {
        Links {
            name: self.team_alias.as_deref(),
            organization: self.organization_id.as_deref(),
            ..Links::default()
        }
    }

    fn tags(&self) -> Vec<&str> {
        tags_of(&self.metadata)
    }

    fn members(&self) -> Vec<(&str, &str)> {
        let known = self.members_with_roles.iter();
        known.filter_map(|member| Some((member.user_id.as_deref()?, member.role.as_str()))).collect()
    }
}

impl Owner for Team {
    const ORIGIN: Origin = Origin::Team;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn member_limits(&self) -> impl Iterator<Item = (&str, Limits)> {
        self.members_with_roles.iter().filter_map(|member| {
            let limits = Limits {
                max_budget: Some(member.max_budget_in_team?),
                budget_duration: member.budget_duration.clone(),
                ..Limits::default()
            };
            Some((member.user_id.as_deref()?, limits))
        })
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
            blocked: self.blocked,
            metadata: &self.metadata,
            allowed_tags: self.allowed_tags.as_deref(),
            allow_client_tags: self.allow_client_tags,
            tag_expression: self.tag_expression.as_deref(),
            router_settings: Some(&self.router_settings),
            region: self.allowed_model_region.as_deref(),
            models: Models::new(&self.models),
            aliases: &self.model_aliases,
            routes: Routes::default(),
        })
    }
}

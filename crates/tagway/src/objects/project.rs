//! Projects: a part of a team's work with models, tags and a budget of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::access::{Models, Policy};
use tagway_core::config::Rates;
use tagway_core::tag::Origin;
use utoipa::ToSchema;

use super::policy::{self, Given};
use super::{Kind, Limits, Links, Object, Owner, Unfit, by_model, tags_of};

/// A project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Project {
    /// A name for people.
    #[schema(max_length = 255)]
    pub(crate) project_alias: Option<String>,
    pub(crate) description: Option<String>,
    #[schema(max_length = 255)]
    pub(crate) team_id: Option<String>,
    /// Whether requests with its keys are refused.
    pub(crate) blocked: bool,
    /// A budget that gives the limits which the project has not itself.
    #[schema(max_length = 255)]
    pub(crate) budget_id: Option<String>,
    /// What its keys may use at most; everything when empty.
    pub(crate) models: Vec<String>,
    /// Free-form; `tags` and `tier` in it take part in routing.
    pub(crate) metadata: Map<String, Value>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    /// Requests a minute by model.
    pub(crate) model_rpm_limit: Option<BTreeMap<String, u64>>,
    /// Tokens a minute by model.
    pub(crate) model_tpm_limit: Option<BTreeMap<String, u64>>,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

impl Object for Project {
    const KIND: Kind = Kind::Project;

    fn links(&self) -> Links<'_> {
        Links {
            name: self.project_alias.as_deref(),
            team: self.team_id.as_deref(),
            budget: self.budget_id.as_deref(),
            ..Links::default()
        }
    }

    fn tags(&self) -> Vec<&str> {
        tags_of(&self.metadata)
    }
}

impl Owner for Project {
    const ORIGIN: Origin = Origin::Project;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn model_rates(&self) -> Vec<(Box<str>, Rates)> {
        by_model(self.model_rpm_limit.as_ref(), self.model_tpm_limit.as_ref())
    }

    fn policy(&self, id: &str) -> Result<Policy, Unfit> {
        policy::of(Given {
            blocked: self.blocked,
            models: Models::new(&self.models),
            ..Given::plain(Self::ORIGIN, id, &self.metadata)
        })
    }
}

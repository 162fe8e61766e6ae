//! Customers: the end users that requests name (`user` in the body).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::access::{Models, Policy};
use tagway_core::tag::Origin;
use utoipa::ToSchema;

use super::policy::{self, Given};
use super::{Kind, Limits, Links, Object, Owner, Unfit, tags_of};

/// A customer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Customer {
    /// A name for people.
    #[schema(max_length = 255)]
    pub(crate) alias: Option<String>,
    /// Whether requests that name it are refused.
    pub(crate) blocked: bool,
    /// A budget that gives the limits which the customer has not itself.
    #[schema(max_length = 255)]
    pub(crate) budget_id: Option<String>,
    /// What requests that name it may use at most; everything when empty.
    pub(crate) models: Vec<String>,
    /// Where its requests must be served: the `region_name` of deployments.
    pub(crate) allowed_model_region: Option<String>,
    /// Free-form; `tags` and `tier` in it take part in routing.
    pub(crate) metadata: Map<String, Value>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

impl Object for Customer {
    const KIND: Kind = Kind::Customer;

    fn links(&self) -> Links<'_> {
        Links { name: self.alias.as_deref(), budget: self.budget_id.as_deref(), ..Links::default() }
    }

    fn tags(&self) -> Vec<&str> {
        tags_of(&self.metadata)
    }
}

impl Owner for Customer {
    const ORIGIN: Origin = Origin::Customer;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn whose_model_budget(&self, id: &str) -> String {
        format!("LiteLLM End User: {id}")
    }

    fn policy(&self, id: &str) -> Result<Policy, Unfit> {
        policy::of(Given {
            blocked: self.blocked,
            region: self.allowed_model_region.as_deref(),
            models: Models::new(&self.models),
            ..Given::plain(Self::ORIGIN, id, &self.metadata)
        })
    }
}

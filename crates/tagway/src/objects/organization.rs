//! Organizations: what teams and projects belong to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::access::{Models, Policy};
use tagway_core::tag::Origin;
use utoipa::ToSchema;

use super::policy::{self, Given};
use super::{Kind, Limits, Links, Member, Object, Owner, Unfit, tags_of};

/// An organization.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Organization {
    /// A name for people.
    pub(crate) organization_alias: Option<String>,
    /// Whether requests with its keys are refused.
    pub(crate) blocked: bool,
    /// A budget that gives the limits which the organization has not itself.
    pub(crate) budget_id: Option<String>,
    /// What its teams and keys may use at most; everything when empty.
    pub(crate) models: Vec<String>,
    /// Free-form; `tags` and `tier` in it take part in routing.
    pub(crate) metadata: Map<String, Value>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    /// Its members, and what they are in it: `org_admin`, `internal_user`, `internal_user_viewer`.
    pub(crate) members: Vec<Member>,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

impl Object for Organization {
    const KIND: Kind = Kind::Organization;

    fn links(&self) -> Links<'_> {
        Links {
            name: self.organization_alias.as_deref(),
            budget: self.budget_id.as_deref(),
            ..Links::default()
        }
    }

    fn tags(&self) -> Vec<&str> {
        tags_of(&self.metadata)
    }

    fn members(&self) -> Vec<(&str, &str)> {
        let known = self.members.iter();
        known.filter_map(|member| Some((member.user_id.as_deref()?, member.role.as_str()))).collect()
    }
}

impl Owner for Organization {
    const ORIGIN: Origin = Origin::Organization;

    fn policy(&self, id: &str) -> Result<Policy, Unfit> {
        policy::of(Given {
            blocked: self.blocked,
            models: Models::new(&self.models),
            ..Given::plain(Self::ORIGIN, id, &self.metadata)
        })
    }
}

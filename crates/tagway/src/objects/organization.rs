//! Organizations: what teams and projects belong to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::access::{Models, Policy};
use tagway_core::tag::Origin;
use utoipa::ToSchema;

use super::policy::{self, Given};
use super::{Kind, Limits, Links, Object, Owner, Unfit, tags_of};

/// An organization.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Organization {
    /// A name for people.
    #[schema(max_length = 255)]
    pub(crate) organization_alias: Option<String>,
    /// Whether requests with its keys are refused.
    pub(crate) blocked: bool,
    /// A budget that gives the limits which the organization has not itself.
    #[schema(max_length = 255)]
    pub(crate) budget_id: Option<String>,
    /// What its teams and keys may use at most; everything when empty.
    pub(crate) models: Vec<String>,
    /// Free-form; `tags` and `tier` in it take part in routing.
    pub(crate) metadata: Map<String, Value>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    /// Its members, and what they are in it.
    #[schema(read_only)]
    pub(crate) members: Vec<OrganizationMember>,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

/// A member of an organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct OrganizationMember {
    pub(crate) user_id: String,
    pub(crate) user_email: Option<String>,
    pub(crate) role: OrganizationRole,
    /// Dollars this member may spend in the organization.
    #[schema(minimum = 0)]
    pub(crate) max_budget_in_organization: Option<f64>,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
}

impl Default for OrganizationMember {
    fn default() -> Self {
        Self {
            user_id: String::new(),
            user_email: None,
            role: OrganizationRole::default(),
            max_budget_in_organization: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }
}

/// What a member is in an organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrganizationRole {
    /// Manages its members and teams.
    OrgAdmin,
    #[default]
    InternalUser,
    InternalUserViewer,
}

impl OrganizationRole {
    /// LiteLLM's name of it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OrgAdmin => "org_admin",
            Self::InternalUser => "internal_user",
            Self::InternalUserViewer => "internal_user_viewer",
        }
    }
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
        self.members.iter().map(|member| (member.user_id.as_str(), member.role.as_str())).collect()
    }
}

impl Owner for Organization {
    const ORIGIN: Origin = Origin::Organization;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn member_limits(&self) -> impl Iterator<Item = (&str, Limits)> {
        self.members.iter().filter_map(|member| {
            let most = Some(member.max_budget_in_organization?);
            Some((member.user_id.as_str(), Limits { max_budget: most, ..Limits::default() }))
        })
    }

    fn policy(&self, id: &str) -> Result<Policy, Unfit> {
        policy::of(Given {
            blocked: self.blocked,
            models: Models::new(&self.models),
            ..Given::plain(Self::ORIGIN, id, &self.metadata)
        })
    }
}

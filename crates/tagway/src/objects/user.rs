//! Users: the people and services that keys belong to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::access::{Models, Policy};
use tagway_core::config::NewUsers;
use tagway_core::money::Nanos;
use tagway_core::tag::Origin;
use utoipa::ToSchema;

use super::policy::{self, Given};
use super::{Kind, Limits, Links, Object, Owner, Unfit, tags_of};

/// What a user may see and change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Everything.
    ProxyAdmin,
    /// Sees everything, changes nothing.
    ProxyAdminViewer,
    /// Makes keys for itself, sees its own.
    #[default]
    InternalUser,
    /// Sees its own, changes nothing.
    InternalUserViewer,
}

impl Role {
    /// LiteLLM's name of it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ProxyAdmin => "proxy_admin",
            Self::ProxyAdminViewer => "proxy_admin_viewer",
            Self::InternalUser => "internal_user",
            Self::InternalUserViewer => "internal_user_viewer",
        }
    }
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct User {
    /// A name for people.
    #[schema(max_length = 255)]
    pub(crate) user_alias: Option<String>,
    pub(crate) user_email: Option<String>,
    pub(crate) user_role: Option<Role>,
    /// The user's identity at a single sign-on.
    #[schema(max_length = 255)]
    pub(crate) sso_user_id: Option<String>,
    #[schema(max_length = 255)]
    pub(crate) organization_id: Option<String>,
    /// Whether requests with its keys are refused.
    pub(crate) blocked: Option<bool>,
    /// What its own keys may use at most; everything when empty.
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

impl Object for User {
    const KIND: Kind = Kind::User;

    fn links(&self) -> Links<'_> {
        Links {
            name: self.user_email.as_deref(),
            organization: self.organization_id.as_deref(),
            ..Links::default()
        }
    }

    fn tags(&self) -> Vec<&str> {
        tags_of(&self.metadata)
    }
}

impl User {
    /// Gives an internal user the budget that users have by default.
    pub(crate) fn own_budget(&mut self, defaults: &NewUsers) {
        if self.user_role != Some(Role::InternalUser) {
            return;
        }
        let max = defaults.max.or(defaults.default_max);
        self.limits.max_budget = self.limits.max_budget.or(max.map(Nanos::dollars));
        if self.limits.budget_duration.is_none() {
            self.limits.budget_duration.clone_from(&defaults.duration);
        }
    }
}

impl Owner for User {
    const ORIGIN: Origin = Origin::User;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn policy(&self, id: &str) -> Result<Policy, Unfit> {
        policy::of(Given {
            blocked: self.blocked.unwrap_or(false),
            models: Models::new(&self.models),
            ..Given::plain(Self::ORIGIN, id, &self.metadata)
        })
    }
}

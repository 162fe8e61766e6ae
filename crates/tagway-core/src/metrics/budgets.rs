//! Metrics of what is left of budgets.

use super::Kind::Gauge;
use super::Label::*;
use super::{Family, Label, family};

const OF_KEY: &[Label] = &[HashedApiKey, ApiKeyAlias];
const OF_TEAM: &[Label] = &[Team, TeamAlias];

/// `litellm_remaining_api_key_budget_metric`
pub const KEY_LEFT: Family = family(
    "litellm_remaining_api_key_budget_metric",
    Gauge,
    OF_KEY,
    "A key's budget less what was spent of it, in dollars.",
);
/// `litellm_api_key_max_budget_metric`
pub const KEY_MOST: Family =
    family("litellm_api_key_max_budget_metric", Gauge, OF_KEY, "A key's budget, in dollars.");
/// `litellm_api_key_budget_remaining_hours_metric`
pub const KEY_HOURS: Family = family(
    "litellm_api_key_budget_remaining_hours_metric",
    Gauge,
    OF_KEY,
    "Hours until a key's budget begins anew.",
);
/// `litellm_remaining_team_budget_metric`
pub const TEAM_LEFT: Family = family(
    "litellm_remaining_team_budget_metric",
    Gauge,
    OF_TEAM,
    "A team's budget less what was spent of it, in dollars.",
);
/// `litellm_team_max_budget_metric`
pub const TEAM_MOST: Family =
    family("litellm_team_max_budget_metric", Gauge, OF_TEAM, "A team's budget, in dollars.");
/// `litellm_team_budget_remaining_hours_metric`
pub const TEAM_HOURS: Family = family(
    "litellm_team_budget_remaining_hours_metric",
    Gauge,
    OF_TEAM,
    "Hours until a team's budget begins anew.",
);
/// `litellm_remaining_user_budget_metric`
pub const USER_LEFT: Family = family(
    "litellm_remaining_user_budget_metric",
    Gauge,
    &[User],
    "A user's budget less what was spent of it, in dollars.",
);
/// `litellm_user_max_budget_metric`
pub const USER_MOST: Family =
    family("litellm_user_max_budget_metric", Gauge, &[User], "A user's budget, in dollars.");
/// `litellm_user_budget_remaining_hours_metric`
pub const USER_HOURS: Family = family(
    "litellm_user_budget_remaining_hours_metric",
    Gauge,
    &[User],
    "Hours until a user's budget begins anew.",
);
/// `litellm_remaining_org_budget_metric`
pub const ORG_LEFT: Family = family(
    "litellm_remaining_org_budget_metric",
    Gauge,
    &[OrgId],
    "An organization's budget less what was spent of it, in dollars.",
);
/// `litellm_org_max_budget_metric`
pub const ORG_MOST: Family =
    family("litellm_org_max_budget_metric", Gauge, &[OrgId], "An organization's budget, in dollars.");
/// `litellm_org_budget_remaining_hours_metric`
pub const ORG_HOURS: Family = family(
    "litellm_org_budget_remaining_hours_metric",
    Gauge,
    &[OrgId],
    "Hours until an organization's budget begins anew.",
);
/// `litellm_provider_remaining_budget_metric`
pub const PROVIDER_LEFT: Family = family(
    "litellm_provider_remaining_budget_metric",
    Gauge,
    &[ApiProvider],
    "A provider's budget less what was spent of it, in dollars.",
);
/// `tagway_deployment_remaining_budget_dollars`
pub const DEPLOYMENT_LEFT: Family = family(
    "tagway_deployment_remaining_budget_dollars",
    Gauge,
    &[ModelId],
    "A deployment's budget less what was spent of it, in dollars.",
);
/// `tagway_deployment_max_budget_dollars`
pub const DEPLOYMENT_MOST: Family =
    family("tagway_deployment_max_budget_dollars", Gauge, &[ModelId], "A deployment's budget, in dollars.");
/// `tagway_project_remaining_budget_dollars`
pub const PROJECT_LEFT: Family = family(
    "tagway_project_remaining_budget_dollars",
    Gauge,
    &[ProjectId],
    "A project's budget less what was spent of it, in dollars.",
);
/// `tagway_project_max_budget_dollars`
pub const PROJECT_MOST: Family =
    family("tagway_project_max_budget_dollars", Gauge, &[ProjectId], "A project's budget, in dollars.");
/// `tagway_tag_remaining_budget_dollars`
pub const TAG_LEFT: Family = family(
    "tagway_tag_remaining_budget_dollars",
    Gauge,
    &[Tag],
    "A tag's budget less what was spent of it, in dollars. Of tags on the list of tags.",
);
/// `tagway_tag_max_budget_dollars`
pub const TAG_MOST: Family = family(
    "tagway_tag_max_budget_dollars",
    Gauge,
    &[Tag],
    "A tag's budget, in dollars. Of tags on the list of tags.",
);
/// `tagway_global_remaining_budget_dollars`
pub const GLOBAL_LEFT: Family = family(
    "tagway_global_remaining_budget_dollars",
    Gauge,
    &[],
    "The global budget less what was spent of it, in dollars.",
);
/// `tagway_global_max_budget_dollars`
pub const GLOBAL_MOST: Family =
    family("tagway_global_max_budget_dollars", Gauge, &[], "The global budget, in dollars.");

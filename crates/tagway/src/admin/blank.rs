//! Fields of LiteLLM's answers that tagway has nothing to say in. Clients read them without asking whether they are
//! there, so they are, and are empty. Knows names and shapes alone.

use serde_json::{Map, Value, json};

use crate::objects::Kind;

/// Names of fields by what they are when they are empty.
struct Blank {
    nulls: &'static [&'static str],
    lists: &'static [&'static str],
    objects: &'static [&'static str],
    falses: &'static [&'static str],
}

const NOTHING: Blank = Blank { nulls: &[], lists: &[], objects: &[], falses: &[] };

const KEY: Blank = Blank {
    nulls: &[
        "agent_id",
        "budget_limits",
        "tpd_limit",
        "object_permission",
        "object_permission_id",
        "settings_updated_at",
        "last_active",
        "rotation_interval",
        "key_rotation_at",
        "litellm_budget_table",
    ],
    lists: &["allowed_cache_controls", "policies", "access_group_ids"],
    objects: &["config", "permissions", "budget_fallbacks", "model_spend"],
    falses: &["soft_budget_cooldown", "auto_rotate"],
};

/// What the answer to a request for a key repeats of it beside the key's row.
const NEW_KEY: Blank = Blank {
    nulls: &[
        "duration",
        "tags",
        "guardrails",
        "prompts",
        "enforced_params",
        "mcp_rpm_limit",
        "tag_rpm_limit",
        "rpm_limit_type",
        "tpm_limit_type",
        "end_user_budget_id",
        "disable_global_guardrails",
        "enable_prompt_caching",
        "throttle_on_budget_exceeded",
        "allowed_passthrough_routes",
        "denied_passthrough_routes",
        "allowed_vector_store_indexes",
    ],
    ..NOTHING
};

const TEAM: Blank = Blank {
    nulls: &["budget_limits", "tpd_limit", "model_id", "object_permission", "object_permission_id"],
    lists: &["admins", "members", "default_team_member_models", "access_group_ids", "policies"],
    objects: &["model_spend"],
    falses: &["allow_team_guardrail_config"],
};

const USER: Blank = Blank {
    nulls: &[
        "object_permission",
        "object_permission_id",
        "organization_memberships",
        "password_reset_required",
        "last_breach_check_at",
    ],
    lists: &["allowed_cache_controls", "policies"],
    objects: &["model_spend"],
    ..NOTHING
};

const BUDGET: Blank = Blank {
    nulls: &["tpd_limit", "temp_budget_increase", "temp_budget_expiry"],
    lists: &["allowed_models"],
    ..NOTHING
};

const CUSTOMER: Blank =
    Blank { nulls: &["default_model", "object_permission", "object_permission_id"], ..NOTHING };

const ORGANIZATION: Blank = Blank {
    nulls: &["users", "object_permission", "object_permission_id"],
    objects: &["model_spend"],
    ..NOTHING
};

const PROJECT: Blank =
    Blank { nulls: &["object_permission", "object_permission_id"], objects: &["model_spend"], ..NOTHING };

/// Adds the fields that objects of this kind have in LiteLLM's answers, as far as they are not there.
pub(super) fn fill(kind: Kind, row: &mut Map<String, Value>) {
    add(
        row,
        match kind {
            Kind::Key => &KEY,
            Kind::Team => &TEAM,
            Kind::User => &USER,
            Kind::Budget => &BUDGET,
            Kind::Customer => &CUSTOMER,
            Kind::Organization => &ORGANIZATION,
            Kind::Project => &PROJECT,
            Kind::Tag | Kind::Model | Kind::Experiment => &NOTHING,
        },
    );
}

/// The same for the answer to a request for a key.
pub(super) fn fill_new_key(row: &mut Map<String, Value>) {
    add(row, &NEW_KEY);
}

fn add(row: &mut Map<String, Value>, blank: &Blank) {
    let empty = [
        (blank.nulls, Value::Null),
        (blank.lists, json!([])),
        (blank.objects, json!({})),
        (blank.falses, json!(false)),
    ];
    for (names, value) in empty {
        for name in names {
            row.entry(*name).or_insert_with(|| value.clone());
        }
    }
}

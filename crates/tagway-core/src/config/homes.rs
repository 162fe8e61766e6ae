//! Which section a key works in: for keys that stand in the wrong one.

use super::deployment_keys::PARAMS;
use super::general_keys::GENERAL_KEYS;
use super::proxy_keys::PROXY_KEYS;
use super::routing::ROUTER;
use super::scope::{Rule, Table};
use super::tag_settings::SETTINGS;

/// The section that reads `key`, if any does.
pub(super) fn of(key: &str) -> Option<&'static str> {
    fn works<T>(table: Table<T>, key: &str) -> bool {
        table.iter().any(|(name, rule)| *name == key && matches!(rule, Rule::Works(_)))
    }
    if works(ROUTER, key) {
        Some("router_settings")
    } else if works(GENERAL_KEYS, key) {
        Some("general_settings")
    } else if works(PROXY_KEYS, key) {
        Some("litellm_settings")
    } else if works(PARAMS, key) {
        Some("litellm_params")
    } else if works(SETTINGS, key) {
        Some("tag_settings")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn names<T>(table: Table<T>) -> Vec<&'static str> {
        table.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn no_key_has_two_rules() {
        for table in [names(ROUTER), names(GENERAL_KEYS), names(PROXY_KEYS), names(PARAMS), names(SETTINGS)] {
            let mut seen = HashSet::new();
            assert_eq!(table.iter().find(|name| !seen.insert(**name)), None);
        }
    }

    #[test]
    fn keys_have_one_home_each() {
        for (key, home) in [
            ("enable_tag_filtering", "router_settings"),
            ("master_key", "general_settings"),
            ("json_logs", "litellm_settings"),
            ("tag_regex", "litellm_params"),
            ("explain_sample", "tag_settings"),
        ] {
            assert_eq!(of(key), Some(home));
        }
        assert_eq!(of("cache"), None, "ignored everywhere");
    }

    /// The settings LiteLLM's documents name: none of them is a stranger.
    #[test]
    fn documented_keys_are_known() {
        let documented = [
            (
                names(ROUTER),
                "routing_strategy routing_strategy_args routing_groups num_retries retry_after \
              retry_policy model_group_retry_policy timeout stream_timeout allowed_fails allowed_fails_policy \
              cooldown_time disable_cooldowns fallbacks default_fallbacks context_window_fallbacks \
              content_policy_fallbacks max_fallbacks model_group_alias enable_pre_call_checks \
              optional_pre_call_checks provider_budget_config enable_weighted_failover redis_host redis_port \
              redis_password redis_url",
            ),
            (
                names(PROXY_KEYS),
                "num_retries request_timeout fallbacks default_fallbacks \
              context_window_fallbacks content_policy_fallbacks drop_params tag_budget_config max_budget \
              budget_duration cache cache_params callbacks success_callback failure_callback json_logs \
              turn_off_message_logging default_team_settings default_internal_user_params \
              upperbound_key_generate_params extra_spend_tag_headers set_verbose",
            ),
            (
                names(GENERAL_KEYS),
                "master_key database_url database_connection_pool_limit coordination_redis \
              fail_closed_rate_limit_enforcement max_parallel_requests global_max_parallel_requests \
              max_request_size_mb store_model_in_db allow_requests_on_db_unavailable background_health_checks \
              health_check_interval alerting use_x_forwarded_for reject_clientside_metadata_tags \
              litellm_key_header_name disable_spend_logs store_prompts_in_spend_logs \
              maximum_spend_logs_retention_period proxy_batch_write_at proxy_budget_rescheduler_min_time \
              proxy_budget_rescheduler_max_time",
            ),
        ];
        for (table, keys) in documented {
            for key in keys.split_whitespace() {
                assert!(table.contains(&key), "{key}");
            }
        }
    }
}

//! Which section a key works in: for keys that stand in the wrong one.

use super::deployment_keys::PARAMS;
use super::general_keys::GENERAL_KEYS;
use super::proxy_keys::PROXY_KEYS;
use super::routing::ROUTER;
use super::scope::{Rule, Table};

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
    } else {
        None
    }
}

//! `upperbound_key_generate_params` and `default_key_generate_params`: what new virtual keys may ask for at most, and
//! what they get when they ask for nothing. Reads them; makes no keys.

use serde_json::Value;

use super::model::{KeyBounds, NewKeys};
use super::scope::{At, Scope, Table, strict};

use super::scope::Rule::Works;

const BOUNDS: Table<KeyBounds> = &[
    ("max_budget", Works(|b, at, s| b.max_budget = s.number(at, 0.0))),
    ("budget_duration", Works(|b, at, s| b.budget_duration = duration(at, s))),
    ("duration", Works(|b, at, s| b.duration = duration(at, s))),
    ("max_parallel_requests", Works(|b, at, s| b.max_parallel_requests = count(at, s))),
    ("tpm_limit", Works(|b, at, s| b.tpm_limit = count(at, s))),
    ("rpm_limit", Works(|b, at, s| b.rpm_limit = count(at, s))),
];

pub(super) fn bounds(keys: &mut NewKeys, at: &At<'_>, scope: &mut Scope<'_>) {
    scope.walk(at, BOUNDS, &mut keys.bounds, strict);
}

pub(super) fn defaults(keys: &mut NewKeys, at: &At<'_>, scope: &mut Scope<'_>) {
    match scope.json(at) {
        Some(Value::Object(fields)) => keys.defaults = fields,
        Some(_) => {
            scope.error(at, "expected a map: fields of `/key/generate` with their defaults");
        }
        None => {}
    }
}

fn count(at: &At<'_>, scope: &mut Scope<'_>) -> Option<u64> {
    scope.count(at).map(u64::from)
}

fn duration(at: &At<'_>, scope: &mut Scope<'_>) -> Option<String> {
    let text = scope.text(at)?;
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    if unit.len() < text.len() && ["s", "m", "h", "d", "w", "mo"].contains(&unit) {
        return Some(text);
    }
    scope.error(at, "expected a duration").help("write `30s`, `30m`, `24h`, `30d` or `1mo`");
    None
}

//! `model_info` of a deployment: a few fields mean something, all of them are shown.

use std::time::Duration;

use serde_json::{Map, Value};

use super::model::{Budget, Rates, Tier};
use super::prices::{is_price, price, tiers};
use super::scope::{At, Rule, Scope, Table};
use super::yaml::Kind;
use super::{budgets, health, resilience, tags};
use crate::fault::AllowedFails;

/// `model_info` as far as read.
#[derive(Default)]
pub(super) struct Info {
    pub(super) id: Option<String>,
    pub(super) tier: Option<Tier>,
    pub(super) enable_tag_filtering: Option<bool>,
    pub(super) allow_fail_open: bool,
    pub(super) tag_rates: Vec<(String, Rates)>,
    pub(super) tag_budgets: Vec<(String, Budget)>,
    pub(super) access_groups: Vec<String>,
    pub(super) allowed_fails: AllowedFails,
    pub(super) cooldown_time: Option<Duration>,
    pub(super) prices: Vec<(String, f64)>,
    pub(super) base_model: Option<String>,
    pub(super) max_input: Option<u64>,
    pub(super) health: health::OfOne,
    pub(super) fields: Map<String, Value>,
}

const NO_ACCESS: &str = "remove it only if every key may use this deployment";

const INFO: Table<Info> = &[
    (
        "id",
        Rule::Works(|info, at, scope| {
            info.id = scope.text(at).filter(|id| {
                if id.trim().is_empty() {
                    scope.error(at, "an id needs a text").help("leave `id` out to get a stable one");
                }
                !id.trim().is_empty()
            });
        }),
    ),
    (
        "tier",
        Rule::Works(|info, at, scope| {
            info.tier = scope.word(at, &[("free", Tier::Free), ("paid", Tier::Paid)]);
        }),
    ),
    ("enable_tag_filtering", Rule::Works(|info, at, scope| info.enable_tag_filtering = scope.bool(at))),
    (
        "allow_fail_open",
        Rule::Works(|info, at, scope| info.allow_fail_open = scope.bool(at).unwrap_or(false)),
    ),
    ("access_groups", Rule::Works(|info, at, scope| info.access_groups = scope.texts(at))),
    ("allowed_fails", Rule::Works(|info, at, scope| info.allowed_fails.any = scope.count(at))),
    (
        "allowed_fails_policy",
        Rule::Works(|info, at, scope| info.allowed_fails.by_fault = resilience::allowed(at, scope)),
    ),
    ("cooldown_time", Rule::Works(|info, at, scope| info.cooldown_time = scope.seconds(at, true))),
    ("token_limits", Rule::Works(|info, at, scope| limits(info, at, scope, |rates| &mut rates.tokens))),
    ("request_limits", Rule::Works(|info, at, scope| limits(info, at, scope, |rates| &mut rates.requests))),
    (
        "dollar_limits",
        Rule::Works(|info, at, scope| {
            info.tag_budgets = budgets::by_name(at, scope);
            for entry in scope.entries(at) {
                tags::sound_pattern(&entry.key, &at.entry(entry), scope);
            }
        }),
    ),
    ("blocked", Rule::Refused("remove the whole entry to take the deployment out of service")),
    ("team_id", Rule::Refused(NO_ACCESS)),
    ("access_windows", Rule::Refused(NO_ACCESS)),
];

/// `{tag or pattern: a number}`.
fn limits(info: &mut Info, at: &At<'_>, scope: &mut Scope<'_>, of: fn(&mut Rates) -> &mut Option<u64>) {
    for entry in scope.entries(at) {
        let value = at.entry(entry);
        let Some(limit) = tags::rate(&value, scope) else { continue };
        if !tags::sound_pattern(&entry.key, &value, scope) {
            continue;
        }
        let place = info.tag_rates.iter().position(|(tag, _)| *tag == entry.key).unwrap_or_else(|| {
            info.tag_rates.push((entry.key.clone(), Rates::default()));
            info.tag_rates.len() - 1
        });
        *of(&mut info.tag_rates[place].1) = Some(limit);
    }
}

pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> Info {
    let mut info = Info::default();
    scope.walk(at, INFO, &mut info, free_form);
    // The fields above are shown as written, like the others; their problems are reported already.
    if let Kind::Map(entries) = &at.node.kind {
        for entry in entries.iter().filter(|entry| INFO.iter().any(|(name, _)| *name == entry.key)) {
            let value = match &entry.value.kind {
                Kind::Text(text) => Value::from(text.as_str()),
                Kind::Bool(value) => Value::from(*value),
                Kind::Map(_) | Kind::Int(..) | Kind::Float(..) => match scope.json(&at.entry(entry)) {
                    Some(value) => value,
                    None => continue,
                },
                _ => continue,
            };
            info.fields.insert(entry.key.clone(), value);
        }
    }
    if !info.access_groups.is_empty() {
        info.fields.insert("access_groups".to_owned(), Value::from(info.access_groups.clone()));
    }
    if let Some(id) = &info.id {
        info.fields.insert("id".to_owned(), Value::from(id.as_str()));
    }
    info
}

fn free_form(info: &mut Info, at: &At<'_>, key: &str, scope: &mut Scope<'_>) -> bool {
    if let Some((_, read)) = health::OF_ONE.iter().find(|(name, _)| *name == key)
        && !matches!(at.node.kind, Kind::Null)
    {
        read(&mut info.health, at, scope);
    }
    let names = INFO.iter().map(|(name, _)| *name).chain(health::OF_ONE.iter().map(|(name, _)| *name));
    let near = names.into_iter().find(|name| strsim::osa_distance(name, key) == 1);
    if let Some(near) = near.filter(|near| near.len() > 3) {
        let message = format!("`{key}` is a field of your own, without effect");
        scope.warning_at_key(at, message).help(format!("did you mean `{near}`?"));
    }
    match key {
        "base_model" => info.base_model = scope.text(at),
        "max_input_tokens" if !matches!(at.node.kind, Kind::Null) => info.max_input = tags::rate(at, scope),
        "tiered_pricing" if !matches!(at.node.kind, Kind::Null) => tiers(&mut info.prices, at, scope),
        _ => {}
    }
    if is_price(key) && !matches!(at.node.kind, Kind::List(_) | Kind::Map(_) | Kind::Null) {
        price(&mut info.prices, at, scope);
    }
    if let Some(value) = scope.json(at) {
        info.fields.insert(key.to_owned(), value);
    }
    true
}

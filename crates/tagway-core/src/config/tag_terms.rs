//! What a declared tag's use is bound to: values, who sets it, how many there may be, when it retires. Reads and checks
//! each; what it means for a request is `vocabulary`'s.

use super::scope::{At, Scope, quoted};
use super::tags::is_sound;
use super::yaml::Kind;
use crate::vocabulary::{MOST_VALUES, Retirement, Setter, Setters, Terms};

/// `values`: what may follow the pattern.
pub(super) fn values(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let Some(value) = scope.text(&item).filter(|value| is_sound(value, &item, scope)) else { continue };
        if value.contains('*') {
            scope.error(&item, "a value cannot hold a `*`").help("name each value");
        } else if values.contains(&value) {
            scope.warning(&item, format!("{} is listed twice", item.shown())).help("remove one of the two");
        } else {
            values.push(value);
        }
    }
    if matches!(&at.node.kind, Kind::List(items) if items.is_empty()) {
        scope.error(at, "no value is allowed").help("name the values, or leave the key out");
    }
    values
}

/// `set_by`
pub(super) fn set_by(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Setters> {
    let (items, mut setters) = (scope.items(at), Vec::new());
    for (index, node) in items.iter().enumerate() {
        setters.extend(scope.word(&at.item(index, node), &Setter::WORDS));
    }
    if items.is_empty() {
        if matches!(at.node.kind, Kind::List(_)) {
            scope.error(at, "nobody may set this tag").help(
                "name who may: `[admin, team_admin, key, caller, rule]`; to end its use give `retire_at`",
            );
        }
        return None;
    }
    Some(setters.into_iter().collect())
}

/// `max_values`
pub(super) fn max_values(at: &At<'_>, scope: &mut Scope<'_>) -> Option<u64> {
    scope.whole(at, 1, MOST_VALUES.cast_signed()).map(i64::unsigned_abs)
}

/// `retire_at`
pub(super) fn retirement(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Retirement> {
    let text = scope.text(at)?;
    match Retirement::parse(&text) {
        Ok(retirement) => Some(retirement),
        Err(why) => {
            scope.error(at, format!("{why}, not {}", at.shown()));
            None
        }
    }
}

/// Whether what is said goes together.
pub(super) fn check(name: &str, terms: &Terms, at: &At<'_>, scope: &mut Scope<'_>) {
    let of = |key: &str| at.node.get(key).map(|entry| at.entry(entry));
    if !name.ends_with('*') {
        for key in ["values", "max_values"] {
            if let Some(at) = of(key).filter(|at| !matches!(at.node.kind, Kind::Null)) {
                scope
                    .error_at_key(&at, format!("`{key}` is for patterns, and `{name}` is one tag"))
                    .help(format!("write {}", quoted(&format!("{name}:*"))));
            }
        }
    }
    if let Some(at) = of("replaced_by")
        && terms.replaced_by.is_some()
        && of("retire_at").is_none()
        && !terms.quarantined
    {
        scope
            .error_at_key(&at, "without effect: the tag does not retire")
            .help("say when with `retire_at`, or set `quarantined: true`");
    }
}

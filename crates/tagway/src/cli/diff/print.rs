//! Differences for people and for programs. Decides nothing.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tagway_core::money::Nanos;

use super::super::supposed;
use super::replay::{self, Moved, Replayed};
use super::side::{Answer, Side};
use super::space::{Change, Compared, Space};

/// Tag sets shown of each transition, and kinds of requests of each log: the rest is counted.
const SHOWN: usize = 20;

fn ids(numbers: &[u32], side: &Side<'_>) -> Vec<String> {
    let found = numbers.iter().filter_map(|number| side.deployment(*number));
    found.map(|deployment| deployment.entry.info.id.clone()).collect()
}

fn words(answer: &Answer, side: &Side<'_>) -> String {
    match answer {
        Answer::Served(numbers) => ids(numbers, side).join(", "),
        Answer::Refused(refused) => {
            let reason = refused.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
            format!("refused (HTTP {}{reason})", refused.status.as_u16())
        }
    }
}

fn json_of(answer: &Answer, side: &Side<'_>) -> Value {
    match answer {
        Answer::Served(numbers) => json!({"candidates": ids(numbers, side), "error": null}),
        Answer::Refused(refused) => json!({"candidates": [], "error": supposed::refusal(refused)}),
    }
}

/// Changes with the same model, the same outcome before and the same after.
struct Transition<'c> {
    model: usize,
    words: String,
    changes: Vec<&'c Change>,
}

fn transitions<'c>(changes: &'c [Change], old: &Side<'_>, new: &Side<'_>) -> Vec<Transition<'c>> {
    let mut found: Vec<Transition<'c>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for change in changes {
        let words = format!("{} → {}", words(&change.old, old), words(&change.new, new));
        let place = *places.entry((change.model, words)).or_insert_with_key(|(model, words)| {
            found.push(Transition { model: *model, words: words.clone(), changes: Vec::new() });
            found.len() - 1
        });
        if let Some(transition) = found.get_mut(place) {
            transition.changes.push(change);
        }
    }
    // Those of a model stand together.
    found.sort_by_key(|transition| transition.model);
    found
}

/// Those that hold none of the others: what a larger set does beside them is no news.
fn smallest<'c>(changes: &[&'c Change]) -> Vec<&'c Change> {
    let mut smallest: Vec<&Change> = Vec::new();
    for change in changes {
        let holds = |other: &&Change| {
            other.inherited == change.inherited && other.tags.iter().all(|tag| change.tags.contains(tag))
        };
        // Small sets come first.
        if SHOWN < smallest.len() {
            break;
        }
        if !smallest.iter().any(holds) {
            smallest.push(change);
        }
    }
    smallest.truncate(SHOWN);
    smallest
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// All sets of known tags, in words.
pub(super) fn compared(space: &Space, compared: &Compared, old: &Side<'_>, new: &Side<'_>) -> String {
    let mut text = String::new();
    let mut model = None;
    for transition in transitions(&compared.changes, old, new) {
        if model != Some(transition.model) {
            model = Some(transition.model);
            let _ = writeln!(text, "model {}", space.models.get(transition.model).map_or("", String::as_str));
        }
        let _ = writeln!(text, "  {}", transition.words);
        let smallest = smallest(&transition.changes);
        for change in &smallest {
            let tags = change.tags.iter().filter_map(|at| space.tags.get(*at));
            let tags = tags.map(String::as_str).collect::<Vec<_>>().join(", ");
            let whose = if change.inherited { "  (of a key)" } else { "" };
            let _ = match tags.as_str() {
                "" => writeln!(text, "      without tags"),
                tags => writeln!(text, "      {tags}{whose}"),
            };
        }
        let more = transition.changes.len() - smallest.len();
        if more != 0 {
            let _ = writeln!(text, "      and {more} more, most of them with these and others");
        }
    }
    let looked_at = compared.looked_at;
    let changed = counted(compared.changes.len(), "change");
    let (tags, models) = (counted(space.tags.len(), "tag"), counted(space.models.len(), "model"));
    let _ = writeln!(
        text,
        "{changed} in {looked_at} combinations of {models} and sets of up to {} of {tags}",
        space.size
    );
    if looked_at < compared.all {
        let _ = writeln!(
            text,
            "stopped there: there are {} (--max-combinations {} goes so far)",
            compared.all, space.most
        );
    }
    text
}

/// The same as JSON.
pub(super) fn compared_json(space: &Space, compared: &Compared, old: &Side<'_>, new: &Side<'_>) -> Value {
    let shown = |change: &Change| {
        let tags: Vec<&String> = change.tags.iter().filter_map(|at| space.tags.get(*at)).collect();
        json!({
            "model": space.models.get(change.model),
            "tags": tags,
            "inherited": change.inherited,
            "old": json_of(&change.old, old),
            "new": json_of(&change.new, new),
        })
    };
    json!({
        "tags": space.tags,
        "models": space.models,
        "max_tags": space.size,
        "combinations": compared.looked_at,
        "all_combinations": compared.all,
        "complete": compared.looked_at == compared.all,
        "changes": compared.changes.iter().map(shown).collect::<Vec<_>>(),
    })
}

/// Dollars for people.
fn dollars(amount: Nanos) -> String {
    if amount == Nanos::ZERO { "$0".to_owned() } else { format!("${:.4}", amount.dollars()) }
}

/// The requests of a log, in words.
pub(super) fn replayed(replayed: &Replayed, old: &Side<'_>, new: &Side<'_>) -> String {
    let mut text = String::new();
    for moved in replayed.changed.iter().take(SHOWN) {
        let Moved { kind, flow, .. } = moved;
        let tags = kind.tags.iter().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>().join(", ");
        let tags = if tags.is_empty() { "no tags".to_owned() } else { tags };
        let (requests, spend) = (flow.requests, dollars(flow.spend));
        let _ = writeln!(text, "{} with {tags}: {requests} requests, which cost {spend}", kind.model);
        let would = match moved.would_cost {
            Some((least, most)) if least == most => format!(", and would cost {}", dollars(least)),
            Some((least, most)) => format!(", and would cost {} to {}", dollars(least), dollars(most)),
            None => String::new(),
        };
        let _ = writeln!(text, "  {} → {}{would}", words(&moved.old, old), words(&moved.new, new));
    }
    if SHOWN < replayed.changed.len() {
        let _ = writeln!(text, "and {} more kinds of requests", replayed.changed.len() - SHOWN);
    }
    let (requests, spend) = moved(replayed);
    let _ = writeln!(
        text,
        "{requests} of {} requests go elsewhere ({} of {})",
        replayed.requests,
        dollars(spend),
        dollars(replayed.spend)
    );
    if replayed.unnamed != 0 {
        let _ = writeln!(text, "{} requests named no model, and are left out", replayed.unnamed);
    }
    text
}

fn moved(replayed: &Replayed) -> (u64, Nanos) {
    let requests = replayed.changed.iter().map(|moved| moved.flow.requests).sum();
    (requests, replayed.changed.iter().map(|moved| moved.flow.spend).sum())
}

/// The same as JSON.
pub(super) fn replayed_json(replayed: &Replayed, old: &Side<'_>, new: &Side<'_>) -> Value {
    let shown = |moved: &Moved| {
        let mut shown = replay::shown(&moved.kind);
        let would_cost =
            moved.would_cost.map(|(least, most)| json!({"least": least.dollars(), "most": most.dollars()}));
        if let Value::Object(fields) = &mut shown {
            fields.insert("requests".to_owned(), moved.flow.requests.into());
            fields.insert("spend".to_owned(), moved.flow.spend.dollars().into());
            fields.insert("would_cost".to_owned(), would_cost.unwrap_or_default());
            fields.insert("old".to_owned(), json_of(&moved.old, old));
            fields.insert("new".to_owned(), json_of(&moved.new, new));
        }
        shown
    };
    let (requests, spend) = moved(replayed);
    json!({
        "requests": replayed.requests,
        "spend": replayed.spend.dollars(),
        "kinds": replayed.kinds,
        "without_model": replayed.unnamed,
        "changed_requests": requests,
        "changed_spend": spend.dollars(),
        "changes": replayed.changed.iter().map(shown).collect::<Vec<_>>(),
    })
}

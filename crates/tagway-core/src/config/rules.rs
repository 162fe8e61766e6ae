//! `tag_rules`: tags that the operator derives from requests. Reads them; what a condition means is `rule`'s.

use super::scope::{At, Rule as Key, Scope, Table, strict};
use super::tags;
use super::yaml::Kind;
use crate::rule::{OnError, Program, Rule};

/// More rules are no rules that anybody knows.
const MOST: usize = 1000;

#[derive(Default)]
struct Draft {
    name: Option<String>,
    when: Option<Program>,
    add: Vec<String>,
    on_error: OnError,
}

const KEYS: Table<Draft> = &[
    ("name", Key::Works(|rule, at, scope| rule.name = scope.text(at))),
    ("when", Key::Works(|rule, at, scope| rule.when = condition(at, scope))),
    ("add", Key::Works(|rule, at, scope| rule.add = tags::given(at, scope))),
    (
        "on_error",
        Key::Works(|rule, at, scope| {
            let words = [("skip", OnError::Skip), ("deny", OnError::Deny)];
            rule.on_error = scope.word(at, &words).unwrap_or_default();
        }),
    ),
];

/// A condition, wherever one may stand.
pub(super) fn condition(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Program> {
    let text = match &at.node.kind {
        Kind::Bool(is) => is.to_string(),
        _ => scope.text(at)?,
    };
    match Program::compile(text.trim()) {
        Ok(program) => Some(program),
        Err(bad) => {
            let place = bad.at.map_or(String::new(), |place| format!(" (character {})", place + 1));
            let said = scope.error(at, format!("{bad}{place}"));
            if let Some(help) = bad.help {
                said.help(help);
            }
            None
        }
    }
}

/// Reads the section.
pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let mut draft = Draft::default();
        scope.walk(&item, KEYS, &mut draft, strict);
        if !matches!(node.kind, Kind::Map(_)) {
            continue;
        }
        scope.demand(&item, &["name", "when", "add"]);
        let Some(name) = draft.name else { continue };
        if rules.iter().any(|rule| *rule.name == *name) {
            scope.error(&item, format!("there is another rule called `{name}`"));
        }
        if let Some(when) = draft.when {
            let add = draft.add.into_iter().map(Box::from).collect();
            rules.push(Rule { name: name.into(), when, add, on_error: draft.on_error });
        }
    }
    if MOST < rules.len() {
        scope.error(at, format!("there may be {MOST} rules, not {}", rules.len()));
    }
    rules
}

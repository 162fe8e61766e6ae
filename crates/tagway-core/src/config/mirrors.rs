//! `mirrors`: shares of requests that are sent once more, for nobody to read. Reads and checks them; sends nothing.

use super::experiments::{models, sticky};
use super::model::Config;
use super::scope::{At, Rule as Key, Scope, Table, nearest, strict};
use super::yaml::{Kind, Node};
use super::{links, rules, tags, times};
use crate::experiment::Mirror;
use crate::rule::Program;
use crate::strategy::By;

/// More mirrors would multiply requests beyond what anybody means.
const MOST: usize = 20;
/// Copies in progress at once.
const PARALLEL: u32 = 16;

#[derive(Default)]
struct Draft {
    name: Option<String>,
    models: Vec<Box<str>>,
    to: Option<Box<str>>,
    when: Option<Program>,
    sticky: Option<Option<By>>,
    share: Option<f64>,
    tag: Option<String>,
    most: Option<u32>,
}

const KEYS: Table<Draft> = &[
    ("name", Key::Works(|it, at, scope| it.name = scope.text(at))),
    ("models", Key::Works(|it, at, scope| it.models = models(at, scope))),
    ("to", Key::Works(|it, at, scope| it.to = scope.text(at).map(Into::into))),
    ("when", Key::Works(|it, at, scope| it.when = rules::condition(at, scope))),
    ("sticky", Key::Works(|it, at, scope| it.sticky = sticky(at, scope))),
    ("share", Key::Works(|it, at, scope| it.share = times::share(at, scope))),
    (
        "tag",
        Key::Works(|it, at, scope| {
            it.tag = scope.text(at).filter(|tag| tags::is_plain(tag, at, scope));
        }),
    ),
    (
        "max_parallel",
        Key::Works(|it, at, scope| {
            it.most = scope.whole(at, 1, 10_000).and_then(|most| u32::try_from(most).ok());
        }),
    ),
];

/// Reads the section.
pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Mirror> {
    let mut all: Vec<Mirror> = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let mut draft = Draft::default();
        scope.walk(&item, KEYS, &mut draft, strict);
        if !matches!(node.kind, Kind::Map(_)) {
            continue;
        }
        scope.demand(&item, &["name", "to", "share"]);
        let (Some(name), Some(to), Some(share)) = (draft.name, draft.to, draft.share) else { continue };
        if all.iter().any(|it| *it.name == *name) {
            scope.error(&item, format!("there is another mirror called `{name}`"));
        }
        let tag = draft.tag.unwrap_or_else(|| format!("mirror:{to}"));
        all.push(Mirror {
            name: name.into(),
            models: draft.models,
            to,
            when: draft.when,
            // Whose requests are copied is nothing that anybody notices.
            sticky: draft.sticky.flatten(),
            share,
            tag: tag.into(),
            most: draft.most.unwrap_or(PARALLEL),
        });
    }
    if MOST < all.len() {
        scope.error(at, format!("there may be {MOST} mirrors, not {}", all.len()));
    }
    all
}

/// Whether mirrors lead somewhere.
pub(super) fn check(config: &Config, tree: &Node, scope: &mut Scope<'_>) {
    let Some(section) = tree.get("mirrors").map(|entry| At::root(tree).entry(entry)) else { return };
    let Kind::List(items) = &section.node.kind else { return };
    let mut known: Vec<&str> = config
        .deployments
        .iter()
        .flat_map(|it| [&*it.model_name, &*it.info.id])
        .chain(config.router.aliases.iter().map(|alias| &*alias.name))
        .collect();
    known.sort_unstable();
    for (index, node) in items.iter().enumerate() {
        let item = section.item(index, node);
        let Some(to) = node.get("to").map(|entry| item.entry(entry)) else { continue };
        let Kind::Text(name) = &to.node.kind else { continue };
        if name.starts_with("os.environ/") || known.iter().any(|known| links::covers(known, name)) {
            continue;
        }
        let near = nearest(name, known.iter().copied());
        let said = scope.error(&to, format!("no model group or deployment is called `{name}`"));
        said.help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a `model_name` or a `model_info.id` of `model_list`".to_owned(),
        });
    }
}

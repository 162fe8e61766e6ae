//! Tags in the configuration: what a deployment carries, its patterns, and the declared vocabulary.

use super::budgets;
use super::model::{Budget, Rates};
use super::scope::{At, Rule, Scope, Table, quoted, strict};
use super::tag_terms;
use super::yaml::Kind;
use crate::priority::Priority;
use crate::tag::check_pattern;
use crate::vocabulary::{Mode, Terms};

/// One declared tag or tag pattern (`customer:*`) of `tags`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagDeclaration {
    /// The tag, or a pattern ending in `*`.
    pub name: String,
    /// Names it had before: whoever says one of them means this tag.
    pub aliases: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whether it takes part in routing.
    pub kind: TagKind,
    /// What its use is bound to.
    pub terms: Terms,
    /// How important requests are that carry it.
    pub priority: Option<Priority>,
    /// How many requests and tokens may carry it; under a pattern, each of its tags.
    pub rates: Rates,
    /// What may be spent on it; under a pattern, on each of its tags.
    pub budget: Budget,
}

/// What a declared tag is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagKind {
    /// Takes part in decisions only.
    Routing,
    /// A label for accounting: never takes part in a decision.
    Attribution,
    /// Both.
    #[default]
    Both,
}

impl TagKind {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routing => "routing",
            Self::Attribution => "attribution",
            Self::Both => "both",
        }
    }
}

/// `tags` of a deployment.
pub(super) fn carried(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let Some(tag) = scope.text(&item) else { continue };
        if !is_sound(&tag, &item, scope) {
            continue;
        }
        if let Some(marker) = tag.chars().next().filter(|c| matches!(c, '!' | '&')) {
            scope
                .error(
                    &item,
                    format!("{} begins with `{marker}`, which only a request's tag may", item.shown()),
                )
                .help(format!("write {}", quoted(tag.trim_start_matches(marker))));
        } else if tags.contains(&tag) {
            scope.warning(&item, format!("{} is listed twice", item.shown())).help("remove one of the two");
        } else {
            tags.push(tag);
        }
    }
    tags
}

/// Tags that are given to a request, with their markers.
pub(super) fn given(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let mut tags = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let Some(tag) = scope.text(&item) else { continue };
        let name = tag.strip_prefix(['!', '&']).unwrap_or(&tag);
        if is_sound(name, &item, scope) && star_comes_last(name, &item, scope) {
            tags.push(tag);
        }
    }
    if tags.is_empty() && matches!(&at.node.kind, Kind::List(items) if items.is_empty()) {
        scope.error(at, "no tags").help("name the tags that requests get: `[\"client:claude-code\"]`");
    }
    tags
}

/// A tag that is one and no other: without marker and `*`. Says why not.
pub(super) fn is_plain(tag: &str, at: &At<'_>, scope: &mut Scope<'_>) -> bool {
    if !is_sound(tag, at, scope) {
        return false;
    }
    if tag.starts_with(['!', '&']) || tag.contains('*') {
        scope.error(at, format!("`{tag}` is no tag by itself")).help("leave out `!`, `&` and `*`");
        return false;
    }
    true
}

/// Whether a request can name this tag at all; says why not.
pub(super) fn is_sound(tag: &str, at: &At<'_>, scope: &mut Scope<'_>) -> bool {
    if tag.trim().is_empty() {
        scope.error(at, "an empty tag").help("remove it, or give it a name");
    } else if tag.trim() != tag {
        scope
            .error(at, "the tag has white space around it, which no tag of a header can have")
            .help(format!("write {}", quoted(tag.trim())));
    } else if tag.contains(',') {
        let parts: Vec<String> = tag.split(',').map(|part| quoted(part.trim())).collect();
        scope
            .error(at, "a tag cannot hold a comma: headers separate tags by it")
            .help(format!("write {}", parts.join(", ")));
    } else if tag.chars().any(char::is_control) {
        scope.error(at, "a tag cannot hold control characters");
    } else {
        return true;
    }
    false
}

/// `tag_regex` of a deployment: patterns that compile.
pub(super) fn patterns(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let mut patterns = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let Some(pattern) = scope.text(&item) else { continue };
        if pattern.is_empty() {
            scope.error(&item, "an empty pattern matches every client").help("write `.*` if that is meant");
        } else if let Err(why) = check_pattern(&pattern) {
            scope.error(&item, format!("invalid pattern: {why}"));
        } else {
            patterns.push(pattern);
        }
    }
    patterns
}

#[derive(Default)]
struct Draft {
    name: Option<String>,
    aliases: Vec<String>,
    description: Option<String>,
    owner: Option<String>,
    kind: TagKind,
    terms: Terms,
    priority: Option<Priority>,
    rates: Rates,
    budget: Budget,
}

const DECLARATION: Table<Draft> = &[
    ("name", Rule::Works(|tag, at, scope| tag.name = scope.text(at))),
    ("aliases", Rule::Works(|tag, at, scope| tag.aliases = aliases(at, scope))),
    ("description", Rule::Works(|tag, at, scope| tag.description = scope.text(at))),
    ("owner", Rule::Works(|tag, at, scope| tag.owner = scope.text(at))),
    ("kind", Rule::Works(kind)),
    ("values", Rule::Works(|tag, at, scope| tag.terms.values = tag_terms::values(at, scope))),
    ("set_by", Rule::Works(|tag, at, scope| tag.terms.set_by = tag_terms::set_by(at, scope))),
    ("max_values", Rule::Works(|tag, at, scope| tag.terms.max_values = tag_terms::max_values(at, scope))),
    ("retire_at", Rule::Works(|tag, at, scope| tag.terms.retirement = tag_terms::retirement(at, scope))),
    ("replaced_by", Rule::Works(|tag, at, scope| tag.terms.replaced_by = scope.text(at))),
    ("quarantined", Rule::Works(|tag, at, scope| tag.terms.quarantined = scope.bool(at).unwrap_or_default())),
    ("mode", Rule::Works(|tag, at, scope| tag.terms.mode = scope.word(at, &Mode::WORDS))),
    ("priority", Rule::Works(priority)),
    ("max_budget", Rule::Works(|tag, at, scope| tag.budget.max = budgets::money(at, scope))),
    ("soft_budget", Rule::Works(|tag, at, scope| tag.budget.soft = budgets::money(at, scope))),
    ("budget_duration", Rule::Works(|tag, at, scope| tag.budget.duration = budgets::duration(at, scope))),
    ("budget_window", Rule::Works(|tag, at, scope| tag.budget.window = budgets::window(at, scope))),
    ("budget_timezone", Rule::Works(|tag, at, scope| tag.budget.timezone = budgets::timezone(at, scope))),
    ("strict", Rule::Works(|tag, at, scope| tag.budget.strict = scope.bool(at))),
    ("budget_id", Rule::Refused("give `max_budget` here, or declare the tag with `/tag/new`")),
    ("rpm_limit", Rule::Works(|tag, at, scope| tag.rates.requests = rate(at, scope))),
    ("tpm_limit", Rule::Works(|tag, at, scope| tag.rates.tokens = rate(at, scope))),
    ("max_parallel_requests", Rule::Works(|tag, at, scope| tag.rates.in_progress = rate(at, scope))),
    ("models", Rule::Refused("remove it, and put the tag on the deployments it is for")),
];

/// Names a tag had before.
fn aliases(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let mut aliases: Vec<String> = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let Some(alias) = scope.text(&item).filter(|alias| is_sound(alias, &item, scope)) else { continue };
        if alias.contains('*') {
            scope.error(&item, "a former name is one name, not a pattern").help("name each of them");
        } else if alias == DEFAULT {
            scope
                .error(&item, "`default` marks where untagged requests go: it cannot mean another tag")
                .help("remove it");
        } else if aliases.contains(&alias) {
            scope.warning(&item, format!("{} is listed twice", item.shown())).help("remove one of the two");
        } else {
            aliases.push(alias);
        }
    }
    aliases
}

/// Marks where untagged requests go.
const DEFAULT: &str = "default";

fn priority(tag: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let words = Priority::ALL.map(|priority| (priority.as_str(), priority));
    tag.priority = scope.word(at, &words);
}

pub(super) fn rate(at: &At<'_>, scope: &mut Scope<'_>) -> Option<u64> {
    scope.whole(at, 0, i64::MAX).and_then(|count| u64::try_from(count).ok())
}

fn kind(tag: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let words =
        [("routing", TagKind::Routing), ("attribution", TagKind::Attribution), ("both", TagKind::Both)];
    tag.kind = scope.word(at, &words).unwrap_or_default();
}

/// Whether limits can be given under this name: a tag, or a pattern that ends in `*`. Says why not.
pub(super) fn sound_pattern(name: &str, at: &At<'_>, scope: &mut Scope<'_>) -> bool {
    is_sound(name, at, scope) && star_comes_last(name, at, scope)
}

fn star_comes_last(name: &str, at: &At<'_>, scope: &mut Scope<'_>) -> bool {
    let stem = name.strip_suffix('*').unwrap_or(name);
    if !stem.contains('*') {
        return true;
    }
    let before = stem.split('*').next().unwrap_or_default();
    scope
        .error(at, "a `*` stands for what follows: it comes last")
        .help(format!("write {}", quoted(&format!("{before}*"))));
    false
}

/// `tags` of the file: names, or maps of `name`, `kind`, `description` and limits.
pub(super) fn declared(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<TagDeclaration> {
    if let Kind::Map(_) = at.node.kind {
        scope
            .error(at, "must be a list, not a map")
            .help("write `- name: \"customer:*\"` with `kind:` below it");
        return Vec::new();
    }
    let mut tags: Vec<TagDeclaration> = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let mut draft = Draft::default();
        let name_at = match node.get("name") {
            Some(entry) => item.entry(entry),
            None => item.clone(),
        };
        if let Kind::Map(_) = node.kind {
            scope.walk(&item, DECLARATION, &mut draft, strict);
            if node.get("name").is_none() {
                scope.error(&item, "`name` is missing");
            }
            if let Some(name) = &draft.name {
                tag_terms::check(name, &draft.terms, &item, scope);
            }
        } else {
            draft.name = scope.text(&item);
        }
        let Some(name) = draft.name.filter(|name| is_sound(name, &name_at, scope)) else { continue };
        if !star_comes_last(&name, &name_at, scope) {
            continue;
        }
        if !draft.aliases.is_empty() && (name.ends_with('*') || name == DEFAULT) {
            scope
                .error(
                    &name_at,
                    format!("{} cannot have former names: they are for single tags", name_at.shown()),
                )
                .help("remove `aliases`");
        } else if tags.iter().any(|tag| tag.name == name) {
            scope
                .error(&name_at, format!("{} is declared twice", name_at.shown()))
                .help("keep one of the two");
        } else if let Some(other) = tags.iter().find(|tag| tag.aliases.contains(&name)) {
            scope
                .error(&name_at, format!("{} is a former name of {}", name_at.shown(), quoted(&other.name)))
                .help("remove this declaration, or the name from `aliases`");
        } else {
            let taken = draft.aliases.iter().find_map(|alias| {
                let other = tags.iter().find(|tag| tag.name == *alias || tag.aliases.contains(alias));
                other
                    .map(|other| other.name.clone())
                    .or_else(|| (*alias == name).then(|| name.clone()))
                    .map(|other| (alias.clone(), other))
            });
            if let Some((alias, other)) = taken {
                scope
                    .error(
                        &item,
                        format!("`aliases` names {}, which is {} already", quoted(&alias), quoted(&other)),
                    )
                    .help("a name means one tag: remove it from one of the two");
                continue;
            }
            let Draft { aliases, description, owner, kind, terms, priority, rates, budget, .. } = draft;
            tags.push(TagDeclaration {
                name,
                aliases,
                description,
                owner,
                kind,
                terms,
                priority,
                rates,
                budget,
            });
        }
    }
    tags
}

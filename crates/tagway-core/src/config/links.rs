//! What one part of the configuration says of another: aliases and fallbacks name model groups that exist, ids
//! are unique.

use std::collections::{HashMap, HashSet};

use super::model::{Config, Deployment};
use super::scope::{At, Scope, nearest};
use super::strategy;
use super::yaml::{Kind, Node};

/// Whether `pattern`, a `model_name` that may hold `*`, covers `name`.
pub(super) fn covers(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.find(part) {
            Some(at) => name = name.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    name.ends_with(last)
}

/// Gives twins that name no id different ones, and reports ids given twice.
pub(super) fn unique_ids(deployments: &mut [Deployment], marks: &[At<'_>], scope: &mut Scope<'_>) {
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut twins: HashMap<String, usize> = HashMap::new();
    for (index, deployment) in deployments.iter_mut().enumerate() {
        let Some(at) = marks.get(index) else { continue };
        let given = at.node.get("model_info").map(|entry| at.entry(entry));
        let given = given.and_then(|info| info.node.get("id").map(|entry| info.entry(entry)));
        let id = deployment.info.id.clone();
        match (taken.get(&id), given.filter(|at| !matches!(at.node.kind, Kind::Null))) {
            (Some(&first), Some(id_at)) => {
                let line = marks.get(first).map_or(0, |at| at.node.mark.line);
                let message = format!("{} is the id of the entry in line {line} too", id_at.shown());
                scope.error(&id_at, message).help("give each deployment an id of its own, or none");
            }
            (Some(_), None) => {
                let number = twins.entry(id.clone()).or_insert(1);
                *number += 1;
                while taken.contains_key(&format!("{id}-{number}")) {
                    *number += 1;
                }
                deployment.info.id = format!("{id}-{number}");
                taken.insert(deployment.info.id.clone(), index);
            }
            (None, _) => {
                taken.insert(id, index);
            }
        }
    }
}

/// Aliases and fallbacks of the two sections that may hold them.
pub(super) fn check(config: &Config, names: &HashSet<String>, tree: &Node, scope: &mut Scope<'_>) {
    let groups =
        Groups { names, aliases: config.router.aliases.iter().map(|alias| alias.name.as_str()).collect() };
    let root = At::root(tree);
    let section = |name: &str| tree.get(name).map(|entry| root.entry(entry));
    if let Some(at) =
        section("router_settings").and_then(|at| at.node.get("model_group_alias").map(|e| at.entry(e)))
    {
        aliases(config, &groups, &at, scope);
    }
    if let Some(at) = section("router_settings") {
        strategy::check(&config.router.routing_groups, names, &at, scope);
        if let Some(policies) = at.node.get("model_group_retry_policy").map(|entry| at.entry(entry)) {
            for entry in scope.entries(&policies) {
                groups.must_have(&entry.key, &policies.entry(entry), true, scope);
            }
        }
    }
    for section in ["experiments", "mirrors"].into_iter().filter_map(section) {
        let Kind::List(items) = &section.node.kind else { continue };
        for (index, item) in items.iter().enumerate() {
            let item_at = section.item(index, item);
            if let Some(models) = item.get("models") {
                targets(&groups, &item_at.entry(models), scope);
            }
        }
    }
    for section in ["router_settings", "litellm_settings"].into_iter().filter_map(section) {
        for key in ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"] {
            if let Some(entry) = section.node.get(key) {
                fallbacks(&groups, &section.entry(entry), scope);
            }
        }
        if let Some(entry) = section.node.get("default_fallbacks") {
            let at = section.entry(entry);
            targets(&groups, &at, scope);
        }
    }
}

struct Groups<'a> {
    names: &'a HashSet<String>,
    aliases: HashSet<&'a str>,
}

impl Groups<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
            || self.aliases.contains(name)
            || self.names.iter().any(|pattern| pattern.contains('*') && covers(pattern, name))
    }

    /// A problem with a suggestion when there is no such group.
    fn must_have(&self, name: &str, at: &At<'_>, at_key: bool, scope: &mut Scope<'_>) {
        if self.has(name) {
            return;
        }
        // The names come from a set: without an order of their own, the suggestion would change between runs.
        let mut known: Vec<&str> =
            self.names.iter().map(String::as_str).chain(self.aliases.iter().copied()).collect();
        known.sort_unstable();
        let near = nearest(name, known.into_iter());
        let message = format!("no model group is called `{name}`");
        let said = if at_key { scope.error_at_key(at, message) } else { scope.error(at, message) };
        said.help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a `model_name` of `model_list`".to_owned(),
        });
    }
}

fn fallbacks(groups: &Groups<'_>, at: &At<'_>, scope: &mut Scope<'_>) {
    let Kind::List(items) = &at.node.kind else { return };
    for (index, node) in items.iter().enumerate() {
        let item = at.item(index, node);
        let Kind::Map(entries) = &node.kind else { continue };
        for entry in entries {
            let to = item.entry(entry);
            if entry.key != "*" {
                groups.must_have(&entry.key, &to, true, scope);
            }
            targets(groups, &to, scope);
            if let Kind::List(targets) = &to.node.kind
                && let Some((i, own)) = targets.iter().enumerate().find(|(_, n)| says(n, &entry.key))
            {
                scope
                    .warning(&to.item(i, own), format!("`{}` falls back to itself", entry.key))
                    .help("retries are set by `num_retries`");
            }
        }
    }
}

fn says(node: &Node, text: &str) -> bool {
    matches!(&node.kind, Kind::Text(own) if own == text)
}

fn targets(groups: &Groups<'_>, at: &At<'_>, scope: &mut Scope<'_>) {
    let Kind::List(items) = &at.node.kind else { return };
    for (index, node) in items.iter().enumerate() {
        let item = at.item(index, node);
        if let Kind::Text(name) = &node.kind
            && !name.starts_with("os.environ/")
        {
            groups.must_have(name, &item, false, scope);
        }
    }
}

fn aliases(config: &Config, groups: &Groups<'_>, at: &At<'_>, scope: &mut Scope<'_>) {
    let by_name: HashMap<&str, &str> =
        config.router.aliases.iter().map(|alias| (alias.name.as_str(), alias.group.as_str())).collect();
    for alias in &config.router.aliases {
        let Some(entry) = at.node.get(&alias.name) else { continue };
        let value = at.entry(entry);
        let target = match value.node.get("model") {
            Some(model) => value.entry(model),
            None => value.clone(),
        };
        if groups.names.contains(&alias.name) {
            scope
                .warning_at_key(&value, format!("`{}` is a model group too: the alias hides it", alias.name))
                .help("rename one of the two");
        }
        let mut seen = vec![alias.name.as_str()];
        let mut next = alias.group.as_str();
        while !seen.contains(&next)
            && !groups.names.contains(next)
            && let Some(after) = by_name.get(next)
        {
            seen.push(next);
            next = after;
        }
        if seen.contains(&next) {
            // A circle is one problem, however many aliases are in it.
            if next == alias.name && seen.iter().any(|other| *other < next) {
                continue;
            }
            seen.push(next);
            scope
                .error(&target, format!("the aliases lead in a circle: {}", seen.join(" → ")))
                .help("let one of them name a `model_name` of `model_list`");
        } else {
            groups.must_have(next, &target, false, scope);
        }
    }
}

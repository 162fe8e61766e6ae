//! What a sound configuration probably does not mean: tags that lead nowhere, deployments nobody reaches,
//! fallbacks that refuse. Every question about routing is put to the real decision.

use std::collections::BTreeMap;

use super::groups::{self, Group};
use super::model::{Config, Tier};
use super::scope::{At, Scope};
use super::tags::TagKind;
use super::yaml::{Kind, Node};
use super::{lint_names, lint_prices};
use crate::tag::{Members, name};

/// A tag no configuration carries: what a request with an unknown tag gets.
const UNHEARD_OF: &str = "\u{1}unheard-of";

/// Everything a lint looks at.
struct Lints<'c> {
    config: &'c Config,
    groups: Vec<Group<'c>>,
    /// The entries of `model_list`, by place.
    entries: Vec<At<'c>>,
}

/// Reports everything worth a second look. `tree` is what `config` was read from, without errors.
pub(super) fn run(config: &Config, tree: &Node, scope: &mut Scope<'_>) {
    let root = At::root(tree);
    let list = tree.get("model_list").map(|entry| root.entry(entry));
    let entries: Vec<At<'_>> = match list.as_ref().map(|at| (at, &at.node.kind)) {
        Some((at, Kind::List(items))) => items.iter().enumerate().map(|(i, node)| at.item(i, node)).collect(),
        _ => Vec::new(),
    };
    if entries.is_empty() {
        scope
            .report
            .warning(
                super::yaml::Mark::default(),
                "model_list",
                "no deployment: every request will be refused",
            )
            .help("add entries to `model_list`");
    }
    let lints = Lints { config, groups: groups::of(config), entries };
    for group in &lints.groups {
        lints.switches(group, scope);
        if group.filters(config) {
            lints.unreached(group, scope);
            lints.no_default(group, scope);
        } else {
            lints.without_effect(group, scope);
        }
    }
    lints.patterns(scope);
    lints.declarations(&root, scope);
    lints.fallbacks(&root, scope);
    lint_names::run(&lints.carried(), scope);
    lint_prices::run(config, &lints.entries, scope);
}

impl<'c> Lints<'c> {
    /// Where a key of a deployment's entry stands; the entry itself when it has none.
    fn at(&self, place: usize, section: &str, key: &str) -> Option<At<'c>> {
        let entry = self.entries.get(place)?;
        let found = entry.node.get(section).map(|found| entry.entry(found)).and_then(|section| {
            let found = section.node.get(key)?;
            Some(section.entry(found))
        });
        Some(found.unwrap_or_else(|| entry.clone()))
    }

    /// Every tag of a deployment or declaration, and where it stands first.
    fn carried(&self) -> BTreeMap<&'c str, At<'c>> {
        let mut carried = BTreeMap::new();
        for (place, deployment) in self.config.deployments.iter().enumerate() {
            let Some(at) = self.at(place, "litellm_params", "tags") else { continue };
            for (index, node) in list(at.node).iter().enumerate() {
                let item = at.item(index, node);
                let text = match &node.kind {
                    Kind::Text(text) => deployment.tags.iter().find(|tag| *tag == text),
                    _ => None,
                };
                if let Some(tag) = text {
                    carried.entry(tag.as_str()).or_insert(item);
                }
            }
        }
        carried
    }

    /// The first switch of a group decides for all of it.
    fn switches(&self, group: &Group<'_>, scope: &mut Scope<'_>) {
        let switch = |place: &usize| {
            self.config.deployments.get(*place).and_then(|d| Some((*place, d.info.enable_tag_filtering?)))
        };
        let mut switches = group.members.iter().filter_map(switch);
        let Some((_, first)) = switches.next() else { return };
        if let Some((place, _)) = switches.find(|(_, on)| *on != first)
            && let Some(at) = self.at(place, "model_info", "enable_tag_filtering")
        {
            let message = format!("without effect: the first entry of `{}` says {first}", group.name);
            scope.warning(&at, message).help("set it on one entry of the group, or the same on all");
        }
    }

    /// Tags in a group that does not look at them.
    fn without_effect(&self, group: &Group<'_>, scope: &mut Scope<'_>) {
        let tagged = |place: &&usize| {
            self.config
                .deployments
                .get(**place)
                .is_some_and(|d| !d.tags.is_empty() || !d.tag_regex.is_empty())
        };
        let Some(at) = group.members.iter().find(tagged).and_then(|&place| {
            let key = if self.config.deployments.get(place)?.tags.is_empty() { "tag_regex" } else { "tags" };
            self.at(place, "litellm_params", key)
        }) else {
            return;
        };
        scope
            .warning_at_key(&at, format!("without effect: tag filtering is off for `{}`", group.name))
            .help("set `enable_tag_filtering: true` under `router_settings`");
    }

    /// Deployments that are no candidate for any tag, any pair of their own, or none.
    fn unreached(&self, group: &Group<'_>, scope: &mut Scope<'_>) {
        let tiers = [None, Some(Tier::Free), Some(Tier::Paid)];
        let mut reached = Members::none(group.members.len());
        let mut ask = |tags: &[&str]| {
            for tier in tiers {
                if let Some(found) = group.serves(tags, tier) {
                    reached.add(found.candidates.words());
                }
            }
        };
        ask(&[]);
        ask(&[UNHEARD_OF]);
        group.tags.iter().for_each(|tag| ask(&[tag]));
        for place in &group.members {
            let Some(deployment) = self.config.deployments.get(*place) else { continue };
            if deployment.tags.len() > 1 {
                ask(&deployment.tags.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        for (within, &place) in group.members.iter().enumerate() {
            let Some(deployment) = self.config.deployments.get(place) else { continue };
            if reached.contains(within) || !deployment.tag_regex.is_empty() {
                continue;
            }
            let Some(at) = self.at(place, "litellm_params", "tags") else { continue };
            let (why, help) = if deployment.tags.is_empty() {
                ("it has no tags, and untagged requests go to `default`", "tag it")
            } else {
                ("none of its tags leads to it", "check its tags, and how `tags:` declares them")
            };
            scope.warning_at_key(&at, format!("no request reaches this deployment: {why}")).help(help);
        }
    }

    /// Groups that refuse a tag they do not know.
    fn no_default(&self, group: &Group<'_>, scope: &mut Scope<'_>) {
        if self.config.router.tags.unknown != crate::tag::UnknownTags::Route
            || group.serves(&[UNHEARD_OF], None).is_some()
        {
            return;
        }
        let Some(entry) = group.members.first().and_then(|place| self.entries.get(*place)) else { return };
        let at = entry.node.get("model_name").map_or_else(|| entry.clone(), |name| entry.entry(name));
        scope
            .warning(
                &at,
                format!("requests for `{}` with a tag that it does not carry end in an error", group.name),
            )
            .help("tag one deployment `default`, or set `model_info.allow_fail_open: true` on one");
    }

    /// Patterns that cannot match what they are searched in.
    fn patterns(&self, scope: &mut Scope<'_>) {
        for (place, deployment) in self.config.deployments.iter().enumerate() {
            if deployment.tag_regex.is_empty() {
                continue;
            }
            let Some(at) = self.at(place, "litellm_params", "tag_regex") else { continue };
            for (index, node) in list(at.node).iter().enumerate() {
                let Some(pattern) = deployment.tag_regex.get(index) else { continue };
                if !lint_names::can_match_user_agent(pattern) {
                    let help = match pattern.strip_prefix('^') {
                        Some(rest) => format!("write `^User-Agent: {rest}`"),
                        None => "it is searched in the text `User-Agent: <value>`".to_owned(),
                    };
                    let message = "this pattern never matches: the text begins with `User-Agent: `";
                    scope.warning(&at.item(index, node), message).help(help);
                }
            }
        }
    }

    /// Declared tags that contradict what deployments carry.
    fn declarations(&self, root: &At<'c>, scope: &mut Scope<'_>) {
        let Some(at) = root.node.get("tags").map(|entry| root.entry(entry)) else { return };
        let carried = self.carried();
        for (index, node) in list(at.node).iter().enumerate() {
            let Some(declared) = self.config.tags.get(index) else { continue };
            let item = at.item(index, node);
            let on = carried.keys().find(|tag| name::covers(&declared.name, tag));
            match (declared.kind, on) {
                (TagKind::Routing, None) => {
                    scope
                        .warning(&item, format!("no deployment carries the routing tag `{}`", declared.name))
                        .help("put it on a deployment, or declare it `kind: attribution`");
                }
                (TagKind::Attribution, Some(tag)) => {
                    scope
                        .warning(&item, format!("a deployment carries `{tag}`, which never routes by this"))
                        .help("declare it `kind: both`, or take it off the deployment");
                }
                _ => {}
            }
        }
    }

    /// Fallbacks whose group refuses tags that the group they back serves.
    fn fallbacks(&self, root: &At<'c>, scope: &mut Scope<'_>) {
        for section in ["router_settings", "litellm_settings"] {
            let Some(section) = root.node.get(section).map(|entry| root.entry(entry)) else { continue };
            for key in ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"] {
                let Some(at) = section.node.get(key).map(|entry| section.entry(entry)) else { continue };
                for (index, node) in list(at.node).iter().enumerate() {
                    let item = at.item(index, node);
                    for entry in scope.entries(&item) {
                        let to = item.entry(entry);
                        for (i, target) in list(to.node).iter().enumerate() {
                            self.fallback(&entry.key, &to.item(i, target), scope);
                        }
                    }
                }
            }
        }
    }

    fn fallback(&self, from: &str, to: &At<'_>, scope: &mut Scope<'_>) {
        let Kind::Text(target) = &to.node.kind else { return };
        let (Some(from), Some(target)) = (self.group(from), self.group(target)) else { return };
        if !target.filters(self.config) {
            return;
        }
        let refused: Vec<String> = from
            .tags
            .iter()
            .filter(|tag| **tag != "default")
            .filter(|tag| from.serves(&[tag], None).is_some() && target.serves(&[tag], None).is_none())
            .map(|tag| format!("`{tag}`"))
            .collect();
        if !refused.is_empty() {
            let message = format!(
                "`{}` refuses requests tagged {}, which `{}` serves",
                target.name,
                refused.join(", "),
                from.name
            );
            scope.warning(to, message).help("a fallback keeps the tags of the request: carry them there too");
        }
    }

    /// The group a name stands for, through aliases.
    fn group<'n>(&'n self, mut name: &'n str) -> Option<&'n Group<'c>> {
        // Aliases lead in no circle here: that is an error.
        for _ in 0..=self.config.router.aliases.len() {
            match self.config.router.aliases.iter().find(|alias| alias.name == name) {
                Some(alias) => name = &alias.group,
                None => break,
            }
        }
        self.groups.iter().find(|group| group.name == name)
    }
}

fn list(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        _ => &[],
    }
}

//! `routing_strategy`, `routing_strategy_args` and `routing_groups`: which strategy chooses in which model group. The
//! name and its arguments are read together, since one says what the others may be.

use std::collections::HashSet;
use std::time::Duration;

use super::model::RoutingGroup;
use super::scope::{At, Scope, nearest, quoted};
use super::yaml::{Kind, Node};
use crate::strategy::{By, Latency, MOST_SAMPLES, Strategy};

/// Every strategy, and its arguments.
const KNOWN: [(&str, &[&str]); 8] = [
    ("simple-shuffle", &[]),
    ("least-busy", &[]),
    ("latency-based-routing", &["ttl", "lowest_latency_buffer", "max_latency_list_size", "ttft_percentile"]),
    ("cost-based-routing", &[]),
    ("usage-based-routing", &["ttl"]),
    ("usage-based-routing-v2", &["ttl"]),
    ("power-of-two", &[]),
    ("sticky", &["by"]),
];

/// Strategies of LiteLLM that are not here, and what to do.
const OTHERS: [(&str, &str); 3] = [
    ("provider-budget-routing", "budgets of providers hold with any strategy: use `simple-shuffle`"),
    ("lar1", "use one of the others"),
    ("priority", "give `order` in each `litellm_params`: the lowest serves first"),
];

const HELP_BY: &str = "write `by: user`, `key`, `session`, `header:<name>` or `tag:<prefix>`";

/// What a section says of its strategy: `router_settings`, or one of the `routing_groups`.
pub(super) fn read(section: &At<'_>, scope: &mut Scope<'_>) -> Option<Strategy> {
    let part = |name: &str| {
        let at = section.node.get(name).map(|entry| section.entry(entry));
        at.filter(|at| !matches!(at.node.kind, Kind::Null))
    };
    let args = part("routing_strategy_args");
    let named = part("routing_strategy");
    let name = match &named {
        None => KNOWN[0].0,
        Some(at) => name(at, scope)?,
    };
    let own = KNOWN.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, args)| args);
    if let Some(args) = &args {
        known_only(args, name, own, scope);
    }
    let arg = |name: &str| {
        let at = args.as_ref().and_then(|args| args.node.get(name).map(|entry| args.entry(entry)));
        at.filter(|at| own.contains(&name) && !matches!(at.node.kind, Kind::Null))
    };
    let strategy = match name {
        "least-busy" => Strategy::LeastBusy,
        "latency-based-routing" => Strategy::Fastest(latency(arg, scope)),
        "cost-based-routing" => Strategy::Cheapest,
        "usage-based-routing" => Strategy::LeastUsed { v2: false },
        "usage-based-routing-v2" => Strategy::LeastUsed { v2: true },
        "power-of-two" => Strategy::PowerOfTwo,
        "sticky" => Strategy::Sticky(by(arg("by").as_ref(), named.as_ref().unwrap_or(section), scope)?),
        _ => Strategy::Shuffle,
    };
    if let Some(ttl) = arg("ttl").filter(|_| matches!(strategy, Strategy::LeastUsed { .. })) {
        scope.report.ignored(&ttl.path);
    }
    named.map(|_| strategy)
}

fn name(at: &At<'_>, scope: &mut Scope<'_>) -> Option<&'static str> {
    let text = scope.text(at)?;
    if let Some((known, _)) = KNOWN.iter().find(|(known, _)| *known == text) {
        return Some(known);
    }
    if let Some((other, instead)) = OTHERS.iter().find(|(other, _)| *other == text) {
        scope.error(at, format!("the strategy `{other}` is not supported")).help(*instead);
        return None;
    }
    let near = nearest(&text, KNOWN.iter().map(|(known, _)| *known));
    let all: Vec<String> = KNOWN.iter().map(|(known, _)| format!("`{known}`")).collect();
    scope.error(at, format!("unknown strategy {}", at.shown())).help(match near {
        Some(near) => format!("did you mean `{near}`? There are {}", all.join(", ")),
        None => format!("there are {}", all.join(", ")),
    });
    None
}

/// What is no argument of any strategy is a mistake; what is one of another strategy does nothing, as in LiteLLM.
fn known_only(args: &At<'_>, name: &str, own: &[&str], scope: &mut Scope<'_>) {
    let listed = |args: &[&str]| match args {
        [] => format!("`{name}` takes no arguments"),
        args => {
            let args: Vec<String> = args.iter().map(|arg| format!("`{arg}`")).collect();
            format!("`{name}` takes {}", args.join(", "))
        }
    };
    for entry in scope.entries(args) {
        let at = args.entry(entry);
        if own.contains(&entry.key.as_str()) {
            continue;
        }
        let owner = KNOWN.iter().find(|(_, args)| args.contains(&entry.key.as_str()));
        if let Some((owner, _)) = owner {
            scope
                .warning_at_key(&at, format!("an argument of `{owner}` that `{name}` does not have"))
                .help(listed(own));
            continue;
        }
        let near = nearest(&entry.key, own.iter().copied());
        let said = scope.error_at_key(&at, "unknown argument");
        said.help(match near {
            Some(near) => format!("did you mean `{near}`? {}", listed(own)),
            None => listed(own),
        });
    }
}

fn latency<'n>(arg: impl Fn(&str) -> Option<At<'n>>, scope: &mut Scope<'_>) -> Latency {
    let default = Latency::default();
    let ttl = arg("ttl").and_then(|at| scope.seconds(&at, false)).unwrap_or(default.ttl);
    let buffer = arg("lowest_latency_buffer").and_then(|at| scope.number(&at, 0.0)).unwrap_or(default.buffer);
    let most = i64::try_from(MOST_SAMPLES).unwrap_or(i64::MAX);
    let samples = arg("max_latency_list_size").and_then(|at| scope.whole(&at, 1, most));
    let samples = samples.and_then(|count| usize::try_from(count).ok()).unwrap_or(default.samples);
    let percentile = arg("ttft_percentile").and_then(|at| {
        let share = scope.number(&at, 0.0)?;
        if share <= 0.0 || 1.0 < share {
            scope
                .error(&at, format!("must be more than 0 and at most 1, not {}", at.shown()))
                .help("the median is 0.5");
            return None;
        }
        Some(share)
    });
    Latency { ttl: ttl.max(Duration::from_millis(1)), buffer, samples, percentile }
}

fn by(at: Option<&At<'_>>, named: &At<'_>, scope: &mut Scope<'_>) -> Option<By> {
    let Some(at) = at else {
        scope
            .error(named, "`sticky` must be told what requests have in common")
            .help(format!("{HELP_BY} under `routing_strategy_args`"));
        return None;
    };
    let by = By::parse(&scope.text(at)?);
    if by.is_none() {
        scope.error(at, format!("{} is nothing to go by", at.shown())).help(HELP_BY);
    }
    by
}

/// `routing_groups`: model groups with a strategy of their own.
pub(super) fn groups(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<RoutingGroup> {
    const KEYS: [&str; 4] = ["group_name", "models", "routing_strategy", "routing_strategy_args"];
    let mut all: Vec<RoutingGroup> = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        for entry in scope.entries(&item) {
            let key = item.entry(entry);
            if !KEYS.contains(&entry.key.as_str()) {
                let near = nearest(&entry.key, KEYS.into_iter());
                let said = scope.error_at_key(&key, "unknown key of a routing group");
                if let Some(near) = near {
                    said.help(format!("did you mean `{near}`?"));
                }
            }
        }
        let mut part = |name: &str| {
            let at = item.node.get(name).map(|entry| item.entry(entry));
            let at = at.filter(|at| !matches!(at.node.kind, Kind::Null));
            if at.is_none() && matches!(item.node.kind, Kind::Map(_)) {
                scope.error(&item, format!("`{name}` is missing"));
            }
            at
        };
        let parts = (part("group_name"), part("models"), part("routing_strategy"));
        let (Some(name), Some(models), Some(_)) = parts else { continue };
        let strategy = read(&item, scope);
        let Some(group) = scope.text(&name) else { continue };
        if group.is_empty() || group == "default" {
            scope.error(&name, format!("{} is no name of a routing group", quoted(&group)));
        } else if all.iter().any(|other| other.name == group) {
            scope.error(&name, format!("there is another routing group called {}", name.shown()));
        }
        let models = scope.texts(&models);
        if let Some(strategy) = strategy {
            all.push(RoutingGroup { name: group, models, strategy });
        }
    }
    all
}

/// What routing groups say of model groups.
pub(super) fn check(
    groups: &[RoutingGroup],
    names: &HashSet<String>,
    section: &At<'_>,
    scope: &mut Scope<'_>,
) {
    let Some(entry) = section.node.get("routing_groups") else { return };
    let at = section.entry(entry);
    let Kind::List(items) = &at.node.kind else { return };
    let mut known: Vec<&str> = names.iter().map(String::as_str).collect();
    known.sort_unstable();
    let mut taken: Vec<(&str, &str)> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = at.item(index, node);
        let Some(group) = groups.iter().find(|group| is_called(node, &group.name)) else { continue };
        let Some(models) = node.get("models").map(|entry| item.entry(entry)) else { continue };
        for model in &group.models {
            if let Some((_, other)) = taken.iter().find(|(taken, _)| taken == model) {
                scope
                    .error(&models, format!("`{model}` is in the routing group `{other}`, too"))
                    .help("a model group has one strategy");
            } else if !names.contains(model) {
                let said = scope.warning(&models, format!("no model group is called `{model}`"));
                if let Some(near) = nearest(model, known.iter().copied()) {
                    said.help(format!("did you mean `{near}`?"));
                }
            }
            taken.push((model, &group.name));
        }
    }
}

fn is_called(node: &Node, name: &str) -> bool {
    let own = node.get("group_name").map(|entry| &entry.value.kind);
    matches!(own, Some(Kind::Text(text)) if text == name)
}

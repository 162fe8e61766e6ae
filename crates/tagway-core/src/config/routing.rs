//! `router_settings`, and the settings of `litellm_settings` that LiteLLM hands to its router.

use std::time::Duration;

use super::budgets;
use super::model::{Alias, Budget, Router, RoutingGroup, Valkey};
use super::resilience::{self, Failures};
use super::scope::{At, Rule, Scope, Table, nearest, strict};
use super::strategy;
use super::valkey;
use super::yaml::Kind;
use crate::strategy::Strategy;
use crate::tag::{InheritedTags, UnknownTags};

/// `router_settings` as far as read: what is not set may be so elsewhere.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) tags: crate::tag::Settings,
    pub(super) tag_error_status: Option<u16>,
    pub(super) num_retries: Option<u32>,
    pub(super) retry_after: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) stream_timeout: Option<Duration>,
    pub(super) allowed_fails: Option<u32>,
    pub(super) failures: Failures,
    pub(super) cooldown_time: Option<Duration>,
    pub(super) disable_cooldowns: bool,
    pub(super) fallbacks: Option<Vec<(String, Vec<String>)>>,
    pub(super) default_fallbacks: Option<Vec<String>>,
    pub(super) context_window_fallbacks: Option<Vec<(String, Vec<String>)>>,
    pub(super) content_policy_fallbacks: Option<Vec<(String, Vec<String>)>>,
    pub(super) max_fallbacks: Option<u32>,
    pub(super) aliases: Vec<Alias>,
    pub(super) enforce_rates: bool,
    pub(super) check_context_windows: bool,
    pub(super) default_max_parallel_requests: Option<u64>,
    pub(super) provider_budgets: Vec<(String, Budget)>,
    pub(super) strategy: Option<Strategy>,
    pub(super) routing_groups: Vec<RoutingGroup>,
    pub(super) valkey: valkey::Draft,
}

pub(super) const ROUTER: Table<Draft> = &[
    ("enable_tag_filtering", Rule::Works(|r, at, s| set(&mut r.tags.enable_tag_filtering, s.bool(at)))),
    ("tag_filtering_match_any", Rule::Works(|r, at, s| set(&mut r.tags.match_any, s.bool(at)))),
    ("tag_routing_prefix", Rule::Works(|r, at, s| set(&mut r.tags.prefix, s.text(at)))),
    (
        "inherited_tags",
        Rule::Works(|r, at, s| {
            let words = [("enforce", InheritedTags::Enforce), ("merge", InheritedTags::Merge)];
            set(&mut r.tags.inherited, s.word(at, &words));
        }),
    ),
    (
        "unknown_tags",
        Rule::Works(|r, at, s| {
            set(&mut r.tags.unknown, s.word(at, &UnknownTags::WORDS));
        }),
    ),
    ("tag_hierarchy", Rule::Works(|r, at, s| set(&mut r.tags.hierarchy, s.bool(at)))),
    ("tag_error_status", Rule::Works(tag_error_status)),
    // Read together, by [`read`].
    ("routing_strategy", Rule::Works(|_, _, _| {})),
    ("routing_strategy_args", Rule::Works(|_, _, _| {})),
    ("routing_groups", Rule::Works(|r, at, s| r.routing_groups = strategy::groups(at, s))),
    ("num_retries", Rule::Works(|r, at, s| r.num_retries = s.count(at))),
    ("retry_after", Rule::Works(|r, at, s| r.retry_after = s.seconds(at, true))),
    ("timeout", Rule::Works(|r, at, s| r.timeout = s.seconds(at, false))),
    ("stream_timeout", Rule::Works(|r, at, s| r.stream_timeout = s.seconds(at, false))),
    ("allowed_fails", Rule::Works(|r, at, s| r.allowed_fails = s.count(at))),
    ("cooldown_time", Rule::Works(|r, at, s| r.cooldown_time = s.seconds(at, true))),
    ("disable_cooldowns", Rule::Works(|r, at, s| set(&mut r.disable_cooldowns, s.bool(at)))),
    ("fallbacks", Rule::Works(|r, at, s| r.fallbacks = Some(fallbacks(at, s)))),
    ("default_fallbacks", Rule::Works(|r, at, s| r.default_fallbacks = Some(s.texts(at)))),
    ("context_window_fallbacks", Rule::Works(|r, at, s| r.context_window_fallbacks = Some(fallbacks(at, s)))),
    ("content_policy_fallbacks", Rule::Works(|r, at, s| r.content_policy_fallbacks = Some(fallbacks(at, s)))),
    ("max_fallbacks", Rule::Works(|r, at, s| r.max_fallbacks = s.count(at))),
    ("model_group_alias", Rule::Works(|r, at, s| r.aliases = aliases(at, s))),
    ("provider_budget_config", Rule::Works(provider_budgets)),
    ("default_max_parallel_requests", Rule::Works(|r, at, s| r.default_max_parallel_requests = s.places(at))),
    ("guardrail_list", Rule::Refused("remove it only if requests may pass without these checks")),
    ("plugins", Rule::Refused("remove it only if requests may pass without these plugins")),
    ("retry_policy", Rule::Works(|r, at, s| r.failures.retries = resilience::retries(at, s))),
    (
        "model_group_retry_policy",
        Rule::Works(|r, at, s| r.failures.group_retries = resilience::retries_by_group(at, s)),
    ),
    ("retry_budget", Rule::Works(|r, at, s| resilience::budget(&mut r.failures, at, s))),
    (
        "allowed_fails_policy",
        Rule::Works(|r, at, s| r.failures.allowed.by_fault = resilience::allowed(at, s)),
    ),
    ("outlier_ejection", Rule::Works(|r, at, s| resilience::outliers(&mut r.failures, at, s))),
    ("enable_pre_call_checks", Rule::Works(checks)),
    ("optional_pre_call_checks", Rule::Works(optional_checks)),
    ("enable_weighted_failover", Rule::Missed("retries ask the strategy again among what is left")),
    ("default_litellm_params", Rule::Missed("give the parameters in each `litellm_params`")),
    (
        "default_priority",
        Rule::Missed("requests get their priority by their tags: give `priority` to entries of `tags`"),
    ),
    ("max_retries", Rule::Missed("use `num_retries`")),
    ("weights", Rule::Missed("give `weight` in each `litellm_params`")),
    ("redis_url", Rule::Works(|r, at, s| valkey::url(&mut r.valkey, at, s))),
    ("redis_host", Rule::Works(|r, at, s| valkey::host(&mut r.valkey, at, s))),
    ("redis_port", Rule::Works(|r, at, s| valkey::port(&mut r.valkey, at, s))),
    ("redis_password", Rule::Works(|r, at, s| valkey::password(&mut r.valkey, at, s))),
    ("redis_username", Rule::Works(|r, at, s| valkey::username(&mut r.valkey, at, s))),
    ("redis_ssl", Rule::Works(|r, at, s| valkey::tls(&mut r.valkey, at, s))),
    ("redis_db", Rule::Works(|r, at, s| valkey::db(&mut r.valkey, at, s))),
    ("redis_startup_nodes", Rule::Works(|r, at, s| valkey::nodes(&mut r.valkey, at, s))),
    ("redis_ssl_ca_certs", Rule::Works(|r, at, s| valkey::ca_certs(&mut r.valkey, at, s))),
    ("cache_kwargs", Rule::Works(|r, at, s| valkey::redis(&mut r.valkey, at, s))),
    ("cache_responses", Rule::Ignored),
    ("caching_groups", Rule::Ignored),
    ("client_ttl", Rule::Ignored),
    ("polling_interval", Rule::Ignored),
    ("set_verbose", Rule::Ignored),
    ("debug_level", Rule::Ignored),
    ("alerting_config", Rule::Ignored),
    ("router_general_settings", Rule::Ignored),
    ("deployment_affinity_ttl_seconds", Rule::Ignored),
    ("model_group_affinity_config", Rule::Ignored),
    ("ignore_invalid_deployments", Rule::Ignored),
    ("enable_health_check_routing", Rule::Missed("give it under `general_settings`")),
    ("health_check_staleness_threshold", Rule::Missed("give it under `general_settings`")),
    ("health_check_ignore_transient_errors", Rule::Missed("give it under `general_settings`")),
    ("background_health_check_model_groups", Rule::Missed("give it under `general_settings`")),
    ("assistants_config", Rule::Ignored),
    ("search_tools", Rule::Ignored),
    ("auto_router_capability_limit", Rule::Ignored),
];

/// Reads the section.
pub(super) fn read(router: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    scope.walk(at, ROUTER, router, strict);
    if let Kind::Map(_) = at.node.kind {
        router.strategy = strategy::read(at, scope);
    }
}

fn provider_budgets(router: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let known = || crate::dialect::Provider::all().map(|provider| provider.name);
    for entry in scope.entries(at) {
        if !known().any(|name| name == entry.key) {
            let said = scope.error(&at.entry(entry), format!("unknown provider `{}`", entry.key));
            if let Some(near) = nearest(&entry.key, known()) {
                said.help(format!("did you mean `{near}`?"));
            }
        }
    }
    router.provider_budgets = budgets::by_name(at, scope);
}

fn checks(router: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    if scope.bool(at) == Some(true) {
        router.enforce_rates = true;
        router.check_context_windows = true;
    }
}

/// Checks before a call. Budgets of deployments and providers hold without being asked for.
fn optional_checks(router: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    const ENFORCED: &str = "enforce_model_rate_limits";
    const ALWAYS: &str = "router_budget_limiting";
    const LATER: [&str; 6] = [
        "prompt_caching",
        "responses_api_deployment_check",
        "deployment_affinity",
        "session_affinity",
        "forward_client_headers_by_model_group",
        "encrypted_content_affinity",
    ];
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let Some(name) = scope.text(&item) else { continue };
        if name == ENFORCED {
            router.enforce_rates = true;
        } else if LATER.contains(&name.as_str()) {
            scope
                .warning(&item, format!("`{name}` is not supported yet and ignored"))
                .help("the strategy `sticky` keeps a session at one of the deployments that its tags allow");
        } else if name != ALWAYS {
            let near = nearest(&name, LATER.into_iter().chain([ENFORCED, ALWAYS]));
            let said = scope.error(&item, format!("unknown check {}", item.shown()));
            if let Some(near) = near {
                said.help(format!("did you mean `{near}`?"));
            }
        }
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn tag_error_status(router: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    match scope.whole(at, 0, i64::MAX) {
        Some(401) => router.tag_error_status = Some(401),
        Some(403) => router.tag_error_status = Some(403),
        Some(_) => {
            scope.error(at, format!("must be 401 or 403, not {}", at.shown()));
        }
        None => {}
    }
}

/// `[{group: [other, …]}, …]`.
pub(super) fn fallbacks(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    if let Kind::Map(entries) = &at.node.kind {
        let first = entries.first().map_or("group", |entry| entry.key.as_str());
        scope
            .error(at, "must be a list of maps, not a map")
            .help(format!("put a dash before each group: `- {first}: [...]`"));
        return all;
    }
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        for entry in scope.entries(&item) {
            let to = item.entry(entry);
            if let Kind::List(items) = &to.node.kind
                && let Some((i, map)) = items.iter().enumerate().find(|(_, n)| matches!(n.kind, Kind::Map(_)))
            {
                scope
                    .error(&to.item(i, map), "a fallback with parameters of its own is not supported yet")
                    .help("name a model group, and give it these parameters in `litellm_params`");
                continue;
            }
            all.push((entry.key.clone(), scope.texts(&to)));
        }
    }
    all
}

#[derive(Default)]
struct AliasDraft {
    model: Option<String>,
    hidden: bool,
}

const ALIAS: Table<AliasDraft> = &[
    ("model", Rule::Works(|alias, at, scope| alias.model = scope.text(at))),
    ("hidden", Rule::Works(|alias, at, scope| alias.hidden = scope.bool(at).unwrap_or(false))),
];

/// `{name: group}` or `{name: {model: group, hidden: true}}`.
fn aliases(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Alias> {
    let mut aliases = Vec::new();
    for entry in scope.entries(at) {
        let value = at.entry(entry);
        let mut draft = AliasDraft::default();
        if let Kind::Map(_) = value.node.kind {
            scope.walk(&value, ALIAS, &mut draft, strict);
            if value.node.get("model").is_none() {
                scope.error(&value, "`model` is missing").help("name the model group: `model: <group>`");
            }
        } else {
            draft.model = scope.text(&value);
        }
        if let Some(group) = draft.model {
            aliases.push(Alias { name: entry.key.clone(), group, hidden: draft.hidden });
        }
    }
    aliases
}

/// `router_settings` where it says something, else `litellm_settings`, else LiteLLM's defaults. Where Valkey is may be
/// said elsewhere, too.
pub(super) fn settle(own: Draft, proxy: Draft, valkey: Option<Valkey>) -> Router {
    Router {
        tags: own.tags,
        tag_error_status: own.tag_error_status.unwrap_or(401),
        num_retries: own.num_retries.or(proxy.num_retries).unwrap_or(2),
        retry_after: own.retry_after.unwrap_or_default(),
        timeout: own.timeout.or(proxy.timeout).unwrap_or(Duration::from_secs(6000)),
        stream_timeout: own.stream_timeout,
        failures: own.failures.with_allowed(own.allowed_fails.or(proxy.allowed_fails)),
        cooldown_time: own.cooldown_time.unwrap_or(Duration::from_secs(5)),
        disable_cooldowns: own.disable_cooldowns,
        fallbacks: own.fallbacks.or(proxy.fallbacks).unwrap_or_default(),
        default_fallbacks: own.default_fallbacks.or(proxy.default_fallbacks).unwrap_or_default(),
        context_window_fallbacks: own
            .context_window_fallbacks
            .or(proxy.context_window_fallbacks)
            .unwrap_or_default(),
        content_policy_fallbacks: own
            .content_policy_fallbacks
            .or(proxy.content_policy_fallbacks)
            .unwrap_or_default(),
        max_fallbacks: own.max_fallbacks.or(proxy.max_fallbacks).unwrap_or(5),
        aliases: own.aliases,
        enforce_rates: own.enforce_rates,
        check_context_windows: own.check_context_windows,
        default_max_parallel_requests: own.default_max_parallel_requests,
        provider_budgets: own.provider_budgets,
        strategy: own.strategy.unwrap_or_default(),
        routing_groups: own.routing_groups,
        valkey,
    }
}

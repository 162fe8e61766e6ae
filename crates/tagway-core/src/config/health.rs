//! How deployments are checked for health: the settings for all of them, and those of one. Reads the settings; what is
//! asked of a provider, when, and what follows from its answer is not decided here.

use std::time::Duration;

use serde_json::{Map, Value};

use super::general::Draft as General;
use super::scope::{At, Scope};
use super::yaml::Mark;
use crate::dialect::{self, Provider};

/// LiteLLM's default.
const EVERY: Duration = Duration::from_secs(300);
/// A failed check counts for so many intervals when nothing is said, as in LiteLLM.
const STALE_AFTER: u32 = 2;
/// LiteLLM has no bound.
const AT_ONCE: usize = 16;
/// LiteLLM's default.
const PATIENCE: Duration = Duration::from_secs(60);
/// LiteLLM's default; some models take no less.
const TOKENS: u32 = 16;

/// How deployments are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthChecks {
    /// `background_health_checks` with a `health_check_interval` above 0: how often each deployment is called.
    pub every: Option<Duration>,
    /// `health_check_concurrency`: deployments called at a time.
    pub at_once: usize,
    /// `health_check_details`: whether `/health` says where and how a deployment is called.
    pub details: bool,
    /// `enable_health_check_routing`: a deployment whose check has failed serves only where no other may.
    pub routes: bool,
    /// `health_check_staleness_threshold`: a failed check counts for so long, unless a later one passes.
    pub stale_after: Duration,
    /// `health_check_ignore_transient_errors`: 429 and 408 keep no deployment from serving.
    pub ignore_transient: bool,
    /// `background_health_check_model_groups`: only these are checked in the background.
    pub groups: Option<Vec<String>>,
    /// `health_check_skip_disabled_background_models`: who is not checked in the background is not checked on demand.
    pub skip_disabled: bool,
    /// `HEALTH_CHECK_TIMEOUT_SECONDS`: how long a check may take that has no time of its own.
    pub patience: Duration,
    /// `BACKGROUND_HEALTH_CHECK_MAX_TOKENS`: how long an answer may be where nothing else is said.
    pub tokens: u32,
}

/// How one deployment is checked: `model_info.health_check_*`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HealthCheck {
    /// `disable_background_health_check`
    pub not_in_background: bool,
    /// `health_check_model`: as it is written, and as the provider knows it.
    pub model: Option<(String, String)>,
    /// `health_check_timeout`
    pub timeout: Option<Duration>,
    /// `health_check_max_tokens`
    pub tokens: Option<u32>,
    /// `health_check_supports_max_tokens`
    pub takes_tokens: Option<bool>,
    /// `health_check_reasoning_effort`
    pub effort: Option<Value>,
    /// `health_check_params`: more fields of the request.
    pub params: Map<String, Value>,
}

/// The settings for all, as far as read.
#[derive(Default)]
pub(super) struct Draft {
    background: bool,
    every: Option<Duration>,
    at_once: Option<usize>,
    no_details: bool,
    routes: Option<(Mark, String)>,
    stale_after: Option<Duration>,
    ignore_transient: bool,
    groups: Option<Vec<String>>,
    skip_disabled: bool,
}

impl Draft {
    pub(super) fn finish(self, scope: &mut Scope<'_>) -> HealthChecks {
        let every = self.every.unwrap_or(EVERY);
        let background = self.background && !every.is_zero();
        if let Some((mark, path)) = self.routes.as_ref().filter(|_| !background) {
            scope
                .report
                .warning(*mark, path, "without effect: no deployment is checked in the background")
                .help("set `background_health_checks: true`");
        }
        let variable = |name: &str| scope.env(name)?.trim().parse::<u32>().ok().filter(|number| 0 < *number);
        let patience =
            variable("HEALTH_CHECK_TIMEOUT_SECONDS").map(|seconds| Duration::from_secs(seconds.into()));
        HealthChecks {
            every: background.then_some(every),
            at_once: self.at_once.unwrap_or(AT_ONCE),
            details: !self.no_details,
            routes: self.routes.is_some() && background,
            stale_after: self.stale_after.unwrap_or(every.saturating_mul(STALE_AFTER)),
            ignore_transient: self.ignore_transient,
            groups: self.groups,
            skip_disabled: self.skip_disabled,
            patience: patience.unwrap_or(PATIENCE),
            tokens: variable("BACKGROUND_HEALTH_CHECK_MAX_TOKENS").unwrap_or(TOKENS),
        }
    }
}

pub(super) fn background(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    general.health.background = scope.bool(at).unwrap_or(false);
}

pub(super) fn every(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    general.health.every = scope.seconds(at, true);
}

pub(super) fn at_once(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    let most = scope.whole(at, 1, 10_000);
    general.health.at_once = most.and_then(|most| usize::try_from(most).ok());
}

pub(super) fn details(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    general.health.no_details = scope.bool(at) == Some(false);
}

pub(super) fn routes(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    if scope.bool(at) == Some(true) {
        general.health.routes = Some((at.key, at.path.clone()));
    }
}

pub(super) fn stale_after(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    general.health.stale_after = scope.seconds(at, false);
}

pub(super) fn ignore_transient(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    general.health.ignore_transient = scope.bool(at).unwrap_or(false);
}

pub(super) fn groups(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    general.health.groups = Some(scope.texts(at));
}

pub(super) fn skip_disabled(general: &mut General, at: &At<'_>, scope: &mut Scope<'_>) {
    general.health.skip_disabled = scope.bool(at).unwrap_or(false);
}

/// The settings of one deployment, as far as read.
#[derive(Default)]
pub(super) struct OfOne {
    /// `health_check_model`, as written.
    pub(super) model: Option<String>,
    pub(super) check: HealthCheck,
}

type Read = fn(&mut OfOne, &At<'_>, &mut Scope<'_>);

/// The fields of `model_info` that say how a deployment is checked.
pub(super) const OF_ONE: &[(&str, Read)] = &[
    ("disable_background_health_check", |one, at, scope| {
        one.check.not_in_background = scope.bool(at).unwrap_or(false)
    }),
    ("health_check_model", |one, at, scope| one.model = scope.text(at)),
    ("health_check_timeout", |one, at, scope| one.check.timeout = scope.seconds(at, false)),
    ("health_check_max_tokens", |one, at, scope| {
        let most = scope.whole(at, 1, i64::from(u32::MAX));
        one.check.tokens = most.and_then(|most| u32::try_from(most).ok());
    }),
    ("health_check_supports_max_tokens", |one, at, scope| one.check.takes_tokens = scope.bool(at)),
    ("health_check_reasoning_effort", |one, at, scope| one.check.effort = scope.json(at)),
    ("health_check_params", |one, at, scope| {
        for entry in scope.entries(at) {
            if let Some(value) = scope.json(&at.entry(entry)) {
                one.check.params.insert(entry.key.clone(), value);
            }
        }
    }),
    ("health_check_max_tokens_reasoning", |_, at, scope| by_kind(at, scope)),
    ("health_check_max_tokens_non_reasoning", |_, at, scope| by_kind(at, scope)),
];

fn by_kind(at: &At<'_>, scope: &mut Scope<'_>) {
    scope
        .warning_at_key(at, "which models reason is not known here: ignored")
        .help("give `health_check_max_tokens`");
}

/// Which model a deployment of `provider` is checked with: one of the same provider, since it is called at the same
/// place.
pub(super) fn model(
    written: String,
    provider: Provider,
    at: &At<'_>,
    scope: &mut Scope<'_>,
) -> Option<(String, String)> {
    let ours = provider.name;
    let prefix = written.split_once('/').map_or("", |(prefix, _)| prefix);
    if prefix != ours && Provider::named(prefix).is_some() {
        scope
            .error(at, format!("this deployment's provider is `{ours}`, not `{prefix}`"))
            .help(format!("write `{ours}/<model>`"));
        return None;
    }
    let upstream = dialect::resolve(&written, Some(ours))?.model;
    if upstream.trim().is_empty() || upstream.contains('*') {
        scope.error(at, "must name one model").help(format!("write `{ours}/<model>`"));
        return None;
    }
    Some((written, upstream))
}

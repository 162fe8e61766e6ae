//! What the configuration says of failures: retries by class, failures before a cooldown, the bound on retries, and
//! deployments that are much slower than others. Reads it; what follows is `fault.rs`'s.

use super::scope::{At, Scope, nearest};
use super::yaml::Kind;
use crate::fault::{AllowedFails, Fault, OutlierEjection, PerFault, RetryBudget};

/// What failures are followed by.
#[derive(Debug, Clone)]
pub struct Failures {
    /// `retry_policy`: how often a call is tried again, by class; it goes before `num_retries`.
    pub retries: PerFault,
    /// `model_group_retry_policy`: the same for one model group.
    pub group_retries: Vec<(String, PerFault)>,
    /// `retry_budget`; `None` when retries have no bound.
    pub retry_budget: Option<RetryBudget>,
    /// `allowed_fails` and `allowed_fails_policy`
    pub allowed: AllowedFails,
    /// `outlier_ejection`
    pub outliers: Option<OutlierEjection>,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            retries: PerFault::default(),
            group_retries: Vec::new(),
            retry_budget: Some(RetryBudget::default()),
            allowed: AllowedFails::default(),
            outliers: None,
        }
    }
}

impl Failures {
    pub(super) fn with_allowed(mut self, any: Option<u32>) -> Self {
        self.allowed.any = any;
        self
    }

    /// How often a call of this model group is tried again after such a failure, where a policy says so.
    pub fn retries_of(&self, group: &str, fault: Fault) -> Option<u32> {
        let own = self.group_retries.iter().find(|(name, _)| name == group);
        own.map_or(&self.retries, |(_, policy)| policy).of(fault)
    }
}

/// `retry_policy`: `{TimeoutErrorRetries: 1, DefaultRetries: 0}`.
pub(super) fn retries(at: &At<'_>, scope: &mut Scope<'_>) -> PerFault {
    per_fault(at, scope, "Retries")
}

/// `model_group_retry_policy`: such a policy by model group.
pub(super) fn retries_by_group(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<(String, PerFault)> {
    let mut all = Vec::new();
    for entry in scope.entries(at) {
        all.push((entry.key.clone(), retries(&at.entry(entry), scope)));
    }
    all
}

/// `allowed_fails_policy`: `{TimeoutErrorAllowedFails: 1}`.
pub(super) fn allowed(at: &At<'_>, scope: &mut Scope<'_>) -> PerFault {
    per_fault(at, scope, "AllowedFails")
}

fn per_fault(at: &At<'_>, scope: &mut Scope<'_>, what: &str) -> PerFault {
    let mut policy = PerFault::default();
    for entry in scope.entries(at) {
        let value = at.entry(entry);
        if matches!(value.node.kind, Kind::Null) {
            continue;
        }
        let named = entry.key.strip_suffix(what);
        let fault = Fault::NAMED.iter().find(|(_, name)| named == Some(name));
        if let Some((fault, _)) = fault {
            if let Some(number) = scope.count(&value) {
                policy.set(*fault, number);
            }
        } else if what == "Retries" && entry.key == "DefaultRetries" {
            policy.default = scope.count(&value);
        } else {
            let mut names: Vec<String> =
                Fault::NAMED.iter().map(|(_, name)| format!("{name}{what}")).collect();
            names.extend((what == "Retries").then(|| "DefaultRetries".to_owned()));
            let near = nearest(&entry.key, names.iter().map(String::as_str)).map(str::to_owned);
            let said = scope.error_at_key(&value, "unknown class of failures");
            said.help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", names.join(", ")),
            });
        }
    }
    policy
}

/// `retry_budget`: `{percent: 20, min_per_second: 10}`, or `false` for retries without a bound.
pub(super) fn budget(failures: &mut Failures, at: &At<'_>, scope: &mut Scope<'_>) {
    if matches!(at.node.kind, Kind::Bool(false)) {
        failures.retry_budget = None;
        return;
    }
    let mut budget = RetryBudget::default();
    for entry in scope.entries(at) {
        let value = at.entry(entry);
        match entry.key.as_str() {
            "percent" => {
                if let Some(percent) = scope.number(&value, 0.0) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "it is bounded, and not negative"
                    )]
                    let per_mille = (percent * 10.0).round().min(1e9) as u32;
                    budget.per_mille = per_mille;
                }
            }
            "min_per_second" => budget.per_second = scope.count(&value).unwrap_or(budget.per_second),
            _ => unknown(&entry.key, &value, &["percent", "min_per_second"], scope),
        }
    }
    failures.retry_budget = Some(budget);
}

/// `outlier_ejection`: `true`, or `{latency_factor: 3, min_requests: 20, max_ejected_percent: 50}`.
pub(super) fn outliers(failures: &mut Failures, at: &At<'_>, scope: &mut Scope<'_>) {
    let mut ejection = OutlierEjection::default();
    if let Kind::Bool(on) = at.node.kind {
        failures.outliers = on.then_some(ejection);
        return;
    }
    for entry in scope.entries(at) {
        let value = at.entry(entry);
        match entry.key.as_str() {
            "latency_factor" => {
                ejection.latency_factor = scope.number(&value, 1.0).unwrap_or(ejection.latency_factor);
            }
            "min_requests" => {
                let most = i64::try_from(crate::strategy::MOST_SAMPLES).unwrap_or(i64::MAX);
                let wanted = scope.whole(&value, 1, most).and_then(|count| count.try_into().ok());
                ejection.min_requests = wanted.unwrap_or(ejection.min_requests);
            }
            "max_ejected_percent" => {
                let wanted = scope.whole(&value, 1, 100).and_then(|count| count.try_into().ok());
                ejection.max_ejected_percent = wanted.unwrap_or(ejection.max_ejected_percent);
            }
            _ => {
                unknown(
                    &entry.key,
                    &value,
                    &["latency_factor", "min_requests", "max_ejected_percent"],
                    scope,
                );
            }
        }
    }
    failures.outliers = Some(ejection);
}

fn unknown(key: &str, at: &At<'_>, known: &[&str], scope: &mut Scope<'_>) {
    let near = nearest(key, known.iter().copied()).map(str::to_owned);
    let said = scope.error_at_key(at, "unknown key");
    said.help(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are `{}`", known.join("`, `")),
    });
}

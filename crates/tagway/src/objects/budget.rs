//! Budgets with an id, which keys, customers, tags and others refer to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Kind, Limits, Links, Object};

/// A budget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Budget {
    #[serde(flatten)]
    pub(crate) limits: Limits,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

impl Budget {
    /// The limits that hold for an object with these of its own, which refers to this budget: its own go first.
    /// How long a budget holds goes with its amount.
    pub(crate) fn behind(&self, own: &Limits) -> Limits {
        let shared = &self.limits;
        let of_own = own.max_budget.is_some() || own.budget_duration.is_some();
        let lasting = if of_own { own } else { shared };
        let raised = if own.temp_budget_increase.is_some() { own } else { shared };
        Limits {
            max_parallel_requests: own.max_parallel_requests.or(shared.max_parallel_requests),
            tpm_limit: own.tpm_limit.or(shared.tpm_limit),
            rpm_limit: own.rpm_limit.or(shared.rpm_limit),
            max_budget: own.max_budget.or(shared.max_budget),
            soft_budget: own.soft_budget.or(shared.soft_budget),
            budget_duration: lasting.budget_duration.clone(),
            budget_reset_at: lasting.budget_reset_at,
            budget_window: lasting.budget_window,
            budget_timezone: lasting.budget_timezone.clone(),
            strict: own.strict.or(shared.strict),
            temp_budget_increase: raised.temp_budget_increase,
            temp_budget_expiry: raised.temp_budget_expiry,
            model_max_budget: if own.model_max_budget.is_empty() {
                shared.model_max_budget.clone()
            } else {
                own.model_max_budget.clone()
            },
        }
    }
}

impl Object for Budget {
    const KIND: Kind = Kind::Budget;

    fn links(&self) -> Links<'_> {
        Links::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objects_own_limits_go_before_those_of_its_budget() {
        let budget = Budget {
            limits: Limits {
                max_budget: Some(10.0),
                budget_duration: Some("30d".to_owned()),
                rpm_limit: Some(100),
                tpm_limit: Some(1000),
                ..Limits::default()
            },
            ..Budget::default()
        };
        assert_eq!(budget.behind(&Limits::default()), budget.limits);
        let own = Limits { rpm_limit: Some(5), ..Limits::default() };
        let held = budget.behind(&own);
        assert_eq!((held.rpm_limit, held.tpm_limit, held.max_budget), (Some(5), Some(1000), Some(10.0)));
        assert_eq!(held.budget_duration.as_deref(), Some("30d"));
        let for_ever = Limits { max_budget: Some(1.0), ..Limits::default() };
        assert_eq!(budget.behind(&for_ever).budget_duration, None);
    }
}

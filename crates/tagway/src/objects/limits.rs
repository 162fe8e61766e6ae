//! What an object may use: rates and money. The same fields wherever they stand.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::config::Rates;
use utoipa::ToSchema;

use super::Unfit;
use super::duration::next_reset;

/// Limits of rate and money.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Limits {
    /// Requests in progress at once.
    pub(crate) max_parallel_requests: Option<u64>,
    /// Tokens a minute.
    pub(crate) tpm_limit: Option<u64>,
    /// Requests a minute.
    pub(crate) rpm_limit: Option<u64>,
    /// Dollars that may be spent within `budget_duration`, or altogether without one.
    #[schema(minimum = 0)]
    pub(crate) max_budget: Option<f64>,
    /// Dollars after which somebody is told.
    #[schema(minimum = 0)]
    pub(crate) soft_budget: Option<f64>,
    /// How long a budget holds before it begins anew: `30s`, `30m`, `24h`, `7d`, `1mo`.
    #[schema(example = "30d", pattern = "^0*[1-9][0-9]*(s|m|h|d|w|mo)$")]
    pub(crate) budget_duration: Option<String>,
    /// When the budget begins anew: a time in RFC 3339. Of keys, teams, users and tags, only the gateway sets it.
    #[schema(value_type = Value)]
    pub(crate) budget_reset_at: Option<Timestamp>,
    /// Budgets by model: `{"gpt-4o": {"budget_limit": 5.0, "time_period": "1d"}}`.
    pub(crate) model_max_budget: Map<String, Value>,
}

impl Limits {
    /// The limits of rate among them.
    pub(crate) fn rates(&self) -> Rates {
        Rates { requests: self.rpm_limit, tokens: self.tpm_limit, in_progress: self.max_parallel_requests }
    }

    /// Checks the figures, and sets when the budget begins anew unless that is known.
    ///
    /// # Errors
    /// A budget is negative, or a duration is none.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Result<(), Unfit> {
        for (field, value) in [("max_budget", self.max_budget), ("soft_budget", self.soft_budget)] {
            if let Some(value) = value.filter(|value| !value.is_finite() || *value < 0.0) {
                let message = format!("{field} must be a non-negative finite number. Received: {value:?}");
                return Err(Unfit::new(field, message));
            }
        }
        for (model, budget) in &self.model_max_budget {
            check_model_budget(model, budget)?;
        }
        self.budget_reset_at = match &self.budget_duration {
            None => None,
            Some(text) => {
                let invalid = || {
                    Unfit::new(
                        "budget_duration",
                        format!(
                            "Invalid budget_duration '{text}'. Use a format like '1h', '24h', '7d', or '30d'."
                        ),
                    )
                };
                let next = next_reset(text, now).ok_or_else(invalid)?;
                Some(self.budget_reset_at.filter(|at| now < *at).unwrap_or(next))
            }
        };
        Ok(())
    }
}

fn check_model_budget(model: &str, budget: &Value) -> Result<(), Unfit> {
    let number = |name: &str| budget.get(name).and_then(Value::as_f64);
    let limit = budget.as_f64().or(number("budget_limit")).or(number("max_budget"));
    if limit.is_some_and(|limit| limit.is_finite() && 0.0 <= limit) {
        return Ok(());
    }
    Err(Unfit::new(
        "model_max_budget",
        format!(
            "Invalid model_max_budget: '{model}' needs a budget of 0 or more. Example of a valid one: {{\"gpt-4o\": {{\"budget_limit\": 5.0, \"time_period\": \"1d\"}}}}"
        ),
    ))
}

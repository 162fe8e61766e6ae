//! What an object may use: rates and money. The same fields wherever they stand.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::config::Rates;
use utoipa::ToSchema;

use super::duration::time_zone;
use super::{Unfit, Window};

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
    /// Budgets by model, with or without limits of rate:
    /// `{"gpt-4o": {"budget_limit": 5.0, "time_period": "1d", "rpm_limit": 10}}`.
    pub(crate) model_max_budget: Map<String, Value>,
    /// `calendar` (the default): a budget begins anew at a round time. `rolling`: what was spent within the last
    /// `budget_duration` counts.
    pub(crate) budget_window: Option<Windows>,
    /// The time zone whose days count, by its IANA name; `litellm_settings.timezone` or UTC when absent.
    #[schema(example = "Europe/Berlin")]
    pub(crate) budget_timezone: Option<String>,
    /// Whether the estimated cost of a request must fit into what is left, so that the budget is not overshot.
    pub(crate) strict: Option<bool>,
    /// Dollars that `max_budget` is higher by until `temp_budget_expiry`.
    #[schema(minimum = 0)]
    pub(crate) temp_budget_increase: Option<f64>,
    #[serde(deserialize_with = "moment")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) temp_budget_expiry: Option<Timestamp>,
}

/// When the window of a budget ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Windows {
    Calendar,
    Rolling,
}

/// A time: RFC 3339, or without a zone in UTC, or a day.
fn moment<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let read = text
        .parse::<Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(|time| Ok(time.to_zoned(TimeZone::UTC)?.timestamp())));
    read.map(Some).map_err(|_| serde::de::Error::custom("expected a time such as 2026-01-31T12:00:00Z"))
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
        let amounts = [
            ("max_budget", self.max_budget),
            ("soft_budget", self.soft_budget),
            ("temp_budget_increase", self.temp_budget_increase),
        ];
        for (field, value) in amounts {
            if let Some(value) = value.filter(|value| !value.is_finite() || *value < 0.0) {
                let message = format!("{field} must be a non-negative finite number. Received: {value:?}");
                return Err(Unfit::new(field, message));
            }
        }
        for (model, budget) in &self.model_max_budget {
            check_model_budget(model, budget)?;
        }
        if self.temp_budget_increase.is_some() != self.temp_budget_expiry.is_some() {
            let message = "temp_budget_increase and temp_budget_expiry must be set together";
            return Err(Unfit::new("temp_budget_increase", message));
        }
        if let Some(zone) = self.budget_timezone.as_ref().filter(|zone| time_zone(zone).is_none()) {
            let message = format!("Unknown budget_timezone '{zone}'. Use an IANA name like 'Europe/Berlin'.");
            return Err(Unfit::new("budget_timezone", message));
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
                let windows = self.windows(text).ok_or_else(invalid)?;
                let next = windows.first_end(now).ok_or_else(invalid)?;
                Some(self.budget_reset_at.filter(|at| now < *at).unwrap_or(next))
            }
        };
        Ok(())
    }

    /// The windows of the budget, if it has any.
    pub(crate) fn window(&self) -> Option<Window> {
        self.windows(self.budget_duration.as_deref()?)
    }

    fn windows(&self, duration: &str) -> Option<Window> {
        let rolling = self.budget_window == Some(Windows::Rolling);
        Window::new(duration, self.budget_timezone.as_deref(), rolling, self.budget_reset_at)
    }

    /// Whether the windows of the budget are others than `before`.
    pub(crate) fn windows_differ(&self, before: &Self) -> bool {
        (&self.budget_duration, &self.budget_window, &self.budget_timezone)
            != (&before.budget_duration, &before.budget_window, &before.budget_timezone)
    }

    /// The budgets by model: what each amounts to in dollars, and how long it holds.
    pub(crate) fn by_model(&self) -> impl Iterator<Item = (&str, f64, Option<&str>)> {
        self.model_max_budget
            .iter()
            .filter_map(|(model, budget)| Some((model.as_str(), amount(budget)?, lasting(budget))))
    }
}

impl Limits {
    /// The limits of rate that stand beside budgets by model.
    pub(crate) fn rates_by_model(&self) -> impl Iterator<Item = (&str, Rates)> {
        let all = self.model_max_budget.iter().map(|(model, budget)| {
            let of = |name: &str| budget.get(name).and_then(Value::as_u64);
            let rates = Rates { requests: of("rpm_limit"), tokens: of("tpm_limit"), in_progress: None };
            (model.as_str(), rates)
        });
        all.filter(|(_, rates)| rates.any())
    }
}

fn amount(budget: &Value) -> Option<f64> {
    let number = |name: &str| budget.get(name).and_then(Value::as_f64);
    let amount = budget.as_f64().or(number("budget_limit")).or(number("max_budget"))?;
    (amount.is_finite() && 0.0 <= amount).then_some(amount)
}

fn lasting(budget: &Value) -> Option<&str> {
    let text = |name: &str| budget.get(name).and_then(Value::as_str);
    text("time_period").or(text("budget_duration"))
}

fn check_model_budget(model: &str, budget: &Value) -> Result<(), Unfit> {
    let lasts = lasting(budget).is_none_or(|text| Window::new(text, None, false, None).is_some());
    let rate = |name: &str| budget.get(name).filter(|limit| !limit.is_null());
    let rates = [rate("rpm_limit"), rate("tpm_limit")];
    let sound = rates.iter().flatten().all(|limit| limit.is_u64());
    let limits = amount(budget).is_some() || !budget.is_number() && rates.iter().any(Option::is_some);
    let amount_given = ["budget_limit", "max_budget"].iter().any(|name| rate(name).is_some());
    if limits && (amount(budget).is_some() || !amount_given) && sound && lasts {
        return Ok(());
    }
    Err(Unfit::new(
        "model_max_budget",
        format!(
            "Invalid model_max_budget: '{model}' needs a budget of 0 or more, or rpm_limit or tpm_limit in whole numbers, and a duration if any. Example of a valid one: {{\"gpt-4o\": {{\"budget_limit\": 5.0, \"time_period\": \"1d\"}}}}"
        ),
    ))
}

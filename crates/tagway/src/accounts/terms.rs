//! What a budget says: its amounts, its windows, how strictly it holds. Made from what objects and the configuration
//! give; knows nothing of what was spent.

use jiff::Timestamp;
use tagway_core::config::{self, BudgetWindow};
use tagway_core::money::Nanos;

use crate::objects::{Limits, Window};

/// What a budget says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Terms {
    /// How messages name its owner, if not by its id.
    pub(crate) name: Option<Box<str>>,
    max: Option<Nanos>,
    pub(super) soft: Option<Nanos>,
    /// What the amount is higher by, and until when.
    raise: Option<(Nanos, i64)>,
    /// The house decides when nobody says.
    pub(super) strict: Option<bool>,
    pub(super) window: Option<Window>,
}

impl Terms {
    /// The budget that is among the limits of an object; without one, its spend is counted all the same.
    pub(crate) fn of(limits: &Limits) -> Self {
        let until = limits.temp_budget_expiry.map(Timestamp::as_millisecond);
        Self {
            name: None,
            max: limits.max_budget.map(Nanos::from_dollars),
            soft: limits.soft_budget.map(Nanos::from_dollars),
            raise: limits.temp_budget_increase.map(Nanos::from_dollars).zip(until),
            strict: limits.strict,
            window: limits.window(),
        }
    }

    /// The budgets by model that are among the limits of an object.
    pub(crate) fn by_model(limits: &Limits) -> impl Iterator<Item = (&str, Self)> {
        limits.by_model().map(|(model, dollars, lasts)| {
            let window =
                lasts.and_then(|lasts| Window::new(lasts, limits.budget_timezone.as_deref(), false, None));
            let max = Some(Nanos::from_dollars(dollars));
            (model, Self { max, strict: limits.strict, window, ..Self::default() })
        })
    }

    /// A budget of the configuration.
    pub(crate) fn configured(budget: &config::Budget) -> Self {
        let rolling = budget.window == BudgetWindow::Rolling;
        let window = |duration: &String| Window::new(duration, budget.timezone.as_deref(), rolling, None);
        Self {
            name: None,
            max: budget.max,
            soft: budget.soft,
            raise: None,
            strict: budget.strict,
            window: budget.duration.as_ref().and_then(window),
        }
    }

    /// The same as limits of an object.
    pub(super) fn limits_of_object(&self) -> Limits {
        let window = self.window.as_ref().map(Window::as_limits).unwrap_or_default();
        Limits {
            max_budget: self.max.map(Nanos::dollars),
            soft_budget: self.soft.map(Nanos::dollars),
            strict: self.strict,
            ..window
        }
    }

    /// Messages name the owner so.
    pub(crate) fn named(self, name: Option<Box<str>>) -> Self {
        Self { name, ..self }
    }

    /// Whether there is an amount to hold, or to tell of.
    pub(crate) fn limits(&self) -> bool {
        self.max.is_some() || self.soft.is_some()
    }

    /// What may be spent.
    pub(crate) fn max(&self, now: i64) -> Option<Nanos> {
        let raise = self.raise.filter(|(_, until)| now < *until).map_or(Nanos::ZERO, |(more, _)| more);
        Some(self.max? + raise)
    }
}

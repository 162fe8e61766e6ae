//! What a new key may ask for at most by the configuration, which is also what it gets when it asks for nothing.

use jiff::Timestamp;
use tagway_core::config::KeyBounds;

use super::super::refusal::Refusal;
use crate::objects::{Limits, after};

/// Fills limits in that are not given, and gives the duration that holds.
///
/// # Errors
/// More is asked for than may be.
pub(super) fn bounded(
    bounds: &KeyBounds,
    limits: &mut Limits,
    duration: Option<String>,
    now: Timestamp,
) -> Result<Option<String>, Refusal> {
    if let Some(most) = bounds.max_budget {
        let own = *limits.max_budget.get_or_insert(most);
        if most < own {
            return Err(over("max_budget", &format!("{own:?}"), &format!("{most:?}")));
        }
    }
    for (field, own, most) in [
        ("max_parallel_requests", &mut limits.max_parallel_requests, bounds.max_parallel_requests),
        ("tpm_limit", &mut limits.tpm_limit, bounds.tpm_limit),
        ("rpm_limit", &mut limits.rpm_limit, bounds.rpm_limit),
    ] {
        let Some(most) = most else { continue };
        let own = *own.get_or_insert(most);
        if most < own {
            return Err(over(field, &own.to_string(), &most.to_string()));
        }
    }
    limits.budget_duration =
        shorter("budget_duration", limits.budget_duration.take(), bounds.budget_duration.as_deref(), now)?;
    shorter("duration", duration, bounds.duration.as_deref(), now)
}

fn shorter(
    field: &'static str,
    own: Option<String>,
    most: Option<&str>,
    now: Timestamp,
) -> Result<Option<String>, Refusal> {
    let Some(most) = most else { return Ok(own) };
    let Some(own) = own else { return Ok(Some(most.to_owned())) };
    // -1 asks for ever; what is no duration is refused where it is read.
    let longer = own == "-1" || after(&own, now).zip(after(most, now)).is_some_and(|(own, most)| most < own);
    if longer { Err(over(field, &own, most)) } else { Ok(Some(own)) }
}

fn over(field: &'static str, own: &str, most: &str) -> Refusal {
    let message = format!("{field} is over max limit set in config - user_value={own}; max_value={most}");
    Refusal::field(field, message)
}

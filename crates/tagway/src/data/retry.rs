//! Whether a failed call is tried again, and when: by its class, by how often there was another attempt already, by the
//! budget of retries of its model group, and by the time the client has. Which deployment is called then is decided
//! elsewhere.

use std::time::{Duration, Instant};

use tagway_core::snapshot::{Deployment, DeploymentId};

use super::attempt::{Around, Tries};
use super::class;
use super::failure::{Failure, Retry};
use super::intake::Call;
use crate::route::Plan;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A provider may ask for so long a wait; a client that shall come back later does so itself.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How often a call of this deployment may be tried again after such a failure, and where.
pub(super) fn allowed(
    around: &Around<'_>,
    plan: &Plan<'_>,
    deployment: &Deployment,
    failure: &Failure,
    call: &Call<'_>,
) -> (u32, Retry) {
    let router = &around.snapshot.config.router;
    let policy = class::fault(failure)
        .filter(|_| call.num_retries != Some(0))
        .and_then(|fault| router.failures.retries_of(&plan.group.name, fault));
    match policy {
        // What it names is tried again whatever it is, unless the provider has begun to answer.
        Some(times) if !matches!(failure, Failure::Event { .. }) => (times, Retry::Anywhere),
        _ => {
            let times = call.num_retries.or(deployment.entry.max_retries).unwrap_or(router.num_retries);
            (times, failure.retry())
        }
    }
}

/// Counts a request of a model group, beside which there may be retries.
pub(super) fn count(around: &Around<'_>, plan: &Plan<'_>, now: Instant) {
    if around.snapshot.config.router.failures.retry_budget.is_some()
        && let Some(id) = plan.group.deployments.first()
    {
        around.board.request(around.snapshot.deployment(*id).group, now);
    }
}

/// Whether the retries of a model group leave room for one more.
pub(super) fn within_budget(around: &Around<'_>, id: DeploymentId) -> bool {
    let Some(budget) = &around.snapshot.config.router.failures.retry_budget else { return true };
    let group = around.snapshot.deployment(id).group;
    let within = around.board.may_retry(group, budget, Instant::now());
    if !within {
        tracing::debug!(group = around.snapshot.group(group).name, "retry_budget is spent: no retry");
    }
    within
}

/// Waits before the next attempt.
///
/// False: the client has no time for that, or the provider asks for more than anybody waits for.
pub(super) async fn wait(around: &Around<'_>, tries: &Tries, failure: &Failure, call: &Call<'_>) -> bool {
    let router = &around.snapshot.config.router;
    let Some(time) = pause(tries.retries, failure.retry_after(), router.retry_after) else { return false };
    if call.deadline.is_some_and(|deadline| deadline <= Instant::now() + time) {
        return false;
    }
    tokio::time::sleep(time).await;
    true
}

/// The wait before attempt `n + 2`: exponential with jitter, and never less than the provider asks for.
fn pause(n: u32, asked: Option<Duration>, least: Duration) -> Option<Duration> {
    let base = Duration::from_millis(500).saturating_mul(1 << n.min(4)).min(LONGEST_WAIT);
    let jittered = base.mul_f64(0.75 + 0.25 * fastrand::f64());
    match asked {
        Some(asked) if LONGEST_RETRY_AFTER < asked => None,
        asked => Some(asked.unwrap_or(jittered).max(least)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_and_heed_the_provider() {
        let secs = Duration::from_secs_f64;
        for n in 0..100 {
            let longest = secs(0.5 * 2_f64.powi(n.min(4)));
            let wait = pause(n.unsigned_abs(), None, Duration::ZERO).unwrap();
            assert!(longest.mul_f64(0.75) <= wait && wait <= longest, "{n}: {wait:?}");
        }
        assert_eq!(pause(0, Some(secs(7.0)), secs(1.0)), Some(secs(7.0)));
        assert_eq!(pause(0, Some(secs(0.0)), secs(1.0)), Some(secs(1.0)));
        assert_eq!(pause(0, Some(secs(61.0)), secs(1.0)), None);
    }
}

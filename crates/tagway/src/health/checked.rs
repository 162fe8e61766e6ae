//! What the last health check of a deployment has shown, and for how long a failed one counts. Knows neither how a
//! deployment is checked nor when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tagway_core::config::HealthChecks;
use tagway_core::snapshot::DeploymentId;

use super::{Board, Mark, millis};

/// How a check has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// When, for people.
    pub(crate) at: Timestamp,
    /// When, for the clock.
    pub(crate) ended: Instant,
    pub(crate) took: Duration,
    /// What is told of the limits of a provider that has answered, by its headers' names.
    pub(crate) answer: Result<Vec<(&'static str, String)>, Ill>,
}

/// What is wrong with a deployment.
#[derive(Debug, Clone)]
pub(crate) struct Ill {
    /// The status a client would have got.
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Ill {
    /// Whether it may have been chance: the deployment was too busy, or too slow.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 429)
    }
}

/// The checks of one deployment. Times are milliseconds since the board's start.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// 0 when none has failed, or one has passed since.
    ill_until: AtomicU64,
    ill_since: AtomicU64,
    last: ArcSwapOption<Outcome>,
}

impl Checked {
    fn is_ill(&self, now: u64) -> bool {
        now < self.ill_until.load(Ordering::Relaxed)
    }

    /// Since when checks fail, and how the last one did.
    pub(super) fn ill(&self, now: u64) -> Option<(u64, Arc<Outcome>)> {
        let last = self.last.load_full().filter(|_| self.is_ill(now))?;
        Some((self.ill_since.load(Ordering::Relaxed), last))
    }
}

impl Board {
    /// Takes note of a check; says whether it differs from the one before.
    pub(crate) fn checked(&self, id: DeploymentId, outcome: Arc<Outcome>, rules: &HealthChecks) -> bool {
        let Some(mark) = self.mark(id) else { return false };
        let now = self.millis(outcome.ended);
        let before = mark.checked.is_ill(now);
        let after = match &outcome.answer {
            Ok(_) => false,
            Err(ill) if rules.ignore_transient && ill.is_transient() => before,
            Err(_) => {
                if !before {
                    mark.checked.ill_since.store(now, Ordering::Relaxed);
                }
                let until = now.saturating_add(millis(rules.stale_after));
                mark.checked.ill_until.store(until, Ordering::Relaxed);
                true
            }
        };
        if !after {
            mark.checked.ill_until.store(0, Ordering::Relaxed);
        }
        mark.checked.last.store(Some(outcome));
        before != after
    }

    /// The last check.
    pub(crate) fn last_check(&self, id: DeploymentId) -> Option<Arc<Outcome>> {
        self.mark(id)?.checked.last.load_full()
    }

    /// Whether a failed check keeps a deployment from serving where others may.
    pub(super) fn is_unfit(&self, mark: &Mark, now: u64) -> bool {
        self.heeds_checks && mark.checked.is_ill(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(start: Instant, after: u64, status: Option<u16>) -> Arc<Outcome> {
        let answer = match status {
            None => Ok(Vec::new()),
            Some(status) => Err(Ill { status, message: "broken".to_owned() }),
        };
        let ended = start + Duration::from_secs(after);
        Arc::new(Outcome { at: Timestamp::UNIX_EPOCH, ended, took: Duration::ZERO, answer })
    }

    fn board(start: Instant) -> (Board, DeploymentId) {
        let mark = Arc::new(Mark::default());
        let board = Board::of(start, vec![mark]);
        (board, DeploymentId(0))
    }

    fn rules(ignore_transient: bool) -> HealthChecks {
        HealthChecks {
            every: Some(Duration::from_secs(5)),
            at_once: 1,
            details: true,
            routes: true,
            stale_after: Duration::from_secs(10),
            ignore_transient,
            groups: None,
            skip_disabled: false,
            patience: Duration::from_secs(1),
            tokens: 1,
        }
    }

    #[test]
    fn a_failed_check_counts_until_one_passes_or_for_a_while() {
        let start = Instant::now();
        let (board, id) = board(start);
        let ill = |at: u64| board.marks[0].checked.ill(at * 1000 + 1).map(|(since, _)| since);
        assert!(!board.checked(id, outcome(start, 1, None), &rules(false)));
        assert!(board.checked(id, outcome(start, 2, Some(500)), &rules(false)));
        assert!(!board.checked(id, outcome(start, 7, Some(500)), &rules(false)), "it failed before");
        assert_eq!((ill(7), ill(16)), (Some(2001), Some(2001)), "since the first of them");
        assert_eq!(ill(17), None, "too old to say anything");
        assert!(board.checked(id, outcome(start, 18, Some(500)), &rules(false)));
        assert!(board.checked(id, outcome(start, 19, None), &rules(false)));
        assert_eq!(ill(19), None);
    }

    #[test]
    fn a_busy_deployment_is_none_the_worse_where_that_is_ignored() {
        let start = Instant::now();
        let (board, id) = board(start);
        for status in [408, 429] {
            assert!(!board.checked(id, outcome(start, 1, Some(status)), &rules(true)));
        }
        assert!(board.checked(id, outcome(start, 2, Some(500)), &rules(true)));
        assert!(!board.checked(id, outcome(start, 3, Some(429)), &rules(true)), "and none the better");
        assert!(board.marks[0].checked.ill(3000).is_some());
    }
}

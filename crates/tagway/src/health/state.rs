//! How a deployment is, for people: in one word, why, since when and for how long. Decides nothing.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tagway_core::snapshot::DeploymentId;

use super::{Board, HALF_OPEN, IN_SERVICE, PROBED};

/// How a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In service.
    Healthy,
    /// Calls have failed: it serves nobody for a while.
    CoolingDown,
    /// Its cooldown has ended, and one call tries it out, or will.
    Probing,
    /// Its last health check has failed.
    Unhealthy,
    /// Much slower than the others: it serves for a while only where nobody else may.
    Ejected,
}

impl Standing {
    /// All there are.
    pub(crate) const ALL: [Self; 5] =
        [Self::Healthy, Self::CoolingDown, Self::Probing, Self::Unhealthy, Self::Ejected];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::CoolingDown => "cooling_down",
            Self::Probing => "probing",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
        }
    }
}

/// How a deployment is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) standing: Standing,
    pub(crate) why: Option<String>,
    /// How long it has been so.
    pub(crate) since: Option<Duration>,
    /// How long it will be so.
    pub(crate) left: Option<Duration>,
}

/// Why a deployment cools down of which no call has failed here.
const ELSEWHERE: &str = "calls of another gateway failed";

/// What is remembered of the beginning of a cooldown.
#[derive(Debug, Default)]
pub(super) struct Cause {
    /// Milliseconds since the board's start.
    from: AtomicU64,
    /// The end of the cooldown that it is the cause of.
    until: AtomicU64,
    /// The status of the last failure.
    status: AtomicU16,
}

impl Board {
    /// Takes note of what a deployment cools down for.
    pub(crate) fn blame(&self, id: DeploymentId, status: u16, now: Instant) {
        let Some(mark) = self.mark(id) else { return };
        mark.cause.from.store(self.millis(now), Ordering::Relaxed);
        mark.cause.until.store(mark.until.load(Ordering::Relaxed), Ordering::Relaxed);
        mark.cause.status.store(status, Ordering::Relaxed);
    }

    /// How a deployment is.
    pub(crate) fn state(&self, id: DeploymentId, now: Instant) -> State {
        let bare = |standing| State { standing, why: None, since: None, left: None };
        let Some(mark) = self.mark(id) else { return bare(Standing::Healthy) };
        let now = self.millis(now);
        let ago = |then: u64| Some(Duration::from_millis(now.saturating_sub(then)));
        let until = mark.until.load(Ordering::Relaxed);
        if until == PROBED {
            let why = Some("a call is trying it out".to_owned());
            return State { why, ..bare(Standing::Probing) };
        }
        if now < until {
            let left = Some(Duration::from_millis(until - now));
            if mark.slow.load(Ordering::Relaxed) {
                let why = Some("much slower than the others".to_owned());
                return State { why, left, ..bare(Standing::Ejected) };
            }
            let cooling = State { left, ..bare(Standing::CoolingDown) };
            if mark.cause.until.load(Ordering::Relaxed) != until {
                return State { why: Some(ELSEWHERE.to_owned()), ..cooling };
            }
            let status = mark.cause.status.load(Ordering::Relaxed);
            let why = Some(format!("calls failed, the last with status {status}"));
            return State { why, since: ago(mark.cause.from.load(Ordering::Relaxed)), ..cooling };
        }
        if let Some((since, last)) = mark.checked.ill(now) {
            let why = last.answer.as_ref().err().map(|ill| format!("a health check failed: {}", ill.message));
            return State { why, since: ago(since), ..bare(Standing::Unhealthy) };
        }
        if until != IN_SERVICE {
            let why = Some("its cooldown has ended: the next call tries it out".to_owned());
            let since = ago(until).filter(|_| until != HALF_OPEN);
            return State { why, since, ..bare(Standing::Probing) };
        }
        bare(Standing::Healthy)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Entrance, Mark};
    use super::*;

    #[test]
    fn a_deployment_cools_down_is_tried_out_and_is_back() {
        let start = Instant::now();
        let (board, id) = (Board::of(start, vec![Arc::new(Mark::default())]), DeploymentId(0));
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let state = |seconds: u64| board.state(id, at(seconds));
        let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
        assert_eq!(state(0).standing, Standing::Healthy);

        board.marks[0].cool(board.millis(at(20)), false);
        let told = state(12);
        assert_eq!((told.standing, told.left), (Standing::CoolingDown, seconds(8)));
        assert_eq!((told.why.as_deref(), told.since), (Some(ELSEWHERE), None), "nobody has said why");
        board.blame(id, 503, at(10));
        let told = state(12);
        assert_eq!((told.since, told.left), (seconds(2), seconds(8)));
        assert!(told.why.unwrap().ends_with("503"));
        board.marks[0].cool(board.millis(at(30)), false);
        assert_eq!(state(12).why.as_deref(), Some(ELSEWHERE), "that was another one");

        assert_eq!((state(31).standing, state(31).since), (Standing::Probing, seconds(1)));
        let Entrance::Probe(probe) = board.enter(id, at(31)) else { panic!("nobody tries it out") };
        assert_eq!(state(31).standing, Standing::Probing);
        probe.passed();
        assert_eq!(state(31), State { standing: Standing::Healthy, why: None, since: None, left: None });

        board.marks[0].cool(board.millis(at(40)), true);
        assert_eq!((state(31).standing, state(31).left), (Standing::Ejected, seconds(9)));
    }
}

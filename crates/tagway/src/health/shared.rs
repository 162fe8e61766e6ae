//! What gateways tell each other of deployments: who is out of service and for how long yet, who is back, and what was
//! used of each. Knows no way to tell it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Board, IN_SERVICE, Mark, PROBED, millis};

/// How a deployment is, for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    InService,
    /// Until then, in milliseconds of the board; others call it where nothing better is left if it is but slow.
    Out {
        until: u64,
        slow: bool,
    },
    /// It may be tried out, or is just now.
    HalfOpen,
}

impl Mark {
    fn state(&self, now: u64) -> State {
        match self.until.load(Ordering::Relaxed) {
            IN_SERVICE => State::InService,
            until if until == PROBED || until <= now => State::HalfOpen,
            until => State::Out { until, slow: self.slow.load(Ordering::Relaxed) },
        }
    }
}

impl Board {
    /// How all deployments are.
    pub(crate) fn states(&self, now: Instant) -> impl Iterator<Item = (&str, State)> {
        let now = self.millis(now);
        self.ids.iter().map(move |(id, mark)| (&**id, mark.state(now)))
    }

    /// How long it is until then.
    pub(crate) fn left(&self, until: u64, now: Instant) -> Duration {
        Duration::from_millis(until.saturating_sub(self.millis(now)))
    }

    /// Another gateway says that this deployment is out of service for so long yet. Gives until when it is then, in
    /// milliseconds of the board; `None` where it is not known, or just being tried out.
    pub(crate) fn cool_until(&self, id: &str, left: Duration, slow: bool, now: Instant) -> Option<u64> {
        let mark = self.ids.get(id)?;
        mark.cool(self.millis(now).saturating_add(millis(left)), slow);
        Some(mark.until.load(Ordering::Relaxed)).filter(|until| *until != PROBED)
    }

    /// Another gateway says that this deployment is back in service.
    pub(crate) fn back(&self, id: &str) {
        let Some(mark) = self.ids.get(id) else { return };
        let back = |until| (until != PROBED).then_some(IN_SERVICE);
        if mark.until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, back).is_ok() {
            mark.forget();
        }
    }

    /// Tokens and calls of deployments within this minute, as this gateway made them.
    pub(crate) fn usage(&self, now: Instant) -> impl Iterator<Item = (&str, (u64, u64))> {
        let now = self.since(now);
        let used = move |mark: &Mark| mark.figures.used_here(now);
        self.ids.iter().map(move |(id, mark)| (&**id, used(mark))).filter(|(_, used)| *used != (0, 0))
    }

    /// Another gateway says what it has used of a deployment.
    pub(crate) fn used_elsewhere(&self, id: &str, tokens: u64, calls: u64, now: Instant) {
        if let Some(mark) = self.ids.get(id) {
            mark.figures.add_elsewhere(tokens, calls, self.since(now));
        }
    }
}

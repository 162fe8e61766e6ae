//! Which deployments are cooling down, and what is known of their calls. State per deployment in atomics, carried over a
//! reload by deployment id; time is an argument. Knows nothing of why a call failed beyond what it is told.

mod figures;
mod learned;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tagway_core::config::Router;
use tagway_core::snapshot::{DeploymentId, Group, Snapshot};
use tagway_core::tag::Members;

use figures::Figures;
pub(crate) use figures::{Ended, Flight};
pub(crate) use learned::Learned;

/// The window in which failures are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The health of every deployment of one snapshot.
#[derive(Debug)]
pub(crate) struct Board {
    start: Instant,
    marks: Vec<Arc<Mark>>,
    ids: HashMap<Box<str>, Arc<Mark>>,
}

/// One deployment's health. Times are milliseconds since the board's start.
#[derive(Debug, Default)]
struct Mark {
    cool_until: AtomicU64,
    window: AtomicU64,
    failures: AtomicU32,
    learned: Learned,
    figures: Figures,
}

/// How a call failed, as far as cooling down is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The deployment will not work for a while (rate limit, bad credentials, unknown model).
    Certain,
    /// It may have been chance: cools down when it happens often.
    Chance,
}

impl Board {
    /// The board of `snapshot`: deployments known to `before` keep their state.
    pub(crate) fn new(snapshot: &Snapshot, before: Option<&Self>, now: Instant) -> Self {
        let mut ids = HashMap::new();
        let mut marks = Vec::new();
        for deployment in &snapshot.deployments {
            let id: Box<str> = deployment.entry.info.id.as_str().into();
            let mark = before.and_then(|board| board.ids.get(&id)).cloned().unwrap_or_default();
            marks.push(Arc::clone(&mark));
            ids.insert(id, mark);
        }
        Self { start: before.map_or(now, |board| board.start), marks, ids }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    fn mark(&self, id: DeploymentId) -> Option<&Mark> {
        self.marks.get(id.0 as usize).map(|mark| &**mark)
    }

    /// What calls to a deployment have shown.
    pub(crate) fn learned(&self, id: DeploymentId) -> Option<&Learned> {
        Some(&self.mark(id)?.learned)
    }

    /// What strategies go by.
    pub(crate) fn figures(&self, id: DeploymentId) -> Option<&Figures> {
        Some(&self.mark(id)?.figures)
    }

    /// A call of a deployment begins.
    pub(crate) fn begin(&self, id: DeploymentId) -> Option<Flight> {
        Some(Flight::begin(self.marks.get(id.0 as usize)?, self.start))
    }

    /// The time since the board's start.
    pub(crate) fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// The members of a group that are not cooling down.
    pub(crate) fn healthy(&self, group: &Group, now: Instant) -> Members {
        let mut healthy = Members::all(group.deployments.len());
        let now = self.millis(now);
        for (position, id) in group.deployments.iter().enumerate() {
            if self.mark(*id).is_some_and(|mark| now < mark.cool_until.load(Ordering::Relaxed)) {
                healthy.remove(position);
            }
        }
        healthy
    }

    /// The time until the first member of `group` in `among` is out of its cooldown.
    pub(crate) fn wait(&self, group: &Group, among: &Members, now: Instant) -> Duration {
        let now = self.millis(now);
        let ends = among.iter().filter_map(|position| {
            let mark = self.mark(*group.deployments.get(position)?)?;
            Some(mark.cool_until.load(Ordering::Relaxed).saturating_sub(now))
        });
        Duration::from_millis(ends.min().unwrap_or(0))
    }

    /// Takes note of a failed call; says whether the deployment cools down now.
    pub(crate) fn failed(
        &self,
        id: DeploymentId,
        fault: Fault,
        wait: Option<Duration>,
        router: &Router,
        now: Instant,
    ) -> bool {
        let Some(mark) = self.mark(id).filter(|_| !router.disable_cooldowns) else { return false };
        let now = self.millis(now);
        let window = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        // Two failures at once may both begin a window: one count more or less does not matter.
        if window <= now.saturating_sub(mark.window.load(Ordering::Relaxed)) {
            mark.window.store(now, Ordering::Relaxed);
            mark.failures.store(0, Ordering::Relaxed);
        }
        let failures = mark.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let cools = fault == Fault::Certain || router.allowed_fails < failures;
        if cools {
            let time = wait.unwrap_or(router.cooldown_time).as_millis();
            let until = now.saturating_add(u64::try_from(time).unwrap_or(u64::MAX));
            mark.cool_until.fetch_max(until, Ordering::Relaxed);
            mark.failures.store(0, Ordering::Relaxed);
        }
        cools
    }
}

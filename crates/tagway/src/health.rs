//! Which deployments are cooling down, and what is known of their calls. State per deployment in atomics, carried over a
//! reload by deployment id; time is an argument. Knows nothing of why a call failed beyond what it is told.
//!
//! A cooldown ends half-open: one call tries the deployment while the others go on elsewhere, and its end decides.

mod checked;
mod figures;
mod learned;
mod outliers;
mod shared;
mod state;
mod traffic;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tagway_core::fault::{Cooling, RetryBudget};
use tagway_core::snapshot::{DeploymentId, Group, GroupId, Snapshot};
use tagway_core::tag::Members;

use checked::Checked;
pub(crate) use checked::{Ill, Outcome};
use figures::Figures;
pub(crate) use figures::{Ended, Flight};
pub(crate) use learned::Learned;
pub(crate) use outliers::rules as latency_rules;
pub(crate) use shared::State;
use state::Cause;
pub(crate) use state::Standing;
use traffic::Traffic;

/// `Mark::until` of a deployment that is not out of service …
const IN_SERVICE: u64 = 0;
/// … of one whose cooldown has ended, long ago …
const HALF_OPEN: u64 = 1;
/// … and of one that a call is trying out.
const PROBED: u64 = u64::MAX;
/// Whoever finds all deployments taken by probes is told to come back after this time.
const PROBE_TIME: u64 = 1000;

/// The health of every deployment of one snapshot.
#[derive(Debug)]
pub(crate) struct Board {
    start: Instant,
    marks: Vec<Arc<Mark>>,
    ids: HashMap<Box<str>, Arc<Mark>>,
    traffic: Vec<Arc<Traffic>>,
    groups: HashMap<Box<str>, Arc<Traffic>>,
    /// Whether a failed check keeps a deployment from serving where others may.
    heeds_checks: bool,
}

/// One deployment's health. Times are milliseconds since the board's start.
#[derive(Debug, Default)]
struct Mark {
    /// Until when it is out of service; see the constants above.
    until: AtomicU64,
    /// It is so because it is slow: better than nothing.
    slow: AtomicBool,
    /// When the first of `failures` came.
    window: AtomicU64,
    failures: AtomicU32,
    /// Calls since then.
    calls: AtomicU32,
    /// Failures since the last success.
    row: AtomicU32,
    learned: Learned,
    figures: Figures,
    cause: Cause,
    checked: Checked,
}

impl Mark {
    fn is_out(&self, now: u64) -> bool {
        now < self.until.load(Ordering::Relaxed)
    }

    /// Out of service until then, or longer if that is how it is. A call that tries it out decides for itself.
    fn cool(&self, until: u64, slow: bool) {
        let later = |before: u64| (before != PROBED).then(|| before.max(until));
        if self.until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later).is_ok() {
            self.slow.store(slow, Ordering::Relaxed);
        }
        self.forget();
    }

    fn forget(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.calls.store(0, Ordering::Relaxed);
        self.row.store(0, Ordering::Relaxed);
    }

    /// Notes a failure; says whether the deployment shall cool down. One that says little of it counts in a row alone.
    fn fail(&self, cooling: Cooling, weak: bool, now: u64) -> bool {
        let row = self.row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if weak {
            let allowed = if let Cooling::After(allowed) = cooling { allowed } else { 0 };
            return cooling != Cooling::Never && Cooling::ENOUGH.max(allowed.saturating_add(1)) <= row;
        }
        // Two failures at once may both begin a window: one count more or less does not matter.
        if millis(Cooling::WINDOW) <= now.saturating_sub(self.window.load(Ordering::Relaxed)) {
            self.window.store(now, Ordering::Relaxed);
            self.failures.store(0, Ordering::Relaxed);
            self.calls.store(0, Ordering::Relaxed);
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let calls = self.calls.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        cooling.cools(failures, calls, row)
    }
}

/// A failed call, as far as cooling down is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed {
    /// What follows from it.
    pub(crate) cooling: Cooling,
    /// How long the deployment shall cool down, should it.
    pub(crate) time: Duration,
    /// The caller had little patience, so that it says little of the deployment.
    pub(crate) weak: bool,
}

/// A call that tries out a deployment whose cooldown has ended. Dropped without a word, another one may.
#[derive(Debug)]
pub(crate) struct Probe {
    mark: Arc<Mark>,
}

impl Probe {
    /// The deployment has answered: it is back.
    pub(crate) fn passed(self) {
        self.mark.forget();
        self.mark.until.store(IN_SERVICE, Ordering::Relaxed);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.mark.until.compare_exchange(PROBED, HALF_OPEN, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// How a call may enter a deployment.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// As always.
    Open,
    /// It tries it out.
    Probe(Probe),
    /// Another call is trying it out.
    Taken,
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
        let mut groups = HashMap::new();
        let mut traffic = Vec::new();
        for group in &snapshot.groups {
            let name: Box<str> = group.name.as_str().into();
            let known = before.and_then(|board| board.groups.get(&name)).cloned().unwrap_or_default();
            traffic.push(Arc::clone(&known));
            groups.insert(name, known);
        }
        let start = before.map_or(now, |board| board.start);
        let heeds_checks = snapshot.config.general.health.routes;
        Self { start, marks, ids, traffic, groups, heeds_checks }
    }

    fn millis(&self, now: Instant) -> u64 {
        // The first moments are none of the constants' values.
        millis(now.saturating_duration_since(self.start)).saturating_add(HALF_OPEN)
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

    /// A request comes to a model group.
    pub(crate) fn request(&self, group: GroupId, now: Instant) {
        if let Some(traffic) = self.traffic.get(group.0 as usize) {
            traffic.request(self.millis(now));
        }
    }

    /// Takes note of a retry within a model group, if its budget allows one.
    pub(crate) fn may_retry(&self, group: GroupId, budget: &RetryBudget, now: Instant) -> bool {
        let traffic = self.traffic.get(group.0 as usize);
        traffic.is_none_or(|traffic| traffic.may_retry(budget, self.millis(now)))
    }

    /// How many retries of a model group its budget did not allow.
    pub(crate) fn denied_retries(&self, group: GroupId) -> u64 {
        self.traffic.get(group.0 as usize).map_or(0, |traffic| traffic.denied())
    }

    /// The members of a group that are in service and have not failed their check.
    pub(crate) fn healthy(&self, group: &Group, now: Instant) -> Members {
        let now = self.millis(now);
        self.members(group, |mark| !mark.is_out(now) && !self.is_unfit(mark, now))
    }

    /// Those that may be called when no healthy one can: being tried out just now, slow, or those whose check has
    /// failed, which may have been wrong.
    pub(crate) fn bearable(&self, group: &Group, now: Instant) -> Members {
        let now = self.millis(now);
        self.members(group, |mark| {
            let until = mark.until.load(Ordering::Relaxed);
            until <= now || until == PROBED || mark.slow.load(Ordering::Relaxed)
        })
    }

    fn members(&self, group: &Group, keep: impl Fn(&Mark) -> bool) -> Members {
        let mut members = Members::all(group.deployments.len());
        for (position, id) in group.deployments.iter().enumerate() {
            if self.mark(*id).is_some_and(|mark| !keep(mark)) {
                members.remove(position);
            }
        }
        members
    }

    /// The time until the first member of `group` in `among` is out of its cooldown.
    pub(crate) fn wait(&self, group: &Group, among: &Members, now: Instant) -> Duration {
        let now = self.millis(now);
        let ends = among.iter().filter_map(|position| {
            let until = self.mark(*group.deployments.get(position)?)?.until.load(Ordering::Relaxed);
            Some(if until == PROBED { PROBE_TIME } else { until.saturating_sub(now) })
        });
        Duration::from_millis(ends.min().unwrap_or(0))
    }

    /// How a call may enter a deployment now.
    pub(crate) fn enter(&self, id: DeploymentId, now: Instant) -> Entrance {
        let Some(mark) = self.marks.get(id.0 as usize) else { return Entrance::Open };
        match mark.until.load(Ordering::Relaxed) {
            IN_SERVICE => Entrance::Open,
            PROBED => Entrance::Taken,
            until if self.millis(now) < until => Entrance::Open,
            until => {
                let (order, mark) = (Ordering::Relaxed, Arc::clone(mark));
                match mark.until.compare_exchange(until, PROBED, order, order) {
                    Ok(_) => Entrance::Probe(Probe { mark }),
                    Err(_) => Entrance::Taken,
                }
            }
        }
    }

    /// Takes note of a call that ended well.
    pub(crate) fn succeeded(&self, id: DeploymentId) {
        let Some(mark) = self.mark(id) else { return };
        // Nothing is written while nothing fails.
        if mark.row.load(Ordering::Relaxed) != 0 {
            mark.row.store(0, Ordering::Relaxed);
        }
        if mark.failures.load(Ordering::Relaxed) != 0 {
            mark.calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes note of a failed call; says whether the deployment cools down now. What fails when it is tried out does.
    pub(crate) fn failed(
        &self,
        id: DeploymentId,
        probe: Option<Probe>,
        failed: &Failed,
        now: Instant,
    ) -> bool {
        let Some(mark) = self.mark(id) else { return false };
        let now = self.millis(now);
        let until = now.saturating_add(millis(failed.time));
        if let Some(probe) = probe {
            let _ = mark.until.compare_exchange(PROBED, until, Ordering::Relaxed, Ordering::Relaxed);
            mark.slow.store(false, Ordering::Relaxed);
            mark.forget();
            drop(probe);
            return true;
        }
        let cools = mark.fail(failed.cooling, failed.weak, now);
        if cools {
            mark.cool(until, false);
        }
        cools
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
impl Board {
    /// A board of these deployments, in no group.
    fn of(start: Instant, marks: Vec<Arc<Mark>>) -> Self {
        let (ids, traffic, groups) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { start, marks, ids, traffic, groups, heeds_checks: true }
    }
}

//! What every deployment has left of its own limits: requests and tokens a minute, calls in progress. What was used is
//! carried over a reload by deployment id. Knows which limit is reached; neither who asks nor what else may serve.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

use tagway_core::config::Rates;
use tagway_core::snapshot::{DeploymentId, Group, Snapshot};
use tagway_core::tag::Members;
use tokio::sync::Notify;

use crate::meter::{self, Meter, Permit, Reached, micros};

/// A request waits no longer than this for a deployment to have a place again.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The limits of all deployments of one snapshot.
#[derive(Debug)]
pub(crate) struct Capacity {
    /// `None` for those without limits.
    limited: Vec<Option<Limited>>,
    used: HashMap<Box<str>, Arc<Used>>,
    queues: HashMap<Box<str>, Arc<Queue>>,
}

/// A deployment with limits.
#[derive(Debug)]
struct Limited {
    rates: Rates,
    used: Arc<Used>,
    queue: Arc<Queue>,
}

/// What was used of a deployment.
#[derive(Debug, Default)]
struct Used {
    meter: Arc<Meter>,
}

/// Those who wait for a place at a deployment of one model group.
#[derive(Debug, Default)]
struct Queue {
    waiting: AtomicU32,
    freed: Notify,
}

/// What a call has taken of its deployment's limits. Dropping it ends the call.
#[derive(Debug)]
pub(crate) struct Taken {
    permit: Option<Permit>,
    queue: Option<Arc<Queue>>,
}

impl Taken {
    /// Counts the tokens the call has used.
    pub(crate) fn used(&self, tokens: u64, now: u64) {
        self.permit.iter().for_each(|permit| permit.used(tokens, now));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // The place first, then those who wait for it.
        drop(self.permit.take());
        if let Some(queue) = &self.queue {
            // Whoever is not counted yet sees the place; see `Seat::wait`.
            fence(Ordering::SeqCst);
            if 0 < queue.waiting.load(Ordering::Relaxed) {
                queue.freed.notify_waiters();
            }
        }
    }
}

/// A request's seat in a queue. Dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Seat {
    queue: Arc<Queue>,
    until: Instant,
}

impl Seat {
    /// Waits until `open` says that there is a place. Somebody else may be faster to take it.
    ///
    /// False: it took too long.
    pub(crate) async fn wait(&self, open: impl Fn() -> bool) -> bool {
        loop {
            let freed = self.queue.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            // A place that was given back before is seen here, one that is given back later wakes.
            fence(Ordering::SeqCst);
            if open() {
                return true;
            }
            if tokio::time::timeout_at(self.until.into(), freed).await.is_err() {
                return false;
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Capacity {
    /// The limits of `snapshot`: deployments known to `before` have used what they had.
    pub(crate) fn new(snapshot: &Snapshot, before: Option<&Self>, now: Instant) -> Self {
        let (mut used, mut queues) = (HashMap::new(), HashMap::new());
        let mut limited = Vec::with_capacity(snapshot.deployments.len());
        for deployment in &snapshot.deployments {
            let rates = deployment.limits;
            if !rates.any() {
                limited.push(None);
                continue;
            }
            let id = deployment.entry.info.id.as_str();
            let own = before.and_then(|before| before.used.get(id)).cloned().unwrap_or_default();
            own.meter.limit(&rates, micros(now));
            used.insert(id.into(), Arc::clone(&own));
            let group = snapshot.group(deployment.group).name.as_str();
            let known = before.and_then(|before| before.queues.get(group)).cloned();
            let queue = queues.entry(group.into()).or_insert_with(|| known.unwrap_or_default());
            limited.push(Some(Limited { rates, used: own, queue: Arc::clone(queue) }));
        }
        Self { limited, used, queues }
    }

    fn limited(&self, id: DeploymentId) -> Option<&Limited> {
        self.limited.get(id.0 as usize)?.as_ref()
    }

    /// Takes what a call needs of a deployment; `None` when it has no limits.
    ///
    /// # Errors
    /// A limit is reached. What was taken is given back, requests a minute excepted.
    pub(crate) fn take(&self, id: DeploymentId, now: Instant) -> Result<Option<Taken>, Reached> {
        let Some(Limited { rates, used, queue }) = self.limited(id) else { return Ok(None) };
        let permit = meter::admit(&used.meter, *rates, micros(now))?;
        let queue = rates.in_progress.map(|_| Arc::clone(queue));
        Ok(Some(Taken { permit: Some(permit), queue }))
    }

    /// Whether a deployment has a place for one more call, as far as calls in progress go.
    pub(crate) fn has_place(&self, id: DeploymentId) -> bool {
        self.limited(id).is_none_or(|Limited { rates, used, .. }| meter::has_place(&used.meter, *rates))
    }

    /// A seat among those who wait for one of these members of a group: there are as many as these serve at once.
    pub(crate) fn seat(&self, group: &Group, among: &Members, now: Instant) -> Option<Seat> {
        let limited = || among.iter().filter_map(|at| self.limited(*group.deployments.get(at)?));
        let places = limited().filter_map(|limited| limited.rates.in_progress).fold(0, u64::saturating_add);
        let queue = Arc::clone(&limited().next()?.queue);
        let before = queue.waiting.fetch_add(1, Ordering::Relaxed);
        // Dropped where there is none left.
        let seat = Seat { queue, until: now + LONGEST_WAIT };
        (u64::from(before) < places).then_some(seat)
    }
}

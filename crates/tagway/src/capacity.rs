//! What every deployment has left of its own limits: requests and tokens a minute, calls in progress. What was used is
//! carried over a reload by deployment id. Knows which limit is reached; neither who asks nor what else may serve.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tagway_core::config::Rates;
use tagway_core::limits::LimitedTags;
use tagway_core::snapshot::{DeploymentId, Group, Snapshot};
use tagway_core::tag::Members;
use tokio::sync::Notify;

use crate::meter::{self, Kept, Meter, NamedMeters, Permit, Reached, Sharing, micros};

/// A request waits no longer than this for a deployment to have a place again.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A request that waits looks this often whether there is one.
const LOOK: Duration = Duration::from_millis(25);

/// The limits of all deployments of one snapshot.
pub(crate) struct Capacity {
    /// `None` for those without limits.
    limited: Vec<Option<Limited>>,
    used: HashMap<Box<str>, Arc<Used>>,
    queues: HashMap<Box<str>, Arc<Queue>>,
    limits_tags: bool,
}

/// A deployment with limits.
struct Limited {
    rates: Rates,
    /// Those of tags at it.
    tags: LimitedTags,
    used: Arc<Used>,
    queue: Arc<Queue>,
}

/// What was used of a deployment.
#[derive(Default)]
struct Used {
    meter: Arc<Meter>,
    tags: OnceLock<Arc<NamedMeters>>,
}

/// A limit of a deployment that keeps a call out.
#[derive(Debug, Clone)]
pub(crate) struct Full {
    /// None: what other gateways have used of it cannot be known.
    pub(crate) reached: Option<Reached>,
    /// It is that of a tag at the deployment.
    pub(crate) tag: Option<Box<str>>,
}

impl Full {
    fn new(kept: &Kept, tag: Option<&str>) -> Self {
        let reached = match kept {
            Kept::Reached(reached) => Some(*reached),
            Kept::Lost(_) => None,
        };
        Self { reached, tag: tag.map(Box::from) }
    }
}

impl Used {
    fn share(&self, id: &str, sharing: &Arc<Sharing>) {
        self.meter.share(&format!("deployment:{id}"), sharing);
        self.tags.get_or_init(|| NamedMeters::new(&format!("tag at:{}:{id}", id.len()), Some(sharing)));
    }
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
    permits: SmallVec<[Permit; 1]>,
    queue: Option<Arc<Queue>>,
}

impl Taken {
    /// Counts the tokens the call has used.
    pub(crate) fn used(&self, tokens: u64, now: u64) {
        self.permits.iter().for_each(|permit| permit.used(tokens, now));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // The place first, then those who wait for it.
        self.permits.clear();
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
            // What is given back on another gateway wakes nobody here.
            let look = Instant::now() + LOOK;
            if tokio::time::timeout_at(look.min(self.until).into(), freed).await.is_err()
                && self.until <= look
            {
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
    /// The limits of `snapshot`: deployments known to `before` have used what they had. `sharing` is how several
    /// gateways share them.
    pub(crate) fn new(snapshot: &Snapshot, before: Option<&Self>, sharing: Option<&Arc<Sharing>>) -> Self {
        let (mut used, mut queues) = (HashMap::new(), HashMap::new());
        let mut limited = Vec::with_capacity(snapshot.deployments.len());
        let mut limits_tags = false;
        for deployment in &snapshot.deployments {
            let (rates, tags) = (deployment.limits, deployment.tag_limits.clone());
            limits_tags |= !tags.is_empty();
            if !rates.any() && tags.is_empty() {
                limited.push(None);
                continue;
            }
            let id = deployment.entry.info.id.as_str();
            let own = before.and_then(|before| before.used.get(id)).cloned().unwrap_or_default();
            if let Some(sharing) = sharing {
                own.share(id, sharing);
            }
            used.insert(id.into(), Arc::clone(&own));
            let group = snapshot.group(deployment.group).name.as_str();
            let known = before.and_then(|before| before.queues.get(group)).cloned();
            let queue = queues.entry(group.into()).or_insert_with(|| known.unwrap_or_default());
            limited.push(Some(Limited { rates, tags, used: own, queue: Arc::clone(queue) }));
        }
        Self { limited, used, queues, limits_tags }
    }

    /// Shares all limits with other gateways from now on.
    pub(crate) fn share(&self, sharing: &Arc<Sharing>) {
        self.used.iter().for_each(|(id, used)| used.share(id, sharing));
    }

    /// Whether any deployment limits tags.
    pub(crate) fn limits_tags(&self) -> bool {
        self.limits_tags
    }

    fn limited(&self, id: DeploymentId) -> Option<&Limited> {
        self.limited.get(id.0 as usize)?.as_ref()
    }

    /// Takes what a call with these tags needs of a deployment; `None` when it has no limits.
    ///
    /// # Errors
    /// A limit is reached. What was taken is given back, requests a minute excepted.
    pub(crate) async fn take(
        &self,
        id: DeploymentId,
        tags: &[&str],
        now: Instant,
    ) -> Result<Option<Taken>, Full> {
        let Some(limited) = self.limited(id) else { return Ok(None) };
        let now = micros(now);
        let mut permits = SmallVec::new();
        if limited.rates.any() {
            let permit = meter::admit(&limited.used.meter, limited.rates, now).await;
            permits.push(permit.map_err(|kept| Full::new(&kept, None))?);
        }
        // Given back as a whole, should a tag be refused.
        let queue = limited.rates.in_progress.map(|_| Arc::clone(&limited.queue));
        let mut taken = Taken { permits, queue };
        if !limited.tags.is_empty() {
            let meters = limited.used.tags.get_or_init(|| NamedMeters::new("", None));
            for tag in tags {
                for (declared, rates) in limited.tags.of(tag) {
                    let permit = meter::admit(&meters.of_tag(declared, tag), rates, now).await;
                    taken.permits.push(permit.map_err(|kept| Full::new(&kept, Some(tag)))?);
                }
            }
        }
        Ok(Some(taken))
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

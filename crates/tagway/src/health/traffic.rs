//! How many requests and retries a model group had lately, for the bound on retries. Counted in a few places that
//! threads seldom share, so that counting a request keeps nobody waiting; time is an argument.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use tagway_core::fault::RetryBudget;

/// Places to count in.
const SHARDS: usize = 8;
/// Milliseconds of one half of the time that counts: the half in progress and the one before.
const HALF: u64 = RetryBudget::WINDOW.as_millis() as u64 / 2;

/// The requests and retries of one model group.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    shards: [Shard; SHARDS],
    denied: AtomicU64,
}

/// One place to count in, alone in its line of the cache.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    /// The number of the half in progress. Two threads that begin one at once may lose a few counts.
    half: AtomicU64,
    requests: [AtomicU32; 2],
    retries: [AtomicU32; 2],
}

impl Shard {
    /// Where to count now.
    fn place(&self, now: u64) -> usize {
        let half = now / HALF;
        let before = self.half.load(Ordering::Relaxed);
        let place = usize::from(half % 2 == 1);
        if before != half {
            let clear = |place: usize| {
                self.requests[place].store(0, Ordering::Relaxed);
                self.retries[place].store(0, Ordering::Relaxed);
            };
            clear(place);
            if before + 1 != half {
                clear(1 - place);
            }
            self.half.store(half, Ordering::Relaxed);
        }
        place
    }
}

fn sum(counts: &[AtomicU32; 2]) -> u64 {
    counts.iter().map(|count| u64::from(count.load(Ordering::Relaxed))).sum()
}

/// This thread's place.
fn own() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    OWN.with(|own| *own)
}

impl Traffic {
    /// A request, at a time in milliseconds.
    pub(super) fn request(&self, now: u64) {
        let shard = &self.shards[own()];
        shard.requests[shard.place(now)].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note of a retry, if the budget allows one.
    pub(super) fn may_retry(&self, budget: &RetryBudget, now: u64) -> bool {
        let (mut requests, mut retries) = (0, 0);
        for shard in &self.shards {
            shard.place(now);
            requests += sum(&shard.requests);
            retries += sum(&shard.retries);
        }
        let allowed = budget.allows(requests, retries);
        if allowed {
            let shard = &self.shards[own()];
            shard.retries[shard.place(now)].fetch_add(1, Ordering::Relaxed);
        } else {
            self.denied.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// How many retries there were not.
    pub(super) fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_seconds_count() {
        let (traffic, budget) = (Traffic::default(), RetryBudget { per_mille: 500, per_second: 0 });
        assert!(!traffic.may_retry(&budget, 0), "nothing was asked");
        for _ in 0..4 {
            traffic.request(0);
        }
        assert!(traffic.may_retry(&budget, 1));
        assert!(traffic.may_retry(&budget, HALF));
        assert!(!traffic.may_retry(&budget, HALF), "half of four");
        traffic.request(HALF);
        traffic.request(HALF);
        assert!(traffic.may_retry(&budget, HALF));
        assert!(!traffic.may_retry(&budget, 2 * HALF), "what came first is forgotten: one of two is left");
        assert!(!traffic.may_retry(&budget, 9 * HALF), "all of it is");
        assert_eq!(traffic.denied(), 4);
    }
}

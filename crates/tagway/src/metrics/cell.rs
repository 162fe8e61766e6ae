//! Numbers that requests add to, under the labels they have: atomics, so that adding never waits. A worker has cells of
//! its own, so that workers do not contend for them either; who tells them adds them up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tagway_core::money::Nanos;
use tagway_core::usage::Usage;

use super::name::{Labels, What};

/// Buckets of a histogram, the one without a bound among them.
pub(super) const BUCKETS: usize = 18;

/// Bounds of buckets, in microseconds.
pub(super) type Bounds = [u64; BUCKETS - 1];

/// LiteLLM's.
pub(super) const LATENCY: Bounds = [
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    420_000_000,
    600_000_000,
];

/// For what a gateway adds, which LiteLLM's bounds cannot tell from nothing.
pub(super) const OVERHEAD: Bounds = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// Numbers under some labels.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(super) labels: Arc<Labels>,
    pub(super) count: AtomicU64,
    pub(super) used: Option<Box<Used>>,
    pub(super) times: Option<Box<Times>>,
}

/// What requests have used.
#[derive(Debug, Default)]
pub(super) struct Used {
    pub(super) input: AtomicU64,
    pub(super) output: AtomicU64,
    pub(super) total: AtomicU64,
    pub(super) cache_read: AtomicU64,
    pub(super) cache_write: AtomicU64,
    pub(super) audio_in: AtomicU64,
    pub(super) reasoning: AtomicU64,
    pub(super) audio_out: AtomicU64,
    /// In nano-dollars.
    pub(super) spend: AtomicU64,
    pub(super) unpriced: AtomicU64,
    pub(super) estimated: AtomicU64,
}

/// How long requests took.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) total: Histogram,
    pub(super) provider: Histogram,
    pub(super) first_token: Histogram,
    pub(super) overhead: Histogram,
    pub(super) per_token: Histogram,
}

/// How times are spread.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    pub(super) buckets: [AtomicU64; BUCKETS],
    /// In microseconds.
    pub(super) sum: AtomicU64,
}

impl Histogram {
    fn observe(&self, bounds: &Bounds, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = bounds.partition_point(|bound| *bound < time);
        add(&self.buckets[bucket], 1);
        add(&self.sum, time);
    }
}

fn add(to: &AtomicU64, count: u64) {
    if 0 < count {
        to.fetch_add(count, Ordering::Relaxed);
    }
}

/// How long a request took that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) total: Duration,
    /// The provider's part.
    pub(crate) provider: Duration,
    /// Until its first event, for a stream.
    pub(crate) first_token: Option<Duration>,
    pub(crate) overhead: Duration,
}

impl Cell {
    pub(super) fn new(labels: Arc<Labels>) -> Self {
        let what = labels.what;
        Self {
            labels,
            count: AtomicU64::new(0),
            used: what.has_usage().then(Box::default),
            times: (what == What::Served).then(Box::default),
        }
    }

    /// One more.
    pub(crate) fn one_more(&self) {
        add(&self.count, 1);
    }

    /// A request that was answered.
    pub(crate) fn took(&self, took: &Took) {
        let Some(times) = &self.times else { return };
        times.total.observe(&LATENCY, took.total);
        times.provider.observe(&LATENCY, took.provider);
        times.overhead.observe(&OVERHEAD, took.overhead);
        if let Some(first) = took.first_token {
            times.first_token.observe(&LATENCY, first);
        }
    }

    fn used(&self, usage: &Usage, cost: Option<Nanos>, provider: Option<Duration>) {
        let Some(used) = &self.used else { return };
        add(&used.input, usage.prompt);
        add(&used.output, usage.completion);
        add(&used.total, usage.prompt.saturating_add(usage.completion));
        add(&used.cache_read, usage.cache_read);
        add(&used.cache_write, usage.cache_write);
        add(&used.audio_in, usage.audio_in);
        add(&used.reasoning, usage.reasoning);
        add(&used.audio_out, usage.audio_out);
        add(&used.spend, cost.map_or(0, |cost| u64::try_from(cost.0).unwrap_or(0)));
        add(&used.unpriced, u64::from(cost.is_none()));
        add(&used.estimated, u64::from(usage.estimated));
        if let (Some(times), Some(provider)) = (&self.times, provider)
            && let Some(each) = provider.checked_div(u32::try_from(usage.completion).unwrap_or(u32::MAX))
        {
            times.per_token.observe(&LATENCY, each);
        }
    }
}

/// Where the usage of a request goes once it is known.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) cells: smallvec::SmallVec<[Arc<Cell>; 2]>,
    /// The provider's part of the time, if it was answered.
    pub(crate) provider: Option<Duration>,
}

impl Due {
    /// It is known: `usage` is none when no provider was called.
    pub(crate) fn settle(&self, usage: Option<&Usage>, cost: Option<Nanos>) {
        let Some(usage) = usage else { return };
        for cell in &self.cells {
            cell.used(usage, cost, self.provider);
        }
    }
}

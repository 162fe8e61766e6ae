//! How the ramps of experiments stand, and what their variants came to on this gateway, beside the snapshot: both stay over
//! a reload. Requests read and count; what is held is decided elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tagway_core::experiment::{Figures, Point, Ramp, Standing};
use tagway_core::snapshot::Snapshot;

/// The ramps of one snapshot, by the place of the experiment.
pub(crate) struct Ramps(Vec<Option<Arc<Running>>>);

/// A ramp.
pub(crate) struct Running {
    /// The experiment's name.
    pub(crate) name: Box<str>,
    /// Tells this ramp of the experiment from those before and after it.
    pub(crate) key: Box<str>,
    stands: ArcSwap<Stands>,
    window: ArcSwap<Window>,
}

/// How a ramp stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stands {
    pub(crate) standing: Standing,
    /// Why it is held.
    pub(crate) why: Option<Box<str>>,
}

/// What was counted since a time.
struct Window {
    since: i64,
    /// By the place of the variant.
    variants: [Arc<Counts>; 2],
}

/// What requests of a variant came to.
pub(crate) struct Counts {
    requests: AtomicU64,
    failed: AtomicU64,
    times: [AtomicU32; Figures::BUCKETS],
}

/// What a request of a variant came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// The variant has answered, and began to after this time.
    Answered(Duration),
    /// It has not, although the tags led to it.
    Failed,
}

impl Window {
    fn new(since: i64) -> Self {
        Self { since, variants: [Counts::new(), Counts::new()] }
    }
}

impl Counts {
    fn new() -> Arc<Self> {
        let times = std::array::from_fn(|_| AtomicU32::new(0));
        Arc::new(Self { requests: AtomicU64::default(), failed: AtomicU64::default(), times })
    }

    /// Counts a request.
    pub(crate) fn note(&self, came: Came) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match came {
            Came::Failed => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            Came::Answered(time) => {
                let bucket = Figures::bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
                if let Some(count) = self.times.get(usize::from(bucket)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// What was counted.
    fn figures(&self) -> Figures {
        let times = self.times.iter().map(|count| u64::from(count.load(Ordering::Relaxed))).zip(0..);
        Figures {
            requests: self.requests.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            times: times.filter(|(count, _)| *count != 0).map(|(count, bucket)| (bucket, count)).collect(),
        }
    }
}

impl Running {
    /// Where the ramp is at a time.
    pub(crate) fn at(&self, ramp: &Ramp, now: i64) -> Point {
        ramp.at(now, &self.stands.load().standing)
    }

    /// How it stands.
    pub(crate) fn stands(&self) -> Arc<Stands> {
        self.stands.load_full()
    }

    /// It stands like that from now on; says whether that is news.
    pub(crate) fn stand(&self, stands: Stands) -> bool {
        let is_news = **self.stands.load() != stands;
        if is_news {
            self.stands.store(Arc::new(stands));
        }
        is_news
    }

    /// What was counted since a time, of the control and of the variant; nothing where nobody has begun to.
    pub(crate) fn figures(&self, since: i64) -> Option<[Figures; 2]> {
        let window = self.window.load();
        (window.since == since).then(|| [0, 1].map(|place: usize| window.variants[place].figures()))
    }

    /// Where requests of a variant are counted that come after `since`.
    pub(crate) fn counts(&self, since: i64, variant: usize) -> Option<Arc<Counts>> {
        let counts = |window: &Window| window.variants.get(variant).map(Arc::clone);
        let window = self.window.load();
        if window.since == since {
            return counts(&window);
        }
        // Of two who find a new step, one brings the new window.
        self.window.compare_and_swap(&window, Arc::new(Window::new(since)));
        counts(&self.window.load())
    }
}

impl Ramps {
    /// The ramps of a snapshot; those that were there before go on.
    pub(crate) fn new(snapshot: &Snapshot, before: Option<&Self>) -> Self {
        let known = |name: &str, key: &str| {
            let all = before.map(|before| before.0.as_slice()).unwrap_or_default();
            all.iter().flatten().find(|running| *running.name == *name && *running.key == *key)
        };
        let running = |trial: &tagway_core::experiment::Trial| {
            let ramp = trial.experiment.ramp.as_ref()?;
            let (name, variants) = (&trial.experiment.name, &trial.experiment.variants);
            // By their hashes, which outlive other names of the tags.
            let hash = |place: usize| variants.get(place).map_or(0, |variant| variant.hash);
            let key = format!("{} {:x} {:x}", ramp.starts_at, hash(ramp.control), hash(ramp.variant));
            let new = || {
                Arc::new(Running {
                    name: name.clone(),
                    key: key.as_str().into(),
                    stands: ArcSwap::default(),
                    window: ArcSwap::from_pointee(Window::new(i64::MAX)),
                })
            };
            Some(known(name, &key).map_or_else(new, Arc::clone))
        };
        Self(snapshot.trials.iter().map(running).collect())
    }

    /// The ramp of the experiment at this place.
    pub(crate) fn of(&self, place: usize) -> Option<&Arc<Running>> {
        self.0.get(place)?.as_ref()
    }

    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }
}

//! What becomes of the copies that mirrors make: how many are in progress, and what came of the others. Kept beside the
//! snapshot, over a reload. Sends nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tagway_core::snapshot::Snapshot;

/// The mirrors of one snapshot, in the order of the configuration.
pub(crate) struct Mirrors(Vec<Arc<Mirrored>>);

/// A mirror's copies.
pub(crate) struct Mirrored {
    name: Box<str>,
    in_progress: AtomicU32,
    ended: [AtomicU64; End::ALL.len()],
}

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    Failed,
    /// Not sent: as many as may be are in progress.
    Busy,
    /// Not sent: its body is too large.
    Large,
    /// Not sent: its tags, or what it inherits, leave no deployment.
    Refused,
    /// Not sent: none of the deployments is well.
    Ill,
    /// Not sent: a limit or a budget has no room for it.
    Full,
}

impl End {
    pub(crate) const ALL: [Self; 7] =
        [Self::Answered, Self::Failed, Self::Busy, Self::Large, Self::Refused, Self::Ill, Self::Full];

    /// Its name in the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Busy => "dropped_busy",
            Self::Large => "dropped_large",
            Self::Refused => "dropped_refused",
            Self::Ill => "dropped_ill",
            Self::Full => "dropped_full",
        }
    }
}

/// A copy in progress. Dropping it ends it.
pub(crate) struct Copy(Arc<Mirrored>);

impl Copy {
    /// It has ended.
    pub(crate) fn ended(self, end: End) {
        self.0.note(end);
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Mirrored {
    /// A place for one more copy, unless there are `most`.
    pub(crate) fn begin(self: &Arc<Self>, most: u32) -> Option<Copy> {
        let more = |count: u32| (count < most).then_some(count + 1);
        let taken = self.in_progress.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Copy(Arc::clone(self)))
    }

    /// Counts what became of a copy.
    pub(crate) fn note(&self, end: End) {
        if let Some(count) = self.ended.get(end as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The mirror's name, how many copies are in progress, and what became of the others.
    pub(crate) fn told(&self) -> (&str, u32, impl Iterator<Item = (End, u64)>) {
        let count = |end: End| self.ended.get(end as usize).map_or(0, |count| count.load(Ordering::Relaxed));
        (
            &self.name,
            self.in_progress.load(Ordering::Relaxed),
            End::ALL.into_iter().map(move |end| (end, count(end))),
        )
    }
}

impl Mirrors {
    /// The mirrors of a snapshot; those that were there before go on counting.
    pub(crate) fn new(snapshot: &Snapshot, before: Option<&Self>) -> Self {
        let known = |name: &str| before?.0.iter().find(|mirrored| *mirrored.name == *name).map(Arc::clone);
        let mirrors = snapshot.config.mirrors.iter().map(|mirror| {
            known(&mirror.name).unwrap_or_else(|| {
                let ended = std::array::from_fn(|_| AtomicU64::new(0));
                Arc::new(Mirrored { name: mirror.name.clone(), in_progress: AtomicU32::new(0), ended })
            })
        });
        Self(mirrors.collect())
    }

    /// The mirror at this place.
    pub(crate) fn of(&self, place: usize) -> Option<&Arc<Mirrored>> {
        self.0.get(place)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Mirrored> {
        self.0.iter().map(|mirrored| &**mirrored)
    }
}

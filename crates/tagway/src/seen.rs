//! Which tags requests carry, and when: noted by every request, kept by the store. A request that carries tags seen
//! lately touches nothing but its own worker's memory; it never waits for the store, whatever the store does.

mod values;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tagway_core::tag::RequestTag;
use tagway_core::tag::name::{Marker, TagName};

use crate::store::{Db, SeenTag};
use crate::tasks::Stop;

pub(crate) use values::{Counted, KnownValues, Reader, Values};

/// A tag is noted again after so long: the last use that is shown is at most this old.
const AGAIN: Duration = Duration::from_secs(60);
/// As many tags are remembered by each worker.
const MOST_PER_WORKER: usize = 4096;
/// How often what was noted goes to the store.
const FLUSH: Duration = Duration::from_secs(1);
/// As many tags go into one transaction.
const BATCH: usize = 500;
/// As many tags are kept: those used last.
const MOST_KEPT: usize = 100_000;
/// How often the store is looked at for more.
const TRIM: Duration = Duration::from_secs(60);
/// Longer names are nobody's tags.
const LONGEST: usize = 255;

const SHARDS: usize = 16;

/// What has been noted and not stored yet: first and last use, in milliseconds since 1970.
type Shard = Mutex<HashMap<Box<str>, (i64, i64)>>;

/// Tags on their way to the store.
pub(crate) struct Seen {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

impl Seen {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: std::array::from_fn(|_| Shard::default()), hasher: RandomState::new() })
    }

    fn note(&self, tag: &str, first: i64, last: i64) {
        let shard = &self.shards[self.hasher.hash_one(tag) as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known_first, known_last)) = shard.get_mut(tag) {
            *known_first = first.min(*known_first);
            *known_last = last.max(*known_last);
        } else if shard.len() < MOST_KEPT / SHARDS {
            shard.insert(tag.into(), (first, last));
        }
    }

    fn take(&self) -> Vec<SeenTag> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let shard = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            let tags = shard.into_iter();
            taken.extend(tags.map(|(tag, (first_at, last_at))| SeenTag {
                tag: tag.into(),
                first_at,
                last_at,
            }));
        }
        // Always in one order, so that two gateways do not wait for each other's rows.
        taken.sort_by(|one, other| one.tag.cmp(&other.tag));
        taken
    }

    /// Hands what was noted to the store; what it does not take stays noted.
    async fn flush(&self, db: &Db) {
        let taken = self.take();
        let mut batches = taken.chunks(BATCH);
        while let Some(batch) = batches.next() {
            let Err(error) = db.note_tags(batch).await else { continue };
            tracing::debug!(%error, "seen tags cannot be stored now");
            for SeenTag { tag, first_at, last_at } in batch.iter().chain(batches.flatten()) {
                self.note(tag, *first_at, *last_at);
            }
            return;
        }
    }
}

/// A worker's way to note tags. Its lock is taken by nobody else.
pub(crate) struct Notes {
    seen: Arc<Seen>,
    lately: Mutex<HashMap<Box<str>, Instant>>,
}

impl Notes {
    pub(crate) fn new(seen: Arc<Seen>) -> Self {
        Self { seen, lately: Mutex::default() }
    }

    /// Notes the tags of a request: their names, without markers and the routing `prefix`. What a request excludes
    /// it does not use.
    pub(crate) fn note(&self, tags: &[RequestTag<'_>], prefix: &str, now: Instant) {
        if tags.is_empty() {
            return;
        }
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        for tag in tags {
            let Some(TagName { marker, name, .. }) = TagName::parse(tag.text(), prefix) else { continue };
            if marker == Marker::Excluded || name.is_empty() || LONGEST < name.len() {
                continue;
            }
            if let Some(noted) = lately.get_mut(name) {
                if now.saturating_duration_since(*noted) < AGAIN {
                    continue;
                }
                *noted = now;
            } else if !name.contains(char::is_control) {
                if MOST_PER_WORKER <= lately.len() {
                    lately.clear();
                }
                lately.insert(name.into(), now);
            } else {
                continue;
            }
            let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            self.seen.note(name, at, at);
        }
    }
}

/// Stores what is noted until asked to stop, and then a last time.
pub(crate) async fn keep(seen: Arc<Seen>, db: Db, mut stop: Stop) {
    let mut trimmed = Instant::now();
    loop {
        let stopping = tokio::select! {
            () = stop.asked() => true,
            () = tokio::time::sleep(FLUSH) => false,
        };
        seen.flush(&db).await;
        if stopping {
            return;
        }
        if TRIM < trimmed.elapsed() {
            trimmed = Instant::now();
            let most = i64::try_from(MOST_KEPT).unwrap_or(i64::MAX);
            match db.forget_seen_tags(most).await {
                Ok(0) => {}
                Ok(forgotten) => {
                    tracing::warn!(
                        forgotten,
                        "more than {MOST_KEPT} different tags: those used longest ago are forgotten"
                    );
                }
                Err(error) => tracing::debug!(%error, "seen tags cannot be counted now"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tagway_core::tag::{Origin, RequestTags};

    #[test]
    fn a_tag_is_noted_once_a_minute_without_its_marker() {
        let (seen, now) = (Seen::new(), Instant::now());
        let notes = Notes::new(Arc::clone(&seen));
        let mut tags = RequestTags::new();
        for tag in ["eng", "&route:must", "!never", "!", "", "line\nbreak"] {
            tags.push(tag, Origin::Body);
        }
        let names = |seen: &Seen| seen.take().into_iter().map(|seen| seen.tag).collect::<Vec<_>>();
        notes.note(&tags, "", now);
        assert_eq!(names(&seen), ["eng", "route:must"]);
        notes.note(&tags, "", now + AGAIN / 2);
        assert!(names(&seen).is_empty());
        notes.note(&tags, "", now + AGAIN);
        assert_eq!(names(&seen), ["eng", "route:must"]);
    }

    #[test]
    fn a_flood_of_invented_tags_stays_within_bounds() {
        let seen = Seen::new();
        let notes = Notes::new(Arc::clone(&seen));
        for number in 0..MOST_KEPT + 10_000 {
            let mut tags = RequestTags::new();
            tags.push(format!("flood-{number}"), Origin::Body);
            notes.note(&tags, "", Instant::now());
        }
        assert!(notes.lately.lock().unwrap().len() <= MOST_PER_WORKER);
        assert!(seen.take().len() <= MOST_KEPT);
    }
}

//! Which tags of a pattern there are, where a declaration says how many there may be (`max_values`): those seen first. A
//! tag that a worker has met takes no lock that another one takes. What other gateways see is read from the store.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{Db, SeenTag, StoreError};
use crate::tasks::Stop;

/// How often the store is asked for what other gateways have seen.
const LOOK: Duration = Duration::from_secs(2);
/// What was seen for the first time so long ago has been stored by then, unless a gateway could not reach the store …
const LATE: i64 = 60_000;
/// … which is found when everything is read again, after so many looks.
const ALL_AGAIN: u32 = 150;
/// A worker remembers so many tags.
const MOST_KNOWN: usize = 100_000;

/// The tags there are, by pattern.
#[derive(Debug, Default)]
pub(crate) struct Values {
    patterns: Mutex<HashMap<Box<str>, HashSet<Box<str>>>>,
    /// Counts how often tags were taken out again: what workers know is old then.
    taken_out: AtomicU64,
}

impl Values {
    fn patterns(&self) -> MutexGuard<'_, HashMap<Box<str>, HashSet<Box<str>>>> {
        self.patterns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `name` is one of the first `most` tags of a pattern, or would be.
    pub(crate) fn might_take(&self, pattern: &str, name: &str, most: u64) -> bool {
        let patterns = self.patterns();
        patterns.get(pattern).is_none_or(|values| values.contains(name) || (values.len() as u64) < most)
    }

    /// Whether `name` is one of the first `most` tags of a pattern. It is one from now on if there is room.
    pub(crate) fn take(&self, pattern: &str, name: &str, most: u64) -> bool {
        let mut patterns = self.patterns();
        let Some(values) = patterns.get_mut(pattern) else {
            patterns.insert(pattern.into(), HashSet::from([name.into()]));
            return true;
        };
        values.contains(name) || (values.len() as u64) < most && values.insert(name.into())
    }

    /// Adds what the store has, the tags seen first before others. With everything it has, its order is the one that
    /// counts: gateways that did not know of each other agree again.
    fn merge(&self, counted: &[(String, u64)], seen: Vec<(usize, SeenTag)>, everything: bool) {
        let mut patterns = self.patterns();
        patterns.retain(|pattern, _| counted.iter().any(|(name, _)| **name == **pattern));
        let mut own: Vec<HashSet<Box<str>>> = Vec::new();
        for (pattern, _) in counted {
            let values = patterns.entry(pattern.as_str().into()).or_default();
            own.push(if everything { std::mem::take(values) } else { HashSet::new() });
        }
        let mut add = |at: usize, tag: Box<str>| {
            let Some((pattern, most)) = counted.get(at) else { return true };
            let values = patterns.entry(pattern.as_str().into()).or_default();
            values.contains(&tag) || (values.len() as u64) < *most && values.insert(tag)
        };
        for (at, SeenTag { tag, .. }) in seen {
            add(at, tag.into());
        }
        let mut all_stay = true;
        for (at, values) in own.into_iter().enumerate() {
            for tag in values {
                all_stay &= add(at, tag);
            }
        }
        if !all_stay {
            self.taken_out.fetch_add(1, Ordering::Release);
        }
    }
}

/// A worker's way to ask. Its lock is taken by nobody else.
pub(crate) struct KnownValues {
    values: Arc<Values>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    tags: HashSet<Box<str>>,
    /// As of then.
    taken_out: u64,
}

impl KnownValues {
    pub(crate) fn new(values: Arc<Values>) -> Self {
        Self { values, known: Mutex::default() }
    }

    /// As [`Values::take`].
    pub(crate) fn take(&self, pattern: &str, name: &str, most: u64) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let taken_out = self.values.taken_out.load(Ordering::Acquire);
        if known.taken_out != taken_out {
            *known = Known { tags: HashSet::new(), taken_out };
        }
        if known.tags.contains(name) {
            return true;
        }
        let taken = self.values.take(pattern, name, most);
        if taken {
            if MOST_KNOWN <= known.tags.len() {
                known.tags.clear();
            }
            known.tags.insert(name.into());
        }
        taken
    }
}

/// What is to be counted: patterns with as many tags as each may have, and which of them a tag belongs to.
pub(crate) trait Counted {
    /// The patterns.
    fn patterns(&self) -> Vec<(String, u64)>;

    /// The pattern of a tag.
    fn pattern_of(&self, tag: &str) -> Option<Box<str>>;
}

/// Reads what gateways have seen, now and then, until asked to stop.
pub(crate) struct Reader {
    values: Arc<Values>,
    /// What was counted last.
    counted: Vec<(String, u64)>,
    /// Looks until everything is read again.
    until_all: u32,
    /// The last look, in milliseconds since 1970.
    looked: i64,
}

impl Reader {
    pub(crate) fn new(values: Arc<Values>) -> Self {
        Self { values, counted: Vec::new(), until_all: 0, looked: 0 }
    }

    /// Looks at the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn look(&mut self, db: &Db, counted: &impl Counted, now: i64) -> Result<(), StoreError> {
        let patterns = counted.patterns();
        let everything = patterns != self.counted || self.until_all == 0;
        if patterns.is_empty() {
            self.values.merge(&[], Vec::new(), true);
            self.counted = patterns;
            return Ok(());
        }
        let since = if everything { i64::MIN } else { self.looked.saturating_sub(LATE) };
        let seen = db.seen_since(since).await?;
        let place = |tag: SeenTag| {
            let of = counted.pattern_of(&tag.tag).filter(|_| !tag.tag.ends_with('*'))?;
            Some((patterns.iter().position(|(pattern, _)| **pattern == *of)?, tag))
        };
        self.values.merge(&patterns, seen.into_iter().filter_map(place).collect(), everything);
        (self.counted, self.looked) = (patterns, now);
        self.until_all = if everything { ALL_AGAIN } else { self.until_all - 1 };
        Ok(())
    }

    /// Looks now and then, until asked to stop.
    pub(crate) async fn keep<C: Counted>(
        mut self,
        db: Db,
        counted: impl Fn() -> C,
        now: impl Fn() -> i64,
        mut stop: Stop,
    ) {
        loop {
            tokio::select! {
                () = stop.asked() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Err(error) = self.look(&db, &counted(), now()).await {
                tracing::debug!(%error, "values of tags cannot be read now");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(tags: &[&str]) -> Vec<(usize, SeenTag)> {
        tags.iter().map(|tag| (0, SeenTag { tag: (*tag).to_owned(), first_at: 0, last_at: 0 })).collect()
    }

    #[test]
    fn the_tags_seen_first_are_those_there_are() {
        let values = Arc::new(Values::default());
        let worker = KnownValues::new(Arc::clone(&values));
        let counted = [("c:*".to_owned(), 3)];
        assert!(worker.take("c:*", "c:own", 3));
        values.merge(&counted, seen(&["c:1"]), true);
        assert!(worker.take("c:*", "c:1", 3) && values.might_take("c:*", "c:2", 3));
        assert!(worker.take("c:*", "c:2", 3));
        assert!(!worker.take("c:*", "c:3", 3) && !values.might_take("c:*", "c:3", 3));
        // Another gateway has stored three that were earlier.
        values.merge(&counted, seen(&["c:4", "c:5"]), false);
        assert!(!worker.take("c:*", "c:4", 3));
        values.merge(&counted, seen(&["c:1", "c:4", "c:5", "c:2"]), true);
        assert!(worker.take("c:*", "c:4", 3) && !worker.take("c:*", "c:own", 3));
        assert!(!worker.take("c:*", "c:2", 3) && worker.take("c:*", "c:5", 3));
        values.merge(&[], Vec::new(), true);
        assert!(values.patterns().is_empty());
    }
}

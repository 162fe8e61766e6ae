//! A Bloom filter: says for certain that an id has never been added, without a lock and in a fixed place.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// 4 million bits: half a megabyte. With 400,000 ids one in 40 strangers is asked about in vain.
const WORDS: usize = 1 << 16;
const HASHES: u32 = 4;

pub(super) struct Filter {
    words: Box<[AtomicU64]>,
    hasher: RandomState,
    any: AtomicBool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            any: AtomicBool::new(false),
        }
    }
}

impl Filter {
    /// The bits of an id: word and mask.
    fn bits(&self, id: &str) -> impl Iterator<Item = (usize, u64)> {
        let hash = self.hasher.hash_one(id);
        // Two halves make as many hashes as needed (Kirsch and Mitzenmacher).
        let (first, second) = (hash as u32, (hash >> 32) as u32 | 1);
        (0..HASHES).map(move |n| {
            let bit = first.wrapping_add(n.wrapping_mul(second));
            ((bit >> 6) as usize % WORDS, 1 << (bit & 63))
        })
    }

    /// Whether any id was ever added.
    pub(super) fn holds_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Adds an id.
    pub(super) fn add(&self, id: &str) {
        self.any.store(true, Ordering::Relaxed);
        for (word, mask) in self.bits(id) {
            self.words[word].fetch_or(mask, Ordering::Relaxed);
        }
    }

    /// Whether the id may have been added.
    pub(super) fn may_hold(&self, id: &str) -> bool {
        self.bits(id).all(|(word, mask)| self.words[word].load(Ordering::Relaxed) & mask != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_added_and_little_else() {
        let filter = Filter::default();
        let ids: Vec<String> = (0..100_000).map(|n| format!("customer-{n}")).collect();
        ids.iter().for_each(|id| filter.add(id));
        assert!(ids.iter().all(|id| filter.may_hold(id)));
        let wrong = (0..100_000).filter(|n| filter.may_hold(&format!("stranger-{n}"))).count();
        assert!(wrong < 1000, "{wrong} of 100,000");
    }
}

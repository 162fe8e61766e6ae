//! A set of deployments of one model group, as bits: deployment *n* of the group (in config order) is bit *n*.
//! Does not know what a deployment is, nor how many the group has.

use std::slice;

/// Some deployments of a model group, by their place in it. Groups of up to 64 need no heap.
///
/// Sets of groups of different sizes may be combined: what is missing counts as absent. Equality is that of the
/// members, not of the room kept for them.
#[derive(Clone)]
pub struct Members(Words);

#[derive(Clone)]
enum Words {
    One(u64),
    Many(Box<[u64]>),
}

impl Members {
    /// No deployment, with room for `size` of them.
    pub fn none(size: usize) -> Self {
        Self(if size <= 64 { Words::One(0) } else { Words::Many(vec![0; size.div_ceil(64)].into()) })
    }

    /// Deployments 0 to `size` - 1.
    pub fn all(size: usize) -> Self {
        (0..size).fold(Self::none(size), |mut all, place| {
            all.insert(place);
            all
        })
    }

    /// The bits, 64 deployments a word, the first deployment lowest.
    pub fn words(&self) -> &[u64] {
        match &self.0 {
            Words::One(word) => slice::from_ref(word),
            Words::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match &mut self.0 {
            Words::One(word) => slice::from_mut(word),
            Words::Many(words) => words,
        }
    }

    /// Adds deployment `place`; makes room where needed.
    pub fn insert(&mut self, place: usize) {
        let at = place / 64;
        if self.words().len() <= at {
            let mut words = self.words().to_vec();
            words.resize((at + 1).max(words.len() * 2), 0);
            self.0 = Words::Many(words.into());
        }
        if let Some(word) = self.words_mut().get_mut(at) {
            *word |= 1 << (place % 64);
        }
    }

    /// Takes deployment `place` out.
    pub fn remove(&mut self, place: usize) {
        if let Some(word) = self.words_mut().get_mut(place / 64) {
            *word &= !(1 << (place % 64));
        }
    }

    /// Whether deployment `place` is in.
    pub fn contains(&self, place: usize) -> bool {
        self.words().get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// Whether nothing is in.
    pub fn is_empty(&self) -> bool {
        self.words().iter().all(|&word| word == 0)
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The first one, in config order.
    pub fn first(&self) -> Option<usize> {
        let (at, word) = self.words().iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(at * 64 + word.trailing_zeros() as usize)
    }

    /// The places of those that are in, in config order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words().iter().enumerate().flat_map(|(at, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }

    /// Keeps only what is in `other` too.
    pub fn keep(&mut self, other: &[u64]) {
        let words = self.words_mut();
        let (both, beyond) = words.split_at_mut(words.len().min(other.len()));
        both.iter_mut().zip(other).for_each(|(word, other)| *word &= other);
        beyond.fill(0);
    }

    /// Takes out whatever is in `other`.
    pub fn drop_all(&mut self, other: &[u64]) {
        for (word, gone) in self.words_mut().iter_mut().zip(other) {
            *word &= !gone;
        }
    }

    /// Adds whatever is in `other`, as far as there is room.
    pub fn add(&mut self, other: &[u64]) {
        for (word, new) in self.words_mut().iter_mut().zip(other) {
            *word |= new;
        }
    }

    /// Empties the set, keeping its room.
    pub fn clear(&mut self) {
        self.words_mut().fill(0);
    }

    /// Whether something is in both.
    pub fn touches(&self, other: &[u64]) -> bool {
        self.words().iter().zip(other).any(|(word, other)| word & other != 0)
    }

    /// Whether everything in `self` is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.words()
            .iter()
            .enumerate()
            .all(|(at, word)| word & !other.words().get(at).copied().unwrap_or(0) == 0)
    }

    /// `self` without what `other` lacks.
    #[must_use]
    pub fn and(&self, other: &[u64]) -> Self {
        let mut both = self.clone();
        both.keep(other);
        both
    }
}

impl Default for Members {
    fn default() -> Self {
        Self::none(0)
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.is_within(other) && other.is_within(self)
    }
}

impl Eq for Members {}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<usize> for Members {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut members = Self::default();
        for place in places {
            members.insert(place);
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(a in prop::collection::btree_set(0..200_usize, 0..40), b in prop::collection::btree_set(0..200_usize, 0..40)) {
            let (left, right): (Members, Members) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(&left.iter().collect::<BTreeSet<_>>(), &a);
            prop_assert_eq!(left.count(), a.len());
            prop_assert_eq!(left.first(), a.first().copied());
            prop_assert_eq!(left.and(right.words()).iter().collect::<BTreeSet<_>>(), &a & &b);
            prop_assert_eq!(left.touches(right.words()), !a.is_disjoint(&b));
            prop_assert_eq!(left.is_within(&right), a.is_subset(&b));
            let mut without = left.clone();
            without.drop_all(right.words());
            prop_assert_eq!(without.iter().collect::<BTreeSet<_>>(), &a - &b);
            let mut with = Members::none(200);
            with.add(left.words());
            with.add(right.words());
            prop_assert_eq!(with.iter().collect::<BTreeSet<_>>(), &a | &b);
            prop_assert_eq!(left == right, a == b);
        }
    }

    #[test]
    fn all_has_exactly_its_size() {
        for size in [0, 1, 63, 64, 65, 128, 129, 300] {
            assert_eq!(Members::all(size).iter().collect::<Vec<_>>(), (0..size).collect::<Vec<_>>());
        }
    }
}

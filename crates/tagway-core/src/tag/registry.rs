//! What the operator says of names of tags and of patterns (`customer:*`), found by a tag's name: the name itself goes
//! before the longest pattern. Finds it without looking at every pattern; knows nothing of what is said.

use super::hash::NameMap;
use super::name::wildcard_stem;

/// Values by name or pattern.
#[derive(Debug, Clone)]
pub(crate) struct Registry<V> {
    names: NameMap<V>,
    /// Sorted by stem.
    patterns: Box<[Pattern<V>]>,
}

#[derive(Debug, Clone)]
struct Pattern<V> {
    /// What comes before the `*`.
    stem: Box<str>,
    /// The place of the longest pattern that covers this one.
    wider: Option<u32>,
    value: V,
}

impl<V> Registry<V> {
    /// What is said of a name, or of the longest pattern that covers it.
    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        self.exactly(name).or_else(|| self.below_pattern(name))
    }

    /// What is said of this very name.
    pub(crate) fn exactly(&self, name: &str) -> Option<&V> {
        if self.names.is_empty() { None } else { self.names.get(name) }
    }

    /// The names that no pattern is.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &V)> {
        self.names.iter().map(|(name, value)| (&**name, value))
    }

    /// Whatever stem covers `name` stands before it, and begins every stem in between: the nearest one before it leads
    /// to all of them.
    fn below_pattern(&self, name: &str) -> Option<&V> {
        let after = self.patterns.partition_point(|pattern| *pattern.stem <= *name);
        let mut pattern = self.patterns.get(after.checked_sub(1)?)?;
        while !name.starts_with(&*pattern.stem) {
            pattern = self.patterns.get(pattern.wider? as usize)?;
        }
        Some(&pattern.value)
    }
}

impl<V> Default for Registry<V> {
    fn default() -> Self {
        Self { names: NameMap::default(), patterns: Box::default() }
    }
}

impl<'n, V> FromIterator<(&'n str, V)> for Registry<V> {
    fn from_iter<T: IntoIterator<Item = (&'n str, V)>>(said: T) -> Self {
        let mut names = NameMap::default();
        let mut patterns: Vec<Pattern<V>> = Vec::new();
        for (name, value) in said {
            match wildcard_stem(name) {
                Some(stem) => patterns.push(Pattern { stem: stem.into(), wider: None, value }),
                None => {
                    names.insert(name.into(), value);
                }
            }
        }
        patterns.sort_by(|one, other| one.stem.cmp(&other.stem));
        patterns.dedup_by(|one, other| one.stem == other.stem);
        let mut open: Vec<usize> = Vec::new();
        for at in 0..patterns.len() {
            while let Some(&last) = open.last()
                && !patterns[at].stem.starts_with(&*patterns[last].stem)
            {
                open.pop();
            }
            patterns[at].wider = open.last().and_then(|&last| u32::try_from(last).ok());
            open.push(at);
        }
        Self { names, patterns: patterns.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tag::name::covers;

    proptest! {
        #[test]
        fn finds_what_a_look_at_everything_finds(
            said in prop::collection::vec("[ab:é]{0,4}\\*?", 0..20), name in "[ab:é]{0,5}\\*?"
        ) {
            let registry: Registry<usize> = said.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
            let exact = said.iter().rposition(|said| *said == name && !said.ends_with('*'));
            let patterns = || said.iter().enumerate().filter(|(_, said)| said.ends_with('*') && covers(said, &name));
            // Of two that are the same the first one.
            let longest = patterns().map(|(_, said)| said.len()).max();
            let pattern = patterns().find(|(_, said)| Some(said.len()) == longest).map(|(at, _)| at);
            prop_assert_eq!(registry.get(&name).copied(), exact.or(pattern));
        }
    }
}

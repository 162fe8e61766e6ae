//! How important a request is by its tags, and how many places of a busy gateway its like may fill. Counts nothing
//! itself: who is in and who waits is the shell's to know.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::{Overload, TagDeclaration};
use crate::tag::name::{covers, wildcard_stem};

/// How important a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// `low`: yields first.
    Low,
    /// `normal`, and every request whose tags say nothing.
    #[default]
    Normal,
    /// `high`: yields last.
    High,
}

impl Priority {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// The declared tags that say how important a request is.
#[derive(Debug, Clone, Default)]
struct Priorities {
    named: HashMap<Box<str>, Priority>,
    /// The longest pattern first.
    patterns: Vec<(Box<str>, Priority)>,
}

impl Priorities {
    fn new(declared: &[TagDeclaration]) -> Self {
        let mut all = Self::default();
        for (tag, priority) in declared.iter().filter_map(|tag| Some((tag, tag.priority?))) {
            if wildcard_stem(&tag.name).is_some() {
                all.patterns.push((tag.name.as_str().into(), priority));
            } else {
                all.named.insert(tag.name.as_str().into(), priority);
            }
        }
        all.patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        all
    }

    /// What a tag says: itself, or the longest pattern over it.
    fn of(&self, tag: &str) -> Option<Priority> {
        let over = || self.patterns.iter().find(|(pattern, _)| covers(pattern, tag));
        self.named.get(tag).copied().or_else(|| Some(over()?.1))
    }

    fn all(&self) -> impl Iterator<Item = Priority> {
        self.named.values().copied().chain(self.patterns.iter().map(|(_, priority)| *priority))
    }
}

/// Who is let into a gateway with a limit of requests in progress.
#[derive(Debug, Clone)]
pub struct Admission {
    /// How many requests are served at a time.
    pub places: u32,
    /// How many requests may wait for one.
    pub queue: u32,
    /// For how long.
    pub wait: Duration,
    priorities: Priorities,
    limits: [u32; Priority::ALL.len()],
}

impl Admission {
    /// What the configuration says; `None` where requests in progress have no limit.
    pub fn new(overload: &Overload, declared: &[TagDeclaration]) -> Option<Self> {
        let Overload { places, queue, wait, low, normal, .. } = *overload;
        let places = places?;
        let priorities = Priorities::new(declared);
        // Nothing is kept for those that do not exist.
        let normal = if priorities.all().any(|one| one == Priority::High) { normal } else { 1.0 };
        let limits = [share(places, low), share(places, normal), places];
        Some(Self { places, queue, wait, priorities, limits })
    }

    /// How many places requests of this priority and lower ones may fill.
    pub fn limit(&self, priority: Priority) -> u32 {
        self.limits[priority as usize]
    }

    /// The priority of a request with these tags: the lowest that any of them declares, so that nobody gains by
    /// carrying more of them.
    pub fn priority<'t>(&self, tags: impl IntoIterator<Item = &'t str>) -> Priority {
        self.declared(tags).unwrap_or_default()
    }

    /// The best that a request can turn out to be which inherits these tags, whatever else it says.
    pub fn best<'t>(&self, inherited: impl IntoIterator<Item = &'t str>) -> Priority {
        let highest = || self.priorities.all().max().unwrap_or_default().max(Priority::default());
        self.declared(inherited).unwrap_or_else(highest)
    }

    fn declared<'t>(&self, tags: impl IntoIterator<Item = &'t str>) -> Option<Priority> {
        tags.into_iter().filter_map(|tag| self.priorities.of(tag)).min()
    }
}

/// A share of the places, one at least.
fn share(places: u32, share: f64) -> u32 {
    // A share is between 0 and 1.
    ((f64::from(places) * share) as u32).clamp(1, places.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admission(tags: &[(&str, Priority)], places: u32) -> Admission {
        let declared: Vec<TagDeclaration> = tags
            .iter()
            .map(|(name, priority)| TagDeclaration {
                name: (*name).to_owned(),
                priority: Some(*priority),
                ..TagDeclaration::default()
            })
            .collect();
        Admission::new(&Overload { places: Some(places), ..Overload::default() }, &declared).unwrap()
    }

    const TAGS: [(&str, Priority); 5] = [
        ("chat", Priority::High),
        ("batch", Priority::Low),
        ("job:*", Priority::Low),
        ("job:urgent:*", Priority::Normal),
        ("job:urgent:now", Priority::High),
    ];

    #[test]
    fn the_lowest_that_a_tag_declares_counts() {
        let admission = admission(&TAGS, 10);
        for (tags, expected) in [
            (&[][..], Priority::Normal),
            (&["other"], Priority::Normal),
            (&["chat", "other"], Priority::High),
            (&["chat", "batch"], Priority::Low),
            (&["job:nightly"], Priority::Low),
            (&["job:urgent:x"], Priority::Normal),
            (&["job:urgent:now"], Priority::High),
        ] {
            assert_eq!(admission.priority(tags.iter().copied()), expected, "{tags:?}");
        }
    }

    #[test]
    fn places_are_kept_only_for_priorities_that_a_tag_declares() {
        let limits = |tags| Priority::ALL.map(|priority| admission(tags, 10).limit(priority));
        assert_eq!(limits(&TAGS), [7, 9, 10]);
        assert_eq!(limits(&TAGS[1..2]), [7, 10, 10]);
        assert_eq!(limits(&[]), [7, 10, 10]);
        assert_eq!(Priority::ALL.map(|priority| admission(&TAGS, 1).limit(priority)), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn more_tags_never_make_a_request_more_important_than_its_best(
            inherited in proptest::collection::vec(0..TAGS.len(), 0..3),
            more in proptest::collection::vec(0..TAGS.len(), 0..3),
        ) {
            let admission = admission(&TAGS, 10);
            let names = |of: &[usize]| -> Vec<&str> { of.iter().map(|at| TAGS[*at].0).collect() };
            let (own, all) = (names(&inherited), names(&[inherited.clone(), more].concat()));
            prop_assert!(admission.priority(all) <= admission.best(own));
        }
    }
}

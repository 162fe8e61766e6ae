//! Limits of rate, by a sliding window: what was used within the last minute, counted in parts of five seconds, must not
//! be more than the limit. A minute's worth may be used at once, and is there again a minute later. Time is an argument, in
//! microseconds since any moment. And which tags have limits.

use std::collections::HashMap;

use crate::config::{Rates, TagDeclaration};
use crate::tag::name::{covers, wildcard_stem};

/// A minute in microseconds.
const MINUTE: u64 = 60_000_000;

/// A minute is counted in so many parts.
pub const SLOTS: usize = 12;
const SLOT: u64 = MINUTE / SLOTS as u64;

/// What was used of a limit within the last minute, in parts of five seconds from the first use on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// When the newest part began, in microseconds; of no meaning without counts.
    pub begun: u64,
    /// Units by part, the newest first.
    pub counts: [u64; SLOTS],
}

impl Window {
    /// The same at `now`: what is a minute old is forgotten.
    #[must_use]
    pub fn at(mut self, now: u64) -> Self {
        let steps = now.saturating_sub(self.begun) / SLOT;
        let gone = usize::try_from(steps).unwrap_or(SLOTS).min(SLOTS);
        if 0 < gone {
            self.counts.copy_within(..SLOTS - gone, gone);
            self.counts[..gone].fill(0);
            self.begun = self.begun.saturating_add(steps.saturating_mul(SLOT));
        }
        if self.counts == [0; SLOTS] {
            self.begun = now;
        }
        self
    }

    /// How many units count at `now`.
    pub fn used(self, now: u64) -> u64 {
        self.at(now).counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Counts `units`.
    #[must_use]
    pub fn charge(self, units: u64, now: u64) -> Self {
        let mut next = self.at(now);
        next.counts[0] = next.counts[0].saturating_add(units);
        next
    }

    /// One of so many equal parts of what was used.
    #[must_use]
    pub fn part(self, of: u64) -> Self {
        Self { counts: self.counts.map(|count| count.div_ceil(of.max(1))), ..self }
    }

    /// Whichever of the two has more used.
    #[must_use]
    pub fn or_more(self, other: Self, now: u64) -> Self {
        if other.counts != [0; SLOTS] && self.used(now) < other.used(now) { other } else { self }
    }
}

/// So many units a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMinute(pub u64);

impl PerMinute {
    /// Takes `units` at `now`.
    ///
    /// # Errors
    /// They are not there yet: how many microseconds until they are.
    pub fn take(self, window: Window, units: u64, now: u64) -> Result<Window, u64> {
        let mut window = window.at(now);
        if units <= self.left(window, now) {
            window.counts[0] = window.counts[0].saturating_add(units);
            Ok(window)
        } else {
            Err(self.wait(window, units, now))
        }
    }

    /// Takes up to `wanted` units at `now`, as many as are there. Gives how many, and what is used then.
    ///
    /// # Errors
    /// Not even one is there: how many microseconds until it is.
    pub fn take_some(self, window: Window, wanted: u64, now: u64) -> Result<(u64, Window), u64> {
        let units = wanted.min(self.left(window, now));
        if units == 0 { Err(self.wait(window, 1, now)) } else { Ok((units, window.charge(units, now))) }
    }

    /// Whether anything is left at `now`: for units that are counted afterwards.
    ///
    /// # Errors
    /// Nothing is: how many microseconds until there is.
    pub fn open(self, window: Window, now: u64) -> Result<(), u64> {
        if 0 < self.left(window, now) { Ok(()) } else { Err(self.wait(window, 1, now)) }
    }

    /// How many units are left at `now`.
    pub fn left(self, window: Window, now: u64) -> u64 {
        self.0.saturating_sub(window.used(now))
    }

    /// The time until so many units are there, if nothing else is used.
    fn wait(self, window: Window, units: u64, now: u64) -> u64 {
        let Some(room) = self.0.checked_sub(units) else { return MINUTE };
        let window = window.at(now);
        let mut over = window.used(now).saturating_sub(room);
        let mut forgotten = window.begun.saturating_add(SLOT);
        for count in window.counts.iter().rev() {
            if over <= *count {
                return forgotten.saturating_sub(now).max(1);
            }
            over -= count;
            forgotten = forgotten.saturating_add(SLOT);
        }
        MINUTE
    }
}

/// The declared tags with limits of rate.
#[derive(Debug, Clone, Default)]
pub struct LimitedTags {
    named: HashMap<Box<str>, Rates>,
    /// Patterns: each tag under one has the whole of its limits.
    patterns: Vec<(Box<str>, Rates)>,
}

impl LimitedTags {
    /// Those with limits among the declared ones.
    pub fn new(declared: &[TagDeclaration]) -> Self {
        declared.iter().map(|tag| (tag.name.as_str(), tag.rates)).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.patterns.is_empty()
    }

    /// What holds for a tag, with the name that declares it: its own limits, and those of each pattern over it.
    pub fn of<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = (&'a str, Rates)> {
        let own = self.named.get(tag).map(|rates| (tag, *rates));
        let over = self.patterns.iter().filter(move |(pattern, _)| covers(pattern, tag));
        own.into_iter().chain(over.map(|(pattern, rates)| (&**pattern, *rates)))
    }
}

impl<'a> FromIterator<(&'a str, Rates)> for LimitedTags {
    fn from_iter<T: IntoIterator<Item = (&'a str, Rates)>>(tags: T) -> Self {
        let mut all = Self::default();
        for (name, rates) in tags.into_iter().filter(|(_, rates)| rates.any()) {
            if wildcard_stem(name).is_some() {
                all.patterns.push((name.into(), rates));
            } else {
                all.named.insert(name.into(), rates);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: Window = Window { begun: 0, counts: [0; SLOTS] };

    #[test]
    fn a_minutes_worth_may_be_used_at_once_and_is_there_again_a_minute_later() {
        let limit = PerMinute(4);
        let three = limit.take(NONE, 3, 7).unwrap();
        let all = limit.take(three, 1, 7 + SLOT * 5 / 2).unwrap();
        assert_eq!((limit.left(NONE, 7), limit.left(three, 7), limit.left(all, 7 + 3 * SLOT)), (4, 1, 0));
        assert_eq!(limit.take(all, 3, 7 + 3 * SLOT), Err(9 * SLOT));
        assert_eq!((limit.left(all, 6 + MINUTE), limit.left(all, 7 + MINUTE)), (0, 3));
        // To five seconds: the part that holds it began a little before.
        assert_eq!(limit.take(all, 4, 7 + MINUTE), Err(2 * SLOT));
        assert_eq!(limit.left(all, 7 + MINUTE + 2 * SLOT), 4);
        assert_eq!(limit.take(all, 5, 7), Err(MINUTE), "never");
        assert_eq!(PerMinute(0).take(NONE, 1, 5), Err(MINUTE));
        assert_eq!(PerMinute(0).open(NONE, 5), Err(MINUTE));
    }

    #[test]
    fn what_is_counted_afterwards_closes_until_it_is_forgotten() {
        let limit = PerMinute(100);
        assert_eq!(limit.open(NONE, 0), Ok(()));
        let used = NONE.charge(250, 3);
        assert_eq!((limit.open(used, 3), limit.open(used, 3 + MINUTE)), (Err(MINUTE), Ok(())));
    }

    #[test]
    fn a_changed_limit_keeps_what_was_used() {
        let used = NONE.charge(3, 0);
        assert_eq!([4, 10, 2].map(|limit| PerMinute(limit).left(used, 0)), [1, 7, 0]);
    }

    #[test]
    fn under_a_steady_load_every_minute_gives_the_limit() {
        let (limit, step) = (PerMinute(600), 10_000);
        let (mut window, mut taken) = (NONE, Vec::new());
        for now in (0..10 * MINUTE).step_by(step) {
            if let Ok(next) = limit.take(window, 1, now) {
                window = next;
                taken.push(now);
            }
        }
        let within = |from: u64| taken.iter().filter(|time| (from..from + MINUTE).contains(*time)).count();
        for from in (0..9 * MINUTE).step_by(1_700_000) {
            assert_eq!(within(from), 600, "{from}");
        }
    }

    fn window() -> impl Strategy<Value = Window> {
        let count = || prop_oneof![3 => Just(0u64), 2 => 1u64..1000, 1 => 1u64..2_000_000_000];
        (0..3 * MINUTE, proptest::array::uniform12(count()))
            .prop_map(|(begun, counts)| Window { begun, counts })
    }

    proptest! {
        #[test]
        fn a_wait_is_as_long_as_it_must_be(
            limit in 1u64..1_000_000, window in window(), units in 1u64..1000, now in 3 * MINUTE..4 * MINUTE
        ) {
            let limit = PerMinute(limit);
            match limit.take(window, units, now) {
                Ok(next) => prop_assert!(next.used(now) <= limit.0),
                Err(wait) if units <= limit.0 => {
                    prop_assert!(limit.take(window, units, now + wait).is_ok());
                    prop_assert!(limit.take(window, units, now + wait - 1).is_err());
                }
                Err(_) => {}
            }
        }

        #[test]
        fn as_many_are_taken_as_are_there(
            limit in 0u64..1_000_000_000, window in window(), wanted in 1u64..1_000_000
        ) {
            let (limit, now) = (PerMinute(limit), 3 * MINUTE);
            match limit.take_some(window, wanted, now) {
                Ok((taken, next)) => {
                    prop_assert!((1..=wanted).contains(&taken));
                    prop_assert_eq!(limit.take(window, taken, now), Ok(next));
                    prop_assert!(taken == wanted || limit.left(next, now) == 0);
                }
                Err(wait) => prop_assert_eq!(limit.take(window, 1, now), Err(wait)),
            }
        }

        #[test]
        fn no_55_seconds_give_more_than_the_limit(
            limit in 1u64..200, gaps in proptest::collection::vec(0u64..2_000_000, 1..400)
        ) {
            let (mut window, mut now, mut taken) = (NONE, 5, Vec::new());
            for gap in gaps {
                now += gap;
                if let Ok(next) = PerMinute(limit).take(window, 1, now) {
                    window = next;
                    taken.push(now);
                }
            }
            for (at, begin) in taken.iter().enumerate() {
                let end = begin + MINUTE - SLOT;
                let within = taken[at..].iter().filter(|time| **time < end).count() as u64;
                prop_assert!(within <= limit);
            }
        }
    }
}

//! Limits of rate, by a sliding window: what was used within the last minute must not be more than the limit. Two counts
//! are the whole state: units of the minute before fade evenly, as though they had come so. A minute's worth may be used
//! at once. Time is an argument, in microseconds since any moment. And which tags have limits.

use std::collections::HashMap;

use crate::config::{Rates, TagDeclaration};
use crate::tag::name::{covers, wildcard_stem};

/// A minute in microseconds.
const MINUTE: u64 = 60_000_000;

/// What was used of a limit of late: this minute's count and that of the minute before, each a minute from the first
/// use on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// When this minute began, in microseconds; of no meaning without counts.
    pub begun: u64,
    /// Units of the minute before.
    pub before: u64,
    /// Units of this one.
    pub count: u64,
}

impl Window {
    /// The same at `now`: minutes that have passed are over.
    #[must_use]
    pub fn at(self, now: u64) -> Self {
        let Self { begun, count, .. } = self;
        let age = now.saturating_sub(begun);
        let rolled = if age < MINUTE {
            self
        } else if age < 2 * MINUTE {
            Self { begun: begun + MINUTE, before: count, count: 0 }
        } else {
            Self::default()
        };
        if rolled.before == 0 && rolled.count == 0 { Self { begun: now, ..rolled } } else { rolled }
    }

    /// How many units count at `now`: all of this minute's, and of the one before what would be left of it had they come
    /// evenly.
    pub fn used(self, now: u64) -> u64 {
        let Self { begun, before, count } = self.at(now);
        let faded = share(before, now.saturating_sub(begun), MINUTE);
        count.saturating_add(before - faded.min(before))
    }

    /// Counts `units`.
    #[must_use]
    pub fn charge(self, units: u64, now: u64) -> Self {
        let rolled = self.at(now);
        Self { count: rolled.count.saturating_add(units), ..rolled }
    }

    /// One of so many equal parts of what was used.
    #[must_use]
    pub fn part(self, of: u64) -> Self {
        let of = of.max(1);
        Self { before: self.before.div_ceil(of), count: self.count.div_ceil(of), ..self }
    }

    /// Whichever of the two has more used.
    #[must_use]
    pub fn or_more(self, other: Self, now: u64) -> Self {
        if self.used(now) < other.used(now) { other } else { self }
    }
}

/// `number * times / of`, rounded down.
fn share(number: u64, times: u64, of: u64) -> u64 {
    u64::try_from(u128::from(number) * u128::from(times) / u128::from(of)).unwrap_or(u64::MAX)
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
        if units <= self.left(window, now) {
            Ok(window.charge(units, now))
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
        let Window { begun, before, count } = window.at(now);
        let age = now.saturating_sub(begun).min(MINUTE);
        // The age of a minute at which no more than `room` is left of the one before.
        let fades = |before: u64, room: u64| match before.checked_sub(room) {
            None | Some(0) => 0,
            Some(over) => {
                let age = (u128::from(over) * u128::from(MINUTE)).div_ceil(u128::from(before.max(1)));
                u64::try_from(age).unwrap_or(MINUTE).min(MINUTE)
            }
        };
        match room.checked_sub(count) {
            Some(room) => fades(before, room).saturating_sub(age).max(1),
            None => MINUTE - age + fades(count, room),
        }
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

    const NONE: Window = Window { begun: 0, before: 0, count: 0 };

    #[test]
    fn a_minutes_worth_may_be_used_at_once_and_fades_over_the_next() {
        let limit = PerMinute(4);
        let all = limit.take(NONE, 4, 7).unwrap();
        assert_eq!((limit.left(NONE, 7), limit.left(all, 7)), (4, 0));
        // A minute later the first quarter of them begins to fade, and is gone a quarter of a minute later.
        assert_eq!(limit.take(all, 1, 7), Err(MINUTE * 5 / 4));
        assert_eq!(limit.left(all, 6 + MINUTE), 0);
        assert_eq!(limit.left(all, 7 + MINUTE * 5 / 4), 1);
        assert_eq!(limit.left(all, 7 + 2 * MINUTE), 4);
        assert_eq!(limit.take(all, 5, 7), Err(MINUTE), "never");
        assert_eq!(PerMinute(0).take(NONE, 1, 5), Err(MINUTE));
        assert_eq!(PerMinute(0).open(NONE, 5), Err(MINUTE));
    }

    #[test]
    fn what_is_counted_afterwards_closes_until_it_has_faded() {
        let limit = PerMinute(100);
        assert_eq!(limit.open(NONE, 0), Ok(()));
        let used = NONE.charge(250, 0);
        let wait = limit.open(used, 0).unwrap_err();
        assert_eq!(wait, MINUTE + (MINUTE * 151).div_ceil(250));
        assert!(limit.open(used, wait - 1).is_err() && limit.open(used, wait).is_ok());
    }

    #[test]
    fn a_changed_limit_keeps_what_was_used() {
        let used = NONE.charge(3, 0);
        assert_eq!(
            (PerMinute(4).left(used, 0), PerMinute(10).left(used, 0), PerMinute(2).left(used, 0)),
            (1, 7, 0)
        );
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
        assert_eq!(within(0), 600);
        for from in (0..9 * MINUTE).step_by(1_700_000) {
            assert!(within(from) <= 601, "{from}: {}", within(from));
        }
        for from in (2 * MINUTE..9 * MINUTE).step_by(1_700_000) {
            assert!((590..=601).contains(&within(from)), "{from}: {}", within(from));
        }
    }

    fn window() -> impl Strategy<Value = Window> {
        let count = || prop_oneof![Just(0u64), 1u64..1000, 1u64..2_000_000_000];
        (0..3 * MINUTE, count(), count()).prop_map(|(begun, before, count)| Window { begun, before, count })
    }

    proptest! {
        #[test]
        fn a_wait_is_as_long_as_it_must_be(
            limit in 1u64..1_000_000, window in window(), units in 1u64..1000, now in 3 * MINUTE..6 * MINUTE
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
        fn no_minute_from_the_first_use_on_gives_more_than_the_limit(
            limit in 1u64..200, gaps in proptest::collection::vec(0u64..2_000_000, 1..400)
        ) {
            let (mut window, mut now, mut taken) = (NONE, 5, 0);
            for gap in gaps {
                now += gap;
                if now < 5 + MINUTE && let Ok(next) = PerMinute(limit).take(window, 1, now) {
                    window = next;
                    taken += 1;
                }
            }
            prop_assert!(taken <= limit);
        }
    }
}

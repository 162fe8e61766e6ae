//! Limits of rate, as a generic cell rate algorithm: a minute's worth may be used at once, and comes back evenly.
//! One number is the whole state; time is an argument, in microseconds since any moment. And which tags have some.

use std::collections::HashMap;

use crate::config::{Rates, TagDeclaration};
use crate::tag::name::{covers, wildcard_stem};

/// A minute in microseconds.
const MINUTE: u64 = 60_000_000;

/// So many units a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMinute(pub u64);

impl PerMinute {
    /// Takes `units` at `now`. `state` is what the last call gave, 0 at first.
    ///
    /// # Errors
    /// They are not there yet: how many microseconds until they are. `state` stays as it is.
    pub fn take(self, state: u64, units: u64, now: u64) -> Result<u64, u64> {
        let next = self.charge(state, units, now);
        match next.checked_sub(now.saturating_add(MINUTE)) {
            None | Some(0) => Ok(next),
            Some(wait) => Err(wait.min(MINUTE)),
        }
    }

    /// Takes up to `wanted` units at `now`, as many as are there. Gives how many, and the next state.
    ///
    /// # Errors
    /// Not even one is there: how many microseconds until it is.
    pub fn take_some(self, state: u64, wanted: u64, now: u64) -> Result<(u64, u64), u64> {
        // One may fit where what is left is less than one by rounding.
        let units = wanted.min(self.left(state, now).max(1));
        Ok((units, self.take(state, units, now)?))
    }

    /// Whether anything is left at `now`: for units that are counted afterwards.
    ///
    /// # Errors
    /// Nothing is: how many microseconds until there is.
    pub fn open(self, state: u64, now: u64) -> Result<(), u64> {
        if self.0 == 0 {
            return Err(MINUTE);
        }
        match state.checked_sub(now.saturating_add(MINUTE)) {
            None => Ok(()),
            Some(over) => Err(over.saturating_add(1)),
        }
    }

    /// Counts `units`, be they there or not.
    pub fn charge(self, state: u64, units: u64, now: u64) -> u64 {
        let cost = u128::from(units) * u128::from(MINUTE);
        let cost = cost.checked_div(u128::from(self.0)).unwrap_or(u128::from(2 * MINUTE));
        state.max(now).saturating_add(u64::try_from(cost).unwrap_or(u64::MAX))
    }

    /// The state that means for this limit what `state` means for another one: as many units used.
    pub fn after(self, other: Self, state: u64, now: u64) -> u64 {
        let used = u128::from(state.saturating_sub(now)) * u128::from(other.0);
        let rest = used.checked_div(u128::from(self.0)).unwrap_or(0);
        now.saturating_add(u64::try_from(rest).unwrap_or(u64::MAX))
    }

    /// How many units are left at `now`.
    pub fn left(self, state: u64, now: u64) -> u64 {
        let free = now.saturating_add(MINUTE).saturating_sub(state.max(now));
        u64::try_from(u128::from(free) * u128::from(self.0) / u128::from(MINUTE)).unwrap_or(u64::MAX)
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

    #[test]
    fn a_minutes_worth_may_be_used_at_once_and_comes_back_evenly() {
        let limit = PerMinute(2);
        let one = limit.take(0, 1, 0).unwrap();
        let two = limit.take(one, 1, 0).unwrap();
        assert_eq!(limit.take(two, 1, 0), Err(MINUTE / 2));
        assert_eq!((limit.left(0, 0), limit.left(one, 0), limit.left(two, 0)), (2, 1, 0));
        assert!(limit.take(two, 1, MINUTE / 2).is_ok());
        assert_eq!(PerMinute(0).take(0, 1, 5), Err(MINUTE));
        assert_eq!(PerMinute(0).open(0, 5), Err(MINUTE));
    }

    #[test]
    fn what_is_counted_afterwards_closes_until_it_has_come_back() {
        let limit = PerMinute(100);
        assert_eq!(limit.open(0, 0), Ok(()));
        let state = limit.charge(0, 250, 0);
        assert_eq!(limit.open(state, 0), Err(MINUTE * 3 / 2 + 1));
        assert_eq!(limit.open(state, MINUTE * 3 / 2 + 1), Ok(()));
    }

    #[test]
    fn a_changed_limit_keeps_what_was_used() {
        let state = PerMinute(4).charge(0, 3, 0);
        let state = PerMinute(10).after(PerMinute(4), state, 0);
        assert_eq!(PerMinute(10).left(state, 0), 7);
    }

    proptest! {
        #[test]
        fn as_many_are_taken_as_are_there(
            limit in 0u64..1_000_000_000, used in 0u64..2 * MINUTE, wanted in 1u64..1_000_000
        ) {
            let limit = PerMinute(limit);
            match limit.take_some(used, wanted, 1) {
                Ok((taken, next)) => {
                    prop_assert!((1..=wanted).contains(&taken) && next <= 1 + MINUTE);
                    prop_assert_eq!(limit.take(used, taken, 1), Ok(next));
                    if taken < wanted {
                        prop_assert!(limit.take(next, 1, 1).is_err() || MINUTE < limit.0);
                    }
                }
                Err(wait) => prop_assert_eq!(limit.take(used, 1, 1), Err(wait)),
            }
        }

        #[test]
        fn no_minute_gives_more_than_twice_the_limit(
            limit in 1u64..200, gaps in proptest::collection::vec(0u64..5_000_000, 1..400)
        ) {
            let (mut state, mut now, mut taken) = (0, 0, Vec::new());
            for gap in gaps {
                now += gap;
                if let Ok(next) = PerMinute(limit).take(state, 1, now) {
                    state = next;
                    taken.push(now);
                }
            }
            for (at, begin) in taken.iter().enumerate() {
                let within = taken[at..].iter().filter(|time| **time < begin + MINUTE).count() as u64;
                prop_assert!(within <= 2 * limit);
            }
        }
    }
}

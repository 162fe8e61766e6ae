//! What a budget admits, and what counts against it: amounts that end at a time, partly known to the store and partly
//! not told to it yet. Time is an argument, in milliseconds since 1970; windows and payers are somebody else's.

use crate::money::Nanos;

/// The end of what never stops to count.
pub const NEVER: i64 = i64::MAX;

/// Whether a budget of `max`, of which `used` is spent or held, lets a request in that may cost `hold`. By default
/// the last cents can be used: a request is let in while anything is left. With `strict` it must fit.
pub fn admits(used: Nanos, hold: Nanos, max: Nanos, strict: bool) -> bool {
    used < max && (!strict || used + hold <= max)
}

/// Amounts that count until the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    until: i64,
    /// What the store has counted.
    base: Nanos,
    /// What was settled here and is not in `base` yet.
    unshipped: Nanos,
}

/// What counts against one budget.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// By their ends.
    slots: Vec<Slot>,
    /// When amounts without an end end, if the budget has windows nevertheless.
    endless: Option<i64>,
}

impl Slots {
    /// Says when amounts without an end of their own end: never, unless the budget has windows.
    pub fn endless(&mut self, until: Option<i64>) {
        self.endless = until;
    }

    fn end(&self, until: i64) -> i64 {
        if until == NEVER { self.endless.unwrap_or(NEVER) } else { until }
    }

    fn slot(&mut self, until: i64) -> &mut Slot {
        let at = match self.slots.binary_search_by_key(&until, |slot| slot.until) {
            Ok(at) => at,
            Err(at) => {
                self.slots.insert(at, Slot { until, ..Slot::default() });
                at
            }
        };
        &mut self.slots[at]
    }

    /// An amount was spent here.
    pub fn spend(&mut self, until: i64, amount: Nanos) {
        self.slot(until).unshipped += amount;
    }

    /// An amount that was spent here is in the store now.
    pub fn shipped(&mut self, until: i64, amount: Nanos) {
        // What was not noted here was spent before the budget was known.
        if let Ok(at) = self.slots.binary_search_by_key(&until, |slot| slot.until) {
            let slot = &mut self.slots[at];
            slot.unshipped = (slot.unshipped - amount).max(Nanos::ZERO);
        }
    }

    /// What the store has counted until a time.
    pub fn counted(&mut self, until: i64, amount: Nanos) {
        self.slot(until).base = amount;
    }

    /// All that the store has counted.
    pub fn replace(&mut self, counted: impl IntoIterator<Item = (i64, Nanos)>) {
        for slot in &mut self.slots {
            slot.base = Nanos::ZERO;
        }
        for (until, amount) in counted {
            self.slot(until).base = amount;
        }
    }

    /// Forgets what counts no more.
    pub fn forget(&mut self, now: i64) {
        // What has no end of its own is kept: the end it is given may be moved.
        self.slots
            .retain(|slot| now < slot.until && (slot.base != Nanos::ZERO || slot.unshipped != Nanos::ZERO));
    }

    /// What counts at `now`.
    pub fn total(&self, now: i64) -> Nanos {
        let counting = self.slots.iter().filter(|slot| now < self.end(slot.until));
        counting.map(|slot| slot.base + slot.unshipped).sum()
    }

    /// What counts at `now`, by its end.
    pub fn known(&self, now: i64) -> Vec<(i64, Nanos)> {
        let mut known: Vec<(i64, Nanos)> = Vec::new();
        for slot in self.slots.iter().filter(|slot| now < self.end(slot.until)) {
            let (end, amount) = (self.end(slot.until), slot.base + slot.unshipped);
            match known.iter_mut().find(|(until, _)| *until == end) {
                Some((_, sum)) => *sum += amount,
                None => known.push((end, amount)),
            }
        }
        known
    }

    /// What counts at `now` and is not in the store.
    pub fn unshipped(&self, now: i64) -> Nanos {
        let counting = self.slots.iter().filter(|slot| now < self.end(slot.until));
        counting.map(|slot| slot.unshipped).sum()
    }

    /// When the first amount that counts at `now` ends.
    pub fn next_end(&self, now: i64) -> i64 {
        let ends = self.slots.iter().map(|slot| self.end(slot.until));
        ends.filter(|end| now < *end).min().unwrap_or(NEVER)
    }

    /// Whether nothing counts, now or later.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_cents_can_be_used_unless_the_budget_is_strict() {
        let dollars = |dollars| Nanos::from_dollars(dollars);
        assert!(admits(dollars(0.9), dollars(5.0), dollars(1.0), false));
        assert!(!admits(dollars(0.9), dollars(5.0), dollars(1.0), true));
        assert!(admits(dollars(0.5), dollars(0.5), dollars(1.0), true));
        assert!(!admits(dollars(1.0), Nanos::ZERO, dollars(1.0), false));
        assert!(!admits(Nanos::ZERO, Nanos::ZERO, Nanos::ZERO, true));
    }

    #[test]
    fn what_has_no_end_ends_where_the_budget_says() {
        let mut slots = Slots::default();
        slots.counted(NEVER, Nanos(5));
        assert_eq!((slots.total(100), slots.next_end(100)), (Nanos(5), NEVER));
        slots.endless(Some(200));
        assert_eq!((slots.total(199), slots.next_end(100)), (Nanos(5), 200));
        assert_eq!(slots.total(200), Nanos::ZERO);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Spend(i64, i64),
        /// Tells the store of the oldest spending it does not know.
        Ship,
        Read,
        Pass(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1i64..50, 0i64..100).prop_map(|(length, amount)| Step::Spend(length, amount)),
            3 => Just(Step::Ship),
            1 => Just(Step::Read),
            2 => (0i64..20).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn the_total_is_what_a_naive_sum_says(steps in proptest::collection::vec(step(), 1..120)) {
            let (mut slots, mut now) = (Slots::default(), 0i64);
            let mut all: Vec<(i64, i64)> = Vec::new();
            let mut waiting: std::collections::VecDeque<(i64, i64)> = std::collections::VecDeque::new();
            let mut store: std::collections::BTreeMap<i64, i64> = std::collections::BTreeMap::new();
            for step in steps {
                match step {
                    Step::Spend(length, amount) => {
                        // Ends are shared, as those of windows are.
                        let until = (now + length) / 10 * 10 + 10;
                        slots.spend(until, Nanos(amount));
                        all.push((until, amount));
                        waiting.push_back((until, amount));
                    }
                    Step::Ship => if let Some((until, amount)) = waiting.pop_front() {
                        let sum = store.entry(until).or_default();
                        *sum += amount;
                        slots.shipped(until, Nanos(amount));
                        slots.counted(until, Nanos(*sum));
                    },
                    Step::Read => slots.replace(store.iter().map(|(until, sum)| (*until, Nanos(*sum)))),
                    Step::Pass(time) => {
                        now += time;
                        slots.forget(now);
                    }
                }
                let sum = |all: &mut dyn Iterator<Item = &(i64, i64)>| -> i64 {
                    all.filter(|(until, _)| now < *until).map(|(_, amount)| amount).sum()
                };
                prop_assert_eq!(slots.total(now), Nanos(sum(&mut all.iter())));
                prop_assert_eq!(slots.unshipped(now), Nanos(sum(&mut waiting.iter())));
            }
            slots.forget(i64::MAX - 1);
            prop_assert!(slots.is_empty());
        }
    }
}

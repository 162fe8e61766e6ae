//! One payer's budget while requests run. What is spent and held is one number, which a request adds its hold to if
//! the budget admits it and which its cost takes the place of the hold in, so that no order of events lets more in than
//! there is room for. Amounts end by themselves, with their window.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tagway_core::budget::{NEVER, Slots, admits};
use tagway_core::money::Nanos;

use super::House;
use super::terms::Terms;
use crate::alerts::Crossed;
use crate::objects::Limits;
use crate::receipt::{Booking, Payer};

/// What a request may cost: as it probably will, and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub(crate) probable: Nanos,
    pub(crate) most: Nanos,
    /// What was probable before experience corrected it.
    pub(crate) guess: Nanos,
}

/// A budget that is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) payer: Payer,
    pub(crate) id: Box<str>,
    /// How messages name the payer, if not by its id.
    pub(crate) name: Option<Box<str>>,
    /// What was spent, and is held by requests in progress.
    pub(crate) used: Nanos,
    pub(crate) max: Nanos,
    /// In so many milliseconds there may be room again.
    pub(crate) wait: Option<i64>,
}

/// A payer's spend, and its budget if it has one.
#[derive(Debug)]
pub(crate) struct Account {
    payer: Payer,
    id: Box<str>,
    house: Arc<House>,
    terms: ArcSwap<Terms>,
    /// What was spent and counts, and what requests in progress hold: all that admission looks at.
    used: AtomicI64,
    /// What was spent and counts.
    spent: AtomicI64,
    /// When the first amount ends.
    ends: AtomicI64,
    /// When the window ends that was looked at last.
    window: AtomicI64,
    /// Until when it has been told that the soft budget is crossed, and the budget itself.
    told: [AtomicI64; 2],
    slots: Mutex<Slots>,
}

impl Account {
    pub(super) fn new(payer: Payer, id: Box<str>, terms: Terms, house: Arc<House>) -> Self {
        Self {
            payer,
            id,
            house,
            terms: ArcSwap::from_pointee(terms),
            used: AtomicI64::new(0),
            spent: AtomicI64::new(0),
            ends: AtomicI64::new(NEVER),
            window: AtomicI64::new(0),
            told: Default::default(),
            slots: Mutex::default(),
        }
    }

    pub(crate) fn payer(&self) -> Payer {
        self.payer
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What was spent.
    pub(crate) fn spent(&self, now: i64) -> Nanos {
        self.turn_over(now);
        Nanos(self.spent.load(Ordering::Acquire))
    }

    /// Its budget, as objects have it.
    pub(crate) fn limits(&self) -> Limits {
        self.terms.load().limits_of_object()
    }

    /// What may be spent.
    pub(crate) fn max(&self, now: i64) -> Option<Nanos> {
        self.terms.load().max(now)
    }

    /// What requests in progress hold.
    pub(crate) fn held(&self, now: i64) -> Nanos {
        let spent = self.spent(now);
        (Nanos(self.used.load(Ordering::Acquire)) - spent).max(Nanos::ZERO)
    }

    /// When the budget begins anew, or some of it where its window rolls along; none where it never does.
    pub(crate) fn begins_anew(&self, now: i64) -> Option<i64> {
        self.turn_over(now);
        let terms = self.terms.load();
        let window = terms.window.as_ref()?;
        let end =
            if window.is_calendar() { self.until(&terms, now) } else { self.ends.load(Ordering::Acquire) };
        (end != NEVER).then_some(end)
    }

    /// Whether a request would be let in.
    pub(crate) fn check(&self, estimate: Estimate, now: i64) -> Result<(), Exceeded> {
        self.turn_over(now);
        let terms = self.terms.load();
        let Some(max) = terms.max(now) else { return Ok(()) };
        let strict = terms.strict.unwrap_or_else(|| self.house.is_strict());
        let used = Nanos(self.used.load(Ordering::Acquire));
        let hold = if strict { estimate.most } else { estimate.probable };
        if admits(used, hold, max, strict) { Ok(()) } else { Err(self.exceeded(&terms, used, max, now)) }
    }

    /// Lets a request in, which holds what it is estimated to cost until it has been settled or dropped.
    ///
    /// # Errors
    /// The budget has no room for it. Who is refused takes no room from others.
    pub(crate) fn reserve(self: &Arc<Self>, estimate: Estimate, now: i64) -> Result<Hold, Exceeded> {
        self.turn_over(now);
        let terms = self.terms.load();
        let Some(max) = terms.max(now) else {
            return Ok(Hold { account: Arc::clone(self), amount: Nanos::ZERO });
        };
        let strict = terms.strict.unwrap_or_else(|| self.house.is_strict());
        let amount = if strict { estimate.most } else { estimate.probable };
        let take = |used| admits(Nanos(used), amount, max, strict).then(|| (Nanos(used) + amount).0);
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) {
            Ok(_) => Ok(Hold { account: Arc::clone(self), amount }),
            Err(used) => Err(self.exceeded(&terms, Nanos(used), max, now)),
        }
    }

    fn exceeded(&self, terms: &Terms, used: Nanos, max: Nanos, now: i64) -> Exceeded {
        let spent = Nanos(self.spent.load(Ordering::Acquire));
        let wait = if spent < max && max != Nanos::ZERO {
            // Requests in progress hold the rest, and may cost less.
            Some(1000)
        } else {
            let end = if terms.window.is_some() { self.ends.load(Ordering::Acquire) } else { NEVER };
            (end != NEVER).then(|| end.saturating_sub(now).max(0))
        };
        Exceeded { payer: self.payer, id: self.id.clone(), name: terms.name.clone(), used, max, wait }
    }

    /// Lets amounts end whose time has come.
    fn turn_over(&self, now: i64) {
        if self.ends.load(Ordering::Acquire) <= now {
            let mut slots = self.slots();
            slots.forget(now);
            self.publish(&slots, Nanos::ZERO, now);
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes known what counts now, and that a hold is free.
    fn publish(&self, slots: &Slots, freed: Nanos, now: i64) {
        let total = slots.total(now);
        // Only who has the slots changes it.
        let before = Nanos(self.spent.swap(total.0, Ordering::AcqRel));
        self.ends.store(slots.next_end(now), Ordering::Release);
        self.used.fetch_add((total - before - freed).0, Ordering::AcqRel);
    }

    /// Until when an amount counts that is spent now.
    fn until(&self, terms: &Terms, now: i64) -> i64 {
        let Some(window) = &terms.window else { return NEVER };
        if !window.is_calendar() {
            return window.until(now);
        }
        let known = self.window.load(Ordering::Acquire);
        if now < known {
            return known;
        }
        let until = window.until(now);
        self.window.store(until, Ordering::Release);
        until
    }

    /// Puts what a request cost in place of what it held; says where it counts.
    fn settle(&self, hold: Nanos, cost: Nanos, now: i64) -> Booking {
        let terms = self.terms.load();
        let until = self.until(&terms, now);
        let mut slots = self.slots();
        if Nanos::ZERO < cost {
            slots.spend(until, cost);
        }
        slots.forget(now);
        self.publish(&slots, hold, now);
        drop(slots);
        self.tell(&terms, now);
        Booking { payer: self.payer, id: self.id.clone(), until }
    }

    /// Tells once in a window that the soft budget is crossed, and once that the budget is.
    fn tell(&self, terms: &Terms, now: i64) {
        let most = terms.max(now);
        let spent = Nanos(self.spent.load(Ordering::Acquire));
        for (told, amount) in self.told.iter().zip([terms.soft, most]) {
            let until = told.load(Ordering::Acquire);
            if now < until || amount.is_none_or(|amount| spent < amount || amount == Nanos::ZERO) {
                continue;
            }
            let end = self.until(terms, now);
            if told.compare_exchange(until, end, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                let (payer, id) = (self.payer, self.id.clone());
                self.house.tell(Crossed { payer, id, spent, soft: terms.soft, most, until: end });
            }
        }
    }

    /// Puts a budget in place of the one before. What was spent stays.
    pub(super) fn set_terms(&self, terms: Terms, now: i64) {
        if **self.terms.load() != terms {
            self.terms.store(Arc::new(terms));
            self.new_windows(now);
        }
    }

    /// The windows may have become others.
    pub(super) fn new_windows(&self, now: i64) {
        self.window.store(0, Ordering::Release);
        let mut slots = self.slots();
        self.place_endless(&mut slots);
        self.publish(&slots, Nanos::ZERO, now);
        drop(slots);
        self.untell(now);
    }

    /// What was spent before the budget had windows counts in its first one.
    fn place_endless(&self, slots: &mut Slots) {
        let terms = self.terms.load();
        slots.endless(terms.window.as_ref().map(|window| window.first().unwrap_or(0)));
    }

    /// A crossing that is undone may be told again.
    fn untell(&self, now: i64) {
        let terms = self.terms.load();
        let spent = Nanos(self.spent.load(Ordering::Acquire));
        for (told, amount) in self.told.iter().zip([terms.soft, terms.max(now)]) {
            if amount.is_none_or(|amount| spent < amount) {
                told.store(0, Ordering::Release);
            }
        }
    }

    /// All that the store has counted.
    pub(super) fn replace(&self, counted: impl IntoIterator<Item = (i64, Nanos)>, now: i64) {
        let mut slots = self.slots();
        self.place_endless(&mut slots);
        slots.replace(counted);
        slots.forget(now);
        self.publish(&slots, Nanos::ZERO, now);
        drop(slots);
        self.untell(now);
    }

    /// As [`Self::replace`], for an account that is new here: what was crossed before has been told before.
    pub(super) fn open(&self, counted: impl IntoIterator<Item = (i64, Nanos)>, now: i64) {
        self.replace(counted, now);
        let terms = self.terms.load();
        let spent = Nanos(self.spent.load(Ordering::Acquire));
        for (told, amount) in self.told.iter().zip([terms.soft, terms.max(now)]) {
            if amount.is_some_and(|amount| amount <= spent) {
                told.store(self.until(&terms, now), Ordering::Release);
            }
        }
    }

    /// Some of what the store has counted.
    pub(super) fn counted(&self, until: i64, amount: Nanos, now: i64) {
        let mut slots = self.slots();
        slots.counted(until, amount);
        slots.forget(now);
        self.publish(&slots, Nanos::ZERO, now);
        drop(slots);
        self.tell(&self.terms.load(), now);
    }

    /// What was settled here is in the store now, as an amount given to [`Self::counted`].
    pub(super) fn shipped(&self, until: i64, amount: Nanos) {
        self.slots().shipped(until, amount);
    }

    /// What was settled here and is not in the store.
    pub(crate) fn unshipped(&self, now: i64) -> Nanos {
        self.slots().unshipped(now)
    }

    /// Whether nothing was spent that counts or will, nor is anything held.
    pub(super) fn is_idle(&self) -> bool {
        self.used.load(Ordering::Acquire) == 0 && self.slots().is_empty()
    }
}

/// A request's part of a budget, until it is settled or dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    account: Arc<Account>,
    amount: Nanos,
}

impl Hold {
    /// Puts the cost in its place.
    pub(super) fn settle(mut self, cost: Nanos, now: i64) -> Booking {
        let hold = std::mem::take(&mut self.amount);
        self.account.settle(hold, cost, now)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.amount != Nanos::ZERO {
            self.account.used.fetch_sub(self.amount.0, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn account(limits: &Limits) -> Arc<Account> {
        let (house, _) = House::new();
        Arc::new(Account::new(Payer::Tag, "eng".into(), Terms::of(limits), house))
    }

    fn of(dollars: f64, strict: bool) -> Limits {
        Limits { max_budget: Some(dollars), strict: Some(strict), ..Limits::default() }
    }

    fn costs(dollars: f64) -> Estimate {
        let amount = Nanos::from_dollars(dollars);
        Estimate { probable: amount, most: amount, guess: amount }
    }

    #[test]
    fn two_hundred_at_once_get_no_more_than_there_is() {
        for strict in [false, true] {
            let account = account(&of(10.0, strict));
            let barrier = Barrier::new(200);
            let let_in: usize = std::thread::scope(|scope| {
                let one = || {
                    barrier.wait();
                    let hold = account.reserve(costs(1.0), 0);
                    // Some have ended while others still ask.
                    usize::from(hold.map(|hold| hold.settle(Nanos::from_dollars(1.0), 0)).is_ok())
                };
                let all: Vec<_> = (0..200).map(|_| scope.spawn(one)).collect();
                all.into_iter().map(|one| one.join().unwrap()).sum()
            });
            assert_eq!((let_in, account.spent(0)), (10, Nanos::from_dollars(10.0)), "strict: {strict}");
        }
    }

    #[test]
    fn a_request_that_leaves_gives_back_what_it_held() {
        let account = account(&of(1.0, false));
        let hold = account.reserve(costs(1.0), 0).unwrap();
        let refused = account.reserve(costs(1.0), 0).unwrap_err();
        assert_eq!((refused.used, refused.wait), (Nanos::from_dollars(1.0), Some(1000)));
        drop(hold);
        assert!(account.reserve(costs(1.0), 0).is_ok());
        assert!(!account.is_idle() || account.spent(0) == Nanos::ZERO);
    }

    #[test]
    fn what_was_spent_ends_with_its_window() {
        let limits = Limits { budget_duration: Some("2s".into()), ..of(1.0, false) };
        let account = account(&limits);
        let booking = account.reserve(costs(1.0), 500).unwrap().settle(Nanos::from_dollars(3.0), 500);
        assert_eq!(booking.until, 2000);
        assert_eq!(account.reserve(costs(1.0), 1999).unwrap_err().wait, Some(1));
        assert!(account.reserve(costs(1.0), 2000).is_ok());
        assert_eq!(account.spent(2000), Nanos::ZERO);
    }

    #[test]
    fn what_is_shipped_counts_once_and_a_reset_counts_at_once() {
        let account = account(&of(10.0, false));
        account.open([(NEVER, Nanos(5))], 0);
        account.reserve(costs(0.0), 0).unwrap().settle(Nanos(2), 0);
        assert_eq!((account.spent(0), account.unshipped(0)), (Nanos(7), Nanos(2)));
        account.shipped(NEVER, Nanos(2));
        account.counted(NEVER, Nanos(7), 0);
        assert_eq!((account.spent(0), account.unshipped(0)), (Nanos(7), Nanos::ZERO));
        account.replace([], 0);
        assert_eq!(account.spent(0), Nanos::ZERO);
    }

    #[test]
    fn a_soft_budget_is_told_once_a_window() {
        let (house, mut told) = House::new();
        let limits =
            Limits { soft_budget: Some(1.0), budget_duration: Some("2s".into()), ..Limits::default() };
        let account = Arc::new(Account::new(Payer::Team, "t".into(), Terms::of(&limits), house));
        let spend =
            |now| drop(account.reserve(costs(0.0), now).unwrap().settle(Nanos::from_dollars(0.6), now));
        spend(0);
        assert!(told.try_recv().is_err());
        spend(10);
        assert_eq!(told.try_recv().unwrap().until, 2000);
        spend(20);
        assert!(told.try_recv().is_err());
        spend(2000);
        spend(2001);
        assert_eq!(told.try_recv().unwrap().until, 4000);
    }
}

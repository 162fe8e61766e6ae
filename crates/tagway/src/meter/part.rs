//! This gateway's part of a limit that several gateways share: requests taken in advance, places for those in progress,
//! and what all have used as far as that is known here. Atomics alone; what is missing is asked for by others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tagway_core::config::Rates;
use tagway_core::limits::{PerMinute, Window};

use super::{Sharing, Used};

/// What was heard is as good as new for this time, in microseconds.
pub(super) const FRESH: u64 = 100_000;
/// Requests taken in advance are good for this time.
const LEASE: u64 = 1_000_000;
/// The share of a limit that may be had in advance.
const ADVANCE: u64 = 100;
/// Bits of a lease that count requests; the rest is the time, in tenths of seconds.
const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const TENTH: u64 = 100_000;

/// One gateway's part.
#[derive(Debug)]
pub(super) struct Part {
    /// What all gateways call the meter.
    pub(super) name: Box<str>,
    pub(super) sharing: Arc<Sharing>,
    /// When it was heard how things are.
    heard: AtomicU64,
    /// What all gateways have used, by this one's clock.
    pub(super) requests: Used,
    pub(super) tokens: Used,
    /// Requests in advance, and when they were.
    lease: AtomicU64,
    /// How many the last were, and when they were asked for.
    granted: AtomicU64,
    asked: AtomicU64,
    /// Places for requests in progress, those that are taken among them.
    places: AtomicU32,
    /// Places of others.
    elsewhere: AtomicU64,
    /// Requests that wait for one unit, and for a place.
    wants_requests: AtomicU64,
    wants_places: AtomicU64,
    /// What was used and is not told yet.
    owed_requests: AtomicU64,
    owed_tokens: AtomicU64,
    /// It is on the list of those with something to tell.
    pub(super) listed: AtomicBool,
}

/// What is to be asked for a meter.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Question {
    pub(super) take: u64,
    pub(super) owed_requests: u64,
    pub(super) known_requests: Window,
    pub(super) owed_tokens: u64,
    pub(super) known_tokens: Window,
    pub(super) places: u32,
    pub(super) more_places: u64,
}

/// What is known after it was asked. A window's beginning is told by its age, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) taken: u64,
    pub(super) requests: Window,
    pub(super) tokens: Window,
    pub(super) places: u32,
    pub(super) elsewhere: u64,
}

impl Part {
    pub(super) fn new(name: Box<str>, sharing: Arc<Sharing>) -> Self {
        Self {
            name,
            sharing,
            heard: AtomicU64::new(0),
            requests: Used::default(),
            tokens: Used::default(),
            lease: AtomicU64::new(0),
            granted: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            places: AtomicU32::new(0),
            elsewhere: AtomicU64::new(0),
            wants_requests: AtomicU64::new(0),
            wants_places: AtomicU64::new(0),
            owed_requests: AtomicU64::new(0),
            owed_tokens: AtomicU64::new(0),
            listed: AtomicBool::new(false),
        }
    }

    /// Whether what is known is as good as new.
    pub(super) fn is_fresh(&self, now: u64) -> bool {
        let heard = self.heard.load(Ordering::Relaxed);
        heard != 0 && now.saturating_sub(heard) < FRESH
    }

    /// Takes one of the requests in advance.
    pub(super) fn take(&self, now: u64) -> bool {
        let one = |lease| (0 < count(lease, now)).then(|| lease - 1);
        self.lease.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one).is_ok()
    }

    /// Gives one back that was not needed.
    pub(super) fn give_back(&self, now: u64) {
        let more = |lease| Some(leased(count(lease, now) + 1, now));
        let _ = self.lease.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Requests that may still be let in without asking.
    pub(super) fn in_advance(&self, now: u64) -> u64 {
        count(self.lease.load(Ordering::Relaxed), now)
    }

    /// Takes a place that this gateway has.
    pub(super) fn enter(&self, in_progress: &AtomicU32) -> bool {
        // In one order with `question`, which lowers the places first and counts those taken then.
        let before = in_progress.fetch_add(1, Ordering::SeqCst);
        let entered = before < self.places.load(Ordering::SeqCst);
        if !entered {
            in_progress.fetch_sub(1, Ordering::SeqCst);
        }
        entered
    }

    /// Places of this gateway that nobody has taken.
    pub(super) fn places_left(&self, in_progress: &AtomicU32) -> u32 {
        self.places.load(Ordering::Relaxed).saturating_sub(in_progress.load(Ordering::Relaxed))
    }

    /// Places that others have.
    pub(super) fn elsewhere(&self) -> u64 {
        self.elsewhere.load(Ordering::Relaxed)
    }

    /// Whether there was no place more when it was asked last.
    pub(super) fn is_full(&self, limit: u64) -> bool {
        let places = u64::from(self.places.load(Ordering::Relaxed));
        limit <= self.elsewhere().saturating_add(places)
    }

    /// Whether this gateway has more places than it needs to have at hand.
    pub(super) fn has_spare(&self, in_progress: u32, limit: u64) -> bool {
        spare(limit) < u64::from(self.places.load(Ordering::Relaxed).saturating_sub(in_progress))
    }

    /// A request waits for these.
    pub(super) fn want(&self, request: bool, place: bool) {
        self.wants_requests.fetch_add(request.into(), Ordering::Relaxed);
        self.wants_places.fetch_add(place.into(), Ordering::Relaxed);
    }

    /// These were used.
    pub(super) fn owe(&self, requests: u64, tokens: u64) {
        self.owed_requests.fetch_add(requests, Ordering::Relaxed);
        self.owed_tokens.fetch_add(tokens, Ordering::Relaxed);
    }

    /// What to ask. What is owed counts as told from here on: [`Part::not_told`] takes that back.
    pub(super) fn question(&self, in_progress: &AtomicU32, rates: &Rates, now: u64) -> Question {
        self.listed.store(false, Ordering::Release);
        let wanted = self.wants_requests.swap(0, Ordering::Relaxed);
        let known = |used: &Used| aged(used.get(), now);
        let wants_places = self.wants_places.swap(0, Ordering::Relaxed);
        let places = rates.in_progress.map_or(0, |limit| {
            let spare = if 0 < wants_places { spare(limit) } else { 0 };
            let most = u64::from(in_progress.load(Ordering::SeqCst)).saturating_add(spare);
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            // Nobody enters beyond these until there is an answer …
            let before = self.places.fetch_min(most, Ordering::SeqCst).min(most);
            // … but somebody may just have.
            let places = before.max(in_progress.load(Ordering::SeqCst));
            self.places.store(places, Ordering::SeqCst);
            places
        });
        Question {
            take: if 0 < wanted { wanted + self.advance(rates, now) } else { 0 },
            owed_requests: self.owed_requests.swap(0, Ordering::Relaxed),
            known_requests: known(&self.requests),
            owed_tokens: self.owed_tokens.swap(0, Ordering::Relaxed),
            known_tokens: known(&self.tokens),
            places,
            more_places: if 0 < wants_places { wants_places + rates.in_progress.map_or(0, spare) } else { 0 },
        }
    }

    /// How many requests to have in advance: as many as were needed of late in a tenth of a second, by how soon the last
    /// ones were gone, and a small share of the limit at most.
    fn advance(&self, rates: &Rates, now: u64) -> u64 {
        let took = now.saturating_sub(self.asked.swap(now, Ordering::Relaxed)).max(1);
        let needed = self.granted.load(Ordering::Relaxed).saturating_mul(FRESH) / took;
        needed.min(rates.requests.unwrap_or(0) / ADVANCE).min(COUNT / 4)
    }

    /// Takes note of an answer.
    pub(super) fn hear(&self, known: &Known, rates: &Rates, now: u64) {
        if rates.requests.is_some() {
            self.requests.set(aged(known.requests, now));
            if 0 < known.taken {
                let more = |lease| Some(leased(count(lease, now) + known.taken, now));
                let _ = self.lease.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
                self.granted.store(known.taken, Ordering::Relaxed);
            }
        }
        if rates.tokens.is_some() {
            self.tokens.set(aged(known.tokens, now));
        }
        if rates.in_progress.is_some() {
            self.elsewhere.store(known.elsewhere, Ordering::Relaxed);
            self.places.store(known.places, Ordering::SeqCst);
        }
        self.heard.store(now.max(1), Ordering::Release);
    }

    /// Nobody heard what this question told.
    pub(super) fn not_told(&self, question: &Question) {
        self.owe(question.owed_requests, question.owed_tokens);
    }

    /// What is left to all gateways of a limit of requests or tokens, as far as it is known.
    pub(super) fn left(&self, limit: u64, requests: bool, now: u64) -> u64 {
        let used = if requests { &self.requests } else { &self.tokens };
        let left = PerMinute(limit).left(used.get(), now);
        if requests { left.saturating_add(self.in_advance(now)).min(limit) } else { left }
    }
}

/// From the beginning of a window to its age, or back.
fn aged(window: Window, now: u64) -> Window {
    Window { begun: now.saturating_sub(window.begun), ..window }
}

/// As many places more than are taken may be at hand.
fn spare(limit: u64) -> u64 {
    limit / ADVANCE
}

/// What is left of a lease.
fn count(lease: u64, now: u64) -> u64 {
    let age = (now / TENTH).saturating_sub(lease >> COUNT_BITS);
    if age <= LEASE / TENTH { lease & COUNT } else { 0 }
}

fn leased(count: u64, now: u64) -> u64 {
    (now / TENTH) << COUNT_BITS | count.min(COUNT)
}

//! What owners have used of their limits: atomics that every request with the owner shares. Knows what a limit is,
//! and not whose it is or what is refused.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use tagway_core::config::Rates;
use tagway_core::limits::PerMinute;

/// All times of meters count from here.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time, as meters count it.
pub(crate) fn micros(now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(*BEGAN).as_micros()).unwrap_or(u64::MAX)
}

/// What was used. It outlives changes of the limits.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    requests: AtomicU64,
    tokens: AtomicU64,
    in_progress: AtomicU32,
    /// The limits that the two states above are told by.
    limits: Mutex<(Option<u64>, Option<u64>)>,
}

impl Meter {
    /// Takes note of the limits in force, so that what was used counts on when they change. Not for requests.
    pub(crate) fn limit(&self, rates: &Rates, now: u64) {
        let mut before = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        for (state, old, new) in
            [(&self.requests, before.0, rates.requests), (&self.tokens, before.1, rates.tokens)]
        {
            if let (Some(old), Some(new)) = (old, new)
                && old != new
            {
                let after = |state| Some(PerMinute(new).after(PerMinute(old), state, now));
                // It always succeeds: every state has a next one.
                let _ = state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
            }
        }
        *before = (rates.requests, rates.tokens);
    }
}

/// As many names have meters; the least used one makes room.
const MOST_NAMED: usize = 100_000;

/// Meters by name, of what no object is kept for: each tag under a pattern has one.
pub(crate) struct NamedMeters(Cache<Box<str>, Arc<Meter>>);

impl NamedMeters {
    pub(crate) fn new() -> Arc<Self> {
        // Room is made at once for a few.
        Arc::new(Self(Cache::with_weighter(256, MOST_NAMED as u64, quick_cache::UnitWeighter)))
    }

    /// The meter of this name.
    pub(crate) fn of(&self, name: &str) -> Arc<Meter> {
        let Self(known) = self;
        if let Some(meter) = known.get(name) {
            return meter;
        }
        let Ok(meter) = known.get_or_insert_with(&Box::from(name), || Ok::<_, Infallible>(Arc::default()));
        meter
    }

    /// The meter of a tag under what declares it: a tag under a pattern has what the pattern gives beside what is its
    /// own.
    pub(crate) fn of_tag(&self, declared: &str, tag: &str) -> Arc<Meter> {
        if declared == tag { self.of(tag) } else { self.of(&format!("{declared} {tag}")) }
    }
}

/// Limits, and what was used of them.
#[derive(Debug)]
pub(crate) struct Metered {
    /// The model they hold for; any when absent.
    pub(crate) model: Option<Box<str>>,
    pub(crate) rates: Rates,
    pub(crate) meter: Arc<Meter>,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Requests,
    Tokens,
    InProgress,
}

impl Unit {
    /// LiteLLM's name of it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InProgress => "max_parallel_requests",
        }
    }
}

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) what: Unit,
    pub(crate) limit: u64,
    pub(crate) wait: Duration,
}

/// A request that was let in. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Permit {
    meter: Arc<Meter>,
    rates: Rates,
    in_progress: bool,
}

impl Metered {
    /// Whether they hold for a model.
    pub(crate) fn concerns(&self, model: &str) -> bool {
        self.model.as_deref().is_none_or(|own| own == model)
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// A limit is reached. What was taken is given back.
    pub(crate) fn admit(&self, now: u64) -> Result<Permit, Reached> {
        admit(&self.meter, self.rates, now)
    }

    /// Each limit with what is left of it.
    pub(crate) fn left(&self, now: u64) -> impl Iterator<Item = (Unit, u64, u64)> {
        left(&self.meter, self.rates, now)
    }
}

/// Lets a request in where `rates` are the limits of what `meter` counts.
///
/// # Errors
/// A limit is reached. What was taken is given back.
pub(crate) fn admit(meter: &Arc<Meter>, rates: Rates, now: u64) -> Result<Permit, Reached> {
    let reached = |what, limit| move |wait| Reached { what, limit, wait: Duration::from_micros(wait) };
    if let Some(limit) = rates.tokens {
        let state = meter.tokens.load(Ordering::Relaxed);
        PerMinute(limit).open(state, now).map_err(reached(Unit::Tokens, limit))?;
    }
    let mut permit = Permit { meter: Arc::clone(meter), rates, in_progress: false };
    if let Some(limit) = rates.in_progress {
        permit.in_progress = true;
        let before = u64::from(meter.in_progress.fetch_add(1, Ordering::Relaxed));
        if limit <= before {
            return Err(Reached { what: Unit::InProgress, limit, wait: Duration::from_secs(1) });
        }
    }
    if let Some(limit) = rates.requests {
        let mut wait = 0;
        let take = |state| PerMinute(limit).take(state, 1, now).map_err(|left| wait = left).ok();
        if meter.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(reached(Unit::Requests, limit)(wait));
        }
    }
    Ok(permit)
}

/// Whether there is a place for one more request under what `rates` say of those in progress.
pub(crate) fn has_place(meter: &Meter, rates: Rates) -> bool {
    rates.in_progress.is_none_or(|limit| u64::from(meter.in_progress.load(Ordering::Relaxed)) < limit)
}

impl Permit {
    /// Counts the tokens the request has used.
    pub(crate) fn used(&self, tokens: u64, now: u64) {
        let Some(limit) = self.rates.tokens.map(PerMinute) else { return };
        let charge = |state| Some(limit.charge(state, tokens, now));
        // It always succeeds: every state has a next one.
        let _ = self.meter.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge);
    }

    /// Each limit with what is left of it.
    pub(crate) fn left(&self, now: u64) -> impl Iterator<Item = (Unit, u64, u64)> {
        left(&self.meter, self.rates, now)
    }
}

fn left(meter: &Meter, rates: Rates, now: u64) -> impl Iterator<Item = (Unit, u64, u64)> {
    let Meter { requests, tokens, in_progress, .. } = meter;
    let minute = |limit, state: &AtomicU64| PerMinute(limit).left(state.load(Ordering::Relaxed), now);
    let requests = rates.requests.map(|limit| (Unit::Requests, limit, minute(limit, requests)));
    let tokens = rates.tokens.map(|limit| (Unit::Tokens, limit, minute(limit, tokens)));
    let places = rates.in_progress.map(|limit| {
        (Unit::InProgress, limit, limit.saturating_sub(in_progress.load(Ordering::Relaxed).into()))
    });
    [requests, tokens, places].into_iter().flatten()
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.in_progress {
            self.meter.in_progress.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metered(rates: Rates) -> Metered {
        Metered { model: None, rates, meter: Arc::default() }
    }

    #[test]
    fn a_place_is_given_back_when_the_request_ends() {
        let metered = metered(Rates { in_progress: Some(1), ..Rates::default() });
        let first = metered.admit(0).unwrap();
        assert_eq!(metered.admit(0).unwrap_err().what, Unit::InProgress);
        drop(first);
        assert!(metered.admit(0).is_ok());
    }

    #[test]
    fn a_request_that_is_refused_uses_no_place() {
        let metered = metered(Rates { in_progress: Some(2), requests: Some(1), ..Rates::default() });
        let _first = metered.admit(0).unwrap();
        assert_eq!(metered.admit(0).unwrap_err().what, Unit::Requests);
        assert_eq!(metered.meter.in_progress.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn tokens_count_afterwards() {
        let metered = metered(Rates { tokens: Some(10), ..Rates::default() });
        metered.admit(0).unwrap().used(15, 0);
        assert_eq!(metered.admit(0).unwrap_err().what, Unit::Tokens);
        assert!(metered.admit(40_000_000).is_ok());
    }
}

//! What owners have used of their limits: atomics that every request with the owner shares. Knows what a limit is,
//! and not whose it is or what is refused.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// Limits, for all models or for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// The model they hold for; any when absent.
    pub(crate) model: Option<Box<str>>,
    /// Requests a minute.
    pub(crate) requests: Option<u64>,
    /// Tokens a minute.
    pub(crate) tokens: Option<u64>,
    /// Requests in progress.
    pub(crate) in_progress: Option<u64>,
}

impl Rates {
    /// Whether they limit anything.
    pub(crate) fn any(&self) -> bool {
        self.requests.is_some() || self.tokens.is_some() || self.in_progress.is_some()
    }
}

/// Limits, and what was used of them.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) rates: Rates,
    pub(crate) meter: Arc<Meter>,
}

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// `requests`, `tokens` or `max_parallel_requests`.
    pub(crate) what: &'static str,
    pub(crate) limit: u64,
    pub(crate) wait: Duration,
}

/// A request that was let in. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Permit {
    meter: Arc<Meter>,
    tokens: Option<PerMinute>,
    in_progress: bool,
}

impl Metered {
    /// Whether they hold for a model.
    pub(crate) fn concerns(&self, model: &str) -> bool {
        self.rates.model.as_deref().is_none_or(|own| own == model)
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// A limit is reached. What was taken is given back.
    pub(crate) fn admit(&self, now: u64) -> Result<Permit, Reached> {
        let reached = |what, limit| move |wait| Reached { what, limit, wait: Duration::from_micros(wait) };
        let Self { rates, meter } = self;
        if let Some(limit) = rates.tokens {
            let state = meter.tokens.load(Ordering::Relaxed);
            PerMinute(limit).open(state, now).map_err(reached("tokens", limit))?;
        }
        let mut permit =
            Permit { meter: Arc::clone(meter), tokens: rates.tokens.map(PerMinute), in_progress: false };
        if let Some(limit) = rates.in_progress {
            permit.in_progress = true;
            let before = u64::from(meter.in_progress.fetch_add(1, Ordering::Relaxed));
            if limit <= before {
                return Err(Reached { what: "max_parallel_requests", limit, wait: Duration::from_secs(1) });
            }
        }
        if let Some(limit) = rates.requests {
            let mut wait = 0;
            let take = |state| PerMinute(limit).take(state, 1, now).map_err(|left| wait = left).ok();
            if meter.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
                return Err(reached("requests", limit)(wait));
            }
        }
        Ok(permit)
    }
}

impl Permit {
    /// Counts the tokens the request has used.
    pub(crate) fn used(&self, tokens: u64, now: u64) {
        let Some(limit) = self.tokens else { return };
        let charge = |state| Some(limit.charge(state, tokens, now));
        // It always succeeds: every state has a next one.
        let _ = self.meter.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge);
    }
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
        Metered { rates, meter: Arc::default() }
    }

    #[test]
    fn a_place_is_given_back_when_the_request_ends() {
        let metered = metered(Rates { in_progress: Some(1), ..Rates::default() });
        let first = metered.admit(0).unwrap();
        assert_eq!(metered.admit(0).unwrap_err().what, "max_parallel_requests");
        drop(first);
        assert!(metered.admit(0).is_ok());
    }

    #[test]
    fn a_request_that_is_refused_uses_no_place() {
        let metered = metered(Rates { in_progress: Some(2), requests: Some(1), ..Rates::default() });
        let _first = metered.admit(0).unwrap();
        assert_eq!(metered.admit(0).unwrap_err().what, "requests");
        assert_eq!(metered.meter.in_progress.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn tokens_count_afterwards() {
        let metered = metered(Rates { tokens: Some(10), ..Rates::default() });
        metered.admit(0).unwrap().used(15, 0);
        assert_eq!(metered.admit(0).unwrap_err().what, "tokens");
        assert!(metered.admit(40_000_000).is_ok());
    }
}

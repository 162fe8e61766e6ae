//! What owners have used of their limits: counts that every request with the owner shares. Knows what a limit is,
//! and not whose it is or what is refused. Where several gateways share their limits, this one's part of them is
//! [`part`], and what is missing is asked for by [`sharing`].

mod part;
mod sharing;
mod together;
#[cfg(test)]
mod together_tests;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use tagway_core::config::Rates;
use tagway_core::limits::{PerMinute, Window};

use part::Part;
pub(crate) use sharing::{Sharing, Words, converse};
pub(crate) use together::{admit, ask_together, has_place};

/// All times of meters count from here.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time, as meters count it.
pub(crate) fn micros(now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(*BEGAN).as_micros()).unwrap_or(u64::MAX)
}

/// What was used. It outlives changes of the limits.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// What this gateway has let in by itself: all of it, or what it did while the others could not be asked.
    requests: Used,
    tokens: Used,
    in_progress: AtomicU32,
    /// Where several gateways share it.
    part: OnceLock<Box<Part>>,
}

/// What was used of one limit. The lock is held for a few additions, by requests under the same limit alone.
#[derive(Debug, Default)]
struct Used(Mutex<Window>);

impl Used {
    fn lock(&self) -> MutexGuard<'_, Window> {
        // Half of an addition is nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> Window {
        *self.lock()
    }

    fn set(&self, window: Window) {
        *self.lock() = window;
    }

    /// Takes one, where `least` is the least that is used.
    fn take(&self, limit: u64, least: Window, now: u64) -> Result<(), u64> {
        let mut window = self.lock();
        *window = PerMinute(limit).take(window.or_more(least, now), 1, now)?;
        Ok(())
    }

    fn charge(&self, units: u64, now: u64) {
        let mut window = self.lock();
        *window = window.charge(units, now);
    }
}

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    Reached(Reached),
    /// What other gateways have used cannot be known, and nobody is to get in then.
    Lost(Lost),
}

/// Valkey cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

impl From<Reached> for Kept {
    fn from(reached: Reached) -> Self {
        Self::Reached(reached)
    }
}

impl Meter {
    /// A meter that is shared by this name where gateways share.
    pub(crate) fn new(name: &str, sharing: Option<&Arc<Sharing>>) -> Arc<Self> {
        let meter = Self::default();
        if let Some(sharing) = sharing {
            meter.share(name, sharing);
        }
        Arc::new(meter)
    }

    /// Shares it by this name from now on.
    pub(crate) fn share(&self, name: &str, sharing: &Arc<Sharing>) {
        self.part.get_or_init(|| Box::new(Part::new(name.into(), Arc::clone(sharing))));
    }

    fn part(&self) -> Option<&Part> {
        self.part.get().map(|part| &**part)
    }
}

/// As many names have meters; the least used one makes room.
const MOST_NAMED: usize = 100_000;

/// Meters by name, of what no object is kept for: each tag under a pattern has one.
pub(crate) struct NamedMeters {
    known: Cache<Box<str>, Arc<Meter>>,
    /// Where gateways share them: how, and what comes before their names then.
    shared: Option<(Box<str>, Arc<Sharing>)>,
}

impl NamedMeters {
    /// None yet. `kind` is what gateways that share them call all of them.
    pub(crate) fn new(kind: &str, sharing: Option<&Arc<Sharing>>) -> Arc<Self> {
        // Room is made at once for a few.
        let known = Cache::with_weighter(256, MOST_NAMED as u64, quick_cache::UnitWeighter);
        let shared = sharing.map(|sharing| (Box::from(kind), Arc::clone(sharing)));
        Arc::new(Self { known, shared })
    }

    /// The meter of this name.
    pub(crate) fn of(&self, name: &str) -> Arc<Meter> {
        if let Some(meter) = self.known.get(name) {
            return meter;
        }
        let new = || match &self.shared {
            Some((kind, sharing)) => Meter::new(&format!("{kind}:{name}"), Some(sharing)),
            None => Arc::default(),
        };
        let Ok(meter) = self.known.get_or_insert_with(&Box::from(name), || Ok::<_, Infallible>(new()));
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

    /// Each limit with what is left of it.
    pub(crate) fn left(&self, now: u64) -> impl Iterator<Item = (Unit, u64, u64)> {
        left(&self.meter, self.rates, now)
    }
}

/// Lets a request in by what this gateway knows, where `rates` are the limits of what `meter` counts. At least `used`
/// counts of requests and tokens.
///
/// # Errors
/// A limit is reached. What was taken is given back.
fn admit_here(meter: &Arc<Meter>, rates: Rates, used: (Window, Window), now: u64) -> Result<Permit, Reached> {
    let reached = |what, limit| move |wait| Reached { what, limit, wait: Duration::from_micros(wait) };
    if let Some(limit) = rates.tokens {
        let window = meter.tokens.get().or_more(used.1, now);
        PerMinute(limit).open(window, now).map_err(reached(Unit::Tokens, limit))?;
    }
    let mut permit = Permit { meter: Arc::clone(meter), rates, in_progress: false };
    if let Some(limit) = rates.in_progress {
        permit.in_progress = true;
        let before = u64::from(meter.in_progress.fetch_add(1, Ordering::SeqCst));
        if limit <= before {
            return Err(Reached { what: Unit::InProgress, limit, wait: Duration::from_secs(1) });
        }
    }
    if let Some(limit) = rates.requests {
        meter.requests.take(limit, used.0, now).map_err(reached(Unit::Requests, limit))?;
    }
    Ok(permit)
}

impl Permit {
    /// Counts the tokens the request has used.
    pub(crate) fn used(&self, tokens: u64, now: u64) {
        if self.rates.tokens.is_none() {
            return;
        }
        match self.meter.part() {
            None => self.meter.tokens.charge(tokens, now),
            Some(part) => together::used(&self.meter, part, self.rates, tokens, now),
        }
    }

    /// Each limit with what is left of it.
    pub(crate) fn left(&self, now: u64) -> impl Iterator<Item = (Unit, u64, u64)> {
        left(&self.meter, self.rates, now)
    }
}

fn left(meter: &Meter, rates: Rates, now: u64) -> impl Iterator<Item = (Unit, u64, u64)> {
    let part = meter.part();
    let minute = |limit, unit, used: &Used| match part {
        Some(part) => part.left(limit, unit == Unit::Requests, now),
        None => PerMinute(limit).left(used.get(), now),
    };
    let Meter { requests, tokens, in_progress, .. } = meter;
    let requests =
        rates.requests.map(|limit| (Unit::Requests, limit, minute(limit, Unit::Requests, requests)));
    let tokens = rates.tokens.map(|limit| (Unit::Tokens, limit, minute(limit, Unit::Tokens, tokens)));
    let elsewhere = part.map_or(0, Part::elsewhere);
    let places = rates.in_progress.map(|limit| {
        let left = limit.saturating_sub(in_progress.load(Ordering::Relaxed).into()).saturating_sub(elsewhere);
        (Unit::InProgress, limit, left)
    });
    [requests, tokens, places].into_iter().flatten()
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.in_progress {
            let before = self.meter.in_progress.fetch_sub(1, Ordering::SeqCst);
            if let Some(part) = self.meter.part() {
                together::left(&self.meter, part, self.rates, before.saturating_sub(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(meter: &Arc<Meter>, rates: Rates, now: u64) -> Result<Permit, Reached> {
        admit_here(meter, rates, Default::default(), now)
    }

    #[test]
    fn a_place_is_given_back_when_the_request_ends() {
        let (meter, rates) = (Arc::default(), Rates { in_progress: Some(1), ..Rates::default() });
        let first = admit(&meter, rates, 0).unwrap();
        assert_eq!(admit(&meter, rates, 0).unwrap_err().what, Unit::InProgress);
        drop(first);
        assert!(admit(&meter, rates, 0).is_ok());
    }

    #[test]
    fn a_request_that_is_refused_uses_no_place() {
        let (meter, rates) =
            (Arc::default(), Rates { in_progress: Some(2), requests: Some(1), ..Rates::default() });
        let _first = admit(&meter, rates, 0).unwrap();
        assert_eq!(admit(&meter, rates, 0).unwrap_err().what, Unit::Requests);
        assert_eq!(meter.in_progress.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn tokens_count_afterwards() {
        let (meter, rates) = (Arc::default(), Rates { tokens: Some(10), ..Rates::default() });
        admit(&meter, rates, 0).unwrap().used(15, 0);
        assert_eq!(admit(&meter, rates, 0).unwrap_err().what, Unit::Tokens);
        assert!(admit(&meter, rates, 60_000_000).is_ok());
    }
}

//! Lets requests in under limits that several gateways share: by what is at hand, after asking where nothing is, and by
//! this gateway's share of the limits while nobody can be asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tagway_core::config::Rates;
use tagway_core::limits::PerMinute;

use super::part::Part;
use super::sharing::Asked;
use super::{Kept, Lost, Meter, Permit, Reached, Unit, admit_here, micros};

/// A request asks so often; somebody else took what it asked for each time.
const MOST_ROUNDS: u32 = 8;
/// A place that was just given back on another gateway is known everywhere after this time.
const GIVEN_BACK: Duration = Duration::from_millis(20);
/// Places of limits below this are given back at once.
const FEW: u64 = 100;

/// What keeps a request out for now.
enum Missing {
    Reached(Reached),
    /// What is at hand does not do: a request of the limit, a place.
    Unknown {
        request: bool,
        place: bool,
    },
}

/// Lets a request in where `rates` are the limits of what `meter` counts.
///
/// # Errors
/// A limit is reached. What was taken is given back.
pub(crate) async fn admit(meter: &Arc<Meter>, rates: Rates, mut now: u64) -> Result<Permit, Kept> {
    let Some(part) = meter.part() else { return Ok(admit_here(meter, rates, Default::default(), now)?) };
    for round in 0..MOST_ROUNDS {
        if part.sharing.is_lost() {
            break;
        }
        match enter(meter, part, rates, round, now) {
            Ok(permit) => return Ok(permit),
            Err(Missing::Reached(reached)) => return Err(reached.into()),
            Err(Missing::Unknown { request, place }) => {
                if round == 1 && place {
                    tokio::time::sleep(GIVEN_BACK).await;
                }
                part.want(request, place);
            }
        }
        if part.sharing.ask(SmallVec::from_iter([(Arc::clone(meter), rates)])).await.is_err() {
            break;
        }
        now = micros(Instant::now());
    }
    alone(meter, part, rates, now)
}

/// Asks at once for all of these that have not at hand what one request needs.
pub(crate) async fn ask_together<'a>(meters: impl Iterator<Item = (&'a Arc<Meter>, Rates)>, now: u64) {
    let mut missing = Asked::new();
    for (meter, rates) in meters {
        let Some(part) = meter.part().filter(|part| !part.sharing.is_lost()) else { continue };
        let request =
            rates.requests.is_some_and(|limit| part.in_advance(now) == 0 && opens(part, limit, now).is_ok());
        let place = rates.in_progress.is_some() && part.places_left(&meter.in_progress) == 0;
        if request || place || rates.tokens.is_some() && !part.is_fresh(now) {
            part.want(request, rates.in_progress.is_some());
            missing.push((Arc::clone(meter), rates));
        }
    }
    // What is lost shows when the request is let in, or is not.
    if 1 < missing.len()
        && let Some(sharing) = missing[0].0.part().map(|part| Arc::clone(&part.sharing))
    {
        let _ = sharing.ask(missing).await;
    }
}

/// Whether a limit of requests has one more, as far as is known: what has been used cannot become less.
fn opens(part: &Part, limit: u64, now: u64) -> Result<(), u64> {
    PerMinute(limit).open(part.requests.get(), now)
}

/// Lets a request in by what is at hand.
fn enter(meter: &Arc<Meter>, part: &Part, rates: Rates, round: u32, now: u64) -> Result<Permit, Missing> {
    let reached =
        |what, limit, wait| Missing::Reached(Reached { what, limit, wait: Duration::from_micros(wait) });
    let mut known = true;
    if let Some(limit) = rates.tokens {
        PerMinute(limit).open(part.tokens.get(), now).map_err(|wait| reached(Unit::Tokens, limit, wait))?;
        known = part.is_fresh(now);
    }
    if let Some(limit) = rates.in_progress
        && !part.enter(&meter.in_progress)
    {
        // One that was just given back elsewhere is waited for.
        let rounds = if 0 < part.elsewhere() { 2 } else { 1 };
        if rounds <= round && part.is_full(limit) {
            return Err(reached(Unit::InProgress, limit, 1_000_000));
        }
        return Err(Missing::Unknown { request: false, place: true });
    }
    let leave = || {
        if rates.in_progress.is_some() {
            meter.in_progress.fetch_sub(1, Ordering::SeqCst);
        }
    };
    if let Some(limit) = rates.requests
        && !part.take(now)
    {
        leave();
        opens(part, limit, now).map_err(|wait| reached(Unit::Requests, limit, wait))?;
        return Err(Missing::Unknown { request: true, place: rates.in_progress.is_some() });
    }
    if !known {
        leave();
        if rates.requests.is_some() {
            part.give_back(now);
        }
        return Err(Missing::Unknown { request: false, place: rates.in_progress.is_some() });
    }
    Ok(Permit { meter: Arc::clone(meter), rates, in_progress: rates.in_progress.is_some() })
}

/// Lets a request in by this gateway's share of the limits.
fn alone(meter: &Arc<Meter>, part: &Part, rates: Rates, now: u64) -> Result<Permit, Kept> {
    if part.sharing.refuses() {
        return Err(Kept::Lost(Lost));
    }
    let gateways = part.sharing.gateways();
    let used = (part.requests.get().part(gateways), part.tokens.get().part(gateways));
    let mut permit = admit_here(meter, rates.share(gateways), used, now)?;
    permit.rates = rates;
    part.owe(u64::from(rates.requests.is_some()), 0);
    part.sharing.tell(meter, part, rates, false);
    Ok(permit)
}

/// Counts the tokens that a request has used.
pub(super) fn used(meter: &Arc<Meter>, part: &Part, rates: Rates, tokens: u64, now: u64) {
    if part.sharing.is_lost() {
        meter.tokens.charge(tokens, now);
    }
    part.owe(0, tokens);
    part.sharing.tell(meter, part, rates, false);
}

/// A request has given its place back.
pub(super) fn left(meter: &Arc<Meter>, part: &Part, rates: Rates, in_progress: u32) {
    if let Some(limit) = rates.in_progress
        && part.has_spare(in_progress, limit)
    {
        part.sharing.tell(meter, part, rates, limit < FEW);
    }
}

/// Whether there is a place for one more request under what `rates` say of those in progress.
pub(crate) fn has_place(meter: &Arc<Meter>, rates: Rates) -> bool {
    let Some(limit) = rates.in_progress else { return true };
    let here = u64::from(meter.in_progress.load(Ordering::Relaxed));
    let Some(part) = meter.part() else { return here < limit };
    if part.sharing.is_lost() {
        return rates.share(part.sharing.gateways()).in_progress.is_none_or(|limit| here < limit);
    }
    if 0 < part.places_left(&meter.in_progress) || !part.is_full(limit) {
        return true;
    }
    // Others say nothing when they give a place back.
    part.sharing.tell(meter, part, rates, true);
    false
}

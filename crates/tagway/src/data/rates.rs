//! Whether the limits of the caller's key, and of everything above it, let one more request in now.

use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tagway_core::tag::Origin;

use super::failure::Failure;
use crate::auth::Caller;
use crate::meter::{Permit, Reached, micros};

/// A limit that keeps a request out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Rate limit exceeded for {}: {id}. Limit type: {}. Current limit: {}, Remaining: 0. Try again in {} seconds.",
    .origin.as_str(), .reached.what, .reached.limit, crate::route::whole_seconds(.reached.wait)
)]
pub(crate) struct OverLimit {
    origin: Origin,
    id: String,
    reached: Reached,
}

impl OverLimit {
    /// How long until another request may be let in.
    pub(crate) fn wait(&self) -> Duration {
        self.reached.wait
    }
}

/// The permits of one request; dropping them ends it.
#[derive(Debug, Default)]
pub(crate) struct Permits(SmallVec<[Permit; 2]>);

impl Permits {
    /// Counts the tokens the request has used.
    pub(crate) fn used(&self, tokens: u64) {
        let now = micros(Instant::now());
        self.0.iter().for_each(|permit| permit.used(tokens, now));
    }
}

/// Lets a request for `model` in.
///
/// # Errors
/// The first limit that is reached; what other limits gave is given back, requests a minute excepted.
pub(crate) fn admit(caller: &Caller, model: &str, now: Instant) -> Result<Permits, Failure> {
    let mut permits = Permits::default();
    for (policy, limits) in caller.limits() {
        for metered in limits.iter().filter(|metered| metered.concerns(model)) {
            let permit = metered.admit(micros(now)).map_err(|reached| OverLimit {
                origin: policy.origin,
                id: policy.id.to_string(),
                reached,
            })?;
            permits.0.push(permit);
        }
    }
    Ok(permits)
}

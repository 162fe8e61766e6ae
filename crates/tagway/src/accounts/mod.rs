//! Budgets while requests run: what every payer has spent, and what requests in progress hold of its budget. Knows
//! amounts and windows; neither who is calling nor how spend is stored.

mod account;
mod registry;
mod shared;
mod table;
mod terms;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use smallvec::SmallVec;
use tagway_core::money::Nanos;
use tokio::sync::mpsc;

pub(crate) use account::{Account, Estimate, Exceeded, Hold};
pub(crate) use registry::{Accounts, Turn, Wanted, poll};
pub(crate) use table::Table;
pub(crate) use terms::Terms;

use crate::alerts::Crossed;
use crate::receipt::Booking;

/// As many crossings of budgets wait to be told; more are lost.
const MOST_TOLD: usize = 1024;

/// The time as budgets count it: milliseconds since 1970.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What all accounts share.
#[derive(Debug)]
struct House {
    /// Whether budgets are strict that do not say.
    strict: AtomicBool,
    crossed: mpsc::Sender<Crossed>,
}

impl House {
    fn new() -> (Arc<Self>, mpsc::Receiver<Crossed>) {
        let (crossed, told) = mpsc::channel(MOST_TOLD);
        (Arc::new(Self { strict: AtomicBool::new(false), crossed }), told)
    }

    fn is_strict(&self) -> bool {
        self.strict.load(Ordering::Relaxed)
    }

    fn tell(&self, crossed: Crossed) {
        if let Err(error) = self.crossed.try_send(crossed) {
            tracing::debug!(%error, "a budget was crossed, and nobody hears of it");
        }
    }
}

/// What one request holds of the budgets it counts against. Dropped without [`Holds::settle`], it gives all of it
/// back and costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// Of those who pay for it wherever it goes.
    payers: SmallVec<[Hold; 4]>,
    /// Of the deployment it went to, and its provider.
    place: SmallVec<[Hold; 2]>,
    estimate: Estimate,
}

impl Holds {
    /// What the request was estimated to cost.
    pub(crate) fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// What all of these accounts admit, or nothing.
    ///
    /// # Errors
    /// The first of them that does not. What others gave is given back.
    pub(crate) fn reserve<'a>(
        accounts: impl Iterator<Item = &'a Arc<Account>>,
        estimate: Estimate,
        now: i64,
    ) -> Result<Self, Exceeded> {
        let mut payers = SmallVec::new();
        for account in accounts {
            payers.push(account.reserve(estimate, now)?);
        }
        Ok(Self { payers, place: SmallVec::new(), estimate })
    }

    /// Takes hold of the budgets of a deployment and its provider in place of those of another.
    ///
    /// # Errors
    /// One of them does not admit the request, which then holds nothing of either.
    pub(crate) fn go_to<'a>(
        &mut self,
        accounts: impl Iterator<Item = &'a Arc<Account>>,
        now: i64,
    ) -> Result<(), Exceeded> {
        self.place.clear();
        let mut place = SmallVec::new();
        for account in accounts {
            place.push(account.reserve(self.estimate, now)?);
        }
        self.place = place;
        Ok(())
    }

    /// Puts the cost in place of what was held. Gives the counters it went to, one for every payer with a budget.
    pub(crate) fn settle(self, cost: Nanos, now: i64) -> SmallVec<[Booking; 8]> {
        self.payers.into_iter().chain(self.place).map(|hold| hold.settle(cost, now)).collect()
    }
}

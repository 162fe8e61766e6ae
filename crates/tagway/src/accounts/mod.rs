//! Budgets while requests run: what every payer has spent, and what requests in progress hold of its budget. Knows
//! amounts and windows; neither who is calling nor how spend is stored.

mod account;
mod registry;
mod shared;
mod table;
mod tags;
mod terms;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use smallvec::SmallVec;
use tagway_core::money::Nanos;
use tokio::sync::mpsc;

pub(crate) use account::{Account, Estimate, Exceeded, Hold};
pub(crate) use registry::{Accounts, Turn, Wanted, poll};
pub(crate) use shared::{Shared, Words, attend};
pub(crate) use table::Table;
pub(crate) use terms::Terms;

use crate::alerts::Crossed;
use crate::receipt::Booking;
use shared::{Ask, Granted, Lost};

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
    /// Where all gateways ask.
    shared: Option<Arc<Shared>>,
}

impl House {
    fn new(shared: Option<Arc<Shared>>) -> (Arc<Self>, mpsc::Receiver<Crossed>) {
        let (crossed, told) = mpsc::channel(MOST_TOLD);
        (Arc::new(Self { strict: AtomicBool::new(false), crossed, shared }), told)
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
    place: SmallVec<[Hold; 4]>,
    estimate: Estimate,
}

impl Holds {
    /// What the request was estimated to cost.
    pub(crate) fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// What all of these accounts admit, or nothing. Where gateways share their budgets, all of them are asked.
    ///
    /// # Errors
    /// The first of them that does not. What others gave is given back.
    pub(crate) async fn reserve(
        accounts: &[Arc<Account>],
        estimate: Estimate,
        now: i64,
    ) -> Result<Self, Exceeded> {
        let payers = hold(accounts, estimate, now).await?;
        Ok(Self { payers, place: SmallVec::new(), estimate })
    }

    /// Takes hold of the budgets of a deployment and its provider in place of those of another.
    ///
    /// # Errors
    /// One of them does not admit the request, which then holds nothing of either.
    pub(crate) async fn go_to(&mut self, accounts: &[Arc<Account>], now: i64) -> Result<(), Exceeded> {
        self.place.clear();
        self.place = hold(accounts, self.estimate, now).await?;
        Ok(())
    }

    /// Puts the cost in place of what was held. Gives the counters it went to, one for every payer with a budget.
    pub(crate) fn settle(self, cost: Nanos, now: i64) -> SmallVec<[Booking; 8]> {
        self.payers.into_iter().chain(self.place).map(|hold| hold.settle(cost, now)).collect()
    }
}

/// Takes hold of all of these budgets, or of none.
async fn hold(
    accounts: &[Arc<Account>],
    estimate: Estimate,
    now: i64,
) -> Result<SmallVec<[Hold; 4]>, Exceeded> {
    if let Some(shared) = accounts.first().and_then(|account| account.shared())
        && let Ok(held) = hold_everywhere(shared, accounts, estimate, now).await
    {
        return held;
    }
    accounts.iter().map(|account| account.reserve(estimate, now)).collect()
}

/// The same for budgets that several gateways share.
///
/// # Errors
/// The others cannot be asked.
async fn hold_everywhere(
    shared: &Arc<Shared>,
    accounts: &[Arc<Account>],
    estimate: Estimate,
    now: i64,
) -> Result<Result<SmallVec<[Hold; 4]>, Exceeded>, Lost> {
    let wishes: SmallVec<[_; 4]> = accounts.iter().map(|account| account.wish(estimate, now)).collect();
    let limited = || accounts.iter().zip(&wishes).filter_map(|(account, wish)| Some((account, (*wish)?)));
    let asks = limited().map(|(account, (hold, max, strict))| Ask {
        payer: account.payer(),
        id: account.id(),
        most: Some(max),
        strict,
        hold,
    });
    let asks: SmallVec<[Ask<'_>; 4]> = asks.collect();
    let mut granted = if asks.is_empty() { Granted::All } else { shared.reserve(&asks).await? };
    if granted == Granted::Unknown {
        for (account, _) in limited() {
            shared.raise(account.payer(), account.id(), &account.known(now)).await?;
        }
        granted = shared.reserve(&asks).await?;
    }
    Ok(match granted {
        Granted::All => Ok(accounts
            .iter()
            .zip(&wishes)
            .map(|(account, wish)| account.granted(wish.map_or(Nanos::ZERO, |(hold, ..)| hold), shared))
            .collect()),
        Granted::Spent { which, spent, used } => match limited().nth(which) {
            Some((account, _)) => Err(account.refused(spent, used, now)),
            None => return Err(Lost),
        },
        Granted::Unknown => return Err(Lost),
    })
}

//! Budgets while requests run: what every payer has spent, and what requests in progress hold of its budget. Knows
//! amounts and windows; neither whose they are nor how spend is stored.

mod shared;

use smallvec::SmallVec;
use tagway_core::money::Nanos;

use crate::receipt::Booking;

/// What one request holds of the budgets it counts against. Dropped without [`Holds::settle`], it gives all of it
/// back and costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Holds;

impl Holds {
    /// Puts the cost in place of what was held. Gives the counters it went to, one for every payer with a budget.
    pub(crate) fn settle(self, _cost: Nanos, _now: i64) -> SmallVec<[Booking; 8]> {
        SmallVec::new()
    }
}

//! The ledger: what becomes of receipts.

mod retain;

pub(crate) use retain::keep;

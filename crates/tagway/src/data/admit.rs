//! Whether the gateway takes one more request now. Counts; never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tagway_core::snapshot::Snapshot;

use super::failure::Failure;
use crate::live::Live;

/// A place taken, given back when dropped.
pub(crate) struct Hold(Arc<AtomicU32>);

/// Takes a place under `global_max_parallel_requests`; `None` when there is no such limit.
///
/// # Errors
/// All places are taken.
pub(crate) fn reserve(live: &Live, snapshot: &Snapshot) -> Result<Option<Hold>, Failure> {
    let Some(limit) = snapshot.config.general.global_max_parallel_requests else { return Ok(None) };
    let hold = Hold(Arc::clone(&live.in_flight));
    if limit <= hold.0.fetch_add(1, Ordering::Relaxed) {
        return Err(Failure::Busy { limit });
    }
    Ok(Some(hold))
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

//! Counts the tokens of requests whose providers gave no figures, apart from the threads that serve: a text of some
//! size takes longer to count than a request may.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::Ledger;
use super::bill::{Bill, Count};
use super::recent::Recent;
use crate::accounts::now_millis;
use crate::tasks::Stop;

/// Counts until asked to stop, and then what is left.
pub(crate) async fn count(ledger: Arc<Ledger>, mut uncounted: mpsc::UnboundedReceiver<Bill>, mut stop: Stop) {
    let mut stopping = false;
    loop {
        let bill = tokio::select! {
            bill = uncounted.recv() => bill,
            () = stop.asked(), if !stopping => {
                stopping = true;
                uncounted.close();
                continue;
            }
        };
        let Some(bill) = bill else { return };
        let ledger = Arc::clone(&ledger);
        let counted = tokio::task::spawn_blocking(move || {
            ledger.uncounted_bytes.fetch_sub(bill.request.len() as u64, Ordering::Relaxed);
            let rules = bill.rules;
            let receipt = bill.receipt(Count::Exact, now_millis());
            ledger.keep(ledger.last_lane(), receipt, rules, &mut Recent::default());
        });
        if let Err(error) = counted.await {
            tracing::error!(%error, "the tokens of a request cannot be counted");
        }
    }
}

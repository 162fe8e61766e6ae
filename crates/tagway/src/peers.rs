//! The other gateways on the same store: hears when they change something, and tells them. The store's own list of
//! changes says what; this only says that it is worth a look.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::Db;
use crate::tasks::Stop;

/// A pause before the next try after a connection was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// Ways to the other gateways.
pub(crate) struct Peers {
    /// Wakes whoever looks for changes.
    pub(crate) call: Arc<Notify>,
}

impl Peers {
    pub(crate) fn new() -> Self {
        Self { call: Arc::new(Notify::new()) }
    }

    /// Tells the others that something changed.
    pub(crate) async fn tell(&self) {
        // PostgreSQL tells them itself, with the transaction.
    }
}

/// Listens to PostgreSQL's notifications until asked to stop.
pub(crate) async fn listen(db: Db, call: Arc<Notify>, mut stop: Stop) {
    loop {
        let heard = async {
            let Some(mut ears) = db.listener().await? else { return Ok(false) };
            // Whatever was missed while nobody listened.
            call.notify_one();
            loop {
                ears.heard().await?;
                call.notify_one();
            }
        };
        let ended: Result<bool, crate::store::StoreError> = tokio::select! {
            () = stop.asked() => return,
            ended = heard => ended,
        };
        match ended {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "the store's notifications are lost for now"),
        }
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

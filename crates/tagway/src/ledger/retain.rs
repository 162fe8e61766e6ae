//! Keeps the store's log of requests within its bounds of age and length, and forgets amounts whose time is over. What
//! requests add up to stays. Any gateway may do it, and all of them do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tagway_core::config::SpendLogs;

use crate::receipt::Receipt;
use crate::store::{Db, StoreError};
use crate::tasks::Stop;

/// A start is busy enough; and then all gateways do not begin at once.
const FIRST: Duration = Duration::from_secs(60);
/// As many rows go in one transaction: others wait for it where there is one writer.
const BATCH: i64 = 5_000;
/// A pause between batches, for those others.
const PAUSE: Duration = Duration::from_millis(50);
/// Amounts are kept for so long after they stopped to count, for gateways whose clocks are behind.
const OVER: Duration = Duration::from_secs(24 * 3600);

/// Forgets what may be forgotten until asked to stop. `settings` says what may, each time.
pub(crate) async fn keep(db: Db, settings: impl Fn() -> SpendLogs, mut stop: Stop) {
    let mut wait = FIRST + Duration::from_secs(fastrand::u64(..60));
    loop {
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let settings = settings();
        wait = settings.every;
        let done = tokio::select! {
            () = stop.asked() => return,
            done = forget(&db, &settings) => done,
        };
        match done {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old requests are deleted from the log"),
            Err(error) => {
                tracing::warn!(%error, "old requests cannot be deleted from the log now");
                wait = wait.min(FIRST);
            }
        }
    }
}

/// Forgets all that may be forgotten now; says how many requests.
async fn forget(db: &Db, settings: &SpendLogs) -> Result<u64, StoreError> {
    while db.forget_spent(ago(OVER), BATCH).await? != 0 {
        tokio::time::sleep(PAUSE).await;
    }
    let mut forgotten = 0;
    let too_old = settings.kept.map_or(0, |kept| Receipt::first_id(ago(kept)));
    let too_many = match settings.most {
        Some(most) => db.log_beyond(i64::try_from(most).unwrap_or(i64::MAX)).await?,
        None => 0,
    };
    loop {
        match db.forget_logs(too_old.max(too_many), BATCH).await? {
            0 => return Ok(forgotten),
            more => forgotten += more,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// So long ago, in milliseconds since 1970.
fn ago(span: Duration) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.saturating_sub(span).as_millis()).unwrap_or(0)
}

//! Keeps the store's log of requests within its bounds of age and length, forgets amounts whose time is over, and has
//! days that are over rolled up. What requests add up to stays. Any gateway may do it, and all of them do.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tagway_core::config::SpendLogs;

use crate::receipt::Receipt;
use crate::store::{Db, StoreError};
use crate::tasks::Stop;

/// A start is busy enough; and then all gateways do not begin at once.
const FIRST: Duration = Duration::from_secs(60);
/// How often there is a look at what is to be done.
const ROUND: Duration = Duration::from_secs(600);
/// After so long a day that is over has nearly all of its requests.
const LATE: Duration = Duration::from_secs(3600);
const DAY: i64 = 86_400_000;
/// As many rows go in one transaction: others wait for it where there is one writer.
const BATCH: i64 = 5_000;
/// A pause between batches, for those others.
const PAUSE: Duration = Duration::from_millis(50);
/// Amounts are kept for so long after they stopped to count, for gateways whose clocks are behind.
const OVER: Duration = Duration::from_secs(24 * 3600);

/// Looks for what may be forgotten, and for days that are over, until asked to stop. `settings` says what may be
/// forgotten, each time.
pub(crate) async fn keep(db: Db, settings: impl Fn() -> SpendLogs, mut stop: Stop) {
    let mut wait = FIRST + Duration::from_secs(fastrand::u64(..60));
    let mut forgotten: Option<Instant> = None;
    loop {
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = ROUND;
        let settings = settings();
        let due = forgotten.is_none_or(|at| settings.every <= at.elapsed());
        let work = async {
            roll_up(&db).await?;
            if due { forget(&db, &settings).await } else { Ok(0) }
        };
        let done = tokio::select! {
            () = stop.asked() => return,
            done = work => done,
        };
        match done {
            Ok(count) => {
                if due {
                    forgotten = Some(Instant::now());
                }
                if 0 < count {
                    tracing::info!(forgotten = count, "old requests are deleted from the log");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the log of requests cannot be tidied now");
                wait = FIRST;
            }
        }
    }
}

/// Rolls up the days that are over.
async fn roll_up(db: &Db) -> Result<(), StoreError> {
    let last = ago(LATE) / DAY - 1;
    while db.roll_up(last).await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
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

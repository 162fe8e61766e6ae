//! Changes that other gateways made: heard of at once, looked for several times a second, and behind both a full
//! comparison now and then.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Directory;
use crate::store::{Change, Changes, Db, News, StoreError};
use crate::tasks::Stop;

/// How often the store is looked at without being called. Gateways on one SQLite file have no other way to hear of
/// each other, and ask a file that is at hand.
const POLL: Duration = Duration::from_millis(500);
const POLL_FILE: Duration = Duration::from_millis(200);
/// How often everything is compared.
const CHECK: Duration = Duration::from_secs(60);

/// Who wants to know of changes, apart from the directory: of these, or with none, of anything. Says whether it could
/// take note.
pub(crate) type Told = Box<dyn Fn(Vec<Change>) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// Keeps the directory up to date until asked to stop. `call` wakes it between two looks; `told` hears of the
/// same changes.
pub(crate) async fn watch(directory: Arc<Directory>, db: Db, call: Arc<Notify>, told: Told, mut stop: Stop) {
    let poll = if db.is_postgres() { POLL } else { POLL_FILE };
    let mut changes = None;
    let mut checked = Instant::now();
    loop {
        tokio::select! {
            () = stop.asked() => return,
            () = call.notified() => {}
            () = tokio::time::sleep(poll) => {}
        }
        let mut news = match look(&mut changes, &db).await {
            Ok(news) => news,
            Err(error) => {
                directory.lost(&error);
                // The database that answers next may be another one, behind this one in its count.
                changes = None;
                continue;
            }
        };
        let due = CHECK < checked.elapsed();
        if due || !directory.reaches_store() {
            news = News::Everything;
        }
        let noted = match news {
            News::Some(news) if news.is_empty() => true,
            News::Some(news) => {
                directory.refresh(news.clone()).await;
                told(news).await
            }
            News::Everything => {
                checked = Instant::now();
                directory.check().await;
                told(Vec::new()).await
            }
        };
        if !noted {
            changes = None;
        }
        if due && let Err(error) = db.forget_changes().await {
            tracing::debug!(%error, "cannot forget old changes");
        }
    }
}

/// What is new. At the start, and after the store was lost, that may be anything.
async fn look(changes: &mut Option<Changes>, db: &Db) -> Result<News, StoreError> {
    match changes {
        Some(changes) => changes.read(db).await,
        None => {
            *changes = Some(Changes::from_now(db).await?);
            Ok(News::Everything)
        }
    }
}

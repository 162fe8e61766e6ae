//! Changes that other gateways made: heard of at once, looked for every half second, and behind both a full
//! comparison now and then.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Directory;
use crate::store::{Change, Changes, Db, News};
use crate::tasks::Stop;

/// How often the store is looked at without being called.
const POLL: Duration = Duration::from_millis(500);
/// How often everything is compared.
const CHECK: Duration = Duration::from_secs(60);

/// Who wants to know of changes, apart from the directory.
pub(crate) type Told = Box<dyn Fn(Vec<Change>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Keeps the directory up to date until asked to stop. `call` wakes it between two looks; `told` hears of the
/// same changes, with none for "anything".
pub(crate) async fn watch(directory: Arc<Directory>, db: Db, call: Arc<Notify>, told: Told, mut stop: Stop) {
    let mut changes: Option<Changes> = None;
    let mut checked = Instant::now();
    loop {
        tokio::select! {
            () = stop.asked() => return,
            () = call.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
        let news = match &mut changes {
            None => Changes::from_now(&db).await.map(|from_now| {
                changes = Some(from_now);
                // Between the start, or the loss of the store, and now.
                News::Everything
            }),
            Some(changes) => changes.read(&db).await,
        };
        match news {
            Ok(News::Some(news)) if news.is_empty() => {}
            Ok(News::Some(news)) => {
                directory.refresh(news.clone()).await;
                told(news).await;
            }
            Ok(News::Everything) => {
                directory.check().await;
                told(Vec::new()).await;
            }
            // The keeper tells of a store that fails; here it is only asked again.
            Err(error) => {
                tracing::debug!(%error, "cannot read the changes");
                continue;
            }
        }
        if CHECK < checked.elapsed() {
            checked = Instant::now();
            directory.check().await;
            if let Err(error) = db.forget_changes().await {
                tracing::debug!(%error, "cannot forget old changes");
            }
        }
    }
}

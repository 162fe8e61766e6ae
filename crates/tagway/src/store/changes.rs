//! What changed lately: how a gateway learns of the changes others made.

use std::collections::VecDeque;
use std::time::Duration;

use super::StoreError;
use super::db::Db;
use super::postgres::Pools;
use super::row::now_millis;
use crate::objects::Kind;

/// An object that changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) id: String,
}

/// Two transactions may get their numbers in one order and end in the other: so many numbers before the last one
/// seen are looked at again.
const OVERLAP: i64 = 256;
/// As many changes are read at once; with more, everything may have changed.
const MOST: i64 = 2000;
/// Older changes are forgotten.
const KEPT: Duration = Duration::from_secs(3600);

/// How far a gateway has read.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    last: i64,
    /// Numbers of the overlap that have been seen.
    seen: VecDeque<i64>,
}

/// What reading gave.
pub(crate) enum News {
    /// These objects changed.
    Some(Vec<Change>),
    /// Too many to say.
    Everything,
}

impl Changes {
    /// Begins with what comes after now.
    pub(crate) async fn from_now(db: &Db) -> Result<Self, StoreError> {
        let last: Option<(i64,)> = db.one("SELECT coalesce(max(seq), 0) FROM changes", &[]).await?;
        Ok(Self { last: last.map_or(0, |(seq,)| seq), seen: VecDeque::new() })
    }

    /// What has changed since the last call.
    pub(crate) async fn read(&mut self, db: &Db) -> Result<News, StoreError> {
        let sql = "SELECT seq, kind, id FROM changes WHERE $1 < seq ORDER BY seq LIMIT $2";
        let from = self.last - OVERLAP;
        let rows: Vec<(i64, String, String)> = db.all(sql, &[from.into(), (MOST + OVERLAP).into()]).await?;
        let everything = i64::try_from(rows.len()).is_ok_and(|count| MOST + OVERLAP <= count);
        let mut news = Vec::new();
        for (seq, kind, id) in rows {
            if self.seen.contains(&seq) {
                continue;
            }
            self.seen.push_back(seq);
            self.last = self.last.max(seq);
            if let Some(kind) = Kind::named(&kind) {
                news.push(Change { kind, id });
            }
        }
        while self.seen.front().is_some_and(|seq| *seq <= self.last - OVERLAP) {
            self.seen.pop_front();
        }
        Ok(if everything { News::Everything } else { News::Some(news) })
    }
}

impl Db {
    /// Forgets old changes.
    pub(crate) async fn forget_changes(&self) -> Result<(), StoreError> {
        let before = now_millis() - i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let mut tx = self.begin().await?;
        tx.run("DELETE FROM changes WHERE at < $1", &[before.into()]).await?;
        tx.run("DELETE FROM key_digests WHERE ends_at < $1", &[before.into()]).await?;
        tx.commit().await
    }
}

/// Hears PostgreSQL's notifications.
pub(crate) struct Ears(sqlx::postgres::PgListener);

impl Ears {
    /// Waits for the next one, or for the moment somebody listens again who did not for a while.
    pub(crate) async fn heard(&mut self) -> Result<(), StoreError> {
        self.0.try_recv().await?;
        Ok(())
    }
}

impl Db {
    /// Begins to listen for changes; SQLite has nobody to hear.
    pub(crate) async fn listener(&self) -> Result<Option<Ears>, StoreError> {
        let Self::Postgres(Pools { inner, .. }) = self else { return Ok(None) };
        let mut listener = sqlx::postgres::PgListener::connect_with(inner).await?;
        listener.listen("tagway_changes").await?;
        Ok(Some(Ears(listener)))
    }
}

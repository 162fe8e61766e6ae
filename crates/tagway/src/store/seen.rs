//! Tags seen in requests, with their first and last use.

use sqlx::FromRow;

use super::StoreError;
use super::db::Db;

/// A tag that requests carried.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SeenTag {
    pub(crate) tag: String,
    /// Milliseconds since 1970.
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
}

impl Db {
    /// Tags seen between two times (milliseconds since 1970), by name, after `after`.
    pub(crate) async fn seen_tags(
        &self,
        from: i64,
        until: i64,
        after: &str,
        limit: i64,
    ) -> Result<Vec<SeenTag>, StoreError> {
        let sql = "SELECT tag, first_at, last_at FROM seen_tags WHERE $1 <= last_at AND first_at <= $2 AND $3 < tag ORDER BY tag LIMIT $4";
        self.all(sql, &[from.into(), until.into(), after.into(), limit.into()]).await
    }

    /// Notes that tags were seen between two times.
    pub(crate) async fn note_tags(&self, tags: &[SeenTag]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "INSERT INTO seen_tags (tag, first_at, last_at) VALUES ($1, $2, $3) ON CONFLICT (tag) DO UPDATE SET last_at = CASE WHEN seen_tags.last_at < excluded.last_at THEN excluded.last_at ELSE seen_tags.last_at END, first_at = CASE WHEN excluded.first_at < seen_tags.first_at THEN excluded.first_at ELSE seen_tags.first_at END";
        for SeenTag { tag, first_at, last_at } in tags {
            tx.run(sql, &[tag.as_str().into(), (*first_at).into(), (*last_at).into()]).await?;
        }
        tx.commit().await
    }
}

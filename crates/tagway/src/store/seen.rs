//! Tags seen in requests, with their first and last use.

use sqlx::FromRow;

use super::StoreError;
use super::db::{Arg, Db};
use super::read::{MOST_IDS, places};
use super::terms::clean;
use crate::objects::Kind;

/// A tag that was seen before was seen from the first time to the last.
pub(super) const WIDENS: &str = "ON CONFLICT (tag) DO UPDATE SET last_at = CASE WHEN seen_tags.last_at < excluded.last_at THEN excluded.last_at ELSE seen_tags.last_at END, first_at = CASE WHEN excluded.first_at < seen_tags.first_at THEN excluded.first_at ELSE seen_tags.first_at END";

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

    /// Tags seen for the first time since then (milliseconds since 1970), the earliest first.
    pub(crate) async fn seen_since(&self, since: i64) -> Result<Vec<SeenTag>, StoreError> {
        let sql = "SELECT tag, first_at, last_at FROM seen_tags WHERE $1 <= first_at ORDER BY first_at, tag";
        self.all(sql, &[since.into()]).await
    }

    /// Those of these tags that were seen.
    pub(crate) async fn seen_among(&self, tags: &[String]) -> Result<Vec<SeenTag>, StoreError> {
        let mut seen = Vec::new();
        for part in tags.chunks(MOST_IDS) {
            let places = places(part.len());
            let sql = format!("SELECT tag, first_at, last_at FROM seen_tags WHERE tag IN ({places})");
            let args: Vec<Arg> = part.iter().map(|tag| tag.as_str().into()).collect();
            seen.extend(self.all::<SeenTag>(&sql, &args).await?);
        }
        Ok(seen)
    }

    /// Whether an object carries a tag, or requests have.
    pub(crate) async fn is_carried(&self, tag: &str) -> Result<bool, StoreError> {
        let sql = "SELECT tag FROM seen_tags WHERE tag = $1 UNION ALL SELECT tag FROM carried_tags WHERE tag = $1 UNION ALL SELECT t.text FROM terms t JOIN tag_set_members m ON m.tag_id = t.id WHERE t.text = $2 LIMIT 1";
        let args = [tag.into(), clean(tag).as_ref().into()];
        Ok(self.one::<(String,)>(sql, &args).await?.is_some())
    }

    /// What objects give their requests: tag, kind and id, by name.
    pub(crate) async fn carried_tags(&self, limit: i64) -> Result<Vec<(String, String, String)>, StoreError> {
        let sql =
            "SELECT tag, kind, id FROM carried_tags WHERE kind <> 'model' ORDER BY tag, kind, id LIMIT $1";
        self.all(sql, &[limit.into()]).await
    }

    /// Budgets that no object refers to.
    pub(crate) async fn budgets_of_nobody(&self, limit: i64) -> Result<Vec<String>, StoreError> {
        let kinds =
            [Kind::Key, Kind::Team, Kind::User, Kind::Customer, Kind::Organization, Kind::Project, Kind::Tag];
        let used = kinds
            .map(|kind| format!("NOT EXISTS (SELECT 1 FROM {} WHERE budget_id = budgets.id)", kind.table()));
        let sql = format!("SELECT id FROM budgets WHERE {} ORDER BY id LIMIT $1", used.join(" AND "));
        let rows: Vec<(String,)> = self.all(&sql, &[limit.into()]).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// The tags that a user, its keys and its teams carry.
    pub(crate) async fn tags_of_user(&self, user: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT tag FROM carried_tags WHERE (kind = 'user' AND id = $1) OR (kind = 'key' AND id IN (SELECT id FROM keys WHERE user_id = $1)) OR (kind = 'team' AND id IN (SELECT id FROM members WHERE user_id = $1 AND kind = 'team')) OR (kind = 'team' AND id IN (SELECT team_id FROM keys WHERE user_id = $1)) ORDER BY tag";
        let rows: Vec<(String,)> = self.all(sql, &[user.into()]).await?;
        Ok(rows.into_iter().map(|(tag,)| tag).collect())
    }

    /// Forgets all but the `most` tags seen last; says how many were forgotten.
    pub(crate) async fn forget_seen_tags(&self, most: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "DELETE FROM seen_tags WHERE (last_at, tag) < (SELECT last_at, tag FROM seen_tags ORDER BY last_at DESC, tag DESC LIMIT 1 OFFSET $1)";
        let forgotten = tx.run(sql, &[(most - 1).into()]).await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    /// Notes that tags were seen between two times.
    pub(crate) async fn note_tags(&self, tags: &[SeenTag]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!("INSERT INTO seen_tags (tag, first_at, last_at) VALUES ($1, $2, $3) {WIDENS}");
        for SeenTag { tag, first_at, last_at } in tags {
            tx.run(&sql, &[tag.as_str().into(), (*first_at).into(), (*last_at).into()]).await?;
        }
        tx.commit().await
    }
}

//! Forgetting: the log grows with every request and may be cut, by age and by length. What requests add up to stays,
//! and so does what counts against budgets, until its time is over.

use super::StoreError;
use super::db::Db;
use super::spend_logs::number;
use crate::receipt::NEVER;

/// So many rows are passed over at once on the way to the oldest that stays.
const STRIDE: i64 = 100_000;

impl Db {
    /// The number below which there are the oldest of more than `kept` requests.
    pub(crate) async fn log_beyond(&self, kept: i64) -> Result<u128, StoreError> {
        let sql = "SELECT id FROM spend_logs WHERE id < $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
        let (mut from, mut left) = (u128::MAX, kept);
        loop {
            // In strides, so that no statement takes longer than the server lets it.
            let stride = left.min(STRIDE);
            let args = [from.to_be_bytes().as_slice().into(), stride.into()];
            let Some((id,)) = self.one::<(Vec<u8>,)>(sql, &args).await? else { return Ok(0) };
            from = number(&id).unwrap_or_default();
            if left <= stride {
                return Ok(from.saturating_add(1));
            }
            // The one found is passed over by the next condition.
            left -= stride + 1;
        }
    }

    /// Forgets the oldest requests with smaller numbers, `most` of them; says how many.
    pub(crate) async fn forget_logs(&self, end: u128, most: i64) -> Result<u64, StoreError> {
        let bytes = end.to_be_bytes();
        let sql = "SELECT id FROM spend_logs WHERE id < $1 ORDER BY id LIMIT 1 OFFSET $2";
        let next: Option<(Vec<u8>,)> = self.one(sql, &[bytes.as_slice().into(), most.into()]).await?;
        let end = next.map_or_else(|| bytes.to_vec(), |(id,)| id);
        let args = [end.as_slice().into()];
        let mut tx = self.begin().await?;
        tx.run("DELETE FROM spend_log_texts WHERE id < $1", &args).await?;
        tx.run("DELETE FROM spend_log_decisions WHERE id < $1", &args).await?;
        let forgotten = tx.run("DELETE FROM spend_logs WHERE id < $1", &args).await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    /// Forgets amounts that stopped to count before a time (milliseconds since 1970), and those that became nothing
    /// before it, `most` of either; says how many.
    pub(crate) async fn forget_spent(&self, before: i64, most: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        // What is being booked just now stays for the next time.
        let skip = if tx.is_postgres() { " FOR UPDATE SKIP LOCKED" } else { "" };
        let mut forgotten = 0;
        for over in [
            format!("until < $1 AND until < {NEVER}"),
            format!("amount = 0 AND until = {NEVER} AND updated_at < $1"),
        ] {
            let sql = format!(
                "DELETE FROM spend WHERE (kind, id, until) IN (SELECT kind, id, until FROM spend WHERE {over} LIMIT $2{skip})"
            );
            forgotten += tx.run(&sql, &[before.into(), most.into()]).await?;
        }
        tx.commit().await?;
        Ok(forgotten)
    }
}

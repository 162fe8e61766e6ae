//! Which alerts have been told of, so that of several gateways one tells.

use super::StoreError;
use super::db::Db;
use super::row::now_millis;

impl Db {
    /// Notes that somebody tells of a payer's budget being crossed; `false` when somebody has.
    pub(crate) async fn claim_alert(
        &self,
        kind: &str,
        id: &str,
        until: i64,
        event: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "INSERT INTO alerts (kind, id, until, event, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let args = [kind.into(), id.into(), until.into(), event.into(), now_millis().into()];
        let rows = tx.run(sql, &args).await?;
        tx.commit().await?;
        Ok(0 < rows)
    }
}

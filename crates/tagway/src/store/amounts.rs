//! Changing what counts against budgets by hand: an amount is set, windows become others, an object goes. Amounts that
//! no longer count become nothing before they go, so that gateways which look for changed ones see it.

use super::StoreError;
use super::db::Arg;
use super::edit::Edit;
use super::read::{MOST_IDS, places};
use crate::objects::Kind;
use crate::receipt::Payer;

/// The most that can be set, in nano-dollars: enough is left above it for what is added later.
const MOST: i64 = 4_000_000_000_000_000_000;

impl Edit {
    /// What was spent on an object, in nano-dollars.
    pub(crate) async fn spend_of(&mut self, kind: Kind, id: &str) -> Result<i64, StoreError> {
        let sql = "SELECT amount FROM spend WHERE kind = $1 AND id = $2 AND $3 < until";
        let now = self.now().as_millisecond();
        let rows: Vec<(i64,)> = self.tx.all(sql, &[kind.as_str().into(), id.into(), now.into()]).await?;
        Ok(rows.iter().map(|(amount,)| amount).sum())
    }

    /// Sets what was spent on an object, in nano-dollars. It counts until the end of the budget's window: a time in
    /// milliseconds since 1970.
    pub(crate) async fn set_spend(
        &mut self,
        kind: Kind,
        id: &str,
        amount: i64,
        until: i64,
    ) -> Result<(), StoreError> {
        let ids = [id.to_owned()];
        self.hold(kind, &ids).await?;
        let clock = self.tx.clock();
        let sql = format!(
            "INSERT INTO spend (kind, id, until, amount, updated_at) VALUES ($1, $2, $3, $4, {clock}) ON CONFLICT (kind, id, until) DO UPDATE SET amount = excluded.amount, updated_at = {clock}"
        );
        let amount = amount.clamp(-MOST, MOST);
        self.tx.run(&sql, &[kind.as_str().into(), id.into(), until.into(), amount.into()]).await?;
        self.end_others(kind, &ids, until).await?;
        self.changed(kind, id);
        Ok(())
    }

    /// Lets all that counts for objects of a kind count until this time, since the windows of their budget have become
    /// others.
    pub(crate) async fn retime(&mut self, kind: Kind, ids: &[String], until: i64) -> Result<(), StoreError> {
        let clock = self.tx.clock();
        let now = self.now().as_millisecond();
        for part in ids.chunks(MOST_IDS) {
            self.hold(kind, part).await?;
            let sql = format!(
                "INSERT INTO spend (kind, id, until, amount, updated_at) SELECT kind, id, {until}, CAST(sum(amount) AS BIGINT), {clock} FROM spend WHERE kind = '{kind}' AND {now} < until AND id IN ({}) GROUP BY kind, id ON CONFLICT (kind, id, until) DO UPDATE SET amount = excluded.amount, updated_at = {clock}",
                places(part.len())
            );
            self.tx.run(&sql, &args(part)).await?;
            self.end_others(kind, part, until).await?;
        }
        Ok(())
    }

    /// Keeps others from adding to what these have spent, in the order in which booking adds.
    async fn hold(&mut self, kind: Kind, ids: &[String]) -> Result<(), StoreError> {
        let lock = self.tx.lock();
        let sql = format!(
            "SELECT until FROM spend WHERE kind = '{kind}' AND id IN ({}) ORDER BY id, until{lock}",
            places(ids.len())
        );
        self.tx.all::<(i64,)>(&sql, &args(ids)).await?;
        Ok(())
    }

    /// Takes away what counts until another time.
    async fn end_others(&mut self, kind: Kind, ids: &[String], until: i64) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE spend SET amount = 0, updated_at = {} WHERE kind = '{kind}' AND id IN ({}) AND until <> {until} AND amount <> 0",
            self.tx.clock(),
            places(ids.len())
        );
        self.tx.run(&sql, &args(ids)).await?;
        Ok(())
    }

    /// Forgets what was spent on an object, and on its parts. What others spent by it is theirs.
    pub(super) async fn forget_spend(&mut self, kind: Kind, id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM spend WHERE kind = $1 AND id = $2";
        self.tx.run(sql, &[kind.as_str().into(), id.into()]).await?;
        let parts = match kind {
            Kind::Key => Payer::KeyModel,
            Kind::Team => Payer::Member,
            Kind::Organization => Payer::OrganizationMember,
            _ => return Ok(()),
        };
        // What begins with the id and a slash: 0 comes after it.
        let sql = "DELETE FROM spend WHERE kind = $1 AND $2 < id AND id < $3";
        let args = [parts.as_str().into(), Arg::Text(format!("{id}/")), Arg::Text(format!("{id}0"))];
        self.tx.run(sql, &args).await?;
        Ok(())
    }
}

fn args(ids: &[String]) -> Vec<Arg> {
    ids.iter().map(|id| id.as_str().into()).collect()
}

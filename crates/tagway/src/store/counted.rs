//! What payers have spent, as budgets need it: amounts with the time at which they stop to count.

use super::StoreError;
use super::book::CountedRow;
use super::db::{Arg, Db};
use super::read::{MOST_IDS, places};
use super::row::now_millis;
use super::terms::clean;
use crate::receipt::{Counted, Payer};

/// A row may be seen so long (in milliseconds) after the time it bears: a transaction takes no longer.
const OVERLAP: i64 = 15_000;
/// As many rows are read at once.
const PAGE: i64 = 10_000;

const COLUMNS: &str = "kind, id, until, amount";

impl Db {
    /// What counts now for these payers; nothing for one that has spent nothing.
    pub(crate) async fn counted(&self, payers: &[(Payer, String)]) -> Result<Vec<Counted>, StoreError> {
        let mut sorted: Vec<&(Payer, String)> = payers.iter().collect();
        sorted.sort();
        sorted.dedup();
        let mut counted = Vec::with_capacity(sorted.len());
        for kind in sorted.chunk_by(|(one, _), (other, _)| one == other) {
            for part in kind.chunks(MOST_IDS) {
                let Some((payer, _)) = part.first() else { continue };
                let sql = format!(
                    "SELECT {COLUMNS} FROM spend WHERE kind = '{}' AND id IN ({}) AND ${} < until",
                    payer.as_str(),
                    places(part.len()),
                    part.len() + 1
                );
                let mut args: Vec<Arg> =
                    part.iter().map(|(_, id)| Arg::Text(clean(id).into_owned())).collect();
                args.push(now_millis().into());
                counted.extend(self.all::<CountedRow>(&sql, &args).await?.into_iter().map(Counted::from));
            }
        }
        Ok(counted)
    }

    /// What counts now for all payers of a kind.
    pub(crate) async fn counted_all(&self, payer: Payer) -> Result<Vec<Counted>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM spend WHERE kind = '{}' AND (id, until) > ($1, $2) AND $3 < until ORDER BY id, until LIMIT $4",
            payer.as_str()
        );
        let now = now_millis();
        let mut counted: Vec<Counted> = Vec::new();
        loop {
            let (id, until) = counted.last().map_or(("", i64::MIN), |last| (&last.id, last.until));
            let page: Vec<CountedRow> =
                self.all(&sql, &[id.into(), until.into(), now.into(), PAGE.into()]).await?;
            let full = i64::try_from(page.len()).is_ok_and(|count| count == PAGE);
            counted.extend(page.into_iter().map(Counted::from));
            if !full {
                return Ok(counted);
            }
        }
    }

    /// What was counted anew since a time of this gateway's clock (milliseconds since 1970), be it that an amount
    /// became nothing. May give again what was given before. To be read by the task that books: what is read while
    /// something is booked may be older than what booking gives.
    pub(crate) async fn spend_changed(&self, since: i64) -> Result<Vec<Counted>, StoreError> {
        // As a span, and from there by the store's clock: gateways' clocks differ.
        let span = (now_millis() - since).max(0).saturating_add(OVERLAP);
        let sql = format!("SELECT {COLUMNS} FROM spend WHERE {} - $1 <= updated_at", self.clock());
        let rows: Vec<CountedRow> = self.all(&sql, &[span.into()]).await?;
        Ok(rows.into_iter().map(Counted::from).collect())
    }
}

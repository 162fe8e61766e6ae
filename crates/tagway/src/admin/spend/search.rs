//! Finds requests in the log for one who may see all of them, or a user's own and those of some teams. Those that are
//! named have indexes of their own: they are asked for apart, and the answers merged, each request once.

use std::collections::BTreeMap;

use super::super::Shared;
use super::super::refusal::Refusal;
use super::scope::Reach;
use crate::receipt::Receipt;
use crate::store::{LogFilter, LogPage, LogPart};

/// As many requests are counted, and can be reached by the number of their page: beyond, one goes on from a cursor.
pub(super) const MOST_COUNTED: i64 = 10_000;
/// As many are read at once.
const PAGE: i64 = 1000;

/// Questions to the log whose answers are one.
pub(super) struct Search<'a> {
    either: Vec<LogFilter<'a>>,
    ascending: bool,
}

impl<'a> Search<'a> {
    /// Those of these requests that somebody may see.
    pub(super) fn new(filter: &LogFilter<'a>, reach: &'a Reach, ascending: bool) -> Self {
        let any = match reach {
            Reach::Everybody => None,
            Reach::Own { user, teams } => Some((user.as_str(), teams.as_slice())),
        };
        Self { either: vec![LogFilter { any, ..filter.clone() }], ascending }
    }

    /// Those that one of these changes of the question finds.
    pub(super) fn any(self, changes: &[&dyn Fn(&LogFilter<'a>) -> LogFilter<'a>]) -> Self {
        let either = self.either.iter().flat_map(|filter| changes.iter().map(|change| change(filter)));
        Self { either: either.collect(), ascending: self.ascending }
    }

    /// Requests after the one with this number. There may be more, even if there are fewer than wanted.
    pub(super) async fn after(
        &self,
        shared: &Shared,
        after: Option<u128>,
        limit: i64,
    ) -> Result<LogPart, Refusal> {
        let page = LogPage { ascending: self.ascending, after, limit, offset: 0 };
        let wanted = usize::try_from(limit).unwrap_or_default();
        if let [filter] = self.either.as_slice() {
            return Ok(shared.db.spend_logs(filter, &page).await?);
        }
        let mut merged: BTreeMap<u128, Receipt> = BTreeMap::new();
        let mut rest: Option<u128> = None;
        for filter in &self.either {
            let part = shared.db.spend_logs(filter, &page).await?;
            merged.extend(part.receipts.into_iter().map(|receipt| (receipt.id, receipt)));
            rest = match (rest, part.rest) {
                (Some(one), Some(other)) => {
                    Some(if self.ascending { one.min(other) } else { one.max(other) })
                }
                (one, other) => one.or(other),
            };
        }
        // What is beyond the point up to which all of them were followed is for the next page.
        if let Some(rest) = rest {
            merged.retain(|id, _| if self.ascending { *id <= rest } else { rest <= *id });
        }
        let mut receipts: Vec<Receipt> = merged.into_values().collect();
        if !self.ascending {
            receipts.reverse();
        }
        if wanted < receipts.len() {
            receipts.truncate(wanted);
            rest = receipts.last().map(|last| last.id);
        }
        Ok(LogPart { receipts, rest })
    }

    /// Requests after so many, which are no more than [`MOST_COUNTED`].
    pub(super) async fn from(&self, shared: &Shared, offset: i64, limit: i64) -> Result<LogPart, Refusal> {
        if let [filter] = self.either.as_slice() {
            let page = LogPage { ascending: self.ascending, after: None, limit, offset };
            return Ok(shared.db.spend_logs(filter, &page).await?);
        }
        let (mut left, mut after) = (offset, None);
        while 0 < left {
            let skipped = self.after(shared, after, left.min(PAGE)).await?;
            if skipped.rest.is_none() {
                return Ok(LogPart::default());
            }
            after = skipped.rest;
            left -= i64::try_from(skipped.receipts.len()).unwrap_or(left);
        }
        self.after(shared, after, limit).await
    }

    /// How many there are, and whether there may be more: counting stops at [`MOST_COUNTED`], and where it takes long.
    pub(super) async fn count(&self, shared: &Shared) -> Result<(i64, bool), Refusal> {
        match self.either.as_slice() {
            [] => Ok((0, false)),
            [filter] => Ok(shared.db.count_spend_logs(filter, MOST_COUNTED).await?),
            either => {
                let (mut counts, mut named) = (Vec::new(), 0);
                for filter in either {
                    counts.push(shared.db.count_spend_logs(filter, MOST_COUNTED).await?);
                    let is_named = filter.call_id.is_some() || filter.id.is_some();
                    named += if is_named { counts.last().map_or(0, |(count, _)| *count) } else { 0 };
                }
                // What has no such name is not found twice.
                if named == 0 {
                    let count: i64 = counts.iter().map(|(count, _)| *count).sum();
                    return Ok((count.min(MOST_COUNTED), counts.iter().any(|(_, more)| *more)));
                }
                let found = self.after(shared, None, MOST_COUNTED + 1).await?;
                let count = i64::try_from(found.receipts.len()).unwrap_or(MOST_COUNTED);
                Ok((count.min(MOST_COUNTED), found.rest.is_some()))
            }
        }
    }

    /// All of them, one more than [`MOST_COUNTED`] at most.
    pub(super) async fn all(&self, shared: &Shared) -> Result<Vec<Receipt>, Refusal> {
        let mut found: Vec<Receipt> = Vec::new();
        let most = usize::try_from(MOST_COUNTED).unwrap_or_default();
        let mut after = None;
        while found.len() <= most {
            let part = self.after(shared, after, PAGE).await?;
            found.extend(part.receipts);
            after = part.rest;
            if after.is_none() {
                break;
            }
        }
        found.truncate(most + 1);
        Ok(found)
    }
}

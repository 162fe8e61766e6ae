//! Finds requests in the log for one who may see all of them, or a user's own and those of some teams. What one index
//! cannot answer is asked of several, and their answers are merged: the newest first, each request once.

use std::collections::BTreeMap;

use super::super::Shared;
use super::super::refusal::Refusal;
use super::days::{self, Days};
use super::read;
use super::scope::Reach;
use crate::receipt::Receipt;
use crate::store::{Dim, LogFilter, LogPage, TagView};

/// As many requests are counted, and can be reached by the number of their page: beyond, one goes on from a cursor.
pub(super) const MOST_COUNTED: i64 = 10_000;
/// As many are read at once.
const PAGE: i64 = 1000;
const DAY: i64 = 86_400_000;

/// Questions to the log whose answers are one.
pub(super) struct Search<'a> {
    either: Vec<LogFilter<'a>>,
    /// The same as one question, where there is one.
    whole: Option<LogFilter<'a>>,
    ascending: bool,
}

impl<'a> Search<'a> {
    /// Those of these requests that somebody may see.
    pub(super) fn new(filter: LogFilter<'a>, reach: &'a Reach, ascending: bool) -> Self {
        let Reach::Own { user, teams } = reach else {
            return Self { either: vec![filter.clone()], whole: Some(filter), ascending };
        };
        let mut either = Vec::new();
        if filter.user.is_none_or(|asked| asked == user) {
            either.push(LogFilter { user: Some(user), ..filter.clone() });
        }
        let open = teams.iter().filter(|team| filter.team.is_none_or(|asked| asked == *team));
        either.extend(open.map(|team| LogFilter { team: Some(team), ..filter.clone() }));
        let whole = LogFilter { any: Some((user, teams)), ..filter };
        Self { either, whole: Some(whole), ascending }
    }

    /// Those that one of these changes of the question finds.
    pub(super) fn any(self, changes: &[&dyn Fn(&LogFilter<'a>) -> LogFilter<'a>]) -> Self {
        let either = self.either.iter().flat_map(|filter| changes.iter().map(|change| change(filter)));
        Self { either: either.collect(), whole: None, ascending: self.ascending }
    }

    /// Narrows a question that no index answers to the days on which there were such requests.
    pub(super) async fn narrowed(mut self, shared: &Shared) -> Result<Self, Refusal> {
        let needed = |filter: &LogFilter<'_>| filter.model.is_some() || filter.deployment.is_some();
        let Some(filter) = self.whole.as_ref().filter(|filter| needed(filter)) else { return Ok(self) };
        let mut slice = read::within(Days {
            first: filter.from.unwrap_or(0).div_euclid(DAY),
            last: filter.to.map_or_else(days::today, |to| (to - 1).div_euclid(DAY)),
        });
        for (dimension, value) in [(Dim::Model, filter.model), (Dim::Deployment, filter.deployment)] {
            slice.only.extend(value.map(|value| (dimension, vec![Some(value.to_owned())])));
        }
        let found = read::sums(shared, &slice, &[Dim::Day], TagView::Full).await?;
        let (Some(first), Some(last)) = (found.first(), found.last()) else {
            return Ok(Self { either: Vec::new(), whole: None, ascending: self.ascending });
        };
        let (from, to) = (first.day() * DAY, (last.day() + 1) * DAY);
        for filter in self.either.iter_mut().chain(&mut self.whole) {
            filter.from = Some(filter.from.map_or(from, |own| own.max(from)));
            filter.to = Some(filter.to.map_or(to, |own| own.min(to)));
        }
        Ok(self)
    }

    /// Requests after the one with this number.
    pub(super) async fn after(
        &self,
        shared: &Shared,
        after: Option<u128>,
        limit: i64,
    ) -> Result<Vec<Receipt>, Refusal> {
        let page = LogPage { ascending: self.ascending, after, limit, offset: 0 };
        let wanted = usize::try_from(limit).unwrap_or_default();
        if let [filter] = self.either.as_slice() {
            return Ok(shared.db.spend_logs(filter, &page).await?);
        }
        let mut merged: BTreeMap<u128, Receipt> = BTreeMap::new();
        for filter in &self.either {
            let found = shared.db.spend_logs(filter, &page).await?;
            merged.extend(found.into_iter().map(|receipt| (receipt.id, receipt)));
            while wanted < merged.len() {
                if self.ascending {
                    merged.pop_last()
                } else {
                    merged.pop_first()
                };
            }
        }
        let merged = merged.into_values();
        Ok(if self.ascending { merged.collect() } else { merged.rev().collect() })
    }

    /// Requests after so many, which are no more than [`MOST_COUNTED`].
    pub(super) async fn from(
        &self,
        shared: &Shared,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Receipt>, Refusal> {
        if let [filter] = self.either.as_slice() {
            let page = LogPage { ascending: self.ascending, after: None, limit, offset };
            return Ok(shared.db.spend_logs(filter, &page).await?);
        }
        let (mut left, mut after) = (offset, None);
        while 0 < left {
            let skipped = self.after(shared, after, left.min(PAGE)).await?;
            let Some(last) = skipped.last() else { return Ok(Vec::new()) };
            after = Some(last.id);
            left -= i64::try_from(skipped.len()).unwrap_or(left);
        }
        self.after(shared, after, limit).await
    }

    /// How many there are, and whether counting stopped at [`MOST_COUNTED`].
    pub(super) async fn count(&self, shared: &Shared) -> Result<(i64, bool), Refusal> {
        let most = MOST_COUNTED + 1;
        let count = match (&self.whole, self.either.as_slice()) {
            (_, []) => 0,
            (Some(filter), _) | (None, [filter]) => shared.db.count_spend_logs(filter, most).await?,
            (None, _) => {
                // Few, or it would not have been asked of several.
                i64::try_from(self.all(shared).await?.len()).unwrap_or(most)
            }
        };
        Ok((count.min(MOST_COUNTED), MOST_COUNTED < count))
    }

    /// All of them, one more than [`MOST_COUNTED`] at most.
    pub(super) async fn all(&self, shared: &Shared) -> Result<Vec<Receipt>, Refusal> {
        let mut found: Vec<Receipt> = Vec::new();
        let most = usize::try_from(MOST_COUNTED).unwrap_or_default();
        while found.len() <= most {
            let part = self.after(shared, found.last().map(|last| last.id), PAGE).await?;
            let full = i64::try_from(part.len()).is_ok_and(|count| count == PAGE);
            found.extend(part);
            if !full {
                break;
            }
        }
        found.truncate(most + 1);
        Ok(found)
    }
}

//! Finding requests in the log: along its own key, in the order of time, so that it needs no index by what is asked for.
//! What is rare is looked for only on the days that have it; what cannot be found in time is left for the next page.
//! Pages cost the same however far one has read.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::StoreError;
use super::book::DAY;
use super::db::{Arg, Db};
use super::log_days::Days;
use super::log_filter::Condition;
use super::spend_logs::{LogFilter, LogPage, LogRow, LogStatus, OWNERS, number, receipt};
use crate::receipt::Receipt;

/// So many requests are looked at before days are asked for; what is frequent is found among them …
const FIRST: i64 = if cfg!(test) { 7 } else { 20_000 };
/// … and so many by one statement then.
const STEP: i64 = if cfg!(test) { 11 } else { 200_000 };
/// A page is looked for no longer than this, but for one statement.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 600_000 } else { 150 });

/// What conditions ask of a row, beside its subject.
const ASKED: &str = "id, subject_id, failed, status, cost";

/// A part of the log.
#[derive(Debug, Default)]
pub(crate) struct LogPart {
    pub(crate) receipts: Vec<Receipt>,
    /// There may be more after this number.
    pub(crate) rest: Option<u128>,
}

/// A question to the log, as far as it was followed.
struct Walk<'f> {
    filter: &'f LogFilter<'f>,
    condition: Condition,
    ascending: bool,
    /// The numbers that were not looked at.
    left: Range<u128>,
    wanted: usize,
    /// Those found; when they are only counted, how many.
    found: Vec<u128>,
    counted: Option<usize>,
    began: Instant,
}

impl Walk<'_> {
    fn is_full(&self) -> bool {
        self.wanted <= self.count()
    }

    fn count(&self) -> usize {
        self.counted.unwrap_or(self.found.len())
    }

    /// The number after which to go on.
    fn rest(&self) -> Option<u128> {
        let end = if self.ascending { self.left.start.saturating_sub(1) } else { self.left.end };
        (!self.left.is_empty()).then_some(end)
    }

    /// What was not looked at of some numbers.
    fn part(&self, of: &Range<u128>) -> Range<u128> {
        self.left.start.max(of.start)..self.left.end.min(of.end)
    }

    /// Notes that it was followed up to a number, or to the end of a part.
    fn followed(&mut self, part: &mut Range<u128>, up_to: Option<u128>) {
        match up_to {
            Some(id) if self.ascending => part.start = id.saturating_add(1),
            Some(id) => part.end = id,
            None if self.ascending => part.start = part.end,
            None => part.end = part.start,
        }
        if self.ascending { self.left.start = part.start } else { self.left.end = part.end }
    }
}

impl Db {
    /// What was said in a request, where it was kept: its messages and the answer, as JSON.
    pub(crate) async fn log_texts(&self, id: u128) -> Result<Option<(String, String)>, StoreError> {
        let sql = "SELECT messages, response FROM spend_log_texts WHERE id = $1";
        self.one(sql, &[id.to_be_bytes().as_slice().into()]).await
    }

    /// How a request was routed, where it was kept: as JSON.
    pub(crate) async fn log_decision(&self, id: u128) -> Result<Option<String>, StoreError> {
        let sql = "SELECT decision FROM spend_log_decisions WHERE id = $1";
        let row: Option<(String,)> = self.one(sql, &[id.to_be_bytes().as_slice().into()]).await?;
        Ok(row.map(|(decision,)| decision))
    }

    /// A page of the log. One that is not full may not be the last.
    pub(crate) async fn spend_logs(
        &self,
        filter: &LogFilter<'_>,
        page: &LogPage,
    ) -> Result<LogPart, StoreError> {
        let wanted = usize::try_from(page.offset + page.limit).unwrap_or_default();
        let Some(mut walk) = self.walk(filter, page.after, page.ascending, wanted).await? else {
            return Ok(LogPart::default());
        };
        if is_direct(filter) {
            self.look_up(&mut walk).await?;
        } else {
            self.follow(&mut walk).await?;
        }
        let skipped = usize::try_from(page.offset).unwrap_or_default();
        let found = walk.found.iter().skip(skipped).copied();
        Ok(LogPart { receipts: self.logged(found, page.ascending).await?, rest: walk.rest() })
    }

    /// How many requests a filter finds, up to `most` of them; and whether there may be more.
    pub(crate) async fn count_spend_logs(
        &self,
        filter: &LogFilter<'_>,
        most: i64,
    ) -> Result<(i64, bool), StoreError> {
        let wanted = usize::try_from(most).unwrap_or_default().saturating_add(1);
        let Some(mut walk) = self.walk(filter, None, false, wanted).await? else { return Ok((0, false)) };
        let mut known = 0;
        walk.counted = (!is_direct(filter)).then_some(0);
        if is_direct(filter) {
            self.look_up(&mut walk).await?;
        } else if !self.begin_walk(&mut walk).await? {
            self.without_gone(&mut walk).await?;
            let days = self.days_left(&walk).await?;
            // Days that are not whole are looked at, and others where the sums do not say it.
            let is_known = |day: i64| days.exact && within(&of_day(day), &walk.left);
            known = days.of.iter().filter(|(day, _)| is_known(**day)).map(|(_, count)| count).sum();
            let others = days.of.keys().filter(|day| !is_known(**day)).copied().collect();
            self.follow_days(&mut walk, &others).await?;
        }
        let count = known.saturating_add(i64::try_from(walk.count()).unwrap_or(most));
        Ok((count.min(most), most < count || walk.rest().is_some()))
    }

    /// Begins a question; nothing where a filter names what no request ever had.
    async fn walk<'f>(
        &self,
        filter: &'f LogFilter<'f>,
        after: Option<u128>,
        ascending: bool,
        wanted: usize,
    ) -> Result<Option<Walk<'f>>, StoreError> {
        let Some(condition) = self.log_condition(filter, 5).await? else { return Ok(None) };
        let mut left =
            filter.from.map_or(0, Receipt::first_id)..filter.to.map_or(u128::MAX, Receipt::first_id);
        match after {
            Some(after) if ascending => left.start = left.start.max(after.saturating_add(1)),
            Some(after) => left.end = left.end.min(after),
            None => {}
        }
        let began = Instant::now();
        let (found, counted) = (Vec::new(), None);
        Ok(Some(Walk { filter, condition, ascending, left, wanted, found, counted, began }))
    }

    /// Finds what is frequent, or the only one there is; says whether that was all that was wanted.
    async fn begin_walk(&self, walk: &mut Walk<'_>) -> Result<bool, StoreError> {
        let mut part = walk.left.clone();
        self.step(walk, &mut part, FIRST).await?;
        Ok(walk.is_full() || walk.left.is_empty())
    }

    async fn follow(&self, walk: &mut Walk<'_>) -> Result<(), StoreError> {
        if self.begin_walk(walk).await? {
            return Ok(());
        }
        self.without_gone(walk).await?;
        let days = self.days_left(walk).await?;
        self.follow_days(walk, &days.of.into_keys().collect()).await
    }

    /// Leaves out the time before the oldest request: days know more than the log.
    async fn without_gone(&self, walk: &mut Walk<'_>) -> Result<(), StoreError> {
        let oldest = self.one::<(Vec<u8>,)>("SELECT id FROM spend_logs ORDER BY id LIMIT 1", &[]).await?;
        let oldest = oldest.and_then(|(id,)| number(&id)).unwrap_or(u128::MAX);
        walk.left.start = walk.left.start.max(oldest);
        Ok(())
    }

    async fn days_left(&self, walk: &Walk<'_>) -> Result<Days, StoreError> {
        let time = |id: u128| i64::try_from(id >> 80).unwrap_or(i64::MAX);
        self.log_days(walk.filter, time(walk.left.start)..time(walk.left.end).saturating_add(1)).await
    }

    /// Looks at what is left of some days, until there is enough or it takes too long.
    async fn follow_days(&self, walk: &mut Walk<'_>, days: &BTreeSet<i64>) -> Result<(), StoreError> {
        let spans = spans(days);
        let ordered: Vec<&Range<u128>> =
            if walk.ascending { spans.iter().collect() } else { spans.iter().rev().collect() };
        for span in ordered {
            let mut part = walk.part(span);
            while !part.is_empty() {
                self.step(walk, &mut part, STEP).await?;
                if walk.is_full() || PATIENCE < walk.began.elapsed() {
                    return Ok(());
                }
            }
        }
        walk.left = 0..0;
        Ok(())
    }

    /// Looks at so many requests of a part.
    async fn step(&self, walk: &mut Walk<'_>, part: &mut Range<u128>, most: i64) -> Result<(), StoreError> {
        let wanted = i64::try_from(walk.wanted - walk.count()).unwrap_or(i64::MAX);
        // Every one of them is found.
        let most = if walk.condition.sql.is_empty() { most.min(wanted) } else { most };
        let (index, more) = self.index(walk.filter);
        let direction = if walk.ascending { "ASC" } else { "DESC" };
        let order =
            format!("FROM spend_logs{index} WHERE $1 <= id AND id < $2{more} ORDER BY id {direction}");
        let condition = if walk.condition.sql.is_empty() { "1 = 1" } else { &walk.condition.sql };
        let join = self.subject(&walk.condition);
        // PostgreSQL keeps the order of what is joined where it is told to; SQLite always does, and would sort.
        let again = if self.is_postgres() { format!("ORDER BY l.id {direction} ") } else { String::new() };
        let sql = format!(
            "SELECT l.id FROM (SELECT {ASKED} {order} LIMIT $3) AS l {join} WHERE {condition} {again}LIMIT $4"
        );
        let between: [Arg; 2] = [part.start, part.end].map(|number| number.to_be_bytes().as_slice().into());
        let mut args = between.to_vec();
        args.extend([most.into(), wanted.into()]);
        args.extend(walk.condition.args.iter().cloned());
        if let Some(counted) = &mut walk.counted {
            let sql = format!("SELECT count(*) FROM ({sql}) AS found");
            let count = self.one::<(i64,)>(&sql, &args).await?.map_or(0, |(count,)| count);
            *counted += usize::try_from(count).unwrap_or_default();
        } else {
            let rows: Vec<(Vec<u8>,)> = self.all(&sql, &args).await?;
            walk.found.extend(rows.iter().filter_map(|(id,)| number(id)));
        }
        let up_to = if walk.is_full() {
            // Nobody goes on from a count.
            Some(walk.found.last().copied().unwrap_or(part.start))
        } else {
            let [first, last] = between;
            let sql = format!("SELECT id {order} LIMIT 1 OFFSET $3");
            let end: Option<(Vec<u8>,)> = self.one(&sql, &[first, last, (most - 1).into()]).await?;
            end.and_then(|(id,)| number(&id))
        };
        walk.followed(part, up_to);
        Ok(())
    }

    /// The index to follow, where failures have one of their own.
    fn index(&self, filter: &LogFilter<'_>) -> (&'static str, &'static str) {
        let failed = match filter.status {
            Some(LogStatus::Failed) => true,
            Some(LogStatus::Code(code)) => 400 <= code,
            _ => false,
        };
        match (failed, self.is_postgres()) {
            (true, true) => ("", " AND failed = 1"),
            (true, false) => (" INDEXED BY spend_logs_failed", " AND failed = 1"),
            (false, _) => ("", ""),
        }
    }

    /// Joins subjects, where they are asked for: to the log, whose order is followed, and never the log to them.
    fn subject(&self, condition: &Condition) -> &'static str {
        match (condition.of_subject, self.is_postgres()) {
            (false, _) => "",
            (true, true) => "JOIN spend_log_subjects s ON s.id = l.subject_id",
            (true, false) => {
                "CROSS JOIN spend_log_subjects s INDEXED BY spend_log_subjects_asked ON s.id = l.subject_id"
            }
        }
    }

    /// Finds what has a number or a name, which have indexes of their own.
    async fn look_up(&self, walk: &mut Walk<'_>) -> Result<(), StoreError> {
        let direction = if walk.ascending { "ASC" } else { "DESC" };
        let sql = format!(
            "SELECT l.id FROM spend_logs l {} WHERE $1 <= l.id AND l.id < $2 AND {} ORDER BY l.id {direction} LIMIT $3 OFFSET $4",
            self.subject(&walk.condition),
            walk.condition.sql
        );
        let bound = |number: u128| Arg::from(number.to_be_bytes().as_slice());
        let wanted = i64::try_from(walk.wanted).unwrap_or(i64::MAX);
        let mut args = vec![bound(walk.left.start), bound(walk.left.end), wanted.into(), 0.into()];
        args.extend(walk.condition.args.iter().cloned());
        let rows: Vec<(Vec<u8>,)> = self.all(&sql, &args).await?;
        walk.found = rows.iter().filter_map(|(id,)| number(id)).collect();
        let up_to = walk.found.last().filter(|_| walk.is_full()).copied();
        let mut part = walk.left.clone();
        walk.followed(&mut part, up_to);
        Ok(())
    }

    /// The requests with these numbers.
    async fn logged(
        &self,
        ids: impl Iterator<Item = u128>,
        ascending: bool,
    ) -> Result<Vec<Receipt>, StoreError> {
        let ids = ids.map(|id| Arg::from(id.to_be_bytes().as_slice())).collect();
        let mut rows: Vec<LogRow> =
            self.among(&format!("SELECT l.id, call_id, status, cost, body, {OWNERS}, about FROM spend_logs l JOIN spend_log_subjects s ON s.id = l.subject_id WHERE l.id"), ids).await?;
        rows.sort_by(|one, other| if ascending { one.id.cmp(&other.id) } else { other.id.cmp(&one.id) });
        let ids: BTreeSet<i64> = rows.iter().flat_map(LogRow::owners).flatten().collect();
        let texts = self.term_texts(&ids).await?;
        rows.into_iter()
            .map(|row| receipt(row, &|id| texts.get(&id).map(|text| text.as_str().into())))
            .collect()
    }
}

/// Whether a filter names a request.
fn is_direct(filter: &LogFilter<'_>) -> bool {
    filter.call_id.is_some() || filter.id.is_some()
}

fn of_day(day: i64) -> Range<u128> {
    let first = |day: i64| Receipt::first_id(day.saturating_mul(DAY));
    first(day)..first(day.saturating_add(1))
}

fn within(part: &Range<u128>, whole: &Range<u128>) -> bool {
    whole.start <= part.start && part.end <= whole.end
}

/// Days that follow each other are one.
fn spans(days: &BTreeSet<i64>) -> Vec<Range<u128>> {
    let mut spans: Vec<Range<u128>> = Vec::new();
    for day in days {
        let day = of_day(*day);
        match spans.last_mut() {
            Some(last) if last.end == day.start => last.end = day.end,
            _ => spans.push(day),
        }
    }
    spans
}

//! Booking: receipts become rows of the log, sums of their day, and amounts that count against budgets, all of it in
//! one transaction. Decides that a receipt counts once, however often it is told; knows nothing of budgets themselves.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use tagway_core::money::Nanos;

use super::StoreError;
use super::aliases::{Renamed, account, is_for_tag};
use super::db::{Arg, Db, Tx};
use super::row::now_millis;
use super::rows::{Cells, Rows};
use super::spend_logs;
use super::subjects::{self, Known};
use super::terms::clean;
use crate::receipt::{Counted, Receipt};

/// An amount that ended so long ago (in milliseconds) counts for nobody, whoever's clock is behind.
const OVER: i64 = 3_600_000;
/// No request has more tokens or costs more nano-dollars, whatever a provider says: sums stay far from their bounds.
const MOST_TOKENS: u64 = 1 << 40;
/// Nor takes longer than a month.
const MOST_MICROS: u64 = 31 * 86_400 * 1_000_000;
const MOST_COST: i64 = 1_000_000_000_000_000;

pub(super) const DAY: i64 = 86_400_000;

/// The columns of `daily` that tell its rows apart, after the day.
const DAILY: &str = "key_id, team_id, user_id, organization_id, project_id, customer_id, group_id, deployment_id, provider_id, model_id, tag_set";
pub(super) const SUMS: [&str; 11] = [
    "requests",
    "failed",
    "unpriced",
    "prompt_tokens",
    "completion_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost",
    "timed",
    "total_us",
    "first_us",
];

impl Db {
    /// Books receipts: each of them once, however often it is told, be it after a commit whose outcome is not known.
    /// Gives what is counted now for the payers whose amounts changed.
    pub(crate) async fn book(&self, receipts: &[Receipt]) -> Result<Vec<Counted>, StoreError> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        // As a rule none of them is there.
        match self.book_as(receipts, Told::Once).await? {
            Some(counted) => Ok(counted),
            None => Ok(self.book_as(receipts, Told::Again).await?.unwrap_or_default()),
        }
    }

    /// Books receipts; nothing when they are told once and one of them is there.
    async fn book_as(&self, receipts: &[Receipt], told: Told) -> Result<Option<Vec<Counted>>, StoreError> {
        let mut tx = self.begin().await?;
        let (subjects, places) = subjects::known(&mut tx, receipts).await?;
        let entries = receipts.iter().zip(places);
        let mut entries: Vec<Entry<'_>> =
            entries.map(|(receipt, subject)| Entry { receipt, subject }).collect();
        // In the order of their numbers, and each once, as it was told last.
        entries.reverse();
        entries.sort_by_key(|entry| entry.receipt.id);
        entries.dedup_by_key(|entry| entry.receipt.id);
        let bookings = || subjects.iter().flat_map(|known| &known.subject.bookings);
        // Before any row is locked that a change of names may want.
        let renamed = if bookings().any(is_for_tag) { tx.renamed().await? } else { Renamed::default() };
        if !log(&mut tx, &mut entries, &subjects, told).await? {
            return Ok(None);
        }
        log_texts(&mut tx, &entries).await?;
        log_decisions(&mut tx, &entries).await?;
        add_to_days(&mut tx, &entries, &subjects).await?;
        let counted = add_to_payers(&mut tx, &entries, &subjects, &renamed).await?;
        tx.commit().await?;
        Ok(Some(counted))
    }
}

/// Whether receipts may have been booked before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Once,
    Again,
}

/// A receipt, and the place of its subject.
struct Entry<'r> {
    receipt: &'r Receipt,
    subject: usize,
}

impl Entry<'_> {
    fn cost(&self) -> Option<i64> {
        self.receipt.cost.map(|cost| cost.0.clamp(0, MOST_COST))
    }

    fn sums(&self) -> Sums {
        let usage = self.receipt.usage.unwrap_or_default();
        // How long a failure took says nothing of answers.
        let timed = self.receipt.first_byte.filter(|_| !self.receipt.failed());
        let micros = |micros: u64| i64::try_from(micros.min(MOST_MICROS)).unwrap_or(i64::MAX);
        let tokens = |count: u64| i64::try_from(count.min(MOST_TOKENS)).unwrap_or(i64::MAX);
        [
            1,
            i64::from(self.receipt.failed()),
            i64::from(self.receipt.cost.is_none()),
            tokens(usage.prompt),
            tokens(usage.completion),
            tokens(usage.cache_read),
            tokens(usage.cache_write),
            self.cost().unwrap_or(0),
            i64::from(timed.is_some()),
            timed.map_or(0, |_| micros(self.receipt.took)),
            timed.map_or(0, micros),
        ]
    }
}

/// Writes the log, and leaves those that were not there; says whether that is all of them, unless they may be told
/// again. To be told which rows are new costs more than writing them.
async fn log(
    tx: &mut Tx,
    entries: &mut Vec<Entry<'_>>,
    subjects: &[Known<'_>],
    told: Told,
) -> Result<bool, StoreError> {
    let mut cells: Vec<Arg> = Vec::with_capacity(entries.len() * spend_logs::COLUMNS.len());
    for entry in entries.iter() {
        let receipt = entry.receipt;
        let Some(subject) = subjects.get(entry.subject) else { continue };
        cells.extend([
            receipt.id.to_be_bytes().as_slice().into(),
            Arg::Text(clean(&receipt.named).into_owned()),
            subject.number.into(),
            i64::from(receipt.status).into(),
            i64::from(receipt.failed()).into(),
            entry.cost().into(),
            Arg::Text(spend_logs::body(receipt)?),
        ]);
    }
    let mut rows = Rows {
        into: spend_logs::TABLE,
        columns: &spend_logs::COLUMNS,
        cells,
        more: "",
        then: "ON CONFLICT (id) DO NOTHING",
    };
    if told == Told::Once {
        let written = tx.write(rows).await?;
        return Ok(usize::try_from(written).is_ok_and(|written| written == entries.len()));
    }
    rows.then = "ON CONFLICT (id) DO NOTHING RETURNING id";
    let written: Vec<(Vec<u8>,)> = tx.write_returning(rows).await?;
    let new: HashSet<u128> = written.iter().filter_map(|(id,)| spend_logs::number(id)).collect();
    entries.retain(|entry| new.contains(&entry.receipt.id));
    Ok(true)
}

/// Writes what was said, where it is kept.
async fn log_texts(tx: &mut Tx, new: &[Entry<'_>]) -> Result<(), StoreError> {
    let said = new.iter().filter_map(|entry| Some((entry.receipt.id, entry.receipt.texts.as_ref()?)));
    let cells = said.flat_map(|(id, texts)| {
        [id.to_be_bytes().as_slice().into(), texts.messages.as_ref().into(), texts.response.as_ref().into()]
    });
    tx.write(Rows {
        into: "spend_log_texts (id, messages, response)",
        columns: &[Cells::Bytes, Cells::Texts, Cells::Texts],
        cells: cells.collect(),
        more: "",
        then: "ON CONFLICT (id) DO NOTHING",
    })
    .await?;
    Ok(())
}

/// Writes how requests were routed, where it is kept.
async fn log_decisions(tx: &mut Tx, new: &[Entry<'_>]) -> Result<(), StoreError> {
    let kept = new.iter().filter_map(|entry| Some((entry.receipt.id, entry.receipt.decision.as_deref()?)));
    let cells = kept.flat_map(|(id, decision)| [id.to_be_bytes().as_slice().into(), decision.into()]);
    tx.write(Rows {
        into: "spend_log_decisions (id, decision)",
        columns: &[Cells::Bytes, Cells::Texts],
        cells: cells.collect(),
        more: "",
        then: "ON CONFLICT (id) DO NOTHING",
    })
    .await?;
    Ok(())
}

/// Adds to the sums of days; rows in their order, so that gateways that write the same ones wait for each other but
/// never both.
async fn add_to_days(tx: &mut Tx, new: &[Entry<'_>], subjects: &[Known<'_>]) -> Result<(), StoreError> {
    let mut sums: foldhash::HashMap<(i64, usize), Sums> = foldhash::HashMap::default();
    for entry in new {
        let of = sums.entry((entry.receipt.began.div_euclid(DAY), entry.subject)).or_default();
        add(of, &entry.sums());
    }
    let mut days: BTreeMap<[i64; 12], Sums> = BTreeMap::new();
    for ((day, subject), sums) in sums {
        let Some(subject) = subjects.get(subject) else { continue };
        let mut row = [0; 12];
        let of = subject.owners.map(|id| id.unwrap_or(0));
        let numbers = std::iter::once(day).chain(of).chain([subject.tag_set]);
        row.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
        add(days.entry(row).or_default(), &sums);
    }
    let today = now_millis().div_euclid(DAY);
    let mut over: Vec<i64> = days.keys().map(|row| row[0]).filter(|day| *day < today).collect();
    over.dedup();
    tx.unroll(&over).await?;
    let added = SUMS.map(|name| format!("{name} = daily.{name} + excluded.{name}")).join(", ");
    let cells = days.iter().flat_map(|(row, sums)| row.iter().chain(sums)).map(|number| (*number).into());
    tx.write(Rows {
        into: &format!("daily (day, {DAILY}, {})", SUMS.join(", ")),
        columns: &[Cells::Ints; 12 + SUMS.len()],
        cells: cells.collect(),
        more: "",
        then: &format!("ON CONFLICT (day, {DAILY}) DO UPDATE SET {added}"),
    })
    .await?;
    Ok(())
}

type Sums = [i64; SUMS.len()];

fn add(to: &mut Sums, more: &Sums) {
    to.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// Adds to what payers have spent, in the order of rows.
async fn add_to_payers(
    tx: &mut Tx,
    new: &[Entry<'_>],
    subjects: &[Known<'_>],
    renamed: &Renamed,
) -> Result<Vec<Counted>, StoreError> {
    let over = now_millis() - OVER;
    let mut costs = vec![0; subjects.len()];
    for entry in new {
        if let (Some(sum), Some(cost)) = (costs.get_mut(entry.subject), entry.cost()) {
            *sum += cost;
        }
    }
    let mut ordered: BTreeMap<(&str, Cow<'_, str>, i64), i64> = BTreeMap::new();
    for (known, cost) in subjects.iter().zip(costs).filter(|(_, cost)| *cost != 0) {
        for booking in known.subject.bookings.iter().filter(|booking| over < booking.until) {
            let row = (booking.payer.as_str(), account(booking, renamed), booking.until);
            *ordered.entry(row).or_default() += cost;
        }
    }
    let cells = ordered.iter().flat_map(|((kind, id, until), amount)| {
        [(*kind).into(), id.as_ref().into(), (*until).into(), (*amount).into()]
    });
    let clock = tx.clock();
    let counted: Vec<CountedRow> = tx
        .write_returning(Rows {
            into: "spend (kind, id, until, amount, updated_at)",
            columns: &[Cells::Texts, Cells::Texts, Cells::Ints, Cells::Ints],
            cells: cells.collect(),
            more: &format!(", {clock}"),
            then: &format!("ON CONFLICT (kind, id, until) DO UPDATE SET amount = spend.amount + excluded.amount, updated_at = {clock} RETURNING kind, id, until, amount"),
        })
        .await?;
    Ok(counted.into_iter().map(Counted::from).collect())
}

/// A row of `spend`.
pub(super) type CountedRow = (String, String, i64, i64);

impl From<CountedRow> for Counted {
    fn from((kind, id, until, amount): CountedRow) -> Self {
        Self { kind, id, until, amount: Nanos(amount) }
    }
}

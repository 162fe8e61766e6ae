//! The ledger: receipts of requests, kept on this machine before the last byte of an answer leaves, and shipped to the
//! store from there. The path of requests writes and counts; it never waits for the store.

mod bill;
mod count;
mod frame;
mod implied;
mod journal;
mod recent;
mod retain;
mod segment;
mod ship;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tagway_core::config::{SpendFailure, SpendRules};
use tokio::sync::{Notify, mpsc};

pub(crate) use bill::{Bill, Call, Seen};
pub(crate) use count::count;
pub(crate) use retain::keep;
pub(crate) use ship::Shipper;

use bill::Count;
use frame::Frame;
use journal::{Appended, Folder, Lanes};
use recent::Recent;

use crate::accounts::now_millis;
use crate::receipt::{Receipt, Subject};

/// As many bytes of receipts are kept in memory when the journal does not take them.
const MOST_IN_MEMORY: u64 = 64 << 20;
/// As many bytes of requests and answers wait to be counted.
const MOST_UNCOUNTED: u64 = 64 << 20;
/// An entry that is longer is not remembered for others to refer to.
const MOST_REMEMBERED: u64 = 4 << 10;
/// A client that is refused should come again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// No receipt can be kept safely, and the operator wants requests refused then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("This gateway cannot keep its accounts now ({}), and is told to refuse requests then (general_settings.spend_failure). Try again later.", .0)]
pub(crate) struct Stuck(&'static str);

impl Stuck {
    /// How long to wait.
    pub(crate) fn wait(self) -> Duration {
        AGAIN
    }
}

/// How the ledger is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Bytes in the journal that the store does not have yet.
    pub(crate) backlog: u64,
    /// Bytes kept in memory alone, since the journal does not take them.
    pub(crate) in_memory: u64,
    /// Receipts that could be kept nowhere.
    pub(crate) dropped: u64,
    /// Receipts the store has taken from this process.
    pub(crate) shipped: u64,
    /// When it last took some, in milliseconds since 1970.
    pub(crate) shipped_at: Option<i64>,
    /// How long something has been waiting, in milliseconds.
    pub(crate) lag: Option<i64>,
    /// The last write of the journal failed.
    pub(crate) failing: bool,
    /// There is a journal at all.
    pub(crate) durable: bool,
}

/// Where receipts are kept.
pub(crate) struct Ledger {
    /// Nowhere to write: memory alone.
    lanes: Option<Arc<Lanes>>,
    /// Without a store nothing is kept.
    off: bool,
    memory: Mutex<VecDeque<Frame>>,
    /// Bytes that wait, in memory and in the journal. What is shipped may be taken away before it is added.
    in_memory: AtomicI64,
    backlog: AtomicI64,
    /// As many receipts were kept since some were last shipped.
    gathered: AtomicI64,
    /// Since when something waits; 0: nothing does.
    since: AtomicI64,
    failing: AtomicBool,
    dropped: AtomicU64,
    shipped: AtomicU64,
    shipped_at: AtomicI64,
    /// The bound of the journal, as last heard of.
    bound: AtomicU64,
    bell: Notify,
    uncounted: mpsc::UnboundedSender<Bill>,
    uncounted_bytes: AtomicU64,
}

/// What a ledger is opened with: who counts, and who ships.
pub(crate) struct Opened {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) uncounted: mpsc::UnboundedReceiver<Bill>,
    folder: Option<Folder>,
}

impl Ledger {
    /// A ledger in `root`, for the store `store`, with so many writers.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub(crate) fn open(root: &Path, store: &str, writers: usize) -> std::io::Result<Opened> {
        let (folder, lanes) = Folder::claim(root, store, writers + 1)?;
        let mut opened = Self::opened(Some(lanes), false);
        opened.folder = Some(folder);
        Ok(opened)
    }

    /// A ledger in memory.
    pub(crate) fn in_memory() -> Opened {
        Self::opened(None, false)
    }

    /// A ledger that keeps nothing: there is no store.
    pub(crate) fn off() -> Opened {
        Self::opened(None, true)
    }

    fn opened(lanes: Option<Arc<Lanes>>, off: bool) -> Opened {
        let (sender, uncounted) = mpsc::unbounded_channel();
        let ledger = Self {
            lanes,
            off,
            memory: Mutex::default(),
            in_memory: AtomicI64::default(),
            backlog: AtomicI64::default(),
            gathered: AtomicI64::default(),
            since: AtomicI64::default(),
            failing: AtomicBool::default(),
            dropped: AtomicU64::default(),
            shipped: AtomicU64::default(),
            shipped_at: AtomicI64::default(),
            bound: AtomicU64::new(u64::MAX),
            bell: Notify::new(),
            uncounted: sender,
            uncounted_bytes: AtomicU64::default(),
        };
        Opened { ledger: Arc::new(ledger), uncounted, folder: None }
    }

    /// Whether a new request may be served.
    ///
    /// # Errors
    /// Its receipt could not be kept safely, and `rules` want it refused then.
    pub(crate) fn admits(&self, rules: SpendRules) -> Result<(), Stuck> {
        if rules.failure == SpendFailure::Serve || self.off {
            return Ok(());
        }
        if self.failing.load(Ordering::Relaxed) {
            return Err(Stuck("its journal cannot be written"));
        }
        let waiting = bytes(&self.backlog) + bytes(&self.in_memory);
        let bound = if self.lanes.is_some() { rules.journal_bytes } else { MOST_IN_MEMORY / 2 };
        if bound < waiting {
            return Err(Stuck("the store has not taken them for long"));
        }
        Ok(())
    }

    /// How it is.
    pub(crate) fn state(&self) -> State {
        let at = |time: &AtomicI64| Some(time.load(Ordering::Relaxed)).filter(|time| *time != 0);
        State {
            backlog: bytes(&self.backlog),
            in_memory: bytes(&self.in_memory),
            dropped: self.dropped.load(Ordering::Relaxed),
            shipped: self.shipped.load(Ordering::Relaxed),
            shipped_at: at(&self.shipped_at),
            lag: at(&self.since).map(|since| now_millis().saturating_sub(since).max(0)),
            failing: self.failing.load(Ordering::Relaxed),
            durable: self.lanes.is_some(),
        }
    }

    /// Whether it keeps anything at all.
    pub(crate) fn is_off(&self) -> bool {
        self.off
    }

    /// Keeps a receipt. Where one with the same subject was written lately, this one refers to it.
    fn keep(&self, lane: usize, receipt: Receipt<Subject>, rules: SpendRules, recent: &mut Recent) {
        if self.off || !rules.kept {
            return;
        }
        self.bound.store(rules.journal_bytes, Ordering::Relaxed);
        // Where requests are refused beyond the bound, those in progress may still end.
        let room = rules.failure == SpendFailure::Refuse || bytes(&self.backlog) < rules.journal_bytes;
        let (own, subject) = receipt.about(());
        if let Err(error) = self.keep_parts(lane, &own, subject, room, recent) {
            // No receipt holds what the format cannot.
            tracing::error!(%error, "a receipt cannot be written");
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.gathered.fetch_add(1, Ordering::Relaxed);
        self.bell.notify_one();
    }

    fn keep_parts(
        &self,
        lane: usize,
        own: &Receipt<()>,
        subject: Subject,
        room: bool,
        recent: &mut Recent,
    ) -> postcard::Result<()> {
        if room
            && let Some(place) = recent.place_of(&subject)
            && self.write(lane, &Frame::like(own, place)?) != Appended::Not
        {
            return Ok(());
        }
        let frame = Frame::whole(own, &subject)?;
        match if room { self.write(lane, &frame) } else { Appended::Not } {
            Appended::At(Some(place)) if frame.len() <= MOST_REMEMBERED => recent.note(subject, place),
            Appended::At(_) => {}
            Appended::Not => self.remember(frame),
        }
        Ok(())
    }

    /// Writes an entry to the journal.
    fn write(&self, lane: usize, frame: &Frame) -> Appended {
        let Some(lanes) = &self.lanes else { return Appended::Not };
        let appended = match lanes.append(lane, frame) {
            Ok(Appended::Not) => return Appended::Not,
            Ok(appended) => appended,
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "THE JOURNAL CANNOT BE WRITTEN: receipts are kept in memory alone, as far as there is room");
                }
                return Appended::Not;
            }
        };
        self.waits(&self.backlog, frame.len());
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the journal can be written again");
        }
        appended
    }

    fn waits(&self, what: &AtomicI64, bytes: u64) {
        let before = what.fetch_add(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
        if bytes != 0 && before == 0 && self.since.load(Ordering::Relaxed) == 0 {
            self.since.store(now_millis(), Ordering::Relaxed);
        }
    }

    fn waits_no_more(&self, what: &AtomicI64, bytes: u64) {
        what.fetch_sub(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.since.store(now_millis(), Ordering::Relaxed);
    }

    /// Keeps an entry in memory, where there is room.
    fn remember(&self, frame: Frame) {
        let length = frame.len();
        if MOST_IN_MEMORY < bytes(&self.in_memory) + length {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.waits(&self.in_memory, length);
        self.memory().push_back(frame);
    }

    fn memory(&self) -> MutexGuard<'_, VecDeque<Frame>> {
        // A poisoned queue is still a queue of receipts.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal's lane for what no worker writes.
    fn last_lane(&self) -> usize {
        self.lanes.as_ref().map_or(0, |lanes| lanes.last())
    }

    /// Takes up to `most` entries out of memory.
    fn recall(&self, most: usize) -> Vec<Frame> {
        let mut memory = self.memory();
        let count = most.min(memory.len());
        memory.drain(..count).collect()
    }

    /// Puts back what was recalled.
    fn put_back(&self, frames: Vec<Frame>) {
        let mut memory = self.memory();
        frames.into_iter().rev().for_each(|frame| memory.push_front(frame));
    }

    /// Tries to bring the journal up again, and into it what is in memory alone.
    fn recover(&self) {
        if self.failing.load(Ordering::Relaxed) && self.memory().is_empty() {
            let probe = Frame::empty();
            self.write(self.last_lane(), &probe);
        }
        while self.lanes.is_some() && bytes(&self.backlog) < self.bound.load(Ordering::Relaxed) {
            let Some(frame) = self.memory().pop_front() else { return };
            if self.write(self.last_lane(), &frame) == Appended::Not {
                self.memory().push_front(frame);
                return;
            }
            self.waits_no_more(&self.in_memory, frame.len());
        }
    }
}

/// A worker's way to the ledger.
pub(crate) struct Writer {
    ledger: Arc<Ledger>,
    lane: usize,
    /// Nobody waits for it: it is the worker's own.
    recent: Mutex<Recent>,
}

impl Writer {
    /// The way of the worker `number`.
    pub(crate) fn new(ledger: Arc<Ledger>, number: usize) -> Self {
        Self { ledger, lane: number, recent: Mutex::default() }
    }

    /// Whether a new request may be served.
    ///
    /// # Errors
    /// See [`Ledger::admits`].
    pub(crate) fn admits(&self, rules: SpendRules) -> Result<(), Stuck> {
        self.ledger.admits(rules)
    }

    /// Settles a request that has ended: when this returns, its receipt is in the journal; unless its tokens must be
    /// counted and nobody waits for the end of its answer.
    pub(crate) fn settle(&self, bill: Bill) {
        if let Some(count) = bill.at_once() {
            return self.keep(bill, count);
        }
        let bytes = bill.request.len() as u64;
        if MOST_UNCOUNTED < self.ledger.uncounted_bytes.load(Ordering::Relaxed) + bytes {
            return self.keep(bill, Count::Rough);
        }
        self.ledger.uncounted_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Err(mpsc::error::SendError(bill)) = self.ledger.uncounted.send(bill) {
            self.keep(bill, Count::Rough);
        }
    }

    fn keep(&self, bill: Bill, count: Count) {
        let rules = bill.rules;
        // What a panic left of it is still true.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        self.ledger.keep(self.lane, bill.receipt(count, now_millis()), rules, &mut recent);
    }
}

fn bytes(count: &AtomicI64) -> u64 {
    u64::try_from(count.load(Ordering::Relaxed)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(failure: SpendFailure, journal_bytes: u64) -> SpendRules {
        SpendRules { failure, journal_bytes, kept: true }
    }

    #[test]
    fn beyond_its_bound_the_journal_refuses_or_memory_takes_over() {
        let root = tempfile::TempDir::new().unwrap();
        for failure in [SpendFailure::Refuse, SpendFailure::Serve] {
            let Opened { ledger, folder, .. } = Ledger::open(root.path(), "s", 1).unwrap();
            let rules = rules(failure, 2000);
            let mut kept = 0;
            while ledger.admits(rules).is_ok() && kept < 200 {
                ledger.keep(0, Receipt { id: kept, ..Receipt::default() }, rules, &mut Recent::default());
                kept += 1;
            }
            let State { backlog, in_memory, dropped, .. } = ledger.state();
            assert_eq!(dropped, 0);
            match failure {
                SpendFailure::Refuse => assert!(kept < 100 && 2000 < backlog && in_memory == 0),
                SpendFailure::Serve => assert!(kept == 200 && backlog < 3000 && 2000 < in_memory),
            }
            drop(folder);
        }
    }

    #[test]
    fn memory_has_a_bound_and_says_what_it_could_not_take() {
        let ledger = Ledger::in_memory().ledger;
        let rules = rules(SpendFailure::Refuse, u64::MAX);
        let large = Receipt { error: Some("x".repeat(1 << 20).into()), ..Receipt::default() };
        for _ in 0..70 {
            ledger.keep(0, large.clone(), rules, &mut Recent::default());
        }
        let State { in_memory, dropped, .. } = ledger.state();
        assert!(in_memory <= MOST_IN_MEMORY && (6..=7).contains(&dropped), "{in_memory} {dropped}");
        assert!(ledger.admits(rules).is_err());
    }

    #[test]
    fn what_memory_holds_goes_to_the_journal_when_there_is_room_again() {
        let root = tempfile::TempDir::new().unwrap();
        let Opened { ledger, folder, .. } = Ledger::open(root.path(), "s", 1).unwrap();
        for id in 0..5 {
            let receipt = Receipt { id, ..Receipt::default() };
            ledger.keep(0, receipt, rules(SpendFailure::Serve, 0), &mut Recent::default());
        }
        assert_eq!(ledger.memory().len(), 5);
        ledger.recover();
        assert_eq!(ledger.memory().len(), 5, "the bound still holds");
        ledger.keep(0, Receipt::default(), rules(SpendFailure::Serve, 1 << 20), &mut Recent::default());
        ledger.recover();
        assert_eq!((ledger.memory().len(), ledger.state().in_memory), (0, 0));
        assert_eq!(folder.unwrap().read(100).unwrap().found.entries.len(), 6);
    }

    #[test]
    fn receipts_refer_to_what_was_said_before_and_say_the_same() {
        let root = tempfile::TempDir::new().unwrap();
        let Opened { ledger, folder, .. } = Ledger::open(root.path(), "s", 1).unwrap();
        let (rules, mut recent) = (rules(SpendFailure::Serve, 1 << 30), Recent::default());
        let of = |id: u128| {
            let key = format!("{}", id % 3).repeat(if id % 3 == 2 { 5000 } else { 64 });
            let subject = Subject { key: Some(key.into()), ..Subject::default() };
            Receipt { id, took: 7, subject, ..Receipt::default() }
        };
        let mut lengths = Vec::new();
        for id in 0..9 {
            let before = ledger.state().backlog;
            ledger.keep(0, of(id), rules, &mut recent);
            lengths.push(ledger.state().backlog - before);
        }
        assert!(lengths[3] < 50 && 64 < lengths[0] && lengths[6] == lengths[3], "{lengths:?}");
        assert!(5000 < lengths[8], "what is long is not remembered: {lengths:?}");
        let batch = folder.as_ref().unwrap().read(100).unwrap();
        let read = batch.found.entries.iter().map(|entry| postcard::from_bytes(&entry.whole()).unwrap());
        assert_eq!(read.collect::<Vec<Receipt<Subject>>>(), (0..9).map(of).collect::<Vec<_>>());
    }
}

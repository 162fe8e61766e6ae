//! Ships receipts from the journal to the store: in batches, in one transaction each, and forgets them only once they
//! are there. A store that does not answer is asked again until it does; a receipt that cannot be read, or that the
//! store refuses whatever the others say, is put aside and holds nobody up.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::frame::Frame;
use super::journal::{Batch, Folder};
use super::{Ledger, Opened, implied};
use crate::accounts::{Accounts, now_millis};
use crate::receipt::{Receipt, Subject};
use crate::store::{Db, StoreError};
use crate::tasks::Stop;

/// Receipts are gathered for this long before they are shipped …
const GATHER: Duration = Duration::from_millis(100);
/// … and so many times as long where there are many: the more rows go into one transaction, the fewer pages of the
/// store are written for each.
const LONGER: u32 = 10;
/// So many receipts are few, and so many are enough.
const FEW: i64 = 100;
const ENOUGH: i64 = 5_000;
/// As many receipts go into one transaction, and fewer where the store is slow.
const MOST: usize = 5_000;
const FEWEST: usize = 64;
/// A transaction that takes longer is given up. Nobody else learns of spend meanwhile.
const PATIENCE: Duration = Duration::from_secs(4);
/// The files are looked after this often while there is something in them …
const TICK: Duration = Duration::from_secs(1);
/// … and this often, the folders of gateways that have ended are looked for.
const SEARCH: Duration = Duration::from_secs(5);
/// The wait after a failure, and its longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What was lost is told this often.
const LAMENT: Duration = Duration::from_secs(60);
/// A store that refuses so many parts of a batch and takes none is broken itself.
const TRIED: usize = 64;

/// Ships the receipts of this gateway, and those that others left.
pub(crate) struct Shipper {
    ledger: Arc<Ledger>,
    db: Db,
    accounts: Arc<Accounts>,
    /// Where journals are, and whose they must be.
    root: Option<(PathBuf, String)>,
    /// Its own folder first. Taken out while a thread that may block works on them.
    folders: Vec<Folder>,
    searched: Instant,
    /// How long to wait after the next failure, and until when to wait now.
    wait: Duration,
    until: Instant,
    lamented: (Instant, u64),
    /// As many receipts go into the next transaction.
    most: usize,
}

/// What is next in a journal.
#[derive(Default)]
struct Taken {
    /// Where it was found.
    folder: Option<usize>,
    batch: Batch,
    receipts: Vec<Receipt>,
    unreadable: Vec<Vec<u8>>,
}

/// Why shipping stopped.
enum Halt {
    /// The store does not take anything now.
    Store(StoreError),
    /// It has not answered in time.
    Slow,
    /// The journal cannot be read now.
    Journal(std::io::Error),
}

impl Shipper {
    /// A shipper for an opened ledger, whose journal is in `root`, to the store `db`, which is called `identity`.
    pub(crate) fn new(
        opened: &mut Opened,
        db: Db,
        root: Option<(PathBuf, String)>,
        accounts: Arc<Accounts>,
    ) -> Self {
        let now = Instant::now();
        let mut shipper = Self {
            ledger: Arc::clone(&opened.ledger),
            db,
            accounts,
            root,
            folders: Vec::new(),
            searched: now.checked_sub(SEARCH).unwrap_or(now),
            wait: FIRST_WAIT,
            until: now,
            lamented: (now, 0),
            most: MOST,
        };
        if let Some(own) = opened.folder.take() {
            shipper.adopt(own);
        }
        shipper
    }

    /// Ships what was left by those before, for at most `limit`: before anything else reads the store.
    pub(crate) async fn catch_up(&mut self, limit: Duration) {
        let began = Instant::now();
        self.look_after().await;
        let backlog = self.ledger.state().backlog;
        if backlog == 0 {
            return;
        }
        tracing::info!(bytes = backlog, "shipping the receipts that were left in the journal");
        while began.elapsed() < limit {
            match self.ship().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(halt) => {
                    self.complain(&halt);
                    tokio::time::sleep(self.wait).await;
                }
            }
        }
        tracing::warn!(
            bytes = self.ledger.state().backlog,
            "not all receipts were shipped before the start: the rest follows, and budgets learn of it then"
        );
    }

    /// Ships until asked to stop, and then as long as that succeeds.
    pub(crate) async fn run(mut self, mut stop: Stop) {
        loop {
            let state = self.ledger.state();
            let idle = state.lag.is_none() && !state.failing;
            let wait = self.until.saturating_duration_since(Instant::now());
            let stopping = tokio::select! {
                () = stop.asked() => true,
                () = self.ledger.bell.notified(), if idle => false,
                () = tokio::time::sleep(if idle { SEARCH } else { TICK.min(wait) }) => false,
            };
            let may_ship = self.until <= Instant::now();
            if !stopping && may_ship {
                self.gather(&mut stop).await;
            }
            self.look_after().await;
            if stopping || may_ship {
                self.ship_all(stopping).await;
            }
            if stopping {
                for folder in self.folders {
                    if let Err(error) = folder.close() {
                        tracing::warn!(%error, "the journal's folder cannot be tidied");
                    }
                }
                return;
            }
        }
    }

    /// Waits until there are enough receipts for a transaction of their own, or for as long as they may wait.
    async fn gather(&self, stop: &mut Stop) {
        for _ in 0..LONGER {
            tokio::select! {
                () = stop.asked() => return,
                () = tokio::time::sleep(GATHER) => {}
            }
            if !(FEW..ENOUGH).contains(&self.ledger.gathered.load(Ordering::Relaxed)) {
                return;
            }
        }
    }

    /// Ships what has been gathered; `to_the_end`, also what has come meanwhile.
    async fn ship_all(&mut self, to_the_end: bool) {
        loop {
            let most = self.most;
            match self.ship().await {
                Ok(0) => break,
                // Mostly that was all, and need not be looked for.
                Ok(_) if self.all_shipped() => break,
                // The next ones are gathered: where requests never cease, each would be a transaction of its own.
                Ok(count)
                    if !to_the_end
                        && count < most
                        && self.ledger.gathered.load(Ordering::Relaxed) < ENOUGH =>
                {
                    break;
                }
                Ok(_) => {}
                Err(halt) => return self.complain(&halt),
            }
        }
        self.wait = FIRST_WAIT;
    }

    fn complain(&mut self, halt: &Halt) {
        let since = &self.ledger.since;
        let _ = since.compare_exchange(0, now_millis(), Ordering::Relaxed, Ordering::Relaxed);
        let backlog = self.ledger.state().backlog;
        match halt {
            Halt::Store(error) => {
                tracing::warn!(%error, backlog, "receipts cannot be shipped now: they stay in the journal");
            }
            Halt::Slow => {
                tracing::warn!(backlog, "the store has not taken receipts within {} s", PATIENCE.as_secs());
            }
            Halt::Journal(error) => tracing::error!(%error, backlog, "the journal cannot be read"),
        }
        // Several gateways that lost one store do not come back to it in step.
        self.until = Instant::now() + self.wait.mul_f64(0.75 + 0.5 * fastrand::f64());
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    /// Ships the next batch; says how many entries that was.
    async fn ship(&mut self) -> Result<usize, Halt> {
        let (mut taken, mut unread) = (Taken::default(), None);
        for at in 0..self.folders.len() {
            let most = self.most;
            match self.with_folder(at, move |folder| folder.read(most)).await {
                Ok(batch) if batch.found.bytes != 0 => {
                    taken = Taken { folder: Some(at), ..Taken::of(batch) };
                    break;
                }
                Ok(_) => {}
                // The others are shipped all the same.
                Err(error) => unread = Some(error),
            }
        }
        // Accounts hear of what this process has settled, and of nothing else.
        let own = taken.folder.is_none() || taken.batch.own;
        let frames = if own { self.ledger.recall(self.most) } else { Vec::new() };
        if frames.is_empty() && taken.folder.is_none() {
            self.all_shipped();
            return unread.map_or(Ok(0), |error| Err(Halt::Journal(error)));
        }
        let count = frames.len() + taken.receipts.len() + taken.unreadable.len();
        let Taken { folder, batch, mut receipts, unreadable } = taken;
        let mut aside = unreadable;
        let mut subjects = Subjects::default();
        for frame in &frames {
            match subjects.parsed(frame.payload(), None) {
                Ok(receipt) => receipts.push(receipt),
                Err(_) => aside.push(frame.payload().to_vec()),
            }
        }
        match self.book(&receipts, own).await {
            Ok(refused) => {
                aside.extend(refused.into_iter().filter_map(|receipt| serde_json::to_vec(&receipt).ok()));
            }
            Err(halt) => {
                self.ledger.put_back(frames);
                return Err(halt);
            }
        }
        self.ledger.waits_no_more(&self.ledger.in_memory, frames.iter().map(Frame::len).sum());
        self.ledger.waits_no_more(&self.ledger.backlog, batch.found.bytes);
        if own {
            self.ledger.gathered.fetch_sub(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
        self.forget(folder, batch, aside).await;
        // What was passed without an entry is work, too.
        Ok(count.max(1))
    }

    /// Notes in the journal what has been dealt with.
    async fn forget(&mut self, folder: Option<usize>, batch: Batch, aside: Vec<Vec<u8>>) {
        if !aside.is_empty() {
            tracing::error!(
                entries = aside.len(),
                "entries of the journal cannot be booked: they are put aside in its folder, in `unreadable`"
            );
        }
        let Some(folder) = folder else { return };
        let forgotten = self.with_folder(folder, move |folder| {
            for entry in aside {
                if let Err(error) = folder.set_aside(&entry) {
                    let entry = String::from_utf8_lossy(&entry);
                    tracing::error!(%error, %entry, "an entry cannot be put aside: here it is");
                }
            }
            folder.forget(&batch)
        });
        if let Err(error) = forgotten.await {
            // The next process ships them once more, and they are counted once all the same.
            tracing::warn!(%error, "the journal cannot note what has been shipped");
        }
    }

    /// Books receipts. Gives those that the store refuses while it takes others.
    async fn book(&mut self, receipts: &[Receipt], own: bool) -> Result<Vec<Receipt>, Halt> {
        let (mut refused, mut booked, mut failures, mut last) = (Vec::new(), 0, 0, None);
        let mut parts = VecDeque::from([receipts]);
        while let Some(part) = parts.pop_front() {
            match self.book_all(part, own).await {
                Ok(()) => booked += part.len(),
                // It refuses what it was given, not the gateway.
                Err(Halt::Store(error))
                    if !matches!(error, StoreError::Unavailable(_) | StoreError::Absent) =>
                {
                    failures += 1;
                    if booked == 0 && (receipts.len() == 1 || TRIED < failures) {
                        return Err(Halt::Store(error));
                    }
                    match part {
                        [one] => {
                            tracing::warn!(%error, call_id = %one.call_id(), "the store refuses a receipt");
                            refused.push(one.clone());
                        }
                        _ => parts.extend(part.chunks(part.len().div_ceil(2))),
                    }
                    last = Some(error);
                }
                Err(halt) => return Err(halt),
            }
        }
        if let Some(error) = last.filter(|_| booked == 0) {
            return Err(Halt::Store(error));
        }
        self.ledger.shipped.fetch_add(booked as u64, Ordering::Relaxed);
        self.ledger.shipped_at.store(now_millis(), Ordering::Relaxed);
        Ok(refused)
    }

    /// Books receipts in one transaction.
    async fn book_all(&mut self, receipts: &[Receipt], own: bool) -> Result<(), Halt> {
        let _turn = self.accounts.turn().await;
        let Ok(booked) = tokio::time::timeout(PATIENCE, self.db.book(receipts)).await else {
            self.most = (self.most / 2).max(FEWEST);
            return Err(Halt::Slow);
        };
        let counted = booked.map_err(Halt::Store)?;
        self.accounts.shipped(if own { receipts } else { &[] }, &counted);
        self.most = (self.most * 2).min(MOST);
        Ok(())
    }

    /// Looks after the files: begins new ones, brings them to the disk, finds those of others.
    async fn look_after(&mut self) {
        let lag = self.ledger.state().lag;
        let sync = lag.is_some_and(|lag| TICK.as_millis() <= u128::from(lag.unsigned_abs()));
        if self.folders.first().is_some_and(|own| sync || own.is_long()) {
            let done = self.with_folder(0, move |folder| {
                folder.turn()?;
                if sync { folder.sync() } else { Ok(()) }
            });
            if let Err(error) = done.await {
                tracing::warn!(%error, "the journal's files cannot be looked after");
            }
        }
        if SEARCH <= self.searched.elapsed() {
            self.searched = Instant::now();
            self.search().await;
        }
        let state = self.ledger.state();
        if state.failing || state.in_memory != 0 {
            let ledger = Arc::clone(&self.ledger);
            if tokio::task::spawn_blocking(move || ledger.recover()).await.is_err() {
                tracing::error!("the journal cannot be brought up again");
            }
        }
        self.lament();
    }

    /// Finds the folders of gateways that have ended, and lets go of those that are empty.
    async fn search(&mut self) {
        let own = usize::from(self.ledger.lanes.is_some()).min(self.folders.len());
        let orphans = self.folders.split_off(own);
        self.folders.extend(orphans.into_iter().filter(|orphan| orphan.left().is_ok_and(|left| left != 0)));
        let Some((root, store)) = self.root.clone() else { return };
        match tokio::task::spawn_blocking(move || Folder::orphans(&root, &store)).await {
            Ok(Ok(found)) => {
                for folder in found {
                    self.adopt(folder);
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the journals' folder cannot be read"),
            Err(error) => tracing::error!(%error, "the journals' folder cannot be read"),
        }
    }

    fn adopt(&mut self, folder: Folder) {
        self.ledger.waits(&self.ledger.backlog, folder.left().unwrap_or_default());
        self.folders.push(folder);
    }

    /// Whether nothing is left to ship.
    fn all_shipped(&self) -> bool {
        let ledger = &self.ledger;
        let all = [&ledger.backlog, &ledger.in_memory].iter().all(|left| left.load(Ordering::Relaxed) <= 0);
        if all {
            ledger.since.store(0, Ordering::Relaxed);
        }
        all
    }

    /// Says what was lost, once a minute.
    fn lament(&mut self) {
        let dropped = self.ledger.dropped.load(Ordering::Relaxed);
        let (when, told) = self.lamented;
        if told < dropped && (told == 0 || LAMENT <= when.elapsed()) {
            tracing::error!(
                receipts = dropped - told,
                "RECEIPTS ARE LOST: neither the journal nor memory has room for them. Give the journal room, or bring the store back."
            );
            self.lamented = (Instant::now(), dropped);
        }
    }

    /// Works on a folder on a thread that may block.
    async fn with_folder<T: Send + 'static>(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut Folder) -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let mut folder = self.folders.swap_remove(at);
        let last = self.folders.len();
        let (folder, done) = tokio::task::spawn_blocking(move || {
            let done = work(&mut folder);
            (folder, done)
        })
        .await
        .map_err(std::io::Error::other)?;
        self.folders.push(folder);
        self.folders.swap(at, last);
        done
    }
}

impl Taken {
    /// What was read, by the thread that will drop it, which costs less than where another one does.
    fn of(mut batch: Batch) -> Self {
        let mut unreadable = std::mem::take(&mut batch.found.damaged);
        let entries = std::mem::take(&mut batch.found.entries);
        let (mut receipts, mut subjects) = (Vec::with_capacity(entries.len()), Subjects::default());
        for entry in &entries {
            match subjects.parsed(&entry.own, entry.end.as_deref()) {
                Ok(receipt) => receipts.push(receipt),
                Err(error) => {
                    tracing::error!(%error, "an entry of the journal cannot be read");
                    unreadable.push(entry.whole());
                }
            }
        }
        Self { folder: None, batch, receipts, unreadable }
    }
}

/// The subjects of a batch by how they are written: requests of one kind end alike, and what they have in common is
/// read and booked once.
#[derive(Default)]
struct Subjects<'e>(foldhash::HashMap<&'e [u8], Arc<Subject>>);

impl<'e> Subjects<'e> {
    /// A receipt whose subject is in what follows it, or in `end`.
    fn parsed(&mut self, entry: &'e [u8], end: Option<&'e [u8]>) -> postcard::Result<Receipt> {
        let (receipt, rest) = postcard::take_from_bytes::<Receipt<()>>(entry)?;
        let about = end.unwrap_or(rest);
        let subject = match self.0.get(about) {
            Some(subject) => Arc::clone(subject),
            None => {
                let mut subject = postcard::from_bytes(about)?;
                implied::complete(&mut subject);
                Arc::clone(self.0.entry(about).or_insert(Arc::new(subject)))
            }
        };
        Ok(receipt.about(subject).0)
    }
}

//! What requests have done, in numbers for Prometheus. Each worker finds the cell that a request adds to in a table of
//! its own; only a set of labels it has not met yet goes to the table of all, which has a bound. Knows neither requests
//! nor how anything else of the gateway is; [`tagway_core::metrics`] has the names.

mod cell;
mod page;
mod process;
mod told;

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};

pub(crate) use cell::{Cell, Due, Labels, Name, Took, What};
pub(crate) use page::{Format, Page};
pub(crate) use process::tell as tell_process;
pub(crate) use told::tell as tell_requests;

static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// A worker remembers as many names that have no room.
const MOST_REFUSED: usize = 4096;

/// All that is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    all: Mutex<All>,
    workers: Mutex<Vec<Arc<Worker>>>,
}

#[derive(Debug, Default)]
struct All {
    labels: HashTable<Arc<Labels>>,
    /// Those of them that have room of their own.
    own: usize,
    /// Of all workers.
    cells: Vec<Arc<Cell>>,
}

/// One worker's part. Nobody else takes its lock.
#[derive(Debug, Default)]
pub(crate) struct Worker {
    local: Mutex<Local>,
    in_flight: AtomicI64,
}

#[derive(Debug, Default)]
struct Local {
    cells: HashTable<Arc<Cell>>,
    /// Hashes of names that had no room.
    refused: HashSet<u64>,
}

/// A worker's way to the metrics.
#[derive(Clone)]
pub(crate) struct Meter {
    metrics: Arc<Metrics>,
    worker: Arc<Worker>,
}

/// A request in progress.
pub(crate) struct Progress(Meter);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Numbers are numbers, whoever panicked beside them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// Nothing counted yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A new worker's way.
    pub(crate) fn meter(self: &Arc<Self>) -> Meter {
        let worker = Arc::<Worker>::default();
        lock(&self.workers).push(Arc::clone(&worker));
        Meter { metrics: Arc::clone(self), worker }
    }

    /// Requests in progress.
    pub(crate) fn in_flight(&self) -> i64 {
        lock(&self.workers).iter().map(|worker| worker.in_flight.load(Ordering::Relaxed)).sum()
    }

    /// How many sets of labels have room of their own.
    pub(crate) fn label_sets(&self) -> usize {
        lock(&self.all).own
    }

    fn cells(&self) -> Vec<Arc<Cell>> {
        lock(&self.all).cells.clone()
    }

    /// A new cell of this name, or of what stands for it: there is room for `most` names.
    fn cell(&self, name: &Name<'_>, most: usize, fill: impl FnOnce(&mut Labels)) -> Arc<Cell> {
        let mut all = lock(&self.all);
        let mut name = *name;
        let mut known = all.labels.find(name.hash(), |labels| labels.is(&name)).cloned();
        let room = all.own < most;
        if known.is_none() && !room {
            name = name.of_others();
            known = all.labels.find(name.hash(), |labels| labels.is(&name)).cloned();
        }
        let labels = known.unwrap_or_else(|| {
            let labels = Arc::new(Labels::new(&name, !room, fill));
            all.own += usize::from(room);
            all.labels.insert_unique(labels.hash, Arc::clone(&labels), |labels| labels.hash);
            labels
        });
        let cell = Arc::new(Cell::new(labels));
        all.cells.push(Arc::clone(&cell));
        cell
    }
}

impl Meter {
    /// A request has begun.
    pub(crate) fn begin(&self) -> Progress {
        self.worker.in_flight.fetch_add(1, Ordering::Relaxed);
        Progress(self.clone())
    }

    /// The cell of this name. Where there are `most` names already, a new one is counted with others. `fill` sets the
    /// labels that follow from those of the name.
    pub(crate) fn cell(&self, name: &Name<'_>, most: usize, fill: impl FnOnce(&mut Labels)) -> Arc<Cell> {
        let hash = name.hash();
        let mut local = lock(&self.worker.local);
        if let Some(cell) = local.cells.find(hash, |cell| cell.labels.is(name)) {
            return Arc::clone(cell);
        }
        if local.refused.contains(&hash) {
            let name = name.of_others();
            if let Some(cell) = local.cells.find(name.hash(), |cell| cell.labels.is(&name)) {
                return Arc::clone(cell);
            }
        }
        let cell = self.metrics.cell(name, most, fill);
        if cell.labels.others {
            if MOST_REFUSED <= local.refused.len() {
                local.refused.clear();
            }
            local.refused.insert(hash);
            let name = name.of_others();
            if let Some(cell) = local.cells.find(name.hash(), |cell| cell.labels.is(&name)) {
                return Arc::clone(cell);
            }
        }
        local.cells.insert_unique(cell.labels.hash, Arc::clone(&cell), |cell| cell.labels.hash);
        cell
    }
}

impl Progress {
    /// The way to the metrics.
    pub(crate) fn meter(&self) -> &Meter {
        &self.0
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.worker.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

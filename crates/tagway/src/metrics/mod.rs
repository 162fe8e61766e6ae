//! What requests have done, in numbers for Prometheus. Each worker finds the cell that a request adds to in a table of
//! its own; only a set of labels it has not met yet goes to the table of all, which has a bound. Knows neither requests
//! nor how anything else of the gateway is; [`tagway_core::metrics`] has the names.

mod cell;
mod name;
mod page;
mod process;
mod told;

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

pub(crate) use cell::{Cell, Due, Took};
pub(crate) use name::{Labels, Name, What};
pub(crate) use page::{Format, Page};
pub(crate) use process::tell as tell_process;
pub(crate) use told::tell as tell_requests;

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// A worker remembers as many names that have no room.
const MOST_REFUSED: usize = 4096;

/// All that is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    all: Arc<Mutex<All>>,
    workers: Mutex<Vec<Meter>>,
}

#[derive(Debug, Default)]
struct All {
    labels: HashTable<Arc<Labels>>,
    /// Those of them that have room of their own.
    own: usize,
    /// Of all workers.
    cells: Vec<Arc<Cell>>,
}

/// A worker's way to the metrics.
pub(crate) type Meter = Arc<Worker>;

/// One worker's part.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Only for what it has not met yet.
    all: Arc<Mutex<All>>,
    /// Nobody else takes this.
    local: Mutex<Local>,
    in_flight: AtomicI64,
}

#[derive(Debug, Default)]
struct Local {
    cells: HashTable<Arc<Cell>>,
    /// Hashes of names that had no room.
    refused: HashSet<u64>,
    /// As many names had room when these were refused.
    most: usize,
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
    pub(crate) fn meter(&self) -> Meter {
        let (local, in_flight) = (Mutex::default(), AtomicI64::new(0));
        let meter = Arc::new(Worker { all: Arc::clone(&self.all), local, in_flight });
        lock(&self.workers).push(Arc::clone(&meter));
        meter
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
}

impl All {
    /// The labels of a name, or those of others where `most` have room and this is one more.
    fn labels(&mut self, name: &Name<'_>, most: usize, fill: impl FnOnce(&mut Labels)) -> Arc<Labels> {
        if let Some(labels) = self.find(name) {
            return labels;
        }
        if self.own < most {
            self.own += 1;
            return self.add(Labels::new(name, false, fill));
        }
        let name = name.of_others();
        self.find(&name).unwrap_or_else(|| self.add(Labels::new(&name, true, fill)))
    }

    fn find(&self, name: &Name<'_>) -> Option<Arc<Labels>> {
        let hash = name.hash();
        self.labels.find(hash, |labels| labels.is(name, hash)).cloned()
    }

    fn add(&mut self, labels: Labels) -> Arc<Labels> {
        let labels = Arc::new(labels);
        self.labels.insert_unique(labels.hash, Arc::clone(&labels), |labels| labels.hash);
        labels
    }
}

impl Worker {
    /// A request has begun.
    pub(crate) fn begin(self: &Arc<Self>) -> Progress {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Progress(Arc::clone(self))
    }

    /// The cell of this name. Where there are `most` names already, a new one is counted with others. `fill` sets the
    /// labels that follow from those of the name.
    pub(crate) fn cell(&self, name: &Name<'_>, most: usize, fill: impl FnOnce(&mut Labels)) -> Arc<Cell> {
        let hash = name.hash();
        let mut local = lock(&self.local);
        if let Some(cell) = local.find(name, hash) {
            return cell;
        }
        if local.most == most && local.refused.contains(&hash) {
            let others = name.of_others();
            if let Some(cell) = local.find(&others, others.hash()) {
                return cell;
            }
        }
        let labels = lock(&self.all).labels(name, most, fill);
        if labels.others {
            local.refuse(hash, most);
            let others = name.of_others();
            if let Some(cell) = local.find(&others, others.hash()) {
                return cell;
            }
        }
        let cell = Arc::new(Cell::new(labels));
        lock(&self.all).cells.push(Arc::clone(&cell));
        local.cells.insert_unique(cell.labels.hash, Arc::clone(&cell), |cell| cell.labels.hash);
        cell
    }
}

impl Local {
    fn find(&self, name: &Name<'_>, hash: u64) -> Option<Arc<Cell>> {
        self.cells.find(hash, |cell| cell.labels.is(name, hash)).cloned()
    }

    fn refuse(&mut self, hash: u64, most: usize) {
        if self.most != most || MOST_REFUSED <= self.refused.len() {
            self.refused.clear();
        }
        self.most = most;
        self.refused.insert(hash);
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
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tagway_core::metrics::Label;

    use super::*;

    #[test]
    fn names_beyond_the_bound_share_cells_and_take_no_memory() {
        let metrics = Metrics::new();
        let workers = [metrics.meter(), metrics.meter()];
        let count = |most| {
            for number in 0..10_000 {
                let model = number.to_string();
                let name = Name::new(What::Failed).with(Label::RequestedModel, &model);
                workers.iter().for_each(|worker| worker.cell(&name, most, |_| {}).one_more());
            }
        };
        count(10);
        // Ten names and the others, on each of two workers.
        assert_eq!((metrics.label_sets(), metrics.cells().len()), (10, 22));
        let total = |metrics: &Metrics| -> u64 {
            metrics.cells().iter().map(|cell| cell.count.load(Ordering::Relaxed)).sum()
        };
        assert_eq!(total(&metrics), 20_000);
        // Where there is more room, names have it at once.
        count(20);
        assert_eq!((metrics.label_sets(), metrics.cells().len()), (20, 42));
        assert_eq!(total(&metrics), 40_000);
    }

    #[test]
    fn names_that_differ_in_any_label_are_counted_apart() {
        let (metrics, labels) = (Metrics::new(), tagway_core::metrics::EVERY_LABEL);
        let meter = metrics.meter();
        for label in name::IDENTITY {
            assert!(labels.contains(&label));
            meter.cell(&Name::new(What::Served).with(label, "x"), 100, |_| {});
        }
        meter.cell(&Name::new(What::Served).tagged(1), 100, |_| {});
        meter.cell(&Name::new(What::Failed), 100, |_| {});
        assert_eq!(metrics.label_sets(), name::IDENTITY.len() + 2);
    }
}

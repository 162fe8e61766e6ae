//! The configuration in force, and how it changes. Requests read it without waiting; a reload compiles a new one
//! beside it and swaps it in, or keeps the old one and says why.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tagway_core::config;
use tagway_core::snapshot::Snapshot;

use crate::health::Board;
use crate::host::System;
use crate::tasks::Stop;

/// How often the files are looked at for a change.
const POLL: Duration = Duration::from_secs(2);

/// Files with their contents.
type Files = Vec<(PathBuf, String)>;

/// What one request needs of the configuration, from beginning to end.
pub(crate) struct Current {
    pub(crate) snapshot: Snapshot,
    pub(crate) board: Board,
    /// When it came into force.
    pub(crate) since: SystemTime,
    /// The files it was read from, with their contents.
    files: Files,
}

/// Why a reload did not happen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rejected {
    /// The problems, as shown to people.
    pub(crate) problems: String,
    /// How many reloads in a row were rejected.
    pub(crate) count: u64,
}

/// The configuration in force.
pub(crate) struct Live {
    path: PathBuf,
    current: ArcSwap<Current>,
    rejected: Mutex<Option<Rejected>>,
    /// One reload at a time.
    reloading: Mutex<()>,
    /// Requests in progress under `global_max_parallel_requests`.
    pub(crate) in_flight: Arc<AtomicU32>,
}

impl Live {
    /// Reads and compiles the file at `path`.
    ///
    /// # Errors
    /// All problems of the file, as text for people.
    pub(crate) fn load(path: PathBuf) -> Result<Self, String> {
        let (current, notes) = read(&path, None)?;
        for note in notes {
            tracing::warn!(target: "tagway::config", "{note}");
        }
        Ok(Self {
            path,
            current: ArcSwap::from_pointee(current),
            rejected: Mutex::default(),
            reloading: Mutex::default(),
            in_flight: Arc::default(),
        })
    }

    /// The configuration in force now.
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Why the last reload was rejected, if it was.
    pub(crate) fn rejected(&self) -> Option<Rejected> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again and puts it in force.
    ///
    /// # Errors
    /// All problems of the file; the old configuration stays.
    pub(crate) fn reload(&self) -> Result<Vec<String>, String> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        match read(&self.path, Some(&before.board)) {
            Ok((current, notes)) => {
                let (deployments, groups) = (current.snapshot.deployments.len(), current.snapshot.groups.len());
                self.current.store(Arc::new(current));
                *self.rejected.lock().unwrap_or_else(PoisonError::into_inner) = None;
                tracing::info!(target: "tagway::config", deployments, groups, "configuration reloaded");
                Ok(notes)
            }
            Err(problems) => {
                tracing::error!(target: "tagway::config", "configuration not reloaded, the old one stays:\n{problems}");
                let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
                let count = rejected.as_ref().map_or(0, |before| before.count) + 1;
                *rejected = Some(Rejected { problems: problems.clone(), count });
                Err(problems)
            }
        }
    }

    /// Reloads if `asked`, or if a file is no longer what was `seen` last. Gives what was seen now.
    fn look(&self, seen: Files, asked: bool) -> Files {
        let now: Files = seen
            .iter()
            .map(|(path, _)| (path.clone(), std::fs::read_to_string(path).unwrap_or_default()))
            .collect();
        if now == seen && !asked {
            return seen;
        }
        // What is wrong has been logged, and shows in the readiness probe.
        if self.reload().is_ok() { self.current().files.clone() } else { now }
    }
}

fn read(path: &std::path::Path, before: Option<&Board>) -> Result<(Current, Vec<String>), String> {
    let loaded = config::load(path, &System).map_err(|problems| problems.to_string())?;
    let notes = loaded.notes.iter().map(ToString::to_string).collect();
    let snapshot = Snapshot::compile(loaded.config).map_err(|unusable| format!("{}: {unusable}", path.display()))?;
    let board = Board::new(&snapshot, before, Instant::now());
    Ok((Current { snapshot, board, since: SystemTime::now(), files: loaded.files }, notes))
}

/// Reloads when a file's content changes or the process gets SIGHUP. Contents are compared, not dates: a mounted
/// Kubernetes ConfigMap changes by swapping links.
pub(crate) async fn watch(live: Arc<Live>, mut stop: Stop) {
    let mut hangup = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!(%error, "cannot watch for SIGHUP"),
    };
    let mut seen = live.current().files.clone();
    let mut tick = tokio::time::interval(POLL);
    loop {
        let asked = tokio::select! {
            () = stop.asked() => return,
            _ = hangup.recv() => true,
            _ = tick.tick() => false,
        };
        // Reading files blocks, and so does compiling: not on the runtime that accepts connections.
        let (looking, last) = (Arc::clone(&live), std::mem::take(&mut seen));
        let looked = tokio::task::spawn_blocking(move || looking.look(last, asked)).await;
        seen = looked.unwrap_or_else(|_| live.current().files.clone());
    }
}

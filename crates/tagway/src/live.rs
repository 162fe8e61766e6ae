//! The configuration in force, and how it changes. Requests read it without waiting; a reload compiles a new one
//! beside it and swaps it in, or keeps the old one and says why.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tagway_core::catalogue::Catalogue;
use tagway_core::config::{self, Config, Deployment, PriceCatalog, TagDeclaration};
use tagway_core::snapshot::Snapshot;

use crate::capacity::Capacity;
use crate::health::Board;
use crate::host::System;
use crate::meter::Sharing;
use crate::mirrors::Mirrors;
use crate::places::Places;
use crate::ramps::Ramps;
use crate::tasks::Stop;
use crate::web;

/// How often the files are looked at for a change.
const POLL: Duration = Duration::from_secs(2);

/// How long a catalogue of prices may take to come, and how large it may be.
const CATALOGUE_PATIENCE: Duration = Duration::from_secs(10);
const CATALOGUE_BYTES: u64 = 64 << 20;

/// Files with their contents.
type Files = Vec<(PathBuf, String)>;

/// What one request needs of the configuration, from beginning to end.
pub(crate) struct Current {
    pub(crate) snapshot: Snapshot,
    pub(crate) board: Board,
    pub(crate) capacity: Capacity,
    /// The ramps of experiments.
    pub(crate) ramps: Ramps,
    pub(crate) mirrors: Mirrors,
    /// What the files alone say.
    base: Arc<Config>,
    /// The files it was read from, with their contents.
    files: Files,
}

impl Current {
    /// The tags that the files declare.
    pub(crate) fn in_files(&self) -> &[TagDeclaration] {
        &self.base.tags
    }

    /// What the files declare by this name.
    pub(crate) fn in_file(&self, name: &str) -> Option<&TagDeclaration> {
        self.base.tags.iter().find(|tag| tag.name == name)
    }
}

/// What the store adds to the files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Added {
    /// Deployments, beside those of the files.
    pub(crate) deployments: Vec<Deployment>,
    /// Declared tags, with the deployments (ids or model names) that carry them.
    pub(crate) tags: Vec<(TagDeclaration, Vec<String>)>,
}

impl Added {
    /// The configuration with all of it.
    fn to(&self, base: &Config) -> Config {
        let mut config = base.clone();
        for deployment in &self.deployments {
            // What the file says goes first: its deployments cannot be replaced over the API.
            if !config.deployments.iter().any(|known| known.info.id == deployment.info.id) {
                config.deployments.push(deployment.clone());
            }
        }
        let former: Vec<String> = config.tags.iter().flat_map(|tag| tag.aliases.clone()).collect();
        for (tag, carriers) in &self.tags {
            // The file says that this name means another tag.
            if former.contains(&tag.name) {
                continue;
            }
            for deployment in &mut config.deployments {
                let names = [&deployment.info.id, &deployment.model_name];
                let carries = carriers.iter().any(|carrier| names.contains(&carrier));
                if carries && !deployment.tags.contains(&tag.name) {
                    deployment.tags.push(tag.name.clone());
                }
            }
            let mut tag = tag.clone();
            if let Some(declared) = config.tags.iter().find(|declared| declared.name == tag.name) {
                // What may be spent is the file's to say, unless the stored tag does.
                tag.budget = declared.budget.clone();
                tag.priority = tag.priority.or(declared.priority);
                tag.terms = tag.terms.or(&declared.terms);
                tag.owner = tag.owner.or_else(|| declared.owner.clone());
            }
            config.tags.retain(|declared| declared.name != tag.name);
            config.tags.push(tag);
        }
        config
    }
}

/// The configuration in force.
pub(crate) struct Live {
    path: PathBuf,
    current: ArcSwap<Current>,
    /// What the store adds.
    added: ArcSwap<Added>,
    /// Reloads rejected in a row.
    rejected: AtomicU64,
    /// One reload at a time.
    reloading: Mutex<()>,
    /// How several gateways share the limits of deployments.
    sharing: OnceLock<Arc<Sharing>>,
    /// Places for requests in progress, where they have a limit.
    pub(crate) places: Arc<Places>,
}

/// How often slow deployments are looked for.
const OUTLIERS: Duration = Duration::from_secs(1);

/// Gives slow deployments a break where the configuration asks for that.
pub(crate) async fn eject_outliers(live: Arc<Live>, mut stop: Stop) {
    loop {
        let current = live.current();
        let snapshot = &current.snapshot;
        for id in current.board.eject_outliers(snapshot, Instant::now()) {
            let deployment = snapshot.deployment(id);
            let group = &snapshot.group(deployment.group).name;
            tracing::warn!(
                deployment = deployment.entry.info.id,
                group,
                "much slower than the others: a break"
            );
        }
        drop(current);
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(OUTLIERS) => {}
        }
    }
}

impl Live {
    /// Puts what was prepared from the file at `path` in force.
    pub(crate) fn new(path: PathBuf, prepared: Prepared) -> Self {
        for note in prepared.notes {
            tracing::warn!(target: "tagway::config", "{note}");
        }
        warn_of_unpriced(&prepared.current.snapshot, None);
        Self {
            path,
            current: ArcSwap::from_pointee(prepared.current),
            added: ArcSwap::default(),
            rejected: AtomicU64::default(),
            reloading: Mutex::default(),
            sharing: OnceLock::new(),
            places: Arc::default(),
        }
    }

    /// Shares the limits of deployments with other gateways from now on.
    pub(crate) fn share(&self, sharing: &Arc<Sharing>) {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        self.current().capacity.share(self.sharing.get_or_init(|| Arc::clone(sharing)));
    }

    /// The configuration in force now.
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// How many reloads in a row were rejected: above 0, the file is not what is in force.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Reads the file again and puts it in force.
    ///
    /// # Errors
    /// All problems of the file; the old configuration stays.
    pub(crate) fn reload(&self) -> Result<Vec<String>, String> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        match read(&self.path, &self.added.load(), Some(&before), self.sharing.get()) {
            Ok(Prepared { current, notes }) => {
                let (deployments, groups) =
                    (current.snapshot.deployments.len(), current.snapshot.groups.len());
                warn_of_unpriced(&current.snapshot, Some(&before.snapshot));
                self.current.store(Arc::new(current));
                self.rejected.store(0, Ordering::Relaxed);
                tracing::info!(target: "tagway::config", deployments, groups, "configuration reloaded");
                Ok(notes)
            }
            Err(problems) => {
                tracing::error!(target: "tagway::config", "configuration not reloaded, the old one stays:\n{problems}");
                self.rejected.fetch_add(1, Ordering::Relaxed);
                Err(problems)
            }
        }
    }

    /// Puts what the store adds in force, beside what the files say.
    ///
    /// # Errors
    /// It cannot be used; what was in force stays.
    pub(crate) fn adopt(&self, added: Added) -> Result<(), String> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        let (base, files) = (Arc::clone(&before.base), before.files.clone());
        let current = compile(base, files, &added, Some(&before), self.sharing.get())?;
        warn_of_unpriced(&current.snapshot, Some(&before.snapshot));
        self.added.store(Arc::new(added));
        self.current.store(Arc::new(current));
        Ok(())
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

/// A configuration ready to be put in force.
pub(crate) struct Prepared {
    current: Current,
    /// What deserves a look.
    notes: Vec<String>,
}

impl Prepared {
    /// What the files say.
    pub(crate) fn config(&self) -> &Config {
        &self.current.base
    }

    /// `litellm_settings.json_logs`
    pub(crate) fn wants_json_logs(&self) -> bool {
        self.current.snapshot.config.proxy.json_logs
    }
}

/// Reads and compiles the file at `path`.
///
/// # Errors
/// All problems of the file, as text for people.
pub(crate) fn prepare(path: &Path) -> Result<Prepared, String> {
    read(path, &Added::default(), None, None)
}

fn read(
    path: &Path,
    added: &Added,
    before: Option<&Current>,
    sharing: Option<&Arc<Sharing>>,
) -> Result<Prepared, String> {
    let mut loaded = config::load(path, &System).map_err(|problems| problems.to_string())?;
    let mut notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
    if let Some(PriceCatalog::Url(url)) = &loaded.config.proxy.price_catalog {
        match fetch(url) {
            Ok(catalogue) => loaded.config.catalogue = catalogue,
            Err(why) => {
                loaded.config.catalogue =
                    before.map(|before| before.base.catalogue.clone()).unwrap_or_default();
                let kept =
                    if loaded.config.catalogue.is_empty() { "built-in ones" } else { "ones from before" };
                notes.push(format!("price_catalog: {url} cannot be used, the prices are the {kept}: {why}"));
            }
        }
    }
    let current = compile(Arc::new(loaded.config), loaded.files, added, before, sharing)
        .map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(Prepared { current, notes })
}

/// The catalogue of prices at a web address.
fn fetch(url: &str) -> Result<Catalogue, String> {
    let mut answer = web::agent(url.starts_with("https"), CATALOGUE_PATIENCE)
        .get(url)
        .call()
        .map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let json = answer.body_mut().with_config().limit(CATALOGUE_BYTES).read_to_string();
    Catalogue::read(&json.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

/// Says which deployments cost nobody knows what, unless that was so `before`.
fn warn_of_unpriced(snapshot: &Snapshot, before: Option<&Snapshot>) {
    const SHOWN: usize = 10;
    let names = |snapshot: &Snapshot| -> Vec<String> {
        let unpriced = snapshot
            .deployments
            .iter()
            .filter(|deployment| deployment.is_unpriced() && deployment.entry.mock.is_none());
        let mut names: Vec<String> = unpriced.map(|deployment| deployment.entry.model.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let unpriced = names(snapshot);
    if unpriced.is_empty() || before.is_some_and(|before| names(before) == unpriced) {
        return;
    }
    let more = unpriced.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    tracing::warn!(
        target: "tagway::prices",
        "no price is known of {}{more}: what their calls cost is not counted; give `input_cost_per_token` and `output_cost_per_token`, 0 where they are free",
        unpriced[..unpriced.len().min(SHOWN)].join(", "),
    );
}

/// Says which rules add tags that a stored declaration does not leave to rules: what the file says holds.
fn warn_of_rules(snapshot: &Snapshot) {
    for rule in &snapshot.config.tag_rules {
        for (objection, _) in rule.add.iter().filter_map(|tag| snapshot.vocabulary.objection_to_rule(tag)) {
            tracing::warn!(target: "tagway::tags", rule = &*rule.name, "a rule adds it all the same: {objection}");
        }
    }
}

fn compile(
    base: Arc<Config>,
    files: Files,
    added: &Added,
    before: Option<&Current>,
    sharing: Option<&Arc<Sharing>>,
) -> Result<Current, String> {
    let snapshot = Snapshot::compile(added.to(&base)).map_err(|unusable| unusable.to_string())?;
    warn_of_rules(&snapshot);
    let now = Instant::now();
    let board = Board::new(&snapshot, before.map(|before| &before.board), now);
    let capacity = Capacity::new(&snapshot, before.map(|before| &before.capacity), sharing);
    let ramps = Ramps::new(&snapshot, before.map(|before| &before.ramps));
    let mirrors = Mirrors::new(&snapshot, before.map(|before| &before.mirrors));
    Ok(Current { snapshot, board, capacity, ramps, mirrors, base, files })
}

/// Reloads when a file's content changes or the process gets SIGHUP. Contents are compared, not dates: a mounted
/// Kubernetes ConfigMap changes by swapping links.
/// `then` hears of a reload, until it says that it took note.
pub(crate) async fn watch<F>(live: Arc<Live>, then: impl Fn() -> F, mut stop: Stop)
where
    F: Future<Output = bool>,
{
    let mut hangup = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!(%error, "cannot watch for SIGHUP"),
    };
    let mut seen = live.current().files.clone();
    let mut noted = Arc::clone(&live.current().base);
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
        let base = Arc::clone(&live.current().base);
        if !Arc::ptr_eq(&noted, &base) && then().await {
            noted = base;
        }
    }
}

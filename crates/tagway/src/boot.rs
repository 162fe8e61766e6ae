//! Puts the gateway together, runs it until it is told to stop, and takes it apart: the only place that sees
//! everything.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tagway_core::config::Config;
use tagway_core::snapshot::Snapshot;
use tagway_core::vocabulary::Vocabulary;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::accounts::{self, Accounts, now_millis};
use crate::admin::{Admin, Shared};
use crate::alerts;
use crate::catalog::Catalog;
use crate::checks::{self, Checks};
use crate::data::probe;
use crate::directory::{self, Directory};
use crate::judge;
use crate::jwt::{self, Verifier};
use crate::ledger::{self, Ledger, Shipper};
use crate::listen::{self, Common, Workers};
use crate::live::{self, Current, Live};
use crate::meter::{self, NamedMeters, Sharing};
use crate::metrics::Metrics;
use crate::objects::Kind;
use crate::peers::{self, Meeting, Peers, Reporter};
use crate::seal::Seal;
use crate::seen::{self, Seen, Values};
use crate::store::{self, Change, Db, Migrated, Place};
use crate::tags::Violations;
use crate::tasks::Tasks;
use crate::telemetry;
use crate::valkey::Server;

/// What keeps the directory has this long to end …
const KEEPERS_GRACE: Duration = Duration::from_secs(2);
/// … and this long, the last receipts may take on their way to the store; those left go at the next start.
const SHIPPING_GRACE: Duration = Duration::from_secs(5);
/// A start waits no longer than this for receipts that the last run has left.
const CATCH_UP: Duration = Duration::from_secs(60);

/// The signal for a file beyond the limit of its size, on Linux and macOS.
const SIGXFSZ: i32 = 25;

/// How to run.
pub(crate) struct Plan {
    pub(crate) config: PathBuf,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Worker threads; one a core when not given.
    pub(crate) workers: Option<usize>,
    /// Requests in progress have this long to end when the gateway stops.
    pub(crate) grace: Duration,
    pub(crate) json_logs: bool,
    pub(crate) verbose: bool,
    /// Where the store's file is, unless the configuration names a database.
    pub(crate) data: DataFolder,
    /// Things to tell at start.
    pub(crate) notes: Vec<String>,
}

/// The folder of the store's file.
pub(crate) enum DataFolder {
    /// The operator said so.
    Given(PathBuf),
    /// Nobody said anything: a store there is welcome, but not required.
    Usual(PathBuf),
}

impl DataFolder {
    fn place(&self) -> Place {
        let (Self::Given(folder) | Self::Usual(folder)) = self;
        Place::Folder(folder.clone())
    }

    /// Where receipts are kept on their way to the store.
    fn journal(&self) -> PathBuf {
        let (Self::Given(folder) | Self::Usual(folder)) = self;
        folder.join("journal")
    }
}

/// The configuration cannot be used: all its problems, as text for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misconfigured(pub(crate) String);

/// Runs the gateway until SIGTERM or SIGINT.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    let prepared = live::prepare(&plan.config).map_err(Misconfigured)?;
    let log = telemetry::start(plan.json_logs || prepared.wants_json_logs(), plan.verbose)?;
    for note in &plan.notes {
        tracing::warn!("{note}");
    }
    let place = place(prepared.config(), &plan.data);
    let live = Arc::new(Live::new(plan.config.clone(), prepared));
    // Admin work and signals; requests for models run on the workers.
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()?;
    let left = control.block_on(serve(plan, live, &place, control.handle().clone()))?;
    match left {
        0 => tracing::info!("stopped"),
        left => tracing::warn!(connections = left, "stopped; requests in progress were cut off"),
    }
    drop(log);
    Ok(())
}

async fn serve(
    plan: &Plan,
    live: Arc<Live>,
    place: &Place,
    control: tokio::runtime::Handle,
) -> anyhow::Result<usize> {
    let address = address(&plan.host, plan.port)?;
    let listener = listen::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let mut tasks = Tasks::new();
    let stop = tasks.stop_sign();
    let db = open(place, &plan.data).await?;
    let mut sharing = None;
    if let Some(valkey) = &live.current().snapshot.config.router.valkey
        && !matches!(db, Db::Absent)
    {
        let store = db.identity().await.context("cannot read the store")?;
        let server = Server::new(valkey, &store).context("Valkey cannot be used as it is configured")?;
        sharing = Some(Shares {
            budgets: accounts::Shared::new(&store),
            limits: Sharing::new(&store),
            meeting: Meeting::new(server.clone(), &store),
            server,
        });
    }
    let limits = sharing.as_ref().map(|shares| Arc::clone(&shares.limits.0));
    if let Some(limits) = &limits {
        live.share(limits);
    }
    let (accounts, crossed) = Accounts::new(sharing.as_ref().map(|shares| Arc::clone(&shares.budgets.0)));
    let count = plan.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let Books { ledger, uncounted, mut shipper } = books(&db, &plan.data, &accounts, count).await?;
    // Before anything reads what was spent.
    shipper.catch_up(CATCH_UP).await;
    let (verifier, unknown) = Verifier::new();
    let (directory, orders) = Directory::new(Arc::clone(&accounts), Arc::clone(&verifier));
    let seal = Seal::from_environment();
    let catalog = Arc::new(Catalog::new(db.clone(), Arc::clone(&live), seal, Arc::clone(&accounts)));
    let peers = Arc::new(Peers::new());
    let seen = Seen::new();
    let metrics = Metrics::new();
    if !matches!(db, Db::Absent) {
        directory.prepare(&db).await.context("cannot read the store")?;
    }
    if !catalog.refresh().await {
        // Budgets would not hold.
        return Err(anyhow!("cannot read the store"));
    }
    let (violations, values) = (Arc::<Violations>::default(), Arc::<Values>::default());
    let mut counting_tags = seen::Reader::new(Arc::clone(&values));
    if !matches!(db, Db::Absent) {
        // Before there are requests.
        let counted = CountedTags(live.current());
        counting_tags.look(&db, &counted, now_millis()).await.context("cannot read the store")?;
    }
    let checks = Checks::new(|current, id, question| Box::pin(probe::call(current, id, question)));
    let shared = Shared {
        live: Arc::clone(&live),
        directory: Arc::clone(&directory),
        catalog: Arc::clone(&catalog),
        accounts: Arc::clone(&accounts),
        peers: Arc::clone(&peers),
        limits: limits.clone(),
        db: db.clone(),
        ledger: Arc::clone(&ledger),
        metrics: Arc::clone(&metrics),
        draining: Arc::new(AtomicBool::new(false)),
        checks: Arc::clone(&checks),
        violations: Arc::clone(&violations),
        values: Arc::clone(&values),
    };
    let draining = Arc::clone(&shared.draining);
    let admin = Admin::new(shared, control.clone());
    let common = Common {
        live: Arc::clone(&live),
        directory: Arc::clone(&directory),
        seen: Arc::clone(&seen),
        ledger: Arc::clone(&ledger),
        tag_meters: NamedMeters::new("tag", limits.as_ref()),
        metrics,
        violations,
        values,
        default_meters: NamedMeters::new("default", limits.as_ref()),
    };
    let workers = Workers::start(count, &common, &admin, &stop, plan.grace)?;
    let renewed = Arc::clone(&catalog);
    let renew = move || {
        let catalog = Arc::clone(&renewed);
        async move { catalog.refresh().await }
    };
    tasks.spawn("reload", |stop| live::watch(Arc::clone(&live), renew, stop));
    let (ramping, stored) = (Arc::clone(&live), db.clone());
    tasks.spawn("ramps", |stop| judge::keep(ramping, stored, stop));
    tasks.spawn("health checks", |stop| checks::keep(checks, Arc::clone(&live), stop));
    let alerts = live.current().snapshot.config.general.alerts.clone();
    tasks.spawn("outliers", |stop| live::eject_outliers(Arc::clone(&live), stop));
    tasks.spawn("alerts", |stop| alerts::tell(alerts, db.clone(), crossed, stop));
    // Requests in progress need these to the end: they stop after the workers.
    let mut keepers = Tasks::new();
    keepers
        .spawn("directory", |stop| directory::keep(Arc::clone(&directory), limits, db.hasty(), orders, stop));
    let rules = Arc::clone(&live);
    let issuers = move || rules.current().snapshot.config.general.jwt.clone();
    keepers.spawn("keys of issuers", |stop| jwt::read(verifier, issuers, unknown, stop));
    if !matches!(db, Db::Absent) {
        keepers.spawn("spend", |stop| accounts::poll(Arc::clone(&accounts), db.clone(), stop));
        keepers.spawn("seen tags", |stop| seen::keep(seen, db.clone(), stop));
        let counted = Arc::clone(&live);
        let counted = move || CountedTags(counted.current());
        keepers.spawn("values of tags", |stop| counting_tags.keep(db.clone(), counted, now_millis, stop));
        let log = Arc::clone(&live);
        let settings = move || log.current().snapshot.config.general.spend_logs;
        keepers.spawn("retention", |stop| ledger::keep(db.clone(), settings, stop));
        keepers.spawn("listen", |stop| peers::listen(db.clone(), Arc::clone(&peers), stop));
        if let Some(Shares { server, meeting, budgets, limits }) = sharing {
            let reporter = Reporter::new(Arc::clone(&live));
            keepers.spawn("valkey", |stop| peers::meet(meeting, Arc::clone(&peers), reporter, stop));
            let (shared, words) = budgets;
            keepers.spawn("shared budgets", |stop| accounts::attend(shared, server.clone(), words, stop));
            let (shared, words) = limits;
            let rules = Arc::clone(&live);
            let fail_closed = move || rules.current().snapshot.config.general.fail_closed_rates;
            keepers.spawn("shared limits", |stop| meter::converse(shared, server, words, fail_closed, stop));
        }
        keepers.spawn("changes", |stop| {
            directory::watch(directory, db.hasty(), Arc::clone(&peers.call), told(catalog), stop)
        });
    }
    let (mut counting, mut shipping) = (Tasks::new(), Tasks::new());
    counting.spawn("count", |stop| ledger::count(ledger, uncounted, stop));
    shipping.spawn("ship", |stop| shipper.run(stop));
    announce(&live.current().snapshot, address, count);
    // A file that may not grow any more (ulimit) is then a failed write, as on a full disk, and not the end.
    let _too_large = signal(SignalKind::from_raw(SIGXFSZ))?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = listen::accept(listener, &workers, &live, stop) => {}
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    draining.store(true, Ordering::Relaxed);
    tracing::info!(
        grace_s = plan.grace.as_secs(),
        "stopping: no new connections, requests in progress may end"
    );
    tasks.stop_within(plan.grace).await;
    let cut = tokio::task::spawn_blocking(move || workers.join()).await?;
    // Nothing is served any more: what is counted now is the last to be shipped.
    counting.stop_within(SHIPPING_GRACE).await;
    shipping.stop_within(SHIPPING_GRACE).await;
    keepers.stop_within(KEEPERS_GRACE).await;
    db.close().await;
    Ok(cut)
}

/// Brings the store up to date; says what it did.
pub(crate) fn migrate(config: Option<&Path>, data: &DataFolder) -> anyhow::Result<String> {
    let place = match config {
        Some(config) => place(live::prepare(config).map_err(Misconfigured)?.config(), data),
        None => {
            let url = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
            url.map_or_else(|| data.place(), |url| Place::Postgres { url, connections: 1 })
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(store::migrate(&place));
    let Migrated { steps, version } =
        done.with_context(|| format!("cannot migrate the store, {}", place.shown()))?;
    let mut said: Vec<String> =
        steps.iter().map(|(version, name)| format!("applied {version:04} {name}")).collect();
    let state = if steps.is_empty() { "was up to date already" } else { "is up to date" };
    said.push(format!("{} {state}: version {version:04}", place.shown()));
    Ok(said.join("\n"))
}

/// Where the store is.
fn place(config: &Config, data: &DataFolder) -> Place {
    let general = &config.general;
    match &general.database_url {
        Some(url) => {
            Place::Postgres { url: url.expose().to_owned(), connections: general.database_connections }
        }
        None => data.place(),
    }
}

/// Opens the store. Without a place for it a gateway still serves what its configuration says.
async fn open(place: &Place, data: &DataFolder) -> anyhow::Result<Db> {
    let error = match (store::open(place).await, place, data) {
        (Ok(db), ..) => return Ok(db),
        (Err(error), Place::Folder(_), DataFolder::Usual(_)) => error,
        (Err(error), ..) => {
            return Err(error).with_context(|| format!("cannot open the store, {}", place.shown()));
        }
    };
    tracing::warn!(
        "NO STORE: {} cannot be opened ({error:#}). Virtual keys, teams and the management API are off; give --data-dir or DATABASE_URL.",
        place.shown()
    );
    Ok(Db::Absent)
}

/// The tags that the configuration in force counts.
struct CountedTags(Arc<Current>);

impl seen::Counted for CountedTags {
    fn patterns(&self) -> Vec<(String, u64)> {
        let counted = Vocabulary::counted(&self.0.snapshot.config);
        counted.map(|(pattern, most)| (pattern.to_owned(), most)).collect()
    }

    fn pattern_of(&self, tag: &str) -> Option<Box<str>> {
        self.0.snapshot.vocabulary.pattern_of(tag).map(Into::into)
    }
}

/// What gateways on one store share at a Valkey, and who works for it.
struct Shares {
    server: Server,
    meeting: Meeting,
    budgets: (Arc<accounts::Shared>, accounts::Words),
    limits: (Arc<Sharing>, meter::Words),
}

/// The ledger, and who works for it.
struct Books {
    ledger: Arc<Ledger>,
    uncounted: mpsc::UnboundedReceiver<ledger::Bill>,
    shipper: Shipper,
}

/// Opens the ledger of a gateway with so many workers.
async fn books(
    db: &Db,
    data: &DataFolder,
    accounts: &Arc<Accounts>,
    workers: usize,
) -> anyhow::Result<Books> {
    if matches!(db, Db::Absent) {
        return Ok(Books::new(Ledger::off(), db, None, accounts));
    }
    let store = db.identity().await.context("cannot read the store")?;
    let root = data.journal();
    match (Ledger::open(&root, &store, workers), data) {
        (Ok(opened), _) => Ok(Books::new(opened, db, Some((root, store)), accounts)),
        (Err(error), DataFolder::Given(_)) => {
            Err(error).with_context(|| format!("cannot keep a journal in {}", root.display()))
        }
        (Err(error), DataFolder::Usual(_)) => {
            tracing::warn!(
                "NO JOURNAL: {} cannot be used ({error}). What requests cost is kept in memory until the store has it: a crash, or a store that is away for long, loses it. Give --data-dir a folder that lasts.",
                root.display()
            );
            Ok(Books::new(Ledger::in_memory(), db, None, accounts))
        }
    }
}

impl Books {
    fn new(
        mut opened: ledger::Opened,
        db: &Db,
        root: Option<(PathBuf, String)>,
        accounts: &Arc<Accounts>,
    ) -> Self {
        let shipper = Shipper::new(&mut opened, db.clone(), root, Arc::clone(accounts));
        Self { ledger: opened.ledger, uncounted: opened.uncounted, shipper }
    }
}

/// What else depends on stored objects: the configuration, with stored deployments and tags.
fn told(catalog: Arc<Catalog>) -> directory::Told {
    Box::new(move |changes: Vec<Change>| {
        let catalog = Arc::clone(&catalog);
        Box::pin(async move {
            // None named: anything may have changed.
            let concerned = |change: &Change| matches!(change.kind, Kind::Model | Kind::Tag | Kind::Budget);
            if changes.is_empty() || changes.iter().any(concerned) { catalog.refresh().await } else { true }
        })
    })
}

fn address(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let found =
        (host, port).to_socket_addrs().with_context(|| format!("--host {host}: no such address"))?.next();
    found.ok_or_else(|| anyhow!("--host {host}: no such address"))
}

/// Says what runs, and loudly what is unsafe.
fn announce(snapshot: &Snapshot, address: SocketAddr, workers: usize) {
    let (deployments, groups) = (snapshot.deployments.len(), snapshot.groups.len());
    let tags = snapshot.config.router.tags.enable_tag_filtering;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %address, workers, deployments, groups, tag_filtering = tags,
        "tagway serves on http://{address}"
    );
    if snapshot.config.general.master_key.is_none() {
        tracing::warn!(
            "NO MASTER KEY: this gateway is OPEN. Anybody who reaches {address} can use every deployment. Set general_settings.master_key or LITELLM_MASTER_KEY."
        );
    }
}

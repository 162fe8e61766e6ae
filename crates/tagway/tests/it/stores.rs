//! The stores a gateway under test may have: a folder, or a database of its own in the PostgreSQL of scripts/test,
//! the latter behind a proxy where a test wants to cut the way to it.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use crate::gateway::{Gateway, PATIENCE};

/// A kind of store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Postgres,
}

/// Makes two tests of each function that takes a [`Store`].
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test]
            async fn on_sqlite() {
                super::$name($crate::stores::Store::Sqlite).await;
            }

            #[tokio::test]
            async fn on_postgresql() {
                super::$name($crate::stores::Store::Postgres).await;
            }
        }
    )*};
}
pub(crate) use on_both_stores;

/// A fresh store; gone when dropped. Drop the gateways on it first.
pub enum Home {
    Folder(TempDir),
    Database(Database),
}

impl Home {
    pub fn new(store: Store) -> Self {
        match store {
            Store::Sqlite => Self::Folder(TempDir::new().unwrap()),
            Store::Postgres => Self::Database(Database::new()),
        }
    }

    /// What leads a gateway there.
    pub fn env(&self) -> (&'static str, String) {
        match self {
            Self::Folder(dir) => ("TAGWAY_DATA_DIR", dir.path().join("data").to_str().unwrap().to_owned()),
            Self::Database(database) => ("DATABASE_URL", database.url.to_string()),
        }
    }

    /// A gateway on this store.
    pub fn gateway(&self, config: &str) -> Gateway {
        self.gateway_with(config, &[])
    }

    /// The same with more environment variables.
    pub fn gateway_with(&self, config: &str, env: &[(&str, &str)]) -> Gateway {
        let (name, value) = self.env();
        Gateway::start_with(config, &[], &[env, &[(name, value.as_str())]].concat())
    }
}

impl Gateway {
    /// A gateway on a store of its own, which lives as long as what is returned beside it.
    pub fn on(store: Store, config: &str) -> (Self, Home) {
        let home = Home::new(store);
        (home.gateway(config), home)
    }
}

/// The variable scripts/test sets.
pub fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run scripts/test, or put scripts/with-stores in front")
    })
}

/// A database of one test.
pub struct Database {
    pub url: Url,
    admin: Url,
}

impl Database {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let admin = Url::parse(&given("TAGWAY_TEST_POSTGRES_URL")).unwrap();
        let name = format!("tagway_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut url = admin.clone();
        url.set_path(&name);
        let database = Self { url, admin };
        database.run_as_admin(&format!("CREATE DATABASE {name}"));
        database
    }

    fn name(&self) -> &str {
        self.url.path().trim_start_matches('/')
    }

    fn run_as_admin(&self, sql: &str) {
        let (admin, sql) = (self.admin.to_string(), AssertSqlSafe(sql.to_owned()));
        aside(async move {
            let mut connection = PgConnection::connect(&admin).await.unwrap();
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// All rows of all tables, as text.
    pub fn dump(&self) -> String {
        let url = self.url.to_string();
        aside(async move {
            let mut database = PgConnection::connect(&url).await.unwrap();
            let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
            let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut database).await.unwrap();
            let mut dump = String::new();
            for table in tables {
                let sql = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
                let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut database).await.unwrap();
                dump.extend(rows);
            }
            dump
        })
    }

    /// Ends connections to it whose last statement is like this; says how many there were.
    pub async fn end_connections(&self, like: &str) -> i64 {
        let mut admin = PgConnection::connect(self.admin.as_str()).await.unwrap();
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND query LIKE $2";
        sqlx::query_scalar(sql).bind(self.name()).bind(like).fetch_one(&mut admin).await.unwrap()
    }

    /// Lets nobody in and ends all connections, as a server that goes down; or lets everybody in again.
    pub async fn open(&self, open: bool) {
        let mut admin = PgConnection::connect(self.admin.as_str()).await.unwrap();
        let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open}", self.name());
        admin.execute(AssertSqlSafe(sql)).await.unwrap();
        if !open {
            self.end_connections("%").await;
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.run_as_admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name()));
        }
    }
}

/// Runs a future to its end from anywhere.
fn aside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    });
    thread.join().unwrap()
}

/// How a [`Way`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Traffic {
    Flows,
    /// Connections break, new ones are refused.
    Refused,
    /// Nothing comes through any more, and nobody says so.
    Silent,
}

/// A way to a server that can be cut: a proxy on a thread of its own.
pub struct Way {
    address: SocketAddr,
    traffic: watch::Sender<Traffic>,
    statements: Arc<AtomicU64>,
    // Its tasks end with it.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Way {
    /// To the server that this URL names.
    pub fn to(url: &Url) -> Self {
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (traffic, seen) = watch::channel(Traffic::Flows);
        let statements = Arc::new(AtomicU64::new(0));
        let _in_runtime = runtime.enter();
        let listener = TcpListener::from_std(listener).unwrap();
        runtime.spawn(accept(listener, target, seen, Arc::clone(&statements)));
        Self { address, traffic, statements, runtime: Some(runtime) }
    }

    /// The URL with this way in place of the server.
    pub fn through(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.set_ip_host(self.address.ip()).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url
    }

    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }

    /// How many statements have gone through to a PostgreSQL.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(
    listener: TcpListener,
    target: String,
    mut traffic: watch::Receiver<Traffic>,
    statements: Arc<AtomicU64>,
) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    loop {
        if *traffic.borrow_and_update() == Traffic::Refused {
            drop(listener.take());
            traffic.wait_for(|traffic| *traffic != Traffic::Refused).await.unwrap();
        }
        let listener = match &mut listener {
            Some(listener) => listener,
            none => none.insert(TcpListener::bind(address).await.unwrap()),
        };
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.unwrap();
                let (target, traffic, statements) = (target.clone(), traffic.clone(), Arc::clone(&statements));
                tokio::spawn(async move {
                    let mut flows = traffic.clone();
                    let mut refused = traffic.clone();
                    tokio::select! {
                        // Whoever connects in silence waits.
                        () = async {
                            flows.wait_for(|traffic| *traffic == Traffic::Flows).await.unwrap();
                            let Ok(server) = TcpStream::connect(target).await else { return };
                            let (from_client, to_client) = client.into_split();
                            let (from_server, to_server) = server.into_split();
                            tokio::select! {
                                () = pass(from_client, to_server, traffic.clone(), Some(&statements)) => {}
                                () = pass(from_server, to_client, traffic, None) => {}
                            }
                        } => {}
                        _ = refused.wait_for(|traffic| *traffic == Traffic::Refused) => {}
                    }
                });
            }
            changed = traffic.changed() => changed.unwrap(),
        }
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut traffic: watch::Receiver<Traffic>,
    statements: Option<&AtomicU64>,
) {
    let mut counted = Counted::default();
    let mut bytes = vec![0; 16 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
        traffic.wait_for(|traffic| *traffic == Traffic::Flows).await.unwrap();
        if let Some(statements) = statements {
            statements.fetch_add(counted.statements(&bytes[..count]), Ordering::Relaxed);
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Counts the statements in what a PostgreSQL client sends.
#[derive(Default)]
struct Counted {
    begun: bool,
    rest: Vec<u8>,
}

impl Counted {
    fn statements(&mut self, bytes: &[u8]) -> u64 {
        self.rest.extend(bytes);
        let mut count = 0;
        loop {
            // Messages have a letter and a length; those before the first login have the length alone.
            let lead = usize::from(self.begun);
            let Some(length) = self.rest.get(lead..lead + 4) else { return count };
            let end = lead + usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
            if self.rest.len() < end {
                return count;
            }
            let message: Vec<u8> = self.rest.drain(..end).collect();
            if self.begun {
                // Execute, or a simple query.
                count += u64::from(matches!(message[0], b'E' | b'Q'));
            } else {
                // Not the question for TLS, which the login follows.
                self.begun = message[4..8] != 80_877_103_u32.to_be_bytes();
            }
        }
    }
}

/// Asks until the answer is yes; says how long that took.
pub async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) -> Duration {
    let began = Instant::now();
    while !ask().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

/// How often each answer's status came.
pub fn statuses(statuses: impl IntoIterator<Item = u16>) -> HashMap<u16, usize> {
    statuses.into_iter().fold(HashMap::new(), |mut count, status| {
        *count.entry(status).or_default() += 1;
        count
    })
}

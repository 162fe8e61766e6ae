//! Connections of clients: accepted in one place, served by one thread a core. Each worker thread has its own
//! runtime and its own upstream connections, so that a request never crosses threads and takes no shared lock.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::admin::Admin;
use crate::data::answer::Body;
use crate::data::mirror::Copies;
use crate::data::pipeline::{self, Gateway};
use crate::data::upstream;
use crate::directory::Directory;
use crate::ledger::{Ledger, Writer};
use crate::live::Live;
use crate::meter::NamedMeters;
use crate::metrics::Metrics;
use crate::seen::{Notes, Seen, Values};
use crate::tags::{Violations, Watch};
use crate::tasks::{Stop, Tasks};
use crate::{call, cors};

/// A request's head must arrive within this time.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Files that are not connections of clients and to providers.
const FILES_KEPT: usize = 128;
/// Idle upstream connections are looked through this often.
const SWEEP: Duration = Duration::from_secs(15);

/// A worker thread, as the acceptor sees it.
struct Worker {
    inbox: mpsc::UnboundedSender<std::net::TcpStream>,
    /// Connections it serves now.
    load: Arc<AtomicUsize>,
}

/// What all workers share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) live: Arc<Live>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) ledger: Arc<Ledger>,
    /// What was used of the limits of tags.
    pub(crate) tag_meters: Arc<NamedMeters>,
    pub(crate) metrics: Arc<Metrics>,
    /// What breaks the vocabulary, and the tags that it counts.
    pub(crate) violations: Arc<Violations>,
    pub(crate) values: Arc<Values>,
    pub(crate) default_meters: Arc<NamedMeters>,
}

/// The worker threads.
pub(crate) struct Workers {
    all: Vec<Worker>,
    threads: Vec<std::thread::JoinHandle<usize>>,
}

impl Workers {
    /// Starts `count` threads. Each ends when `stop` asks, after at most `grace` for requests in progress.
    pub(crate) fn start(
        count: usize,
        common: &Common,
        admin: &Admin,
        stop: &Stop,
        grace: Duration,
    ) -> std::io::Result<Self> {
        let (mut all, mut threads) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (inbox, connections) = mpsc::unbounded_channel();
            let load = Arc::new(AtomicUsize::new(0));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let pool = Arc::new(upstream::Pool::default());
            let Common {
                live,
                directory,
                seen,
                ledger,
                tag_meters,
                default_meters,
                metrics,
                violations,
                values,
            } = common.clone();
            let watch = Watch::new(violations, values);
            let (seen, ledger) = (Notes::new(seen), Arc::new(Writer::new(ledger, number)));
            let meter = metrics.meter();
            let gateway = Gateway {
                live,
                directory,
                seen,
                watch,
                pool,
                ledger,
                tag_meters,
                default_meters,
                meter,
                copies: Copies::new(),
            };
            let (admin, stop, of) = (admin.clone(), stop.clone(), Arc::clone(&load));
            threads.push(
                std::thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(move || runtime.block_on(work(gateway, admin, connections, of, stop, grace)))?,
            );
            all.push(Worker { inbox, load });
        }
        Ok(Self { all, threads })
    }

    /// Gives a connection to the worker with the fewest.
    fn hand(&self, connection: std::net::TcpStream) {
        let idlest = self.all.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        if let Some(worker) = idlest {
            worker.load.fetch_add(1, Ordering::Relaxed);
            // A worker that has ended closes the connection.
            let _ = worker.inbox.send(connection);
        }
    }

    /// How many connections they serve.
    fn load(&self) -> usize {
        self.all.iter().map(|worker| worker.load.load(Ordering::Relaxed)).sum()
    }

    /// Waits for the threads to end; says how many connections had to be cut off.
    pub(crate) fn join(self) -> usize {
        self.threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    }
}

/// Listens on `address`.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = if address.is_ipv6() { socket2::Domain::IPV6 } else { socket2::Domain::IPV4 };
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until asked to stop.
pub(crate) async fn accept(listener: TcpListener, workers: &Workers, live: &Live, mut stop: Stop) {
    let room = Room::new(open_files());
    loop {
        let accepted = tokio::select! {
            () = stop.asked() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(connection, _)| {
            connection.set_nodelay(true)?;
            if !room.has(workers.load(), live) {
                turn_away(&connection);
                return Ok(None);
            }
            connection.into_std().map(Some)
        }) {
            Ok(connection) => connection.into_iter().for_each(|connection| workers.hand(connection)),
            Err(error) => {
                // Out of descriptors, mostly: pause, so that others can end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// How many connections there may be.
struct Room {
    /// Unless the configuration says it.
    default: usize,
}

impl Room {
    /// A client's request needs a connection to a provider as well, and the store and the journal some files: what
    /// clients had beyond would fail the requests of others.
    fn new(open_files: Option<usize>) -> Self {
        Self { default: open_files.map_or(usize::MAX, |files| (files.saturating_sub(FILES_KEPT) / 2).max(1)) }
    }

    fn has(&self, load: usize, live: &Live) -> bool {
        let given = live.current().snapshot.config.general.overload.connections;
        load < given.and_then(|most| usize::try_from(most).ok()).unwrap_or(self.default)
    }
}

/// How many files the process may have open, where Linux tells.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    files.split_whitespace().next()?.parse().ok()
}

/// Answers a connection that has no room, and closes it; waits for nothing.
fn turn_away(connection: &TcpStream) {
    const BODY: &str = r#"{"error":{"message":"Gateway at capacity: it has as many connections as it may. Retry later.","type":"overloaded_error","param":null,"code":"503","reason":"overload"}}"#;
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length";
    // A fresh socket takes so little at once; who does not wait for it loses nothing.
    let _ = connection.try_write(format!("{head}: {}\r\n\r\n{BODY}", BODY.len()).as_bytes());
    tracing::debug!("a connection too many was turned away");
}

async fn work(
    gateway: Gateway,
    admin: Admin,
    mut connections: mpsc::UnboundedReceiver<std::net::TcpStream>,
    load: Arc<AtomicUsize>,
    mut stop: Stop,
    grace: Duration,
) -> usize {
    let gateway = Arc::new(gateway);
    let pool = Arc::clone(&gateway.pool);
    let mut tasks = Tasks::new();
    tasks.spawn("sweep", |stop| sweep(pool, stop));
    loop {
        let connection = tokio::select! {
            () = stop.asked() => break,
            connection = connections.recv() => connection,
        };
        let Some(connection) = connection else { break };
        let Ok(connection) = TcpStream::from_std(connection) else { continue };
        let (gateway, admin, load) = (Arc::clone(&gateway), admin.clone(), Arc::clone(&load));
        tasks.spawn("connection", |stop| async move {
            serve(connection, gateway, admin, stop).await;
            load.fetch_sub(1, Ordering::Relaxed);
        });
    }
    tasks.stop_within(grace).await
}

async fn sweep(pool: Arc<upstream::Pool>, mut stop: Stop) {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            () = stop.asked() => return,
            _ = tick.tick() => pool.sweep(),
        }
    }
}

/// Serves one connection until its client or the gateway ends it.
async fn serve(connection: TcpStream, gateway: Arc<Gateway>, admin: Admin, mut stop: Stop) {
    let service = service_fn(move |request| {
        let (gateway, admin) = (Arc::clone(&gateway), admin.clone());
        async move { Ok::<_, Infallible>(answer(&gateway, admin, request).await) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(connection), service)
    );
    let mut asked = pin!(stop.asked());
    let mut stopping = false;
    let ended = std::future::poll_fn(|context| {
        if !stopping && asked.as_mut().poll(context).is_ready() {
            stopping = true;
            served.as_mut().graceful_shutdown();
        }
        served.as_mut().poll(context)
    });
    if let Err(error) = ended.await {
        // A client's doing, nearly always.
        tracing::debug!(%error, "a connection ended");
    }
}

async fn answer(gateway: &Gateway, admin: Admin, request: http::Request<Incoming>) -> http::Response<Body> {
    if let Some(response) = cors::preflight(&request) {
        return response.map(|text| Body::Whole(text.into()));
    }
    let from_a_page = cors::from_a_page(request.headers());
    let mut response = match call::recognise(request.uri().path()) {
        Some(route) if request.method() == http::Method::POST => {
            pipeline::serve(gateway, route, request).await
        }
        _ => admin.answer(request).await.map(Body::Admin),
    };
    if from_a_page {
        cors::allow(response.headers_mut());
    }
    response
}

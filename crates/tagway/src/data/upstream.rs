//! Connections to providers: opened, kept, reused and given up. Knows origins and bytes, nothing of models,
//! tags or who is calling.
//!
//! A connection is not a task of its own: whoever holds the [`Exchange`] drives it. A request therefore costs no
//! hand-over between tasks, and a client that leaves closes its upstream call by dropping it. Each worker thread
//! has its own pool, so no lock is ever contended.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tagway_core::snapshot::Origin;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stream::Stream;

/// A connection that nobody used for this long is closed: below the idle limits of the providers, which are
/// mostly a minute or more.
const IDLE: Duration = Duration::from_secs(50);
/// Idle connections kept for one origin by one worker.
const KEEP: usize = 512;
/// How long opening a connection, TLS included, may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A kept connection that fails within this time was closed before the request reached the provider.
const STALE: Duration = Duration::from_secs(1);

/// Why a provider gave no answer, or stopped in the middle of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// No connection could be opened.
    #[error("cannot connect to {origin}: {error}")]
    Connect { origin: Arc<str>, error: io::Error },
    /// The connection ended or spoke no HTTP.
    #[error("{origin} broke the connection: {error}")]
    Wire { origin: Arc<str>, error: hyper::Error },
}

type Driver = Pin<Box<Connection<TokioIo<Stream>, Full<Bytes>>>>;

/// One open connection.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended: dropping it fails what it still had to send.
    driver: Option<Driver>,
    used: Instant,
}

impl Line {
    /// Gives the connection a turn; `false` once it has ended.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        let open = self.driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_pending());
        if !open {
            self.driver = None;
        }
        open
    }
}

/// The idle connections of one worker.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<Arc<str>, Vec<Line>>>,
}

impl Pool {
    fn lines(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Vec<Line>>> {
        // A poisoned pool is still a list of connections.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last that is still open.
    fn take(&self, origin: &Origin) -> Option<Line> {
        loop {
            let mut line = self.lines().get_mut(&origin.key)?.pop()?;
            // The turn is what notices that the provider has closed it meanwhile.
            if line.used.elapsed() < IDLE
                && line.turn(&mut Context::from_waker(Waker::noop()))
                && line.sender.is_ready()
            {
                return Some(line);
            }
        }
    }

    fn put(&self, key: &Arc<str>, mut line: Line) {
        line.used = Instant::now();
        let mut lines = self.lines();
        match lines.get_mut(key) {
            Some(kept) if kept.len() < KEEP => kept.push(line),
            Some(_) => {}
            None => {
                lines.insert(Arc::clone(key), vec![line]);
            }
        }
    }

    /// Closes what has been idle for too long.
    pub(crate) fn sweep(&self) {
        self.lines().retain(|_, kept| {
            kept.retain(|line| line.used.elapsed() < IDLE);
            !kept.is_empty()
        });
    }
}

/// An answer in progress: its body, and the connection it comes over.
pub(crate) struct Exchange {
    body: Incoming,
    line: Option<Line>,
    origin: Arc<str>,
    pool: Arc<Pool>,
}

/// Sends a request and waits for the head of the answer.
///
/// `request` builds it; twice if a kept connection turns out to have been closed by the provider just then.
pub(crate) async fn send(
    pool: &Arc<Pool>,
    origin: &Origin,
    request: impl Fn() -> http::Request<Full<Bytes>>,
) -> Result<(http::response::Parts, Exchange), Broken> {
    let kept = pool.take(origin);
    let reused = kept.is_some();
    let mut line = match kept {
        Some(line) => line,
        None => connect(origin).await?,
    };
    let began = Instant::now();
    let mut sent = exchange(&mut line, request()).await;
    // Only a connection that was dead already fails at once; later the provider may have done the work.
    let stale = |error: &hyper::Error| {
        error.is_canceled() || (error.is_incomplete_message() && began.elapsed() < STALE)
    };
    if reused && sent.as_ref().is_err_and(stale) {
        line = connect(origin).await?;
        sent = exchange(&mut line, request()).await;
    }
    let response = sent.map_err(|error| Broken::Wire { origin: Arc::clone(&origin.key), error })?;
    let (parts, body) = response.into_parts();
    let exchange =
        Exchange { body, line: Some(line), origin: Arc::clone(&origin.key), pool: Arc::clone(pool) };
    Ok((parts, exchange))
}

async fn exchange(
    line: &mut Line,
    request: http::Request<Full<Bytes>>,
) -> Result<http::Response<Incoming>, hyper::Error> {
    let mut answer = pin!(line.sender.send_request(request));
    poll_fn(|context| {
        // The driver writes the request and reads the head; the answer is then there at once.
        if line.driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
            line.driver = None;
        }
        answer.as_mut().poll(context)
    })
    .await
}

async fn connect(origin: &Origin) -> Result<Line, Broken> {
    let failed = |error| Broken::Connect { origin: Arc::clone(&origin.key), error };
    let opened = tokio::time::timeout(CONNECT, open(origin)).await;
    let stream = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(failed)?;
    let (sender, driver) = Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Broken::Wire { origin: Arc::clone(&origin.key), error })?;
    Ok(Line { sender, driver: Some(Box::pin(driver)), used: Instant::now() })
}

async fn open(origin: &Origin) -> io::Result<Stream> {
    let tcp = TcpStream::connect((&*origin.host, origin.port)).await?;
    tcp.set_nodelay(true)?;
    if !origin.tls {
        return Ok(Stream::Plain(tcp));
    }
    let name = ServerName::try_from(origin.host.to_string()).map_err(io::Error::other)?;
    let tls = tls()?.connect(name, tcp).await?;
    Ok(Stream::Tls(Box::new(tls)))
}

/// TLS with the system's certificate authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), or Mozilla's
/// where the system has none. Made at first use, since many gateways speak to plain HTTP only.
fn tls() -> io::Result<TlsConnector> {
    static TLS: OnceLock<Result<TlsConnector, String>> = OnceLock::new();
    let made = TLS.get_or_init(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    });
    made.clone().map_err(io::Error::other)
}

impl Exchange {
    /// The next bytes of the body; `None` at its end, when the connection has gone back to the pool.
    pub(crate) fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let mut turned = false;
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    // Trailers: nothing a client of this API reads.
                    Err(_) => turned = false,
                },
                Poll::Ready(Some(Err(error))) => {
                    self.line = None;
                    return Poll::Ready(Some(Err(Broken::Wire { origin: Arc::clone(&self.origin), error })));
                }
                Poll::Ready(None) => {
                    self.give_back(context);
                    return Poll::Ready(None);
                }
                // Both have had their turn and wait for the provider.
                Poll::Pending if turned => return Poll::Pending,
                Poll::Pending => {
                    turned = true;
                    if self.line.as_mut().is_some_and(|line| !line.turn(context)) {
                        self.line = None;
                    }
                }
            }
        }
    }

    /// The next bytes of the body.
    pub(crate) async fn data(&mut self) -> Option<Result<Bytes, Broken>> {
        poll_fn(|context| self.poll_data(context)).await
    }

    fn give_back(&mut self, context: &mut Context<'_>) {
        let Some(mut line) = self.line.take() else { return };
        // One more turn lets the connection see that the message has ended.
        if (line.sender.is_ready() || line.turn(context)) && line.sender.is_ready() {
            self.pool.put(&self.origin, line);
        }
    }
}

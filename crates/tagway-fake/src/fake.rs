//! The handle tests hold: it starts a fake, tells what it saw, waits for what it will see, and ends it when
//! dropped. It knows nothing of HTTP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connection::{Stage, Witness, ending, serve};
use crate::fail;
use crate::openai::OpenAi;
use crate::record::{Counts, Record, Seen};
use crate::reply::Reply;
use crate::script::Script;

/// A test that waits longer waits for ever; it had better say for what.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running upstream. Dropping it closes its port and its connections.
pub struct Fake {
    addr: SocketAddr,
    stage: Arc<Stage>,
    tasks: JoinSet<()>,
}

impl Fake {
    /// Behaves like an OpenAI-compatible provider that says "Hello from fake".
    pub async fn start() -> Self {
        Self::run(OpenAi::default()).await
    }

    /// Behaves like an OpenAI-compatible provider that says "Hello from {name}".
    pub async fn named(name: &str) -> Self {
        Self::run(OpenAi::named(name)).await
    }

    /// Behaves like an OpenAI-compatible provider that says these deltas: as a stream if the request asks
    /// for one, else in one piece, so that a gateway that loses `stream` is found out. For a stream
    /// whatever was asked, script a [`Reply::chat`].
    pub async fn sse<S: Into<String>>(deltas: impl IntoIterator<Item = S>) -> Self {
        Self::run(OpenAi::default().says(deltas)).await
    }

    /// Always answers this.
    pub async fn reply(status: u16, body: &str) -> Self {
        Self::script([Reply::text(status, body)]).await
    }

    /// Answers one reply per request in order of arrival; the last repeats.
    pub async fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::run(Script::replies(replies)).await
    }

    /// Answers what the function makes of the request.
    pub async fn answer(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::run(Script::answer(answer)).await
    }

    /// Plays any script on a free port of 127.0.0.1. Ends the test if there is none.
    pub async fn run(script: impl Into<Script>) -> Self {
        match Self::begin(SocketAddr::from(([127, 0, 0, 1], 0)), script.into(), None, true).await {
            Ok(fake) => fake,
            Err(error) => fail(&format!("cannot listen on 127.0.0.1: {error}")),
        }
    }

    /// Plays a script on a given address and keeps no requests, which a long run could not afford; each is
    /// told to the witness once it was read.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn listen(
        addr: SocketAddr,
        script: impl Into<Script>,
        witness: impl Fn(&Seen) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::begin(addr, script.into(), Some(Box::new(witness)), false).await
    }

    async fn begin(
        addr: SocketAddr,
        script: Script,
        witness: Option<Witness>,
        keep: bool,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let record = Record::new(keep);
        let (gate, closing) = (Semaphore::new(0), watch::Sender::new(false));
        let stage = Arc::new(Stage { script, record, gate, witness, closing });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&stage)));
        Ok(Self { addr, stage, tasks })
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every count at one moment.
    pub fn counts(&self) -> Counts {
        self.stage.record.counts()
    }

    /// Requests whose head was read in full.
    pub fn hits(&self) -> usize {
        self.counts().hits
    }

    /// TCP connections accepted.
    pub fn connections(&self) -> usize {
        self.counts().connections
    }

    /// Replies during which the client closed its connection (or its sending half).
    pub fn aborted(&self) -> usize {
        self.counts().aborted
    }

    /// The requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.stage.record.all()
    }

    /// The last request. Ends the test if there was none.
    #[track_caller]
    pub fn last(&self) -> Seen {
        match self.stage.record.last() {
            Some(seen) => seen,
            None => fail("no request has come"),
        }
    }

    /// What came that is not HTTP/1.1 as it should be; such requests are answered 400. Tests of a gateway
    /// should find it empty.
    pub fn malformed(&self) -> Vec<String> {
        self.stage.record.refusals()
    }

    /// Lets one held reply go on: one that waits now, or the next to come to the gate.
    pub fn release(&self) {
        self.stage.gate.add_permits(1);
    }

    /// Lets every held reply go on, now and from now on.
    pub fn release_all(&self) {
        self.stage.gate.close();
    }

    /// Waits until `n` requests have arrived (their heads: see [`Fake::until_read`]).
    pub async fn until_hits(&self, n: usize) {
        self.until(&format!("{n} hits"), |counts| n <= counts.hits).await;
    }

    /// Waits until `n` requests have been read with their bodies.
    pub async fn until_read(&self, n: usize) {
        self.until(&format!("{n} requests read"), |counts| n <= counts.read).await;
    }

    /// Waits until `n` replies are held at the gate at once.
    pub async fn until_held(&self, n: usize) {
        self.until(&format!("{n} replies held"), |counts| n <= counts.held).await;
    }

    /// Waits until `n` replies have been carried out to their last step.
    pub async fn until_finished(&self, n: usize) {
        self.until(&format!("{n} replies finished"), |counts| n <= counts.finished).await;
    }

    /// Waits until a client has closed its connection while a reply was in progress.
    pub async fn until_client_left(&self) {
        self.until_aborted(1).await;
    }

    /// Waits until that has happened `n` times.
    pub async fn until_aborted(&self, n: usize) {
        self.until(&format!("{n} clients gone"), |counts| n <= counts.aborted).await;
    }

    /// Waits for any state of the counts. Ends the test after 30 seconds.
    pub async fn until(&self, what: &str, mut reached: impl FnMut(&Counts) -> bool) {
        let mut counts = self.stage.record.watch();
        let waited = timeout(PATIENCE, counts.wait_for(|counts| reached(counts))).await;
        if !matches!(waited, Ok(Ok(_))) {
            fail(&format!("waited in vain for {what}: {:?}", self.counts()));
        }
    }

    /// Accepts nothing more, lets replies in progress end within `grace`, then stops.
    pub async fn finish(mut self, grace: Duration) {
        self.stage.closing.send_replace(true);
        // Past the grace, dropping `self` ends what is left.
        drop(timeout(grace, self.tasks.join_next()).await);
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake")
            .field("addr", &self.addr)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// Owns the connections: ended itself, it ends them.
async fn accept(listener: TcpListener, stage: Arc<Stage>) {
    let mut connections = JoinSet::new();
    let mut closing = stage.closing.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    stage.record.count(|counts| counts.connections += 1);
                    connections.spawn(serve(stream, Arc::clone(&stage)));
                }
                // Out of file descriptors, most likely: trying again at once would only burn a core.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = ending(&mut closing) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

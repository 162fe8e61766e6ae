//! Budgets that several gateways share, in Valkey: a request holds parts of all of its budgets or of none, decided
//! there in one step. What a gateway holds lives as long as the gateway is heard of, so that one that dies leaves
//! nothing behind. The store knows what was spent for good; here it is only known sooner.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};
use tagway_core::money::Nanos;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::receipt::Payer;
use crate::tasks::Stop;
use crate::valkey::{LONGEST_PAUSE, PAUSE, Server};

static RESERVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reserve.lua")));
static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settle.lua")));
static RAISE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("raise.lua")));
static RESET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reset.lua")));

/// A request waits for Valkey no longer than this.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a gateway with nothing to say shows that it lives …
const HEARTBEAT: Duration = Duration::from_secs(3);
/// … and how long after its last word it counts as gone, and what it held with it.
const GONE_AFTER: Duration = Duration::from_secs(12);
/// As many words wait for Valkey; more are told to the store alone, which Valkey follows.
const MOST_WAITING: usize = 65_536;
/// As many go in one piece.
const BATCH: usize = 256;

/// Valkey cannot be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

/// A part of a budget that a request wants to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) payer: Payer,
    pub(super) id: &'a str,
    /// The most that may be spent; anything when absent.
    pub(super) most: Option<Nanos>,
    /// Whether the hold itself must fit.
    pub(super) strict: bool,
    pub(super) hold: Nanos,
}

/// What became of a wish to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Granted {
    /// All of it is held.
    All,
    /// This one of the budgets does not let the request in.
    Spent {
        which: usize,
        spent: Nanos,
        /// What was spent, and is held by requests in progress.
        used: Nanos,
    },
    /// One of the budgets is not known there: [`Shared::raise`] tells what the store knows of each.
    Unknown,
}

/// The end of a hold.
#[derive(Debug, Clone)]
pub(super) struct Paid {
    pub(super) payer: Payer,
    pub(super) id: Box<str>,
    pub(super) held: Nanos,
    /// Until when the cost counts.
    pub(super) until: i64,
    pub(super) cost: Nanos,
}

/// Amounts by the time they count until.
pub(super) type Amounts = Vec<(i64, Nanos)>;

/// What Valkey is told.
pub(super) enum Word {
    /// Costs take the place of holds.
    Paid(Vec<Paid>),
    /// What the store knows to be spent, which may be more than Valkey knows: amounts by the time they count until.
    Raise(Payer, Box<str>, Amounts),
    /// What an admin says was spent.
    Reset(Payer, Box<str>, Amounts),
    /// A request has left while it was not known yet whether it holds this.
    Left(Asking, Vec<Paid>),
}

type Asking = Pin<Box<dyn Future<Output = Result<Granted, Lost>> + Send>>;

/// A connection, and the name this gateway goes by on it: what it held under an earlier one is given up.
struct Line {
    connection: MultiplexedConnection,
    name: Arc<str>,
}

/// The way to the shared budgets.
pub(crate) struct Shared {
    /// Before the names of all keys; in braces, so that a cluster keeps them together.
    prefix: Box<str>,
    line: ArcSwapOption<Line>,
    words: mpsc::Sender<Word>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A wish to hold, until Valkey has answered. Dropped before, what it turns out to hold is given back.
pub(super) struct Wish {
    shared: Arc<Shared>,
    asking: Option<Asking>,
    /// What is to be given back.
    holds: Vec<Paid>,
}

impl Future for Wish {
    type Output = Result<Granted, Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(asking) = &mut self.asking else { return Poll::Ready(Err(Lost)) };
        let answer = asking.as_mut().poll(context);
        if answer.is_ready() {
            self.asking = None;
        }
        answer
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        if let Some(asking) = self.asking.take() {
            self.shared.say(Word::Left(asking, std::mem::take(&mut self.holds)));
        }
    }
}

impl Shared {
    /// The budgets of all gateways on the store with this identity, and what [`attend`] listens to.
    pub(crate) fn new(store: &str) -> (Arc<Self>, Words) {
        let (words, inbox) = mpsc::channel(MOST_WAITING);
        let prefix = format!("tagway:{{{store}}}:").into();
        (Arc::new(Self { prefix, line: ArcSwapOption::empty(), words }), Words(inbox))
    }

    fn gateways(&self) -> String {
        format!("{}gateways", self.prefix)
    }

    fn key(&self, payer: Payer, id: &str) -> String {
        format!("{}spend:{}:{id}", self.prefix, payer.as_str())
    }

    /// Lets a request hold parts of all of these budgets, or of none.
    pub(super) fn reserve(self: &Arc<Self>, asks: &[Ask<'_>]) -> Wish {
        let holds = asks.iter().map(|ask| Paid {
            payer: ask.payer,
            id: ask.id.into(),
            held: ask.hold,
            until: crate::receipt::NEVER,
            cost: Nanos::ZERO,
        });
        let asking = self.line.load_full().map(|line| self.asking(&line, asks));
        Wish { shared: Arc::clone(self), asking, holds: holds.collect() }
    }

    fn asking(self: &Arc<Self>, line: &Line, asks: &[Ask<'_>]) -> Asking {
        let mut invocation = RESERVE.key(self.gateways());
        invocation.arg(&*line.name).arg(GONE_AFTER.as_millis() as u64);
        for Ask { payer, id, most, strict, hold } in asks {
            invocation.key(self.key(*payer, id));
            invocation.arg(most.map_or(-1, |most| most.0)).arg(u8::from(*strict)).arg(hold.0);
        }
        let (shared, mut connection) = (Arc::clone(self), line.connection.clone());
        Box::pin(async move {
            let asked = tokio::time::timeout(PATIENCE, invocation.invoke_async(&mut connection)).await;
            let answer: Vec<i64> = match asked {
                Ok(Ok(answer)) => answer,
                failed => {
                    if let Ok(Err(error)) = failed {
                        tracing::debug!(%error, "Valkey fails");
                    }
                    // Whether something is held is not known: it ends with this connection's name.
                    shared.line.store(None);
                    return Err(Lost);
                }
            };
            Ok(match *answer.as_slice() {
                [0, ..] => Granted::All,
                [which, spent, used] if 0 < which => Granted::Spent {
                    which: usize::try_from(which - 1).unwrap_or(0),
                    spent: Nanos(spent),
                    used: Nanos(used),
                },
                _ => Granted::Unknown,
            })
        })
    }

    /// Tells Valkey something, soon.
    pub(super) fn say(&self, word: Word) {
        // When too much waits already, the store tells Valkey later, and the holds end with the connection's name.
        if self.words.try_send(word).is_err() {
            self.line.store(None);
        }
    }

    /// Takes over what the store knows to be spent, where that is more than Valkey knows.
    ///
    /// # Errors
    /// Valkey cannot be asked.
    pub(super) async fn raise(&self, payer: Payer, id: &str, known: &[(i64, Nanos)]) -> Result<(), Lost> {
        let line = self.line.load_full().ok_or(Lost)?;
        let mut connection = line.connection.clone();
        let invocation = amounts(&RAISE, self.key(payer, id), known);
        match tokio::time::timeout(PATIENCE, invocation.invoke_async(&mut connection)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Lost),
        }
    }

    async fn tell(
        self: &Arc<Self>,
        line: &Line,
        batch: Vec<Word>,
        left: &mut JoinSet<Vec<Paid>>,
    ) -> RedisResult<()> {
        let mut connection = line.connection.clone();
        let mut pipeline = redis::pipe();
        let mut none = true;
        for word in batch {
            let invocation = match word {
                Word::Paid(paid) => {
                    let mut invocation = SETTLE.prepare_invoke();
                    invocation.arg(&*line.name);
                    for Paid { payer, id, held, until, cost } in paid {
                        invocation.key(self.key(payer, &id));
                        invocation.arg(held.0.max(0)).arg(until).arg(cost.0.max(0));
                    }
                    invocation
                }
                Word::Raise(payer, id, known) => amounts(&RAISE, self.key(payer, &id), &known),
                Word::Reset(payer, id, known) => amounts(&RESET, self.key(payer, &id), &known),
                Word::Left(asking, holds) => {
                    left.spawn(
                        async move { if asking.await == Ok(Granted::All) { holds } else { Vec::new() } },
                    );
                    continue;
                }
            };
            none = false;
            pipeline.invoke_script(&invocation).ignore();
        }
        if none { Ok(()) } else { pipeline.exec_async(&mut connection).await }
    }

    /// Serves one connection until it ends, which is an error.
    async fn serve(
        self: &Arc<Self>,
        server: &Server,
        Words(inbox): &mut Words,
        came: impl FnOnce(),
    ) -> RedisResult<()> {
        let mut connection = server.connect(None).await?;
        for script in [&RESERVE, &SETTLE, &RAISE, &RESET] {
            script.load_async(&mut connection).await?;
        }
        let name = format!("{:032x}", fastrand::u128(..)).into();
        let line = Arc::new(Line { connection: connection.clone(), name });
        self.line.store(Some(Arc::clone(&line)));
        came();
        let mut batch = Vec::with_capacity(BATCH);
        let mut left: JoinSet<Vec<Paid>> = JoinSet::new();
        loop {
            let beat = tokio::select! {
                count = inbox.recv_many(&mut batch, BATCH) => count == 0,
                Some(holds) = left.join_next() => {
                    batch.extend(holds.ok().filter(|holds: &Vec<_>| !holds.is_empty()).map(Word::Paid));
                    false
                }
                () = tokio::time::sleep(HEARTBEAT) => true,
            };
            // Somebody does not know whether Valkey took its word: another name makes an end of that.
            if self.line.load().is_none() {
                return Err((redis::ErrorKind::Io, "an answer did not come in time").into());
            }
            if beat {
                // Asking for nothing shows that this gateway lives.
                let mut heartbeat = RESERVE.key(self.gateways());
                heartbeat.arg(&*line.name).arg(GONE_AFTER.as_millis() as u64);
                let _: Vec<i64> = heartbeat.invoke_async(&mut connection).await?;
            } else {
                self.tell(&line, std::mem::take(&mut batch), &mut left).await?;
            }
        }
    }
}

/// A script about amounts by the time they count until.
fn amounts<'s>(script: &'s Script, key: String, known: &[(i64, Nanos)]) -> redis::ScriptInvocation<'s> {
    let mut invocation = script.key(key);
    for (until, amount) in known {
        invocation.arg(until).arg(amount.0);
    }
    if known.is_empty() {
        invocation.arg(crate::receipt::NEVER).arg(0);
    }
    invocation
}

/// What Valkey is to be told.
pub(crate) struct Words(mpsc::Receiver<Word>);

/// Keeps the way to Valkey open until asked to stop. Without it every gateway enforces budgets by what it knows.
pub(crate) async fn attend(shared: Arc<Shared>, server: Server, mut inbox: Words, mut stop: Stop) {
    let mut pause = PAUSE;
    let mut told = false;
    loop {
        let mut came = false;
        let serving = shared.serve(&server, &mut inbox, || {
            came = true;
            tracing::info!("Valkey answers: budgets are shared with the other gateways");
        });
        let ended = tokio::select! {
            () = stop.asked() => return,
            ended = serving => ended,
        };
        shared.line.store(None);
        if came {
            (pause, told) = (PAUSE, false);
        }
        if let Err(error) = ended
            && !told
        {
            told = true;
            tracing::warn!(%error, "Valkey cannot be reached: budgets hold by what each gateway knows");
        }
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use tagway_core::config::{Valkey, ValkeyServer};
    use tagway_core::secret::Secret;

    use super::*;
    use crate::receipt::NEVER;
    use crate::tasks::Tasks;

    /// A way to the Valkey of scripts/test for budgets of one's own.
    async fn way(store: &str, tasks: &mut Tasks) -> Arc<Shared> {
        let url = std::env::var("TAGWAY_TEST_VALKEY_URL").expect("scripts/test sets it");
        let (shared, inbox) = Shared::new(store);
        let server = Server::new(&at(url), store).unwrap();
        tasks.spawn("valkey", |stop| attend(Arc::clone(&shared), server, inbox, stop));
        until(|| async { shared.line.load().is_some() }).await;
        shared
    }

    fn at(url: String) -> Valkey {
        Valkey::new(ValkeyServer::Url(Secret::new(url)))
    }

    async fn until<F: Future<Output = bool>>(is: impl Fn() -> F) {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !is().await {
            assert!(std::time::Instant::now() < deadline, "not within 10 seconds");
            tokio::task::yield_now().await;
        }
    }

    fn store() -> String {
        format!("test-{:032x}", fastrand::u128(..))
    }

    fn ask(most: i64, strict: bool, hold: i64) -> Ask<'static> {
        Ask { payer: Payer::Tag, id: "eng", most: Some(Nanos(most)), strict, hold: Nanos(hold) }
    }

    fn paid(held: i64, cost: i64) -> Vec<Paid> {
        let (held, cost) = (Nanos(held), Nanos(cost));
        vec![Paid { payer: Payer::Tag, id: "eng".into(), held, until: NEVER, cost }]
    }

    #[tokio::test]
    async fn two_gateways_let_in_no_more_than_a_budget_holds() {
        for (strict, expected) in [(false, 10), (true, 10)] {
            let (mut tasks, store) = (Tasks::new(), store());
            let gateways = [way(&store, &mut tasks).await, way(&store, &mut tasks).await];
            gateways[0].raise(Payer::Tag, "eng", &[]).await.unwrap();
            let mut let_in = 0;
            for n in 0..200 {
                match gateways[n % 2].reserve(&[ask(100, strict, 10)]).await.unwrap() {
                    Granted::All => let_in += 1,
                    other => {
                        assert_eq!(other, Granted::Spent { which: 0, spent: Nanos(0), used: Nanos(100) })
                    }
                }
            }
            assert_eq!(let_in, expected);
            tasks.stop_within(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test]
    async fn a_budget_nobody_told_of_is_unknown_and_then_as_spent_as_the_store_says() {
        let (mut tasks, store) = (Tasks::new(), store());
        let way = way(&store, &mut tasks).await;
        assert_eq!(way.reserve(&[ask(100, false, 1)]).await, Ok(Granted::Unknown));
        way.raise(Payer::Tag, "eng", &[(NEVER, Nanos(100))]).await.unwrap();
        let spent = Granted::Spent { which: 0, spent: Nanos(100), used: Nanos(100) };
        assert_eq!(way.reserve(&[ask(100, false, 1)]).await, Ok(spent));
        way.raise(Payer::Tag, "eng", &[(NEVER, Nanos(50))]).await.unwrap();
        assert_eq!(way.reserve(&[ask(101, true, 1)]).await, Ok(Granted::All));
        way.say(Word::Reset(Payer::Tag, "eng".into(), Vec::new()));
        until(|| async { way.reserve(&[ask(2, true, 1)]).await == Ok(Granted::All) }).await;
        tasks.stop_within(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn costs_take_the_place_of_holds() {
        let (mut tasks, store) = (Tasks::new(), store());
        let way = way(&store, &mut tasks).await;
        way.raise(Payer::Tag, "eng", &[]).await.unwrap();
        assert_eq!(way.reserve(&[ask(10, true, 10)]).await, Ok(Granted::All));
        assert!(matches!(way.reserve(&[ask(10, true, 1)]).await, Ok(Granted::Spent { .. })));
        way.say(Word::Paid(paid(10, 9)));
        until(|| async { way.reserve(&[ask(10, true, 1)]).await == Ok(Granted::All) }).await;
        let spent = Granted::Spent { which: 0, spent: Nanos(9), used: Nanos(10) };
        assert_eq!(way.reserve(&[ask(10, true, 1)]).await, Ok(spent));
        tasks.stop_within(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn who_leaves_before_the_answer_holds_nothing() {
        let (mut tasks, store) = (Tasks::new(), store());
        let way = way(&store, &mut tasks).await;
        way.raise(Payer::Tag, "eng", &[]).await.unwrap();
        for _ in 0..50 {
            let mut wish = Box::pin(way.reserve(&[ask(10, true, 10)]));
            // Asked, and gone before the answer.
            assert!(
                std::future::poll_fn(|context| Poll::Ready(wish.as_mut().poll(context))).await.is_pending()
            );
        }
        until(|| async { way.reserve(&[ask(10, true, 10)]).await == Ok(Granted::All) }).await;
        tasks.stop_within(Duration::from_secs(1)).await;
    }
}

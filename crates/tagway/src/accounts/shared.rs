//! Budgets that several gateways share, in Valkey: a request holds parts of all of its budgets or of none, decided
//! there in one step. What a gateway holds lives as long as the gateway is heard of, so that one that dies leaves
//! nothing behind. The store knows what was spent for good; here it is only known sooner.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, Script};
use tagway_core::money::Nanos;
use tokio::sync::mpsc;

use crate::receipt::Payer;
use crate::tasks::Stop;
use crate::valkey::{LONGEST_PAUSE, PAUSE};

static RESERVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reserve.lua")));
static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settle.lua")));
static RAISE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("raise.lua")));

/// A request waits for Valkey no longer than this.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a gateway with nothing to say shows that it lives …
const HEARTBEAT: Duration = Duration::from_secs(3);
/// … and how long after its last word it counts as gone, and what it held with it.
const GONE_AFTER: Duration = Duration::from_secs(12);
/// As many settlements wait for Valkey; more are told to the store alone, which Valkey follows.
const MOST_WAITING: usize = 65_536;
/// As many settlements go in one piece.
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
    Spent { which: usize, spent: Nanos },
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

/// A connection, and the name this gateway goes by on it: what it held under an earlier one is given up.
#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    name: Arc<str>,
}

/// The way to the shared budgets.
pub(super) struct Shared {
    /// Before the names of all keys; in braces, so that a cluster keeps them together.
    prefix: Box<str>,
    line: ArcSwapOption<Line>,
    paid: mpsc::Sender<Vec<Paid>>,
}

impl Shared {
    /// The budgets of all gateways on the store with this identity, and what [`attend`] listens to.
    pub(super) fn new(store: &str) -> (Self, mpsc::Receiver<Vec<Paid>>) {
        let (paid, inbox) = mpsc::channel(MOST_WAITING);
        let prefix = format!("tagway:{{{store}}}:").into();
        (Self { prefix, line: ArcSwapOption::empty(), paid }, inbox)
    }

    fn gateways(&self) -> String {
        format!("{}gateways", self.prefix)
    }

    fn key(&self, payer: Payer, id: &str) -> String {
        format!("{}spend:{}:{id}", self.prefix, payer.as_str())
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        invocation: &redis::ScriptInvocation<'_>,
    ) -> Result<T, Lost> {
        let line = self.line.load_full().ok_or(Lost)?;
        let mut connection = line.connection.clone();
        match tokio::time::timeout(PATIENCE, invocation.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            failed => {
                if let Ok(Err(error)) = failed {
                    tracing::debug!(%error, "Valkey fails");
                }
                self.line.store(None);
                Err(Lost)
            }
        }
    }

    /// Lets a request hold parts of all of these budgets, or of none.
    ///
    /// # Errors
    /// Valkey cannot be asked: whether something is held there is not known, and ends with this connection.
    pub(super) async fn reserve(&self, asks: &[Ask<'_>]) -> Result<Granted, Lost> {
        let line = self.line.load_full().ok_or(Lost)?;
        let mut invocation = RESERVE.key(self.gateways());
        invocation.arg(&*line.name).arg(GONE_AFTER.as_millis() as u64);
        for Ask { payer, id, most, strict, hold } in asks {
            invocation.key(self.key(*payer, id));
            invocation.arg(most.map_or(-1, |most| most.0)).arg(u8::from(*strict)).arg(hold.0);
        }
        let answer: Vec<i64> = self.ask(&invocation).await?;
        Ok(match *answer.as_slice() {
            [0, ..] => Granted::All,
            [which, spent] if 0 < which => {
                Granted::Spent { which: usize::try_from(which - 1).unwrap_or(0), spent: Nanos(spent) }
            }
            _ => Granted::Unknown,
        })
    }

    /// Puts costs in place of what was held, soon.
    pub(super) fn settle(&self, paid: Vec<Paid>) {
        // When too much waits already, the store tells Valkey later, and the holds end with the connection's name.
        if !paid.is_empty() && self.paid.try_send(paid).is_err() {
            self.line.store(None);
        }
    }

    /// Takes over what the store knows to be spent, where that is more: amounts by the time they count until.
    ///
    /// # Errors
    /// Valkey cannot be asked.
    pub(super) async fn raise(&self, payer: Payer, id: &str, known: &[(i64, Nanos)]) -> Result<(), Lost> {
        let mut invocation = RAISE.key(self.key(payer, id));
        for (until, amount) in known {
            invocation.arg(until).arg(amount.0);
        }
        if known.is_empty() {
            invocation.arg(crate::receipt::NEVER).arg(0);
        }
        self.ask(&invocation).await
    }

    /// Forgets what was spent: the store says anew.
    ///
    /// # Errors
    /// Valkey cannot be asked.
    pub(super) async fn forget(&self, payer: Payer, id: &str) -> Result<(), Lost> {
        let line = self.line.load_full().ok_or(Lost)?;
        let mut connection = line.connection.clone();
        let mut command = redis::cmd("DEL");
        command.arg(self.key(payer, id));
        match tokio::time::timeout(PATIENCE, command.exec_async(&mut connection)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Lost),
        }
    }

    async fn tell(&self, line: &Line, batch: &[Vec<Paid>]) -> RedisResult<()> {
        let mut connection = line.connection.clone();
        let mut pipeline = redis::pipe();
        for paid in batch {
            let mut invocation = SETTLE.prepare_invoke();
            invocation.arg(&*line.name);
            for Paid { payer, id, held, until, cost } in paid {
                invocation.key(self.key(*payer, id)).arg(held.0.max(0)).arg(until).arg(cost.0.max(0));
            }
            pipeline.invoke_script(&invocation).ignore();
        }
        pipeline.exec_async(&mut connection).await
    }

    /// Serves one connection until it ends, which is an error.
    async fn serve(
        &self,
        client: &Client,
        inbox: &mut mpsc::Receiver<Vec<Paid>>,
        came: impl FnOnce(),
    ) -> RedisResult<()> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(crate::valkey::PATIENCE))
            .set_response_timeout(Some(crate::valkey::PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        SETTLE.load_async(&mut connection).await?;
        let name = format!("{:032x}", fastrand::u128(..)).into();
        let line = Arc::new(Line { connection: connection.clone(), name });
        self.line.store(Some(Arc::clone(&line)));
        came();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let beat = tokio::select! {
                count = inbox.recv_many(&mut batch, BATCH) => count == 0,
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
                self.tell(&line, &batch).await?;
                batch.clear();
            }
        }
    }
}

/// Keeps the way to Valkey open until asked to stop. Without it every gateway enforces budgets by what it knows.
pub(super) async fn attend(
    shared: Arc<Shared>,
    client: Client,
    mut inbox: mpsc::Receiver<Vec<Paid>>,
    mut stop: Stop,
) {
    let mut pause = PAUSE;
    let mut told = false;
    loop {
        let mut came = false;
        let serving = shared.serve(&client, &mut inbox, || {
            came = true;
            if told {
                tracing::info!("Valkey answers again: budgets are shared with the other gateways");
            }
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
    use super::*;
    use crate::receipt::NEVER;
    use crate::tasks::Tasks;

    /// A way to the Valkey of scripts/test for budgets of one's own.
    async fn way(store: &str, tasks: &mut Tasks) -> Arc<Shared> {
        let url = std::env::var("TAGWAY_TEST_VALKEY_URL").expect("scripts/test sets it");
        let (shared, inbox) = Shared::new(store);
        let shared = Arc::new(shared);
        let client = Client::open(url).unwrap();
        tasks.spawn("valkey", |stop| attend(Arc::clone(&shared), client, inbox, stop));
        until(|| async { shared.line.load().is_some() }).await;
        shared
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
                    other => assert_eq!(other, Granted::Spent { which: 0, spent: Nanos(0) }),
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
        let spent = Granted::Spent { which: 0, spent: Nanos(100) };
        assert_eq!(way.reserve(&[ask(100, false, 1)]).await, Ok(spent));
        way.raise(Payer::Tag, "eng", &[(NEVER, Nanos(50))]).await.unwrap();
        assert_eq!(way.reserve(&[ask(101, true, 1)]).await, Ok(Granted::All));
        way.forget(Payer::Tag, "eng").await.unwrap();
        assert_eq!(way.reserve(&[ask(100, false, 1)]).await, Ok(Granted::Unknown));
        tasks.stop_within(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn costs_take_the_place_of_holds() {
        let (mut tasks, store) = (Tasks::new(), store());
        let way = way(&store, &mut tasks).await;
        way.raise(Payer::Tag, "eng", &[]).await.unwrap();
        assert_eq!(way.reserve(&[ask(10, true, 10)]).await, Ok(Granted::All));
        assert!(matches!(way.reserve(&[ask(10, true, 1)]).await, Ok(Granted::Spent { .. })));
        way.settle(paid(10, 9));
        until(|| async { way.reserve(&[ask(10, true, 1)]).await == Ok(Granted::All) }).await;
        let spent = Granted::Spent { which: 0, spent: Nanos(9) };
        assert_eq!(way.reserve(&[ask(10, true, 1)]).await, Ok(spent));
        tasks.stop_within(Duration::from_secs(1)).await;
    }
}

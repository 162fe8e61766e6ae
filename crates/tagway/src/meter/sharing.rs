//! How gateways share limits: one conversation with Valkey, turn by turn. Whatever requests ask for while a turn is
//! under way is asked for in the next, all at once. Nothing is counted by differences but what was used, so that a lost
//! answer leaves nothing wrong; what a gateway has in progress lives as long as the gateway is heard of.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisResult, Script};
use smallvec::SmallVec;
use tagway_core::config::Rates;
use tagway_core::limits::{SLOTS, Window};
use tokio::sync::{mpsc, oneshot};

use super::part::{Known, Part, Question};
use super::{Lost, Meter, micros};
use crate::tasks::Stop;
use crate::valkey::Server;

pub(super) static SHARE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("share.lua")));

/// An answer is waited for no longer than this.
const PATIENCE: Duration = Duration::from_millis(500);
/// What nobody waits for is told within this time.
const SOON: Duration = Duration::from_millis(10);
/// How often a gateway with nothing to say shows that it lives …
const HEARTBEAT: Duration = Duration::from_secs(3);
/// … and how long after its last word it counts as gone, and what it had in progress with it.
const GONE_AFTER: Duration = Duration::from_secs(12);
/// Pauses between tries to reach Valkey.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// As many words, and as many meters, are in one turn.
const MOST_WORDS: usize = 64;
const MOST_METERS: usize = 256;
/// As many meters wait for a Valkey that is away; what others owe is told if they are used again.
const MOST_UNTOLD: usize = 100_000;
/// Numbers of an answer: what comes first, and for each meter.
const HEAD: usize = 1;
const EACH: usize = 1 + 2 * (1 + SLOTS) + 2;

/// Meters with the limits that hold for them.
pub(super) type Asked = SmallVec<[(Arc<Meter>, Rates); 2]>;

/// What is to be said of meters.
pub(crate) struct Word {
    about: Asked,
    /// Who waits for the answer.
    done: Option<oneshot::Sender<()>>,
    /// It shall not wait for others.
    now: bool,
}

/// What gateways share limits by.
pub(crate) struct Sharing {
    /// Before the names of all keys; in braces, so that a cluster keeps them together.
    prefix: Box<str>,
    lost: AtomicBool,
    /// How many gateways there are, as far as was heard.
    gateways: AtomicU64,
    /// Without Valkey requests with limits are refused.
    fail_closed: AtomicBool,
    words: mpsc::UnboundedSender<Word>,
}

impl std::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sharing").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What [`converse`] listens to.
pub(crate) struct Words(mpsc::UnboundedReceiver<Word>);

impl Sharing {
    /// The limits of all gateways on the store with this identity.
    pub(crate) fn new(store: &str) -> (Arc<Self>, Words) {
        let (words, inbox) = mpsc::unbounded_channel();
        let sharing = Self {
            prefix: format!("tagway:{{{store}}}:").into(),
            lost: AtomicBool::new(true),
            gateways: AtomicU64::new(1),
            fail_closed: AtomicBool::new(false),
            words,
        };
        (Arc::new(sharing), Words(inbox))
    }

    /// Whether Valkey cannot be asked.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// As if Valkey were lost, or came back.
    #[cfg(test)]
    pub(super) fn lose(&self, lost: bool) {
        self.lost.store(lost, Ordering::Release);
    }

    /// Whether limits cannot be checked, and nobody is to get in then.
    pub(crate) fn refuses(&self) -> bool {
        self.fail_closed.load(Ordering::Relaxed)
    }

    /// How many gateways share the limits, as far as was heard: at least this one.
    pub(crate) fn gateways(&self) -> u64 {
        self.gateways.load(Ordering::Relaxed).max(1)
    }

    /// Asks how these meters are.
    ///
    /// # Errors
    /// Valkey cannot be asked.
    pub(super) async fn ask(&self, about: Asked) -> Result<(), Lost> {
        let (done, answer) = oneshot::channel();
        self.words.send(Word { about, done: Some(done), now: true }).map_err(|_| Lost)?;
        match tokio::time::timeout(2 * PATIENCE, answer).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Lost),
        }
    }

    /// There is something to tell of this meter, or to hear.
    pub(super) fn tell(&self, meter: &Arc<Meter>, part: &Part, rates: Rates, now: bool) {
        if !part.listed.swap(true, Ordering::AcqRel) {
            let about = SmallVec::from_iter([(Arc::clone(meter), rates)]);
            // Nobody listens any more when the gateway ends.
            let _ = self.words.send(Word { about, done: None, now });
        }
    }
}

/// The conversation, on whatever connection.
struct Conversation {
    sharing: Arc<Sharing>,
    gateway: String,
    /// Those with something to tell.
    about: HashMap<usize, (Arc<Meter>, Rates)>,
    /// Those under which requests are in progress.
    places: HashMap<usize, (Arc<Meter>, Rates)>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Conversation {
    fn take(&mut self, word: Word) {
        for (meter, rates) in word.about {
            let key = Arc::as_ptr(&meter).addr();
            if self.about.len() < MOST_UNTOLD || self.about.contains_key(&key) {
                self.about.insert(key, (meter, rates));
            } else if let Some(part) = meter.part() {
                part.listed.store(false, Ordering::Release);
            }
        }
        self.waiting.extend(word.done);
    }

    /// One turn: tells and asks what there is.
    async fn turn(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut rest: Vec<(Arc<Meter>, Rates)> = self.about.drain().map(|(_, meter)| meter).collect();
        loop {
            let piece = rest.split_off(rest.len().saturating_sub(MOST_METERS));
            if let Err(error) = self.piece(connection, &piece).await {
                let untold = piece.into_iter().chain(rest);
                self.about.extend(untold.map(|(meter, rates)| (Arc::as_ptr(&meter).addr(), (meter, rates))));
                return Err(error);
            }
            if rest.is_empty() {
                break;
            }
        }
        for done in self.waiting.drain(..) {
            // Whoever left in the meantime needs no answer.
            let _ = done.send(());
        }
        Ok(())
    }

    async fn piece(
        &mut self,
        connection: &mut MultiplexedConnection,
        meters: &[(Arc<Meter>, Rates)],
    ) -> RedisResult<()> {
        let prefix = &self.sharing.prefix;
        let mut call = SHARE.key(format!("{prefix}limiters"));
        call.arg(&self.gateway).arg(GONE_AFTER.as_millis() as u64);
        let now = micros(Instant::now());
        let mut asked: Vec<(&Arc<Meter>, &Part, &Rates, Question)> = Vec::with_capacity(meters.len());
        for (meter, rates) in meters {
            let Some(part) = meter.part() else { continue };
            let question = part.question(&meter.in_progress, rates, now);
            call.key(format!("{prefix}limit:{}", part.name));
            let limit =
                |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            call.arg(limit(rates.requests)).arg(question.take).arg(question.owed_requests);
            call.arg(question.known_requests.begun).arg(&question.known_requests.counts);
            call.arg(limit(rates.tokens)).arg(question.owed_tokens);
            call.arg(question.known_tokens.begun).arg(&question.known_tokens.counts);
            call.arg(limit(rates.in_progress)).arg(question.places).arg(question.more_places);
            asked.push((meter, part, rates, question));
        }
        let answer: RedisResult<Vec<u64>> =
            match tokio::time::timeout(PATIENCE, call.invoke_async(connection)).await {
                Ok(answer) => answer,
                Err(_) => Err((ErrorKind::Io, "an answer did not come in time").into()),
            };
        let answer = answer.and_then(|answer| {
            let whole = answer.len() == HEAD + EACH * asked.len();
            if whole { Ok(answer) } else { Err((ErrorKind::UnexpectedReturnType, "not an answer").into()) }
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                asked.iter().for_each(|(_, part, _, question)| part.not_told(question));
                return Err(error);
            }
        };
        let now = micros(Instant::now());
        self.sharing.gateways.store(answer[0], Ordering::Relaxed);
        for ((meter, part, rates, _), numbers) in asked.into_iter().zip(answer[HEAD..].chunks_exact(EACH)) {
            let window = |at: usize| {
                let mut counts = [0; SLOTS];
                counts.copy_from_slice(&numbers[at + 1..=at + SLOTS]);
                Window { begun: numbers[at], counts }
            };
            let places = u32::try_from(numbers[EACH - 2]).unwrap_or(u32::MAX);
            let known = Known {
                taken: numbers[0],
                requests: window(1),
                tokens: window(2 + SLOTS),
                places,
                elsewhere: numbers[EACH - 1],
            };
            part.hear(&known, rates, now);
            let key = Arc::as_ptr(meter).addr();
            if 0 < places {
                self.places.insert(key, (Arc::clone(meter), *rates));
            } else {
                self.places.remove(&key);
            }
        }
        Ok(())
    }

    /// Serves one connection until it ends, which is an error.
    async fn serve(
        &mut self,
        server: &Server,
        Words(inbox): &mut Words,
        rules: &impl Fn() -> bool,
        came: impl FnOnce(),
    ) -> RedisResult<()> {
        let mut connection = server.connect(None).await?;
        SHARE.load_async(&mut connection).await?;
        // What others were told before may be gone with the server that was told.
        self.about.extend(self.places.iter().map(|(key, meter)| (*key, meter.clone())));
        self.turn(&mut connection).await?;
        self.sharing.lost.store(false, Ordering::Release);
        came();
        let mut words = Vec::with_capacity(MOST_WORDS);
        let mut beat = tokio::time::Instant::now() + HEARTBEAT;
        loop {
            let mut until = beat;
            loop {
                tokio::select! {
                    count = inbox.recv_many(&mut words, MOST_WORDS) => if count == 0 {
                        return Err((ErrorKind::Io, "the gateway ends").into());
                    },
                    () = tokio::time::sleep_until(until) => break,
                }
                let now = words.iter().any(|word| word.now);
                words.drain(..).for_each(|word| self.take(word));
                if now {
                    break;
                }
                until = until.min(tokio::time::Instant::now() + SOON);
            }
            if beat <= tokio::time::Instant::now() {
                beat = tokio::time::Instant::now() + HEARTBEAT;
                self.sharing.fail_closed.store(rules(), Ordering::Relaxed);
                self.about.extend(self.places.iter().map(|(key, meter)| (*key, meter.clone())));
            }
            self.turn(&mut connection).await?;
        }
    }
}

/// Shares limits with the other gateways until asked to stop. `fail_closed` says whether requests are refused without
/// Valkey; otherwise each gateway enforces its share of every limit.
pub(crate) async fn converse(
    sharing: Arc<Sharing>,
    server: Server,
    mut inbox: Words,
    fail_closed: impl Fn() -> bool,
    mut stop: Stop,
) {
    sharing.fail_closed.store(fail_closed(), Ordering::Relaxed);
    let mut conversation = Conversation {
        sharing: Arc::clone(&sharing),
        gateway: format!("{:032x}", fastrand::u128(..)),
        about: HashMap::new(),
        places: HashMap::new(),
        waiting: Vec::new(),
    };
    let mut pause = PAUSE;
    let mut told = false;
    loop {
        let mut came = false;
        let serving = conversation.serve(&server, &mut inbox, &fail_closed, || {
            came = true;
            tracing::info!("Valkey answers: limits are shared with the other gateways");
        });
        let ended = tokio::select! {
            () = stop.asked() => return,
            ended = serving => ended,
        };
        sharing.lost.store(true, Ordering::Release);
        // Whoever waits goes by what is known here.
        conversation.waiting.clear();
        while let Ok(word) = inbox.0.try_recv() {
            conversation.take(Word { done: None, ..word });
        }
        if came {
            (pause, told) = (PAUSE, false);
        }
        sharing.fail_closed.store(fail_closed(), Ordering::Relaxed);
        if let Err(error) = ended
            && !told
        {
            told = true;
            let gateways = sharing.gateways();
            if sharing.refuses() {
                tracing::warn!(%error, "Valkey cannot be reached: requests with limits of rate are refused");
            } else {
                tracing::warn!(%error, gateways, "Valkey cannot be reached: each gateway enforces its share of limits");
            }
        }
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

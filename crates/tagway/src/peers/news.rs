//! What gateways tell each other of deployments: cooldowns that begin and end, and what was used. The board is looked
//! at; no request tells anything itself.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};
use serde::{Deserialize, Serialize};

use crate::health::State;
use crate::live::Live;

static COOLING: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("cooling.lua")));

/// How often the board is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// What was used is told at one look of so many.
const USAGE: u32 = 4;
/// A cooldown that is longer by less is no news, in milliseconds.
const SAME: u64 = 100;

/// What one gateway tells the others.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct News {
    /// Who tells it.
    by: Box<str>,
    /// Deployments out of service: for how many milliseconds yet, and whether they are but slow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    out: Vec<(Box<str>, u64, bool)>,
    /// Deployments that are back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    back: Vec<Box<str>>,
    /// Tokens and calls of deployments since the last time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    used: Vec<(Box<str>, u64, u64)>,
}

/// Tells of the deployments of this gateway, and hears of those of others.
pub(crate) struct Reporter {
    by: Box<str>,
    live: Arc<Live>,
    looks: u32,
    /// Until when deployments are out of service, as all gateways know.
    known: HashMap<Box<str>, u64>,
    /// What was used within this minute, as the others know.
    told: HashMap<Box<str>, (u64, u64)>,
}

impl Reporter {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        let by = format!("{:032x}", fastrand::u128(..)).into();
        Self { by, live, looks: 0, known: HashMap::new(), told: HashMap::new() }
    }

    /// What has changed since the last look.
    fn look(&mut self, now: Instant) -> Option<News> {
        let current = self.live.current();
        let board = &current.board;
        let (mut out, mut back, mut used) = (Vec::new(), Vec::new(), Vec::new());
        for (id, state) in board.states(now) {
            match state {
                State::Out { until, slow } => {
                    let known = self.known.get(id).copied().unwrap_or(0);
                    if known.saturating_add(SAME) < until {
                        self.known.insert(id.into(), until);
                        let left = board.left(until, now).as_millis();
                        out.push((id.into(), u64::try_from(left).unwrap_or(u64::MAX), slow));
                    }
                }
                // Whether it is back shows when somebody has tried it out.
                State::HalfOpen => {}
                State::InService if self.known.remove(id).is_some() => back.push(id.into()),
                State::InService => {}
            }
        }
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(USAGE) {
            let mut told = HashMap::new();
            for (id, (tokens, calls)) in board.usage(now) {
                let before = self.told.get(id).copied().unwrap_or_default();
                // Counts begin anew every minute.
                let (tokens_before, calls_before) = if calls < before.1 { (0, 0) } else { before };
                let (more_tokens, more_calls) = (tokens.saturating_sub(tokens_before), calls - calls_before);
                if (more_tokens, more_calls) != (0, 0) {
                    used.push((id.into(), more_tokens, more_calls));
                }
                told.insert(id.into(), (tokens, calls));
            }
            self.told = told;
        }
        let by = self.by.clone();
        (!out.is_empty() || !back.is_empty() || !used.is_empty()).then_some(News { by, out, back, used })
    }

    /// Tells the others what has changed.
    pub(super) async fn tell(
        &mut self,
        connection: &mut MultiplexedConnection,
        place: &Place,
    ) -> RedisResult<()> {
        let Some(news) = self.look(Instant::now()) else { return Ok(()) };
        let mut pipeline = redis::pipe();
        let mut call = COOLING.key(&place.key);
        for (id, left, slow) in &news.out {
            call.arg(&**id).arg(*left).arg(u8::from(*slow));
        }
        for id in &news.back {
            call.arg(&**id).arg(0).arg(0);
        }
        if !news.out.is_empty() || !news.back.is_empty() {
            pipeline.invoke_script(&call).ignore();
        }
        let text = serde_json::to_string(&news).unwrap_or_default();
        pipeline.cmd("PUBLISH").arg(&place.channel).arg(text).ignore();
        pipeline.exec_async(connection).await
    }

    /// Begins on a new connection: tells what has changed in the meantime, and takes over what others have told.
    pub(super) async fn meet(
        &mut self,
        connection: &mut MultiplexedConnection,
        place: &Place,
    ) -> RedisResult<()> {
        COOLING.load_async(connection).await?;
        self.tell(connection, place).await?;
        let out: Vec<(String, u64, u8)> = COOLING.key(&place.key).invoke_async(connection).await?;
        let out: Vec<_> = out.into_iter().map(|(id, left, slow)| (id.into(), left, slow == 1)).collect();
        // A server that has lost its memory is told of the others again.
        self.known.retain(|known, _| out.iter().any(|(id, ..): &(Box<str>, _, _)| id == known));
        self.apply(News { out, ..News::default() });
        Ok(())
    }

    /// Takes note of what another gateway tells.
    pub(super) fn hear(&mut self, text: &[u8]) {
        match serde_json::from_slice::<News>(text) {
            Ok(news) if news.by != self.by => self.apply(news),
            Ok(_) => {}
            // A newer gateway may tell more than this one understands.
            Err(error) => tracing::debug!(%error, "another gateway's news cannot be read"),
        }
    }

    fn apply(&mut self, news: News) {
        let (current, now) = (self.live.current(), Instant::now());
        if current.snapshot.config.router.disable_cooldowns {
            self.known.clear();
        } else {
            for (id, left, slow) in news.out {
                tracing::debug!(deployment = &*id, left_ms = left, "another gateway has it cool down");
                if let Some(until) = current.board.cool_until(&id, Duration::from_millis(left), slow, now) {
                    self.known.insert(id, until);
                }
            }
            for id in news.back {
                current.board.back(&id);
                self.known.remove(&id);
            }
        }
        for (id, tokens, calls) in news.used {
            current.board.used_elsewhere(&id, tokens, calls, now);
        }
    }
}

/// Where it is told.
pub(super) struct Place {
    pub(super) channel: String,
    key: String,
}

impl Place {
    pub(super) fn new(store: &str) -> Self {
        Self { channel: format!("tagway:{store}:deployments"), key: format!("tagway:{{{store}}}:cooling") }
    }
}

//! The other gateways on the same store: hears when they change something, and tells them. The store's own list of
//! changes says what; this only says that it is worth a look, and nothing depends on it but how soon that happens. What
//! they tell each other of deployments is [`news`].

mod news;

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue as _, PushInfo, PushKind, RedisError, RedisResult};
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use crate::store::{Db, StoreError};
use crate::tasks::Stop;
use crate::valkey::{LONGEST_PAUSE, PAUSE, Server};
pub(crate) use news::Reporter;
use news::{LOOK, Place};

/// A silent connection is tried after so many looks at the board.
const PING: u32 = 40;

/// Ways to the other gateways.
pub(crate) struct Peers {
    /// Wakes whoever looks for changes.
    pub(crate) call: Arc<Notify>,
    /// There is something to tell.
    news: Notify,
}

impl Peers {
    pub(crate) fn new() -> Self {
        Self { call: Arc::new(Notify::new()), news: Notify::new() }
    }

    /// Tells the others that something changed. PostgreSQL tells them itself, with the transaction.
    pub(crate) fn tell(&self) {
        self.news.notify_one();
    }
}

/// Listens to PostgreSQL's notifications until asked to stop.
pub(crate) async fn listen(db: Db, peers: Arc<Peers>, mut stop: Stop) {
    loop {
        let heard = async {
            let Some(mut ears) = db.listener().await? else { return Ok(()) };
            // Whatever was missed while nobody listened.
            peers.call.notify_one();
            loop {
                ears.heard().await?;
                peers.call.notify_one();
            }
        };
        let ended: Result<(), StoreError> = tokio::select! {
            () = stop.asked() => return,
            ended = heard => ended,
        };
        match ended {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the store's notifications are lost for now"),
        }
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Where gateways meet: a channel of a Valkey.
pub(crate) struct Meeting {
    server: Server,
    channel: String,
    place: Place,
}

impl Meeting {
    /// The place for all gateways on the store with this identity. Another store's gateways have their own.
    pub(crate) fn new(server: Server, store: &str) -> Self {
        // One connection hears, tells and shows that it lives.
        Self { server, channel: format!("tagway:{store}:changes"), place: Place::new(store) }
    }

    async fn connect(&self) -> RedisResult<(MultiplexedConnection, mpsc::UnboundedReceiver<PushInfo>)> {
        let (sender, pushed) = mpsc::unbounded_channel();
        let mut connection = self.server.connect(Some(sender)).await?;
        connection.subscribe(&[&self.channel, &self.place.channel]).await?;
        Ok((connection, pushed))
    }

    /// Hears and tells until the connection ends, which is an error.
    async fn attend(&self, peers: &Peers, reporter: &mut Reporter, came: impl FnOnce()) -> RedisResult<()> {
        let (mut connection, mut pushed) = self.connect().await?;
        came();
        // Whatever was missed, here and there, while nobody attended.
        peers.tell();
        peers.call.notify_one();
        reporter.meet(&mut connection, &self.place).await?;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent = 0;
        loop {
            let command = tokio::select! {
                push = pushed.recv() => match push.map(|push| (push.kind, push.data)) {
                    Some((PushKind::Message, data)) => {
                        match message(data) {
                            Some((channel, text)) if channel == self.place.channel => reporter.hear(&text),
                            _ => peers.call.notify_one(),
                        }
                        continue;
                    }
                    Some((PushKind::Disconnection, _)) | None => {
                        return Err(RedisError::from((ErrorKind::Io, "the connection was closed")));
                    }
                    Some(_) => continue,
                },
                () = peers.news.notified() => redis::cmd("PUBLISH").arg(&self.channel).arg("").to_owned(),
                _ = look.tick() => {
                    reporter.tell(&mut connection, &self.place).await?;
                    silent += 1;
                    if silent < PING {
                        continue;
                    }
                    silent = 0;
                    redis::cmd("PING")
                }
            };
            command.exec_async(&mut connection).await?;
        }
    }
}

/// The channel and the text of a message.
fn message(data: Vec<redis::Value>) -> Option<(String, Vec<u8>)> {
    let [channel, text] = <[redis::Value; 2]>::try_from(data).ok()?;
    Some((String::from_redis_value(channel).ok()?, Vec::from_redis_value(text).ok()?))
}

/// Meets the other gateways at a Valkey until asked to stop. Without it they hear of changes a little later.
pub(crate) async fn meet(meeting: Meeting, peers: Arc<Peers>, mut reporter: Reporter, mut stop: Stop) {
    let mut pause = PAUSE;
    let mut told = false;
    loop {
        let mut came = false;
        let attending = meeting.attend(&peers, &mut reporter, || {
            came = true;
            if told {
                tracing::info!("Valkey answers again");
            }
        });
        let ended = tokio::select! {
            () = stop.asked() => return,
            ended = attending => ended,
        };
        if came {
            (pause, told) = (PAUSE, false);
        }
        if let Err(error) = ended
            && !told
        {
            told = true;
            tracing::warn!(%error, "Valkey cannot be reached: other gateways hear of changes through the store alone");
        }
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

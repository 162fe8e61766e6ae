//! A stream of events on its way to the client. The client's pace is the provider's: nothing is read before the
//! client takes it, and a client that leaves drops the relay, which closes the provider's connection. A provider
//! that breaks or falls silent ends the stream with an error event, so that no client takes half an answer for a
//! whole one.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tagway_core::secret::Secret;
use tagway_core::snapshot::Endpoint;
use tagway_core::wire::sse::SseMap;
use tokio::time::{Instant, Sleep};

use super::content::error_text;
use super::record::Record;
use super::upstream::Exchange;
use crate::ledger::Seen;

/// A comment goes to the client after this much silence, so that proxies in between keep the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Once the end mark has passed, the provider has this long to end its message, so that the connection can be
/// used again.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Whose stream it is.
pub(crate) struct Whose {
    /// The provider's name in messages.
    pub(crate) blame: String,
    /// The key it was called with: it must not come back in a message.
    pub(crate) key: Option<Secret>,
}

/// A stream in progress.
pub(crate) struct Relay {
    exchange: Exchange,
    map: SseMap,
    first: Bytes,
    /// The longest silence of the provider.
    silence: Duration,
    whose: Whose,
    last: Instant,
    beat: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
    /// The request's record: settled before the end goes out, or when the relay is dropped, however that comes.
    pub(crate) record: Option<Record>,
}

impl Relay {
    /// A relay that begins with `first`.
    pub(crate) fn new(
        exchange: Exchange,
        map: SseMap,
        first: Bytes,
        silence: Duration,
        whose: Whose,
    ) -> Self {
        let now = Instant::now();
        let (last, beat) = (now, now);
        Self { exchange, map, first, silence, whose, last, beat, timer: None, ended: false, record: None }
    }

    /// The next bytes for the client; `None` at the end.
    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            if self.map.seen().error.is_some() {
                return Poll::Ready(Some(self.fail_with(first.into(), "upstream_error")));
            }
            self.settle_at_end();
            return Poll::Ready(Some(first));
        }
        while !self.ended {
            match self.exchange.poll_data(context) {
                Poll::Ready(Some(Ok(data))) => {
                    self.last = Instant::now();
                    self.beat = self.last;
                    if self.map.seen().done {
                        continue;
                    }
                    let mut out = Vec::with_capacity(data.len() + 256);
                    if self.map.push(&data, &mut out).is_err() || self.map.seen().error.is_some() {
                        return Poll::Ready(Some(self.fail_with(out, "upstream_error")));
                    }
                    if self.map.seen().done {
                        self.timer = None;
                    }
                    if !out.is_empty() {
                        self.settle_at_end();
                        return Poll::Ready(Some(out.into()));
                    }
                }
                // All has been said: how the connection ends is no matter to the client.
                Poll::Ready(Some(Err(_))) if self.map.seen().done => self.ended = true,
                Poll::Ready(Some(Err(broken))) => {
                    tracing::warn!(error = %broken, "a provider broke a stream");
                    return Poll::Ready(Some(self.fail_with(Vec::new(), "upstream_broken")));
                }
                Poll::Ready(None) => return Poll::Ready(self.finish()),
                Poll::Pending => return self.poll_timer(context),
            }
        }
        Poll::Ready(None)
    }

    /// The provider's end of the stream.
    fn finish(&mut self) -> Option<Bytes> {
        if self.map.inside_event() {
            return Some(self.fail_with(Vec::new(), "upstream_broken"));
        }
        self.ended = true;
        if self.map.seen().done {
            return None;
        }
        self.settle(true);
        // Some providers just stop; clients wait for the mark.
        Some(Bytes::from_static(b"data: [DONE]\n\n"))
    }

    /// Settles the request when what goes out next ends the answer for the client.
    fn settle_at_end(&mut self) {
        let seen = self.map.seen();
        let responses = self.record.as_ref().is_some_and(|record| record.endpoint == Endpoint::Responses);
        // The responses protocol has no mark: its last event is the one with the usage.
        if seen.done || responses && seen.usage.is_some() {
            self.settle(true);
        }
    }

    fn settle(&mut self, complete: bool) {
        if let Some(record) = &mut self.record {
            record.usage(self.map.seen().usage);
            record.settle(|| Seen::Stream(Box::new(self.map.clone())), complete);
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let done = self.map.seen().done;
            let due = if done {
                self.last + AFTERMATH
            } else {
                (self.last + self.silence).min(self.beat + HEARTBEAT)
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // The timer is set anew only when it rings: data in between costs it nothing.
            let now = Instant::now();
            if done && due <= now {
                self.ended = true;
                return Poll::Ready(None);
            }
            if self.last + self.silence <= now {
                return Poll::Ready(Some(self.fail_with(Vec::new(), "timeout")));
            }
            if self.beat + HEARTBEAT <= now {
                self.beat = now;
                return Poll::Ready(Some(Bytes::from_static(b": waiting\n\n")));
            }
            timer.as_mut().reset(due);
        }
    }

    /// Ends the stream with an error event behind `out`.
    fn fail_with(&mut self, mut out: Vec<u8>, reason: &'static str) -> Bytes {
        self.ended = true;
        let detail = match &self.map.seen().error {
            Some(payload) => self
                .whose
                .key
                .as_ref()
                .map_or_else(|| error_text(payload), |key| key.hide_in(error_text(payload))),
            None if reason == "timeout" => {
                format!("The stream was silent for {} s.", self.silence.as_secs_f64())
            }
            None => "The stream broke off.".to_owned(),
        };
        if let Some(record) = &mut self.record {
            record.broke(reason);
        }
        self.settle(true);
        let message =
            format!("litellm.APIConnectionError: APIConnectionError: {} - {detail}", self.whose.blame);
        let error = json!({"message": message, "type": null, "param": null, "code": "500", "reason": reason});
        out.extend_from_slice(format!("data: {{\"error\": {error}}}\n\n").as_bytes());
        out.into()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !self.ended
            && !self.map.seen().done
            && let Some(record) = &mut self.record
        {
            record.left();
        }
        self.settle(false);
    }
}

//! What the fake saw, and the counters tests wait on. It knows no sockets. Everything is kept as received;
//! nothing is normalised, so that a test can tell `Authorization` from `authorization`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::fail;

/// A request as it came over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The method, as written.
    pub method: String,
    /// The request target with its query, as written.
    pub path: String,
    /// The headers in order, names in their original case.
    pub headers: Vec<(String, String)>,
    /// The body with any chunked coding undone. It is filled in when reading ends, well or badly.
    pub body: Vec<u8>,
    /// The bytes of the head, up to and including its empty line.
    pub head: Vec<u8>,
    /// Whether the body was read to its end; false while it arrives, if the client left, or if the reply
    /// ignores it.
    pub whole: bool,
}

impl Seen {
    /// The body as JSON. Ends the test if it is not JSON: `Null` would make "has no field x" pass by luck.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => fail(&format!("body is not JSON ({error}): {}", self.text())),
        }
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every header of this name, in any case.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The path without its query.
    pub fn route(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

/// How often things have happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP connections accepted.
    pub connections: usize,
    /// Requests whose head was read in full.
    pub hits: usize,
    /// Requests whose body was read in full, too.
    pub read: usize,
    /// Replies carried out to their last step, whether that was a last byte, a reset or a close.
    pub finished: usize,
    /// Replies during which the client closed its connection.
    pub aborted: usize,
    /// Replies waiting at the gate right now.
    pub held: usize,
}

pub(crate) struct Record {
    seen: Mutex<Vec<Seen>>,
    malformed: Mutex<Vec<String>>,
    counts: watch::Sender<Counts>,
    /// Load tests must not fill memory with what nobody will ask for.
    keep: bool,
}

impl Record {
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            seen: Mutex::default(),
            malformed: Mutex::default(),
            counts: watch::Sender::new(Counts::default()),
            keep,
        }
    }

    /// Notes a request whose head has come; its body follows through [`Record::body`].
    pub(crate) fn head(&self, seen: &Seen) -> Option<usize> {
        let place = self.keep.then(|| {
            let mut all = locked(&self.seen);
            all.push(seen.clone());
            all.len() - 1
        });
        self.count(|counts| counts.hits += 1);
        place
    }

    pub(crate) fn body(&self, place: Option<usize>, seen: &Seen) {
        if let Some(place) = place
            && let Some(kept) = locked(&self.seen).get_mut(place)
        {
            kept.body.clone_from(&seen.body);
            kept.whole = seen.whole;
        }
        if seen.whole {
            self.count(|counts| counts.read += 1);
        }
    }

    pub(crate) fn malformed(&self, why: String) {
        locked(&self.malformed).push(why);
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        locked(&self.seen).clone()
    }

    pub(crate) fn last(&self) -> Option<Seen> {
        locked(&self.seen).last().cloned()
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        locked(&self.malformed).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

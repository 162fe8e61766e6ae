//! Who is known, in memory: what the store says of keys and of everything above them, compiled to policies.
//! Requests read it without waiting; what is missing is asked of one task, which reads the store for all of them.

mod filter;
mod grant;
mod keeper;
mod linked;
mod meters;
mod newcomers;
mod purse;
mod token;
mod watch;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;
use tagway_core::config::Jwt;
use tokio::sync::{mpsc, oneshot};

use crate::accounts::Accounts;
use crate::jwt::Verifier;
use crate::objects::Kind;
use crate::store::{Change, Db, StoreError};
use filter::Filter;
pub(crate) use grant::{Bearer, Grant};
use keeper::Order;
pub(crate) use keeper::keep;
pub(crate) use purse::Purse;
pub(crate) use token::{Token, TokenOf};
pub(crate) use watch::{Told, watch};

/// Room is made at once for so many keys, strangers and customers.
const FEW: usize = 4096;
/// As many keys are remembered; the least used one makes room.
const MOST_KEYS: u64 = 200_000;
/// As many digests of nobody.
const MOST_STRANGERS: u64 = 50_000;
/// As many tokens: each gets a new one every few minutes.
const MOST_TOKENS: u64 = 50_000;
/// As many customers.
const MOST_CUSTOMERS: u64 = 100_000;
/// As many requests may wait for the store at once.
const MOST_WAITING: usize = 4096;
/// A key nobody knows is not asked about again for so long.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// So many milliseconds may the clocks of gateways differ.
const CLOCKS_DIFFER: i64 = 3_600_000;

/// The store could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The key store cannot be reached. Try again.")]
pub(crate) struct Unreachable;

/// What is remembered under an id.
enum Known<T> {
    Is(Arc<T>),
    /// Nobody, as of then.
    Nobody(Instant),
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Is(it) => Self::Is(Arc::clone(it)),
            Self::Nobody(since) => Self::Nobody(*since),
        }
    }
}

/// Names for people, by id.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) keys: HashMap<Box<str>, Box<str>>,
    pub(crate) teams: HashMap<Box<str>, Box<str>>,
}

/// Everybody who is known.
pub(crate) struct Directory {
    keys: Cache<[u8; 32], Arc<Bearer>>,
    /// Digests nobody answers to, as of then. Apart from the keys, so that inventing some makes none forgotten.
    strangers: Cache<[u8; 32], Instant>,
    /// Tokens that have been verified, by their digests.
    tokens: Cache<[u8; 32], Arc<Bearer>>,
    /// Who verifies the others.
    pub(crate) verifier: Arc<Verifier>,
    customers: Cache<Box<str>, Known<Grant>>,
    /// Ids that may be customers: most requests name users who are none.
    perhaps_customers: Filter,
    orders: mpsc::Sender<Order>,
    /// The store failed lately.
    down: AtomicBool,
    /// The budgets of all of them.
    pub(crate) accounts: Arc<Accounts>,
    /// Customers made before then (milliseconds since 1970) have been read.
    prepared: AtomicI64,
}

impl Directory {
    /// An empty directory, and what its keeper listens to.
    pub(crate) fn new(
        accounts: Arc<Accounts>,
        verifier: Arc<Verifier>,
    ) -> (Arc<Self>, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(MOST_WAITING);
        let directory = Self {
            keys: remembering(MOST_KEYS),
            strangers: remembering(MOST_STRANGERS),
            tokens: remembering(MOST_TOKENS),
            verifier,
            customers: remembering(MOST_CUSTOMERS),
            perhaps_customers: Filter::default(),
            orders,
            down: AtomicBool::new(false),
            accounts,
            prepared: AtomicI64::new(0),
        };
        (Arc::new(directory), inbox)
    }

    /// The key with this digest, if there is one.
    ///
    /// # Errors
    /// It is not in memory and the store cannot be asked.
    pub(crate) async fn key(&self, digest: [u8; 32]) -> Result<Option<Arc<Bearer>>, Unreachable> {
        if let Some(bearer) = self.keys.get(&digest) {
            return Ok(Some(bearer));
        }
        if !self.reaches_store() {
            return Err(Unreachable);
        }
        if self.strangers.get(&digest).is_some_and(|since| since.elapsed() < UNKNOWN_FOR) {
            return Ok(None);
        }
        let (reply, answer) = oneshot::channel();
        self.orders.try_send(Order::Key { digest, reply }).map_err(|_| Unreachable)?;
        answer.await.map_err(|_| Unreachable)?
    }

    /// The bearer of the token with this digest, if it has been verified by these rules and the keys of now.
    pub(crate) fn token(&self, digest: &[u8; 32], rules: &Arc<Jwt>) -> Option<Arc<Bearer>> {
        let bearer = self.tokens.get(digest)?;
        let of = bearer.token_of.as_ref()?;
        of.is_valid(rules, self.verifier.number()).then_some(bearer)
    }

    /// The bearer of a token that has just been verified.
    ///
    /// # Errors
    /// Its owners are not in memory, and the store cannot be asked.
    pub(crate) async fn admit(&self, digest: [u8; 32], token: Token) -> Result<Arc<Bearer>, Unreachable> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Token { digest, token: Box::new(token), reply };
        self.orders.try_send(order).map_err(|_| Unreachable)?;
        answer.await.map_err(|_| Unreachable)?
    }

    /// The customer with this id, if there is one.
    ///
    /// # Errors
    /// It is not in memory and the store cannot be asked.
    pub(crate) async fn customer(&self, id: &str) -> Result<Option<Arc<Grant>>, Unreachable> {
        if !self.perhaps_customers.may_hold(id) {
            return Ok(None);
        }
        match self.customers.get(id) {
            Some(Known::Is(grant)) => return Ok(Some(grant)),
            _ if !self.reaches_store() => return Err(Unreachable),
            Some(Known::Nobody(since)) if since.elapsed() < UNKNOWN_FOR => return Ok(None),
            _ => {}
        }
        let (reply, answer) = oneshot::channel();
        self.orders.try_send(Order::Customer { id: id.into(), reply }).map_err(|_| Unreachable)?;
        answer.await.map_err(|_| Unreachable)?
    }

    /// Takes note of changes; when this returns, the next request meets them.
    pub(crate) async fn refresh(&self, changes: Vec<Change>) {
        let (done, finished) = oneshot::channel();
        if self.orders.send(Order::Refresh { changes, done }).await.is_ok() {
            // A keeper that is gone serves no requests either.
            let _ = finished.await;
        }
    }

    /// Whether there are any customers at all.
    pub(crate) fn has_customers(&self) -> bool {
        self.perhaps_customers.holds_any()
    }

    /// Compares everything in memory with the store.
    pub(crate) async fn check(&self) {
        let (done, finished) = oneshot::channel();
        if self.orders.send(Order::CheckAll { done }).await.is_ok() {
            let _ = finished.await;
        }
    }

    /// Names for people of the keys in memory, and of their teams.
    pub(crate) fn names(&self) -> Names {
        let mut names = Names::default();
        for (_, bearer) in self.keys.iter() {
            if let Some((team, alias)) = bearer.team_id.as_ref().zip(bearer.team_alias()) {
                names.teams.insert(team.clone(), alias);
            }
            if let Some(alias) = &bearer.alias {
                names.keys.insert(bearer.id.clone(), alias.clone());
            }
        }
        names
    }

    /// Whether the store answered last time.
    pub(crate) fn reaches_store(&self) -> bool {
        !self.down.load(Ordering::Relaxed)
    }

    /// Takes note that the store does not answer. It is not asked for keys again until it has been seen to.
    fn lost(&self, error: &StoreError) {
        if !self.down.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the store fails: keys in memory keep working, others get 503");
        }
    }

    /// Takes note that it does.
    fn found(&self) {
        if self.down.swap(false, Ordering::Relaxed) {
            tracing::info!("the store answers again");
        }
    }

    /// Reads what must be known before the first request, or what has been added to it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn prepare(&self, db: &Db) -> Result<(), StoreError> {
        let now = Timestamp::now().as_millisecond();
        let since = self.prepared.load(Ordering::Relaxed);
        for id in db.ids_since(Kind::Customer, since).await? {
            self.perhaps_customers.add(&id);
        }
        self.prepared.store(now - CLOCKS_DIFFER, Ordering::Relaxed);
        Ok(())
    }
}

/// A memory for `most` items that begins small: most gateways see a few keys.
fn remembering<K: Eq + Hash, V: Clone>(most: u64) -> Cache<K, V> {
    Cache::with_weighter(FEW, most, UnitWeighter)
}

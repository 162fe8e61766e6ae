//! The one task that reads the store for the directory. Because reads and refreshes go through it one after the
//! other, what it puts in memory is never older than the last change it was told of.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tagway_core::access::Policy;
use tagway_core::secret::{hex, unhex};
use tokio::sync::{mpsc, oneshot};

use super::grant::{Above, Slot};
use super::linked::Linked;
use super::meters::Meters;
use super::purse::Draft;
use super::{Bearer, Directory, Grant, Known, Purse, Token, Unreachable};
use crate::meter::Sharing;
use crate::objects::{Budget, Customer, Kind, Limits, Organization, Owner, Project, Team, User};
use crate::store::{Change, Db, Digested, StoreError, Stored};
use crate::tasks::Stop;

/// The store is read for keys nobody knows at most this often, for so many of them at once: a flood of invented
/// keys costs it 500 small statements a second, and no more.
const GAP: Duration = Duration::from_millis(2);
const MOST_AT_ONCE: usize = 256;

/// What the keeper is told to do.
pub(crate) enum Order {
    /// Find a key.
    Key { digest: [u8; 32], reply: Reply<Bearer> },
    /// Find the owners of a token.
    Token { digest: [u8; 32], token: Box<Token>, reply: oneshot::Sender<Result<Arc<Bearer>, Unreachable>> },
    /// Find a customer.
    Customer { id: Box<str>, reply: Reply<Grant> },
    /// Take note of changes.
    Refresh { changes: Vec<Change>, done: oneshot::Sender<()> },
    /// Compare everything with the store.
    CheckAll { done: oneshot::Sender<()> },
}

/// Where an answer goes.
type Reply<T> = oneshot::Sender<Result<Option<Arc<T>>, Unreachable>>;

/// Keeps the directory until asked to stop. `sharing` is how several gateways share limits of rate.
pub(crate) async fn keep(
    directory: Arc<Directory>,
    sharing: Option<Arc<Sharing>>,
    db: Db,
    mut inbox: mpsc::Receiver<Order>,
    mut stop: Stop,
) {
    let mut keeper = Keeper {
        directory,
        db,
        owners: HashMap::new(),
        rotated: HashMap::new(),
        meters: Meters::new(sharing),
        stale: Vec::new(),
        rested: Instant::now(),
    };
    let mut orders = Vec::with_capacity(MOST_AT_ONCE);
    loop {
        tokio::select! {
            () = stop.asked() => return,
            count = inbox.recv_many(&mut orders, MOST_AT_ONCE) => if count == 0 { return },
        }
        keeper.carry_out(&mut orders).await;
    }
}

pub(super) struct Keeper {
    pub(super) directory: Arc<Directory>,
    pub(super) db: Db,
    /// Owners that keys point to.
    owners: HashMap<(Kind, Box<str>), Weak<Slot>>,
    /// The digests of keys that answer to others than the one they were made with.
    rotated: HashMap<String, Vec<[u8; 32]>>,
    meters: Meters,
    /// Changes the store could not be asked about yet.
    stale: Vec<Change>,
    /// When the store may be asked again.
    rested: Instant,
}

impl Keeper {
    async fn carry_out(&mut self, orders: &mut Vec<Order>) {
        let mut keys: HashMap<[u8; 32], Vec<Reply<Bearer>>> = HashMap::new();
        let mut customers: HashMap<Box<str>, Vec<Reply<Grant>>> = HashMap::new();
        let mut tokens = Vec::new();
        let mut finished = Vec::new();
        let mut check = false;
        for order in orders.drain(..) {
            match order {
                Order::Key { digest, reply } => keys.entry(digest).or_default().push(reply),
                Order::Token { digest, token, reply } => tokens.push((digest, token, reply)),
                Order::Customer { id, reply } => customers.entry(id).or_default().push(reply),
                Order::Refresh { changes, done } => {
                    self.stale.extend(changes);
                    finished.push(done);
                }
                Order::CheckAll { done } => {
                    check = true;
                    finished.push(done);
                }
            }
        }
        // What has changed comes first: those who ask then get the newest.
        match self.refresh(check).await {
            Ok(()) if check => self.directory.found(),
            Ok(()) => {}
            Err(error) => self.directory.lost(&error),
        }
        for done in finished {
            // Whoever asked may have left.
            let _ = done.send(());
        }
        if !keys.is_empty() {
            self.answer_keys(keys).await;
        }
        for (digest, token, reply) in tokens {
            let _ = reply.send(self.admit(digest, &token).await);
        }
        if !customers.is_empty() {
            self.answer_customers(customers).await;
        }
    }

    async fn answer_keys(&mut self, asked: HashMap<[u8; 32], Vec<Reply<Bearer>>>) {
        let digests: Vec<[u8; 32]> = asked.keys().copied().collect();
        let mut found = if self.directory.reaches_store() {
            self.read_keys(&digests).await.map_err(|error| {
                self.directory.lost(&error);
                Unreachable
            })
        } else {
            Err(Unreachable)
        };
        for (digest, replies) in asked {
            let answer = match &mut found {
                Ok(found) => Ok(found.remove(&digest)),
                Err(unreachable) => Err(*unreachable),
            };
            for reply in replies {
                let _ = reply.send(answer.clone());
            }
        }
    }

    /// Reads keys into memory.
    async fn read_keys(
        &mut self,
        digests: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], Arc<Bearer>>, StoreError> {
        tokio::time::sleep(self.rested.saturating_duration_since(Instant::now())).await;
        self.rested = Instant::now() + GAP;
        let stored = match self.db.keys_by_digest(digests).await {
            Err(StoreError::Absent) => HashMap::new(),
            read => read?,
        };
        let mut purses = self.purses_of(&stored).await?;
        let mut found = HashMap::new();
        for digest in digests {
            let bearer = match stored.get(digest) {
                Some(digested) => {
                    let purse = purses.remove(digest).unwrap_or_default();
                    self.bearer(*digest, digested, purse).await?
                }
                None => None,
            };
            self.remember(*digest, bearer.as_ref());
            if let Some(bearer) = bearer {
                found.insert(*digest, bearer);
            }
        }
        Ok(found)
    }

    fn remember(&self, digest: [u8; 32], bearer: Option<&Arc<Bearer>>) {
        match bearer {
            Some(bearer) => {
                self.directory.keys.insert(digest, Arc::clone(bearer));
                self.directory.strangers.remove(&digest);
            }
            None => {
                self.directory.keys.remove(&digest);
                self.directory.strangers.insert(digest, Instant::now());
            }
        }
    }

    /// A key as requests meet it; none when its fields make no policy, which only a foreign hand can bring about.
    async fn bearer(
        &mut self,
        digest: [u8; 32],
        digested: &Digested,
        purse: Purse,
    ) -> Result<Option<Arc<Bearer>>, StoreError> {
        let Digested { key, until } = digested;
        let links = &key.object;
        let Some(own) = self.grant(key, None, purse).await? else { return Ok(None) };
        let team = self.slot::<Team>(links.team_id.as_deref()).await?;
        let project = self.slot::<Project>(links.project_id.as_deref()).await?;
        let organization = self.slot::<Organization>(links.organization_id.as_deref()).await?;
        let user = self.slot::<User>(links.user_id.as_deref()).await?;
        if hex(&digest) != key.id {
            let digests = self.rotated.entry(key.id.clone()).or_default();
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
        let ends = match (links.expires, *until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let above = Above { team, project, organization, user };
        Ok(Some(Arc::new(Bearer::new(key, own, above, ends))))
    }

    /// The place of an owner, read when nobody points to it yet.
    pub(super) async fn slot<T: Linked>(
        &mut self,
        id: Option<&str>,
    ) -> Result<Option<Arc<Slot>>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        let name = (T::KIND, Box::<str>::from(id));
        if let Some(slot) = self.owners.get(&name).and_then(Weak::upgrade) {
            return Ok(Some(slot));
        }
        let slot =
            Arc::new(Slot { id: id.into(), grant: ArcSwapOption::empty(), broken: AtomicBool::new(false) });
        self.fill::<T>(&slot).await?;
        self.owners.insert(name, Arc::downgrade(&slot));
        if 2048 < self.owners.len() && self.owners.len().is_power_of_two() {
            self.owners.retain(|_, slot| 0 < slot.strong_count());
        }
        Ok(Some(slot))
    }

    /// What an owner gives and demands, its budget's limits included.
    async fn grant<T: Owner>(
        &mut self,
        stored: &Stored<T>,
        organization: Option<Arc<Slot>>,
        purse: Purse,
    ) -> Result<Option<Grant>, StoreError> {
        let Some(policy) = policy(stored) else { return Ok(None) };
        let limits = self.limits_of(stored).await?;
        let limits = self.meters.of(stored, &limits);
        Ok(Some(Grant {
            policy,
            alias: stored.object.links().name.map(Box::from),
            limits,
            purse,
            budget: stored.object.links().budget.map(Box::from),
            version: stored.version,
            organization,
        }))
    }

    /// The limits that hold for an owner: its own, and those of the budget it refers to.
    async fn limits_of<'s, T: Owner>(&self, stored: &'s Stored<T>) -> Result<Cow<'s, Limits>, StoreError> {
        let own = stored.object.limits();
        let budget = match stored.object.links().budget {
            Some(id) => self.db.find::<Budget>(id).await?,
            None => None,
        };
        Ok(match budget {
            Some(budget) => Cow::Owned(budget.object.behind(own)),
            None => Cow::Borrowed(own),
        })
    }

    /// The budgets of an owner.
    async fn purse_of<T: Owner>(&self, stored: &Stored<T>) -> Result<Purse, StoreError> {
        let draft = Draft::new(stored, &*self.limits_of(stored).await?);
        let accounts = self.directory.accounts.open(&self.db, draft.wanted()).await?;
        Ok(draft.with(&mut accounts.into_iter()))
    }

    /// The budgets of keys, read for all of them at once.
    async fn purses_of(
        &self,
        stored: &HashMap<[u8; 32], Digested>,
    ) -> Result<HashMap<[u8; 32], Purse>, StoreError> {
        let mut drafts = Vec::with_capacity(stored.len());
        for (digest, Digested { key, .. }) in stored {
            drafts.push((*digest, Draft::new(key, &*self.limits_of(key).await?)));
        }
        let wanted = drafts.iter().flat_map(|(_, draft)| draft.wanted()).collect();
        let mut accounts = self.directory.accounts.open(&self.db, wanted).await?.into_iter();
        Ok(drafts.into_iter().map(|(digest, draft)| (digest, draft.with(&mut accounts))).collect())
    }

    /// Notes all that have limits from a budget.
    fn note_users_of(&mut self, budget: &str) {
        let is = |own: &Option<Box<str>>| own.as_deref() == Some(budget);
        let keys = self.directory.keys.iter().filter(|(_, bearer)| is(&bearer.budget));
        let keys: Vec<_> = keys.map(|(_, bearer)| (Kind::Key, bearer.id.to_string())).collect();
        let owners = self.owners.iter().filter_map(|((kind, id), slot)| {
            let slot = slot.upgrade()?;
            let grant = slot.grant.load();
            is(&grant.as_ref()?.budget).then(|| (*kind, id.to_string()))
        });
        let owners: Vec<_> = owners.collect();
        let customers = self.directory.customers.iter().filter_map(|(id, known)| match known {
            Known::Is(grant) if is(&grant.budget) => Some((Kind::Customer, id.to_string())),
            _ => None,
        });
        let customers: Vec<_> = customers.collect();
        let all = keys.into_iter().chain(owners).chain(customers);
        self.stale.extend(all.map(|(kind, id)| Change { kind, id }));
    }

    /// Reads an owner into its place.
    pub(super) async fn fill<T: Linked>(&mut self, slot: &Slot) -> Result<(), StoreError> {
        let stored = match self.db.find::<T>(&slot.id).await {
            // Whoever depends on it is refused; the others are not to suffer for it.
            Err(error @ StoreError::Unreadable { .. }) => {
                tracing::error!(%error, "cannot be used");
                slot.broken.store(true, Ordering::Relaxed);
                slot.grant.store(None);
                return Ok(());
            }
            // A token may name owners where nothing is stored.
            Err(StoreError::Absent) => None,
            read => read?,
        };
        let organization = match stored.as_ref().and_then(|stored| stored.object.organization()) {
            // Organizations belong to none: this goes no deeper.
            Some(id) => Box::pin(self.slot::<Organization>(Some(id))).await?,
            None => None,
        };
        let is_there = stored.is_some();
        let grant = match &stored {
            Some(stored) => {
                let purse = self.purse_of(stored).await?;
                self.grant(stored, organization, purse).await?
            }
            None => None,
        };
        slot.broken.store(is_there && grant.is_none(), Ordering::Relaxed);
        slot.grant.store(grant.map(Arc::new));
        Ok(())
    }

    async fn answer_customers(&mut self, asked: HashMap<Box<str>, Vec<Reply<Grant>>>) {
        for (id, replies) in asked {
            let answer = if self.directory.reaches_store() {
                self.read_customer(&id).await.map_err(|error| {
                    self.directory.lost(&error);
                    Unreachable
                })
            } else {
                Err(Unreachable)
            };
            for reply in replies {
                let _ = reply.send(answer.clone());
            }
        }
    }

    async fn read_customer(&mut self, id: &str) -> Result<Option<Arc<Grant>>, StoreError> {
        let stored = self.db.find::<Customer>(id).await?;
        let found = match &stored {
            Some(stored) => {
                let purse = self.purse_of(stored).await?;
                self.grant(stored, None, purse).await?.map(Arc::new)
            }
            None => None,
        };
        let known = found.clone().map_or(Known::Nobody(Instant::now()), Known::Is);
        self.directory.customers.insert(id.into(), known);
        Ok(found)
    }

    /// Reads again what has changed, or everything.
    async fn refresh(&mut self, everything: bool) -> Result<(), StoreError> {
        if everything {
            self.note_differences().await?;
        }
        // What cannot be read now stays noted, and is tried again with the next order.
        if everything || self.stale.iter().any(|change| matches!(change.kind, Kind::Team | Kind::User)) {
            self.forget_members();
        }
        while let Some(Change { kind, id }) = self.stale.last().cloned() {
            match kind {
                Kind::Key => self.refresh_key(&id).await?,
                Kind::Customer => {
                    self.directory.perhaps_customers.add(&id);
                    if self.directory.customers.contains_key(id.as_str()) {
                        self.read_customer(&id).await?;
                    }
                }
                Kind::Team => self.refresh_owner::<Team>(&id).await?,
                Kind::User => self.refresh_owner::<User>(&id).await?,
                Kind::Organization => self.refresh_owner::<Organization>(&id).await?,
                Kind::Project => self.refresh_owner::<Project>(&id).await?,
                // Others are stale by it: they take its place.
                Kind::Budget => {
                    self.stale.pop();
                    self.note_users_of(&id);
                    continue;
                }
                // Requests meet these in the configuration.
                Kind::Tag | Kind::Model | Kind::Experiment => {}
            }
            self.stale.pop();
        }
        Ok(())
    }

    async fn refresh_key(&mut self, id: &str) -> Result<(), StoreError> {
        let mut digests = self.db.digests(id).await?;
        digests.extend(unhex(id));
        digests.extend(self.rotated.remove(id).unwrap_or_default());
        digests.sort_unstable();
        digests.dedup();
        let stored = self.db.keys_by_digest(&digests).await?;
        let mut purses = self.purses_of(&stored).await?;
        for digest in digests {
            // Who has not been asked about is read when somebody asks.
            let known = self.directory.keys.contains_key(&digest);
            if !known && !self.directory.strangers.contains_key(&digest) {
                continue;
            }
            let bearer = match stored.get(&digest) {
                Some(digested) => {
                    let purse = purses.remove(&digest).unwrap_or_default();
                    self.bearer(digest, digested, purse).await?
                }
                None => None,
            };
            self.remember(digest, bearer.as_ref());
        }
        Ok(())
    }

    async fn refresh_owner<T: Linked>(&mut self, id: &str) -> Result<(), StoreError> {
        let name = (T::KIND, Box::<str>::from(id));
        if let Some(slot) = self.owners.get(&name).and_then(Weak::upgrade) {
            self.fill::<T>(&slot).await?;
        }
        Ok(())
    }

    /// Compares all versions in memory with the store's, and notes what differs.
    async fn note_differences(&mut self) -> Result<(), StoreError> {
        let mut held: HashMap<Kind, Vec<(String, i64)>> = HashMap::new();
        for (_, bearer) in self.directory.keys.iter() {
            held.entry(Kind::Key).or_default().push((bearer.id.to_string(), bearer.version));
        }
        for (id, known) in self.directory.customers.iter() {
            if let Known::Is(grant) = known {
                held.entry(Kind::Customer).or_default().push((id.to_string(), grant.version));
            }
        }
        self.owners.retain(|_, slot| 0 < slot.strong_count());
        for ((kind, id), slot) in &self.owners {
            let Some(slot) = slot.upgrade() else { continue };
            let version = slot.grant.load().as_ref().map_or(0, |grant| grant.version);
            held.entry(*kind).or_default().push((id.to_string(), version));
        }
        for (kind, held) in held {
            let ids: Vec<String> = held.iter().map(|(id, _)| id.clone()).collect();
            let versions = self.db.versions(kind, &ids).await?;
            for (id, version) in held {
                if versions.get(&id).copied().unwrap_or(0) != version {
                    self.stale.push(Change { kind, id });
                }
            }
        }
        // Customers others made meanwhile.
        self.directory.prepare(&self.db).await?;
        Ok(())
    }
}

/// An owner's policy. A stored one that makes none was checked when it was written, so that this is a foreign
/// hand's doing: it counts as not there, and whoever depends on it is refused.
fn policy<T: Owner>(stored: &Stored<T>) -> Option<Policy> {
    match stored.object.policy(&stored.id) {
        Ok(policy) => Some(policy),
        Err(unfit) => {
            tracing::error!(kind = %T::KIND, id = stored.id, "cannot be used: {unfit}");
            None
        }
    }
}

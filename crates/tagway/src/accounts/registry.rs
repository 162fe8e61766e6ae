//! All accounts there are: found again by payer and id, so that a change of a budget forgets nothing, and kept in step
//! with the store. The store's word is applied one reading or booking after the other, so that none is taken for newer
//! than it is.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use smallvec::SmallVec;
use tagway_core::money::Nanos;
use tagway_core::snapshot::Snapshot;
use tokio::sync::{MutexGuard, mpsc};

use super::account::Account;
use super::shared::{Amounts, Shared, Word};
use super::table::Table;
use super::terms::Terms;
use super::{House, now_millis};
use crate::alerts::Crossed;
use crate::objects::{Budget, Tag, count_days_in};
use crate::receipt::{self, Counted, Payer, Receipt};
use crate::store::{Db, StoreError, Stored};
use crate::tasks::Stop;

/// How often the store is asked what other gateways have booked.
const POLL: Duration = Duration::from_secs(1);

/// Payer, id, and what it may spend.
pub(crate) type Wanted = (Payer, Box<str>, Terms);

/// Accounts that are open somewhere.
type Known = HashMap<Payer, HashMap<Box<str>, Weak<Account>>>;

/// All accounts there are.
pub(crate) struct Accounts {
    house: Arc<House>,
    known: Mutex<Known>,
    /// Those the configuration makes, and those of declared tags.
    table: ArcSwap<Table>,
    /// Held while the store is read or written and its word applied.
    turn: tokio::sync::Mutex<()>,
}

/// Nobody else reads or books spend meanwhile.
pub(crate) struct Turn<'a>(#[expect(dead_code, reason = "held, not looked at")] MutexGuard<'a, ()>);

impl Accounts {
    /// No accounts, and where crossings of budgets are told.
    pub(crate) fn new(shared: Option<Arc<Shared>>) -> (Arc<Self>, mpsc::Receiver<Crossed>) {
        let (house, told) = House::new(shared);
        let accounts = Self {
            house,
            known: Mutex::default(),
            table: ArcSwap::default(),
            turn: tokio::sync::Mutex::default(),
        };
        (Arc::new(accounts), told)
    }

    /// Waits until nobody reads or books spend. To be held from before a booking until [`Self::shipped`].
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn(self.turn.lock().await)
    }

    /// The accounts of the configuration and of tags.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Opens accounts, or gives those that are open other terms, with what the store has counted for them.
    ///
    /// # Errors
    /// The store cannot be read; nothing has changed then.
    pub(crate) async fn open(&self, db: &Db, wanted: Vec<Wanted>) -> Result<Vec<Arc<Account>>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let payers: Vec<_> = wanted.iter().map(|(payer, id, _)| (*payer, id.to_string())).collect();
        let _turn = self.turn().await;
        let counted = match db.counted(&payers).await {
            // Without a store this gateway counts for itself.
            Err(StoreError::Absent) => Vec::new(),
            read => read?,
        };
        Ok(self.take_in(wanted, &counted))
    }

    /// Accounts with these terms and amounts.
    fn take_in(&self, wanted: Vec<Wanted>, counted: &[Counted]) -> Vec<Arc<Account>> {
        let mut amounts: HashMap<(&str, &str), Vec<(i64, Nanos)>> = HashMap::new();
        for one in counted {
            amounts.entry((&one.kind, &one.id)).or_default().push((one.until, one.amount));
        }
        let now = now_millis();
        let mut known = self.known();
        let accounts = wanted.into_iter().map(|(payer, id, terms)| {
            let counted = amounts.get(&(payer.as_str(), &*id)).cloned().unwrap_or_default();
            let known = known.entry(payer).or_default();
            if let Some(account) = known.get(&id).and_then(Weak::upgrade) {
                account.set_terms(terms, now);
                account.replace(counted, now);
                return account;
            }
            let account = Arc::new(Account::new(payer, id.clone(), terms, Arc::clone(&self.house)));
            account.open(counted, now);
            if 2048 < known.len() && known.len().is_power_of_two() {
                known.retain(|_, account| 0 < account.strong_count());
            }
            known.insert(id, Arc::downgrade(&account));
            account
        });
        accounts.collect()
    }

    /// The account of a payer nobody has heard of yet: it has spent nothing.
    fn fresh(&self, payer: Payer, id: &str, terms: &Terms) -> Arc<Account> {
        let mut known = self.known();
        let known = known.entry(payer).or_default();
        if let Some(account) = known.get(id).and_then(Weak::upgrade) {
            return account;
        }
        let account = Arc::new(Account::new(payer, id.into(), terms.clone(), Arc::clone(&self.house)));
        known.insert(id.into(), Arc::downgrade(&account));
        account
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All open accounts.
    pub(crate) fn all(&self) -> Vec<Arc<Account>> {
        self.known().values().flat_map(HashMap::values).filter_map(Weak::upgrade).collect()
    }

    /// An open account.
    pub(crate) fn find(&self, payer: Payer, id: &str) -> Option<Arc<Account>> {
        self.known().get(&payer)?.get(id)?.upgrade()
    }

    /// The account of a tag with a budget, of its own or as one of a pattern's.
    pub(crate) fn of_tag(&self, table: &Table, tag: &str) -> Option<Arc<Account>> {
        table.tag(tag, |payer, id, terms| self.fresh(payer, id, terms))
    }

    /// The account of a customer without a budget of its own, where the configuration gives such one.
    pub(crate) fn of_customer(&self, table: &Table, id: &str) -> Option<Arc<Account>> {
        table.customer(id, |payer, id, terms| self.fresh(payer, id, terms))
    }

    /// The accounts with a budget of a deployment, of its provider, and of these tags at it.
    pub(crate) fn of_place(
        &self,
        table: &Table,
        deployment: &str,
        provider: &str,
        tags: &[&str],
    ) -> SmallVec<[Arc<Account>; 2]> {
        table.places(deployment, provider, tags, |payer, id, terms| self.fresh(payer, id, terms))
    }

    /// Puts the budgets of the configuration in force, and those of stored tags.
    ///
    /// # Errors
    /// The store cannot be read; those before stay in force.
    pub(crate) async fn configure(
        &self,
        db: &Db,
        snapshot: &Snapshot,
        tags: &[Stored<Tag>],
        budgets: &[Stored<Budget>],
    ) -> Result<(), StoreError> {
        let config = &snapshot.config;
        count_days_in(config.proxy.timezone.as_deref());
        self.house.strict.store(config.general.strict_budgets, Ordering::Relaxed);
        let now = now_millis();
        self.all().iter().for_each(|account| account.new_windows(now));
        let plan = Table::plan(snapshot, tags, budgets);
        let accounts = self.open(db, plan.wanted()).await?;
        let before = self.table.load_full();
        let mut table = Table::new(plan, accounts);
        let patterns: SmallVec<[Payer; 3]> = table.patterns().collect();
        for payer in patterns {
            let _turn = self.turn().await;
            let counted = match db.counted_all(payer).await {
                Err(StoreError::Absent) => Vec::new(),
                read => read?,
            };
            let wanted = table.buckets_for(payer, &before, counted.iter().map(|one| &*one.id));
            table.fill(self.take_in(wanted, &counted));
        }
        self.table.store(Arc::new(table));
        Ok(())
    }

    /// Takes note that these receipts are in the store, which now counts these amounts. Under [`Self::turn`].
    pub(crate) fn shipped(&self, receipts: &[Receipt], counted: &[Counted]) {
        // Many receipts go to the same few accounts.
        let (subjects, places) = receipt::subjects(receipts);
        let mut costs = vec![None; subjects.len()];
        for (receipt, place) in receipts.iter().zip(places) {
            if let (Some(sum), Some(cost)) = (costs.get_mut(place), receipt.cost) {
                *sum = Some(sum.unwrap_or(Nanos::ZERO) + cost);
            }
        }
        for (subject, cost) in subjects.iter().zip(costs) {
            let Some(cost) = cost else { continue };
            for booking in &subject.bookings {
                if let Some(account) = self.find(booking.payer, &booking.id) {
                    account.shipped(booking.until, cost);
                }
            }
        }
        self.counted(counted);
    }

    /// Takes note of amounts as the store counts them.
    fn counted(&self, counted: &[Counted]) {
        let now = now_millis();
        let table = self.table.load();
        for one in counted {
            let Some(payer) = Payer::named(&one.kind) else { continue };
            let known = self.find(payer, &one.id);
            let account = known.or_else(|| {
                // Another gateway was the first to see it.
                table.by_id(payer, &one.id, |payer, id, terms| self.fresh(payer, id, terms))
            });
            if let Some(account) = account {
                account.counted(one.until, one.amount, now);
                self.tell(&account, Word::Raise, now);
            }
        }
    }

    /// Tells the other gateways what is known of a budget's spend.
    fn tell(&self, account: &Account, word: fn(Payer, Box<str>, Amounts) -> Word, now: i64) {
        if let Some(shared) = &self.house.shared
            && account.max(now).is_some()
        {
            shared.say(word(account.payer(), account.id().into(), account.known(now)));
        }
    }

    /// What an admin changed about an owner counts for all gateways.
    pub(crate) fn changed(&self, payer: Payer, id: &str) {
        if let Some(account) = self.find(payer, id) {
            self.tell(&account, Word::Reset, now_millis());
        }
    }

    /// What this gateway has settled for a payer and the store does not know yet.
    pub(crate) fn unshipped(&self, payer: Payer, id: &str) -> Nanos {
        self.find(payer, id).map_or(Nanos::ZERO, |account| account.unshipped(now_millis()))
    }
}

/// Brings in what other gateways have booked, until asked to stop.
pub(crate) async fn poll(accounts: Arc<Accounts>, db: Db, mut stop: Stop) {
    let mut since = now_millis();
    loop {
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(POLL) => {}
        }
        let begun = now_millis();
        let _turn = accounts.turn().await;
        match db.spend_changed(since).await {
            Ok(counted) => {
                accounts.counted(&counted);
                since = begun;
            }
            Err(error) => tracing::debug!(%error, "cannot read what others have spent"),
        }
    }
}

//! The budgets that the configuration makes, and those of declared tags: of deployments, providers and everybody
//! together, of tags, and of all tags of a pattern, each for itself. Knows which account is whose.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tagway_core::snapshot::Snapshot;
use tagway_core::tag::name::wildcard_stem;

use super::account::Account;
use super::now_millis;
use super::registry::Wanted;
use super::terms::Terms;
use crate::objects::{Budget, Tag};
use crate::receipt::Payer;
use crate::store::Stored;

/// As many tags of a pattern have accounts of their own; the others share one.
const MOST_BUCKETS: usize = 100_000;
/// When there are so many, those that can be spared are looked for at most this often, in milliseconds.
const SWEEP: i64 = 1000;
/// Longer tags share the account of those that are too many.
const LONGEST: usize = 255;

/// Accounts by what they are of.
#[derive(Debug, Default)]
pub(crate) struct Table {
    tags: HashMap<Box<str>, Arc<Account>>,
    /// The longest one first.
    patterns: Vec<Pattern>,
    deployments: HashMap<Box<str>, Arc<Account>>,
    providers: HashMap<Box<str>, Arc<Account>>,
    global: Option<Arc<Account>>,
}

/// A pattern of tags, each of which has a budget.
#[derive(Debug)]
struct Pattern {
    stem: Box<str>,
    terms: Terms,
    /// Of those that are too many.
    rest: Option<Arc<Account>>,
    buckets: RwLock<HashMap<Box<str>, Arc<Account>>>,
    /// When accounts were last looked for that can be spared.
    swept: AtomicI64,
}

impl Pattern {
    fn covers(&self, tag: &str) -> bool {
        tag.starts_with(&*self.stem)
    }
}

/// The budgets there are to be.
pub(super) struct Plan {
    single: Vec<Wanted>,
    patterns: Vec<(Box<str>, Terms)>,
}

impl Plan {
    /// The accounts to open, those of patterns' tags excepted.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let rest = self.patterns.iter().map(|(name, terms)| (Payer::Tag, name.clone(), terms.clone()));
        self.single.iter().cloned().chain(rest).collect()
    }
}

impl Table {
    /// The budgets of a configuration, with those of stored tags in place of those it gives the same tags.
    pub(super) fn plan(snapshot: &Snapshot, tags: &[Stored<Tag>], budgets: &[Stored<Budget>]) -> Plan {
        let config = &snapshot.config;
        let mut of_tags: HashMap<&str, Terms> = HashMap::new();
        for (name, budget) in &config.proxy.tag_budgets {
            of_tags.insert(name, Terms::configured(budget));
        }
        for tag in &config.tags {
            let terms = Terms::configured(&tag.budget);
            if terms.limits() {
                of_tags.insert(&tag.name, terms);
            }
        }
        for Stored { id, object, .. } in tags {
            let shared =
                object.budget_id.as_ref().and_then(|id| budgets.iter().find(|budget| budget.id == *id));
            let terms = match shared {
                Some(budget) => Terms::of(&budget.object.behind(&object.limits)),
                None => Terms::of(&object.limits),
            };
            if terms.limits() {
                of_tags.insert(id, terms);
            }
        }
        let mut plan = Plan { single: Vec::new(), patterns: Vec::new() };
        for (name, terms) in of_tags {
            if wildcard_stem(name).is_some() {
                plan.patterns.push((name.into(), terms));
            } else {
                plan.single.push((Payer::Tag, name.into(), terms));
            }
        }
        plan.patterns.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let mut add = |payer, id: &str, budget| {
            let terms = Terms::configured(budget);
            if terms.limits() {
                plan.single.push((payer, id.into(), terms));
            }
        };
        for deployment in &snapshot.deployments {
            add(Payer::Deployment, &deployment.entry.info.id, &deployment.entry.budget);
        }
        for (provider, budget) in &config.router.provider_budgets {
            add(Payer::Provider, provider, budget);
        }
        add(Payer::Global, "", &config.proxy.budget);
        plan
    }

    /// The table of these accounts, opened in the order of the plan.
    pub(super) fn new(plan: Plan, accounts: Vec<Arc<Account>>) -> Self {
        let mut table = Self::default();
        for account in accounts {
            let id: Box<str> = account.id().into();
            match account.payer() {
                Payer::Deployment => drop(table.deployments.insert(id, account)),
                Payer::Provider => drop(table.providers.insert(id, account)),
                Payer::Global => table.global = Some(account),
                _ => drop(table.tags.insert(id, account)),
            }
        }
        let patterns = plan.patterns.into_iter().map(|(name, terms)| Pattern {
            stem: wildcard_stem(&name).unwrap_or(&name).into(),
            rest: table.tags.remove(&name),
            buckets: RwLock::default(),
            swept: AtomicI64::new(0),
            terms,
        });
        table.patterns = patterns.collect();
        table
    }

    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The accounts of patterns' tags: those the store has counted for, and those that were open before.
    pub(super) fn buckets_for<'a>(
        &self,
        before: &Self,
        counted: impl Iterator<Item = &'a str>,
    ) -> Vec<Wanted> {
        let mut wanted: HashMap<Box<str>, Wanted> = HashMap::new();
        let mut want = |tag: &str| {
            if self.tags.contains_key(tag) || wildcard_stem(tag).is_some() || wanted.contains_key(tag) {
                return;
            }
            if let Some(pattern) = self.patterns.iter().find(|pattern| pattern.covers(tag)) {
                wanted.insert(tag.into(), (Payer::Tag, tag.into(), pattern.terms.clone()));
            }
        };
        counted.for_each(&mut want);
        for pattern in &before.patterns {
            let buckets = pattern.buckets.read().unwrap_or_else(PoisonError::into_inner);
            let busy = buckets.iter().filter(|(_, account)| !account.is_idle());
            busy.for_each(|(tag, _)| want(tag));
        }
        wanted.into_values().collect()
    }

    /// Puts the accounts of patterns' tags in their places.
    pub(super) fn fill(&mut self, accounts: Vec<Arc<Account>>) {
        for account in accounts {
            let Some(pattern) = self.patterns.iter_mut().find(|pattern| pattern.covers(account.id())) else {
                continue;
            };
            let buckets = pattern.buckets.get_mut().unwrap_or_else(PoisonError::into_inner);
            buckets.insert(account.id().into(), account);
        }
    }

    /// Whether any tag has a budget.
    pub(crate) fn limits_tags(&self) -> bool {
        !self.tags.is_empty() || !self.patterns.is_empty()
    }

    /// The account of a tag. `fresh` opens one for a tag of a pattern that is new.
    pub(super) fn tag(&self, tag: &str, fresh: impl FnOnce(&Terms) -> Arc<Account>) -> Option<Arc<Account>> {
        if let Some(account) = self.tags.get(tag) {
            return Some(Arc::clone(account));
        }
        let pattern = self.patterns.iter().find(|pattern| pattern.covers(tag))?;
        let buckets = pattern.buckets.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = buckets.get(tag) {
            return Some(Arc::clone(account));
        }
        drop(buckets);
        let mut buckets = pattern.buckets.write().unwrap_or_else(PoisonError::into_inner);
        let now = now_millis();
        if MOST_BUCKETS <= buckets.len() && SWEEP < now - pattern.swept.swap(now, Ordering::Relaxed) {
            buckets.retain(|_, account| !account.is_idle());
        }
        if MOST_BUCKETS <= buckets.len() || LONGEST < tag.len() || tag.contains(char::is_control) {
            return pattern.rest.clone();
        }
        let account = buckets.entry(tag.into()).or_insert_with(|| fresh(&pattern.terms));
        Some(Arc::clone(account))
    }

    /// Whether any deployment or provider has a budget.
    pub(crate) fn limits_places(&self) -> bool {
        !self.deployments.is_empty() || !self.providers.is_empty()
    }

    /// The accounts of a deployment and its provider.
    pub(crate) fn places(&self, deployment: &str, provider: &str) -> impl Iterator<Item = &Arc<Account>> {
        self.deployments.get(deployment).into_iter().chain(self.providers.get(provider))
    }

    /// Everybody's account.
    pub(crate) fn global(&self) -> Option<&Arc<Account>> {
        self.global.as_ref()
    }
}

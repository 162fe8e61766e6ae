//! Budgets of tags, everywhere or at one deployment: of single tags, and of all tags of a pattern, each for itself. A
//! budget that every customer has is one, too, with customers in the place of tags.
//! Knows which account is which tag's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tagway_core::tag::name::wildcard_stem;

use super::account::Account;
use super::now_millis;
use super::registry::Wanted;
use super::terms::Terms;
use crate::receipt::Payer;

/// As many tags of a pattern have accounts of their own; the others share one.
const MOST_BUCKETS: usize = 100_000;
/// When there are so many, those that can be spared are looked for at most this often, in milliseconds.
const SWEEP: i64 = 1000;
/// Longer tags share the account of those that are too many.
const LONGEST: usize = 255;

/// The budgets there are to be.
pub(super) struct TagPlan {
    payer: Payer,
    /// What accounts' ids begin with, before the tag.
    prefix: Box<str>,
    single: Vec<(Box<str>, Terms)>,
    patterns: Vec<(Box<str>, Terms)>,
}

impl TagPlan {
    /// Budgets by tag or pattern, those of them that limit something.
    pub(super) fn new<'a>(
        payer: Payer,
        prefix: Box<str>,
        all: impl IntoIterator<Item = (&'a str, Terms)>,
    ) -> Self {
        let (mut single, mut patterns) = (Vec::new(), Vec::new());
        for (name, terms) in all.into_iter().filter(|(_, terms)| terms.limits()) {
            let kind = if wildcard_stem(name).is_some() { &mut patterns } else { &mut single };
            kind.push((Box::from(name), terms));
        }
        patterns.sort_by_key(|(name, _): &(Box<str>, Terms)| std::cmp::Reverse(name.len()));
        Self { payer, prefix, single, patterns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.single.is_empty() && self.patterns.is_empty()
    }

    /// The accounts to open, those of patterns' tags excepted.
    pub(super) fn wanted(&self) -> impl Iterator<Item = Wanted> {
        let all = self.single.iter().chain(&self.patterns);
        all.map(|(name, terms)| (self.payer, id_of(&self.prefix, name), terms.clone()))
    }
}

fn id_of(prefix: &str, tag: &str) -> Box<str> {
    if prefix.is_empty() { tag.into() } else { format!("{prefix}{tag}").into() }
}

/// The accounts of tags.
#[derive(Debug)]
pub(super) struct TagBudgets {
    payer: Payer,
    prefix: Box<str>,
    named: HashMap<Box<str>, Arc<Account>>,
    /// The longest one first.
    patterns: Vec<Pattern>,
}

impl Default for TagBudgets {
    fn default() -> Self {
        Self { payer: Payer::Tag, prefix: Box::default(), named: HashMap::new(), patterns: Vec::new() }
    }
}

/// A pattern of tags, each of which has a budget.
#[derive(Debug)]
struct Pattern {
    name: Box<str>,
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

impl TagBudgets {
    /// The accounts of a plan, of which `open` gives the one with an id.
    pub(super) fn new(plan: TagPlan, mut open: impl FnMut(&str) -> Option<Arc<Account>>) -> Self {
        let TagPlan { payer, prefix, single, patterns } = plan;
        let mut of = |name: &str| open(&id_of(&prefix, name));
        let named = single.into_iter().filter_map(|(name, _)| Some((name.clone(), of(&name)?))).collect();
        let patterns = patterns.into_iter().map(|(name, terms)| Pattern {
            stem: wildcard_stem(&name).unwrap_or(&name).into(),
            rest: of(&name),
            buckets: RwLock::default(),
            swept: AtomicI64::new(0),
            terms,
            name,
        });
        let patterns = patterns.collect();
        Self { payer, prefix, named, patterns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.patterns.is_empty()
    }

    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The tag whose account has this id, if it is one of these.
    pub(super) fn tag_of<'a>(&self, payer: Payer, id: &'a str) -> Option<&'a str> {
        id.strip_prefix(&*self.prefix).filter(|_| self.payer == payer)
    }

    /// The accounts of patterns' tags: those the store has counted for, by their ids, and those open `before`.
    pub(super) fn buckets_for<'a>(
        &self,
        before: Option<&Self>,
        counted: impl Iterator<Item = &'a str>,
    ) -> Vec<Wanted> {
        let mut wanted: HashMap<Box<str>, Wanted> = HashMap::new();
        let mut want = |tag: &str| {
            let is_rest = self.patterns.iter().any(|pattern| *pattern.name == *tag);
            if self.named.contains_key(tag) || is_rest || wanted.contains_key(tag) {
                return;
            }
            if let Some(pattern) = self.patterns.iter().find(|pattern| pattern.covers(tag)) {
                wanted.insert(tag.into(), (self.payer, id_of(&self.prefix, tag), pattern.terms.clone()));
            }
        };
        counted.filter_map(|id| self.tag_of(self.payer, id)).for_each(&mut want);
        for pattern in before.iter().flat_map(|before| &before.patterns) {
            let buckets = pattern.buckets.read().unwrap_or_else(PoisonError::into_inner);
            let busy = buckets.iter().filter(|(_, account)| !account.is_idle());
            busy.for_each(|(tag, _)| want(tag));
        }
        wanted.into_values().collect()
    }

    /// Puts the account of a pattern's tag in its place.
    pub(super) fn fill(&mut self, account: Arc<Account>) {
        let Some(tag) = self.tag_of(account.payer(), account.id()).map(Box::from) else { return };
        if let Some(pattern) = self.patterns.iter_mut().find(|pattern| pattern.covers(&tag)) {
            let buckets = pattern.buckets.get_mut().unwrap_or_else(PoisonError::into_inner);
            buckets.insert(tag, account);
        }
    }

    /// The account of a tag. `fresh` opens one for a tag of a pattern that is new.
    pub(super) fn of(
        &self,
        tag: &str,
        fresh: impl FnOnce(Payer, &str, &Terms) -> Arc<Account>,
    ) -> Option<Arc<Account>> {
        if let Some(account) = self.named.get(tag) {
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
        let open = || fresh(self.payer, &id_of(&self.prefix, tag), &pattern.terms);
        Some(Arc::clone(buckets.entry(tag.into()).or_insert_with(open)))
    }
}

//! The budgets that the configuration makes, and those of declared tags: of deployments, providers and everybody
//! together, of tags, and of tags at one deployment. Knows which account is whose.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
use tagway_core::config::{self, CustomerBudget, Rates};
use tagway_core::snapshot::Snapshot;

use super::account::Account;
use super::registry::Wanted;
use super::tags::{TagBudgets, TagPlan};
use super::terms::Terms;
use crate::objects::{Budget, Tag};
use crate::receipt::Payer;
use crate::store::Stored;

/// Accounts by what they are of.
#[derive(Debug, Default)]
pub(crate) struct Table {
    tags: TagBudgets,
    deployments: HashMap<Box<str>, Arc<Account>>,
    providers: HashMap<Box<str>, Arc<Account>>,
    /// Of tags at one deployment, by its id.
    place_tags: HashMap<Box<str>, TagBudgets>,
    /// Of customers without a budget of their own.
    customers: TagBudgets,
    /// The limits of rate that stand beside that budget.
    customer_rates: Rates,
    global: Option<Arc<Account>>,
}

/// The budgets there are to be.
pub(super) struct Plan {
    single: Vec<Wanted>,
    tags: TagPlan,
    place_tags: Vec<(Box<str>, TagPlan)>,
    customers: TagPlan,
    customer_rates: Rates,
}

impl Plan {
    /// The accounts to open, those of patterns' tags excepted.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let of_places = self.place_tags.iter().flat_map(|(_, plan)| plan.wanted());
        let of_tags = self.tags.wanted().chain(of_places).chain(self.customers.wanted());
        self.single.iter().cloned().chain(of_tags).collect()
    }
}

/// What the ids of accounts of tags at a deployment begin with: `<deployment>/`, told apart from all others.
fn prefix(deployment: &str) -> Box<str> {
    format!("{}/", deployment.replace('%', "%25").replace('/', "%2F")).into()
}

/// What customers without a budget of their own may spend, and how fast.
fn of_customers(given: &CustomerBudget, budgets: &[Stored<Budget>]) -> (Terms, Rates) {
    let configured = || Terms::configured(&config::Budget { max: given.max, ..config::Budget::default() });
    let Some(id) = &given.budget_id else { return (configured(), Rates::default()) };
    match budgets.iter().find(|budget| budget.id == *id) {
        Some(budget) => (Terms::of(&budget.object.limits), budget.object.limits.rates()),
        None => {
            tracing::warn!(budget = id, "max_end_user_budget_id: there is no such budget");
            (configured(), Rates::default())
        }
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
        let tags = TagPlan::new(Payer::Tag, Box::default(), of_tags);
        let (terms, customer_rates) = of_customers(&config.proxy.customers, budgets);
        let customers = TagPlan::new(Payer::Customer, Box::default(), [("*", terms)]);
        let mut plan = Plan { single: Vec::new(), tags, place_tags: Vec::new(), customers, customer_rates };
        for deployment in &snapshot.deployments {
            let info = &deployment.entry.info;
            let all = info.tag_budgets.iter().map(|(tag, budget)| (tag.as_str(), Terms::configured(budget)));
            let tags = TagPlan::new(Payer::DeploymentTag, prefix(&info.id), all);
            if !tags.is_empty() {
                plan.place_tags.push((info.id.as_str().into(), tags));
            }
        }
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

    /// The table of these accounts, opened for the plan.
    pub(super) fn new(plan: Plan, accounts: Vec<Arc<Account>>) -> Self {
        let mut table = Self::default();
        let (mut tags, mut place_tags, mut customers) = (HashMap::new(), HashMap::new(), HashMap::new());
        for account in accounts {
            let id: Box<str> = account.id().into();
            match account.payer() {
                Payer::Deployment => drop(table.deployments.insert(id, account)),
                Payer::Provider => drop(table.providers.insert(id, account)),
                Payer::Global => table.global = Some(account),
                Payer::DeploymentTag => drop(place_tags.insert(id, account)),
                Payer::Customer => drop(customers.insert(id, account)),
                _ => drop(tags.insert(id, account)),
            }
        }
        table.tags = TagBudgets::new(plan.tags, |id| tags.remove(id));
        for (deployment, plan) in plan.place_tags {
            table.place_tags.insert(deployment, TagBudgets::new(plan, |id| place_tags.remove(id)));
        }
        table.customers = TagBudgets::new(plan.customers, |id| customers.remove(id));
        table.customer_rates = plan.customer_rates;
        table
    }

    /// Whose spend by pattern there is.
    pub(super) fn patterns(&self) -> impl Iterator<Item = Payer> {
        let tags = self.tags.has_patterns().then_some(Payer::Tag);
        let at_places = self.place_tags.values().any(TagBudgets::has_patterns);
        let customers = self.customers.has_patterns().then_some(Payer::Customer);
        tags.into_iter().chain(at_places.then_some(Payer::DeploymentTag)).chain(customers)
    }

    /// The accounts of patterns' tags: those the store has counted for, by their ids, and those that were open
    /// before.
    pub(super) fn buckets_for<'a>(
        &self,
        payer: Payer,
        before: &Self,
        counted: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<Wanted> {
        if payer == Payer::Tag {
            return self.tags.buckets_for(Some(&before.tags), counted);
        }
        if payer == Payer::Customer {
            return self.customers.buckets_for(Some(&before.customers), counted);
        }
        let of_places = self.place_tags.iter().flat_map(|(deployment, tags)| {
            tags.buckets_for(before.place_tags.get(deployment), counted.clone())
        });
        of_places.collect()
    }

    /// Puts the accounts of patterns' tags in their places.
    pub(super) fn fill(&mut self, accounts: Vec<Arc<Account>>) {
        for account in accounts {
            let all = self.place_tags.values_mut().chain([&mut self.tags, &mut self.customers]);
            for tags in all {
                tags.fill(Arc::clone(&account));
            }
        }
    }

    /// Whether any tag has a budget.
    pub(crate) fn limits_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    /// The account of a tag. `fresh` opens one for a tag of a pattern that is new.
    pub(super) fn tag(
        &self,
        tag: &str,
        fresh: impl FnOnce(Payer, &str, &Terms) -> Arc<Account>,
    ) -> Option<Arc<Account>> {
        self.tags.of(tag, fresh)
    }

    /// The account of a customer without a budget of its own.
    pub(super) fn customer(
        &self,
        id: &str,
        fresh: impl FnOnce(Payer, &str, &Terms) -> Arc<Account>,
    ) -> Option<Arc<Account>> {
        self.customers.of(id, fresh)
    }

    /// The limits of rate of customers without any of their own.
    pub(crate) fn customer_rates(&self) -> Rates {
        self.customer_rates
    }

    /// The account with this id, of a tag or of a tag at a deployment.
    pub(super) fn by_id(
        &self,
        payer: Payer,
        id: &str,
        fresh: impl FnOnce(Payer, &str, &Terms) -> Arc<Account>,
    ) -> Option<Arc<Account>> {
        let mut all = self.place_tags.values().chain([&self.tags, &self.customers]);
        let (tags, tag) = all.find_map(|tags| Some((tags, tags.tag_of(payer, id)?)))?;
        tags.of(tag, fresh)
    }

    /// Whether any deployment or provider has a budget.
    pub(crate) fn limits_places(&self) -> bool {
        !self.deployments.is_empty() || !self.providers.is_empty() || self.limits_place_tags()
    }

    /// Whether any deployment has budgets of tags.
    pub(crate) fn limits_place_tags(&self) -> bool {
        !self.place_tags.is_empty()
    }

    /// The accounts of a deployment, of its provider, and of tags at it.
    pub(super) fn places(
        &self,
        deployment: &str,
        provider: &str,
        tags: &[&str],
        fresh: impl Fn(Payer, &str, &Terms) -> Arc<Account>,
    ) -> SmallVec<[Arc<Account>; 2]> {
        let whole = self.deployments.get(deployment).into_iter().chain(self.providers.get(provider));
        let mut all: SmallVec<[_; 2]> = whole.map(Arc::clone).collect();
        if let Some(budgets) = self.place_tags.get(deployment) {
            for tag in tags {
                if let Some(account) = budgets.of(tag, &fresh)
                    && !all.iter().any(|known| Arc::ptr_eq(known, &account))
                {
                    all.push(account);
                }
            }
        }
        all
    }

    /// Everybody's account.
    pub(crate) fn global(&self) -> Option<&Arc<Account>> {
        self.global.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_deployments_share_the_account_of_a_tag() {
        assert_eq!(&*prefix("a"), "a/");
        assert_eq!((&*prefix("a/b"), &*prefix("a%2Fb")), ("a%2Fb/", "a%252Fb/"));
    }
}

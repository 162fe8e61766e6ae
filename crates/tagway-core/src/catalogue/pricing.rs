//! Which price a deployment has: its own, else the catalogue's for its base model or its model. A wildcard's
//! depends on the model asked for.

use super::line::has_inclusive_tiers;
use super::{Catalogue, Listed};
use crate::config::Deployment as Entry;
use crate::dialect::{Provider, resolve};
use crate::price::{Item, Name, Price, Prices, picos};
use crate::wildcard::fill;

/// The prices of a deployment.
#[derive(Debug)]
pub struct Pricing {
    /// When the model asked for does not matter.
    fixed: Option<Prices>,
    catalogue: Catalogue,
    /// Prices of its own that do not make a whole: they replace single ones of the catalogue.
    own: Vec<Price>,
    inclusive: bool,
    /// The longest prompt, when the model asked for does not matter.
    max_input: Option<u64>,
    wild: bool,
}

impl Pricing {
    /// The prices of `entry`.
    pub fn new(entry: &Entry, catalogue: &Catalogue) -> Self {
        let own = entry
            .prices
            .iter()
            .filter_map(|(name, dollars)| Some(Price { name: Name::read(name)?, picos: picos(*dollars) }));
        let mut pricing = Self {
            fixed: None,
            catalogue: catalogue.clone(),
            own: own.collect(),
            inclusive: has_inclusive_tiers(entry.provider.name),
            max_input: None,
            wild: false,
        };
        pricing.max_input = pricing.listed(entry, &entry.upstream_model).and_then(|listed| listed.max_input);
        pricing.fixed = pricing.whole();
        if pricing.fixed.is_none() {
            pricing.wild = entry.base_model.is_none() && entry.upstream_model.contains('*');
            if !pricing.wild {
                pricing.fixed = pricing.listed_prices(entry, &entry.upstream_model);
            }
        }
        pricing
    }

    /// Its own prices, when a prompt's tokens or time have one among them.
    fn whole(&self) -> Option<Prices> {
        let sets = |item| self.own.iter().any(|price| price.name.item == item && price.name.above == 0);
        if ![Item::Input, Item::Second, Item::OutputSecond].into_iter().any(sets) {
            return None;
        }
        Prices::of(&self.own, self.inclusive)
    }

    fn listed_prices(&self, entry: &Entry, model: &str) -> Option<Prices> {
        let listed = self.listed(entry, model).map(|listed| listed.given()).unwrap_or_default();
        let replaced = |price: &Price| self.own.iter().any(|own| own.name == price.name);
        let mut given: Vec<Price> = listed.into_iter().filter(|price| !replaced(price)).collect();
        given.extend_from_slice(&self.own);
        Prices::of(&given, self.inclusive)
    }

    /// What the catalogue says of the deployment's model, of its base model where it names one.
    pub fn listed(&self, entry: &Entry, model: &str) -> Option<Listed<'_>> {
        let Some(base) = &entry.base_model else {
            return self.catalogue.find(entry.provider.name, model);
        };
        let own = || self.catalogue.find(entry.provider.name, base);
        let named = || match base.split_once('/') {
            Some((provider, model)) => self.catalogue.find(provider, model),
            None => {
                let resolved = resolve(base, None)?;
                self.catalogue.find(resolved.provider.name, base)
            }
        };
        let prefixed = base.split_once('/').is_some_and(|(prefix, _)| Provider::named(prefix).is_some());
        if prefixed { named().or_else(own) } else { own().or_else(named) }
    }

    /// What a call costs when a client asks for `asked`.
    pub fn prices(&self, entry: &Entry, asked: &str) -> Option<Prices> {
        if self.wild {
            return self.listed_prices(entry, &fill(&entry.upstream_model, &entry.model_name, asked));
        }
        self.fixed.clone()
    }

    /// The longest prompt that the catalogue knows a call to take when a client asks for `asked`.
    pub fn max_input(&self, entry: &Entry, asked: &str) -> Option<u64> {
        if entry.base_model.is_some() || !entry.upstream_model.contains('*') {
            return self.max_input;
        }
        self.listed(entry, &fill(&entry.upstream_model, &entry.model_name, asked))?.max_input
    }

    /// Whether it is known at load that calls have no known price.
    pub fn is_unknown(&self) -> bool {
        self.fixed.is_none() && !self.wild
    }
}

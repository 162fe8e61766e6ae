//! The meters of owners with limits: found again by the owner's id, so that a change of a key or of its limits does
//! not forget what was used.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tagway_core::config::Rates;
use tagway_core::tag::Origin;

use crate::meter::{Meter, Metered, Sharing};
use crate::objects::{Limits, Owner};
use crate::store::Stored;

/// Owner, id, model.
type Name = (Origin, Box<str>, Option<Box<str>>);

pub(super) struct Meters {
    known: HashMap<Name, Weak<Meter>>,
    /// Where several gateways share their limits.
    sharing: Option<Arc<Sharing>>,
}

impl Meters {
    pub(super) fn new(sharing: Option<Arc<Sharing>>) -> Self {
        Self { known: HashMap::new(), sharing }
    }

    /// The limits of an owner with their meters. `limits` are its own, or those of its budget.
    pub(super) fn of<T: Owner>(&mut self, stored: &Stored<T>, limits: &Limits) -> Box<[Metered]> {
        let all = std::iter::once((None, limits.rates()));
        let mut by_model = stored.object.model_rates();
        for (model, rates) in limits.rates_by_model() {
            match by_model.iter_mut().find(|(known, _)| **known == *model) {
                Some((_, known)) => *known = lower(*known, rates),
                None => by_model.push((model.into(), rates)),
            }
        }
        all.chain(by_model.into_iter().map(|(model, rates)| (Some(model), rates)))
            .filter(|(_, rates)| rates.any())
            .map(|(model, rates)| {
                let meter = self.meter((T::ORIGIN, stored.id.as_str().into(), model.clone()));
                Metered { model, rates, meter }
            })
            .collect()
    }

    fn meter(&mut self, name: Name) -> Arc<Meter> {
        if let Some(meter) = self.known.get(&name).and_then(Weak::upgrade) {
            return meter;
        }
        if 2048 < self.known.len() && self.known.len().is_power_of_two() {
            self.known.retain(|_, meter| 0 < meter.strong_count());
        }
        let (origin, id, model) = &name;
        // The length keeps names apart whatever is in them.
        let all = format!("{}:{}:{id}:{}", origin.as_str(), id.len(), model.as_deref().unwrap_or_default());
        let meter = Meter::new(&all, self.sharing.as_ref());
        self.known.insert(name, Arc::downgrade(&meter));
        meter
    }
}

/// The lower limit of each kind.
fn lower(one: Rates, other: Rates) -> Rates {
    let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
    Rates {
        requests: least(one.requests, other.requests),
        tokens: least(one.tokens, other.tokens),
        in_progress: least(one.in_progress, other.in_progress),
    }
}

//! Experiments: shares of a model's requests get different tags, the same user always the same one. Decides who is in
//! which variant, from hashes and numbers that are given; what a variant's tag leads to is the decision's.

mod mirror;
mod ramp;
mod trial;

pub use mirror::Mirror;
pub use ramp::{Breach, Figures, Hold, OnBreach, Point, Ramp, Standing, Step};
pub use trial::{Assigned, FellOpen, Trial, narrowed, without};

use crate::rule::Program;
use crate::strategy::{By, hash, mixed, rendezvous};
use crate::tag::Members;

/// An experiment of `experiments`.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Its name, by which its hashes differ from those of others.
    pub name: Box<str>,
    /// The model groups it is for; none: those with a deployment that carries a variant's tag.
    pub models: Vec<Box<str>>,
    /// Which requests it is for; none: all.
    pub when: Option<Program>,
    /// What stays in its variant; none: every request is drawn by itself.
    pub sticky: Option<By>,
    /// Two or more.
    pub variants: Vec<Variant>,
    /// What gives the shares in place of weights.
    pub ramp: Option<Ramp>,
}

/// A variant of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The tag its requests get.
    pub tag: Box<str>,
    /// Its share is this, out of the sum of all.
    pub weight: f64,
    /// The hash of the tag's name in the configuration: who is in it stays when the tag is renamed.
    pub hash: u64,
}

impl Variant {
    /// A variant of this tag.
    pub fn new(tag: &str, weight: f64) -> Self {
        Self { tag: tag.into(), weight, hash: hash(tag) }
    }
}

/// What a request is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The hash of what sticks.
    Sticks(u64),
    /// A number drawn for it alone.
    Drawn(u64),
    /// Nobody has sent it, and nothing of it sticks: it goes where most go.
    Supposed,
}

impl Experiment {
    /// What a variant weighs; `share` is that of the ramp's variant, where there is a ramp.
    fn weight(&self, place: usize, share: Option<f64>) -> f64 {
        match (&self.ramp, share) {
            (Some(ramp), Some(share)) if place == ramp.variant => share,
            (Some(ramp), Some(share)) if place == ramp.control => 1.0 - share,
            (Some(_), Some(_)) => 0.0,
            _ => self.variants.get(place).map_or(0.0, |variant| variant.weight),
        }
    }

    /// The share of a variant, up to 1.
    pub fn share(&self, place: usize, share: Option<f64>) -> f64 {
        let all: f64 = (0..self.variants.len()).map(|place| self.weight(place, share)).sum();
        if all == 0.0 { 0.0 } else { self.weight(place, share) / all }
    }

    /// The variant of a request, among those that its tags do not exclude. `share` is that of the ramp's variant, where
    /// there is a ramp.
    ///
    /// A share that grows, at the cost of the others, keeps those who are in it.
    pub fn choose(&self, among: &Members, share: Option<f64>, unit: Unit) -> Option<usize> {
        let weight = |place: usize| self.weight(place, share);
        let number = match unit {
            Unit::Sticks(number) | Unit::Drawn(number) => number,
            // Of two that are alike the first.
            Unit::Supposed => {
                return among
                    .iter()
                    .reduce(|best, next| if weight(best) < weight(next) { next } else { best });
            }
        };
        let of = |place: usize| (self.variants.get(place).map_or(0, |variant| variant.hash), weight(place));
        rendezvous(among, of, mixed(hash(&self.name), number))
    }
}

/// Whether a request is among this share: what sticks stays in it while it grows.
pub fn within(name: &str, share: f64, unit: Unit) -> bool {
    let number = match unit {
        Unit::Sticks(number) | Unit::Drawn(number) => mixed(hash(name), number),
        Unit::Supposed => return 0.5 < share,
    };
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let place = (mixed(number, 1) >> 11) as f64 / (1_u64 << 53) as f64;
    place < share
}

//! One of two configurations that are compared, and what it answers. Both number deployments alike, so that answers are
//! compared as numbers.

use std::collections::HashMap;

use smallvec::SmallVec;
use tagway_core::snapshot::{Deployment, Snapshot};
use tagway_core::tag::Origin;

use crate::accounts::now_millis;
use crate::data::suppose::{Ground, Refused, Request};

/// A configuration.
pub(super) struct Side<'s> {
    pub(super) ground: Ground<'s>,
    /// The time at which both are asked.
    now: i64,
    /// For each of its deployments, the number of its id.
    numbers: Vec<u32>,
    /// Where the deployment of a number stands.
    places: HashMap<u32, usize>,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// These deployments may serve it, by number.
    Served(SmallVec<[u32; 8]>),
    /// None may.
    Refused(Refused),
}

/// The words of a refusal repeat the request: they say nothing about a change.
impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Served(one), Self::Served(other)) => one == other,
            (Self::Refused(one), Self::Refused(other)) => {
                (one.status, one.reason) == (other.status, other.reason)
            }
            _ => false,
        }
    }
}

impl<'s> Side<'s> {
    /// The configuration in force, and the one that shall be.
    pub(super) fn pair(old: &'s Snapshot, new: &'s Snapshot) -> [Self; 2] {
        let mut known: HashMap<&'s str, u32> = HashMap::new();
        let now = now_millis();
        [old, new].map(|snapshot| {
            let ids = snapshot.deployments.iter().map(|deployment| deployment.entry.info.id.as_str());
            let numbers: Vec<u32> = ids
                .map(|id| {
                    let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
                    *known.entry(id).or_insert(next)
                })
                .collect();
            let places = numbers.iter().enumerate().map(|(place, number)| (*number, place)).collect();
            Self { ground: Ground::new(snapshot, &[]), now, numbers, places }
        })
    }

    /// The configuration as it is asked.
    pub(super) fn snapshot(&self) -> &'s Snapshot {
        self.ground.snapshot
    }

    /// The deployment of a number.
    pub(super) fn deployment(&self, number: u32) -> Option<&'s Deployment> {
        self.snapshot().deployments.get(*self.places.get(&number)?)
    }

    /// What becomes of a request that rules have given these tags before, as far as this configuration still has such a
    /// rule.
    pub(super) fn answer(&self, request: &Request<'_>, derived: &[String]) -> Answer {
        self.ask(request, derived).unwrap_or_else(Answer::Refused)
    }

    fn ask(&self, request: &Request<'_>, derived: &[String]) -> Result<Answer, Refused> {
        let mut labels = request.tags(&self.ground, self.now)?;
        labels.had(derived);
        let rules = &self.snapshot().config.tag_rules;
        for tag in derived {
            if rules.iter().any(|rule| rule.add.iter().any(|added| **added == **tag)) {
                labels.tags.push(tag.as_str(), Origin::Rule);
            }
        }
        let plan = request.plan(&self.ground, &labels, &mut None)?;
        let members = plan.candidates.iter().filter_map(|at| plan.group.deployments.get(at));
        let mut numbers: SmallVec<[u32; 8]> =
            members.filter_map(|id| self.numbers.get(id.0 as usize).copied()).collect();
        numbers.sort_unstable();
        Ok(Answer::Served(numbers))
    }
}

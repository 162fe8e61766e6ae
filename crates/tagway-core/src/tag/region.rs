//! Regions: where deployments compute, and where a request must stay. A bound that nothing widens: a deployment whose
//! region is not known is in none.

use super::ask::Ask;
use super::index::GroupIndex;
use super::members::Members;

impl GroupIndex {
    /// The region that leaves none of the group for a request, if one does.
    pub(super) fn foreign_region<'a>(&self, ask: &Ask<'a>) -> Option<&'a str> {
        let mut left = (!ask.regions.is_empty()).then(|| self.all.clone())?;
        ask.regions.iter().copied().find(|region| {
            self.keep_region(region, &mut left);
            left.is_empty()
        })
    }

    /// Keeps only what is in a region.
    pub(super) fn keep_region(&self, region: &str, pool: &mut Members) {
        match self.regions.iter().find(|(name, _)| **name == *region) {
            Some((_, members)) => pool.keep(members.words()),
            None => pool.clear(),
        }
    }
}

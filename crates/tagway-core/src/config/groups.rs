//! The model groups of a configuration with their tag indexes, for whoever asks the real decision about them
//! before any request does.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::model::{Config, Tier};
use crate::tag::{Ask, Decision, DeploymentTags, GroupIndex, Origin, RequestTags, Silent};

/// A model group.
pub(super) struct Group<'c> {
    pub(super) name: &'c str,
    /// Its deployments: places in [`Config::deployments`], in config order.
    pub(super) members: Vec<usize>,
    pub(super) index: GroupIndex,
    /// The tags its deployments carry, each once, sorted.
    pub(super) tags: Vec<&'c str>,
}

/// Every group, in the order of their first deployments.
pub(super) fn of(config: &Config) -> Vec<Group<'_>> {
    let mut members: IndexMap<&str, Vec<usize>> = IndexMap::new();
    for (place, deployment) in config.deployments.iter().enumerate() {
        members.entry(&deployment.model_name).or_default().push(place);
    }
    let group = |(name, members): (_, Vec<usize>)| {
        let deployments: Vec<_> = members.iter().filter_map(|&place| config.deployments.get(place)).collect();
        let indexed: Vec<DeploymentTags<'_>> = deployments
            .iter()
            .map(|deployment| DeploymentTags {
                id: &deployment.info.id,
                tags: &deployment.tags,
                tag_regex: &deployment.tag_regex,
                allow_fail_open: deployment.info.allow_fail_open,
                enable_tag_filtering: deployment.info.enable_tag_filtering,
                tier: deployment.info.tier,
                region: deployment.region.as_deref(),
            })
            .collect();
        let index = GroupIndex::build(&config.router.tags, &config.tags, &indexed);
        let tags: BTreeSet<&str> =
            deployments.iter().flat_map(|deployment| deployment.tags.iter().map(String::as_str)).collect();
        Group { name, members, index, tags: tags.into_iter().collect() }
    };
    members.into_iter().map(group).collect()
}

impl Group<'_> {
    /// The decision for a caller's tags, all deployments being healthy; `None` when it is a refusal.
    pub(super) fn serves(&self, tags: &[&str], tier: Option<Tier>) -> Option<Decision<'_>> {
        let mut request = RequestTags::new();
        tags.iter().for_each(|tag| request.push(*tag, Origin::Body));
        let ask = Ask { tier, ..Ask::new(&request) };
        self.index.decide(&ask, self.index.all(), &mut Silent).ok()
    }

    /// Whether its requests are filtered by tags at all.
    pub(super) fn filters(&self, config: &Config) -> bool {
        let own = self
            .members
            .iter()
            .find_map(|&place| config.deployments.get(place).and_then(|d| d.info.enable_tag_filtering));
        own.unwrap_or(config.router.tags.enable_tag_filtering)
    }
}

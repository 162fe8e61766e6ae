//! All requests there can be with the tags that two configurations know, up to a number of tags; and which of them are
//! decided differently. Prints nothing.

use std::collections::BTreeSet;

use http::HeaderMap;
use serde_json::json;
use tagway_core::tag::name;

use super::super::supposed;
use super::side::{Answer, Side};
use crate::auth::Caller;
use crate::data::suppose::{self, Request};

/// What stands for any tag that a pattern covers, or that nobody knows.
const ANY: &str = "any-other";

/// What is compared.
pub(super) struct Space {
    pub(super) tags: Vec<String>,
    pub(super) models: Vec<String>,
    /// The most tags of a request.
    pub(super) size: usize,
    /// The most combinations of a tag set and a model.
    pub(super) most: u64,
    /// Whether a key may have the tags, too.
    pub(super) inherited: bool,
}

/// A request that is decided differently.
pub(super) struct Change {
    /// The place of its model.
    pub(super) model: usize,
    /// The places of its tags.
    pub(super) tags: Vec<usize>,
    /// Whether they are a key's.
    pub(super) inherited: bool,
    pub(super) old: Answer,
    pub(super) new: Answer,
}

/// What came out.
pub(super) struct Compared {
    pub(super) changes: Vec<Change>,
    /// How many combinations were looked at.
    pub(super) looked_at: u64,
    /// How many there are.
    pub(super) all: u64,
}

/// The tags that one of the configurations knows: those of deployments with the levels above them, the declared ones, and
/// those of rules; and one that neither knows.
pub(super) fn vocabulary(old: &Side<'_>, new: &Side<'_>, markers: bool) -> Vec<String> {
    let mut names = BTreeSet::from([ANY.to_owned()]);
    for side in [old, new] {
        let snapshot = side.snapshot();
        let carried = snapshot.deployments.iter().flat_map(|deployment| &deployment.entry.tags);
        for tag in carried {
            names.insert(tag.clone());
            if snapshot.config.router.tags.hierarchy {
                names.extend(name::levels_above(tag).map(str::to_owned));
            }
        }
        let declared = snapshot.config.tags.iter().map(|tag| tag.name.as_str());
        for tag in &snapshot.config.tags {
            let stem = tag.name.strip_suffix('*').unwrap_or(&tag.name);
            names.extend(tag.terms.values.iter().map(|value| format!("{stem}{value}")));
        }
        let added = snapshot.config.tag_rules.iter().flat_map(|rule| rule.add.iter());
        let added = added.map(|tag| tag.strip_prefix(['!', '&']).unwrap_or(tag));
        let variants = snapshot.trials.iter().flat_map(|trial| &trial.experiment.variants);
        let variants = variants.map(|variant| &*variant.tag);
        names.extend(declared.chain(added).chain(variants).map(|tag| match tag.strip_suffix('*') {
            Some(stem) => format!("{stem}{ANY}"),
            None => tag.to_owned(),
        }));
    }
    let markers = if markers { &["", "!", "&"][..] } else { &[""] };
    names.iter().flat_map(|name| markers.iter().map(move |marker| format!("{marker}{name}"))).collect()
}

/// The models that one of the configurations knows, aliases among them.
pub(super) fn models(old: &Side<'_>, new: &Side<'_>) -> Vec<String> {
    let mut names = BTreeSet::new();
    for side in [old, new] {
        names.extend(side.snapshot().groups.iter().map(|group| group.name.clone()));
        names.extend(side.snapshot().config.router.aliases.iter().map(|alias| alias.name.clone()));
    }
    names.into_iter().collect()
}

impl Space {
    /// How many combinations there are.
    fn all(&self) -> u64 {
        let (mut sets, mut of_size) = (0_u128, 1_u128);
        for size in 0..=self.size.min(self.tags.len()) {
            sets = sets.saturating_add(of_size);
            of_size = of_size.saturating_mul((self.tags.len() - size) as u128) / (size as u128 + 1);
        }
        // No tags are nobody's.
        let ways = if self.inherited { sets.saturating_mul(2) - 1 } else { sets };
        let all = ways.saturating_mul(self.models.len() as u128);
        u64::try_from(all).unwrap_or(u64::MAX)
    }

    /// Asks both configurations, for the smaller sets first.
    pub(super) fn compare(&self, headers: &HeaderMap, old: &Side<'_>, new: &Side<'_>) -> Compared {
        let mut compared = Compared { changes: Vec::new(), looked_at: 0, all: self.all() };
        let mut set: Vec<usize> = Vec::new();
        loop {
            let ways = self.ways(&set);
            let next = ways.len().saturating_mul(self.models.len()) as u64;
            if self.most < compared.looked_at.saturating_add(next) {
                return compared;
            }
            compared.looked_at += next;
            self.ask(&set, ways, headers, [old, new], &mut compared);
            if !self.next(&mut set) {
                return compared;
            }
        }
    }

    /// The next set: of the same size in the order of places, then the first one of the next size.
    fn next(&self, set: &mut Vec<usize>) -> bool {
        let (size, tags) = (set.len(), self.tags.len());
        let movable = (0..size).rev().find(|at| set.get(*at).is_some_and(|place| *place + size < tags + at));
        let (from, first) = match movable {
            Some(at) => (at, set.get(at).map_or(0, |place| place + 1)),
            None if size < self.size.min(tags) => {
                set.push(0);
                (0, 0)
            }
            None => return false,
        };
        for (offset, place) in set.iter_mut().skip(from).enumerate() {
            *place = first + offset;
        }
        true
    }

    /// Whether a set is a caller's, a key's, or both after the other.
    fn ways(&self, set: &[usize]) -> &'static [bool] {
        if self.inherited && !set.is_empty() { &[false, true] } else { &[false] }
    }

    fn ask(
        &self,
        set: &[usize],
        ways: &[bool],
        headers: &HeaderMap,
        sides: [&Side<'_>; 2],
        compared: &mut Compared,
    ) {
        let tags: Vec<&str> = set.iter().filter_map(|at| self.tags.get(*at)).map(String::as_str).collect();
        for &inherited in ways {
            let own = if inherited { &[][..] } else { &tags[..] };
            let owners = inherited.then(|| supposed::key(tags.iter().map(|tag| (*tag).into()).collect()));
            let caller = Caller::supposed(owners.into_iter().collect());
            let body = json!({"model": "", "messages": [], "tags": own}).to_string();
            let Ok(mut request) = Request::read(&caller, headers, suppose::PATH, &body) else { continue };
            for (model, name) in self.models.iter().enumerate() {
                request.ask_for(name);
                let [old, new] = sides.map(|side| side.answer(&request, &[]));
                if old != new {
                    compared.changes.push(Change { model, tags: set.to_vec(), inherited, old, new });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(tags: usize, size: usize) -> Vec<Vec<usize>> {
        let tags = (0..tags).map(|tag| tag.to_string()).collect();
        let space = Space { tags, models: vec!["m".to_owned()], size, most: 0, inherited: false };
        let (mut set, mut all) = (Vec::new(), vec![Vec::new()]);
        while space.next(&mut set) {
            all.push(set.clone());
        }
        assert_eq!(all.len() as u64, space.all());
        all
    }

    #[test]
    fn every_set_comes_once_and_small_ones_come_first() {
        assert_eq!(sets(3, 2), [vec![], vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2]]);
        assert_eq!(sets(0, 2), [Vec::<usize>::new()]);
        assert_eq!(sets(2, 9).len(), 4);
        assert_eq!(sets(12, 4).len(), 1 + 12 + 66 + 220 + 495);
    }
}

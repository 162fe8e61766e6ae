//! An experiment among the model groups of a configuration, and what the variant of a request means for its decision: it
//! narrows what the other tags allow, and neither widens nor refuses anything.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::Experiment;
use crate::snapshot::{Group, GroupId, Named};
use crate::tag::name::{Marker, TagName};
use crate::tag::{GroupIndex, Members, Observer, Origin, RequestTag, RequestTags, Step};

/// Tags that a decision is asked with.
type Tags<'a> = SmallVec<[RequestTag<'a>; 8]>;

/// An experiment that is ready to be made.
#[derive(Debug)]
pub struct Trial {
    /// What the configuration says.
    pub experiment: Experiment,
    /// For each model group, whether it is for its requests.
    groups: Box<[bool]>,
    /// For each variant, its tag as one that must be there, and as one that must not.
    tags: Box<[[RequestTag<'static>; 2]]>,
}

/// The variant a request is in.
#[derive(Debug, Clone, Copy)]
pub struct Assigned<'a> {
    /// The experiment.
    pub trial: &'a Trial,
    /// The place of the variant.
    pub variant: usize,
}

fn tag(text: String) -> Option<RequestTag<'static>> {
    let mut tags = RequestTags::new();
    tags.push(text, Origin::Rule);
    tags.first().cloned()
}

impl Trial {
    /// Experiments among these model groups; `names` are what their models may name.
    pub fn all(
        experiments: Vec<Experiment>,
        groups: &[Group],
        names: &HashMap<Box<str>, Named>,
    ) -> Vec<Self> {
        experiments.into_iter().map(|experiment| Self::new(experiment, groups, names)).collect()
    }

    fn new(experiment: Experiment, groups: &[Group], names: &HashMap<Box<str>, Named>) -> Self {
        let models: Vec<Named> =
            experiment.models.iter().filter_map(|model| names.get(model).copied()).collect();
        let knows = |index: &GroupIndex| experiment.variants.iter().any(|variant| index.knows(&variant.tag));
        let is_for = |(group, at): (&Group, u32)| {
            if experiment.models.is_empty() {
                knows(&group.index)
            } else {
                models.contains(&Named::Group(GroupId(at)))
            }
        };
        let groups = groups.iter().zip(0..).map(is_for).collect();
        let both = experiment.variants.iter().filter_map(|variant| {
            Some([tag(format!("&{}", variant.tag))?, tag(format!("!{}", variant.tag))?])
        });
        Self { groups, tags: both.collect(), experiment }
    }

    /// Whether it is for requests for a model of this group, as they name it.
    pub fn is_for(&self, group: GroupId, model: &str) -> bool {
        self.groups.get(group.0 as usize).is_some_and(|is| *is)
            || self.experiment.models.iter().any(|named| **named == *model)
    }

    /// The variants that a request with these tags may get: none that it excludes.
    ///
    /// # Errors
    /// It carries the tag of this one already.
    pub fn open(&self, tags: &[RequestTag<'_>], prefix: &str) -> Result<Members, usize> {
        let variants = &self.experiment.variants;
        let mut open = Members::all(variants.len());
        for tag in tags {
            let Some(TagName { marker, name, .. }) = TagName::parse(tag.text(), prefix) else { continue };
            let Some(place) = variants.iter().position(|variant| *variant.tag == *name) else { continue };
            if marker != Marker::Excluded {
                return Err(place);
            }
            open.remove(place);
        }
        Ok(open)
    }

    /// The tag of a variant.
    pub fn tag(&self, variant: usize) -> &str {
        self.experiment.variants.get(variant).map_or("", |variant| &variant.tag)
    }
}

/// The tags of a request without those of its variants.
pub fn without<'a>(tags: &[RequestTag<'a>], assigned: &[Assigned<'_>]) -> Tags<'a> {
    let is_variant = |tag: &RequestTag<'_>| assigned.iter().any(|it| it.trial.tag(it.variant) == tag.text());
    tags.iter().filter(|tag| !is_variant(tag)).cloned().collect()
}

/// The same tags, with those of the variants as constraints: a variant goes where its tag is, or where it is nowhere in
/// the group, not to the other variants. Nothing where the group knows no variant's tag.
pub fn narrowed<'a>(index: &GroupIndex, others: &Tags<'a>, assigned: &[Assigned<'_>]) -> Option<Tags<'a>> {
    let mut tags = others.clone();
    for Assigned { trial, variant } in assigned {
        let variants = trial.tags.iter().zip(&trial.experiment.variants).enumerate();
        if index.knows(trial.tag(*variant)) {
            tags.extend(trial.tags.get(*variant).map(|[required, _]| required.clone()));
        } else {
            let known = variants.filter(|(place, (_, other))| place != variant && index.knows(&other.tag));
            tags.extend(known.map(|(_, ([_, excluded], _))| excluded.clone()));
        }
    }
    (others.len() < tags.len()).then_some(tags)
}

/// Listens whether a decision has fallen open: then it is none that a variant may ask for.
#[derive(Debug, Default)]
pub struct FellOpen(pub bool);

impl Observer for FellOpen {
    fn step(&mut self, step: Step<'_>, _: &Members) {
        self.0 |= matches!(step, Step::FailOpen);
    }
}

//! The variants of experiments that a request gets, and whether it is one of those that are mirrored. Whose share it falls
//! into is the core's; here is what sticks of it, and the one tag more.

use std::sync::Arc;

use smallvec::SmallVec;
use tagway_core::experiment::{Assigned, Trial, Unit, within};
use tagway_core::rule::Program;
use tagway_core::snapshot::{Named, Snapshot};
use tagway_core::strategy::By;
use tagway_core::tag::{Members, Origin, RequestTags};
use tagway_core::vocabulary::{self, Objection, Outcome, Setter};

use super::derive::{Asked, Request, tell};
use super::stick::{self, Sticking};
use crate::ramps::{Counts, Ramps};

/// The time at which a request comes, in milliseconds since 1970, and whether it comes at all: for one that is supposed
/// nothing is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: i64,
    pub(crate) supposed: bool,
}

/// The variants a request is in.
#[derive(Default)]
pub(crate) struct Variants<'a> {
    pub(crate) assigned: SmallVec<[Assigned<'a>; 1]>,
    /// For each, whether nothing of the request sticks and nothing was drawn for it.
    pub(crate) guessed: SmallVec<[bool; 1]>,
    /// Where those of ramps are counted.
    pub(crate) counts: SmallVec<[Arc<Counts>; 1]>,
}

/// Gives a request for `model` its variants, and their tags. What its tags say already is left as it is.
pub(crate) fn assign<'a>(
    snapshot: &'a Snapshot,
    ramps: &Ramps,
    asked: &Asked<'_>,
    model: &str,
    moment: Moment,
    tags: &mut RequestTags<'a>,
) -> Variants<'a> {
    let mut variants = Variants::default();
    let mut added: SmallVec<[&'a str; 1]> = SmallVec::new();
    if snapshot.trials.is_empty() {
        return variants;
    }
    // A deployment that is asked for by its id is nobody's variant.
    let Some(Named::Group(group)) = snapshot.find(model) else { return variants };
    let prefix = &snapshot.config.router.tags.prefix;
    for (place, trial) in snapshot.trials.iter().enumerate() {
        if !trial.is_for(group, model) {
            continue;
        }
        let experiment = &trial.experiment;
        let mut open = match trial.open(tags, prefix) {
            Ok(open) => open,
            // Where the tag leads somewhere, it does so by itself; as the tag of those that go nowhere else it means
            // what it means for them.
            Err(variant) => {
                if !snapshot.group(group).index.knows(trial.tag(variant)) {
                    variants.assigned.push(Assigned { trial, variant });
                    variants.guessed.push(false);
                }
                continue;
            }
        };
        if snapshot.vocabulary.binds() {
            keep_sound(&mut open, snapshot, trial, moment.now);
        }
        if open.is_empty() || !applies(snapshot, experiment.when.as_ref(), &experiment.name, asked, tags) {
            continue;
        }
        let unit = unit(experiment.sticky.as_ref(), asked, tags, prefix, moment);
        let running = experiment.ramp.as_ref().zip(ramps.of(place));
        let point = running.map(|(ramp, running)| running.at(ramp, moment.now));
        let Some(variant) = experiment.choose(&open, point.map(|point| point.share), unit) else { continue };
        if let (Some((_, running)), Some(point)) = (running, point) {
            variants.counts.extend(running.counts(point.since, variant));
        }
        variants.assigned.push(Assigned { trial, variant });
        variants.guessed.push(unit == Unit::Supposed);
        added.push(trial.tag(variant));
    }
    for tag in added {
        tags.push(tag, Origin::Rule);
    }
    variants
}

/// A variant whose tag is in quarantine, retired, or not for rules, is nobody's.
fn keep_sound(open: &mut Members, snapshot: &Snapshot, trial: &Trial, now: i64) {
    for place in open.clone().iter() {
        if snapshot.vocabulary.check_put(trial.tag(place), Setter::Rule, now, &mut Deaf).is_err() {
            open.remove(place);
        }
    }
}

/// Hears nothing: whoever sent the request has not chosen the tag.
struct Deaf;

impl vocabulary::Watch for Deaf {
    fn has_room(&mut self, _: &str, _: &str, _: u64) -> bool {
        true
    }

    fn hear(&mut self, _: &Objection, _: Outcome) {}
}

/// Whether a request is among those that a mirror copies.
pub(crate) fn is_among(
    snapshot: &Snapshot,
    mirror: &tagway_core::experiment::Mirror,
    asked: &Asked<'_>,
    tags: &RequestTags<'_>,
    moment: Moment,
) -> bool {
    let prefix = &snapshot.config.router.tags.prefix;
    // The share first: it costs least.
    let unit = unit(mirror.sticky.as_ref(), asked, tags, prefix, moment);
    within(&mirror.name, mirror.share, unit)
        && applies(snapshot, mirror.when.as_ref(), &mirror.name, asked, tags)
}

fn applies(
    snapshot: &Snapshot,
    when: Option<&Program>,
    name: &str,
    asked: &Asked<'_>,
    tags: &RequestTags<'_>,
) -> bool {
    let Some(when) = when else { return true };
    when.holds(&Request::new(snapshot, asked, tags)).unwrap_or_else(|wrong| {
        tell(name, wrong.0);
        false
    })
}

/// What a request is told apart by: what sticks of it; in place of a session it does not name, its user.
fn unit(by: Option<&By>, asked: &Asked<'_>, tags: &RequestTags<'_>, prefix: &str, moment: Moment) -> Unit {
    let Asked { caller, headers, peek, customer, .. } = *asked;
    let sticking = Sticking { caller, headers, peek, customer, tags, prefix };
    let instead = || matches!(by, Some(By::Session)).then(|| stick::key(&By::User, &sticking))?;
    let key = by.and_then(|by| stick::key(by, &sticking).or_else(instead));
    match key {
        Some(key) => Unit::Sticks(key),
        None if moment.supposed => Unit::Supposed,
        None => Unit::Drawn(fastrand::u64(..)),
    }
}

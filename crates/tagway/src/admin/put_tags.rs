//! Tags that a change puts on objects: whether whoever makes the change may set them. What stands on an object already, and
//! what a key hands down to those made with it, is not asked about.

use tagway_core::snapshot::Snapshot;
use tagway_core::vocabulary::{Objection, Outcome, Setter, Watch};

use super::Shared;
use super::actor::Actor;
use super::refusal::Refusal;
use crate::accounts::now_millis;
use crate::objects::{Kind, Object};
use crate::tags::{By, Violations};

/// Tags that are put on objects, with who does so.
#[derive(Debug, Default)]
pub(super) struct PutTags {
    put: Vec<(String, Setter)>,
    handed: Vec<String>,
}

/// Whose say a change of an object is: that of a proxy admin, of an admin of its team or of the team's organization, or
/// of somebody else.
fn setter<T: Object>(actor: &Actor, id: &str, object: &T) -> Setter {
    if actor.is_admin() {
        return Setter::Admin;
    }
    let links = object.links();
    let (team, organization) = match T::KIND {
        Kind::Team => (Some(id), links.organization),
        Kind::Organization => (None, Some(id)),
        _ => (links.team, links.organization),
    };
    let runs = team.is_some_and(|team| actor.is_team_admin(team))
        || organization.is_some_and(|organization| actor.is_org_admin(organization));
    if runs { Setter::TeamAdmin } else { Setter::Key }
}

impl PutTags {
    /// Notes those tags of an object that it did not have.
    pub(super) fn note<T: Object>(&mut self, actor: &Actor, id: &str, before: Option<&T>, after: &T) {
        // A deployment carries tags, and gives none to requests.
        if T::KIND == Kind::Model {
            return;
        }
        let old = before.map(Object::tags).unwrap_or_default();
        let new: Vec<&str> = after.tags().into_iter().filter(|tag| !old.contains(tag)).collect();
        if !new.is_empty() {
            let setter = setter(actor, id, after);
            self.put.extend(new.into_iter().map(|tag| (tag.to_owned(), setter)));
        }
    }

    /// These come from the key of whoever makes the change.
    pub(super) fn handed_down(&mut self, tags: &[&str]) {
        self.handed.extend(tags.iter().map(|tag| (*tag).to_owned()));
    }

    /// Whether all of them may be put there.
    pub(super) fn check(&self, shared: &Shared, actor: &Actor) -> Result<(), Refusal> {
        let current = shared.live.current();
        let vocabulary = &current.snapshot.vocabulary;
        if !vocabulary.binds() {
            return Ok(());
        }
        let mut ear = Ear { shared, by: By::caller(&actor.caller) };
        let now = now_millis();
        for (tag, setter) in self.put.iter().filter(|(tag, _)| !self.handed.contains(tag)) {
            vocabulary.check_put(tag, *setter, now, &mut ear)?;
        }
        Ok(())
    }
}

/// Whether declarations say in so many words that an actor may put all tags on a key that it did not have, and take off
/// those it has no longer.
pub(super) fn granted<T: Object>(snapshot: &Snapshot, actor: &Actor, before: &T, after: &T) -> bool {
    let (old, new) = (before.tags(), after.tags());
    let setter = setter(actor, "", after);
    let added = new.iter().filter(|tag| !old.contains(tag));
    let mut changed = added.chain(old.iter().filter(|tag| !new.contains(tag))).peekable();
    changed.peek().is_some() && changed.all(|tag| snapshot.vocabulary.grants(tag, setter))
}

struct Ear<'a> {
    shared: &'a Shared,
    by: By<'a>,
}

impl Watch for Ear<'_> {
    fn has_room(&mut self, pattern: &str, name: &str, most: u64) -> bool {
        self.shared.values.take(pattern, name, most)
    }

    fn hear(&mut self, objection: &Objection, outcome: Outcome) {
        let violations: &Violations = &self.shared.violations;
        violations.note(objection, outcome, self.by);
    }
}

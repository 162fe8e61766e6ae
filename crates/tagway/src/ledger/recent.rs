//! What the entries of a worker have lately ended with: requests of one kind end alike, and the next one says so instead of
//! saying it all again. Knows places, not files.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use super::frame::Place;
use crate::receipt::Subject;

/// As many are remembered; each takes the place of another one.
const MOST: usize = 256;

/// Subjects, and where they are written.
#[derive(Default)]
pub(super) struct Recent {
    /// Each where its hash leads; none until the first one.
    known: Vec<Option<(Subject, Place)>>,
    state: RandomState,
}

impl Recent {
    /// By what tells most subjects apart: the rest is compared.
    fn slot(&self, subject: &Subject) -> usize {
        let Subject { key, customer, deployment, tags, .. } = subject;
        let hash = self.state.hash_one((key, customer, deployment, tags));
        usize::try_from(hash % MOST as u64).unwrap_or_default()
    }

    /// Where it is written.
    pub(super) fn place_of(&self, subject: &Subject) -> Option<Place> {
        let (known, place) = self.known.get(self.slot(subject))?.as_ref()?;
        (known == subject).then_some(*place)
    }

    /// Remembers where it is written.
    pub(super) fn note(&mut self, subject: Subject, place: Place) {
        let slot = self.slot(&subject);
        self.known.resize_with(MOST, || None);
        if let Some(known) = self.known.get_mut(slot) {
            *known = Some((subject, place));
        }
    }
}

//! Who hears what the vocabulary says of a request's tags: it counts values, notes what is wrong, and keeps the warnings
//! for the answer. Decides nothing.

use std::sync::Arc;

use http::HeaderValue;
use smallvec::SmallVec;
use tagway_core::snapshot::header_value;
use tagway_core::vocabulary::{self, Objection, Outcome, Reason, Why};

use super::violations::{By, Violations};
use crate::auth::Caller;
use crate::seen::{KnownValues, Values};

/// More warnings than these are not told in one answer.
const MOST: usize = 5;
/// Longer tags make no warnings that a header has room for.
const LONGEST: usize = 500;

/// What a worker watches tags with.
pub(crate) struct Watch {
    violations: Arc<Violations>,
    values: KnownValues,
}

impl Watch {
    pub(crate) fn new(violations: Arc<Violations>, values: Arc<Values>) -> Self {
        Self { violations, values: KnownValues::new(values) }
    }

    /// Notes a tag that nobody knows.
    pub(crate) fn unknown(&self, tag: &str, outcome: Outcome, caller: &Caller) {
        let objection = Objection { tag: tag.into(), why: Why::Unknown };
        self.violations.note(&objection, outcome, By::caller(caller));
    }
}

/// Whether a request is one that was made.
#[derive(Clone, Copy)]
pub(crate) enum Watched<'a> {
    /// It is: what is wrong is noted, and values are counted.
    Made(&'a Watch),
    /// It is asked about: what was counted shows, and nothing is noted.
    Asked(&'a Values),
    /// It is supposed, and no gateway has counted anything.
    Supposed,
}

/// Hears what is said of one request.
pub(super) struct Ear<'a> {
    watched: Watched<'a>,
    by: By<'a>,
    warnings: SmallVec<[Box<str>; 2]>,
    more: usize,
}

impl<'a> Ear<'a> {
    pub(super) fn new(watched: Watched<'a>, caller: &'a Caller) -> Self {
        Self { watched, by: By::caller(caller), warnings: SmallVec::new(), more: 0 }
    }

    /// The warnings, as a header tells them.
    pub(super) fn warning(&self) -> Option<HeaderValue> {
        if self.warnings.is_empty() {
            return None;
        }
        let mut text = self.warnings.join(" ");
        if 0 < self.more {
            text.push_str(&format!(" And {} more.", self.more));
        }
        Some(header_value(&text))
    }
}

impl vocabulary::Watch for Ear<'_> {
    fn has_room(&mut self, pattern: &str, name: &str, most: u64) -> bool {
        match self.watched {
            Watched::Made(watch) => watch.values.take(pattern, name, most),
            Watched::Asked(values) => values.might_take(pattern, name, most),
            Watched::Supposed => true,
        }
    }

    fn hear(&mut self, objection: &Objection, outcome: Outcome) {
        if let Watched::Made(watch) = self.watched {
            watch.violations.note(objection, outcome, self.by);
        }
        let ends = matches!(objection.reason(), Reason::Retired | Reason::Retiring | Reason::Quarantined);
        if outcome == Outcome::Refused || !ends {
            return;
        }
        if self.warnings.len() < MOST && objection.tag.len() <= LONGEST {
            self.warnings.push(objection.to_string().into());
        } else {
            self.more += 1;
        }
    }
}

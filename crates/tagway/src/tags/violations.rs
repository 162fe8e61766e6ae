//! What breaks the vocabulary, and what is warned of: counted, remembered for a while, and told in the log now and then. A
//! request waits for nobody here: what cannot be noted at once is counted, and not remembered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tagway_core::vocabulary::{Objection, Outcome, Reason};

use crate::accounts::now_millis;
use crate::auth::Caller;

/// As many are remembered: those of the tags that were met last.
const MOST: usize = 1000;
/// Longer tags are cut.
const LONGEST: usize = 255;
/// The same is told again after so long, in milliseconds …
const AGAIN: i64 = 60_000;
/// … and so many are told in a second.
const TOLD: u64 = 10;

/// Who has sent, or set, a tag.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct By<'a> {
    /// The key's name, or its id.
    pub(crate) key: &'a str,
    /// The team's.
    pub(crate) team: &'a str,
}

impl<'a> By<'a> {
    pub(crate) fn caller(caller: &'a Caller) -> Self {
        let Some(bearer) = caller.bearer() else { return Self::default() };
        let team = caller.alias_of(tagway_core::tag::Origin::Team).or(bearer.team_id.as_deref());
        Self { key: bearer.alias.as_deref().unwrap_or(&bearer.id), team: team.unwrap_or_default() }
    }
}

/// What was wrong with a tag, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    /// The tag as it was written.
    pub(crate) tag: Box<str>,
    pub(crate) reason: Reason,
    pub(crate) outcome: Outcome,
    pub(crate) count: u64,
    /// Milliseconds since 1970.
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    /// What was said last.
    pub(crate) message: Box<str>,
    /// Whose it was last: the key's name or id, and the team's; empty where there is none.
    pub(crate) key: Box<str>,
    pub(crate) team: Box<str>,
    told_at: i64,
}

/// What breaks the vocabulary.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    counts: [[AtomicU64; Outcome::ALL.len()]; Reason::ALL.len()],
    recent: Mutex<Recent>,
    /// The second in which something was told last, and how often.
    told: AtomicU64,
}

#[derive(Debug, Default)]
struct Recent {
    by_tag: HashMap<Box<str>, Vec<Violation>>,
    count: usize,
}

impl Violations {
    /// Notes one.
    pub(crate) fn note(&self, objection: &Objection, outcome: Outcome, by: By<'_>) {
        self.note_at(objection, outcome, by, now_millis());
    }

    fn note_at(&self, objection: &Objection, outcome: Outcome, by: By<'_>, now: i64) {
        let reason = objection.reason();
        self.counts[reason as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
        let tag = &objection.tag[..objection.tag.floor_char_boundary(LONGEST)];
        let Ok(mut recent) = self.recent.try_lock() else { return };
        let due = recent.note(tag, objection, outcome, by, now);
        drop(recent);
        if due && self.may_tell(now) {
            let By { key, team } = by;
            let (reason, outcome) = (reason.as_str(), outcome.as_str());
            tracing::warn!(target: "tagway::tags", tag, reason, outcome, key, team, "a tag breaks the vocabulary");
        }
    }

    fn may_tell(&self, now: i64) -> bool {
        let second = now.unsigned_abs() / 1000;
        let counted = |last: u64| {
            let count = if last / (TOLD + 1) == second { last % (TOLD + 1) } else { 0 };
            (count < TOLD).then_some(second * (TOLD + 1) + count + 1)
        };
        self.told.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).is_ok()
    }

    /// How many there were.
    pub(crate) fn told(&self) -> impl Iterator<Item = (Reason, Outcome, u64)> {
        let all = Reason::ALL.into_iter().flat_map(|reason| Outcome::ALL.map(|outcome| (reason, outcome)));
        all.map(|(reason, outcome)| {
            let count = &self.counts[reason as usize][outcome as usize];
            (reason, outcome, count.load(Ordering::Relaxed))
        })
    }

    /// The last ones, the latest first.
    pub(crate) fn recent(&self) -> Vec<Violation> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Violation> = recent.by_tag.values().flatten().cloned().collect();
        drop(recent);
        all.sort_by(|one, other| {
            (other.last_at, &one.tag, one.reason).cmp(&(one.last_at, &other.tag, other.reason))
        });
        all
    }
}

impl Recent {
    /// Notes one; says whether it is due to be told.
    fn note(&mut self, tag: &str, objection: &Objection, outcome: Outcome, by: By<'_>, now: i64) -> bool {
        let reason = objection.reason();
        let same = |known: &&mut Violation| known.reason == reason && known.outcome == outcome;
        if let Some(known) = self.by_tag.get_mut(tag).and_then(|all| all.iter_mut().find(same)) {
            known.count += 1;
            known.last_at = now;
            if *known.key != *by.key {
                known.key = by.key.into();
            }
            if *known.team != *by.team {
                known.team = by.team.into();
            }
            let due = AGAIN <= now - known.told_at;
            if due {
                known.told_at = now;
            }
            return due;
        }
        if MOST <= self.count {
            self.forget_one();
        }
        let mut message = objection.to_string();
        message.truncate(message.floor_char_boundary(4 * LONGEST));
        let violation = Violation {
            tag: tag.into(),
            reason,
            outcome,
            count: 1,
            first_at: now,
            last_at: now,
            message: message.into(),
            key: by.key.into(),
            team: by.team.into(),
            told_at: now,
        };
        self.count += 1;
        self.by_tag.entry(tag.into()).or_default().push(violation);
        true
    }

    /// Forgets what is known of the tag that was met longest ago.
    fn forget_one(&mut self) {
        let last = |all: &[Violation]| all.iter().map(|violation| violation.last_at).max();
        let oldest = self.by_tag.iter().min_by_key(|(_, all)| last(all)).map(|(tag, _)| tag.clone());
        if let Some(gone) = oldest.and_then(|tag| self.by_tag.remove(&tag)) {
            self.count -= gone.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use tagway_core::vocabulary::Why;

    use super::*;

    fn unknown(tag: &str) -> Objection {
        Objection { tag: tag.into(), why: Why::Unknown }
    }

    #[test]
    fn a_flood_of_tags_is_counted_and_the_latest_are_remembered() {
        let violations = Violations::default();
        for at in 0..3000_i64 {
            let tag = format!("flood-{at}");
            violations.note_at(&unknown(&tag), Outcome::Observed, By::default(), at);
            violations.note_at(&unknown("steady"), Outcome::Refused, By { key: "k", team: "t" }, at);
        }
        let recent = violations.recent();
        assert_eq!(recent.len(), MOST);
        let steady = recent.iter().find(|violation| &*violation.tag == "steady").unwrap();
        assert_eq!((steady.count, steady.first_at, steady.last_at), (3000, 0, 2999));
        assert_eq!((&*steady.key, &*steady.team), ("k", "t"));
        assert!(recent.iter().all(|violation| 1900 < violation.last_at));
        let told: Vec<_> = violations.told().filter(|(.., count)| 0 < *count).collect();
        assert_eq!(
            told,
            [(Reason::Unknown, Outcome::Refused, 3000), (Reason::Unknown, Outcome::Observed, 3000)]
        );
    }

    #[test]
    fn long_tags_are_cut_and_the_log_is_told_now_and_then() {
        let violations = Violations::default();
        let long = "é".repeat(1000);
        let told = (0..100).filter(|at| violations.may_tell(1000 + at)).count() as u64;
        assert_eq!(told, TOLD);
        violations.note_at(&unknown(&long), Outcome::Observed, By::default(), 5);
        assert_eq!(violations.recent().first().map(|it| it.tag.len()), Some(254));
        let due = |at: i64| {
            let mut recent = violations.recent.lock().unwrap();
            recent.note("a", &unknown("a"), Outcome::Observed, By::default(), at)
        };
        assert_eq!([0, 1, AGAIN - 1, AGAIN, AGAIN + 1].map(due), [true, false, false, true, false]);
    }
}

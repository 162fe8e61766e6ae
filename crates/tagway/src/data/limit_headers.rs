//! The headers that tell limits of rate, and what is left of them: `x-ratelimit-team-remaining-requests`. Answers under the
//! same limits differ in what is left alone: their headers are copied, since to put each into a map by its name takes
//! longer than all else about limits.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use tagway_core::tag::Origin;

use crate::meter::Unit;

/// A worker remembers the headers of so many sets of limits; the oldest make room.
const MOST: usize = 32;

/// A limit, and what is left of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) whose: Whose,
    pub(super) unit: Unit,
    pub(super) limit: u64,
    pub(super) left: u64,
}

/// Whose limits a header is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Key,
    ModelPerKey,
    Team,
    ModelPerTeam,
    Project,
    ModelPerProject,
    Organization,
    User,
    Customer,
    Tag,
}

impl Whose {
    const ALL: [Self; 10] = [
        Self::Key,
        Self::ModelPerKey,
        Self::Team,
        Self::ModelPerTeam,
        Self::Project,
        Self::ModelPerProject,
        Self::Organization,
        Self::User,
        Self::Customer,
        Self::Tag,
    ];

    /// The owner of limits, of one model or of all.
    pub(super) fn new(origin: Origin, by_model: bool) -> Self {
        match (origin, by_model) {
            (Origin::Key | Origin::Jwt, false) => Self::Key,
            (Origin::Key | Origin::Jwt, true) => Self::ModelPerKey,
            (Origin::Team, false) => Self::Team,
            (Origin::Team, true) => Self::ModelPerTeam,
            (Origin::Project, false) => Self::Project,
            (Origin::Project, true) => Self::ModelPerProject,
            (Origin::Organization, _) => Self::Organization,
            (Origin::User, _) => Self::User,
            (Origin::Customer, _) => Self::Customer,
            (
                Origin::Header | Origin::Body | Origin::Metadata | Origin::LitellmMetadata | Origin::Rule,
                _,
            ) => Self::Tag,
        }
    }

    /// LiteLLM's name of it in headers.
    fn as_str(self) -> &'static str {
        match self {
            Self::Key => "api_key",
            Self::ModelPerKey => "model_per_key",
            Self::Team => "team",
            Self::ModelPerTeam => "model_per_team",
            Self::Project => "project",
            Self::ModelPerProject => "model_per_project",
            Self::Organization => "organization",
            Self::User => "user",
            Self::Customer => "end_user",
            Self::Tag => "tag",
        }
    }
}

/// The names of all headers about limits: of the limit, and of what is left of it.
static NAMES: LazyLock<Vec<[[HeaderName; 2]; 3]>> = LazyLock::new(|| {
    let name = |whose: Whose, what: &str, unit: Unit| {
        let name = format!("x-ratelimit-{}-{what}-{}", whose.as_str(), unit.as_str());
        // Kept for good, so that its copies in answers are counted nowhere: workers would pass the count around.
        HeaderName::from_static(Box::leak(name.into_boxed_str()))
    };
    let units = [Unit::Requests, Unit::Tokens, Unit::InProgress];
    let of = |whose| units.map(|unit| ["limit", "remaining"].map(|what| name(whose, what, unit)));
    Whose::ALL.map(of).into()
});

thread_local! {
    static KNOWN: RefCell<VecDeque<Head>> = const { RefCell::new(VecDeque::new()) };
}

/// The headers of a set of limits.
struct Head {
    limits: SmallVec<[(Whose, Unit, u64); 8]>,
    headers: HeaderMap,
    /// Of which limit each header tells what is left, where it does: by their places.
    left: SmallVec<[Option<u8>; 16]>,
}

impl Head {
    fn new(told: &[Told]) -> Self {
        let mut headers = HeaderMap::with_capacity(2 * told.len());
        for Told { whose, unit, limit, left } in told {
            let [names_limit, names_left] = &NAMES[*whose as usize][*unit as usize];
            headers.insert(names_limit, HeaderValue::from(*limit));
            headers.insert(names_left, HeaderValue::from(*left));
        }
        let place = |name: &HeaderName| {
            let tells = |told: &Told| NAMES[told.whose as usize][told.unit as usize][1] == *name;
            told.iter().position(tells).and_then(|place| u8::try_from(place).ok())
        };
        let left = headers.keys().map(place).collect();
        Self { limits: told.iter().map(|told| (told.whose, told.unit, told.limit)).collect(), headers, left }
    }

    fn is_of(&self, told: &[Told]) -> bool {
        let limits = told.iter().map(|told| (told.whose, told.unit, told.limit));
        self.limits.len() == told.len() && limits.eq(self.limits.iter().copied())
    }

    /// The same headers with what is left now.
    fn with(&self, told: &[Told], room: usize) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.reserve(room.saturating_sub(headers.len()));
        for (value, place) in headers.values_mut().zip(&self.left) {
            if let Some(told) = place.and_then(|place| told.get(usize::from(place))) {
                *value = HeaderValue::from(told.left);
            }
        }
        headers
    }
}

/// The headers of these limits, each told once, with room for others.
pub(super) fn head(told: &[Told], room: usize) -> HeaderMap {
    KNOWN.with_borrow_mut(|known| {
        if let Some(head) = known.iter().find(|head| head.is_of(told)) {
            return head.with(told, room);
        }
        known.truncate(MOST - 1);
        let head = Head::new(told);
        let headers = head.with(told, room);
        known.push_front(head);
        headers
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(whose: Whose, unit: Unit, limit: u64, left: u64) -> Told {
        Told { whose, unit, limit, left }
    }

    fn texts(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let mut texts: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        texts.sort_unstable();
        texts
    }

    #[test]
    fn limits_that_were_told_before_are_told_with_what_is_left_now() {
        for round in 0..3 {
            // More sets than are remembered.
            for limit in 50..50 + 2 * MOST as u64 {
                let team = told(Whose::Team, Unit::Tokens, 7, 5 - round);
                let headers = head(&[told(Whose::Key, Unit::Requests, limit, limit - round), team], 40);
                let (limit, left, tokens) =
                    (limit.to_string(), (limit - round).to_string(), (5 - round).to_string());
                assert_eq!(
                    texts(&headers),
                    [
                        ("x-ratelimit-api_key-limit-requests", limit.as_str()),
                        ("x-ratelimit-api_key-remaining-requests", &left),
                        ("x-ratelimit-team-limit-tokens", "7"),
                        ("x-ratelimit-team-remaining-tokens", &tokens),
                    ]
                );
            }
        }
    }
}

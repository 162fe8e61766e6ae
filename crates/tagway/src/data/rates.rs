//! Whether the limits of the caller's key, of everything above it and of the request's tags let one more request in
//! now, and what is left of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use smallvec::SmallVec;
use tagway_core::access::Policy;
use tagway_core::config::Rates;
use tagway_core::limits::LimitedTags;
use tagway_core::tag::name::{Marker, TagName};
use tagway_core::tag::{Origin, RequestTag};

use super::failure::Failure;
use super::limit_headers::{self, Told, Whose};
use crate::auth::Caller;
use crate::meter::{self, Kept, Meter, Metered, NamedMeters, Permit, Reached, micros};

/// A limit that keeps a request out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Rate limit exceeded for {whose}: {id}. Limit type: {}. Current limit: {}, Remaining: 0. Try again in {} seconds.",
    .reached.what.as_str(), .reached.limit, crate::route::whole_seconds(.reached.wait)
)]
pub(crate) struct OverLimit {
    whose: &'static str,
    id: String,
    reached: Reached,
}

impl OverLimit {
    /// How long until another request may be let in.
    pub(crate) fn wait(&self) -> Duration {
        self.reached.wait
    }
}

/// The permits of one request, each with whose limits it is about; dropping them ends it.
#[derive(Debug, Default)]
pub(crate) struct Permits(SmallVec<[(Whose, Permit); 2]>);

impl Permits {
    /// Counts the tokens the request has used.
    pub(crate) fn used(&self, tokens: u64) {
        let now = micros(Instant::now());
        self.0.iter().for_each(|(_, permit)| permit.used(tokens, now));
    }

    /// The headers of an answer, with room for so many others: they tell the limits and what is left of them. Of several
    /// limits with one name, tags' for example, the one of which least is left.
    pub(crate) fn head(&self, room: usize) -> HeaderMap {
        if self.0.is_empty() {
            return HeaderMap::with_capacity(room);
        }
        let now = micros(Instant::now());
        let mut told: SmallVec<[Told; 8]> = SmallVec::new();
        for (whose, permit) in &self.0 {
            for (unit, limit, left) in permit.left(now) {
                let new = Told { whose: *whose, unit, limit, left };
                match told.iter_mut().find(|known| (known.whose, known.unit) == (new.whose, new.unit)) {
                    Some(known) if left < known.left => *known = new,
                    Some(_) => {}
                    None => told.push(new),
                }
            }
        }
        limit_headers::head(&told, room)
    }
}

/// A limit that concerns a request.
struct Concerned<'a> {
    whose: Whose,
    owner: &'static str,
    id: &'a str,
    meter: Arc<Meter>,
    rates: Rates,
}

/// Lets a request for `model` with these tags in.
///
/// # Errors
/// The first limit that is reached; what other limits gave is given back, requests a minute excepted.
pub(crate) async fn admit(
    caller: &Caller,
    model: &str,
    tags: &[RequestTag<'_>],
    limited: &Limited<'_>,
    now: Instant,
) -> Result<Permits, Failure> {
    let all = limited.all(caller, model, tags);
    let mut permits = Permits::default();
    if all.is_empty() {
        return Ok(permits);
    }
    let now = micros(now);
    if 1 < all.len() {
        meter::ask_together(all.iter().map(|of| (&of.meter, of.rates)), now).await;
    }
    for Concerned { whose, owner, id, meter, rates } in all {
        match meter::admit(&meter, rates, now).await {
            Ok(permit) => permits.0.push((whose, permit)),
            Err(Kept::Reached(reached)) => {
                return Err(OverLimit { whose: owner, id: id.to_owned(), reached }.into());
            }
            Err(Kept::Lost(_)) => return Err(Failure::Uncounted),
        }
    }
    Ok(permits)
}

/// The names of a request's tags. What it excludes it does not use.
pub(super) fn names<'a>(tags: &'a [RequestTag<'_>], prefix: &str) -> SmallVec<[&'a str; 8]> {
    let names = tags.iter().filter_map(|tag| TagName::parse(tag.text(), prefix));
    let mut names: SmallVec<[&str; 8]> =
        names.filter(|tag| tag.marker != Marker::Excluded).map(|tag| tag.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The limits that the configuration gives tags and keys, and what was used of them.
pub(crate) struct Limited<'a> {
    pub(crate) tags: &'a LimitedTags,
    pub(crate) meters: &'a Arc<NamedMeters>,
    /// How many requests a key without a limit of its own may have in progress.
    pub(crate) key_places: Option<u64>,
    /// The customer, and the limits it has unless there are some of its own.
    pub(crate) customer: Option<(&'a str, Rates)>,
    pub(crate) default_meters: &'a Arc<NamedMeters>,
    /// The router's `tag_routing_prefix`.
    pub(crate) prefix: &'a str,
}

impl<'a> Limited<'a> {
    /// All limits that concern a request.
    fn all<'r>(
        &'r self,
        caller: &'r Caller,
        model: &str,
        tags: &'r [RequestTag<'_>],
    ) -> SmallVec<[Concerned<'r>; 2]>
    where
        'a: 'r,
    {
        let mut all = SmallVec::new();
        for (policy, limits) in caller.limits() {
            all.extend(limits.iter().filter(|metered| metered.concerns(model)).map(|metered| Concerned {
                whose: Whose::new(policy.origin, metered.model.is_some()),
                owner: policy.origin.as_str(),
                id: &policy.id,
                meter: Arc::clone(&metered.meter),
                rates: metered.rates,
            }));
        }
        if let Some(places) = self.key_places
            && let Some(bearer) = caller.bearer()
            && !bearer.limits.iter().any(|own| own.model.is_none() && own.rates.in_progress.is_some())
        {
            let rates = Rates { in_progress: Some(places), ..Rates::default() };
            all.push(self.by_default(bearer.policy.origin, &bearer.id, rates));
        }
        if let Some((id, rates)) = self.customer {
            let own = |(policy, limits): (&Policy, &[Metered])| {
                policy.origin == Origin::Customer && limits.iter().any(|own| own.model.is_none())
            };
            if !caller.limits().any(own) {
                all.push(self.by_default(Origin::Customer, id, rates));
            }
        }
        if !self.tags.is_empty() {
            for tag in names(tags, self.prefix) {
                all.extend(self.tags.of(tag).map(|(declared, rates)| Concerned {
                    whose: Whose::Tag,
                    owner: "tag",
                    id: tag,
                    meter: self.meters.of_tag(declared, tag),
                    rates,
                }));
            }
        }
        all
    }

    /// The limits that an owner has by default.
    fn by_default<'r>(&self, origin: Origin, id: &'r str, rates: Rates) -> Concerned<'r> {
        let owner = origin.as_str();
        let meter = self.default_meters.of(&format!("{owner} {id}"));
        Concerned { whose: Whose::new(origin, false), owner, id, meter, rates }
    }
}

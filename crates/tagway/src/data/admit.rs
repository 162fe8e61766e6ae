//! Whether the gateway takes one more request: while it serves as many as it may, the more important ones wait for a
//! place and the others are turned away. Knows the words for it; the counting is done in [`crate::places`].

use std::sync::Arc;

use tagway_core::priority::Admission;
use tagway_core::tag::RequestTags;

use super::failure::Failure;
use super::rates::names;
use crate::auth::Caller;
use crate::live::Current;
use crate::places::{Entered, Place, Places, Shed};

/// A request that is let in to be read, and has no place yet.
pub(crate) struct Door<'a> {
    rules: &'a Admission,
    prefix: &'a str,
    places: &'a Arc<Places>,
    entered: Entered,
}

/// Lets a request in to be read; `None` where requests in progress have no limit.
///
/// # Errors
/// It would be turned away whatever it says.
pub(crate) fn enter<'a>(
    places: &'a Arc<Places>,
    current: &'a Current,
    caller: &Caller,
) -> Result<Option<Door<'a>>, Failure> {
    let Some(rules) = &current.snapshot.admission else { return Ok(None) };
    let prefix = current.snapshot.config.router.tags.prefix.as_str();
    let mut inherited = RequestTags::new();
    for policy in caller.policies() {
        policy.tags.iter().for_each(|tag| inherited.push(&**tag, policy.origin));
    }
    inherited.rename(&current.snapshot.aliases, prefix);
    let best = rules.best(names(&inherited, prefix));
    let entered = places.enter(rules, best).map_err(|_| busy(places))?;
    Ok(Some(Door { rules, prefix, places, entered }))
}

impl Door<'_> {
    /// Takes a place for the request, now that all of its tags are known.
    ///
    /// # Errors
    /// There was none in time.
    pub(crate) async fn admit(self, tags: &RequestTags<'_>) -> Result<Place, Failure> {
        let priority = self.rules.priority(names(tags, self.prefix));
        let place = self.places.take(self.rules, priority).await;
        // As long as it waits, its body is in memory.
        drop(self.entered);
        place.map_err(|_: Shed| busy(self.places))
    }
}

fn busy(places: &Places) -> Failure {
    Failure::Busy { taken: places.taken(), queued: places.queued() }
}

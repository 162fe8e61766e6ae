//! A provider's headers on their way to the client: each under `llm_provider-`, its rate limits also under their
//! own names. Names with the prefix are made once and kept, since providers send the same ones every time.

use std::cell::RefCell;
use std::collections::HashMap;

use http::{HeaderMap, HeaderName};

use super::names;

/// Names kept by a thread; a provider that makes up names cannot grow it further.
const KEPT: usize = 512;

thread_local! {
    static PREFIXED: RefCell<HashMap<HeaderName, HeaderName>> = RefCell::new(HashMap::new());
}

const LIMITS: [HeaderName; 6] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
/// The first of [`LIMITS`] that only streams show, as in LiteLLM.
const RESETS: usize = 4;

/// Copies what clients may see of a provider's headers.
pub(crate) fn copy(from: &HeaderMap, to: &mut HeaderMap, stream: bool) {
    for (name, value) in from {
        if let Some(name) = prefixed(name) {
            to.append(name, value.clone());
        }
    }
    let shown = if stream { LIMITS.len() } else { RESETS };
    for name in &LIMITS[..shown] {
        if let Some(value) = from.get(name) {
            to.insert(name.clone(), value.clone());
        }
    }
    if let Some(id) = from.get(&names::X_REQUEST_ID) {
        to.insert(&names::REQUEST_ID, id.clone());
        to.insert(&names::PROVIDER_REQUEST_ID, id.clone());
    }
}

fn prefixed(name: &HeaderName) -> Option<HeaderName> {
    PREFIXED.with_borrow_mut(|kept| {
        if let Some(known) = kept.get(name) {
            return Some(known.clone());
        }
        let made = HeaderName::try_from(format!("llm_provider-{name}")).ok()?;
        if kept.len() < KEPT {
            kept.insert(name.clone(), made.clone());
        }
        Some(made)
    })
}

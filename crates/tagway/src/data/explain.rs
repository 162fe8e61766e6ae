//! `x-tagway-route`: how a request was routed, in one header line, for a caller who asks for it.

use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tagway_core::snapshot::{Deployment, header_value};

use super::names;
use crate::route::Trail;

/// A header must fit the buffers of proxies on the way.
const LONGEST: usize = 4096;

/// Whether the caller sends `x-tagway-explain: true`.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(&names::TAGWAY_EXPLAIN).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Leaves nothing in a trail but what served, or could have: which deployments others have is nobody's business but
/// the admin's, who has `/route/explain`.
pub(crate) fn only_candidates(trail: &mut Trail) {
    for hop in trail.iter_mut().flatten() {
        hop.explanation.deployments.retain(|verdict| verdict.kept);
    }
}

/// The header's value: JSON with the decision of each hop, and the deployment that answered. Shortened to the
/// outcome where the whole would be too long.
pub(crate) fn header(trail: &Trail, chosen: Option<&Deployment>) -> Option<HeaderValue> {
    let hops = trail.as_ref()?;
    let deployment = chosen.map(|chosen| chosen.entry.info.id.as_str());
    let whole = json!({"deployment": deployment, "hops": hops}).to_string();
    if whole.len() <= LONGEST {
        return Some(header_value(&whole));
    }
    let outcomes: Vec<_> = hops
        .iter()
        .map(|hop| json!({"model_group": hop.model_group, "steps": hop.explanation.steps, "shortened": true}))
        .collect();
    let short = json!({"deployment": deployment, "hops": outcomes}).to_string();
    let short = if short.len() <= LONGEST {
        short
    } else {
        json!({"deployment": deployment, "shortened": true}).to_string()
    };
    Some(header_value(&short))
}

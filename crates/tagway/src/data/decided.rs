//! What is kept of how a request was routed: of a sample, and of each that was refused, so that it can be asked for
//! later by its call id. Bounded; decides nothing about the request.

use serde_json::{Value, json};
use tagway_core::config::Config;

use crate::route::{Hop, Trail, Wanted};

/// No more bytes are kept.
const MOST: usize = 16 << 10;
/// Where that is not enough, so many deployments of each group are.
const FEW: usize = 20;
/// Characters of a User-Agent that are kept.
const LONGEST: usize = 256;

/// Whether a request is one of the sample.
pub(super) fn sampled(config: &Config) -> bool {
    let share = config.tag_settings.sample;
    0.0 < share && fastrand::f64() < share
}

/// The decisions of a request, as JSON; nothing where none were noted.
pub(super) fn text(trail: &Trail, wanted: &Wanted<'_>) -> Option<Box<str>> {
    let hops = trail.as_ref().filter(|hops| !hops.is_empty())?;
    let agent = wanted.user_agent.map(|agent| agent.chars().take(LONGEST).collect::<String>());
    let whole = json!({"user_agent": agent, "hops": hops}).to_string();
    if whole.len() <= MOST {
        return Some(whole.into());
    }
    let hops: Vec<Value> = hops.iter().map(shortened).collect();
    let short = json!({"user_agent": agent, "hops": hops, "shortened": true}).to_string();
    if short.len() <= MOST {
        return Some(short.into());
    }
    Some(json!({"user_agent": agent, "hops": [], "shortened": true}).to_string().into())
}

/// A decision with few of its deployments: those that were kept go first.
fn shortened(hop: &Hop) -> Value {
    let explained = &hop.explanation;
    let all = &explained.deployments;
    let kept = all.iter().filter(|verdict| verdict.kept);
    let few: Vec<_> = kept.chain(all.iter().filter(|verdict| !verdict.kept)).take(FEW).collect();
    json!({
        "model_group": hop.model_group,
        "strategy": hop.strategy,
        "filtering": explained.filtering,
        "filtering_by": explained.filtering_by,
        "tags": explained.tags,
        "steps": explained.steps,
        "fail_open": explained.fail_open,
        "deployments": few,
        "deployments_left_out": all.len() - few.len(),
    })
}

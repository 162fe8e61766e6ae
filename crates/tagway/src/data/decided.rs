//! What is kept of how a request was routed: of a sample, and of each that was refused, so that it can be asked for
//! later by its call id. Bounded; decides nothing about the request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use tagway_core::config::Config;
use tagway_core::snapshot::Snapshot;

use super::failure::Failure;
use crate::accounts::now_millis;
use crate::health::Board;
use crate::route::{self, Hop, Trail, Wanted};

/// No more bytes are kept.
const MOST: usize = 16 << 10;
/// Where that is not enough, so many deployments of each group are.
const FEW: usize = 20;
/// Characters of a User-Agent that are kept.
const LONGEST: usize = 256;

/// Refusals explained within a second: more of them are clients that try over and over, and say the same.
const REFUSALS: u64 = 100;
/// The second of the last refusal that was explained, and how many there were in it.
static EXPLAINED: AtomicU64 = AtomicU64::new(0);

/// Whether a request is one of the sample.
pub(super) fn is_sampled(config: &Config) -> bool {
    let share = config.tag_settings.sample;
    0.0 < share && fastrand::f64() < share
}

/// How a request was routed, as JSON: the decisions noted, or the one that refused it.
pub(super) fn text(
    snapshot: &Snapshot,
    board: &Board,
    wanted: &Wanted<'_>,
    trail: &Trail,
    failure: Option<&Failure>,
) -> Option<Box<str>> {
    if let Some(hops) = trail {
        return written(hops, wanted);
    }
    if !matches!(failure, Some(Failure::NoRoute(_))) || !has_room() {
        return None;
    }
    // Nobody listened when it was refused: it is decided once more, and told.
    let mut again: Trail = Some(Vec::new());
    let _ = route::plan(snapshot, board, wanted, Instant::now(), &mut again);
    written(&again?, wanted)
}

fn has_room() -> bool {
    let second = now_millis().unsigned_abs() / 1000;
    let counted = |last: u64| {
        let count = if last / (REFUSALS + 1) == second { last % (REFUSALS + 1) } else { 0 };
        (count < REFUSALS).then_some(second * (REFUSALS + 1) + count + 1)
    };
    EXPLAINED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).is_ok()
}

fn written(hops: &[Hop], wanted: &Wanted<'_>) -> Option<Box<str>> {
    if hops.is_empty() {
        return None;
    }
    let agent = wanted.user_agent.map(|agent| agent.chars().take(LONGEST).collect::<String>());
    let whole = json!({"user_agent": agent, "hops": hops}).to_string();
    if whole.len() <= MOST {
        return Some(whole.into());
    }
    let few: Vec<Value> = hops.iter().map(shortened).collect();
    let short = json!({"user_agent": agent, "hops": few, "shortened": true}).to_string();
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

//! How deployments are, as `/model/info` and `/model_group/info` show it: healthy, cooling down or unhealthy, why, since
//! when and for how long, and what the last health check has shown.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tagway_core::snapshot::{Deployment, DeploymentId, Group};

use crate::health::{Board, Outcome, Standing};
use crate::live::Current;

/// How one deployment is.
pub(super) fn of_deployment(board: &Board, id: DeploymentId) -> Value {
    let state = board.state(id, Instant::now());
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("state", state.standing.name().into());
    if let Some(why) = state.why {
        put("why", why.into());
    }
    if let Some(since) = state.since.and_then(|ago| SignedDuration::try_from(ago).ok()) {
        put("since", Timestamp::now().saturating_sub(since).map_or(Value::Null, |at| at.to_string().into()));
    }
    if let Some(left) = state.left {
        put("seconds_left", left.as_secs_f64().into());
    }
    if let Some(last) = board.last_check(id) {
        put("checked_at", last.at.to_string().into());
        put("check_ms", millis(&last));
    }
    Value::Object(shown)
}

/// How those of a group are that may be shown: how many in which state, and LiteLLM's fields of the last check.
pub(super) fn of_group(
    current: &Current,
    group: &Group,
    is_shown: &impl Fn(&Deployment) -> bool,
) -> Vec<(&'static str, Value)> {
    let Current { snapshot, board, .. } = current;
    let seen = || group.deployments.iter().filter(|id| is_shown(snapshot.deployment(**id)));
    let now = Instant::now();
    let mut states = Map::new();
    for standing in Standing::ALL {
        let count = seen().filter(|id| board.state(**id, now).standing == standing).count();
        if 0 < count {
            states.insert(standing.name().to_owned(), count.into());
        }
    }
    // The best of them: it is what a request would find.
    let best =
        seen().filter_map(|id| board.last_check(*id)).max_by_key(|last| (last.answer.is_ok(), last.ended));
    let (status, took, at) = match &best {
        None => (Value::Null, Value::Null, Value::Null),
        Some(last) => {
            let status = if last.answer.is_ok() { "healthy" } else { "unhealthy" };
            (status.into(), millis(last), last.at.to_string().into())
        }
    };
    vec![
        ("health_status", status),
        ("health_response_time", took),
        ("health_checked_at", at),
        ("deployment_states", Value::Object(states)),
    ]
}

fn millis(outcome: &Outcome) -> Value {
    json!((outcome.took.as_secs_f64() * 1e6).round() / 1e3)
}

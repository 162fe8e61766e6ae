//! Whether a deployment takes one more call: what its budget, its provider's and its own limits have left. A call may
//! wait for a place where only calls in progress keep it out. Knows the words for a deployment that is full.

use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tagway_core::snapshot::DeploymentId;
use tagway_core::tag::Members;

use super::attempt::{Around, Tries};
use super::budgets;
use super::failure::Failure;
use crate::accounts::Exceeded;
use crate::capacity::{Full, Seat};
use crate::meter::{Reached, Unit};
use crate::route::Plan;

/// What keeps a call out of a deployment.
#[derive(Debug, Clone)]
pub(super) enum NoRoom {
    Budget(Exceeded),
    Limit(Full),
}

/// All deployments that may serve a request have reached their limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("litellm.RateLimitError: {message}")]
pub(crate) struct AllFull {
    message: String,
    /// The first of them may have room again after this time.
    pub(super) wait: Duration,
}

/// Takes what a call of a deployment needs of budgets and limits.
///
/// # Errors
/// Something has nothing left.
pub(super) async fn take(around: &Around<'_>, tries: &mut Tries, id: DeploymentId) -> Result<(), NoRoom> {
    budgets::go_to(around, &mut tries.holds, id).await.map_err(NoRoom::Budget)?;
    tries.taken = around.capacity.take(id, around.tags, Instant::now()).await.map_err(NoRoom::Limit)?;
    Ok(())
}

/// Waits until one of those that are full only of calls in progress has a place, and puts these among those `left`.
///
/// False: there is none, the queue is as long as it may be, or it took too long.
pub(super) async fn wait(
    around: &Around<'_>,
    plan: &Plan<'_>,
    full: &mut Vec<(DeploymentId, NoRoom)>,
    left: &mut Members,
    seat: &mut Option<Seat>,
) -> bool {
    let busy = |none: &NoRoom| {
        matches!(none, NoRoom::Limit(Full { reached: Some(Reached { what: Unit::InProgress, .. }), .. }))
    };
    let ids: SmallVec<[DeploymentId; 4]> =
        full.iter().filter(|(_, none)| busy(none)).map(|(id, _)| *id).collect();
    if ids.is_empty() {
        return false;
    }
    let mut members = Members::none(plan.group.deployments.len());
    for id in &ids {
        members.insert(around.snapshot.deployment(*id).position);
    }
    if seat.is_none() {
        *seat = around.capacity.seat(plan.group, &members, Instant::now());
    }
    let Some(seat) = seat else { return false };
    if !seat.wait(|| ids.iter().any(|id| around.capacity.has_place(*id))).await {
        return false;
    }
    full.retain(|(_, none)| !busy(none));
    *left = members;
    true
}

/// The failure of a request none of whose deployments has room.
pub(super) fn none(around: &Around<'_>, full: &[(DeploymentId, NoRoom)]) -> Failure {
    let spent: Vec<_> = full
        .iter()
        .filter_map(|(id, none)| match none {
            NoRoom::Budget(exceeded) => Some((*id, exceeded.clone())),
            NoRoom::Limit(_) => None,
        })
        .collect();
    let limits: Vec<_> = full
        .iter()
        .filter_map(|(id, none)| match none {
            NoRoom::Limit(full) => Some((*id, full.reached?, full.tag.as_deref())),
            NoRoom::Budget(_) => None,
        })
        .collect();
    let Some(wait) = limits.iter().map(|(_, reached, _)| reached.wait).min() else {
        let unknown = full.iter().any(|(_, none)| matches!(none, NoRoom::Limit(_)));
        return if unknown { Failure::Uncounted } else { budgets::all_spent(around, &spent) };
    };
    let said: Vec<String> =
        limits.iter().map(|(id, reached, tag)| in_words(around, *id, reached, *tag)).collect();
    Box::new(AllFull { message: said.join("; "), wait }).into()
}

/// LiteLLM's words.
fn in_words(around: &Around<'_>, id: DeploymentId, reached: &Reached, tag: Option<&str>) -> String {
    let entry = &around.snapshot.deployment(id).entry;
    let (id, group, limit) = (&entry.info.id, &entry.model_name, reached.limit);
    let tag = tag.map_or(String::new(), |tag| format!(", tag={tag}"));
    let minute =
        |what| format!("Model rate limit exceeded. {what} limit={limit}, id={id}, model_group={group}{tag}");
    match reached.what {
        Unit::Requests => minute("RPM"),
        Unit::Tokens => minute("TPM"),
        Unit::InProgress => format!(
            "Deployment has all max_parallel_requests slots in use. Deployment model_group={group}, id={id} already has max_parallel_requests={limit} requests in flight"
        ),
    }
}

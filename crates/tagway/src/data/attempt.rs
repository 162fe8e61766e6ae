//! One model group's attempts: picks a deployment among the candidates, calls it, and tries again inside the
//! same candidates when that may help. It never widens them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use tagway_core::config::Router;
use tagway_core::snapshot::{Deployment, DeploymentId, Snapshot};
use tagway_core::tag::Members;

use super::content::{self, Content};
use super::failure::{Failure, Retry};
use super::intake::Call;
use super::upstream::Pool;
use crate::health::{Board, Fault};
use crate::route::Plan;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A provider's `Retry-After` is honoured up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What an attempt needs of its surroundings.
pub(crate) struct Around<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) board: &'a Board,
    pub(crate) pool: &'a Arc<Pool>,
}

/// A provider's answer.
pub(crate) struct Reply {
    pub(crate) deployment: DeploymentId,
    pub(crate) headers: HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    /// How long the provider took until its head, or for an answer that does not stream until its end.
    pub(crate) took: Duration,
}

/// Counts of what it took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tries {
    pub(crate) retries: u32,
    /// How many retries there might have been.
    pub(crate) max_retries: u32,
    /// What an error message says of fallbacks, behind the name of the group.
    pub(crate) about_fallbacks: Option<String>,
    pub(crate) fallbacks: u32,
}

/// Calls a deployment of the plan, and others after it as far as retries go.
pub(crate) async fn run(
    around: &Around<'_>,
    plan: &Plan<'_>,
    model: &str,
    call: &Call<'_>,
    tries: &mut Tries,
) -> Result<Reply, Failure> {
    let mut fresh = plan.candidates.clone();
    let mut retries = 0;
    loop {
        let Some(id) = pick(around.snapshot, plan, &fresh) else {
            return Err(Failure::NoUpstream { id: plan.group.name.clone() });
        };
        let deployment = around.snapshot.deployment(id);
        fresh.remove(deployment.position);
        let failure = match content::fetch(around, id, model, call).await {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        let router = &around.snapshot.config.router;
        note(around, plan, id, &failure, router);
        let allowed = call.num_retries.or(deployment.entry.max_retries).unwrap_or(router.num_retries);
        tries.max_retries = allowed;
        let may = match failure.retry() {
            Retry::Never => false,
            Retry::Elsewhere => !fresh.is_empty(),
            Retry::Anywhere => true,
        };
        if !may || allowed <= retries {
            return Err(failure);
        }
        if fresh.is_empty() {
            // Every candidate has had its turn: wait, then begin anew.
            tokio::time::sleep(wait(retries, &failure, router)).await;
            fresh = plan.candidates.clone();
        }
        retries += 1;
        tries.retries += 1;
    }
}

fn note(around: &Around<'_>, plan: &Plan<'_>, id: DeploymentId, failure: &Failure, router: &Router) {
    // With nobody to take over, a cooldown would only turn one failure into many.
    if plan.group.deployments.len() < 2 || !failure.is_providers() {
        return;
    }
    let fault = match failure.status().as_u16() {
        401 | 404 | 429 => Fault::Certain,
        400..500 => return,
        _ => Fault::Chance,
    };
    if around.board.failed(id, fault, failure.retry_after(), router, Instant::now()) {
        let deployment = around.snapshot.deployment(id).entry.info.id.as_str();
        tracing::warn!(
            deployment,
            group = plan.group.name,
            status = failure.status().as_u16(),
            "cooling down"
        );
    }
}

/// The wait before attempt `n + 2`: exponential with jitter, and never less than the provider asked for.
fn wait(n: u32, failure: &Failure, router: &Router) -> Duration {
    let base = Duration::from_millis(500).saturating_mul(1 << n.min(4)).min(LONGEST_WAIT);
    let jittered = base.mul_f64(0.75 + 0.25 * fastrand::f64());
    let asked = failure.retry_after().filter(|asked| *asked <= LONGEST_RETRY_AFTER);
    asked.unwrap_or(jittered).max(router.retry_after)
}

/// LiteLLM's simple shuffle: the lowest `order` first; then by `weight`, `rpm` or `tpm` if any candidate has
/// one, else evenly.
fn pick(snapshot: &Snapshot, plan: &Plan<'_>, among: &Members) -> Option<DeploymentId> {
    let group = &plan.group.deployments;
    let of = |position: usize| group.get(position).map(|id| (*id, snapshot.deployment(*id)));
    let order = among.iter().filter_map(|at| of(at)?.1.entry.order).min();
    let within = || {
        among
            .iter()
            .filter_map(of)
            .filter(move |(_, deployment)| order.is_none() || deployment.entry.order == order)
    };
    let count = within().count();
    if count < 2 {
        return within().next().map(|(id, _)| id);
    }
    let shares: [fn(&Deployment) -> Option<f64>; 3] = [
        |deployment| deployment.entry.weight,
        #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
        |deployment| deployment.entry.rpm.map(|rpm| rpm as f64),
        #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
        |deployment| deployment.entry.tpm.map(|tpm| tpm as f64),
    ];
    for share in shares {
        let total: f64 = within().filter_map(|(_, deployment)| share(deployment)).sum();
        if total <= 0.0 {
            continue;
        }
        let mut point = fastrand::f64() * total;
        for (id, deployment) in within() {
            let own = share(deployment).unwrap_or(0.0);
            if point < own {
                return Some(id);
            }
            point -= own;
        }
    }
    within().nth(fastrand::usize(..count)).map(|(id, _)| id)
}

//! One model group's attempts: picks a deployment among the candidates, calls it, and tries again inside the
//! same candidates when that may help. It never widens them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode};
use smallvec::SmallVec;
use tagway_core::price::Prices;
use tagway_core::snapshot::{Deployment, DeploymentId, Snapshot};
use tagway_core::tag::Members;

use super::content::{self, Content};
use super::detours::Told;
use super::failure::{Failure, Retry};
use super::intake::Call;
use super::upstream::Pool;
use super::{choose, cool, retry, room};
use crate::accounts::{Accounts, Holds, Table};
use crate::capacity::{Capacity, Taken};
use crate::health::{Board, Entrance, Flight};
use crate::route::Plan;

/// What an attempt needs of its surroundings.
pub(crate) struct Around<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) board: &'a Board,
    pub(crate) capacity: &'a Capacity,
    pub(crate) pool: &'a Arc<Pool>,
    pub(crate) accounts: &'a Accounts,
    /// The budgets of tags, deployments and providers.
    pub(crate) table: &'a Table,
    /// The request's tags by name, where any deployment limits some.
    pub(crate) tags: &'a [&'a str],
    /// The customer it names.
    pub(crate) customer: Option<&'a str>,
    /// The request's headers.
    pub(crate) headers: &'a HeaderMap,
}

/// A provider's answer.
pub(crate) struct Reply {
    pub(crate) deployment: DeploymentId,
    /// `x-litellm-model-name`, when the request's model decides it (wildcards).
    pub(crate) model_name: Option<HeaderValue>,
    /// What the call costs, if that is known.
    pub(crate) prices: Option<Prices>,
    pub(crate) headers: HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    /// How long the provider took until its head, or for an answer that does not stream until its end.
    pub(crate) took: Duration,
}

/// A call that a provider has begun to answer.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) deployment: DeploymentId,
    /// The model asked for, where that decides which one the provider is called with (wildcards).
    pub(crate) model: Option<Box<str>>,
    started: Instant,
    /// How long it took, when it has ended.
    ended: Option<Duration>,
}

impl Begun {
    /// A call of `deployment` for `model`.
    pub(crate) fn new(id: DeploymentId, deployment: &Deployment, model: &str, started: Instant) -> Self {
        let model = deployment.model_json.is_none().then(|| model.into());
        Self { deployment: id, model, started, ended: None }
    }

    /// How long it took, or takes until now.
    pub(crate) fn took(&self) -> Duration {
        self.ended.unwrap_or_else(|| self.started.elapsed())
    }
}

/// What it took.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// The call in progress.
    pub(crate) begun: Option<Begun>,
    /// Calls that broke off in the middle of their answers: the providers have worked for them.
    pub(crate) lost: SmallVec<[Begun; 1]>,
    pub(crate) retries: u32,
    /// How many retries there might have been.
    pub(crate) max_retries: u32,
    /// What an error message says of fallbacks, behind the name of the group.
    pub(crate) about_fallbacks: Option<String>,
    pub(crate) fallbacks: u32,
    /// For the metrics.
    pub(crate) told: Told,
    /// What is held of budgets.
    pub(crate) holds: Holds,
    /// What the call has taken of its deployment's limits.
    pub(crate) taken: Option<Taken>,
    /// The call in progress, where a strategy counts them.
    pub(crate) flight: Option<Flight>,
}

/// Calls one deployment of those `left`, and others after it as far as retries go. The lowest `order` among them
/// serves alone; when all of it fails, it is no longer `left`. `stick` is what the request sticks by.
pub(crate) async fn run(
    around: &Around<'_>,
    plan: &Plan<'_>,
    left: &mut Members,
    model: &str,
    call: &Call<'_>,
    stick: Option<u64>,
    tries: &mut Tries,
) -> Result<Reply, Failure> {
    let mut tier = first_order(around.snapshot, plan, left);
    let mut fresh = tier.clone();
    tries.retries = 0;
    let mut full = Vec::new();
    let mut seat = None;
    let mut last = None;
    let failure = loop {
        let Some(id) = choose::pick(around, plan, &fresh, model, call, stick) else {
            break Failure::NoUpstream { id: plan.group.name.clone() };
        };
        let deployment = around.snapshot.deployment(id);
        fresh.remove(deployment.position);
        let probe = match around.board.enter(id, Instant::now()) {
            Entrance::Open => None,
            Entrance::Probe(probe) => Some(probe),
            // Whether it is back, others need not find out as well.
            Entrance::Taken if !fresh.is_empty() => continue,
            Entrance::Taken => None,
        };
        if let Err(none) = room::take(around, tries, id).await {
            full.push((id, none));
            left.remove(deployment.position);
            tier.remove(deployment.position);
            if left.is_empty() {
                // After a failure the client shall hear of that.
                if let Some(failure) = last {
                    break failure;
                }
                if !room::wait(around, plan, &mut full, left, &mut seat).await {
                    break room::none(around, &full);
                }
            }
            if tier.is_empty() {
                tier = first_order(around.snapshot, plan, left);
            }
            if fresh.is_empty() {
                // Those that have failed are all there is: as below, not at once.
                if let Some(failure) = &last
                    && !retry::wait(around, tries, failure, call).await
                {
                    break failure.clone();
                }
                fresh = tier.clone();
            }
            continue;
        }
        seat = None;
        tries.flight = choose::begin(around, plan, id);
        let failure = match content::fetch(around, id, model, call, &mut tries.begun).await {
            Ok(reply) => {
                if let Some(probe) = probe {
                    probe.passed();
                }
                if let Some(begun) = &mut tries.begun
                    && !matches!(reply.content, Content::Stream(_))
                {
                    begun.ended = Some(reply.took);
                }
                return Ok(reply);
            }
            Err(failure) => failure,
        };
        tries.taken = None;
        choose::failed(plan, tries, &failure, call);
        if let Some(mut begun) = tries.begun.take()
            && failure.broke_off()
        {
            begun.ended = Some(begun.took());
            tries.lost.push(begun);
        }
        let cools = cool::note(around.snapshot, around.board, id, probe, &failure, call.endpoint);
        tries.told.failed(id, &failure, cools);
        if cools && 1 < left.count() {
            left.remove(deployment.position);
            tier.remove(deployment.position);
        }
        let (allowed, may) = retry::allowed(around, plan, deployment, &failure, call);
        tries.max_retries = allowed;
        let may = match may {
            Retry::Never => false,
            Retry::Elsewhere => !fresh.is_empty() || tier.is_empty(),
            Retry::Anywhere => true,
        };
        if !may || allowed <= tries.retries || !retry::within_budget(around, id) {
            break failure;
        }
        if tier.is_empty() {
            // All of it cools down: the next order takes over at once.
            tier = first_order(around.snapshot, plan, left);
            fresh = tier.clone();
        } else if fresh.is_empty() {
            // Every candidate has had its turn: begin anew, after a wait unless others stand ready.
            if left.count() <= tier.count() && !retry::wait(around, tries, &failure, call).await {
                break failure;
            }
            fresh = tier.clone();
        }
        if call.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            break failure;
        }
        tries.retries += 1;
        tries.told.retried();
        last = Some(failure);
    };
    for position in tier.iter() {
        left.remove(position);
    }
    Err(failure)
}

/// Those of the lowest `order`; all of them when none has one.
fn first_order(snapshot: &Snapshot, plan: &Plan<'_>, among: &Members) -> Members {
    let order = |position: usize| {
        let id = plan.group.deployments.get(position)?;
        snapshot.deployment(*id).entry.order
    };
    let Some(first) = among.iter().filter_map(order).min() else { return among.clone() };
    let mut members = Members::none(plan.group.deployments.len());
    for position in among.iter().filter(|position| order(*position) == Some(first)) {
        members.insert(position);
    }
    members
}

//! From a model name and tags to the deployments that may serve: the one place where the data path asks the
//! core for a decision.

use std::time::{Duration, Instant};

use http::StatusCode;
use tagway_core::snapshot::{DeploymentId, Group, Named, Snapshot};
use tagway_core::tag::{Ask, Expression, Members, Observer, Origin, Refusal, RequestTags};

use crate::health::Board;

/// Why no deployment may serve a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoute {
    /// Its tags leave none.
    #[error("{message}")]
    Tags {
        /// 401 or what `tag_error_status` says; 400 for an unknown tag.
        status: StatusCode,
        /// LiteLLM's words where it has some.
        message: String,
        /// For machines.
        reason: &'static str,
    },
    /// Those that may serve it are cooling down.
    #[error("No deployments available for selected model, Try again in {} seconds. Passed model={model}.", whole_seconds(*.wait))]
    CoolingDown {
        /// The model asked for.
        model: String,
        /// Until the first of them is back.
        wait: Duration,
    },
}

/// Whole seconds, rounded up.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(0 < wait.subsec_nanos())
}

/// What a request asks of the router.
pub(crate) struct Wanted<'a> {
    /// The model name the client gave.
    pub(crate) model: &'a str,
    /// Its tags.
    pub(crate) tags: &'a RequestTags<'a>,
    /// Its tag expression.
    pub(crate) expression: Option<&'a Expression>,
    /// Its User-Agent.
    pub(crate) user_agent: Option<&'a str>,
}

/// The deployments that may serve a request, all of one model group.
pub(crate) struct Plan<'s> {
    /// The name the group was reached by.
    pub(crate) model: &'s str,
    pub(crate) group: &'s Group,
    pub(crate) candidates: Members,
    /// What matched, for the log: `tags` or `tag_regex`, and the value.
    pub(crate) matched: Option<(&'static str, String)>,
}

impl Wanted<'_> {
    fn ask<'a>(&'a self, expressions: &'a [(&'a Expression, Origin)]) -> Ask<'a> {
        Ask { tags: self.tags, user_agent: self.user_agent, turn_on: false, expressions, tier: None }
    }
}

/// Plans a request. `None` when the model is not known.
pub(crate) fn plan<'s>(
    snapshot: &'s Snapshot,
    board: &Board,
    wanted: &Wanted<'_>,
    now: Instant,
    observer: &mut impl Observer,
) -> Option<Result<Plan<'s>, NoRoute>> {
    match snapshot.find(wanted.model)? {
        Named::Group(id) => Some(decide(snapshot, snapshot.group(id), board, wanted, now, observer)),
        Named::Deployment(id) => Some(Ok(single(snapshot, id))),
    }
}

/// A deployment asked for by its id: caller tags do not choose there.
fn single(snapshot: &Snapshot, id: DeploymentId) -> Plan<'_> {
    let deployment = snapshot.deployment(id);
    let group = snapshot.group(deployment.group);
    let mut candidates = Members::none(group.deployments.len());
    candidates.insert(deployment.position);
    Plan { group, candidates, matched: None }
}

fn decide<'s>(
    snapshot: &Snapshot,
    group: &'s Group,
    board: &Board,
    wanted: &Wanted<'_>,
    now: Instant,
    observer: &mut impl Observer,
) -> Result<Plan<'s>, NoRoute> {
    let expression = wanted.expression.map(|expression| (expression, Origin::Body));
    let ask = wanted.ask(expression.as_slice());
    let healthy = board.healthy(group, now);
    match group.index.decide(&ask, &healthy, observer) {
        Ok(decision) if decision.candidates.is_empty() => Err(cooling(board, group, &Members::all(group.deployments.len()), wanted, now)),
        Ok(decision) => {
            let matched = decision.matched.map(|(via, value)| (via.as_str(), value.to_owned()));
            Ok(Plan { group, candidates: decision.candidates, matched })
        }
        Err(refusal) => {
            // Would a deployment that is cooling down serve these tags? Then that is the truth to tell.
            let all = Members::all(group.deployments.len());
            if healthy != all
                && let Ok(decision) = group.index.decide(&ask, &all, &mut ())
                && !decision.candidates.is_empty()
            {
                return Err(cooling(board, group, &decision.candidates, wanted, now));
            }
            Err(refused(snapshot, &refusal, wanted))
        }
    }
}

fn cooling(board: &Board, group: &Group, among: &Members, wanted: &Wanted<'_>, now: Instant) -> NoRoute {
    NoRoute::CoolingDown { model: wanted.model.to_owned(), wait: board.wait(group, among, now) }
}

fn refused(snapshot: &Snapshot, refusal: &Refusal, wanted: &Wanted<'_>) -> NoRoute {
    let status = match refusal {
        Refusal::UnknownTag { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::from_u16(snapshot.config.router.tag_error_status).unwrap_or(StatusCode::UNAUTHORIZED),
    };
    NoRoute::Tags { status, message: refusal.message(wanted.model, wanted.tags), reason: refusal.reason() }
}

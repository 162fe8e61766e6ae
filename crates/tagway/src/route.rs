//! From a model name and tags to the deployments that may serve: the one place where the shell asks the core for
//! a decision, for requests and for explanations alike.

use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tagway_core::config::{Config, Tier};
use tagway_core::experiment::{Assigned, FellOpen, narrowed, without};
use tagway_core::snapshot::{DeploymentId, Group, Named, Snapshot, header_value};
use tagway_core::tag::{
    Ask, COOLING, Decision, Explanation, Expression, Members, Origin, Refusal, RequestTag, Silent,
    UnknownTags, explain,
};
use tagway_core::vocabulary::Mode;

use crate::health::{Board, Standing};

/// Why no deployment may serve a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoute {
    /// No group has this name.
    #[error("Invalid model name passed in model={model}.")]
    UnknownModel {
        /// The name.
        model: String,
    },
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
    #[error(
        "No deployments available for selected model, Try again in {} seconds. All deployments for selected model are in cooldown. Passed model={model}.",
        whole_seconds(*.wait)
    )]
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
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The model name.
    pub(crate) model: &'a str,
    /// Its tags.
    pub(crate) tags: &'a [RequestTag<'a>],
    /// Its tag expressions: the caller's, and those of its key and of everything above it.
    pub(crate) expressions: &'a [(&'a Expression, Origin)],
    /// Whether its key or team turns tag filtering on.
    pub(crate) turn_on: bool,
    /// What becomes of tags that nobody knows.
    pub(crate) unknown: Unknown,
    /// The tier of its key or team.
    pub(crate) tier: Option<Tier>,
    /// Where it must stay.
    pub(crate) regions: &'a [&'a str],
    /// Its User-Agent.
    pub(crate) user_agent: Option<&'a str>,
    /// The variants of experiments it is in; their tags are among its tags.
    pub(crate) variants: &'a [Assigned<'a>],
}

impl<'a> Wanted<'a> {
    fn ask(&self) -> Ask<'a> {
        Ask {
            tags: self.tags,
            user_agent: self.user_agent,
            turn_on: self.turn_on,
            unknown: self.unknown.holds,
            expressions: self.expressions,
            tier: self.tier,
            regions: self.regions,
        }
    }
}

/// What becomes of tags that nobody knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unknown {
    /// The router's setting, where nothing is said here.
    holds: Option<UnknownTags>,
    /// They would be refused, were tags not only observed.
    pub(crate) observed: bool,
}

/// What holds for a caller whose key, or something above it, says this.
pub(crate) fn unknown_tags(config: &Config, own: Option<UnknownTags>) -> Unknown {
    let holds = own.unwrap_or(config.router.tags.unknown);
    // As before anybody thought of refusing them.
    let observed = holds == UnknownTags::Reject && config.tag_settings.mode == Mode::Observe;
    Unknown { holds: Some(if observed { UnknownTags::Route } else { holds }), observed }
}

/// The first tag of a request that nobody knows.
pub(crate) fn stranger<'a>(snapshot: &Snapshot, wanted: &Wanted<'a>) -> Option<&'a RequestTag<'a>> {
    match snapshot.find(wanted.model)? {
        Named::Group(id) => snapshot.group(id).index.stranger(&wanted.ask()),
        Named::Deployment(_) => None,
    }
}

/// The deployments that may serve a request, all of one model group.
pub(crate) struct Plan<'s> {
    pub(crate) group: &'s Group,
    /// Header with the name the group was asked for by: its own, an alias, what a wildcard matched, an id.
    pub(crate) asked: HeaderValue,
    pub(crate) candidates: Members,
    /// What matched, for the log: `tags` or `tag_regex`, and the value.
    pub(crate) matched: Option<(&'static str, &'s str)>,
    /// Whether these are the deployments of the request's variants.
    pub(crate) variant: Variant,
}

/// What became of a request's variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// They serve it, or it has none that leads anywhere.
    Serves,
    /// None of their deployments is well enough.
    Ill,
    /// The other tags lead elsewhere.
    Apart,
}

/// Decisions made so far, in words; `None` when nobody asked for them.
pub(crate) type Trail = Option<Vec<Hop>>;

/// A decision in words.
#[derive(Debug, Serialize)]
pub(crate) struct Hop {
    /// The model group.
    pub(crate) model_group: String,
    /// What chooses among those that are kept.
    pub(crate) strategy: &'static str,
    #[serde(flatten)]
    pub(crate) explanation: Explanation,
}

/// Plans a request.
///
/// # Errors
/// The model is unknown, or no deployment may serve the request.
pub(crate) fn plan<'s>(
    snapshot: &'s Snapshot,
    board: &Board,
    wanted: &Wanted<'_>,
    now: Instant,
    trail: &mut Trail,
) -> Result<Plan<'s>, NoRoute> {
    match snapshot.find(wanted.model) {
        Some(Named::Group(id)) => decide(snapshot, snapshot.group(id), board, wanted, now, trail),
        Some(Named::Deployment(id)) => single(snapshot, id, wanted),
        None => Err(NoRoute::UnknownModel { model: wanted.model.to_owned() }),
    }
}

/// A deployment asked for by its id: the caller's tags do not choose there, what it inherits holds all the same.
fn single<'s>(snapshot: &'s Snapshot, id: DeploymentId, wanted: &Wanted<'_>) -> Result<Plan<'s>, NoRoute> {
    let deployment = snapshot.deployment(id);
    let group = snapshot.group(deployment.group);
    if !group.index.permitted(&wanted.ask()).contains(deployment.position) {
        return Err(refused(snapshot, &Refusal::OutsideBoundary, wanted));
    }
    let mut candidates = Members::none(group.deployments.len());
    candidates.insert(deployment.position);
    Ok(Plan { group, asked: header_value(wanted.model), candidates, matched: None, variant: Variant::Apart })
}

fn decide<'s>(
    snapshot: &'s Snapshot,
    group: &'s Group,
    board: &Board,
    wanted: &Wanted<'_>,
    now: Instant,
    trail: &mut Trail,
) -> Result<Plan<'s>, NoRoute> {
    if wanted.variants.is_empty() {
        return by_tags(snapshot, group, board, wanted, now, trail);
    }
    let others = without(wanted.tags, wanted.variants);
    let mut variant = Variant::Serves;
    if let Some(tags) = narrowed(&group.index, &others, wanted.variants) {
        let narrow = Wanted { tags: &tags, ..*wanted };
        let stays = |among: &Members| {
            let mut fell_open = FellOpen::default();
            group.index.decide(&narrow.ask(), among, &mut fell_open).is_ok() && !fell_open.0
        };
        if stays(&board.healthy(group, now)) || stays(&board.bearable(group, now)) {
            return by_tags(snapshot, group, board, &narrow, now, trail);
        }
        let well = stays(&Members::all(group.deployments.len()));
        variant = if well { Variant::Ill } else { Variant::Apart };
    }
    let plan = by_tags(snapshot, group, board, &Wanted { tags: &others, ..*wanted }, now, trail)?;
    Ok(Plan { variant, ..plan })
}

/// Decides by tags alone.
fn by_tags<'s>(
    snapshot: &'s Snapshot,
    group: &'s Group,
    board: &Board,
    wanted: &Wanted<'_>,
    now: Instant,
    trail: &mut Trail,
) -> Result<Plan<'s>, NoRoute> {
    let ask = wanted.ask();
    let all = Members::all(group.deployments.len());
    let mut healthy = board.healthy(group, now);
    let mut decided = group.index.decide(&ask, &healthy, &mut Silent);
    // Where no healthy one serves these tags, one that is being tried out or is slow is better than none.
    if healthy != all && decided.is_err() {
        let bearable = board.bearable(group, now);
        let second = group.index.decide(&ask, &bearable, &mut Silent);
        if second.is_ok() {
            (healthy, decided) = (bearable, second);
        }
    }
    if let Some(hops) = trail {
        let (_, mut explanation) = explain(&group.index, &ask, &healthy, wanted.model);
        // The core is told who is not to serve, and not why.
        for (verdict, id) in explanation.deployments.iter_mut().zip(&group.deployments) {
            if verdict.reason == COOLING {
                verdict.reason = left_out(board.state(*id, now).standing).to_owned();
            }
        }
        hops.push(Hop { model_group: group.name.clone(), strategy: group.strategy.name(), explanation });
    }
    let refusal = match decided {
        Ok(Decision { candidates, matched }) => {
            let matched = matched.map(|matched| (matched.via.as_str(), matched.value));
            let asked =
                if wanted.model == group.name { group.header.clone() } else { header_value(wanted.model) };
            return Ok(Plan { group, asked, candidates, matched, variant: Variant::Serves });
        }
        Err(refusal) => refusal,
    };
    // Would a deployment that is cooling down serve these tags? Then that is the truth to tell.
    if healthy != all
        && let Ok(decision) = group.index.decide(&ask, &all, &mut Silent)
    {
        let wait = board.wait(group, &decision.candidates, now);
        return Err(NoRoute::CoolingDown { model: wanted.model.to_owned(), wait });
    }
    Err(refused(snapshot, &refusal, wanted))
}

/// Why a deployment does not serve that might by its tags.
fn left_out(standing: Standing) -> &'static str {
    match standing {
        Standing::Healthy | Standing::CoolingDown => COOLING,
        Standing::Probing => "being tried out after a cooldown",
        Standing::Unhealthy => "its last health check has failed",
        Standing::Ejected => "much slower than the others for now",
    }
}

fn refused(snapshot: &Snapshot, refusal: &Refusal, wanted: &Wanted<'_>) -> NoRoute {
    let status = match refusal {
        Refusal::UnknownTag { .. } => StatusCode::BAD_REQUEST,
        Refusal::Region { .. } => StatusCode::FORBIDDEN,
        Refusal::CoolingDown => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Tags | Refusal::OutsideBoundary => {
            StatusCode::from_u16(snapshot.config.router.tag_error_status).unwrap_or(StatusCode::UNAUTHORIZED)
        }
    };
    NoRoute::Tags { status, message: refusal.message(wanted.model, wanted.tags), reason: refusal.reason() }
}

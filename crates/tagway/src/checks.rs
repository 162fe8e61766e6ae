//! Health checks: which deployments are called, when, and how many at a time. A deployment is called by one check at a
//! time; who asks meanwhile gets its outcome. Knows nothing of how a deployment is called, which is handed in; runs on
//! the control runtime, away from requests.

mod question;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use jiff::Timestamp;
use tagway_core::config::HealthChecks;
use tagway_core::snapshot::{Deployment, DeploymentId, Snapshot};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::health::{Ill, Outcome};
use crate::live::{Current, Live};
use crate::tasks::Stop;

pub(crate) use question::{Question, can_be_asked};

/// How exactly the time of a check is kept.
const TICK: Duration = Duration::from_millis(100);
/// How often to look whether checks have been turned on.
const LOOK: Duration = Duration::from_secs(1);
/// The first checks are spread over an interval, but over no more than this.
const SPREAD: Duration = Duration::from_secs(2);
/// An interval is as long as the configuration says, give or take a tenth.
const LONGEST_INTERVAL: f64 = 1.1;
/// Characters of a failure that are kept: a provider may answer with pages.
const LONGEST: usize = 1000;
/// What is kept of the headers of a provider that has answered.
const SHOWN: [&str; 3] = ["x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens", "x-ms-region"];

/// Calls a deployment: the headers it answers with, or what is wrong.
pub(crate) type Probe =
    fn(Arc<Current>, DeploymentId, Question) -> Pin<Box<dyn Future<Output = Result<HeaderMap, Ill>> + Send>>;

/// Checks deployments.
pub(crate) struct Checks {
    probe: Probe,
    turns: Mutex<HashMap<Box<str>, Arc<Turn>>>,
    /// How many may be called at a time, and the places for them.
    places: Mutex<(usize, Arc<Semaphore>)>,
}

/// A deployment's turn to be called, with what the last call has shown.
type Turn = tokio::sync::Mutex<Option<Arc<Outcome>>>;

impl Checks {
    /// Checks that call deployments by `probe`.
    pub(crate) fn new(probe: Probe) -> Arc<Self> {
        let places = Mutex::new((0, Arc::new(Semaphore::new(0))));
        Arc::new(Self { probe, turns: Mutex::default(), places })
    }

    /// Calls deployments; `None` where there is nothing to call.
    pub(crate) async fn all(
        self: &Arc<Self>,
        current: &Arc<Current>,
        ids: impl IntoIterator<Item = DeploymentId>,
    ) -> Vec<(DeploymentId, Option<Arc<Outcome>>)> {
        let mut calls = JoinSet::new();
        for id in ids {
            let (checks, current) = (Arc::clone(self), Arc::clone(current));
            calls.spawn(async move { (id, checks.one(&current, id).await) });
        }
        let mut outcomes = calls.join_all().await;
        outcomes.sort_by_key(|(id, _)| id.0);
        outcomes
    }

    /// Calls a deployment, or waits for the call in progress.
    async fn one(&self, current: &Arc<Current>, id: DeploymentId) -> Option<Arc<Outcome>> {
        let rules = &current.snapshot.config.general.health;
        let deployment = current.snapshot.deployment(id);
        let question = question::of(deployment, rules)?;
        let patience = question.patience;
        let name = deployment.entry.info.id.as_str();
        let asked = Instant::now();
        let turn = Arc::clone(self.turns().entry(name.into()).or_default());
        let mut last = turn.lock().await;
        if let Some(outcome) = last.as_ref().filter(|outcome| asked <= outcome.ended) {
            return Some(Arc::clone(outcome));
        }
        // Waiting for a place is not the deployment's fault: its time begins here.
        let place = self.places(rules.at_once).acquire_owned().await;
        let began = Instant::now();
        let call = (self.probe)(Arc::clone(current), id, question);
        // The call has a limit of its own; this one holds where a provider never ends its answer.
        let answer = tokio::time::timeout(patience.saturating_add(LOOK), call).await;
        drop(place);
        let late = || Ill { status: 408, message: "Timeout exceeded".to_owned() };
        let answer =
            answer.unwrap_or_else(|_| Err(late())).map(|headers| told(&headers)).map_err(|mut ill| {
                if let Some((end, _)) = ill.message.char_indices().nth(LONGEST) {
                    ill.message.truncate(end);
                    ill.message.push('…');
                }
                ill
            });
        let ended = Instant::now();
        let outcome = Arc::new(Outcome { at: Timestamp::now(), ended, took: ended - began, answer });
        *last = Some(Arc::clone(&outcome));
        drop(last);
        // Nobody else waits for it: it is forgotten, so that the table does not grow with every id there ever was.
        let mut turns = self.turns();
        if Arc::strong_count(&turn) <= 2 {
            turns.remove(name);
        }
        Some(outcome)
    }

    fn turns(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Arc<Turn>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self, most: usize) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.0 != most {
            *places = (most, Arc::new(Semaphore::new(most)));
        }
        Arc::clone(&places.1)
    }
}

fn told(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let value = |name: &'static str| Some((name, headers.get(name)?.to_str().ok()?.to_owned()));
    SHOWN.into_iter().filter_map(value).collect()
}

/// Whether a deployment is checked in the background, where anything is.
pub(crate) fn in_background(deployment: &Deployment, rules: &HealthChecks) -> bool {
    let entry = &deployment.entry;
    can_be_asked(deployment)
        && !entry.info.health.not_in_background
        && rules.groups.as_ref().is_none_or(|groups| groups.contains(&entry.model_name))
}

/// Checks deployments over and over, as far as the configuration in force wants it.
pub(crate) async fn keep(checks: Arc<Checks>, live: Arc<Live>, mut stop: Stop) {
    let mut calls = JoinSet::new();
    // When each is called next; `None` while it is called.
    let mut due: HashMap<Box<str>, Option<Instant>> = HashMap::new();
    loop {
        let current = live.current();
        let rules = &current.snapshot.config.general.health;
        let mut pause = LOOK;
        match rules.every {
            None => due.retain(|_, next| next.is_none()),
            Some(every) => {
                pause = TICK;
                for id in begin(&current.snapshot, every, &mut due) {
                    let (checks, current) = (Arc::clone(&checks), Arc::clone(&current));
                    calls.spawn(async move {
                        let outcome = checks.one(&current, id).await;
                        (current, id, outcome)
                    });
                }
            }
        }
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(pause) => {}
        }
        while let Some(ended) = calls.try_join_next() {
            let Ok((current, id, outcome)) = ended else { continue };
            if let Some(outcome) = outcome {
                note(&current, id, &outcome);
            }
            let rules = &current.snapshot.config.general.health;
            let name = current.snapshot.deployment(id).entry.info.id.as_str();
            due.insert(
                name.into(),
                rules.every.map(|every| {
                    Instant::now() + every.mul_f64(0.9 + (LONGEST_INTERVAL - 0.9) * fastrand::f64())
                }),
            );
        }
    }
}

/// Those whose time has come. The first time is by chance, so that gateways started together do not call together.
fn begin(
    snapshot: &Snapshot,
    every: Duration,
    due: &mut HashMap<Box<str>, Option<Instant>>,
) -> Vec<DeploymentId> {
    let (rules, now) = (&snapshot.config.general.health, Instant::now());
    let mut ids = Vec::new();
    for (deployment, at) in snapshot.deployments.iter().zip(0..) {
        let name = deployment.entry.info.id.as_str();
        if !in_background(deployment, rules) {
            due.remove(name);
            continue;
        }
        let spread = || (every / 2).min(SPREAD).mul_f64(fastrand::f64());
        if !due.contains_key(name) {
            due.insert(name.into(), Some(now + spread()));
        }
        let Some(next) = due.get_mut(name) else { continue };
        // A reload may have made the interval shorter.
        *next = next.map(|next| next.min(now + every.mul_f64(LONGEST_INTERVAL)));
        if next.is_some_and(|next| next <= now) {
            *next = None;
            ids.push(DeploymentId(at));
        }
    }
    if snapshot.deployments.len() < due.len() {
        let known: HashSet<&str> =
            snapshot.deployments.iter().map(|deployment| deployment.entry.info.id.as_str()).collect();
        due.retain(|name, _| known.contains(&**name));
    }
    ids
}

fn note(current: &Current, id: DeploymentId, outcome: &Arc<Outcome>) {
    let rules = &current.snapshot.config.general.health;
    let entry = &current.snapshot.deployment(id).entry;
    if !current.board.checked(id, Arc::clone(outcome), rules) {
        return;
    }
    let (deployment, group) = (entry.info.id.as_str(), entry.model_name.as_str());
    match &outcome.answer {
        Ok(_) => tracing::info!(deployment, group, "healthy again"),
        Err(ill) => tracing::warn!(deployment, group, status = ill.status, error = ill.message, "unhealthy"),
    }
}

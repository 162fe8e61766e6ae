//! Which of the candidates is called: brings what is known of them before the strategy of their model group. The
//! choices themselves are the core's.

use std::time::Instant;

use tagway_core::snapshot::{Deployment, DeploymentId};
use tagway_core::strategy::{self, Strategy};
use tagway_core::tag::Members;

use super::attempt::{Around, Tries};
use super::failure::Failure;
use super::intake::Call;
use super::record::Record;
use crate::health::{self, Ended, Flight};
use crate::route::Plan;

/// What a shuffle goes by: the first of these that any candidate has.
const SHARES: [fn(&Deployment) -> Option<f64>; 3] = [
    |deployment| deployment.entry.weight,
    #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
    |deployment| deployment.entry.rpm.map(|rpm| rpm as f64),
    #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
    |deployment| deployment.entry.tpm.map(|tpm| tpm as f64),
];
/// A price is that of so many tokens of a prompt and as many of an answer.
const TOKENS: u64 = 1000;

/// One of the candidates. `stick` is what the request sticks by, where the strategy asks for that.
pub(super) fn pick(
    around: &Around<'_>,
    plan: &Plan<'_>,
    among: &Members,
    model: &str,
    call: &Call<'_>,
    stick: Option<u64>,
) -> Option<DeploymentId> {
    let group = &plan.group.deployments;
    if among.count() < 2 {
        return group.get(among.first()?).copied();
    }
    let board = around.board;
    let now = || board.since(Instant::now());
    let of = |place: usize| group.get(place).map(|id| around.snapshot.deployment(*id));
    let figures = |place: usize| group.get(place).and_then(|id| board.figures(*id));
    let share = |kind: usize, place: usize| SHARES.get(kind)?(of(place)?);
    let random = fastrand::f64;
    let place = match &plan.group.strategy {
        Strategy::LeastBusy => {
            let busy = |place| figures(place).map_or(0, |figures| figures.in_progress());
            strategy::least(among, busy, random())
        }
        Strategy::Fastest(rules) => {
            let now = now();
            let recent = |place| {
                figures(place).map(|figures| figures.recent(call.stream, rules, now)).unwrap_or_default()
            };
            strategy::fastest(among, recent, rules.buffer, random())
        }
        Strategy::Cheapest => {
            let usage =
                tagway_core::usage::Usage { prompt: TOKENS, completion: TOKENS, ..Default::default() };
            let price = |place| {
                let prices = of(place).and_then(|deployment| deployment.prices_for(model));
                // One that nobody knows comes last.
                prices.map_or(i64::MAX, |prices| prices.cost(&usage).total().0)
            };
            strategy::least(among, price, random())
        }
        Strategy::LeastUsed { .. } => {
            let now = now();
            let used = |place| figures(place).map(|figures| figures.used(now)).unwrap_or_default();
            strategy::least_used(among, used, random())
        }
        Strategy::PowerOfTwo => {
            let now = now();
            let running = |place| figures(place).map(|figures| figures.running(now)).unwrap_or_default();
            strategy::best_of_two(among, running, [random(), random(), random()])
        }
        Strategy::Sticky(_) if let Some(key) = stick => {
            let weighted = |place| {
                of(place)
                    .map_or((0, 0.0), |deployment| (deployment.hash, deployment.entry.weight.unwrap_or(1.0)))
            };
            strategy::rendezvous(among, weighted, key)
        }
        Strategy::Shuffle | Strategy::Sticky(_) => strategy::shuffle(among, SHARES.len(), share, random()),
    };
    group.get(place?).copied()
}

/// Counts a call as in progress where the strategy asks for that.
pub(super) fn begin(around: &Around<'_>, plan: &Plan<'_>, id: DeploymentId) -> Option<Flight> {
    let latency = health::latency_rules(&around.snapshot.config.router, plan.group);
    if latency.is_some() || plan.group.strategy.needs().any() { around.board.begin(id) } else { None }
}

/// A call has failed.
pub(super) fn failed(plan: &Plan<'_>, tries: &mut Tries, failure: &Failure, call: &Call<'_>) {
    let Some(flight) = tries.flight.take() else { return };
    if let (Strategy::Fastest(rules), Failure::Timeout { .. }) = (&plan.group.strategy, failure) {
        flight.timed_out(call.stream, rules, Instant::now());
    }
}

impl Record {
    /// Takes note of the call that served the request, for the choices to come.
    pub(super) fn observe(&self) {
        let Some(begun) = &self.tries.begun else { return };
        if self.error.is_none() {
            self.current.board.succeeded(begun.deployment);
        }
        let Some(flight) = &self.tries.flight else { return };
        let snapshot = &self.current.snapshot;
        let group = snapshot.group(snapshot.deployment(begun.deployment).group);
        let (needs, now) = (group.strategy.needs(), Instant::now());
        let usage = self.usage.unwrap_or_default();
        if needs.minute {
            flight.used(usage.prompt + usage.completion, now);
        }
        // How long it took to break off says nothing.
        if self.error.is_some() {
            return;
        }
        let took = begun.took();
        if needs.average {
            flight.averages(took, now);
        }
        if let Some(rules) = health::latency_rules(&snapshot.config.router, group) {
            let first_token = self.stream.then_some(self.upstream);
            flight.lasted(&Ended { took, first_token, output: usage.completion }, &rules, now);
        }
    }
}

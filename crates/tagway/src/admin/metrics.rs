//! `/metrics`: what requests have done, what is left of budgets, and how the gateway is, for Prometheus.

use std::collections::HashMap;

use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use tagway_core::config::MetricRules;
use tagway_core::metrics::{Family, Label, budgets, gateway};
use tagway_core::tag::name::covers;

use super::Shared;
use super::actor::Actor;
use super::refusal::{Refusal, Refusals};
use crate::accounts::{Account, now_millis};
use crate::health::Standing;
use crate::live::Current;
use crate::metrics::{self, Format, Page};
use crate::places::Places;
use crate::receipt::Payer;
use crate::store::Db;

/// The gateway's metrics, in the text format of Prometheus or that of OpenMetrics, as `Accept` asks.
///
/// They are kept where `litellm_settings.callbacks` (or `success_callback`, `failure_callback`) names `prometheus`.
/// Who sees everything may read them, and keys whose `allowed_routes` have `/metrics`; anybody, with
/// `litellm_settings.require_auth_for_metrics_endpoint: false`.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        Refusals
    )
)]
pub(super) async fn metrics(State(shared): State<Shared>, request: Request) -> Result<Response, Refusal> {
    let current = shared.live.current();
    let rules = &current.snapshot.config.proxy.metrics;
    let (mut parts, _) = request.into_parts();
    if !rules.open {
        Actor::from_request_parts(&mut parts, &shared).await?.must_see_all()?;
    }
    if !rules.on {
        let message = "This gateway keeps no metrics: add `callbacks: [prometheus]` to `litellm_settings`.";
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    }
    let accept = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    // Thousands of numbers: not where others wait.
    let written = tokio::task::spawn_blocking(move || write(&shared, &current, format)).await;
    let text =
        written.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Writing them broke off."))?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}

fn write(shared: &Shared, current: &Current, format: Format) -> String {
    let rules = &current.snapshot.config.proxy.metrics;
    let mut page = Page::new(format);
    metrics::tell_requests(&mut page, &shared.metrics, rules);
    let mut gauges = Gauges::default();
    of_budgets(&mut gauges, shared, rules);
    of_gateway(&mut gauges, shared);
    of_vocabulary(&mut gauges, shared);
    of_deployments(&mut gauges, current);
    of_experiments(&mut gauges, current);
    of_mirrors(&mut gauges, current);
    of_ledger(&mut gauges, shared);
    gauges.tell(&mut page, rules);
    metrics::tell_process(&mut page, rules);
    page.finish()
}

/// A number and its labels.
type Number = (Vec<(Label, String)>, f64);

/// Numbers by the names of their families.
#[derive(Default)]
struct Gauges(HashMap<&'static str, Vec<Number>>);

impl Gauges {
    fn add(&mut self, family: &Family, labels: Vec<(Label, String)>, value: f64) {
        self.0.entry(family.name).or_default().push((labels, value));
    }

    fn one(&mut self, family: &Family, value: f64) {
        self.add(family, Vec::new(), value);
    }

    /// Tells them; no metric has more numbers than `rules` allow.
    fn tell(&mut self, page: &mut Page, rules: &MetricRules) {
        for family in tagway_core::metrics::ALL {
            let Some(mut numbers) = self.0.remove(family.name) else { continue };
            if rules.labels(family).is_none() {
                continue;
            }
            numbers.sort_by(|(one, _), (other, _)| {
                one.iter().map(|(_, value)| value).cmp(other.iter().map(|(_, value)| value))
            });
            page.begin(family);
            for (labels, value) in numbers.iter().take(rules.most_series) {
                let pairs: Vec<_> =
                    labels.iter().map(|(label, value)| (label.name(), value.as_str())).collect();
                page.number(family, &pairs, *value);
            }
        }
    }
}

fn of_budgets(gauges: &mut Gauges, shared: &Shared, rules: &MetricRules) {
    let now = now_millis();
    let names = shared.directory.names();
    for account in shared.accounts.all() {
        let Some(max) = account.max(now) else { continue };
        let id = || account.id().to_owned();
        let named = |names: &HashMap<Box<str>, Box<str>>| {
            names.get(account.id()).map_or("None", |name| name).to_owned()
        };
        let (labels, families) = match account.payer() {
            Payer::Key => (
                vec![(Label::HashedApiKey, id()), (Label::ApiKeyAlias, named(&names.keys))],
                [Some(&budgets::KEY_LEFT), Some(&budgets::KEY_MOST), Some(&budgets::KEY_HOURS)],
            ),
            Payer::Team => (
                vec![(Label::Team, id()), (Label::TeamAlias, named(&names.teams))],
                [Some(&budgets::TEAM_LEFT), Some(&budgets::TEAM_MOST), Some(&budgets::TEAM_HOURS)],
            ),
            Payer::User => (
                vec![(Label::User, id())],
                [Some(&budgets::USER_LEFT), Some(&budgets::USER_MOST), Some(&budgets::USER_HOURS)],
            ),
            Payer::Organization => (
                vec![(Label::OrgId, id())],
                [Some(&budgets::ORG_LEFT), Some(&budgets::ORG_MOST), Some(&budgets::ORG_HOURS)],
            ),
            Payer::Project => (
                vec![(Label::ProjectId, id())],
                [Some(&budgets::PROJECT_LEFT), Some(&budgets::PROJECT_MOST), None],
            ),
            Payer::Tag if rules.tags.iter().any(|listed| covers(listed, account.id())) => {
                (vec![(Label::Tag, id())], [Some(&budgets::TAG_LEFT), Some(&budgets::TAG_MOST), None])
            }
            Payer::Provider => {
                (vec![(Label::ApiProvider, id())], [Some(&budgets::PROVIDER_LEFT), None, None])
            }
            Payer::Deployment => (
                vec![(Label::ModelId, id())],
                [Some(&budgets::DEPLOYMENT_LEFT), Some(&budgets::DEPLOYMENT_MOST), None],
            ),
            Payer::Global => (Vec::new(), [Some(&budgets::GLOBAL_LEFT), Some(&budgets::GLOBAL_MOST), None]),
            // Without a bound of their number, or parts of another's.
            Payer::Tag
            | Payer::Customer
            | Payer::KeyModel
            | Payer::OwnerModel
            | Payer::Member
            | Payer::OrganizationMember
            | Payer::DeploymentTag => continue,
        };
        let values =
            [Some((max - account.spent(now)).dollars()), Some(max.dollars()), hours_left(&account, now)];
        for (family, value) in families.into_iter().zip(values) {
            if let (Some(family), Some(value)) = (family, value) {
                gauges.add(family, labels.clone(), value);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "hours need no 53 bits")]
fn hours_left(account: &Account, now: i64) -> Option<f64> {
    let anew = account.begins_anew(now)?;
    Some((anew - now).max(0) as f64 / 3_600_000.0)
}

fn of_deployments(gauges: &mut Gauges, current: &Current) {
    let (snapshot, now) = (&current.snapshot, std::time::Instant::now());
    for group in &snapshot.groups {
        let first = group.deployments.first().map(|id| snapshot.deployment(*id).group);
        let denied = first.map_or(0, |group| current.board.denied_retries(group));
        gauges.add(&gateway::RETRIES_DENIED, vec![(Label::ModelGroup, group.name.clone())], float(denied));
        for id in &group.deployments {
            let entry = &snapshot.deployment(*id).entry;
            let base = snapshot.deployment(*id).shown_base();
            let own = vec![
                (Label::LitellmModelName, entry.model.clone()),
                (Label::ModelId, entry.info.id.clone()),
                (Label::ApiProvider, entry.provider.name.to_owned()),
                (Label::ApiBase, base.to_owned()),
            ];
            let state = current.board.state(*id, now);
            let level = match state.standing {
                Standing::Healthy => 0.0,
                Standing::Unhealthy | Standing::Probing | Standing::Ejected => 1.0,
                Standing::CoolingDown => 2.0,
            };
            gauges.add(&gateway::STATE, own.clone(), level);
            for standing in Standing::ALL {
                let labels = own.iter().cloned().chain([(Label::State, standing.name().to_owned())]);
                gauges.add(
                    &gateway::STANDING,
                    labels.collect(),
                    f64::from(u8::from(standing == state.standing)),
                );
            }
            gauges.add(&gateway::COOLDOWN, own.clone(), state.left.unwrap_or_default().as_secs_f64());
            let named = || {
                std::iter::once((Label::ModelGroup, group.name.clone())).chain(own.iter().cloned()).collect()
            };
            for (family, limit) in [(&gateway::RPM_LIMIT, entry.rpm), (&gateway::TPM_LIMIT, entry.tpm)] {
                if let Some(limit) = limit {
                    gauges.add(family, named(), float(limit));
                }
            }
        }
    }
}

fn of_experiments(gauges: &mut Gauges, current: &Current) {
    for (place, trial) in current.snapshot.trials.iter().enumerate() {
        let experiment = &trial.experiment;
        let label = || (Label::Experiment, experiment.name.to_string());
        let ramp = experiment.ramp.as_ref().zip(current.ramps.of(place));
        let point = ramp.map(|(ramp, running)| running.at(ramp, now_millis()));
        for (place, variant) in experiment.variants.iter().enumerate() {
            let labels = vec![label(), (Label::Variant, variant.tag.to_string())];
            gauges.add(&gateway::EXPERIMENT_SHARE, labels, experiment.share(place, point.map(|it| it.share)));
        }
        if let Some((_, running)) = ramp {
            let held = running.stands().standing.held_since.is_some();
            gauges.add(&gateway::EXPERIMENT_HELD, vec![label()], f64::from(u8::from(held)));
        }
    }
}

fn of_mirrors(gauges: &mut Gauges, current: &Current) {
    for mirrored in current.mirrors.all() {
        let (name, in_progress, ended) = mirrored.told();
        let label = (Label::Mirror, name.to_owned());
        gauges.add(&gateway::MIRRORING, vec![label], f64::from(in_progress));
        for (end, count) in ended {
            let labels = vec![(Label::Mirror, name.to_owned()), (Label::Outcome, end.as_str().to_owned())];
            gauges.add(&gateway::MIRRORED, labels, float(count));
        }
    }
}

fn of_gateway(gauges: &mut Gauges, shared: &Shared) {
    gauges.one(&gateway::IN_FLIGHT, float(u64::try_from(shared.metrics.in_flight()).unwrap_or(0)));
    of_places(gauges, &shared.live.places, &shared.live.current());
    gauges.one(&gateway::REJECTED, float(shared.live.rejected()));
    gauges.one(&gateway::LABEL_SETS, float(shared.metrics.label_sets() as u64));
    gauges.add(&gateway::BUILD, vec![(Label::Version, env!("CARGO_PKG_VERSION").to_owned())], 1.0);
    if matches!(shared.db, Db::Absent) {
        return;
    }
    gauges.one(&gateway::STORE_UP, f64::from(u8::from(shared.directory.reaches_store())));
    if let Some(limits) = &shared.limits {
        let up = !limits.is_lost();
        gauges.one(&gateway::VALKEY_UP, f64::from(u8::from(up)));
        gauges.one(&gateway::GATEWAYS, float(if up { limits.gateways() } else { 0 }));
    }
}

fn of_vocabulary(gauges: &mut Gauges, shared: &Shared) {
    for (reason, outcome, count) in shared.violations.told() {
        let labels =
            vec![(Label::Reason, reason.as_str().to_owned()), (Label::Outcome, outcome.as_str().to_owned())];
        gauges.add(&gateway::TAG_VIOLATIONS, labels, float(count));
    }
}

fn of_places(gauges: &mut Gauges, places: &Places, current: &Current) {
    if current.snapshot.admission.is_none() {
        return;
    }
    gauges.one(&gateway::ADMITTED, f64::from(places.taken()));
    for (priority, waiting, shed) in places.told() {
        let label = || (Label::Priority, priority.as_str().to_owned());
        gauges.add(&gateway::QUEUED, vec![label()], f64::from(waiting));
        for (why, count) in shed {
            let why = (Label::Reason, why.as_str().to_owned());
            gauges.add(&gateway::SHED, vec![label(), why], float(count));
        }
    }
}

fn of_ledger(gauges: &mut Gauges, shared: &Shared) {
    if shared.ledger.is_off() {
        return;
    }
    let state = shared.ledger.state();
    let seconds = |millis: i64| float(u64::try_from(millis).unwrap_or(0)) / 1000.0;
    gauges.one(&gateway::BACKLOG, float(state.backlog));
    gauges.one(&gateway::IN_MEMORY, float(state.in_memory));
    // It is told since when something waits; nothing does when all has been taken.
    let waits = 0 < state.backlog + state.in_memory;
    gauges.one(&gateway::LAG, state.lag.filter(|_| waits).map_or(0.0, seconds));
    gauges.one(&gateway::DROPPED, float(state.dropped));
    gauges.one(&gateway::SHIPPED, float(state.shipped));
    if let Some(at) = state.shipped_at {
        gauges.one(&gateway::SHIPPED_AT, seconds(at));
    }
    gauges.one(&gateway::JOURNAL_FAILING, f64::from(u8::from(state.failing || !state.durable)));
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn float(count: u64) -> f64 {
    count as f64
}

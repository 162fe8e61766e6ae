//! `/experiments`: which variants there are, where ramps are, and why one is held; and the words that let one go on, stay,
//! or go back.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tagway_core::experiment::{Figures, Point, Ramp, Standing, Trial};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::actor::Actor;
use super::change::Change;
use super::given::Part;
use super::refusal::{Refusal, Refusals};
use crate::accounts::now_millis;
use crate::judge::{self, Came};
use crate::live::Current;
use crate::ramps::{Running, Stands};
use crate::store::Db;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(resume))
        .routes(routes!(hold))
        .routes(routes!(roll_back))
}

/// An experiment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Experiment)]
struct Shown {
    name: String,
    /// The model groups it is for; empty for all that have its variants.
    models: Vec<String>,
    variants: Vec<ShownVariant>,
    ramp: Option<ShownRamp>,
}

/// A variant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExperimentVariant)]
struct ShownVariant {
    tag: String,
    /// Its share of requests now, up to 1.
    share: f64,
}

/// A ramp.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExperimentRamp)]
struct ShownRamp {
    variant: String,
    control: String,
    /// `scheduled`, `running`, `held` or `rolled_back`.
    state: &'static str,
    /// The step it is in, from 1; `null` before the first one, and after a rollback.
    step: Option<usize>,
    steps: usize,
    starts_at: Option<String>,
    next_step_at: Option<String>,
    held_since: Option<String>,
    /// Why it is held.
    why: Option<String>,
    /// Since when the requests are counted that it is judged by.
    judged_since: Option<String>,
    /// What they came to, at all gateways, by the tag of the variant.
    #[schema(value_type = Object)]
    figures: Value,
}

fn time(millis: i64) -> Option<String> {
    Timestamp::from_millisecond(millis).ok().filter(|_| i64::MIN < millis).map(|time| time.to_string())
}

fn state(standing: &Standing, point: Point) -> &'static str {
    match (standing, point.step) {
        (Standing { rolled_back: true, .. }, _) => "rolled_back",
        (Standing { held_since: Some(_), .. }, _) => "held",
        (_, None) => "scheduled",
        _ => "running",
    }
}

fn told(figures: &Figures) -> Value {
    json!({
        "requests": figures.requests,
        "failed_requests": figures.failed,
        "error_rate": figures.error_rate(),
        "time_to_first_byte_ms_p95": figures.p95().map(|micros| micros / 1000.0),
    })
}

async fn shown(shared: &Shared, trial: &Trial, running: Option<&Running>) -> Result<Shown, Refusal> {
    let experiment = &trial.experiment;
    let now = now_millis();
    let ramp = match experiment.ramp.as_ref().zip(running) {
        None => None,
        Some((ramp, running)) => {
            let (point, stands) = (running.at(ramp, now), running.stands());
            let Came { variant, control } = judge::came(&shared.db, trial, running, point).await?;
            let tags = [ramp.variant, ramp.control].map(|place| trial.tag(place).to_owned());
            let figures = json!({tags[0].clone(): told(&variant), tags[1].clone(): told(&control)});
            let [variant, control] = tags;
            let shown = ShownRamp {
                variant,
                control,
                state: state(&stands.standing, point),
                step: point.step.map(|step| step + 1),
                steps: ramp.steps.len(),
                starts_at: time(ramp.starts_at),
                next_step_at: point.next.and_then(time),
                held_since: stands.standing.held_since.and_then(time),
                why: stands.why.as_deref().map(str::to_owned),
                judged_since: point.step.and_then(|_| time(point.since)),
                figures,
            };
            Some((shown, point))
        }
    };
    let now = ramp.as_ref().map(|(_, point)| point.share);
    let variants = experiment.variants.iter().enumerate();
    let variants = variants.map(|(place, variant)| ShownVariant {
        tag: variant.tag.to_string(),
        share: experiment.share(place, now),
    });
    Ok(Shown {
        name: experiment.name.to_string(),
        models: experiment.models.iter().map(ToString::to_string).collect(),
        variants: variants.collect(),
        ramp: ramp.map(|(shown, _)| shown),
    })
}

/// Shows the experiments: the shares of their variants, and where ramps are.
#[utoipa::path(
    get, path = "/experiments", tag = "routing",
    responses((status = 200, description = "The experiments", body = Vec<Shown>), Refusals)
)]
async fn list(State(shared): State<Shared>, actor: Actor) -> Result<Json<Vec<Shown>>, Refusal> {
    actor.must_see_all()?;
    let current = shared.live.current();
    let mut all = Vec::new();
    for (place, trial) in current.snapshot.trials.iter().enumerate() {
        all.push(shown(&shared, trial, current.ramps.of(place).map(|running| &**running)).await?);
    }
    Ok(Json(all))
}

/// Lets a ramp go on that is held: where it was held, or from its first step after a rollback. Only what comes after that
/// is judged.
#[utoipa::path(
    post, path = "/experiments/{name}/resume", tag = "routing",
    params(("name" = String, Path, description = "Which experiment")),
    responses((status = 200, description = "The experiment", body = Shown), Refusals)
)]
async fn resume(
    State(shared): State<Shared>,
    actor: Actor,
    Part(name): Part,
) -> Result<Json<Shown>, Refusal> {
    alter(&shared, &actor, &name, |ramp, standing, now| {
        standing.held_since?;
        Some(Stands { standing: ramp.resumed(now, standing), why: None })
    })
    .await
}

/// Keeps the shares of a ramp as they are.
#[utoipa::path(
    post, path = "/experiments/{name}/hold", tag = "routing",
    params(("name" = String, Path, description = "Which experiment")),
    responses((status = 200, description = "The experiment", body = Shown), Refusals)
)]
async fn hold(State(shared): State<Shared>, actor: Actor, Part(name): Part) -> Result<Json<Shown>, Refusal> {
    let why = said(&actor, "held");
    alter(&shared, &actor, &name, |ramp, standing, now| {
        if standing.held_since.is_some() {
            return None;
        }
        Some(Stands { standing: ramp.held(now, standing), why: Some(why) })
    })
    .await
}

/// Gives nobody the variant of a ramp any more.
#[utoipa::path(
    post, path = "/experiments/{name}/rollback", tag = "routing",
    params(("name" = String, Path, description = "Which experiment")),
    responses((status = 200, description = "The experiment", body = Shown), Refusals)
)]
async fn roll_back(
    State(shared): State<Shared>,
    actor: Actor,
    Part(name): Part,
) -> Result<Json<Shown>, Refusal> {
    let why = said(&actor, "rolled back");
    alter(&shared, &actor, &name, |ramp, standing, now| {
        if standing.rolled_back {
            return None;
        }
        Some(Stands { standing: ramp.rolled_back(now, standing), why: Some(why) })
    })
    .await
}

fn said(actor: &Actor, done: &str) -> Box<str> {
    format!("{done} by {}", actor.signature().id).into()
}

/// Changes how a ramp stands, here at once and everywhere within a second. What stands so already is left as it is.
async fn alter(
    shared: &Shared,
    actor: &Actor,
    name: &str,
    change: impl FnOnce(&Ramp, &Standing, i64) -> Option<Stands>,
) -> Result<Json<Shown>, Refusal> {
    actor.must_be_admin()?;
    let current = shared.live.current();
    let (trial, ramp, running) = find(&current, name)?;
    let now = now_millis();
    let stands = if matches!(shared.db, Db::Absent) {
        change(ramp, &running.stands().standing, now)
    } else {
        let mut edit = Change::begin(shared, actor).await?;
        let stands = judge::alter(&mut edit, running, |standing| change(ramp, standing, now)).await?;
        if stands.is_some() {
            edit.commit().await?;
        }
        stands
    };
    if let Some(stands) = stands {
        running.stand(stands);
    }
    Ok(Json(shown(shared, trial, Some(running)).await?))
}

fn find<'c>(current: &'c Current, name: &str) -> Result<(&'c Trial, &'c Ramp, &'c Running), Refusal> {
    let trials = &current.snapshot.trials;
    let Some(place) = trials.iter().position(|trial| *trial.experiment.name == *name) else {
        return Err(Refusal::missing("name", format!("There is no experiment '{name}'.")));
    };
    let trial = &trials[place];
    let ramp = trial.experiment.ramp.as_ref().zip(current.ramps.of(place));
    let (ramp, running) =
        ramp.ok_or_else(|| Refusal::field("name", format!("The experiment '{name}' has no ramp.")))?;
    Ok((trial, ramp, running))
}

//! Ramps, once a second, on the control runtime: how they stand comes from the store, what their variants came to goes
//! there, and one whose variant is too bad by the figures of all gateways is held. Any gateway may judge; the store lets
//! one of them. Without a store each gateway goes by itself. While the store does not answer nothing is judged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tagway_core::experiment::{Figures, OnBreach, Point, Ramp, Standing, Trial};

use crate::accounts::now_millis;
use crate::alerts;
use crate::live::Live;
use crate::objects::Experiment;
use crate::ramps::{Running, Stands};
use crate::store::{Actor, Counted, Db, Edit, StoreError};
use crate::tasks::{Stop, Tasks};

/// How often ramps are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What requests of a ramp's variants came to.
#[derive(Debug, Default)]
pub(crate) struct Came {
    pub(crate) variant: Figures,
    pub(crate) control: Figures,
}

/// Looks after ramps until asked to stop.
pub(crate) async fn keep(live: Arc<Live>, db: Db, mut stop: Stop) {
    let gateway = format!("{:016x}", fastrand::u64(..));
    let (mut written, mut telling) = (HashMap::new(), Tasks::new());
    loop {
        let stopping = tokio::select! {
            () = stop.asked() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let mut held = Vec::new();
        if let Err(error) = look(&live, &db, &gateway, &mut written, &mut held).await {
            tracing::debug!(%error, "ramps cannot be looked at now");
        }
        for Told { text, payload } in held {
            let alerts = live.current().snapshot.config.general.alerts.clone();
            telling.spawn("alert", |_| alerts::say(alerts, text, payload));
        }
        if stopping {
            return;
        }
    }
}

/// What was written last for a ramp.
type Written = HashMap<Box<str>, (i64, [Figures; 2])>;

/// What people are told of a ramp that was held.
struct Told {
    text: String,
    payload: Value,
}

async fn look(
    live: &Live,
    db: &Db,
    gateway: &str,
    written: &mut Written,
    held: &mut Vec<Told>,
) -> Result<(), StoreError> {
    let current = live.current();
    if !current.ramps.any() {
        return Ok(());
    }
    let ramps = || {
        let trials = current.snapshot.trials.iter().enumerate();
        trials.filter_map(|(at, trial)| Some((trial, trial.experiment.ramp.as_ref()?, current.ramps.of(at)?)))
    };
    read(db, ramps().map(|(_, _, running)| running)).await?;
    for (trial, ramp, running) in ramps() {
        let now = now_millis();
        let point = running.at(ramp, now);
        if let Some(figures) = running.figures(point.since)
            && !matches!(db, Db::Absent)
            && written.get(&running.name) != Some(&(point.since, figures.clone()))
        {
            let [control, variant] = &figures;
            let tags = [(trial.tag(0), control.clone()), (trial.tag(1), variant.clone())];
            db.note_figures(counted(running, point), gateway, &tags).await?;
            written.insert(running.name.clone(), (point.since, figures));
        }
        held.extend(judge(db, trial, ramp, running, point, now).await?);
    }
    Ok(())
}

/// Reads how ramps stand.
async fn read<'r>(db: &Db, ramps: impl Iterator<Item = &'r Arc<Running>>) -> Result<(), StoreError> {
    if matches!(db, Db::Absent) {
        return Ok(());
    }
    let stored = db.everything::<Experiment>().await?;
    for running in ramps {
        let found = stored.iter().find(|stored| *stored.id == *running.name);
        let stands = found.filter(|stored| *stored.object.ramp == *running.key);
        let stands = stands.map(|stored| stands_of(&stored.object)).unwrap_or_default();
        if running.stand(stands.clone()) {
            let (held, why) = (stands.standing.held_since.is_some(), stands.why.as_deref());
            tracing::info!(experiment = &*running.name, held, why, "a ramp stands differently");
        }
    }
    Ok(())
}

fn stands_of(object: &Experiment) -> Stands {
    let Experiment { held_since, paused, rolled_back, judged_from, .. } = *object;
    let standing = Standing { held_since, paused, rolled_back, judged_from };
    Stands { standing, why: object.why.as_deref().map(Box::from) }
}

fn counted(running: &Running, point: Point) -> Counted<'_> {
    Counted { experiment: &running.name, ramp: &running.key, since: point.since }
}

/// What requests since a point came to, at all gateways.
pub(crate) async fn came(
    db: &Db,
    trial: &Trial,
    running: &Running,
    point: Point,
) -> Result<Came, StoreError> {
    if matches!(db, Db::Absent) {
        let [control, variant] = running.figures(point.since).unwrap_or_default();
        return Ok(Came { variant, control });
    }
    let mut all = db.figures(counted(running, point)).await?;
    let mut of = |place| all.remove(trial.tag(place)).unwrap_or_default();
    Ok(Came { control: of(0), variant: of(1) })
}

/// Holds a ramp whose variant is too bad; says what to tell of it.
async fn judge(
    db: &Db,
    trial: &Trial,
    ramp: &Ramp,
    running: &Arc<Running>,
    point: Point,
    now: i64,
) -> Result<Option<Told>, StoreError> {
    let (Some(hold), Some(_)) = (&ramp.hold, point.step) else { return Ok(None) };
    if running.stands().standing.held_since.is_some() {
        return Ok(None);
    }
    let Came { variant, control } = came(db, trial, running, point).await?;
    let Some(breach) = hold.judge(&variant, &control) else { return Ok(None) };
    let why: Box<str> = format!("`{}`: {breach}", trial.tag(ramp.variant)).into();
    let rollback = hold.on_breach == OnBreach::Rollback;
    let change = |standing: &Standing| {
        // Somebody was faster, or has just let it go on.
        if standing.held_since.is_some() || ramp.at(now, standing).since != point.since {
            return None;
        }
        let to = if rollback { ramp.rolled_back(now, standing) } else { ramp.held(now, standing) };
        Some(Stands { standing: to, why: Some(why.clone()) })
    };
    if matches!(db, Db::Absent) {
        if let Some(stands) = change(&running.stands().standing) {
            running.stand(stands);
        }
    } else {
        let actor = Actor { id: "tagway".to_owned(), role: "gateway" };
        let mut edit = Edit::begin(db, actor).await?;
        let Some(stands) = alter(&mut edit, running, change).await? else { return Ok(None) };
        edit.commit().await?;
        running.stand(stands);
    }
    let done = if rollback { "rolled back" } else { "held" };
    tracing::warn!(
        experiment = &*running.name,
        share = point.share,
        why = &*why,
        "A RAMP IS {}",
        done.to_uppercase()
    );
    let text = format!("The ramp of the experiment {} is {done}: {why}.", running.name);
    let payload = json!({
        "event": format!("experiment_{}", done.replace(' ', "_")),
        "event_group": "experiment",
        "event_message": text,
        "experiment": running.name,
        "variant": trial.tag(ramp.variant),
        "share": point.share,
    });
    Ok(Some(Told { text, payload }))
}

/// Changes how a ramp stands; nothing where `change` gives nothing.
pub(crate) async fn alter(
    edit: &mut Edit,
    running: &Running,
    change: impl FnOnce(&Standing) -> Option<Stands>,
) -> Result<Option<Stands>, StoreError> {
    let before = edit.find::<Experiment>(&running.name).await?;
    let known = before.as_ref().filter(|stored| *stored.object.ramp == *running.key);
    let standing = known.map(|stored| stands_of(&stored.object).standing).unwrap_or_default();
    let Some(stands) = change(&standing) else { return Ok(None) };
    let Standing { held_since, paused, rolled_back, judged_from } = stands.standing;
    let ramp = running.key.to_string();
    let why = stands.why.as_deref().map(str::to_owned);
    let object = Experiment { ramp, held_since, paused, rolled_back, judged_from, why };
    match before {
        Some(before) => edit.update(&before, object).await?,
        None => edit.insert(&running.name, object).await?,
    };
    Ok(Some(stands))
}

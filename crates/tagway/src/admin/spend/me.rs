//! `/me/usage`: what a key has spent, may spend and has left, for whoever holds it. Shows nothing of any other key.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Value, json};
use tagway_core::money::Nanos;

use super::super::Shared;
use super::super::actor::Known;
use super::super::given::{Asked, object};
use super::super::refusal::{Refusal, Refusals};
use super::days::{Some30, text};
use super::figures::Metrics;
use super::read::{self, Sum};
use super::view::{self, View};
use crate::accounts::now_millis;
use crate::directory::Bearer;
use crate::meter;
use crate::objects::{Key, Kind};
use crate::store::{Dim, Stored, TagView};

/// As many models and tags are listed: the costliest.
const MOST: i64 = 1000;

/// Shows the key that asks: its budget, its limits and what is left of them, and what it was used for, of the last thirty
/// days and today where no days are asked for.
#[utoipa::path(
    get, path = "/me/usage", tag = "spend", params(Some30, View),
    responses((status = 200, description = "The key's own figures", body = Object), Refusals)
)]
pub(super) async fn usage(
    State(shared): State<Shared>,
    known: Known,
    Asked(days): Asked<Some30>,
    Asked(view): Asked<View>,
) -> Result<Json<Value>, Refusal> {
    let Some(bearer) = known.caller.bearer() else {
        let message = "The master key has no usage of its own. GET /global/spend shows everybody's.";
        return Err(Refusal::field("key", message));
    };
    let (view, days) = (view.wanted()?, days.days()?);
    let stored: Option<Stored<Key>> = shared.db.find(&bearer.id).await?;
    let money = money(&shared, bearer, stored.as_ref()).await?;
    let mut slice = read::within(days);
    slice.only.push((Dim::Key, vec![Some(bearer.id.as_ref().to_owned())]));
    let total = read::total(&shared, &slice).await?;
    let models = read::top(&shared, &slice, &[Dim::Group], TagView::Full, MOST).await?;
    let mut tags = read::top(&shared, &slice, &[Dim::Tag], view, MOST).await?;
    tags.retain(|sum| view == TagView::Split || sum.of(0).is_some());
    let row = |name: &'static str| {
        move |sum: &Sum| {
            let mut row = object(&Metrics::from(&sum.sums));
            row.insert(name.to_owned(), sum.of(0).into());
            row
        }
    };
    Ok(Json(json!({
        "key_alias": bearer.alias,
        "key_name": bearer.name,
        "user_id": bearer.user_id,
        "team_id": bearer.team_id,
        "expires": bearer.ends().map(|at| at.to_string()),
        "budget": money,
        "limits": limits(bearer),
        "usage": {
            "start_date": text(days.first),
            "end_date": text(days.last),
            "total": Metrics::from(&total),
            "by_model": models.iter().map(row("model_group")).collect::<Vec<_>>(),
            "by_tag": tags.iter().map(row("tag")).collect::<Vec<_>>(),
            "view": view::name(view),
        },
    })))
}

/// What the key has spent of its budget.
async fn money(shared: &Shared, bearer: &Bearer, stored: Option<&Stored<Key>>) -> Result<Value, Refusal> {
    let now = now_millis();
    let account = bearer.purse.own();
    let spend = match account {
        Some(account) => account.spent(now),
        None => {
            let ids = [bearer.id.as_ref().to_owned()];
            Nanos(shared.db.spend(Kind::Key, &ids).await?.into_values().sum())
        }
    };
    let most = account.and_then(|account| account.max(now));
    let held = account.map_or(Nanos::ZERO, |account| account.held(now));
    let reset = account.and_then(|account| account.begins_anew(now));
    let reset = reset.and_then(|at| Timestamp::from_millisecond(at).ok());
    let limits = stored.map(|key| &key.object.limits);
    Ok(json!({
        "spend": spend.dollars(),
        "held": held.dollars(),
        "max_budget": most.map(Nanos::dollars),
        "remaining": most.map(|most| (most - spend - held).max(Nanos::ZERO).dollars()),
        "soft_budget": limits.and_then(|limits| limits.soft_budget),
        "budget_duration": limits.and_then(|limits| limits.budget_duration.as_deref()),
        "budget_reset_at": reset.map(|at| at.to_string()),
    }))
}

/// The key's limits of rate, as far as this gateway knows.
fn limits(bearer: &Bearer) -> Vec<Value> {
    let now = meter::micros(Instant::now());
    let of = bearer.limits.iter().flat_map(|metered| {
        metered.left(now).map(|(unit, limit, left)| {
            json!({"limit": unit.as_str(), "model": metered.model, "allowed": limit, "remaining": left})
        })
    });
    of.collect()
}

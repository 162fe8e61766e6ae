//! `/global/*`: the few figures of the whole gateway that LiteLLM's pages show, of the last thirty days and today where
//! no days are asked for.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tagway_core::money::Nanos;
use utoipa::{IntoParams, ToSchema};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::{Asked, Given};
use super::super::refusal::{Refusal, Refusals};
use super::csv::{AsCsv, Format, Sheet};
use super::days::{self, Days, Range, text};
use super::figures::{COLUMNS, cells, tokens};
use super::names::{self, Keys, UNASSIGNED};
use super::read;
use super::scope::{FIGURES, Reach, key_id};
use crate::objects::Role;
use crate::store::{Dim, Slice, TagView};

/// As many models, teams and the like are listed as the costliest.
const FEW: i64 = 10;
/// As many of anything are listed at most.
const MANY: i64 = 1000;

/// Shows what was spent in the last thirty days and today, and what may be altogether.
#[utoipa::path(
    get, path = "/global/spend", tag = "spend",
    responses((status = 200, description = "Dollars", body = Object), Refusals)
)]
pub(super) async fn spend(State(shared): State<Shared>, actor: Actor) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let total = read::total(&shared, &read::within(Days::usual())).await?;
    let most = actor.current.snapshot.config.proxy.budget.max;
    Ok(Json(json!({"spend": total.cost.dollars(), "max_budget": most.map(Nanos::dollars)})))
}

/// Which key.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichKey {
    /// Of this key, or the key of this digest.
    api_key: Option<String>,
}

/// Shows what was spent on each of the last thirty days and today.
#[utoipa::path(
    get, path = "/global/spend/logs", tag = "spend", params(WhichKey, AsCsv),
    responses((status = 200, description = "Days", body = Vec<Object>), Refusals)
)]
pub(super) async fn logs(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<WhichKey>,
    format: Format,
) -> Result<Response, Refusal> {
    actor.must_see_all()?;
    let mut slice = read::within(Days::usual());
    if let Some(key) = which.api_key.filter(|key| !key.is_empty()) {
        slice.only.push((Dim::Key, vec![key_id(&shared, &key).await?]));
    }
    let sums = read::sums(&shared, &slice, &[Dim::Day], TagView::Full).await?;
    if format == Format::Csv {
        return Ok(sheet_of_days(&sums));
    }
    let row = |sum: &read::Sum| json!({"date": text(sum.day()), "spend": sum.sums.cost.dollars()});
    Ok(Json(sums.iter().map(row).collect::<Vec<_>>()).into_response())
}

fn sheet_of_days(sums: &[read::Sum]) -> Response {
    let mut columns = vec!["date"];
    columns.extend(COLUMNS);
    let mut sheet = Sheet::new(&columns);
    for sum in sums {
        sheet.plain(text(sum.day()));
        cells(&mut sheet, &sum.sums);
    }
    sheet.answer("days.csv")
}

/// How many.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct HowMany {
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

impl HowMany {
    fn or(&self, usual: i64) -> Result<i64, Refusal> {
        match self.limit {
            Some(limit) if !(1..=MANY).contains(&limit) => {
                Err(Refusal::field("limit", format!("limit must be between 1 and {MANY}.")))
            }
            limit => Ok(limit.unwrap_or(usual)),
        }
    }
}

/// Lists the keys that spent the most in the last thirty days and today.
#[utoipa::path(
    get, path = "/global/spend/keys", tag = "spend", params(HowMany),
    responses((status = 200, description = "Keys", body = Vec<Object>), Refusals)
)]
pub(super) async fn keys(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(many): Asked<HowMany>,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let slice = read::within(Days::usual());
    let sums = read::top(&shared, &slice, &[Dim::Key], TagView::Full, many.or(MANY)?).await?;
    let names = Keys::read(&shared, sums.iter().filter_map(|sum| sum.of(0))).await?;
    let row = |sum: &read::Sum| {
        let id = sum.of(0);
        json!({
            "api_key": names::key(id),
            "key_alias": id.and_then(|id| names.alias(id)),
            "key_name": id.and_then(|id| names.name(id)),
            "total_spend": sum.sums.cost.dollars(),
        })
    };
    Ok(Json(sums.iter().map(row).collect()))
}

/// Lists the models of providers that cost the most in the last thirty days and today.
#[utoipa::path(
    get, path = "/global/spend/models", tag = "spend", params(HowMany),
    responses((status = 200, description = "Models", body = Vec<Object>), Refusals)
)]
pub(super) async fn models(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(many): Asked<HowMany>,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let slice = read::within(Days::usual());
    let sums = read::top(&shared, &slice, &[Dim::Model], TagView::Full, many.or(FEW)?).await?;
    let row = |sum: &read::Sum| {
        let model = sum.of(0)?;
        Some(json!({
            "model": model, "total_spend": sum.sums.cost.dollars(), "total_tokens": tokens(&sum.sums),
        }))
    };
    Ok(Json(sums.iter().filter_map(row).collect()))
}

/// Shows what each team spent on each of the last thirty days and today.
#[utoipa::path(
    get, path = "/global/spend/teams", tag = "spend",
    responses((status = 200, description = "Days and teams", body = Object), Refusals)
)]
pub(super) async fn teams(State(shared): State<Shared>, actor: Actor) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let slice = read::within(Days::usual());
    let totals = read::top(&shared, &slice, &[Dim::Team], TagView::Full, MANY).await?;
    let mut listed = slice.clone();
    listed.only.push((Dim::Team, totals.iter().filter_map(|sum| sum.at.first().cloned()).collect()));
    let sums = read::sums(&shared, &listed, &[Dim::Day, Dim::Team], TagView::Full).await?;
    let names = names::metadata(&shared, Dim::Team, totals.iter().filter_map(|sum| sum.of(0))).await?;
    let name = |id: Option<&str>| {
        let alias = id.and_then(|id| names.get(id)).and_then(|team| team["team_alias"].as_str());
        alias.or(id).unwrap_or(UNASSIGNED).to_owned()
    };
    // Two teams may have one alias.
    let mut of_days: BTreeMap<i64, BTreeMap<String, Nanos>> = BTreeMap::new();
    for sum in &sums {
        *of_days.entry(sum.day()).or_default().entry(name(sum.of(1))).or_default() += sum.sums.cost;
    }
    let daily: Vec<Value> = of_days
        .into_iter()
        .map(|(day, teams)| {
            let mut shown = Map::from_iter([("date".to_owned(), Value::from(text(day)))]);
            shown.extend(teams.into_iter().map(|(team, cost)| (team, cost.dollars().into())));
            Value::Object(shown)
        })
        .collect();
    let per_team = totals
        .iter()
        .take(usize::try_from(FEW).unwrap_or_default())
        .map(|sum| json!({"team_id": name(sum.of(0)), "total_spend": sum.sums.cost.dollars()}));
    Ok(Json(json!({
        "daily_spend": daily,
        "teams": totals.iter().map(|sum| name(sum.of(0))).collect::<Vec<_>>(),
        "total_spend_per_team": per_team.collect::<Vec<_>>(),
    })))
}

/// Shows what was spent at each provider.
#[utoipa::path(
    get, path = "/global/spend/provider", tag = "spend", params(Range),
    responses((status = 200, description = "Providers", body = Vec<Object>), Refusals)
)]
pub(super) async fn providers(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let slice = read::within(range.days()?);
    let sums = read::sums(&shared, &slice, &[Dim::Provider], TagView::Full).await?;
    // What failed before a provider was chosen cost nothing.
    let row = |sum: &read::Sum| Some(json!({"provider": sum.of(0)?, "spend": sum.sums.cost.dollars()}));
    Ok(Json(sums.iter().filter_map(row).collect()))
}

/// Which customers.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct WhichEndUsers {
    /// Of this key, or the key of this digest.
    api_key: Option<String>,
    /// From this day on: a day, or a time on it.
    #[serde(rename = "startTime")]
    start: Option<String>,
    /// Up to this day, and including it.
    #[serde(rename = "endTime")]
    end: Option<String>,
}

/// Lists the hundred customers that cost the most.
#[utoipa::path(
    post, path = "/global/spend/end_users", tag = "spend", request_body = WhichEndUsers,
    responses((status = 200, description = "Customers", body = Vec<Object>), Refusals)
)]
pub(super) async fn end_users(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let WhichEndUsers { api_key, start, end } = given.take()?;
    given.nothing_else()?;
    let usual = Days::usual();
    let day = |field, text: Option<String>, usual: i64| match text {
        Some(text) => days::moment(field, &text, false).map(|at| at.div_euclid(86_400_000)),
        None => Ok(usual),
    };
    let days = Days { first: day("startTime", start, usual.first)?, last: day("endTime", end, usual.last)? };
    let mut slice = read::within(days);
    if let Some(key) = api_key.filter(|key| !key.is_empty()) {
        slice.only.push((Dim::Key, vec![key_id(&shared, &key).await?]));
    }
    let sums = read::top(&shared, &slice, &[Dim::Customer], TagView::Full, 100).await?;
    let row = |sum: &read::Sum| {
        json!({
            "end_user": sum.of(0), "total_count": sum.sums.requests, "total_spend": sum.sums.cost.dollars(),
        })
    };
    Ok(Json(sums.iter().map(row).collect()))
}

/// Names the customers of requests in the last thirty days and today: the 10,000 costliest.
#[utoipa::path(
    get, path = "/global/all_end_users", tag = "spend",
    responses((status = 200, description = "Ids", body = Object), Refusals)
)]
pub(super) async fn all_end_users(
    State(shared): State<Shared>,
    actor: Actor,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let slice = read::within(Days::usual());
    let sums = read::top(&shared, &slice, &[Dim::Customer], TagView::Full, 10_000).await?;
    let ids: Vec<&str> = sums.iter().filter_map(|sum| sum.of(0)).collect();
    Ok(Json(json!({"end_users": ids})))
}

/// Shows how many requests and tokens there were on each day: to admins of all, to users of their own.
#[utoipa::path(
    get, path = "/global/activity", tag = "spend", params(Range, AsCsv),
    responses((status = 200, description = "Days", body = Object), Refusals)
)]
pub(super) async fn activity(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    format: Format,
) -> Result<Response, Refusal> {
    let slice = reach(&shared, &actor, &range).await?;
    let sums = read::sums(&shared, &slice, &[Dim::Day], TagView::Full).await?;
    if format == Format::Csv {
        return Ok(sheet_of_days(&sums));
    }
    Ok(Json(Value::Object(chart(&sums.iter().collect::<Vec<_>>()))).into_response())
}

/// The same for each of the ten model groups used most.
#[utoipa::path(
    get, path = "/global/activity/model", tag = "spend", params(Range),
    responses((status = 200, description = "Model groups", body = Vec<Object>), Refusals)
)]
pub(super) async fn activity_by_model(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
) -> Result<Json<Value>, Refusal> {
    let slice = reach(&shared, &actor, &range).await?;
    let sums = read::sums(&shared, &slice, &[Dim::Day, Dim::Group], TagView::Full).await?;
    let mut groups: BTreeMap<Option<&str>, Vec<&read::Sum>> = BTreeMap::new();
    for sum in &sums {
        groups.entry(sum.of(1)).or_default().push(sum);
    }
    let requests = |sums: &[&read::Sum]| sums.iter().map(|sum| sum.sums.requests).sum::<i64>();
    let mut groups: Vec<(Option<&str>, Vec<&read::Sum>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, sums)| std::cmp::Reverse(requests(sums)));
    groups.truncate(usize::try_from(FEW).unwrap_or_default());
    let row = |(group, sums): (Option<&str>, Vec<&read::Sum>)| {
        let mut row = Map::from_iter([("model".to_owned(), Value::from(group))]);
        row.extend(chart(&sums));
        Value::Object(row)
    };
    Ok(Json(groups.into_iter().map(row).collect()))
}

/// All requests, or a user's own.
async fn reach(shared: &Shared, actor: &Actor, range: &Range) -> Result<Slice, Refusal> {
    if actor.role == Some(Role::InternalUserViewer) {
        actor.must_see_all()?;
    }
    let reach = Reach::of(shared, actor, FIGURES).await?;
    Ok(reach.within(read::within(range.days()?)))
}

/// What LiteLLM's pages draw.
fn chart(sums: &[&read::Sum]) -> Map<String, Value> {
    let days = sums.iter().map(|sum| {
        let date = days::date(sum.day());
        json!({
            "date": date.strftime("%b %d").to_string(),
            "day": date.to_string(),
            "api_requests": sum.sums.requests,
            "total_tokens": tokens(&sum.sums),
        })
    });
    let all = json!({
        "daily_data": days.collect::<Vec<_>>(),
        "sum_api_requests": sums.iter().map(|sum| sum.sums.requests).sum::<i64>(),
        "sum_total_tokens": sums.iter().map(|sum| tokens(&sum.sums)).sum::<i64>(),
    });
    super::super::given::object(&all)
}

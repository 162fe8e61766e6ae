//! `/global/spend/report` and its siblings: what each team, customer, key, tag, … spent, and on which models with which
//! keys.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagway_core::money::Nanos;
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::csv::{AsCsv, Format, Sheet};
use super::days::{Days, Range, text};
use super::figures::{COLUMNS, add, cells, tokens, total};
use super::names::{self, Keys, UNASSIGNED};
use super::read::{self, Sum};
use super::scope::{FIGURES, Reach, key_id};
use super::view::{self, View};
use crate::store::{Dim, Slice, Sums, TagView};

/// By what, and of whom.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `team`, `customer`, `api_key`, `tag`, `model`, `model_group`, `deployment`, `provider`, `user`, `organization`
    /// or `project`; `team` without it.
    #[param(
        pattern = "^(team|customer|api_key|tag|model|model_group|deployment|provider|user|organization|project)$"
    )]
    group_by: Option<String>,
    /// Of this key, or the key of this digest, by key.
    api_key: Option<String>,
    /// Of this user, by key.
    internal_user_id: Option<String>,
    team_id: Option<String>,
    customer_id: Option<String>,
}

/// What a report is told apart by: its name, that of the list, and that of each in it.
struct By {
    dimension: Dim,
    list: &'static str,
    one: &'static str,
}

fn by(name: &str) -> Result<By, Refusal> {
    let (dimension, list, one) = match name {
        "team" => (Dim::Team, "teams", "team_id"),
        "customer" => (Dim::Customer, "customers", "customer"),
        "api_key" => (Dim::Key, "api_keys", "api_key"),
        "tag" => (Dim::Tag, "tags", "tag"),
        "model" => (Dim::Model, "models", "model"),
        "model_group" => (Dim::Group, "model_groups", "model_group"),
        "deployment" => (Dim::Deployment, "deployments", "deployment"),
        "provider" => (Dim::Provider, "providers", "provider"),
        "user" => (Dim::User, "users", "user_id"),
        "organization" => (Dim::Organization, "organizations", "organization_id"),
        "project" => (Dim::Project, "projects", "project_id"),
        _ => {
            let message = "Invalid group_by. Must be one of: team, customer, api_key, tag, model, model_group, deployment, provider, user, organization, project";
            return Err(Refusal::field("group_by", message));
        }
    };
    Ok(By { dimension, list, one })
}

/// Reports spend day by day and by team, customer, tag, …; of keys, of all days together.
#[utoipa::path(
    get, path = "/global/spend/report", tag = "spend", params(Range, Which, View, AsCsv),
    responses((status = 200, description = "Days, or keys", body = Vec<Object>), Refusals)
)]
pub(super) async fn global(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(which): Asked<Which>,
    Asked(view): Asked<View>,
    format: Format,
) -> Result<Response, Refusal> {
    actor.must_see_all()?;
    let mut slice = read::within(range.days()?);
    let view = view.wanted()?;
    let Which { group_by, api_key, internal_user_id, team_id, customer_id } = which;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let mut group_by = given(group_by).unwrap_or_else(|| "team".to_owned());
    if let Some(key) = given(api_key) {
        slice.only.push((Dim::Key, vec![key_id(&shared, &key).await?]));
        "api_key".clone_into(&mut group_by);
    }
    for (dimension, value) in
        [(Dim::User, &internal_user_id), (Dim::Team, &team_id), (Dim::Customer, &customer_id)]
    {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            slice.only.push((dimension, vec![Some(value.clone())]));
        }
    }
    if given(internal_user_id).is_some() {
        "api_key".clone_into(&mut group_by);
    }
    answer(&shared, &slice, &by(&group_by)?, view, format).await
}

async fn answer(
    shared: &Shared,
    slice: &Slice,
    by: &By,
    view: TagView,
    format: Format,
) -> Result<Response, Refusal> {
    if by.dimension == Dim::Key {
        return of_keys(shared, slice, format).await;
    }
    let dimensions = [Dim::Day, by.dimension, Dim::Model, Dim::Key];
    let mut sums = read::sums(shared, slice, &dimensions, view).await?;
    if by.dimension == Dim::Tag && view == TagView::Full {
        sums.retain(|sum| sum.of(1).is_some());
    }
    let ids = sums.iter().filter_map(|sum| sum.of(1));
    let names = names::metadata(shared, by.dimension, ids).await?;
    if format == Format::Csv {
        let keys = Keys::read(shared, sums.iter().filter_map(|sum| sum.of(3))).await?;
        return Ok(sheet(by, &sums, &names, &keys));
    }
    let mut days: Vec<Value> = Vec::new();
    let totals: HashMap<i64, Nanos> = if by.dimension == Dim::Tag {
        let sums = read::sums(shared, slice, &[Dim::Day], TagView::Full).await?;
        sums.iter().map(|sum| (sum.day(), sum.sums.cost)).collect()
    } else {
        HashMap::new()
    };
    for of_day in sums.chunk_by(|one, other| one.of(0) == other.of(0)) {
        let Some(day) = of_day.first().map(Sum::day) else { continue };
        let mut shown = Map::from_iter([
            ("group_by_day".to_owned(), format!("{}T00:00:00+00:00", text(day)).into()),
            (by.list.to_owned(), rows(by, of_day, &names).into()),
        ]);
        if by.dimension == Dim::Tag {
            shown.insert("view".to_owned(), view::name(view).into());
            let total = totals.get(&day).copied().unwrap_or_default();
            shown.insert("total_spend".to_owned(), total.dollars().into());
        }
        days.push(Value::Object(shown));
    }
    let body = Json(Value::Array(days));
    if by.dimension != Dim::Tag {
        return Ok(body.into_response());
    }
    let total = totals.into_values().sum();
    Ok((view::headers(view, total), body).into_response())
}

/// Those of a day, the costliest first.
fn rows(by: &By, sums: &[Sum], names: &HashMap<String, Value>) -> Vec<Value> {
    let mut groups: Vec<(Option<&str>, Vec<&Sum>)> = Vec::new();
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    for sum in sums {
        let place = *places.entry(sum.of(1)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(sum),
            None => groups.push((sum.of(1), vec![sum])),
        }
    }
    let mut rows: Vec<(Nanos, Value)> = groups
        .into_iter()
        .map(|(id, group)| {
            let spend = total(group.iter().map(|sum| &sum.sums)).cost;
            let mut row = Map::from_iter([(by.one.to_owned(), id.into())]);
            let known = id.and_then(|id| names.get(id)).and_then(Value::as_object);
            row.extend(known.cloned().unwrap_or_default());
            if by.dimension == Dim::Team {
                let alias = row.get("team_alias").and_then(Value::as_str).or(id).unwrap_or("Unassigned Team");
                row.insert("team_name".to_owned(), alias.to_owned().into());
            }
            row.insert("total_spend".to_owned(), spend.dollars().into());
            let used: Vec<Value> = group
                .iter()
                .map(|sum| {
                    json!({
                        "model": sum.of(2),
                        "api_key": names::key(sum.of(3)),
                        "spend": sum.sums.cost.dollars(),
                        "total_tokens": tokens(&sum.sums),
                        "requests": sum.sums.requests,
                    })
                })
                .collect();
            row.insert("metadata".to_owned(), used.into());
            (spend, Value::Object(row))
        })
        .collect();
    rows.sort_by_key(|(spend, _)| std::cmp::Reverse(*spend));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn sheet(by: &By, sums: &[Sum], names: &HashMap<String, Value>, keys: &Keys) -> Response {
    let mut columns = vec!["date", by.one, "name", "model", "api_key", "key_alias"];
    columns.extend(COLUMNS);
    let mut sheet = Sheet::new(&columns);
    for sum in sums {
        let id = sum.of(1);
        let names = id.and_then(|id| names.get(id)).and_then(Value::as_object);
        let name = names.and_then(|names| names.values().find_map(Value::as_str));
        sheet.plain(text(sum.day())).text(id.unwrap_or(UNASSIGNED)).maybe(name).maybe(sum.of(2));
        sheet.text(names::key(sum.of(3))).maybe(sum.of(3).and_then(|key| keys.alias(key)));
        cells(&mut sheet, &sum.sums);
    }
    sheet.answer("spend.csv")
}

/// Keys, the costliest first, with their models.
async fn of_keys(shared: &Shared, slice: &Slice, format: Format) -> Result<Response, Refusal> {
    let sums = read::sums(shared, slice, &[Dim::Key, Dim::Model], TagView::Full).await?;
    let keys = Keys::read(shared, sums.iter().filter_map(|sum| sum.of(0))).await?;
    if format == Format::Csv {
        let mut columns = vec!["api_key", "key_alias", "model"];
        columns.extend(COLUMNS);
        let mut sheet = Sheet::new(&columns);
        for sum in &sums {
            let id = sum.of(0);
            sheet.text(names::key(id)).maybe(id.and_then(|id| keys.alias(id))).maybe(sum.of(1));
            cells(&mut sheet, &sum.sums);
        }
        return Ok(sheet.answer("spend.csv"));
    }
    let mut found: HashMap<&str, (Sums, Vec<Value>)> = HashMap::new();
    for sum in &sums {
        let (of_key, models) = found.entry(names::key(sum.of(0))).or_default();
        add(of_key, &sum.sums);
        models.push(json!({
            "model": sum.of(1),
            "total_cost": sum.sums.cost.dollars(),
            "total_input_tokens": sum.sums.prompt_tokens,
            "total_output_tokens": sum.sums.completion_tokens,
        }));
    }
    let mut rows: Vec<(&str, (Sums, Vec<Value>))> = found.into_iter().collect();
    rows.sort_by_key(|(key, (sums, _))| (std::cmp::Reverse(sums.cost), *key));
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|(key, (sums, models))| {
            json!({
                "api_key": key,
                "key_alias": keys.alias(key),
                "total_cost": sums.cost.dollars(),
                "total_input_tokens": sums.prompt_tokens,
                "total_output_tokens": sums.completion_tokens,
                "model_details": models,
            })
        })
        .collect();
    Ok(Json(rows).into_response())
}

/// The requests of an actor's reach on these days, by key.
async fn own(
    shared: &Shared,
    actor: &Actor,
    days: Days,
    of: (Dim, Option<String>),
    format: Format,
) -> Result<Response, Refusal> {
    let mut slice = Reach::of(shared, actor, FIGURES).await?.within(read::within(days));
    slice.only.push((of.0, vec![of.1]));
    of_keys(shared, &slice, format).await
}

/// Whose, if not the caller's own.
fn whose(
    actor: &Actor,
    field: &'static str,
    asked: Option<String>,
    own: Option<&str>,
    also: bool,
) -> Result<String, Refusal> {
    match (asked.filter(|asked| !asked.is_empty()), own) {
        (Some(asked), own) if own == Some(&*asked) || also || actor.sees_all() => Ok(asked),
        (Some(_), _) => {
            Err(Refusal::forbidden(format!("Not authorized to view spend for a {field} other than your own"))
                .param(field))
        }
        (None, Some(own)) => Ok(own.to_owned()),
        (None, None) => {
            let message = format!("No {field} associated with this API key; pass a {field} query param");
            Err(Refusal::field(field, message))
        }
    }
}

/// Which key.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichKey {
    /// The key, or better its digest; the caller's own without it. Only admins may ask for others.
    api_key: Option<String>,
}

/// Reports what a key spent, by model.
#[utoipa::path(
    get, path = "/key/spend/report", tag = "spend", params(Range, WhichKey, AsCsv),
    responses((status = 200, description = "The key", body = Vec<Object>), Refusals)
)]
pub(super) async fn key(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(which): Asked<WhichKey>,
    format: Format,
) -> Result<Response, Refusal> {
    Reach::of(&shared, &actor, FIGURES).await?;
    let asked = match which.api_key.filter(|key| !key.is_empty()) {
        Some(key) => Some(names::key(key_id(&shared, &key).await?.as_deref()).to_owned()),
        None => None,
    };
    let own = names::key(actor.caller.bearer().map(|bearer| &*bearer.id));
    let key = whose(&actor, "api_key", asked, Some(own), false)?;
    let mut slice = read::within(range.days()?);
    slice.only.push((Dim::Key, vec![key_id(&shared, &key).await?]));
    of_keys(&shared, &slice, format).await
}

/// Which user.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichUser {
    /// The caller without it. Only admins may ask for others.
    internal_user_id: Option<String>,
}

/// Reports what a user spent, by key and model.
#[utoipa::path(
    get, path = "/user/spend/report", tag = "spend", params(Range, WhichUser, AsCsv),
    responses((status = 200, description = "Keys", body = Vec<Object>), Refusals)
)]
pub(super) async fn user(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(which): Asked<WhichUser>,
    format: Format,
) -> Result<Response, Refusal> {
    Reach::of(&shared, &actor, FIGURES).await?;
    let user = whose(&actor, "internal_user_id", which.internal_user_id, actor.user.as_deref(), false)?;
    own(&shared, &actor, range.days()?, (Dim::User, Some(user)), format).await
}

/// Which team.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichTeam {
    /// The team of the caller's key without it. Only admins, and the team's own, may ask for others.
    team_id: Option<String>,
}

/// Reports what a team spent, by key and model; to those who do not administer it, their own part.
#[utoipa::path(
    get, path = "/team/spend/report", tag = "spend", params(Range, WhichTeam, AsCsv),
    responses((status = 200, description = "Keys", body = Vec<Object>), Refusals)
)]
pub(super) async fn team(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(which): Asked<WhichTeam>,
    format: Format,
) -> Result<Response, Refusal> {
    Reach::of(&shared, &actor, FIGURES).await?;
    let of_key = actor.caller.bearer().and_then(|bearer| bearer.team_id.as_deref());
    let administered = which.team_id.as_deref().is_some_and(|team| actor.is_team_admin(team));
    let team = whose(&actor, "team_id", which.team_id, of_key, administered)?;
    own(&shared, &actor, range.days()?, (Dim::Team, Some(team)), format).await
}

/// Which organization.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichOrganization {
    #[param(required = true, value_type = String)]
    organization_id: Option<String>,
}

/// Reports what an organization spent, by key and model: to admins, and to its own.
#[utoipa::path(
    get, path = "/organization/spend/report", tag = "spend", params(Range, WhichOrganization, AsCsv),
    responses((status = 200, description = "Keys", body = Vec<Object>), Refusals)
)]
pub(super) async fn organization(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(which): Asked<WhichOrganization>,
    format: Format,
) -> Result<Response, Refusal> {
    Reach::of(&shared, &actor, FIGURES).await?;
    let id = whose(&actor, "organization_id", which.organization_id, None, true)?;
    if !actor.sees_all() && !actor.is_org_admin(&id) {
        return Err(Refusal::forbidden("You do not have access to this organization"));
    }
    let mut slice = read::within(range.days()?);
    slice.only.push((Dim::Organization, vec![Some(id)]));
    of_keys(&shared, &slice, format).await
}

//! `/global/spend/report` and its siblings: what each team, customer, key, tag, … spent, and on which models with which
//! keys.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::by_day::{self, By};
use super::by_key;
use super::csv::{AsCsv, Format};
use super::days::{Days, Range};
use super::names;
use super::read;
use super::scope::{FIGURES, Reach, key_id};
use super::view::View;
use crate::store::{Dim, Slice, TagView};

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
    answer(&shared, slice, by(&group_by)?, view, format).await
}

async fn answer(
    shared: &Shared,
    slice: Slice,
    by: By,
    view: TagView,
    format: Format,
) -> Result<Response, Refusal> {
    if by.dimension == Dim::Key {
        return by_key::answer(shared, slice, format).await;
    }
    by_day::answer(shared, slice, by, view, format).await
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
    by_key::answer(shared, slice, format).await
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
    by_key::answer(&shared, slice, format).await
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
    by_key::answer(&shared, slice, format).await
}

//! `/project/info` and `/project/list`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::limited::shown;
use super::super::refusal::{Refusal, Refusals};
use super::not_found;
use crate::objects::{Project, Team};
use crate::store::{Filter, Page, SeenBy, Stored};

/// Which project.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    project_id: String,
}

/// Shows a project, with what was spent on it and the limits that hold for it.
#[utoipa::path(
    get, path = "/project/info", tag = "projects", params(Which),
    responses((status = 200, description = "The project", body = Object), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(Which { project_id }): Asked<Which>,
) -> Result<Json<Map<String, Value>>, Refusal> {
    let stored: Option<Stored<Project>> = shared.db.find(&project_id).await?;
    let stored = match stored {
        Some(stored) if sees(&shared, &actor, &stored.object).await? => stored,
        None if actor.must_see_all().is_ok() => return Err(not_found("project_id", &project_id)),
        // Whether a project exists is nobody's business but those who may see it.
        _ => return Err(Refusal::forbidden("You don't have access to this project")),
    };
    Ok(Json(shown(&shared.db, &[stored]).await?.into_iter().flatten().collect()))
}

/// Admins see all projects, members of its team and admins of the team's organization see one.
async fn sees(shared: &Shared, actor: &Actor, project: &Project) -> Result<bool, Refusal> {
    let Some(team) = project.team_id.as_deref() else { return Ok(actor.must_see_all().is_ok()) };
    if actor.must_see_all().is_ok() || actor.is_member(team) {
        return Ok(true);
    }
    if actor.organizations().is_empty() {
        return Ok(false);
    }
    let team: Option<Stored<Team>> = shared.db.find(team).await?;
    let organization = team.and_then(|team| team.object.organization_id);
    Ok(organization.is_some_and(|organization| actor.is_org_admin(&organization)))
}

/// Lists projects: all of them for admins, those of their teams for others.
#[utoipa::path(
    get, path = "/project/list", tag = "projects",
    responses((status = 200, description = "The projects", body = Vec<Object>), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
) -> Result<Json<Vec<Map<String, Value>>>, Refusal> {
    let (teams, user) = (actor.teams(), actor.user.clone().unwrap_or_default());
    let seen_by = (!actor.sees_all()).then_some(SeenBy { user: &user, teams: &teams, made: false });
    let filter = Filter { seen_by, ..Filter::default() };
    let page = Page { limit: i64::MAX, ..Page::default() };
    let projects: Vec<Stored<Project>> = shared.db.list(&filter, &page).await?;
    Ok(Json(shown(&shared.db, &projects).await?))
}

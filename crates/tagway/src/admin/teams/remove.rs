//! `POST /team/delete`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::{not_found, permit};
use crate::objects::{Key, Model, Project};
use crate::store::{Filter, Stored};

/// Which teams.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = DeleteTeams)]
struct Which {
    #[schema(required = true, value_type = Vec<String>)]
    team_ids: Option<Vec<String>>,
}

/// Deletes teams with their keys and their own models: all of them, or none when one of them is not there.
#[utoipa::path(
    post, path = "/team/delete", tag = "teams", request_body = Which,
    responses((status = 200, description = "Which teams were deleted", body = Object), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let Which { team_ids } = given.take()?;
    given.nothing_else()?;
    let mut ids = team_ids.unwrap_or_default();
    if ids.is_empty() {
        return Err(Refusal::field("team_ids", "Missing required field 'team_ids'."));
    }
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    let mut change = Change::begin(&shared, &actor).await?;
    let mut teams = Vec::new();
    for id in &ids {
        let found = change.find(id).await?;
        teams.push(permit::must_manage(&actor, id, found, || not_found(id))?);
    }
    for team in &teams {
        let its = Filter { team: Some(&team.id), ..Filter::default() };
        let keys: Vec<Stored<Key>> = change.filtered(&its).await?;
        for key in &keys {
            change.delete(key).await?;
        }
        let models: Vec<Stored<Model>> = change.filtered(&its).await?;
        for model in &models {
            change.delete(model).await?;
        }
        // A project outlives the team it was a part of.
        let projects: Vec<Stored<Project>> = change.filtered(&its).await?;
        for project in &projects {
            let alone = Project { team_id: None, ..project.object.clone() };
            change.update(project, alone).await?;
        }
        change.delete(team).await?;
    }
    change.commit().await?;
    Ok(Json(json!({ "deleted_teams": ids })))
}

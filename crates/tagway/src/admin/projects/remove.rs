//! `DELETE /project/delete`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::limited::shown;
use super::super::refusal::{Refusal, Refusals};
use super::not_found;
use crate::objects::{Key, Project};
use crate::store::Filter;

/// DeleteProjects projects.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct DeleteProjects {
    #[schema(required = true, value_type = Vec<String>)]
    project_ids: Option<Vec<String>>,
}

/// Deletes projects: all of them, or none when one is not known or still has keys.
#[utoipa::path(
    delete, path = "/project/delete", tag = "projects", request_body = DeleteProjects,
    responses((status = 200, description = "The projects that were deleted", body = Vec<Object>), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Vec<Map<String, Value>>>, Refusal> {
    actor.must_be_admin()?;
    let DeleteProjects { project_ids } = given.take()?;
    given.nothing_else()?;
    let missing = || Refusal::field("project_ids", "Missing required field 'project_ids'.");
    let mut ids = project_ids.ok_or_else(missing)?;
    ids.sort_unstable();
    ids.dedup();
    let mut change = Change::begin(&shared, &actor).await?;
    let mut gone = Vec::new();
    for id in &ids {
        let project = change.find::<Project>(id).await?.ok_or_else(|| not_found("project_ids", id))?;
        let keys = change.filtered::<Key>(&Filter { project: Some(id), ..Filter::default() }).await?.len();
        if 0 < keys {
            let message = format!(
                "Cannot delete project {id}. {keys} key(s) are associated with it. Please delete or reassign the keys first."
            );
            return Err(Refusal::field("project_ids", message).typed("bad_request"));
        }
        gone.push(project);
    }
    let answer = shown(&shared.db, &gone).await?;
    for project in &gone {
        change.delete(project).await?;
    }
    change.commit().await?;
    Ok(Json(answer))
}

//! `DELETE /organization/delete`: an organization goes with its teams, their models, and all keys of both.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::{permit, shown};
use crate::objects::{Key, Model, Object, Organization, Project, Team, User};
use crate::store::Filter;

/// DeleteOrganizations organizations.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct DeleteOrganizations {
    #[schema(required = true, value_type = Vec<String>)]
    organization_ids: Option<Vec<String>>,
}

/// Deletes organizations with their teams, keys and memberships: all of them, or none when one is not known.
#[utoipa::path(
    delete, path = "/organization/delete", tag = "organizations", request_body = DeleteOrganizations,
    responses((status = 200, description = "The organizations that were deleted", body = Vec<Object>), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Vec<Map<String, Value>>>, Refusal> {
    permit::own_all(&actor, "delete")?;
    let DeleteOrganizations { organization_ids } = given.take()?;
    given.nothing_else()?;
    let missing = || Refusal::field("organization_ids", "Missing required field 'organization_ids'.");
    let mut ids = organization_ids.ok_or_else(missing)?;
    ids.sort_unstable();
    ids.dedup();
    let mut change = Change::begin(&shared, &actor).await?;
    let mut gone = Vec::new();
    for id in &ids {
        let unknown = || {
            Refusal::missing("organization_ids", format!("Organization={id} not found")).typed("not_found")
        };
        gone.push(change.find::<Organization>(id).await?.ok_or_else(unknown)?);
    }
    let answer = shown(&shared.db, &gone).await?;
    for organization in &gone {
        let of = Filter { organization: Some(&organization.id), ..Filter::default() };
        for team in change.filtered::<Team>(&of).await? {
            let of = Filter { team: Some(&team.id), ..Filter::default() };
            delete_all::<Key>(&mut change, &of).await?;
            delete_all::<Model>(&mut change, &of).await?;
            for project in change.filtered::<Project>(&of).await? {
                let without = Project { team_id: None, ..project.object.clone() };
                change.update(&project, without).await?;
            }
            change.delete(&team).await?;
        }
        delete_all::<Key>(&mut change, &of).await?;
        for user in change.filtered::<User>(&of).await? {
            let without = User { organization_id: None, ..user.object.clone() };
            change.update(&user, without).await?;
        }
        change.delete(organization).await?;
    }
    change.commit().await?;
    Ok(Json(answer))
}

async fn delete_all<T: Object>(change: &mut Change<'_>, filter: &Filter<'_>) -> Result<(), Refusal> {
    for stored in change.filtered::<T>(filter).await? {
        change.delete(&stored).await?;
    }
    Ok(())
}

//! `/organization/info` and `/organization/list`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::{Asked, Given};
use super::super::refusal::{Refusal, Refusals};
use super::{not_found, permit, shown};
use crate::objects::Organization;
use crate::store::{Filter, Page, Stored};

/// Which organization.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    #[param(required = true)]
    organization_id: Option<String>,
}

/// Shows an organization, with its members and teams.
#[utoipa::path(
    get, path = "/organization/info", tag = "organizations", params(Which),
    responses((status = 200, description = "The organization", body = Object), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(Which { organization_id }): Asked<Which>,
) -> Result<Json<Map<String, Value>>, Refusal> {
    permit::see(&shared, &actor, organization_id.as_deref()).await?;
    let missing = || Refusal::field("organization_id", "Missing required parameter 'organization_id'.");
    let id = organization_id.ok_or_else(missing)?;
    let stored: Stored<Organization> = shared.db.find(&id).await?.ok_or_else(not_found)?;
    Ok(Json(shown(&shared.db, &[stored]).await?.into_iter().flatten().collect()))
}

/// Which organizations.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct OrganizationIds {
    #[schema(required = true, min_items = 1)]
    organizations: Vec<String>,
}

/// Shows several organizations; ids that are not known are left out.
#[utoipa::path(
    post, path = "/organization/info", tag = "organizations", request_body = OrganizationIds,
    responses((status = 200, description = "The organizations", body = Vec<Object>), Refusals)
)]
pub(super) async fn several(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Vec<Map<String, Value>>>, Refusal> {
    permit::see(&shared, &actor, None).await?;
    let OrganizationIds { organizations } = given.take()?;
    given.nothing_else()?;
    if organizations.is_empty() {
        let message = "Specify list of organization id's to query. Passed in=[]";
        return Err(Refusal::field("organizations", message));
    }
    let found: Vec<Stored<Organization>> = shared.db.find_all(&organizations).await?;
    Ok(Json(shown(&shared.db, &found).await?))
}

/// Which part of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    org_id: Option<String>,
    /// A part of the alias.
    org_alias: Option<String>,
}

/// Lists organizations: all of them for admins, those they are members of for others.
#[utoipa::path(
    get, path = "/organization/list", tag = "organizations", params(Part),
    responses((status = 200, description = "The organizations", body = Vec<Object>), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(part): Asked<Part>,
) -> Result<Json<Vec<Map<String, Value>>>, Refusal> {
    let member = match (&actor.user, actor.sees_all()) {
        (_, true) => None,
        (Some(user), false) => Some(user.as_str()),
        // A key without a user is member of nothing.
        (None, false) => return Ok(Json(Vec::new())),
    };
    let ids = part.org_id.map(|id| vec![id]);
    let name_part = part.org_alias.as_deref().filter(|name| !name.is_empty());
    let filter = Filter { ids: ids.as_deref(), name_part, member, ..Filter::default() };
    let page = Page { limit: i64::MAX, ..Page::default() };
    let organizations: Vec<Stored<Organization>> = shared.db.list(&filter, &page).await?;
    Ok(Json(shown(&shared.db, &organizations).await?))
}

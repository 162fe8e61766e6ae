//! `POST /user/delete`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::not_found;
use crate::objects::{Key, Organization, Team, User};
use crate::store::{Filter, Stored};

/// Which users.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = DeleteUsers)]
struct Which {
    #[schema(required = true, value_type = Vec<String>)]
    user_ids: Option<Vec<String>>,
}

/// Deletes users with their keys and memberships: all of them, or none when one of them is not there. Answers how
/// many they were.
#[utoipa::path(
    post, path = "/user/delete", tag = "users", request_body = Which,
    responses((status = 200, description = "How many users were deleted", body = u64), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<usize>, Refusal> {
    actor.must_be_admin()?;
    if !actor.is_admin() {
        return Err(Refusal::forbidden("Only PROXY_ADMIN or ORG_ADMIN users may delete users."));
    }
    let Which { user_ids } = given.take()?;
    given.nothing_else()?;
    let mut ids = user_ids.unwrap_or_default();
    if ids.is_empty() {
        return Err(Refusal::field("user_ids", "Missing required field 'user_ids'."));
    }
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    let mut change = Change::begin(&shared, &actor).await?;
    let mut users: Vec<Stored<User>> = Vec::new();
    for id in &ids {
        users.push(change.find(id).await?.ok_or_else(|| not_found(id))?);
    }
    for user in &users {
        let its = Filter { user: Some(&user.id), ..Filter::default() };
        let keys: Vec<Stored<Key>> = change.filtered(&its).await?;
        for key in &keys {
            change.delete(key).await?;
        }
        let has_it = Filter { member: Some(&user.id), ..Filter::default() };
        let teams: Vec<Stored<Team>> = change.filtered(&has_it).await?;
        for before in &teams {
            let mut team = before.object.clone();
            team.members_with_roles.retain(|member| member.user_id.as_ref() != Some(&user.id));
            change.update(before, team).await?;
        }
        let organizations: Vec<Stored<Organization>> = change.filtered(&has_it).await?;
        for before in &organizations {
            let mut organization = before.object.clone();
            organization.members.retain(|member| member.user_id != user.id);
            change.update(before, organization).await?;
        }
        change.delete(user).await?;
    }
    change.commit().await?;
    Ok(Json(users.len()))
}

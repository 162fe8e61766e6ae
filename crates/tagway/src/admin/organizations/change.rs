//! `/organization/new` and `/organization/update`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, Part};
use super::super::limited::{Wanted, Wishes, Written, hold_budget, reset};
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::ResetSpend;
use super::{not_found, permit, shown};
use crate::objects::Organization;

/// Which organization.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Which {
    organization_id: Option<String>,
}

impl Which {
    /// The id, unless it is left blank.
    fn named(self) -> Option<String> {
        self.organization_id.filter(|id| !id.is_empty())
    }
}

/// Members join by requests of their own, which make users of them.
fn no_members(given: &Given) -> Result<(), Refusal> {
    if given.gives("members") {
        let message = "'members' cannot be given here. Add them with /organization/member_add.";
        return Err(Refusal::field("members", message));
    }
    Ok(())
}

/// The body of a request for an organization.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct NewOrganization {
    /// A random one when absent.
    #[schema(max_length = 255)]
    organization_id: Option<String>,
    #[schema(max_length = 255)]
    organization_alias: String,
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Organization,
}

/// Makes an organization.
#[utoipa::path(
    post, path = "/organization/new", tag = "organizations", request_body = NewOrganization,
    responses((status = 200, description = "The organization", body = Object), Refusals)
)]
pub(super) async fn new(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    permit::own_all(&actor, "create new")?;
    no_members(&given)?;
    let id = given.take::<Which>()?.named().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut change = Change::begin(&shared, &actor).await?;
    let wanted: Wanted<Organization> =
        Wanted::read(&mut change, given, &id, &Organization::default()).await?;
    check_alias(&wanted.object)?;
    let written = wanted.insert(&mut change, &id).await.map_err(|refusal| {
        let message =
            format!("Organization id = {id} already exists. Please use a different organization id.");
        refusal.unwrap_or_else(|| Refusal::field("organization_id", message).typed("bad_request"))
    })?;
    change.commit().await?;
    answer(&shared, written).await
}

fn check_alias(organization: &Organization) -> Result<(), Refusal> {
    if organization.organization_alias.is_some() {
        return Ok(());
    }
    Err(Refusal::field("organization_alias", "Missing required field 'organization_alias'."))
}

/// The body of a request for a change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct UpdateOrganization {
    #[schema(min_length = 1, max_length = 255)]
    organization_id: String,
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Organization,
}

/// Changes an organization. Fields that are absent stay as they are; `null` takes a value away.
#[utoipa::path(
    patch, path = "/organization/update", tag = "organizations", request_body = UpdateOrganization,
    responses((status = 200, description = "The organization", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    actor.must_be_admin()?;
    no_members(&given)?;
    let id = given.take::<Which>()?.named();
    let id =
        id.ok_or_else(|| Refusal::field("organization_id", "Missing required field 'organization_id'."))?;
    let mut change = Change::begin_for(&shared, &actor, &given).await?;
    hold_budget(&mut change, &given).await?;
    let before = change.find::<Organization>(&id).await?.ok_or_else(not_found)?;
    let wanted = Wanted::read(&mut change, given, &id, &before.object).await?;
    check_alias(&wanted.object)?;
    let written = wanted.update(&mut change, &before).await?;
    change.commit().await?;
    answer(&shared, written).await
}

async fn answer(
    shared: &Shared,
    written: Written<Organization>,
) -> Result<Json<Map<String, Value>>, Refusal> {
    let rows = shown(&shared.db, std::slice::from_ref(&written.stored)).await?;
    let mut answer = written.ignored();
    answer.extend(rows.into_iter().flatten());
    Ok(Json(answer))
}

/// Sets what was spent by an organization.
#[utoipa::path(
    post, path = "/organization/{organization_id}/reset_spend", tag = "organizations", request_body = ResetSpend,
    params(("organization_id" = String, Path, description = "Which organization")),
    responses((status = 200, description = "Before and after", body = Object), Refusals)
)]
pub(super) async fn reset_spend(
    State(shared): State<Shared>,
    actor: Actor,
    Part(id): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    reset::<Organization>(&shared, &actor, &id, given, |_| not_found()).await
}

//! `/customer/new` and `/customer/update`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, Part};
use super::super::limited::{Wanted, Wishes, check_id, hold_budget, reset};
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::ResetSpend;
use super::not_found;
use crate::objects::Customer;

/// Which customer.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Which {
    user_id: Option<String>,
}

impl Which {
    fn named(self) -> Result<String, Refusal> {
        self.user_id.ok_or_else(|| Refusal::field("user_id", "Missing required field 'user_id'."))
    }
}

/// The body of a request that makes or changes a customer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct CustomerFields {
    /// What requests name the customer by.
    #[schema(min_length = 1, max_length = 255)]
    user_id: String,
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Customer,
}

/// Makes a customer. Requests that name it inherit its tags and meet its models and limits.
#[utoipa::path(
    post, path = "/customer/new", tag = "customers", request_body = CustomerFields,
    responses((status = 200, description = "The customer", body = Object), Refusals)
)]
pub(super) async fn new(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    actor.must_be_admin()?;
    let id = given.take::<Which>()?.named()?;
    check_id("user_id", &id)?;
    let mut change = Change::begin(&shared, &actor).await?;
    let wanted: Wanted<Customer> = Wanted::read(&mut change, given, &id, &Customer::default()).await?;
    if wanted.object.limits.max_budget.is_some() && wanted.object.budget_id.is_some() {
        return Err(Refusal::field("budget_id", "Set either 'max_budget' or 'budget_id', not both."));
    }
    let written = wanted.insert(&mut change, &id).await.map_err(|refusal| {
        let message = format!("Customer already exists, passed user_id={id}. Please pass a new user_id.");
        refusal.unwrap_or_else(|| Refusal::field("user_id", message).typed("bad_request"))
    })?;
    change.commit().await?;
    Ok(Json(written.shown(&shared.db).await?))
}

/// Changes a customer. Fields that are absent stay as they are; `null` takes a value away.
#[utoipa::path(
    post, path = "/customer/update", tag = "customers", request_body = CustomerFields,
    responses((status = 200, description = "The customer", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    actor.must_be_admin()?;
    let id = given.take::<Which>()?.named()?;
    let mut change = Change::begin_for(&shared, &actor, &given).await?;
    hold_budget(&mut change, &given).await?;
    let before = change.find::<Customer>(&id).await?.ok_or_else(|| not_found("user_id", &id))?;
    let wanted = Wanted::read(&mut change, given, &id, &before.object).await?;
    let written = wanted.update(&mut change, &before).await?;
    change.commit().await?;
    Ok(Json(written.shown(&shared.db).await?))
}

/// Sets what was spent by a customer.
#[utoipa::path(
    post, path = "/customer/{user_id}/reset_spend", tag = "customers", request_body = ResetSpend,
    params(("user_id" = String, Path, description = "Which customer")),
    responses((status = 200, description = "Before and after", body = Object), Refusals)
)]
pub(super) async fn reset_spend(
    State(shared): State<Shared>,
    actor: Actor,
    Part(id): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    reset::<Customer>(&shared, &actor, &id, given, |id| not_found("user_id", id)).await
}

//! `/customer/block` and `/customer/unblock`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::limited::{check_id, shown};
use super::super::refusal::{Refusal, Refusals};
use super::{all_missing, named};
use crate::objects::Customer;

/// Which customers.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = BlockCustomers)]
struct Which {
    #[schema(required = true, value_type = Vec<String>, min_items = 1)]
    user_ids: Option<Vec<String>>,
}

/// Refuses all requests that name these customers, from the next one on. Customers that are not known are made.
#[utoipa::path(
    post, path = "/customer/block", tag = "customers", request_body = Which,
    responses((status = 200, description = "The customers", body = Object), Refusals)
)]
pub(super) async fn block(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_blocked(&shared, &actor, given, true).await
}

/// Lets requests that name these customers in again.
#[utoipa::path(
    post, path = "/customer/unblock", tag = "customers", request_body = Which,
    responses((status = 200, description = "The customers", body = Object), Refusals)
)]
pub(super) async fn unblock(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_blocked(&shared, &actor, given, false).await
}

async fn set_blocked(
    shared: &Shared,
    actor: &Actor,
    mut given: Given,
    blocked: bool,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let ids = named(given.take::<Which>()?.user_ids)?;
    given.nothing_else()?;
    let mut change = Change::begin(shared, actor).await?;
    let (mut changed, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match change.find::<Customer>(&id).await? {
            Some(before) => {
                let after = Customer { blocked, ..before.object.clone() };
                changed.push(change.update(&before, after).await?);
            }
            None if blocked => {
                check_id("user_ids", &id)?;
                changed.push(change.insert(&id, Customer { blocked, ..Customer::default() }).await?);
            }
            None => missing.push(id),
        }
    }
    if !missing.is_empty() {
        return Err(all_missing(&missing));
    }
    change.commit().await?;
    Ok(Json(json!({ "blocked_users": shown(&shared.db, &changed).await? })))
}

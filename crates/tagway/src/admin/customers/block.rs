//! `/customer/block` and `/customer/unblock`

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::limited::{check_id, shown};
use super::super::refusal::{Refusal, Refusals};
use super::{CustomerIds, all_missing};
use crate::objects::Customer;

/// Refuses all requests that name these customers, from the next one on. Customers that are not known are made.
#[utoipa::path(
    post, path = "/customer/block", tag = "customers", request_body = CustomerIds,
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
    post, path = "/customer/unblock", tag = "customers", request_body = CustomerIds,
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
    given: Given,
    blocked: bool,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let ids = CustomerIds::only(given)?;
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

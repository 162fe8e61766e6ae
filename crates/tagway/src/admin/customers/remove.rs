//! `POST /customer/delete`

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::{CustomerIds, all_missing};
use crate::objects::Customer;

/// Deletes customers: all of them, or none when one is not known. Requests may still name them.
#[utoipa::path(
    post, path = "/customer/delete", tag = "customers", request_body = CustomerIds,
    responses((status = 200, description = "How many were deleted", body = Object), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let ids = CustomerIds::only(given)?;
    let mut change = Change::begin(&shared, &actor).await?;
    let mut missing = Vec::new();
    for id in &ids {
        match change.find::<Customer>(id).await? {
            Some(gone) => change.delete(&gone).await?,
            None => missing.push(id.clone()),
        }
    }
    if !missing.is_empty() {
        return Err(all_missing(&missing));
    }
    change.commit().await?;
    let list = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
    Ok(Json(json!({
        "deleted_customers": ids.len(),
        "message": format!("Successfully deleted customers with ids: [{list}]"),
    })))
}

//! `POST /customer/delete`

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
use super::{all_missing, named};
use crate::objects::Customer;

/// Which customers.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = DeleteCustomers)]
struct Which {
    #[schema(required = true, value_type = Vec<String>, min_items = 1)]
    user_ids: Option<Vec<String>>,
}

/// Deletes customers: all of them, or none when one is not known. Requests may still name them.
#[utoipa::path(
    post, path = "/customer/delete", tag = "customers", request_body = Which,
    responses((status = 200, description = "How many were deleted", body = Object), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let ids = named(given.take::<Which>()?.user_ids)?;
    given.nothing_else()?;
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

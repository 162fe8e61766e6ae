//! `POST /model/delete`: takes a stored deployment away.

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
use super::{is_in_file, permit};
use crate::objects::Model;

/// DeleteModel deployment.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct DeleteModel {
    /// Its id.
    #[schema(required = true, value_type = String)]
    id: Option<String>,
}

/// Deletes a stored deployment. Requests in progress with it end; no other begins.
#[utoipa::path(
    post, path = "/model/delete", tag = "models", request_body = DeleteModel,
    responses((status = 200, description = "That it is gone", body = Object), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    permit(&actor)?;
    let DeleteModel { id } = given.take()?;
    given.nothing_else()?;
    let id = id.ok_or_else(|| Refusal::field("id", "Missing required field 'id'."))?;
    let mut change = Change::begin(&shared, &actor).await?;
    let Some(stored) = change.find::<Model>(&id).await? else {
        let hint = if is_in_file(&shared, &id) { ": it is in the configuration file" } else { "" };
        return Err(Refusal::field("id", format!("Model with id={id} not found in db{hint}")));
    };
    change.delete(&stored).await?;
    change.commit().await?;
    Ok(Json(json!({"message": format!("Model: {id} deleted successfully")})))
}

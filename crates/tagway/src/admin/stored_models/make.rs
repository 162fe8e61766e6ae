//! `POST /model/new`: adds a deployment.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::{answer, check_name, info, is_in_file, permit, rest, settle};
use crate::objects::Model;
use crate::store::StoreError;

/// A deployment, as in a configuration file.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct NewModel {
    /// The model group it serves in.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 255)]
    model_name: Option<String>,
    /// `model`, `api_base`, `api_key`, `tags` and whatever else a configuration file may say.
    #[schema(required = true, value_type = Object)]
    litellm_params: Option<Map<String, Value>>,
    /// `id`, `tier`, `access_groups` and the like.
    #[schema(value_type = Option<Object>)]
    model_info: Option<Map<String, Value>>,
    /// Whether it begins out of service.
    blocked: Option<bool>,
}

/// Adds a deployment, which serves from the next request on.
#[utoipa::path(
    post, path = "/model/new", tag = "models", request_body = NewModel,
    responses((status = 200, description = "The deployment, without its secrets", body = Object), Refusals)
)]
pub(super) async fn new(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    permit(&actor)?;
    let asked: NewModel = given.take()?;
    let ignored = rest(given)?;
    let missing = |name: &str| Refusal::field(name, format!("Missing required field '{name}'."));
    let model_name = asked.model_name.ok_or_else(|| missing("model_name"))?;
    check_name(&model_name)?;
    let litellm_params = asked.litellm_params.ok_or_else(|| missing("litellm_params"))?;
    let (id, model_info) = info(asked.model_info.unwrap_or_default())?;
    let id = id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let blocked = asked.blocked.unwrap_or(false);
    let model = Model { model_name, litellm_params, model_info, blocked, ignored: ignored.clone() };
    let mut change = Change::begin(&shared, &actor).await?;
    let taken = || {
        let message = format!("Failed to add model to db. A deployment with the id '{id}' exists already.");
        Refusal::field("model_info.id", message)
    };
    if is_in_file(&shared, &id) || change.find::<Model>(&id).await?.is_some() {
        return Err(taken());
    }
    let (model, checked) = settle(&shared, &id, model)?;
    let stored = change.insert(&id, model).await.map_err(|error| match error {
        StoreError::Taken => taken(),
        error => error.into(),
    })?;
    change.commit().await?;
    Ok(Json(answer(&stored, &checked, &ignored)))
}

//! `/model/update`, `PATCH /model/{model_id}/update` and the two that take a deployment out of service and back.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, Part};
use super::super::models::masked;
use super::super::refusal::{Refusal, Refusals};
use super::{answer, check_name, info, is_in_file, permit, rest, row, settle};
use crate::objects::Model;
use crate::store::Stored;

/// What is to change.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct ModelChange {
    /// Another model group.
    model_name: Option<String>,
    /// Fields to put in place of those that are there.
    #[schema(value_type = Option<Object>)]
    litellm_params: Option<Map<String, Value>>,
    /// Fields to put in place of those that are there; for /model/update, `id` says which deployment is meant.
    #[schema(value_type = Option<Object>)]
    model_info: Option<Map<String, Value>>,
    /// Whether it is out of service.
    blocked: Option<bool>,
}

/// What a field that is `null` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Null {
    Keeps,
    Removes,
}

/// Changes a deployment: fields of `litellm_params` and `model_info` that are absent or null stay as they are.
#[utoipa::path(
    post, path = "/model/update", tag = "models", request_body = ModelChange,
    responses((status = 200, description = "The deployment, without its secrets", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    permit(&actor)?;
    let mut asked: ModelChange = given.take()?;
    let ignored = rest(given)?;
    let Some(fields) = asked.model_info.take() else {
        return Err(Refusal::field("model_info", "model_info not provided"));
    };
    let (id, fields) = info(fields)?;
    let id = id.ok_or_else(|| Refusal::field("model_info.id", "model_info.id not provided"))?;
    if asked.litellm_params.is_none() {
        return Err(Refusal::field("litellm_params", "litellm_params not provided"));
    }
    let mut change = Change::begin(&shared, &actor).await?;
    let Some(before) = change.find::<Model>(&id).await? else {
        return Err(if is_in_file(&shared, &id) {
            let message = "Can't edit model. Model in config. Store model in db via `/model/new`. to edit.";
            Refusal::field("model_info.id", message)
        } else {
            Refusal::field("model_info.id", "model not found")
        });
    };
    apply(&shared, change, &before, asked, fields, Null::Keeps, ignored).await
}

/// Changes a deployment: fields that are absent stay as they are, `null` takes one away.
#[utoipa::path(
    patch, path = "/model/{model_id}/update", tag = "models", request_body = ModelChange,
    params(("model_id" = String, Path, description = "The deployment's id")),
    responses((status = 200, description = "The deployment, without its secrets", body = Object), Refusals)
)]
pub(super) async fn patch(
    State(shared): State<Shared>,
    actor: Actor,
    Part(id): Part,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    permit(&actor)?;
    let mut asked: ModelChange = given.take()?;
    let ignored = rest(given)?;
    let (other, fields) = info(asked.model_info.take().unwrap_or_default())?;
    if other.is_some_and(|other| other != id) {
        return Err(Refusal::field("model_info.id", "A deployment's id cannot be changed."));
    }
    let mut change = Change::begin(&shared, &actor).await?;
    let before = find(&shared, &mut change, &id).await?;
    apply(&shared, change, &before, asked, fields, Null::Removes, ignored).await
}

/// The stored deployment with this id.
async fn find(shared: &Shared, change: &mut Change<'_>, id: &str) -> Result<Stored<Model>, Refusal> {
    let nul = id.contains('\0');
    if let Some(found) = if nul { None } else { change.find::<Model>(id).await? } {
        return Ok(found);
    }
    if is_in_file(shared, id) {
        let message = "Cannot edit config-based model. Store model in DB via /model/new first.";
        return Err(Refusal::field("model_id", message).typed("validation_error"));
    }
    Err(Refusal::missing("model_id", format!("Model {id} not found on proxy.")))
}

async fn apply(
    shared: &Shared,
    mut change: Change<'_>,
    before: &Stored<Model>,
    asked: ModelChange,
    info: Map<String, Value>,
    null: Null,
    ignored: Map<String, Value>,
) -> Result<Json<Value>, Refusal> {
    let mut model = before.object.clone();
    if let Some(name) = asked.model_name {
        check_name(&name)?;
        model.model_name = name;
    }
    merge(&mut model.litellm_params, asked.litellm_params.unwrap_or_default(), null);
    merge(&mut model.model_info, info, null);
    model.blocked = asked.blocked.unwrap_or(model.blocked);
    model.ignored.extend(ignored.clone());
    let (model, checked) = settle(shared, &before.id, model)?;
    let stored = change.update(before, model).await?;
    change.commit().await?;
    Ok(Json(answer(&stored, &checked, &ignored)))
}

/// Puts fields in place of those that are there. A masked secret that comes back as it was shown stays what it is.
fn merge(fields: &mut Map<String, Value>, given: Map<String, Value>, null: Null) {
    for (name, value) in given {
        let before = fields.get(&name);
        let shown = before.map(|before| masked(&name, before));
        if shown.as_ref() == Some(&value) || value.is_null() && null == Null::Keeps {
            continue;
        }
        if value.is_null() {
            fields.shift_remove(&name);
        } else {
            fields.insert(name, value);
        }
    }
}

/// WhichModel deployment.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct WhichModel {
    /// Its id.
    #[schema(required = true, value_type = String)]
    model_id: Option<String>,
}

/// Takes a stored deployment out of service.
#[utoipa::path(
    post, path = "/model/block", tag = "models", request_body = WhichModel,
    responses((status = 200, description = "The deployment, without its secrets", body = Object), Refusals)
)]
pub(super) async fn block(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_blocked(&shared, &actor, given, true).await
}

/// Puts a stored deployment back into service.
#[utoipa::path(
    post, path = "/model/unblock", tag = "models", request_body = WhichModel,
    responses((status = 200, description = "The deployment, without its secrets", body = Object), Refusals)
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
    permit(actor)?;
    let WhichModel { model_id } = given.take()?;
    given.nothing_else()?;
    let id = model_id.ok_or_else(|| Refusal::field("model_id", "Missing required field 'model_id'."))?;
    let mut change = Change::begin(shared, actor).await?;
    let before = find(shared, &mut change, &id).await?;
    let model = Model { blocked, ..before.object.clone() };
    let stored = change.update(&before, model).await?;
    change.commit().await?;
    Ok(Json(Value::Object(row(&stored))))
}

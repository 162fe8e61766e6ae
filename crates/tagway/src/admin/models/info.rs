//! `/model/info`: deployments without their secrets.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tagway_core::snapshot::{Deployment as Deployed, DeploymentId};
use utoipa::{IntoParams, ToSchema};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::{Asked, Given, object};
use super::super::paging::{pages, paging};
use super::super::refusal::{Refusal, Refusals};
use super::super::shown::History;
use super::{is_shown_to, masked, standing, without_query};
use crate::objects::Model;
use crate::store::{StoreError, Stored};

/// Which deployments.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The one with this id.
    litellm_model_id: Option<String>,
}

/// Shows deployments without their secrets: all of them to admins, to others those of models they may use.
#[utoipa::path(
    get, path = "/model/info", tag = "models", params(Which),
    responses((status = 200, description = "The deployments", body = Object), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    let data = deployments(&shared, &actor).await?;
    let Some(id) = which.litellm_model_id else { return Ok(Json(json!({ "data": data }))) };
    of_id(data, &id)
}

/// Shows deployments without their secrets: all of them to admins, to others those of models they may use.
#[utoipa::path(
    get, path = "/v1/model/info", tag = "models", params(Which),
    responses((status = 200, description = "The deployments", body = Object), Refusals)
)]
pub(super) async fn info_v1(
    shared: State<Shared>,
    actor: Actor,
    which: Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    info(shared, actor, which).await
}

/// Which deployment.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ModelById {
    /// Its id.
    #[schema(required = true, value_type = String)]
    id: Option<String>,
}

/// Shows one deployment without its secrets.
#[utoipa::path(
    post, path = "/model/info", tag = "models", request_body = ModelById,
    responses((status = 200, description = "The deployment", body = Object), Refusals)
)]
pub(super) async fn info_in_body(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    let ModelById { id } = given.take()?;
    given.nothing_else()?;
    let id = id.ok_or_else(|| Refusal::field("id", "Missing required field 'id'."))?;
    of_id(deployments(&shared, &actor).await?, &id)
}

fn of_id(mut data: Vec<Value>, id: &str) -> Result<Json<Value>, Refusal> {
    data.retain(|deployment| deployment["model_info"]["id"] == id);
    if data.is_empty() {
        let message = format!("Model id = {id} not found on litellm proxy");
        return Err(Refusal::field("litellm_model_id", message));
    }
    Ok(Json(json!({ "data": data })))
}

/// Which deployments, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Of this model group.
    model: Option<String>,
    /// The one with this id.
    #[serde(rename = "modelId")]
    model_id: Option<String>,
    /// With this text in the name of the model group.
    search: Option<String>,
    /// In this access group.
    access_group: Option<String>,
    /// Pages count from 1.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    page: i64,
    /// Deployments on a page.
    #[param(minimum = 1, maximum = 1000)]
    size: i64,
    /// `model_name`, `created_at` or `updated_at`; the order of the configuration when absent.
    #[param(pattern = "^(model_name|created_at|updated_at)$")]
    #[serde(rename = "sortBy")]
    sort_by: Option<String>,
    /// `asc` or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    #[serde(rename = "sortOrder")]
    sort_order: String,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            model: None,
            model_id: None,
            search: None,
            access_group: None,
            page: 1,
            size: 50,
            sort_by: None,
            sort_order: "asc".to_owned(),
        }
    }
}

/// Shows a page of deployments without their secrets.
#[utoipa::path(
    get, path = "/v2/model/info", tag = "models", params(Page),
    responses((status = 200, description = "A page of deployments", body = Object), Refusals)
)]
pub(super) async fn info_v2(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(asked): Asked<Page>,
) -> Result<Json<Value>, Refusal> {
    let (page, size) = paging(asked.page, asked.size, 1000)?;
    let descending = match asked.sort_order.to_ascii_lowercase().as_str() {
        "asc" => false,
        "desc" => true,
        other => {
            let message = format!("Invalid sortOrder: {other}. Must be 'asc' or 'desc'");
            return Err(Refusal::field("sortOrder", message));
        }
    };
    let key: fn(&Value) -> String = match asked.sort_by.as_deref() {
        None => |_| String::new(),
        Some("model_name") => |item| item["model_name"].as_str().unwrap_or_default().to_lowercase(),
        Some("created_at") => |item| item["model_info"]["created_at"].as_str().unwrap_or_default().to_owned(),
        Some("updated_at") => |item| item["model_info"]["updated_at"].as_str().unwrap_or_default().to_owned(),
        Some(other) => {
            let message =
                format!("Invalid sortBy: {other}. Must be 'model_name', 'created_at' or 'updated_at'");
            return Err(Refusal::field("sortBy", message));
        }
    };
    let mut data = deployments(&shared, &actor).await?;
    let search = asked.search.map(|search| search.to_lowercase());
    data.retain(|item| {
        let name = item["model_name"].as_str().unwrap_or_default();
        let groups = item["model_info"]["access_groups"].as_array();
        asked.model.as_ref().is_none_or(|model| model == name)
            && asked.model_id.as_ref().is_none_or(|id| item["model_info"]["id"] == id.as_str())
            && search.as_ref().is_none_or(|search| name.to_lowercase().contains(search))
            && asked.access_group.as_ref().is_none_or(|group| {
                groups.is_some_and(|groups| groups.iter().any(|one| one == group.as_str()))
            })
    });
    data.sort_by_cached_key(key);
    if descending {
        data.reverse();
    }
    let total = i64::try_from(data.len()).unwrap_or(i64::MAX);
    let skipped = usize::try_from((page - 1).saturating_mul(size)).unwrap_or(usize::MAX);
    let kept = usize::try_from(size).unwrap_or(usize::MAX);
    let data: Vec<Value> = data.into_iter().skip(skipped).take(kept).collect();
    Ok(Json(json!({
        "data": data,
        "total_count": total,
        "current_page": page,
        "total_pages": pages(total, size),
        "size": size,
    })))
}

/// The deployments an actor may see: those in force, and for those who see everything stored ones that are not.
async fn deployments(shared: &Shared, actor: &Actor) -> Result<Vec<Value>, Refusal> {
    let stored: Vec<Stored<Model>> = match shared.db.everything().await {
        Err(StoreError::Absent) => Vec::new(),
        read => read?,
    };
    let mut stored: HashMap<&str, &Stored<Model>> =
        stored.iter().map(|stored| (stored.id.as_str(), stored)).collect::<HashMap<_, _>>();
    let snapshot = &actor.current.snapshot;
    let is_shown = is_shown_to(actor);
    let mut data = Vec::new();
    for (deployment, at) in snapshot.deployments.iter().zip(0..) {
        let entry = &deployment.entry;
        let row = stored.remove(entry.info.id.as_str());
        if is_shown(deployment) {
            let mut shown = shown(deployment, row);
            shown["health"] = standing::of_deployment(&actor.current.board, DeploymentId(at));
            data.push(shown);
        }
    }
    if actor.sees_all() {
        let mut left: Vec<&Stored<Model>> = stored.into_values().collect();
        left.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        data.extend(left.into_iter().map(out_of_service));
    }
    Ok(data)
}

/// A stored deployment that is blocked, or cannot be used.
fn out_of_service(stored: &Stored<Model>) -> Value {
    let open = |fields: &Map<String, Value>| -> Map<String, Value> {
        let open = fields.iter().map(|(name, value)| (name.clone(), masked(name, value)));
        open.filter(|(_, value)| value != "***").collect()
    };
    let mut info = open(&stored.object.model_info);
    info.insert("id".into(), stored.id.as_str().into());
    note(&mut info, stored);
    json!({
        "model_name": stored.object.model_name,
        "litellm_params": open(&stored.object.litellm_params),
        "model_info": info,
    })
}

/// What the catalogue of prices knows of a deployment's model; `null` what it does not.
fn known(deployment: &Deployed) -> [(&'static str, Value); 5] {
    let listed = deployment.listed();
    let (max_input, max_output) = listed.map_or((None, None), |listed| (listed.max_input, listed.max_output));
    let prices = deployment.prices_for(&deployment.entry.model_name).map(|prices| prices.per_token());
    [
        ("max_tokens", max_output.into()),
        ("max_input_tokens", max_input.into()),
        ("max_output_tokens", max_output.into()),
        ("input_cost_per_token", prices.map(|(input, _)| input).into()),
        ("output_cost_per_token", prices.map(|(_, output)| output).into()),
    ]
}

/// What the store knows of a deployment.
fn note(info: &mut Map<String, Value>, stored: &Stored<Model>) {
    info.insert("db_model".into(), true.into());
    info.insert("blocked".into(), stored.object.blocked.into());
    info.extend(object(&History::from(stored)));
}

fn shown(deployment: &Deployed, stored: Option<&Stored<Model>>) -> Value {
    let entry = &deployment.entry;
    let mut params = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            params.insert(key.into(), value);
        }
    };
    put("model", entry.model.as_str().into());
    put("api_base", entry.api_base.as_deref().map(without_query).into());
    put("api_version", entry.api_version.clone().into());
    put("organization", entry.organization.clone().into());
    put("tags", if entry.tags.is_empty() { Value::Null } else { entry.tags.clone().into() });
    put("tag_regex", if entry.tag_regex.is_empty() { Value::Null } else { entry.tag_regex.clone().into() });
    put("weight", entry.weight.into());
    put("order", entry.order.into());
    put("rpm", entry.rpm.into());
    put("tpm", entry.tpm.into());
    put("max_parallel_requests", entry.max_parallel_requests.into());
    put("timeout", entry.timeout.map(|time| time.as_secs_f64()).into());
    put("stream_timeout", entry.stream_timeout.map(|time| time.as_secs_f64()).into());
    put("max_retries", entry.max_retries.into());
    for (name, price) in &entry.prices {
        put(name, (*price).into());
    }
    for (name, value) in &entry.defaults {
        put(name, masked(name, value));
    }
    let fields = entry.info.fields.iter();
    let mut info: Map<String, Value> =
        fields.map(|(name, value)| (name.clone(), masked(name, value))).collect();
    info.insert("id".into(), entry.info.id.as_str().into());
    for (name, price) in &entry.prices {
        info.insert(name.clone(), (*price).into());
    }
    for (name, value) in known(deployment) {
        if info.get(name).is_none_or(Value::is_null) {
            info.insert(name.to_owned(), value);
        }
    }
    match stored {
        Some(stored) => note(&mut info, stored),
        None => {
            info.insert("db_model".into(), false.into());
        }
    }
    json!({"model_name": entry.model_name, "litellm_params": params, "model_info": info})
}

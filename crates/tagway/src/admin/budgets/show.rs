//! `/budget/info`, `/budget/list` and `/budget/settings`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::{Asked, Given, object};
use super::super::refusal::{Refusal, Refusals};
use super::{not_found, shown};
use crate::objects::Budget;
use crate::store::Stored;

/// BudgetIds budgets.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct BudgetIds {
    #[schema(required = true, min_items = 1)]
    budgets: Vec<String>,
}

/// Shows budgets; ids that are not known are left out.
#[utoipa::path(
    post, path = "/budget/info", tag = "budgets", request_body = BudgetIds,
    responses((status = 200, description = "The budgets", body = Vec<Object>), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Vec<Map<String, Value>>>, Refusal> {
    actor.must_see_all()?;
    let BudgetIds { budgets } = given.take()?;
    given.nothing_else()?;
    if budgets.is_empty() {
        return Err(Refusal::field("budgets", "Specify list of budget id's to query. Passed in=[]"));
    }
    let found: Vec<Stored<Budget>> = shared.db.find_all(&budgets).await?;
    Ok(Json(found.iter().map(shown).collect()))
}

/// Lists all budgets.
#[utoipa::path(
    get, path = "/budget/list", tag = "budgets",
    responses((status = 200, description = "The budgets", body = Vec<Object>), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
) -> Result<Json<Vec<Map<String, Value>>>, Refusal> {
    actor.must_see_all()?;
    let budgets: Vec<Stored<Budget>> = shared.db.everything().await?;
    Ok(Json(budgets.iter().map(shown).collect()))
}

/// One budget.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct One {
    budget_id: String,
}

/// What the fields of a budget mean, for forms.
const FIELDS: &[(&str, &str, &str)] = &[
    ("max_budget", "Float", "Requests are refused once so many dollars are spent."),
    ("soft_budget", "Float", "Dollars after which somebody is told; no request is refused."),
    ("budget_duration", "String", "How long the budget holds before it begins anew: 30s, 24h, 30d, 1mo."),
    ("max_parallel_requests", "Integer", "Requests in progress at once."),
    ("tpm_limit", "Integer", "Tokens a minute."),
    ("rpm_limit", "Integer", "Requests a minute."),
    ("model_max_budget", "Object", "Budgets by model."),
];

/// Lists the fields of a budget with their meaning and value.
#[utoipa::path(
    get, path = "/budget/settings", tag = "budgets", params(One),
    responses((status = 200, description = "The fields", body = Vec<Object>), Refusals)
)]
pub(super) async fn settings(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(One { budget_id }): Asked<One>,
) -> Result<Json<Vec<Value>>, Refusal> {
    actor.must_see_all()?;
    let stored: Stored<Budget> = shared.db.find(&budget_id).await?.ok_or_else(|| not_found(&budget_id))?;
    let values = object(&stored.object);
    let field = |(name, kind, meaning): &(&str, &str, &str)| {
        json!({
            "field_name": name, "field_type": kind, "field_description": meaning,
            "field_value": values.get(*name), "stored_in_db": true, "field_default_value": null,
        })
    };
    Ok(Json(FIELDS.iter().map(field).collect()))
}

//! `POST /budget/delete`: what refers to the budget refers to none afterwards.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::{not_found, shown};
use crate::objects::{Budget, Customer, Key, Object, Organization, Project, Tag};
use crate::store::Filter;

/// DeleteBudget budget.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct DeleteBudget {
    #[schema(required = true, value_type = String)]
    id: Option<String>,
}

/// Deletes a budget. What referred to it keeps its own limits.
#[utoipa::path(
    post, path = "/budget/delete", tag = "budgets", request_body = DeleteBudget,
    responses((status = 200, description = "The budget that was deleted", body = Object), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    actor.must_be_admin()?;
    let DeleteBudget { id } = given.take()?;
    given.nothing_else()?;
    let id = id.ok_or_else(|| Refusal::field("id", "Missing required field 'id'."))?;
    let mut change = Change::begin(&shared, &actor).await?;
    let gone = change.find::<Budget>(&id).await?.ok_or_else(|| not_found(&id).param("id"))?;
    release(&mut change, &id, |customer: &mut Customer| customer.budget_id = None).await?;
    release(&mut change, &id, |key: &mut Key| key.budget_id = None).await?;
    release(&mut change, &id, |organization: &mut Organization| organization.budget_id = None).await?;
    release(&mut change, &id, |project: &mut Project| project.budget_id = None).await?;
    release(&mut change, &id, |tag: &mut Tag| tag.budget_id = None).await?;
    change.delete(&gone).await?;
    change.commit().await?;
    Ok(Json(shown(&gone)))
}

/// Takes the reference from all objects of a kind.
async fn release<T: Object>(
    change: &mut Change<'_>,
    budget: &str,
    forget: impl Fn(&mut T),
) -> Result<(), Refusal> {
    let filter = Filter { budget: Some(budget), ..Filter::default() };
    for stored in change.filtered::<T>(&filter).await? {
        let mut object = stored.object.clone();
        forget(&mut object);
        change.update(&stored, object).await?;
    }
    Ok(())
}

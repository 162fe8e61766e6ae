//! `/budget/new` and `/budget/update`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, object};
use super::super::limited::settle;
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::retime_under;
use super::super::shown::Ignored;
use super::{not_found, shown};
use crate::objects::Budget;
use crate::store::StoreError;

/// Fields of a budget that only the gateway sets.
const KEPT: &[&str] = &["ignored"];

/// Which budget.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Which {
    budget_id: Option<String>,
}

impl Which {
    /// The id, unless it is left blank.
    fn named(self) -> Option<String> {
        self.budget_id.filter(|id| !id.is_empty())
    }
}

/// The body of a request for a budget.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct NewBudget {
    /// A random one when absent.
    #[schema(max_length = 255)]
    budget_id: Option<String>,
    #[serde(flatten)]
    fields: Budget,
}

/// Makes a budget.
#[utoipa::path(
    post, path = "/budget/new", tag = "budgets", request_body = NewBudget,
    responses((status = 200, description = "The budget", body = Object), Refusals)
)]
pub(super) async fn new(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    actor.must_be_admin()?;
    let id = given.take::<Which>()?.named().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut budget: Budget = given.overlay(&Budget::default(), KEPT)?;
    budget.ignored = given.rest()?;
    let taken =
        || Refusal::field("budget_id", format!("Budget with id '{id}' already exists.")).typed("bad_request");
    let mut change = Change::begin(&shared, &actor).await?;
    settle(&mut budget.limits, &Budget::default().limits, change.now())?;
    if change.find::<Budget>(&id).await?.is_some() {
        return Err(taken());
    }
    let stored = change.insert(&id, budget).await.map_err(|error| match error {
        // Somebody else was faster.
        StoreError::Taken => taken(),
        error => error.into(),
    })?;
    change.commit().await?;
    let mut answer = object(&Ignored::from(&stored.object.ignored));
    answer.extend(shown(&stored));
    Ok(Json(answer))
}

/// The body of a request for a change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct UpdateBudget {
    #[schema(min_length = 1, max_length = 255)]
    budget_id: String,
    #[serde(flatten)]
    fields: Budget,
}

/// Changes a budget, for everything that refers to it. Fields that are absent stay as they are; `null` takes a
/// limit away.
#[utoipa::path(
    post, path = "/budget/update", tag = "budgets", request_body = UpdateBudget,
    responses((status = 200, description = "The budget", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    actor.must_be_admin()?;
    let id = given.take::<Which>()?.named();
    let id = id.ok_or_else(|| Refusal::field("budget_id", "budget_id is required"))?;
    let mut change = Change::begin(&shared, &actor).await?;
    let before = change.find::<Budget>(&id).await?.ok_or_else(|| not_found(&id))?;
    let mut budget: Budget = given.overlay(&before.object, KEPT)?;
    let ignored = given.rest()?;
    budget.ignored.extend(ignored.clone());
    settle(&mut budget.limits, &before.object.limits, change.now())?;
    let stored = change.update(&before, budget).await?;
    retime_under(&mut change, &id, &before.object.limits, &stored.object.limits).await?;
    change.commit().await?;
    let mut answer = object(&Ignored::from(&ignored));
    answer.extend(shown(&stored));
    Ok(Json(answer))
}

//! `/customer/info` and `/customer/list`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::limited::shown;
use super::super::refusal::{Refusal, Refusals};
use super::not_found;
use crate::objects::Customer;
use crate::store::{Filter, Order, Page, Stored};

/// Which customer.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    end_user_id: String,
}

/// Shows a customer, with what was spent for it and the limits that hold for it.
#[utoipa::path(
    get, path = "/customer/info", tag = "customers", params(Which),
    responses((status = 200, description = "The customer", body = Object), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(Which { end_user_id }): Asked<Which>,
) -> Result<Json<Map<String, Value>>, Refusal> {
    actor.must_see_all()?;
    let unknown = || not_found("end_user_id", &end_user_id);
    let stored: Stored<Customer> = shared.db.find(&end_user_id).await?.ok_or_else(unknown)?;
    Ok(Json(shown(&shared.db, &[stored]).await?.into_iter().flatten().collect()))
}

/// Which part of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// Customers at a time; all of them when absent.
    #[param(minimum = 1, maximum = 1000)]
    size: Option<i64>,
    /// Begin after the customer with this id.
    cursor: Option<String>,
}

/// Lists customers, in the order they were made.
#[utoipa::path(
    get, path = "/customer/list", tag = "customers", params(Part),
    responses((status = 200, description = "The customers", body = Vec<Object>), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(part): Asked<Part>,
) -> Result<Json<Vec<Map<String, Value>>>, Refusal> {
    actor.must_see_all()?;
    if part.size.is_some_and(|size| !(1..=1000).contains(&size)) {
        return Err(Refusal::field("size", "size must be between 1 and 1000."));
    }
    let page = Page {
        order: Order::Created,
        limit: part.size.unwrap_or(i64::MAX),
        after: part.cursor.as_deref(),
        ..Page::default()
    };
    let customers: Vec<Stored<Customer>> = shared.db.list(&Filter::default(), &page).await?;
    Ok(Json(shown(&shared.db, &customers).await?))
}

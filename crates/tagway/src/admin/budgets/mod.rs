//! `/budget/*`: limits with an id, for objects that refer to them.

mod change;
mod remove;
mod show;

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::blank;
use super::change::Change;
use super::given::object;
use super::refusal::Refusal;
use super::shown::{renew, row};
use crate::objects::{Budget, Kind, Limits};
use crate::store::{Db, Stored};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(change::new))
        .routes(routes!(change::update))
        .routes(routes!(show::info))
        .routes(routes!(show::list))
        .routes(routes!(show::settings))
        .routes(routes!(remove::delete))
}

fn not_found(id: &str) -> Refusal {
    Refusal::missing("budget_id", format!("Budget not found, budget_id={id}")).typed("not_found")
}

/// A budget that something is to refer to.
///
/// # Errors
/// It is not there.
pub(super) async fn must_exist(change: &mut Change<'_>, id: &str) -> Result<(), Refusal> {
    change.find::<Budget>(id).await?.map(|_| ()).ok_or_else(|| not_found(id))
}

/// A budget as answers show it. Nothing is spent on a budget: its objects count for themselves.
fn shown(stored: &Stored<Budget>) -> Map<String, Value> {
    let mut fields = row(stored, "budget_id", 0);
    fields.shift_remove("spend");
    fields
}

/// `litellm_budget_table`: the limits that hold for an object, with the budget they come from.
pub(super) fn table(budget: Option<&Stored<Budget>>, own: &Limits) -> Value {
    let mut table = Map::from_iter([("budget_id".to_owned(), json!(budget.map(|stored| &stored.id)))]);
    table.extend(match budget {
        Some(stored) => object(&stored.object.behind(own)),
        None => object(own),
    });
    blank::fill(Kind::Budget, &mut table);
    renew(&mut table);
    Value::Object(table)
}

/// `litellm_budget_table` of objects, each given by the budget it refers to and its own limits; `null` for one
/// that has neither.
pub(super) async fn tables_of(db: &Db, objects: &[(Option<String>, &Limits)]) -> Result<Vec<Value>, Refusal> {
    let mut ids: Vec<String> = objects.iter().filter_map(|(id, _)| id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let budgets: Vec<Stored<Budget>> = if ids.is_empty() { Vec::new() } else { db.find_all(&ids).await? };
    let by_id: HashMap<&str, &Stored<Budget>> =
        budgets.iter().map(|stored| (stored.id.as_str(), stored)).collect();
    Ok(objects
        .iter()
        .map(|(id, own)| match id.as_deref().and_then(|id| by_id.get(id)) {
            None if **own == Limits::default() => Value::Null,
            budget => table(budget.copied(), own),
        })
        .collect())
}

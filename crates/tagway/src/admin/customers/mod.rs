//! `/customer/*`, and the same under `/end_user/*`: the end users that requests name. An admin's matter.

mod block;
mod change;
mod remove;
mod show;

use axum::routing::{get, post};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::refusal::Refusal;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(change::new))
        .routes(routes!(change::update))
        .routes(routes!(show::info))
        .routes(routes!(show::list))
        .routes(routes!(remove::delete))
        .routes(routes!(block::block))
        .routes(routes!(block::unblock))
        .route("/end_user/new", post(change::new))
        .route("/end_user/update", post(change::update))
        .route("/end_user/info", get(show::info))
        .route("/end_user/list", get(show::list))
        .route("/end_user/delete", post(remove::delete))
        .route("/end_user/block", post(block::block))
        .route("/end_user/unblock", post(block::unblock))
}

fn not_found(field: &'static str, id: &str) -> Refusal {
    Refusal::missing(field, format!("End User Id={id} does not exist in db")).typed("not_found")
}

/// The ids of a request that names several customers: each once, and in one order for all requests, so that two of
/// them never wait for each other.
fn named(ids: Option<Vec<String>>) -> Result<Vec<String>, Refusal> {
    let mut ids = ids.ok_or_else(|| Refusal::field("user_ids", "Missing required field 'user_ids'."))?;
    if ids.is_empty() {
        return Err(Refusal::field("user_ids", "user_ids is required, passed user_ids=[]"));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Some of the customers named are not there.
fn all_missing(ids: &[String]) -> Refusal {
    let message = format!("End User Id(s)={} do not exist in db", ids.join(", "));
    Refusal::missing("user_ids", message).typed("not_found")
}

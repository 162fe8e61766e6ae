//! `/customer/*`, and the same under `/end_user/*`: the end users that requests name. An admin's matter.

mod block;
mod change;
mod remove;
mod show;

use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::given::Given;
use super::refusal::Refusal;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(change::new))
        .routes(routes!(change::update))
        .routes(routes!(change::reset_spend))
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

/// Which customers.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct CustomerIds {
    #[schema(required = true, value_type = Vec<String>, min_items = 1)]
    user_ids: Option<Vec<String>>,
}

impl CustomerIds {
    /// The whole body of a request: each id once, and in one order for all requests, so that two of them never wait
    /// for each other.
    fn only(mut given: Given) -> Result<Vec<String>, Refusal> {
        let Self { user_ids } = given.take()?;
        given.nothing_else()?;
        let mut ids =
            user_ids.ok_or_else(|| Refusal::field("user_ids", "Missing required field 'user_ids'."))?;
        if ids.is_empty() {
            return Err(Refusal::field("user_ids", "user_ids is required, passed user_ids=[]"));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

/// Some of the customers named are not there.
fn all_missing(ids: &[String]) -> Refusal {
    let message = format!("End User Id(s)={} do not exist in db", ids.join(", "));
    Refusal::missing("user_ids", message).typed("not_found")
}

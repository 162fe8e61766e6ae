//! What was said in one request, where the configuration keeps it: to whom the log shows the request.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::actor::Actor;

use super::super::refusal::{Refusal, Refusals};
use super::logs::with_request;
use super::scope::{REQUESTS, Reach};
use super::search::Search;
use crate::store::{LogFilter, LogPart};

/// Shows the prompt and the answer of a request, by its `request_id` or its call id. Both are empty unless
/// `general_settings.store_prompts_in_spend_logs` keeps them.
#[utoipa::path(
    get, path = "/spend/logs/ui/{request_id}", tag = "spend", params(("request_id" = String, Path)),
    responses((status = 200, body = Object, description = "`messages` and `response`"), Refusals)
)]
pub(super) async fn show(
    State(shared): State<Shared>,
    actor: Actor,
    Path(request): Path<String>,
) -> Result<Response, Refusal> {
    let reach = Reach::of(&shared, &actor, REQUESTS).await?;
    let search = with_request(Search::new(&LogFilter::default(), &reach, false), Some(&request));
    let LogPart { receipts, .. } = search.after(&shared, None, 1).await?;
    let Some(receipt) = receipts.first() else {
        let message = format!("Request not found, passed request_id={request}");
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    };
    let (messages, response) = shared.db.log_texts(receipt.id).await?.unwrap_or_default();
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!({}));
    Ok(Json(json!({"messages": value(&messages), "response": value(&response)})).into_response())
}

//! A small call of one deployment, to see whether it answers. It goes the way of every call, but counts for
//! nothing: no retry, no fallback, no cooldown.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};
use tagway_core::snapshot::{Deployment, DeploymentId, Endpoint};
use tagway_core::wire::peek::Peek;

use super::attempt::Around;
use super::content;
use super::failure::Failure;
use super::intake;
use super::upstream::Pool;
use crate::accounts::Accounts;
use crate::live::Current;

/// Seconds a probe may take.
const PATIENCE: u32 = 60;

/// Calls a deployment.
///
/// # Errors
/// What a client's call would have failed with.
pub(crate) async fn call(current: Arc<Current>, id: DeploymentId) -> Result<HeaderMap, Failure> {
    let pool = Arc::new(Pool::default());
    let deployment = current.snapshot.deployment(id);
    let (endpoint, body) = request(deployment);
    let body = body.to_string();
    let peek = Peek::read(body.as_bytes()).map_err(Failure::Unreadable)?;
    let headers = HeaderMap::new();
    let (call, _) = intake::call(endpoint, None, &headers, peek)?;
    // It counts against nobody's budget.
    let (accounts, _) = Accounts::new(None);
    let table = accounts.table();
    let Current { snapshot, board, capacity, .. } = &*current;
    let around = Around {
        snapshot,
        board,
        capacity,
        pool: &pool,
        accounts: &accounts,
        table: &table,
        tags: &[],
        customer: None,
        headers: &headers,
    };
    let reply = content::fetch(&around, id, &deployment.entry.model_name, &call, &mut None).await?;
    Ok(reply.headers)
}

/// What its `model_info.mode` takes.
fn request(deployment: &Deployment) -> (Endpoint, Value) {
    let model = deployment.entry.model_name.as_str();
    let mode = deployment.entry.info.fields.get("mode").and_then(Value::as_str);
    let mode =
        mode.unwrap_or(if deployment.entry.model.contains("embedding") { "embedding" } else { "chat" });
    match mode {
        "embedding" => {
            (Endpoint::Embeddings, json!({"model": model, "input": ["Hello"], "timeout": PATIENCE}))
        }
        "completion" => (
            Endpoint::Completions,
            json!({"model": model, "prompt": "Hello", "max_tokens": 16, "timeout": PATIENCE}),
        ),
        "responses" => (Endpoint::Responses, json!({"model": model, "input": "Hello", "timeout": PATIENCE})),
        _ => (
            Endpoint::Chat,
            json!({
                "model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16,
                "timeout": PATIENCE,
            }),
        ),
    }
}

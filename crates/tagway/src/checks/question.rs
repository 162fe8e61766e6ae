//! What a health check asks of a deployment: the smallest request its mode knows. Sends nothing.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tagway_core::config::HealthChecks;
use tagway_core::snapshot::{Deployment, Endpoint};

/// A small request.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) endpoint: Endpoint,
    pub(crate) body: String,
    /// The model it is for, where the deployment is checked with another than its own: as it is written, and as the
    /// provider knows it.
    pub(crate) model: Option<(String, String)>,
    /// How long it may take.
    pub(crate) patience: Duration,
}

/// Whether a deployment can be checked: not one of a wildcard that has no model to be called by, or of a mode that is
/// not served.
pub(crate) fn can_be_asked(deployment: &Deployment) -> bool {
    endpoint(deployment).is_some()
        && (deployment.model_json.is_some() || deployment.entry.info.health.model.is_some())
}

/// What to ask of a deployment.
pub(super) fn of(deployment: &Deployment, rules: &HealthChecks) -> Option<Question> {
    let entry = &deployment.entry;
    let check = &entry.info.health;
    let endpoint = endpoint(deployment).filter(|_| can_be_asked(deployment))?;
    let patience = check.timeout.unwrap_or(rules.patience);
    let mut body: Map<String, Value> = check.params.clone();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("model", entry.model_name.as_str().into());
    put("timeout", patience.as_secs_f64().into());
    match endpoint {
        Endpoint::Chat => put("messages", json!([{"role": "user", "content": "Hello"}])),
        Endpoint::Completions => put("prompt", "Hello".into()),
        Endpoint::Responses => put("input", "Hello".into()),
        Endpoint::Embeddings => put("input", json!(["Hello"])),
    };
    if check.takes_tokens.unwrap_or(endpoint != Endpoint::Embeddings) {
        let upstream = check.model.as_ref().map_or(&entry.upstream_model, |(_, upstream)| upstream);
        let most = check.tokens.unwrap_or(rules.tokens);
        put(limit_of_tokens(entry.provider.name, upstream, endpoint), most.into());
    }
    if let Some(effort) = check.effort.as_ref().filter(|_| endpoint == Endpoint::Chat) {
        put("reasoning_effort", effort.clone());
    }
    let body = Value::Object(body).to_string();
    Some(Question { endpoint, body, model: check.model.clone(), patience })
}

/// What its `model_info.mode` is served by.
fn endpoint(deployment: &Deployment) -> Option<Endpoint> {
    let entry = &deployment.entry;
    let said = entry.info.fields.get("mode").and_then(Value::as_str);
    let guessed = if entry.model.contains("embedding") { "embedding" } else { "chat" };
    match said.unwrap_or(guessed) {
        "embedding" => Some(Endpoint::Embeddings),
        "completion" => Some(Endpoint::Completions),
        "responses" => Some(Endpoint::Responses),
        "chat" => Some(Endpoint::Chat),
        _ => None,
    }
}

/// The name of the parameter that bounds an answer. OpenAI's models that reason refuse the old one.
fn limit_of_tokens(provider: &str, model: &str, endpoint: Endpoint) -> &'static str {
    let reasons =
        provider == "openai" && ["o1", "o3", "o4", "gpt-5"].iter().any(|begin| model.starts_with(begin));
    match endpoint {
        Endpoint::Responses => "max_output_tokens",
        Endpoint::Chat if reasons => "max_completion_tokens",
        _ => "max_tokens",
    }
}

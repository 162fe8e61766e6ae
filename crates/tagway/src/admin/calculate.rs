//! `POST /spend/calculate`: what a call would cost, or what an answer did. Knows prices as the configuration in force
//! has them; counts nothing towards anybody's spend.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use serde::Serialize;
use serde_json::Value;
use tagway_core::dialect::resolve;
use tagway_core::price::Prices;
use tagway_core::snapshot::{Named, Snapshot};
use tagway_core::tokens::count_prompt;
use tagway_core::usage::Usage;
use tagway_core::wire::peek::{Known as Field, Peek};
use tagway_core::wire::reply;
use utoipa::ToSchema;

use super::actor::Known;
use super::given::unread;
use super::refusal::{Refusal, Refusals};

/// A call to come, or an answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub(super) struct Calculation {
    /// A model group, or a model the catalogue of prices knows; with `messages`.
    #[schema(nullable = false)]
    model: Option<String>,
    /// The messages of the call.
    #[schema(nullable = false)]
    messages: Option<Vec<Value>>,
    /// A provider's answer, with its `model` and `usage`, in place of `model` and `messages`.
    #[schema(nullable = false, value_type = Option<Object>)]
    completion_response: Option<Value>,
}

/// A cost.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Calculated {
    /// In dollars.
    cost: f64,
}

/// Says what the prompt of a call would cost (`model` and `messages`), or what an answer cost (`completion_response`).
#[utoipa::path(
    post, path = "/spend/calculate", tag = "spend", request_body = Calculation,
    responses((status = 200, description = "The cost", body = Calculated), Refusals)
)]
pub(super) async fn calculate(
    known: Known,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Calculated>, Refusal> {
    let body = body.map_err(|rejection| unread(&rejection))?;
    let peek = Peek::read(&body)
        .map_err(|why| Refusal::field("request_body", format!("Invalid JSON payload: {why}")))?;
    let given = |json: Option<&str>| json.is_some_and(|json| json != "null");
    let response = peek.json_of("completion_response").filter(|json| given(Some(json)));
    let snapshot = &known.current.snapshot;
    let cost = if given(peek.json(Field::Model)) {
        let model = peek
            .string(Field::Model)
            .ok_or_else(|| Refusal::field("model", "Invalid value for 'model': expected a string."))?;
        match peek.json(Field::Messages) {
            None | Some("null") => {
                let message = "Bad Request - messages must be provided if 'model' is provided";
                return Err(Refusal::field("messages", message));
            }
            Some(json) if json.starts_with('[') => {}
            Some(_) => {
                return Err(Refusal::field(
                    "messages",
                    "Invalid value for 'messages': expected a list of messages.",
                ));
            }
        }
        prices(snapshot, &model)?.cost(&Usage::estimate(count_prompt(&peek), 0))
    } else if let Some(response) = response {
        let answer = Peek::read(response.as_bytes()).ok().filter(|_| response.starts_with('{'));
        let answer = answer.ok_or_else(|| {
            Refusal::field(
                "completion_response",
                "Invalid value for 'completion_response': expected an answer.",
            )
        })?;
        let model = answer.string(Field::Model).ok_or_else(|| {
            Refusal::field("completion_response", "'completion_response' must name its 'model'.")
        })?;
        prices(snapshot, &model)?.cost(&usage(response))
    } else {
        let message = "Bad Request - Either 'model' or 'completion_response' must be provided";
        return Err(Refusal::field("model", message));
    };
    Ok(Json(Calculated { cost: cost.total().dollars() }))
}

/// The usage an answer reports; a count of its text when it reports none.
fn usage(response: &str) -> Usage {
    let read = reply::read(Bytes::copy_from_slice(response.as_bytes()), "\"\"").ok();
    let reported = read.and_then(|reply| reply.usage);
    reported.unwrap_or_else(|| Usage::estimate(0, reply::estimated_completion(response.as_bytes())))
}

/// The prices of a model group's last deployment that has some, as LiteLLM has it; else those of a model by its own
/// name.
fn prices(snapshot: &Snapshot, model: &str) -> Result<Prices, Refusal> {
    let meant = snapshot.meant(model);
    let deployments = match snapshot.find(model) {
        Some(Named::Group(group)) => snapshot.group(group).deployments.as_slice(),
        Some(Named::Deployment(ref id)) => &[*id],
        None => &[],
    };
    let own = deployments.iter().rev().find_map(|id| snapshot.deployment(*id).prices_for(&meant));
    let listed = || {
        let resolved = resolve(model, None)?;
        let provider = resolved.provider.name;
        snapshot.config.catalogue.find(provider, &resolved.model)?.prices()
    };
    own.or_else(listed).ok_or_else(|| {
        let message = format!(
            "No price is known of '{model}'. Give 'input_cost_per_token' and 'output_cost_per_token' in its 'litellm_params'."
        );
        Refusal::field("model", message)
    })
}

//! Calls to models, as far as the OpenAPI document describes them: they are served elsewhere, and their bodies are the
//! provider's business.

use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::Shared;
use super::refusal::ErrorBody;

/// What the gateway itself reads of a call; whatever else there is goes to the provider as it came.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct Call {
    /// A model group, an alias, or a deployment.
    model: String,
    /// The tags that choose the deployment, beside those of the key, its team and the headers.
    #[schema(nullable = false)]
    tags: Option<Vec<String>>,
    /// An expression that the deployment's tags must meet: `region:eu and not preview`.
    #[schema(nullable = false)]
    tag_expression: Option<String>,
    /// Whether the answer comes in pieces.
    #[schema(nullable = false)]
    stream: Option<bool>,
}

/// The answers to a call that fails.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes the answers in the OpenAPI document")]
enum Failures {
    /// No key, or one that may not use the model.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// What is wrong with the call, or went wrong at the provider.
    #[response(status = "default")]
    Failed(ErrorBody),
}

#[derive(OpenApi)]
#[openapi(paths(
    chat,
    chat_without_version,
    completions,
    completions_without_version,
    embeddings,
    embeddings_without_version,
    responses,
    responses_without_version
))]
struct Calls;

/// The paths, without handlers.
pub(super) fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Calls::openapi())
}

/// Answers a chat.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The provider's answer; server-sent events where the call asks for a stream",
        content((Object = "application/json"), (String = "text/event-stream"))),
    Failures
))]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
fn chat() {}

/// Answers a chat.
#[utoipa::path(post, path = "/chat/completions", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The provider's answer; server-sent events where the call asks for a stream",
        content((Object = "application/json"), (String = "text/event-stream"))),
    Failures
))]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
fn chat_without_version() {}

/// Completes a text.
#[utoipa::path(post, path = "/v1/completions", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The provider's answer; server-sent events where the call asks for a stream",
        content((Object = "application/json"), (String = "text/event-stream"))),
    Failures
))]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
fn completions() {}

/// Completes a text.
#[utoipa::path(post, path = "/completions", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The provider's answer; server-sent events where the call asks for a stream",
        content((Object = "application/json"), (String = "text/event-stream"))),
    Failures
))]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
fn completions_without_version() {}

/// Turns texts into vectors.
#[utoipa::path(post, path = "/v1/embeddings", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The provider's answer; server-sent events where the call asks for a stream",
        content((Object = "application/json"), (String = "text/event-stream"))),
    Failures
))]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
fn embeddings() {}

/// Turns texts into vectors.
#[utoipa::path(post, path = "/embeddings", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The provider's answer; server-sent events where the call asks for a stream",
        content((Object = "application/json"), (String = "text/event-stream"))),
    Failures
))]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
fn embeddings_without_version() {}

/// Answers by the Responses API.
#[utoipa::path(post, path = "/v1/responses", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The provider's answer; server-sent events where the call asks for a stream",
        content((Object = "application/json"), (String = "text/event-stream"))),
    Failures
))]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
fn responses() {}

/// Answers by the Responses API.
#[utoipa::path(post, path = "/responses", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The provider's answer; server-sent events where the call asks for a stream",
        content((Object = "application/json"), (String = "text/event-stream"))),
    Failures
))]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
fn responses_without_version() {}

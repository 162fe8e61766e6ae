//! Errors of the management API: one shape, one place where they become a status.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tagway_core::vocabulary::Objection;
use utoipa::ToSchema;

use crate::auth::Denied;
use crate::data::suppose::Refused;
use crate::error::error_json;
use crate::objects::Unfit;
use crate::store::StoreError;

/// An error of the management API.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    param: Option<String>,
    message: String,
}

impl Refusal {
    /// One with LiteLLM's usual type for the status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::UNAUTHORIZED => "auth_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::SERVICE_UNAVAILABLE => "service_unavailable_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "internal_server_error",
        };
        Self { status, kind, param: None, message: message.into() }
    }

    /// 400 for a field or parameter.
    pub(crate) fn field(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(name.into()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// 404 for what a field or parameter names.
    pub(crate) fn missing(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(name.into()), ..Self::new(StatusCode::NOT_FOUND, message) }
    }

    /// 403.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The same with another `error.type`.
    pub(crate) fn typed(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// The same with `error.param`.
    pub(crate) fn param(self, name: impl Into<String>) -> Self {
        Self { param: Some(name.into()), ..self }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self {
            status: denied.status(),
            kind: denied.kind(),
            param: Some(denied.param().to_owned()),
            message: denied.to_string(),
        }
    }
}

/// How a request that nobody has sent would be refused.
impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let Refused { status, kind, param, message, .. } = refused;
        Self { status, kind, param, message }
    }
}

impl From<Box<Objection>> for Refusal {
    fn from(objection: Box<Objection>) -> Self {
        if objection.is_about_setter() {
            return Self::forbidden(objection.to_string()).param("tags");
        }
        Self::field("tags", objection.to_string())
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        Self::field(unfit.field, unfit.message)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::error!(%error, "a management request failed");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached. Try again.")
            }
            StoreError::Absent => Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}.")),
            StoreError::Taken => {
                Self::new(StatusCode::CONFLICT, "An object with this id or name exists already.")
            }
            StoreError::Dangling => {
                Self::new(StatusCode::CONFLICT, "Something this refers to was deleted meanwhile. Try again.")
            }
            StoreError::Unreadable { .. } | StoreError::Failed(_) => {
                tracing::error!(%error, "a management request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The store failed; the log says why.")
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = error_json(&self.message, self.kind, self.param.as_deref(), self.status, None);
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// An error as clients see it.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorFields,
}

/// What an error says.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorFields {
    message: String,
    #[serde(rename = "type")]
    kind: String,
    /// The field or parameter in question.
    param: Option<String>,
    /// The HTTP status as text.
    code: String,
    /// For machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// The errors every management endpoint may answer with.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes the errors in the OpenAPI document")]
pub(super) enum Refusals {
    /// A field or parameter is wrong, or asks for what tagway does not do.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// No key, or one that may not do this.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// The key is known, and may not do this.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// What the request names does not exist.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// It exists already, or has been changed meanwhile.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The store cannot be reached.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

//! Everything that is not a call to a model: health, models, explanation, reload. Runs on the control runtime,
//! so that no admin work ever delays a worker thread.

mod check;
mod explain;
mod health;
mod models;
mod reload;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request};
use hyper::body::Incoming;
use serde_json::json;
use tagway_core::snapshot::DeploymentId;
use tower::ServiceExt as _;

use crate::auth::{self, Caller, Denied};
use crate::error::error_json;
use crate::live::{Current, Live};

/// The management API, callable from any thread.
#[derive(Clone)]
pub(crate) struct Admin {
    control: tokio::runtime::Handle,
    router: Router,
}

/// What its handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) live: Arc<Live>,
    /// Set while the gateway shuts down.
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) probe: Probe,
}

/// Calls a deployment to see whether it answers: the headers it answers with, or what is wrong. Handed in, since
/// nothing here knows how a deployment is called.
pub(crate) type Probe =
    fn(Arc<Current>, DeploymentId) -> Pin<Box<dyn Future<Output = Result<HeaderMap, String>> + Send>>;

impl Admin {
    /// An API whose work runs on `control`.
    pub(crate) fn new(shared: Shared, control: tokio::runtime::Handle) -> Self {
        let liveness = get(health::liveness).options(health::liveness);
        let router = Router::new()
            .route("/health/liveliness", liveness.clone())
            .route("/health/liveness", liveness)
            .route("/health", get(check::check))
            .route("/health/readiness", get(health::readiness))
            .route("/v1/models", get(models::list))
            .route("/models", get(models::list))
            .route("/v1/models/{*model}", get(models::one))
            .route("/models/{*model}", get(models::one))
            .route("/v1/model/info", get(models::info))
            .route("/model/info", get(models::info))
            .route("/route/explain", post(explain::explain))
            .route("/config/reload", post(reload::reload))
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .with_state(shared);
        Self { control, router }
    }

    /// Answers a request.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Response {
        let work = self.router.oneshot(request.map(Body::new));
        match self.control.spawn(work).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error").into_response()
            }
        }
    }
}

/// Paths of calls to a model answer POST only, and are served elsewhere.
async fn unknown(request: Request<Body>) -> Response {
    if crate::call::recognise(request.uri().path()).is_some() { post_only() } else { not_found() }
}

async fn wrong_method() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, axum::Json(json!({"detail": "Method Not Allowed"}))).into_response()
}

fn post_only() -> Response {
    let allow = [(header::ALLOW, HeaderValue::from_static("POST"))];
    (StatusCode::METHOD_NOT_ALLOWED, allow, axum::Json(json!({"detail": "Method Not Allowed"})))
        .into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({"detail": "Not Found"}))).into_response()
}

/// A caller who has been identified, with the configuration it was identified by.
pub(crate) struct Known {
    pub(crate) current: Arc<Current>,
}

impl FromRequestParts<Shared> for Known {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut request::Parts, shared: &Shared) -> Result<Self, Refusal> {
        let current = shared.live.current();
        match auth::identify(&current.snapshot, &parts.headers) {
            Ok(Caller::Master | Caller::Open) => Ok(Self { current }),
            Err(denied) => Err(denied.into()),
        }
    }
}

/// An error of the management API.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    param: Option<&'static str>,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = if status.is_client_error() { "invalid_request_error" } else { "internal_server_error" };
        Self { status, kind, param: None, message: message.into() }
    }

    pub(crate) fn field(name: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(name), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            kind: denied.kind(),
            param: Some("None"),
            message: denied.to_string(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = error_json(&self.message, self.kind, self.param, self.status, None);
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

impl Shared {
    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

//! The management API, and everything else that is not a call to a model. Runs on the control runtime, so that no
//! admin work ever delays a worker thread. One file per resource; each operation is read top to bottom in one
//! place: who may, what is asked, the work, the answer.

#![allow(unused_qualifications, reason = "utoipa's macros write whole paths where a name would do")]

mod actor;
mod audit;
mod blank;
mod budgets;
mod calculate;
mod calls;
mod change;
mod check;
mod customers;
mod docs;
mod experiments;
mod explain;
mod given;
mod health;
mod keys;
mod limited;
mod metrics;
mod models;
mod organizations;
mod paging;
mod projects;
mod put_tags;
mod refusal;
mod reload;
mod reset;
mod shown;
mod spend;
mod stored_models;
mod tags;
mod teams;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::options;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;
use tower::ServiceExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::Accounts;
use crate::catalog::Catalog;
use crate::checks::Checks;
use crate::directory::Directory;
use crate::ledger::Ledger;
use crate::live::Live;
use crate::meter::Sharing;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::seen::Values;
use crate::store::Db;
use crate::tags::Violations;
use refusal::Refusal;

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
    pub(crate) directory: Arc<Directory>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) peers: Arc<Peers>,
    /// Where gateways share limits of rate.
    pub(crate) limits: Option<Arc<Sharing>>,
    pub(crate) db: Db,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    /// Set while the gateway shuts down.
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) checks: Arc<Checks>,
    /// What has broken the vocabulary, and the tags that it counts.
    pub(crate) violations: Arc<Violations>,
    pub(crate) values: Arc<Values>,
}

impl Admin {
    /// An API whose work runs on `control`.
    pub(crate) fn new(shared: Shared, control: tokio::runtime::Handle) -> Self {
        let liveness = options(health::liveness);
        let router = Router::from(documented())
            .merge(docs::routes())
            .route("/health/liveliness", liveness.clone())
            .route("/health/liveness", liveness)
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

/// The operations of the OpenAPI document.
fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(docs::document())
        .merge(calls::documented())
        .routes(routes!(health::liveliness))
        .routes(routes!(health::liveness))
        .routes(routes!(health::readiness))
        .routes(routes!(check::check))
        .routes(routes!(check::latest))
        .routes(routes!(explain::explain))
        .routes(routes!(reload::reload))
        .routes(routes!(metrics::metrics))
        .routes(routes!(calculate::calculate))
        .merge(experiments::routes())
        .merge(keys::routes())
        .merge(customers::routes())
        .merge(budgets::routes())
        .merge(organizations::routes())
        .merge(projects::routes())
        .merge(teams::routes())
        .merge(users::routes())
        .merge(models::routes())
        .merge(stored_models::routes())
        .merge(spend::routes())
        .merge(tags::routes())
        .merge(audit::routes())
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

impl Shared {
    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

//! `/project/*`: parts of a team's work, whose tags, models and limits their keys inherit.

mod change;
mod remove;
mod show;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::refusal::Refusal;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(change::new))
        .routes(routes!(change::update))
        .routes(routes!(change::reset_spend))
        .routes(routes!(show::info))
        .routes(routes!(show::list))
        .routes(routes!(remove::delete))
}

fn not_found(field: &'static str, id: &str) -> Refusal {
    Refusal::missing(field, format!("Project not found, project_id={id}")).typed("not_found")
}

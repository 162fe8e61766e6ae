//! What was spent, by whom and on what: LiteLLM's reports, exports, and a page for every holder of a key. Everything
//! but the log itself is answered from daily totals.

mod activity;
mod csv;
mod daily;
mod days;
mod figures;
mod names;
mod read;
mod report;
mod scope;
mod tags;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(activity::tags))
        .routes(routes!(activity::tags_whole))
        .routes(routes!(activity::teams))
        .routes(routes!(activity::teams_whole))
        .routes(routes!(activity::users))
        .routes(routes!(activity::users_whole))
        .routes(routes!(activity::organizations))
        .routes(routes!(activity::customers))
        .routes(routes!(report::global))
        .routes(routes!(report::key))
        .routes(routes!(report::user))
        .routes(routes!(report::team))
        .routes(routes!(report::organization))
        .routes(routes!(tags::spend))
        .routes(routes!(tags::global))
        .routes(routes!(tags::names))
        .routes(routes!(tags::distinct))
        .routes(routes!(tags::summary))
}

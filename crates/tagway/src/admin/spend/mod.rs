//! What was spent, by whom and on what: LiteLLM's reports, exports, and a page for every holder of a key. Everything
//! but the log itself is answered from daily totals.

mod activity;
mod by_day;
mod by_key;
mod compare;
pub(super) mod csv;
mod daily;
mod day;
mod day_sheet;
mod days;
mod export;
mod figures;
mod focus;
mod global;
mod log_days;
mod log_decision;
mod log_pages;
mod log_row;
mod log_texts;
mod logs;
mod me;
mod names;
mod people;
mod providers;
mod read;
mod report;
mod scope;
mod search;
mod stream;
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
        .routes(routes!(providers::budgets))
        .routes(routes!(report::global))
        .routes(routes!(report::key))
        .routes(routes!(report::user))
        .routes(routes!(report::team))
        .routes(routes!(report::organization))
        .routes(routes!(export::export))
        .routes(routes!(global::spend))
        .routes(routes!(global::logs))
        .routes(routes!(global::keys))
        .routes(routes!(global::models))
        .routes(routes!(global::teams))
        .routes(routes!(global::providers))
        .routes(routes!(global::end_users))
        .routes(routes!(global::all_end_users))
        .routes(routes!(global::activity))
        .routes(routes!(global::activity_by_model))
        .routes(routes!(logs::list))
        .routes(routes!(log_texts::show))
        .routes(routes!(log_decision::show))
        .routes(routes!(log_pages::v2))
        .routes(routes!(log_pages::ui))
        .routes(routes!(me::usage))
        .routes(routes!(people::by_key))
        .routes(routes!(people::by_user))
        .routes(routes!(tags::spend))
        .routes(routes!(tags::global))
        .routes(routes!(tags::names))
        .routes(routes!(tags::distinct))
        .routes(routes!(tags::summary))
        .routes(routes!(compare::compare))
}

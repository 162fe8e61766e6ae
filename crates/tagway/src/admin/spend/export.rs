//! `/spend/export`: every sum there is of some days, as a file of any length.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::csv::{Sheet, headers};
use super::days::{self, Range};
use super::figures;
use super::focus::{self, Beside};
use super::names::{self, Keys};
use super::read;
use super::scope::{FIGURES, Reach, key_id};
use super::stream::{self, Pages};
use crate::store::{DayCursor, DayRow, Dim, Slice, TagView};

/// As many rows are written at once.
const PAGE: i64 = 1000;

/// What to export.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `csv`: tagway's own columns; `focus`: those of FOCUS 1.2, as CSV.
    #[param(pattern = "^(csv|focus)$")]
    format: Option<String>,
    /// With this key, or the key of this digest.
    api_key: Option<String>,
    team_id: Option<String>,
    user_id: Option<String>,
    /// With this tag, each request with all of its cost.
    tag: Option<String>,
}

/// Exports what was spent: for every day a row for all requests with the same key, user, customer, deployment, tags, …;
/// each request counts in one. Admins export everything, users their own and that of the teams they administer.
#[utoipa::path(
    get, path = "/spend/export", tag = "spend", params(Range, Which),
    responses((status = 200, description = "A file", body = String, content_type = "text/csv"), Refusals)
)]
pub(super) async fn export(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(which): Asked<Which>,
) -> Result<Response, Refusal> {
    let reach = Reach::of(&shared, &actor, FIGURES).await?;
    let focus = match which.format.as_deref() {
        None | Some("csv") => false,
        Some("focus") => true,
        Some(_) => return Err(Refusal::field("format", "Invalid format. Must be 'csv' or 'focus'")),
    };
    let mut slice = reach.within(read::within(range.any()?));
    if let Some(key) = which.api_key.filter(|key| !key.is_empty()) {
        slice.only.push((Dim::Key, vec![key_id(&shared, &key).await?]));
    }
    for (dimension, value) in [(Dim::Team, which.team_id), (Dim::User, which.user_id), (Dim::Tag, which.tag)]
    {
        slice
            .only
            .extend(value.filter(|value| !value.is_empty()).map(|value| (dimension, vec![Some(value)])));
    }
    let account = shared.db.identity().await?;
    let (head, name) = if focus {
        (Sheet::new(&focus::COLUMNS).taken(), "focus.csv")
    } else {
        (Sheet::new(&COLUMNS).taken(), "spend.csv")
    };
    let found = read::sums(&shared, &slice, &[Dim::Day], TagView::Full).await?;
    // The first day comes last: it is taken first.
    let days = found.iter().rev().map(read::Sum::day).collect();
    let body = stream::begin(head, Export { shared, slice, focus, account, days, after: None }).await?;
    Ok((headers(name), body).into_response())
}

/// An export, from a row on.
struct Export {
    shared: Shared,
    slice: Slice,
    focus: bool,
    account: String,
    /// The days that are left, the next one last.
    days: Vec<i64>,
    /// Where the next one is to be gone on with.
    after: Option<DayCursor>,
}

impl Pages for Export {
    async fn page(mut self) -> Result<(String, Option<Self>), Refusal> {
        let Some(day) = self.days.last().copied() else { return Ok((String::new(), None)) };
        let day = days::date(day);
        let (rows, end) = self.shared.db.day_rows(&self.slice, day, self.after.as_ref(), PAGE).await?;
        let keys = Keys::read(&self.shared, rows.iter().filter_map(|row| row.key.as_deref())).await?;
        let teams = rows.iter().filter_map(|row| row.team.as_deref());
        let teams = names::metadata(&self.shared, Dim::Team, teams).await?;
        let mut sheet = Sheet::default();
        for row in &rows {
            let team = row.team.as_deref().and_then(|team| teams.get(team));
            let beside = Beside {
                account: &self.account,
                key_alias: row.key.as_deref().and_then(|key| keys.alias(key)),
                team_alias: team.and_then(|team| team["team_alias"].as_str()),
            };
            if self.focus { focus::cells(&mut sheet, row, beside) } else { cells(&mut sheet, row, beside) }
        }
        if end.is_none() {
            self.days.pop();
        }
        self.after = end;
        let is_last = self.days.is_empty();
        Ok((sheet.taken(), (!is_last).then_some(self)))
    }
}

const COLUMNS: [&str; 23] = [
    "date",
    "api_key",
    "key_alias",
    "team_id",
    "team_alias",
    "user_id",
    "organization_id",
    "project_id",
    "end_user",
    "model_group",
    "deployment",
    "provider",
    "model",
    "tags",
    "spend",
    "requests",
    "successful_requests",
    "failed_requests",
    "unpriced_requests",
    "prompt_tokens",
    "completion_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
];

fn cells(sheet: &mut Sheet, row: &DayRow, beside: Beside<'_>) {
    sheet
        .plain(&row.day)
        .text(names::key(row.key.as_deref()))
        .maybe(beside.key_alias)
        .maybe(row.team.as_deref())
        .maybe(beside.team_alias)
        .maybe(row.user.as_deref())
        .maybe(row.organization.as_deref())
        .maybe(row.project.as_deref())
        .maybe(row.customer.as_deref())
        .maybe(row.group.as_deref())
        .maybe(row.deployment.as_deref())
        .maybe(row.provider.as_deref())
        .maybe(row.model.as_deref())
        .text(&serde_json::json!(row.tags).to_string());
    figures::cells(sheet, &row.sums);
}

//! The activity of days as rows: one for every day and tag, team, user, ….

use axum::response::{IntoResponse as _, Response};

use super::super::Shared;
use super::super::refusal::Refusal;
use super::csv::{Sheet, headers};
use super::days::{Days, text};
use super::figures::{COLUMNS, cells};
use super::names::UNASSIGNED;
use super::read;
use super::stream::{self, Pages};
use super::view;
use crate::store::{Dim, Slice, TagView};

/// Writes the days there was something on.
pub(super) async fn answer(
    shared: &Shared,
    slice: Slice,
    entity: Dim,
    view: TagView,
) -> Result<Response, Refusal> {
    let found = read::sums(shared, &slice, &[Dim::Day], TagView::Full).await?;
    let total = found.iter().map(|sum| sum.sums.cost).sum();
    let days = found.iter().rev().map(read::Sum::day).collect();
    let mut columns = vec!["date", column(entity)];
    if entity == Dim::Tag {
        columns.push("view");
    }
    columns.extend(COLUMNS);
    let rows = Rows { shared: shared.clone(), slice, entity, view, days };
    let body = stream::begin(Sheet::new(&columns).taken(), rows).await?;
    let mut response = (headers("activity.csv"), body).into_response();
    if entity == Dim::Tag {
        response.headers_mut().extend(view::headers(view, total));
    }
    Ok(response)
}

fn column(entity: Dim) -> &'static str {
    match entity {
        Dim::Tag => "tag",
        Dim::Team => "team_id",
        Dim::User => "user_id",
        Dim::Organization => "organization_id",
        _ => "end_user",
    }
}

/// Rows, from a day on.
struct Rows {
    shared: Shared,
    slice: Slice,
    entity: Dim,
    view: TagView,
    /// The days that are left, the next one last.
    days: Vec<i64>,
}

impl Pages for Rows {
    async fn page(mut self) -> Result<(String, Option<Self>), Refusal> {
        let Some(day) = self.days.pop() else { return Ok((String::new(), None)) };
        let slice = read::on(&self.slice, Days { first: day, last: day });
        let is_tag = self.entity == Dim::Tag;
        let mut sheet = Sheet::default();
        for sum in read::sums(&self.shared, &slice, &[self.entity], self.view).await? {
            let name = sum.of(0);
            // In full, what has no tag is no tag's.
            if is_tag && self.view == TagView::Full && name.is_none() {
                continue;
            }
            sheet.plain(text(day)).text(name.unwrap_or(UNASSIGNED));
            if is_tag {
                sheet.plain(view::name(self.view));
            }
            cells(&mut sheet, &sum.sums);
        }
        let left = !self.days.is_empty();
        Ok((sheet.taken(), left.then_some(self)))
    }
}

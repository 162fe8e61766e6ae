//! `/spend/tags` and its siblings: what each tag costs. Every answer says in which view, and what all requests cost
//! together, each counted once.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::csv::{AsCsv, Format, Sheet};
use super::days::{Days, Range, Some30};
use super::figures::{COLUMNS, answered, cells, tokens};
use super::names::UNASSIGNED;
use super::read::{self, Sum};
use super::scope::{FIGURES, Reach, listed};
use super::view::{self, View};
use crate::store::{Dim, Slice, Sums, TagView};

/// As many tags are named without a question for certain ones.
const MOST_NAMES: usize = 250;
/// … out of so many.
const MOST_TAGS: i64 = 100_000;

/// What each tag costs, the costliest first, and what all requests cost.
struct Tags {
    view: TagView,
    sums: Vec<Sum>,
    total: Sums,
}

impl Tags {
    /// Reads those of `only`, or all.
    async fn read(shared: &Shared, slice: &Slice, view: TagView, only: &[String]) -> Result<Self, Refusal> {
        let mut asked = slice.clone();
        if !only.is_empty() {
            asked.only.push((Dim::Tag, only.iter().cloned().map(Some).collect()));
        }
        let mut sums = read::sums(shared, &asked, &[Dim::Tag], view).await?;
        // Split, what has no tag is what is left to the total; in full, it is no tag's.
        sums.retain(|sum| view == TagView::Split || sum.of(0).is_some());
        Ok(Self { view, sums, total: read::total(shared, slice).await? })
    }

    /// What the tags cost that are listed.
    fn attributed(&self) -> f64 {
        super::figures::total(self.sums.iter().map(|sum| &sum.sums)).cost.dollars()
    }

    fn sheet(&self) -> Response {
        let mut columns = vec!["tag", "view"];
        columns.extend(COLUMNS);
        let mut sheet = Sheet::new(&columns);
        for sum in &self.sums {
            sheet.text(sum.of(0).unwrap_or(UNASSIGNED)).plain(view::name(self.view));
            cells(&mut sheet, &sum.sums);
        }
        let mut response = sheet.answer("tags.csv");
        response.headers_mut().extend(view::headers(self.view, self.total.cost));
        response
    }
}

/// Shows what each tag costs: to admins of all requests, to users of their own and their teams'.
#[utoipa::path(
    get, path = "/spend/tags", tag = "spend", params(Some30, View, AsCsv),
    responses((
        status = 200, body = Vec<Object>,
        description = "Tags; headers say the view (`x-tagway-tag-view`) and what all requests cost, each counted once (`x-tagway-total-spend`)",
    ), Refusals)
)]
pub(super) async fn spend(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(days): Asked<Some30>,
    Asked(view): Asked<View>,
    format: Format,
) -> Result<Response, Refusal> {
    let reach = Reach::of(&shared, &actor, FIGURES).await?;
    let slice = reach.within(read::within(days.days()?));
    let tags = Tags::read(&shared, &slice, view.wanted()?, &[]).await?;
    if format == Format::Csv {
        return Ok(tags.sheet());
    }
    let row = |sum: &Sum| {
        json!({
            "individual_request_tag": sum.of(0),
            "log_count": sum.sums.requests,
            "total_spend": sum.sums.cost.dollars(),
            "total_tokens": tokens(&sum.sums),
            "view": view::name(tags.view),
        })
    };
    let rows: Vec<Value> = tags.sums.iter().map(row).collect();
    Ok((view::headers(tags.view, tags.total.cost), Json(rows)).into_response())
}

/// Which tags.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// These tags alone: a comma list. `all-tags` means all.
    tags: Option<String>,
}

/// Shows what each tag costs, the costliest first.
#[utoipa::path(
    get, path = "/global/spend/tags", tag = "spend", params(Range, Which, View, AsCsv),
    responses((status = 200, description = "Tags", body = Object), Refusals)
)]
pub(super) async fn global(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(which): Asked<Which>,
    Asked(view): Asked<View>,
    format: Format,
) -> Result<Response, Refusal> {
    actor.must_see_all()?;
    let mut only = listed(which.tags.as_deref());
    if only.iter().any(|tag| tag == "all-tags") {
        only.clear();
    }
    let slice = read::within(range.days()?);
    let tags = Tags::read(&shared, &slice, view.wanted()?, &only).await?;
    if format == Format::Csv {
        return Ok(tags.sheet());
    }
    let row = |sum: &Sum| json!({"name": sum.of(0), "spend": sum.sums.cost.dollars(), "log_count": sum.sums.requests});
    let body = json!({
        "spend_per_tag": tags.sums.iter().map(row).collect::<Vec<_>>(),
        "view": view::name(tags.view),
        "attributed_spend": tags.attributed(),
        "total_spend": tags.total.cost.dollars(),
    });
    Ok((view::headers(tags.view, tags.total.cost), Json(body)).into_response())
}

/// Names the tags of requests, those used most first: 10,000 at most.
#[utoipa::path(
    get, path = "/global/spend/all_tag_names", tag = "spend",
    responses((status = 200, description = "Names", body = Object), Refusals)
)]
pub(super) async fn names(State(shared): State<Shared>, actor: Actor) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let names = used(&shared, 10_000).await?;
    Ok(Json(json!({"tag_names": names})))
}

/// Names the 250 tags used most.
#[utoipa::path(
    get, path = "/tag/distinct", tag = "spend",
    responses((status = 200, description = "Tags", body = Object), Refusals)
)]
pub(super) async fn distinct(State(shared): State<Shared>, actor: Actor) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let names = used(&shared, MOST_NAMES).await?;
    let results: Vec<Value> = names.into_iter().map(|tag| json!({"tag": tag})).collect();
    Ok(Json(json!({"results": results})))
}

/// The tags of requests ever, those used most first.
async fn used(shared: &Shared, most: usize) -> Result<Vec<String>, Refusal> {
    let slice = read::within(Days { first: 0, last: super::days::today() + 1 });
    let mut sums = read::top(shared, &slice, &[Dim::Tag], TagView::Full, MOST_TAGS).await?;
    sums.sort_by_key(|sum| std::cmp::Reverse(sum.sums.requests));
    Ok(sums.into_iter().filter_map(|sum| sum.at.into_iter().next()?).take(most).collect())
}

/// Which tags.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Summarized {
    /// Tags that hold this text.
    tag_filter: Option<String>,
    /// These tags alone: a comma list, in place of `tag_filter`.
    tag_filters: Option<String>,
}

/// Sums up each tag: how many users, requests and tokens, and what it cost.
#[utoipa::path(
    get, path = "/tag/summary", tag = "spend", params(Range, Summarized, View, AsCsv),
    responses((status = 200, description = "Tags", body = Object), Refusals)
)]
pub(super) async fn summary(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(which): Asked<Summarized>,
    Asked(view): Asked<View>,
    format: Format,
) -> Result<Response, Refusal> {
    actor.must_see_all()?;
    let slice = read::within(range.days()?);
    let only = listed(which.tag_filters.as_deref());
    let mut tags = Tags::read(&shared, &slice, view.wanted()?, &only).await?;
    if let Some(part) = which.tag_filter.filter(|part| only.is_empty() && !part.is_empty()) {
        let part = part.to_lowercase();
        tags.sums.retain(|sum| sum.of(0).is_some_and(|tag| tag.to_lowercase().contains(&part)));
    }
    tags.sums.sort_by_key(|sum| std::cmp::Reverse(sum.sums.requests));
    if format == Format::Csv {
        return Ok(tags.sheet());
    }
    let mut asked = slice;
    if !only.is_empty() {
        asked.only.push((Dim::Tag, only.into_iter().map(Some).collect()));
    }
    let users = read::few(&shared, &asked, &[Dim::Tag, Dim::User], TagView::Full).await?.map(|sums| {
        let mut users: HashMap<Option<String>, i64> = HashMap::new();
        for sum in sums.iter().filter(|sum| sum.of(1).is_some()) {
            *users.entry(sum.of(0).map(str::to_owned)).or_default() += 1;
        }
        users
    });
    let row = |sum: &Sum| {
        // Nobody counts very many users of very many tags.
        let users = users.as_ref().map(|users| sum.at.first().and_then(|tag| users.get(tag)).unwrap_or(&0));
        json!({
            "tag": sum.of(0),
            "unique_users": users,
            "total_requests": sum.sums.requests,
            "successful_requests": answered(&sum.sums),
            "failed_requests": sum.sums.failed,
            "total_tokens": tokens(&sum.sums),
            "total_spend": sum.sums.cost.dollars(),
        })
    };
    let body = json!({
        "results": tags.sums.iter().map(row).collect::<Vec<_>>(),
        "view": view::name(tags.view),
        "attributed_spend": tags.attributed(),
        "total_spend": tags.total.cost.dollars(),
    });
    Ok((view::headers(tags.view, tags.total.cost), Json(body)).into_response())
}

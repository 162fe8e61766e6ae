//! `/spend/logs` and its successors: single requests, in pages that cost the same however many there are, and LiteLLM's
//! summary of them by day.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::csv::{AsCsv, Format, Sheet};
use super::days::{self, Days, Range};
use super::log_days;
use super::log_row::{self, COLUMNS, Names, cells, shown};
use super::read;
use super::scope::{REQUESTS, Reach, key_id};
use super::search::Search;
use crate::receipt::Receipt;
use crate::store::{Dim, LogFilter, LogPart, LogStatus, Slice};

/// As many requests are shown at once.
pub(super) const MOST: i64 = 1000;

/// Which requests.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// With this key, or the key of this digest.
    api_key: Option<String>,
    user_id: Option<String>,
    /// The one with this `request_id`, or those with this call id (`x-litellm-call-id`).
    request_id: Option<String>,
    /// With this tag.
    tag: Option<String>,
    team_id: Option<String>,
    /// Served by this model group.
    model: Option<String>,
    /// `success`, `failure`, or an HTTP status.
    status: Option<String>,
    /// From this time on: `2026-01-31`, `2026-01-31 12:00:00` or RFC 3339, UTC.
    start_date: Option<String>,
    /// Up to this time; a day is meant to its end.
    end_date: Option<String>,
    /// With both dates: sums by day (`true`) or requests (`false`).
    summarize: Option<bool>,
    /// Requests before the one with this `request_id`: the next page.
    after: Option<String>,
    #[param(minimum = 1, maximum = 1000)]
    limit: i64,
}

impl Default for Which {
    fn default() -> Self {
        Self {
            api_key: None,
            user_id: None,
            request_id: None,
            tag: None,
            team_id: None,
            model: None,
            status: None,
            start_date: None,
            end_date: None,
            summarize: None,
            after: None,
            limit: MOST,
        }
    }
}

/// A text that says something.
pub(super) fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// How requests ended.
pub(super) fn status(text: Option<&str>) -> Result<Option<LogStatus>, Refusal> {
    Ok(match text {
        None => None,
        Some("success") => Some(LogStatus::Succeeded),
        Some("failure") => Some(LogStatus::Failed),
        Some(code) => {
            let code = code.parse().ok().filter(|code| (100..600).contains(code)).ok_or_else(|| {
                Refusal::field("status", "Invalid status. Must be 'success', 'failure' or an HTTP status.")
            })?;
            Some(LogStatus::Code(code))
        }
    })
}

/// The number of a request in a parameter.
pub(super) fn number(text: &str) -> Option<u128> {
    matches!(text.len(), 32 | 36).then(|| uuid::Uuid::try_parse(text).ok()).flatten().map(|id| id.as_u128())
}

pub(super) fn cursor(field: &'static str, text: Option<&str>) -> Result<Option<u128>, Refusal> {
    let invalid =
        || Refusal::field(field, format!("Invalid {field}: it must be the request_id of a request."));
    text.map(|text| number(text).ok_or_else(invalid)).transpose()
}

/// Lists requests, the newest first, or sums them up by day: of everybody for admins, their own and those of the teams
/// they administer for others.
#[utoipa::path(
    get, path = "/spend/logs", tag = "spend", params(Which, AsCsv),
    responses((
        status = 200, body = Vec<Object>,
        description = "Requests, or days. Where there are more, the header `x-tagway-next-cursor` is what `after` is to be",
    ), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    let reach = Reach::of(&shared, &actor, REQUESTS).await?;
    let key = match given(which.api_key.as_ref()) {
        Some(key) => Some(key_id(&shared, key).await?),
        None => None,
    };
    let dates = (given(which.start_date.as_ref()), given(which.end_date.as_ref()));
    let request = given(which.request_id.as_ref());
    let by_day = which.summarize.unwrap_or(request.is_none() && which.after.is_none());
    if let ((Some(first), Some(last)), true) = (dates, by_day)
        && format == Format::Json
    {
        let days = Range::new(first, last).days()?;
        return log_days::answer(&shared, summarized(&which, key, reach, days)?, days).await;
    }
    if !(1..=MOST).contains(&which.limit) {
        return Err(Refusal::field("limit", format!("limit must be between 1 and {MOST}.")));
    }
    let key = key.map(|key| key.unwrap_or_default());
    let filter = LogFilter {
        key: key.as_deref(),
        team: given(which.team_id.as_ref()),
        user: given(which.user_id.as_ref()),
        group: given(which.model.as_ref()),
        tag: given(which.tag.as_ref()),
        status: status(given(which.status.as_ref()))?,
        from: dates.0.map(|text| days::moment("start_date", text, false)).transpose()?,
        to: dates.1.map(|text| days::moment("end_date", text, true)).transpose()?,
        ..LogFilter::default()
    };
    let search = with_request(Search::new(&filter, &reach, false), request);
    let after = cursor("after", given(which.after.as_ref()))?;
    let LogPart { receipts: mut found, rest } = search.after(&shared, after, which.limit + 1).await?;
    let wanted = usize::try_from(which.limit).unwrap_or_default();
    let rest = if wanted < found.len() {
        found.truncate(wanted);
        found.last().map(|last| last.id)
    } else {
        rest
    };
    let names = Names::read(&shared, &found).await?;
    let mut response = match format {
        Format::Csv => sheet(&found, &names),
        Format::Json => {
            let rows: Vec<Value> = found.iter().map(|receipt| shown(receipt, &names)).collect();
            Json(rows).into_response()
        }
    };
    if let Some(rest) = rest {
        let headers = response.headers_mut();
        let truncated = HeaderName::from_static("x-litellm-spend-logs-truncated");
        headers.insert(truncated, HeaderValue::from_static("true"));
        if let Ok(next) = HeaderValue::try_from(log_row::number(rest)) {
            headers.insert(HeaderName::from_static("x-tagway-next-cursor"), next);
        }
    }
    Ok(response)
}

/// Of a search, the requests that are meant by an id: the gateway's number, or a call id, which clients choose.
pub(super) fn with_request<'a>(search: Search<'a>, request: Option<&'a str>) -> Search<'a> {
    let Some(request) = request else { return search };
    let by_call = |filter: &LogFilter<'a>| LogFilter { call_id: Some(request), ..filter.clone() };
    let Some(number) = number(request) else { return search.any(&[&by_call]) };
    search.any(&[&by_call, &|filter| LogFilter { id: Some(number), ..filter.clone() }])
}

pub(super) fn sheet(log: &[Receipt], names: &Names) -> Response {
    let mut sheet = Sheet::new(&COLUMNS);
    log.iter().for_each(|receipt| cells(&mut sheet, receipt, names));
    sheet.answer("requests.csv")
}

/// The requests that LiteLLM's summary by day is of.
fn summarized(
    which: &Which,
    key: Option<Option<String>>,
    reach: Reach,
    days: Days,
) -> Result<Slice, Refusal> {
    if which.status.is_some() {
        let message = "Days are not summed up by status. Ask for summarize=false with it.";
        return Err(Refusal::field("status", message));
    }
    let mut slice: Slice = reach.within(read::within(days));
    slice.only.extend(key.map(|key| (Dim::Key, vec![key])));
    for (dimension, value) in [
        (Dim::User, &which.user_id),
        (Dim::Team, &which.team_id),
        (Dim::Group, &which.model),
        (Dim::Tag, &which.tag),
    ] {
        if let Some(value) = given(value.as_ref()) {
            slice.only.push((dimension, vec![Some(value.to_owned())]));
        }
    }
    Ok(slice)
}

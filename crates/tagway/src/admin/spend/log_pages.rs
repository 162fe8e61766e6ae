//! `/spend/logs/v2` and `/spend/logs/ui`: requests by the page. The first ten thousand have page numbers; beyond, one
//! goes on from a cursor, which costs the same wherever one is. A page that would take long ends early, with a cursor.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tagway_core::money::Nanos;
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::paging::pages;
use super::super::refusal::{Refusal, Refusals};
use super::csv::{AsCsv, Format};
use super::days;
use super::log_row::{self, Names, shown};
use super::logs::{MOST, cursor, given, sheet, status, with_request};
use super::scope::{REQUESTS, Reach, key_id};
use super::search::{MOST_COUNTED, Search};
use crate::objects::Key;
use crate::receipt::Receipt;
use crate::store::{Filter, LogFilter, LogPart, Page, Stored};

/// As many keys may have an alias that holds a text.
const MOST_KEYS: i64 = 50;

/// Which requests.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// From this time on: `2026-01-31`, `2026-01-31 12:00:00` or RFC 3339, UTC.
    #[param(required = true, value_type = String)]
    start_date: Option<String>,
    /// Up to this time; a day is meant to its end.
    #[param(required = true, value_type = String)]
    end_date: Option<String>,
    /// Pages count from 1, up to the ten thousandth request.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    page: i64,
    #[param(minimum = 1, maximum = 1000)]
    page_size: i64,
    /// Requests beyond the one with this `request_id`, in place of `page`.
    cursor: Option<String>,
    /// With this key, or the key of this digest.
    api_key: Option<String>,
    user_id: Option<String>,
    team_id: Option<String>,
    end_user: Option<String>,
    /// The one with this `request_id`, or those with this call id (`x-litellm-call-id`).
    request_id: Option<String>,
    /// To this model of a provider.
    model: Option<String>,
    /// Served by the deployment with this id.
    model_id: Option<String>,
    /// Served by this model group.
    model_group: Option<String>,
    /// With a key whose alias holds this text; 50 keys at most.
    key_alias: Option<String>,
    /// With this tag.
    tag: Option<String>,
    /// `success` or `failure`.
    status_filter: Option<String>,
    /// With this HTTP status.
    error_code: Option<String>,
    /// That cost as many dollars at least.
    min_spend: Option<f64>,
    /// That cost as many dollars at most.
    max_spend: Option<f64>,
    /// Whose number, call id, key, team, user or customer this is.
    search: Option<String>,
    /// `startTime`; up to ten thousand requests also by `spend`, `total_tokens`, `endTime`, `request_duration_ms`,
    /// `model` or `ttft_ms`.
    #[param(pattern = "^(startTime|spend|total_tokens|endTime|request_duration_ms|model|ttft_ms)$")]
    sort_by: String,
    /// `asc` or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    sort_order: String,
}

impl Default for Which {
    fn default() -> Self {
        Self {
            start_date: None,
            end_date: None,
            page: 1,
            page_size: 50,
            cursor: None,
            api_key: None,
            user_id: None,
            team_id: None,
            end_user: None,
            request_id: None,
            model: None,
            model_id: None,
            model_group: None,
            key_alias: None,
            tag: None,
            status_filter: None,
            error_code: None,
            min_spend: None,
            max_spend: None,
            search: None,
            sort_by: "startTime".to_owned(),
            sort_order: "desc".to_owned(),
        }
    }
}

/// Lists requests by the page: of everybody for admins, their own and those of the teams they administer for others.
#[utoipa::path(
    get, path = "/spend/logs/v2", tag = "spend", params(Which, AsCsv),
    responses((status = 200, description = "A page of requests", body = Object), Refusals)
)]
pub(super) async fn v2(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    list(&shared, &actor, &which, format).await
}

/// The same.
#[utoipa::path(
    get, path = "/spend/logs/ui", tag = "spend", params(Which, AsCsv),
    responses((status = 200, description = "A page of requests", body = Object), Refusals)
)]
pub(super) async fn ui(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    list(&shared, &actor, &which, format).await
}

async fn list(shared: &Shared, actor: &Actor, which: &Which, format: Format) -> Result<Response, Refusal> {
    let reach = Reach::of(shared, actor, REQUESTS).await?;
    let (order, ascending) = order(which)?;
    let request = given(which.request_id.as_ref());
    let dates = (given(which.start_date.as_ref()), given(which.end_date.as_ref()));
    let (from, to) = match dates {
        (Some(first), Some(last)) => {
            (Some(days::moment("start_date", first, false)?), Some(days::moment("end_date", last, true)?))
        }
        // One request has one time.
        _ if request.is_some() => (None, None),
        _ => return Err(Refusal::field("start_date", "Start date and end date are required")),
    };
    if which.page < 1 || !(1..=MOST).contains(&which.page_size) {
        return Err(Refusal::field(
            "page",
            format!("page must be 1 or more, page_size between 1 and {MOST}."),
        ));
    }
    let team = given(which.team_id.as_ref());
    if let (Some(team), Reach::Own { teams, .. }) = (team, &reach)
        && !teams.iter().any(|open| open == team)
    {
        let message = format!("Not authorized to view team spend for team_id={team}");
        return Err(Refusal::forbidden(message).param("team_id"));
    }
    let key = match given(which.api_key.as_ref()) {
        Some(key) => Some(key_id(shared, key).await?.unwrap_or_default()),
        None => None,
    };
    let ended = match given(which.error_code.as_ref()) {
        Some(code) => status(Some(code))?,
        None => status(given(which.status_filter.as_ref()))?,
    };
    let filter = LogFilter {
        key: key.as_deref(),
        team,
        user: given(which.user_id.as_ref()),
        customer: given(which.end_user.as_ref()),
        group: given(which.model_group.as_ref()),
        model: given(which.model.as_ref()),
        deployment: given(which.model_id.as_ref()),
        tag: given(which.tag.as_ref()),
        status: ended,
        costs: (which.min_spend.map(Nanos::from_dollars), which.max_spend.map(Nanos::from_dollars)),
        from,
        to,
        ..LogFilter::default()
    };
    let keys = aliased(shared, given(which.key_alias.as_ref())).await?;
    let filter = LogFilter { keys: keys.as_deref(), ..filter };
    let search = with_request(Search::new(&filter, &reach, ascending), request);
    let search = with_text(search, given(which.search.as_ref()));
    answer(shared, which, &search, order, ascending, format).await
}

async fn answer(
    shared: &Shared,
    which: &Which,
    search: &Search<'_>,
    order: Option<Order>,
    ascending: bool,
    format: Format,
) -> Result<Response, Refusal> {
    let after = cursor("cursor", given(which.cursor.as_ref()))?;
    let (total, capped) = search.count(shared).await?;
    let offset = (which.page - 1).saturating_mul(which.page_size);
    let LogPart { receipts: found, rest } = match (order, after) {
        (Some(_), _) if capped => {
            let message = format!(
                "{MOST_COUNTED} requests or more match, or they cannot be counted soon: only sort_by=startTime is possible. Narrow the dates or add a filter."
            );
            return Err(Refusal::field("sort_by", message));
        }
        (Some(order), _) => {
            let mut all = search.all(shared).await?;
            order.sort(&mut all, ascending);
            let (from, size) = (usize::try_from(offset), usize::try_from(which.page_size));
            let receipts =
                all.into_iter().skip(from.unwrap_or(usize::MAX)).take(size.unwrap_or_default()).collect();
            LogPart { receipts, rest: None }
        }
        (None, Some(after)) => search.after(shared, Some(after), which.page_size).await?,
        (None, None) if MOST_COUNTED <= offset => {
            let message = format!(
                "Pages have numbers up to the {MOST_COUNTED}th request. Go on with cursor=<next_cursor of the page before>."
            );
            return Err(Refusal::field("page", message));
        }
        (None, None) => search.from(shared, offset, which.page_size).await?,
    };
    let names = Names::read(shared, &found).await?;
    if format == Format::Csv {
        return Ok(sheet(&found, &names));
    }
    let next = rest.map(log_row::number);
    let rows: Vec<Value> = found.iter().map(|receipt| shown(receipt, &names)).collect();
    let body = json!({
        "data": rows,
        "total": total,
        "page": which.page,
        "page_size": which.page_size,
        "total_pages": pages(total, which.page_size),
        "total_is_capped": capped,
        "next_cursor": next,
    });
    Ok(Json(body).into_response())
}

/// The keys whose alias holds a text.
async fn aliased(shared: &Shared, part: Option<&str>) -> Result<Option<Vec<String>>, Refusal> {
    let Some(part) = part else { return Ok(None) };
    let filter = Filter { name_part: Some(part), ..Filter::default() };
    let page = Page { limit: MOST_KEYS + 1, ..Page::default() };
    let found: Vec<Stored<Key>> = shared.db.list(&filter, &page).await?;
    if i64::try_from(found.len()).is_ok_and(|count| MOST_KEYS < count) {
        let message = format!("More than {MOST_KEYS} keys have an alias like this. Give more of it.");
        return Err(Refusal::field("key_alias", message));
    }
    Ok(Some(found.into_iter().map(|key| key.id).collect()))
}

/// Of a search, the requests with this text for an id of whatever kind.
fn with_text<'a>(search: Search<'a>, text: Option<&'a str>) -> Search<'a> {
    let Some(text) = text else { return search };
    let number = super::logs::number(text);
    search.any(&[
        &|filter| LogFilter { call_id: Some(text), ..filter.clone() },
        &|filter| LogFilter { id: number.or(Some(0)), ..filter.clone() },
        &|filter| LogFilter { text: Some(text), ..filter.clone() },
    ])
}

/// What a page is sorted by, if not by time.
#[derive(Debug, Clone, Copy)]
enum Order {
    Cost,
    Tokens,
    End,
    Duration,
    Model,
    FirstByte,
}

impl Order {
    fn sort(self, log: &mut [Receipt], ascending: bool) {
        let key = |receipt: &Receipt| {
            let usage = receipt.usage.unwrap_or_default();
            let size = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            match self {
                Self::Cost => receipt.cost.unwrap_or_default().0,
                Self::Tokens => size(usage.prompt.saturating_add(usage.completion)),
                Self::End => receipt.began.saturating_add(size(receipt.took / 1000)),
                Self::Duration => size(receipt.took),
                Self::FirstByte => receipt.first_byte.filter(|_| receipt.stream).map_or(-1, size),
                Self::Model => 0,
            }
        };
        log.sort_by(|one, other| {
            let models = match self {
                Self::Model => one.subject.model.cmp(&other.subject.model),
                _ => std::cmp::Ordering::Equal,
            };
            let order = models.then_with(|| key(one).cmp(&key(other)));
            if ascending { order } else { order.reverse() }
        });
    }
}

fn order(which: &Which) -> Result<(Option<Order>, bool), Refusal> {
    let order = match which.sort_by.as_str() {
        "startTime" => None,
        "spend" => Some(Order::Cost),
        "total_tokens" => Some(Order::Tokens),
        "endTime" => Some(Order::End),
        "request_duration_ms" => Some(Order::Duration),
        "model" => Some(Order::Model),
        "ttft_ms" => Some(Order::FirstByte),
        _ => {
            let message = "Invalid sort_by. Must be one of: endTime, model, request_duration_ms, spend, startTime, total_tokens, ttft_ms";
            return Err(Refusal::field("sort_by", message));
        }
    };
    let ascending = match which.sort_order.to_ascii_lowercase().as_str() {
        "asc" => true,
        "desc" => false,
        _ => return Err(Refusal::field("sort_order", "Invalid sort_order. Must be one of: asc, desc")),
    };
    Ok((order, ascending))
}

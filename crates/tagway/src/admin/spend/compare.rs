//! `GET /tag/compare`: what requests with one tag came to, beside those with another: the variants of an experiment, a
//! mirror and what it mirrors. Counts and means are those of all requests; percentiles are of a sample, and it says so.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::csv::{AsCsv, Format, Sheet};
use super::days::{self, Days, Some30};
use super::figures::{answered, tokens};
use super::read;
use super::scope::{FIGURES, Reach};
use crate::store::{Dim, LogFilter, LogPage, LogStatus, Slice, Sums, TagView};

/// Percentiles are those of so many requests, the newest.
const SAMPLE: i64 = 1000;
const DAY: i64 = 86_400_000;

/// Which tags.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The tag that the other one is compared with: `control`.
    #[param(required = true, value_type = String)]
    a: Option<String>,
    /// The other one: `canary`.
    #[param(required = true, value_type = String)]
    b: Option<String>,
    /// Only requests that this model group served.
    model: Option<String>,
}

/// What requests with a tag came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TagFigures)]
pub(super) struct Side {
    tag: String,
    requests: i64,
    successful_requests: i64,
    failed_requests: i64,
    /// The part of them that failed.
    error_rate: Option<f64>,
    /// How long requests took that were answered.
    latency_ms: Times,
    /// Until their answers began: of a stream, with its first event.
    time_to_first_byte_ms: Times,
    /// Percentiles are those of so many of the newest answered requests.
    sampled_requests: usize,
    prompt_tokens: i64,
    completion_tokens: i64,
    total_tokens: i64,
    /// Dollars.
    spend: f64,
    spend_per_request: Option<f64>,
    /// Requests that used something whose price is not known: they are no part of `spend`.
    unpriced_requests: i64,
}

/// Times in milliseconds; none where no request was answered.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = TagTimes)]
pub(super) struct Times {
    /// Of all answered requests.
    mean: Option<f64>,
    /// Of a sample.
    p50: Option<f64>,
    /// Of a sample.
    p95: Option<f64>,
}

/// Two tags, and the second against the first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TagsCompared)]
pub(super) struct Compared {
    start_date: String,
    end_date: String,
    model: Option<String>,
    a: Side,
    b: Side,
    /// For each figure `absolute`, b less a, and `relative`, that as a part of a; `null` where there is none.
    #[schema(value_type = Object)]
    difference: Value,
}

/// To nano-dollars: what is beyond is no figure, but binary.
fn rounded(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a mean needs no 53 bits")]
fn part(sum: f64, of: i64) -> Option<f64> {
    (of != 0).then(|| rounded(sum / of as f64))
}

#[expect(clippy::cast_precision_loss, reason = "a mean needs no 53 bits")]
impl Side {
    fn new(tag: String, sums: &Sums, [mut whole, mut first]: [Vec<u64>; 2]) -> Self {
        let sampled_requests = whole.len();
        let times = |sum: i64, sample: &mut Vec<u64>| {
            sample.sort_unstable();
            let at = |percent: usize| {
                let place = (sample.len() * percent).div_ceil(100).checked_sub(1)?;
                Some(*sample.get(place)? as f64 / 1000.0)
            };
            Times { mean: part(sum as f64 / 1000.0, sums.timed), p50: at(50), p95: at(95) }
        };
        Self {
            tag,
            requests: sums.requests,
            successful_requests: answered(sums),
            failed_requests: sums.failed,
            error_rate: part(sums.failed as f64, sums.requests),
            latency_ms: times(sums.total_us, &mut whole),
            time_to_first_byte_ms: times(sums.first_us, &mut first),
            sampled_requests,
            prompt_tokens: sums.prompt_tokens,
            completion_tokens: sums.completion_tokens,
            total_tokens: tokens(sums),
            spend: sums.cost.dollars(),
            spend_per_request: part(sums.cost.dollars(), sums.requests),
            unpriced_requests: sums.unpriced,
        }
    }

    /// Its figures by name.
    fn figures(&self) -> [(&'static str, Option<f64>); 17] {
        let Times { mean, p50, p95 } = self.latency_ms;
        let first = &self.time_to_first_byte_ms;
        [
            ("requests", Some(self.requests as f64)),
            ("successful_requests", Some(self.successful_requests as f64)),
            ("failed_requests", Some(self.failed_requests as f64)),
            ("error_rate", self.error_rate),
            ("latency_ms_mean", mean),
            ("latency_ms_p50", p50),
            ("latency_ms_p95", p95),
            ("time_to_first_byte_ms_mean", first.mean),
            ("time_to_first_byte_ms_p50", first.p50),
            ("time_to_first_byte_ms_p95", first.p95),
            ("sampled_requests", Some(self.sampled_requests as f64)),
            ("prompt_tokens", Some(self.prompt_tokens as f64)),
            ("completion_tokens", Some(self.completion_tokens as f64)),
            ("total_tokens", Some(self.total_tokens as f64)),
            ("spend", Some(self.spend)),
            ("spend_per_request", self.spend_per_request),
            ("unpriced_requests", Some(self.unpriced_requests as f64)),
        ]
    }
}

/// `b` less `a`, and that as a part of `a`.
fn differences(a: &Side, b: &Side) -> impl Iterator<Item = (&'static str, [Option<f64>; 2])> {
    let pairs = a.figures().into_iter().zip(b.figures());
    pairs.map(|((name, a), (_, b))| {
        let absolute = a.zip(b).map(|(a, b)| rounded(b - a));
        let relative = absolute.zip(a).filter(|(_, a)| *a != 0.0).map(|(absolute, a)| rounded(absolute / a));
        (name, [absolute, relative])
    })
}

/// Compares what requests with one tag came to with those with another: requests, errors, times, tokens, costs. To
/// admins all of them, to users their own and their teams'.
#[utoipa::path(
    get, path = "/tag/compare", tag = "spend", params(Which, Some30, AsCsv),
    responses((status = 200, description = "Both, and the second against the first", body = Compared), Refusals)
)]
pub(super) async fn compare(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
    Asked(days): Asked<Some30>,
    format: Format,
) -> Result<Response, Refusal> {
    let reach = Reach::of(&shared, &actor, FIGURES).await?;
    let days = days.days()?;
    let given = |tag: Option<String>, name: &'static str| {
        let missing = || Refusal::field(name, format!("Missing required parameter '{name}': a tag."));
        tag.filter(|tag| !tag.is_empty()).ok_or_else(missing)
    };
    let (a, b) = (given(which.a, "a")?, given(which.b, "b")?);
    let model = which.model.filter(|model| !model.is_empty());
    let mut slice = read::within(days);
    slice.only.extend(model.clone().map(|model| (Dim::Group, vec![Some(model)])));
    let (a, b) =
        (side(&shared, &reach, &slice, days, a).await?, side(&shared, &reach, &slice, days, b).await?);
    if format == Format::Csv {
        return Ok(sheet(&a, &b));
    }
    let difference = differences(&a, &b);
    let difference = difference.map(|(name, [absolute, relative])| {
        (name.to_owned(), json!({"absolute": absolute, "relative": relative}))
    });
    let difference = Value::Object(difference.collect());
    let (start_date, end_date) = (days::text(days.first), days::text(days.last));
    Ok(Json(Compared { start_date, end_date, model, a, b, difference }).into_response())
}

async fn side(
    shared: &Shared,
    reach: &Reach,
    slice: &Slice,
    days: Days,
    tag: String,
) -> Result<Side, Refusal> {
    let mut asked = reach.clone().within(slice.clone());
    asked.only.push((Dim::Tag, vec![Some(tag.clone())]));
    let sums = read::sums(shared, &asked, &[Dim::Tag], TagView::Full).await?;
    let sums = super::figures::total(sums.iter().map(|sum| &sum.sums));
    let model = slice.only.iter().find_map(|(_, values)| values.first()?.as_deref());
    let filter = LogFilter {
        tag: Some(&tag),
        group: model,
        any: match reach {
            Reach::Everybody => None,
            Reach::Own { user, teams } => Some((user, teams)),
        },
        from: Some(days.first.saturating_mul(DAY)),
        to: Some((days.last + 1).saturating_mul(DAY)),
        status: Some(LogStatus::Succeeded),
        ..LogFilter::default()
    };
    let page = LogPage { limit: SAMPLE, ..LogPage::default() };
    let found =
        if sums.timed == 0 { Vec::new() } else { shared.db.spend_logs(&filter, &page).await?.receipts };
    let times = |of: fn(&crate::receipt::Receipt) -> u64| {
        found.iter().filter(|receipt| receipt.first_byte.is_some()).map(of).collect()
    };
    let sample = [times(|receipt| receipt.took), times(|receipt| receipt.first_byte.unwrap_or_default())];
    Ok(Side::new(tag, &sums, sample))
}

/// A row for each figure.
fn sheet(a: &Side, b: &Side) -> Response {
    let mut sheet = Sheet::default();
    sheet.plain("figure").text(&a.tag).text(&b.tag).plain("absolute").plain("relative").end();
    let cell = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
    let both = a.figures().into_iter().zip(b.figures());
    for (((name, one), (_, other)), (_, [absolute, relative])) in both.zip(differences(a, b)) {
        sheet.plain(name);
        for number in [one, other, absolute, relative] {
            sheet.plain(cell(number));
        }
        sheet.end();
    }
    sheet.answer("compare.csv")
}

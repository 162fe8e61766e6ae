//! LiteLLM's summary of the log: what was spent on each day, by key, user and model.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};
use tagway_core::money::Nanos;

use super::super::Shared;
use super::super::given::object;
use super::super::refusal::Refusal;
use super::days::{Days, text};
use super::names;
use super::read;
use super::stream::{self, Pages};
use crate::store::{Dim, Slice, TagView};

/// Sums up the days there was something on, and those after the last of them.
pub(super) async fn answer(shared: &Shared, slice: Slice, asked: Days) -> Result<Response, Refusal> {
    let found = read::sums(shared, &slice, &[Dim::Day], TagView::Full).await?;
    let Some(last) = found.last().map(read::Sum::day) else {
        return Ok(Json(json!([])).into_response());
    };
    // Days between are not there, as in LiteLLM.
    let empty = (last + 1..=asked.last).rev().map(|day| (day, None));
    let days: Vec<(i64, Option<Nanos>)> =
        empty.chain(found.iter().rev().map(|sum| (sum.day(), Some(sum.sums.cost)))).collect();
    let body =
        stream::begin("[".to_owned(), Summary { shared: shared.clone(), slice, days, begun: false }).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// A summary, from a day on.
struct Summary {
    shared: Shared,
    slice: Slice,
    /// The days that are left, the next one last, with what was spent if anything happened.
    days: Vec<(i64, Option<Nanos>)>,
    begun: bool,
}

impl Pages for Summary {
    async fn page(mut self) -> Result<(String, Option<Self>), Refusal> {
        let Some((day, spend)) = self.days.pop() else { return Ok((String::new(), None)) };
        let mut parts: [Map<String, Value>; 3] = Default::default();
        if spend.is_some() {
            let slice = read::on(&self.slice, Days { first: day, last: day });
            for (part, dimension) in parts.iter_mut().zip([Dim::Key, Dim::User, Dim::Model]) {
                for sum in read::sums(&self.shared, &slice, &[dimension], TagView::Full).await? {
                    let name = match dimension {
                        Dim::Key => names::key(sum.of(0)),
                        _ => sum.of(0).unwrap_or_default(),
                    };
                    part.insert(name.to_owned(), sum.sums.cost.dollars().into());
                }
            }
        }
        let [mut row, users, models] = parts;
        let spend = spend.unwrap_or_default().dollars();
        let fields = json!({"startTime": text(day), "spend": spend, "users": users, "models": models});
        row.extend(object(&fields));
        let comma = if self.begun { "," } else { "" };
        self.begun = true;
        let is_last = self.days.is_empty();
        let page = format!("{comma}{}{}", Value::Object(row), if is_last { "]" } else { "" });
        Ok((page, (!is_last).then_some(self)))
    }
}

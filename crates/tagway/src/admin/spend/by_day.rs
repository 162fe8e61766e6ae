//! A report day after day: what each team, customer, tag, … spent on it, and on which models with which keys. As JSON in
//! LiteLLM's shape, or as rows.

use std::collections::HashMap;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};
use tagway_core::money::Nanos;

use super::super::Shared;
use super::super::refusal::Refusal;
use super::csv::{self, Format, Sheet};
use super::days::{Days, text};
use super::figures::{COLUMNS, cells, tokens, total};
use super::names::{self, Keys, UNASSIGNED};
use super::read::{self, Sum};
use super::stream::{self, Pages};
use super::view;
use crate::store::{Dim, Slice, TagView};

/// What a report is told apart by: the name of the list, and that of each in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct By {
    pub(super) dimension: Dim,
    pub(super) list: &'static str,
    pub(super) one: &'static str,
}

/// Reports on the days there was something on.
pub(super) async fn answer(
    shared: &Shared,
    slice: Slice,
    by: By,
    view: TagView,
    format: Format,
) -> Result<Response, Refusal> {
    let days = read::sums(shared, &slice, &[Dim::Day], TagView::Full).await?;
    let total = days.iter().map(|day| day.sums.cost).sum();
    // The last comes first off.
    let days: Vec<(i64, Nanos)> = days.iter().rev().map(|day| (day.day(), day.sums.cost)).collect();
    if days.is_empty() && format == Format::Json {
        return Ok(Json(json!([])).into_response());
    }
    let head = match format {
        Format::Json => "[".to_owned(),
        Format::Csv => {
            let mut columns = vec!["date", by.one, "name", "model", "api_key", "key_alias"];
            columns.extend(COLUMNS);
            Sheet::new(&columns).taken()
        }
    };
    let report = Report { shared: shared.clone(), slice, by, view, format, days, begun: false };
    let body = stream::begin(head, report).await?;
    let mut response = match format {
        Format::Json => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
        }
        Format::Csv => (csv::headers("spend.csv"), body).into_response(),
    };
    if by.dimension == Dim::Tag {
        response.headers_mut().extend(view::headers(view, total));
    }
    Ok(response)
}

/// A report, from a day on.
struct Report {
    shared: Shared,
    slice: Slice,
    by: By,
    view: TagView,
    format: Format,
    /// The days that are left, the next one last, and what all requests cost on each.
    days: Vec<(i64, Nanos)>,
    begun: bool,
}

impl Pages for Report {
    async fn page(mut self) -> Result<(String, Option<Self>), Refusal> {
        let Some((day, total)) = self.days.pop() else { return Ok((String::new(), None)) };
        let slice = read::on(&self.slice, Days { first: day, last: day });
        let dimensions = [self.by.dimension, Dim::Model, Dim::Key];
        let mut sums = read::sums(&self.shared, &slice, &dimensions, self.view).await?;
        if self.by.dimension == Dim::Tag && self.view == TagView::Full {
            sums.retain(|sum| sum.of(0).is_some());
        }
        let ids = sums.iter().filter_map(|sum| sum.of(0));
        let names = names::metadata(&self.shared, self.by.dimension, ids).await?;
        let mut page = match self.format {
            Format::Csv => {
                let keys = Keys::read(&self.shared, sums.iter().filter_map(|sum| sum.of(2))).await?;
                sheet(day, &sums, &names, &keys)
            }
            Format::Json => {
                let comma = if self.begun { "," } else { "" };
                format!("{comma}{}", self.shown(day, total, &sums, &names))
            }
        };
        self.begun = true;
        let is_last = self.days.is_empty();
        if is_last && self.format == Format::Json {
            page.push(']');
        }
        Ok((page, (!is_last).then_some(self)))
    }
}

impl Report {
    /// A day in LiteLLM's shape.
    fn shown(&self, day: i64, total: Nanos, sums: &[Sum], names: &HashMap<String, Value>) -> Value {
        let mut shown = Map::from_iter([
            ("group_by_day".to_owned(), format!("{}T00:00:00+00:00", text(day)).into()),
            (self.by.list.to_owned(), rows(self.by, sums, names).into()),
        ]);
        if self.by.dimension == Dim::Tag {
            shown.insert("view".to_owned(), view::name(self.view).into());
            shown.insert("total_spend".to_owned(), total.dollars().into());
        }
        Value::Object(shown)
    }
}

/// Those of a day, the costliest first.
fn rows(by: By, sums: &[Sum], names: &HashMap<String, Value>) -> Vec<Value> {
    let mut groups: Vec<(Option<&str>, Vec<&Sum>)> = Vec::new();
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    for sum in sums {
        let place = *places.entry(sum.of(0)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(sum),
            None => groups.push((sum.of(0), vec![sum])),
        }
    }
    let mut rows: Vec<(Nanos, Value)> = groups
        .into_iter()
        .map(|(id, group)| {
            let spend = total(group.iter().map(|sum| &sum.sums)).cost;
            (spend, row(by, id, spend, &group, names))
        })
        .collect();
    rows.sort_by_key(|(spend, _)| std::cmp::Reverse(*spend));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row(by: By, id: Option<&str>, spend: Nanos, of: &[&Sum], names: &HashMap<String, Value>) -> Value {
    let mut row = Map::from_iter([(by.one.to_owned(), id.into())]);
    let known = id.and_then(|id| names.get(id)).and_then(Value::as_object);
    row.extend(known.cloned().unwrap_or_default());
    if by.dimension == Dim::Team {
        let alias = row.get("team_alias").and_then(Value::as_str).or(id).unwrap_or("Unassigned Team");
        row.insert("team_name".to_owned(), alias.to_owned().into());
    }
    row.insert("total_spend".to_owned(), spend.dollars().into());
    let used = of.iter().map(|sum| {
        json!({
            "model": sum.of(1),
            "api_key": names::key(sum.of(2)),
            "spend": sum.sums.cost.dollars(),
            "total_tokens": tokens(&sum.sums),
            "requests": sum.sums.requests,
        })
    });
    row.insert("metadata".to_owned(), used.collect());
    Value::Object(row)
}

fn sheet(day: i64, sums: &[Sum], names: &HashMap<String, Value>, keys: &Keys) -> String {
    let mut sheet = Sheet::default();
    for sum in sums {
        let id = sum.of(0);
        let names = id.and_then(|id| names.get(id)).and_then(Value::as_object);
        let name = names.and_then(|names| names.values().find_map(Value::as_str));
        sheet.plain(text(day)).text(id.unwrap_or(UNASSIGNED)).maybe(name).maybe(sum.of(1));
        sheet.text(names::key(sum.of(2))).maybe(sum.of(2).and_then(|key| keys.alias(key)));
        cells(&mut sheet, &sum.sums);
    }
    sheet.taken()
}

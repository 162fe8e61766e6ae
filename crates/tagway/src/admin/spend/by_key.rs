//! A report key after key, the costliest first: what each spent, and on which models.

use std::collections::HashMap;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use serde_json::{Value, json};

use super::super::Shared;
use super::super::refusal::Refusal;
use super::csv::{self, Format, Sheet};
use super::figures::{COLUMNS, cells};
use super::names::{self, Keys};
use super::read::{self, Sum};
use super::stream::{self, Pages};
use crate::store::{Dim, Slice, Sums, TagView};

/// As many keys are written at once.
const PAGE: usize = 500;

/// Reports on the keys that were used.
pub(super) async fn answer(shared: &Shared, slice: Slice, format: Format) -> Result<Response, Refusal> {
    let keys = read::sums(shared, &slice, &[Dim::Key], TagView::Full).await?;
    if keys.is_empty() && format == Format::Json {
        return Ok(Json(json!([])).into_response());
    }
    let head = match format {
        Format::Json => "[".to_owned(),
        Format::Csv => {
            let mut columns = vec!["api_key", "key_alias", "model"];
            columns.extend(COLUMNS);
            Sheet::new(&columns).taken()
        }
    };
    let report = Report { shared: shared.clone(), slice, format, keys, done: 0 };
    let body = stream::begin(head, report).await?;
    Ok(match format {
        Format::Json => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
        }
        Format::Csv => (csv::headers("spend.csv"), body).into_response(),
    })
}

/// A report, from a key on.
struct Report {
    shared: Shared,
    slice: Slice,
    format: Format,
    keys: Vec<Sum>,
    done: usize,
}

impl Pages for Report {
    async fn page(mut self) -> Result<(String, Option<Self>), Refusal> {
        let part: Vec<&Sum> = self.keys.iter().skip(self.done).take(PAGE).collect();
        let mut slice = self.slice.clone();
        slice.only.push((Dim::Key, part.iter().map(|key| key.of(0).map(str::to_owned)).collect()));
        let mut of_keys: HashMap<Option<String>, Vec<Sum>> = HashMap::new();
        for sum in read::sums(&self.shared, &slice, &[Dim::Key, Dim::Model], TagView::Full).await? {
            of_keys.entry(sum.of(0).map(str::to_owned)).or_default().push(sum);
        }
        let names = Keys::read(&self.shared, part.iter().filter_map(|key| key.of(0))).await?;
        let mut sheet = Sheet::default();
        let mut rows = Vec::new();
        for key in &part {
            let id = key.of(0);
            let alias = id.and_then(|id| names.alias(id));
            let models = of_keys.remove(&id.map(str::to_owned)).unwrap_or_default();
            match self.format {
                Format::Json => rows.push(shown(names::key(id), alias, &key.sums, &models).to_string()),
                Format::Csv => {
                    for model in &models {
                        sheet.text(names::key(id)).maybe(alias).maybe(model.of(1));
                        cells(&mut sheet, &model.sums);
                    }
                }
            }
        }
        let comma = if self.done == 0 { "" } else { "," };
        self.done += PAGE;
        let is_last = self.keys.len() <= self.done;
        let page = match self.format {
            Format::Csv => sheet.taken(),
            Format::Json => format!("{comma}{}{}", rows.join(","), if is_last { "]" } else { "" }),
        };
        Ok((page, (!is_last).then_some(self)))
    }
}

/// A key in LiteLLM's shape.
fn shown(key: &str, alias: Option<&str>, sums: &Sums, models: &[Sum]) -> Value {
    let models = models.iter().map(|sum| {
        json!({
            "model": sum.of(1),
            "total_cost": sum.sums.cost.dollars(),
            "total_input_tokens": sum.sums.prompt_tokens,
            "total_output_tokens": sum.sums.completion_tokens,
        })
    });
    json!({
        "api_key": key,
        "key_alias": alias,
        "total_cost": sums.cost.dollars(),
        "total_input_tokens": sums.prompt_tokens,
        "total_output_tokens": sums.completion_tokens,
        "model_details": models.collect::<Vec<_>>(),
    })
}

//! Sums as answers show them, under LiteLLM's names. Knows how to add them up and nothing of whose they are.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::csv::Sheet;
use crate::store::Sums;

/// What all of these add up to.
pub(super) fn total<'a>(sums: impl IntoIterator<Item = &'a Sums>) -> Sums {
    sums.into_iter().fold(Sums::default(), |mut sum, more| {
        sum.add(more);
        sum
    })
}

/// Tokens of prompts and answers.
pub(super) fn tokens(sums: &Sums) -> i64 {
    sums.prompt_tokens.saturating_add(sums.completion_tokens)
}

/// Requests that were answered.
pub(super) fn answered(sums: &Sums) -> i64 {
    sums.requests - sums.failed
}

/// LiteLLM's metrics.
#[derive(Debug, Serialize)]
pub(super) struct Metrics {
    spend: f64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cache_read_input_tokens: i64,
    cache_creation_input_tokens: i64,
    total_tokens: i64,
    successful_requests: i64,
    failed_requests: i64,
    api_requests: i64,
    unpriced_requests: i64,
}

impl From<&Sums> for Metrics {
    fn from(sums: &Sums) -> Self {
        Self {
            spend: sums.cost.dollars(),
            prompt_tokens: sums.prompt_tokens,
            completion_tokens: sums.completion_tokens,
            cache_read_input_tokens: sums.cache_read_tokens,
            cache_creation_input_tokens: sums.cache_write_tokens,
            total_tokens: tokens(sums),
            successful_requests: answered(sums),
            failed_requests: sums.failed,
            api_requests: sums.requests,
            unpriced_requests: sums.unpriced,
        }
    }
}

/// The same under the names they have where they are totals.
pub(super) fn totals(sums: &Sums) -> Map<String, Value> {
    let fields = json!({
        "total_spend": sums.cost.dollars(),
        "total_prompt_tokens": sums.prompt_tokens,
        "total_completion_tokens": sums.completion_tokens,
        "total_tokens": tokens(sums),
        "total_api_requests": sums.requests,
        "total_successful_requests": answered(sums),
        "total_failed_requests": sums.failed,
        "total_unpriced_requests": sums.unpriced,
        "total_cache_read_input_tokens": sums.cache_read_tokens,
        "total_cache_creation_input_tokens": sums.cache_write_tokens,
    });
    super::super::given::object(&fields)
}

/// The names of the columns that [`cells`] fills.
pub(super) const COLUMNS: [&str; 9] = [
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

/// A sum as cells of a sheet.
pub(super) fn cells(sheet: &mut Sheet, sums: &Sums) {
    sheet
        .money(sums.cost)
        .plain(sums.requests)
        .plain(answered(sums))
        .plain(sums.failed)
        .plain(sums.unpriced)
        .plain(sums.prompt_tokens)
        .plain(sums.completion_tokens)
        .plain(sums.cache_read_tokens)
        .plain(sums.cache_write_tokens)
        .end();
}

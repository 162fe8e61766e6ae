//! LiteLLM's `model_prices_and_context_window.json` as lines of a catalogue. Entries for other things than text
//! (pictures, speech, …) and prices for what tagway does not serve are left out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::line;
use crate::dialect::resolve;
use crate::price::{Item, Name, Price, picos};
use crate::usage::Service;
use crate::wire::json::{Fault, Walk, text_of};

/// Why a catalogue cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] Fault),
    /// It is JSON, but no object of models.
    #[error("expected a JSON object with a model for each key")]
    NoObject,
    /// It has nothing to say.
    #[error("it has no price of any model")]
    Empty,
}

/// The kinds of models tagway serves.
const MODES: [&str; 4] = ["chat", "completion", "embedding", "responses"];

/// Reads `json` into sorted lines dated `updated`.
pub(super) fn lines(json: &str, updated: &str) -> Result<String, Unreadable> {
    let mut walk = Walk::new(json);
    let all = walk.value()?;
    walk.end()?;
    // Of a model listed twice, the entry with its provider in front is meant for it.
    let mut lines: BTreeMap<String, (bool, String)> = BTreeMap::new();
    for field in Walk::fields(json, all).ok_or(Unreadable::NoObject)? {
        let key = &json[field.key.start - 1..field.key.end + 1];
        let Some(key) = text_of(key).filter(|key| key != "sample_spec" && !key.contains(['\t', '\n'])) else {
            continue;
        };
        let Some(entry) = Entry::read(json, field.value) else { continue };
        let (name, prefixed) = name(&key, entry.provider.as_deref());
        if entry.given.is_empty() || (lines.contains_key(&name) && !prefixed) {
            continue;
        }
        let line = line::write(&name, [entry.max_input, entry.max_output], updated, &entry.given);
        lines.insert(name, (prefixed, line));
    }
    if lines.is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut text = String::new();
    for (_, line) in lines.values() {
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

/// `provider/model`, and whether the key says so.
fn name(key: &str, provider: Option<&str>) -> (String, bool) {
    match provider {
        Some(provider) if key.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/')) => {
            (key.to_owned(), true)
        }
        Some(provider) => (format!("{provider}/{key}"), false),
        None if key.contains('/') => (key.to_owned(), true),
        None => match resolve(key, None) {
            Some(resolved) => (format!("{}/{key}", resolved.provider.name), false),
            None => (key.to_owned(), false),
        },
    }
}

#[derive(Default)]
struct Entry<'t> {
    provider: Option<Cow<'t, str>>,
    max_input: Option<u64>,
    max_output: Option<u64>,
    given: Vec<Price>,
}

impl<'t> Entry<'t> {
    fn read(json: &'t str, object: Range<usize>) -> Option<Self> {
        let mut entry = Self::default();
        let mut ranges = Vec::new();
        for field in Walk::fields(json, object)? {
            let value = &json[field.value.clone()];
            match &json[field.key.clone()] {
                "mode" if value != "null" => {
                    let mode = text_of(value)?;
                    if !MODES.contains(&&*mode) {
                        return None;
                    }
                }
                "litellm_provider" => entry.provider = text_of(value),
                "max_input_tokens" => entry.max_input = count(value),
                "max_output_tokens" => entry.max_output = count(value),
                "max_tokens" => entry.max_output = entry.max_output.or(count(value)),
                "tiered_pricing" => ranges = Walk::elements(json, field.value)?.collect(),
                key => entry.price(key, value, 0),
            }
        }
        for range in ranges {
            entry.range(json, range);
        }
        entry.given.sort_by_key(|price| (price.name.service, price.name.above, price.name.item as u8));
        entry.given.dedup_by_key(|price| price.name);
        let cached = entry.given.iter().any(|price| price.name.item == Item::CacheRead);
        if entry.provider.as_deref() == Some("fireworks_ai") && !cached {
            entry.half_for_cached();
        }
        Some(entry)
    }

    fn price(&mut self, key: &str, value: &str, above: u64) {
        if let Some(name) = Name::read(key)
            // Time is priced there for speech and pictures.
            && !matches!(name.item, Item::Second | Item::OutputSecond)
            && let Some(dollars) = number(value)
        {
            let name = Name { above: name.above.max(above), ..name };
            self.given.push(Price { name, picos: picos(dollars) });
        }
    }

    /// An element of `tiered_pricing`: prices for prompts of more tokens than its range begins with.
    fn range(&mut self, json: &str, object: Range<usize>) {
        let fields: Vec<_> = Walk::fields(json, object).into_iter().flatten().collect();
        let begin = fields.iter().find(|field| &json[field.key.clone()] == "range").and_then(|field| {
            let first = Walk::elements(json, field.value.clone())?.next()?;
            count(&json[first])
        });
        let Some(begin) = begin else { return };
        for field in fields {
            self.price(&json[field.key], &json[field.value], begin);
        }
    }

    /// Fireworks takes half for what it has in its cache, where its list says nothing else.
    fn half_for_cached(&mut self) {
        let halves = |price: &Price| {
            let name = Name { item: Item::CacheRead, ..price.name };
            (price.name.item == Item::Input).then_some(Price { name, picos: price.picos / 2 })
        };
        let halves: Vec<Price> = self
            .given
            .iter()
            .filter(|price| price.name.service == Service::Standard)
            .filter_map(halves)
            .collect();
        self.given.extend(halves);
    }
}

/// A price: a number, or one in quotes.
fn number(json: &str) -> Option<f64> {
    let number: f64 = json.trim_matches('"').parse().ok()?;
    (number.is_finite() && 0.0 <= number).then_some(number)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn count(json: &str) -> Option<u64> {
    number(json).filter(|number| (1.0..1e12).contains(number) || *number == 0.0).map(|number| number as u64)
}

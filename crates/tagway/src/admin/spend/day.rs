//! One day of activity: what each model, provider, key, owner or tag had of it, and how LiteLLM shows that. It is written
//! as text at once, since there may be very much of it.

use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::super::refusal::Refusal;
use super::days::text;
use super::figures::Metrics;
use super::names::Keys;
use super::read::Sum;
use crate::store::Sums;

/// Figures of one thing, and of the keys that used it.
#[derive(Default)]
pub(super) struct Part {
    pub(super) sums: Sums,
    pub(super) keys: BTreeMap<String, Sums>,
}

/// Figures of a day.
#[derive(Default)]
pub(super) struct Day {
    pub(super) sums: Sums,
    models: BTreeMap<String, Part>,
    groups: BTreeMap<String, Part>,
    providers: BTreeMap<String, Part>,
    pub(super) keys: BTreeMap<String, Sums>,
    pub(super) entities: BTreeMap<String, Part>,
}

/// The names of those who are listed.
pub(super) struct Names {
    pub(super) keys: Keys,
    pub(super) entities: HashMap<String, Value>,
}

impl Day {
    /// The parts that a sum by model, group and provider counts in.
    pub(super) fn parts(&mut self, sum: &Sum) -> impl Iterator<Item = &mut Part> {
        let (model, group) = (sum.of(0), sum.of(1));
        let model_part = model.map(|model| self.models.entry(model.to_owned()).or_default());
        let group_part = group.or(model).map(|group| self.groups.entry(group.to_owned()).or_default());
        let provider = sum.of(2).unwrap_or("unknown").to_owned();
        let provider_part = self.providers.entry(provider).or_default();
        model_part.into_iter().chain(group_part).chain(Some(provider_part))
    }

    /// LiteLLM's answer for it.
    pub(super) fn shown(&self, day: i64, names: &Names) -> Result<String, Refusal> {
        let Names { keys, entities } = names;
        let parts = |parts| Parts { parts, keys, names: None };
        let shown = Shown {
            date: text(day),
            metrics: (&self.sums).into(),
            breakdown: Breakdown {
                mcp_servers: Map::new(),
                models: parts(&self.models),
                model_groups: parts(&self.groups),
                providers: parts(&self.providers),
                endpoints: Map::new(),
                api_keys: ByKey { sums: &self.keys, keys },
                entities: Parts { parts: &self.entities, keys, names: Some(entities) },
            },
        };
        let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The answer could not be written.");
        serde_json::to_string(&shown).map_err(failed)
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    date: String,
    metrics: Metrics,
    breakdown: Breakdown<'a>,
}

#[derive(Serialize)]
struct Breakdown<'a> {
    mcp_servers: Map<String, Value>,
    models: Parts<'a>,
    model_groups: Parts<'a>,
    providers: Parts<'a>,
    endpoints: Map<String, Value>,
    api_keys: ByKey<'a>,
    entities: Parts<'a>,
}

/// Parts by their names.
struct Parts<'a> {
    parts: &'a BTreeMap<String, Part>,
    keys: &'a Keys,
    /// What is shown beside them.
    names: Option<&'a HashMap<String, Value>>,
}

#[derive(Serialize)]
struct OnePart<'a> {
    metrics: Metrics,
    metadata: Value,
    api_key_breakdown: ByKey<'a>,
}

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.parts.iter().map(|(name, part)| {
            let beside = self.names.and_then(|names| names.get(name)).cloned();
            let shown = OnePart {
                metrics: (&part.sums).into(),
                metadata: beside.unwrap_or_else(|| Value::Object(Map::new())),
                api_key_breakdown: ByKey { sums: &part.keys, keys: self.keys },
            };
            (name, shown)
        }))
    }
}

/// Figures by key.
struct ByKey<'a> {
    sums: &'a BTreeMap<String, Sums>,
    keys: &'a Keys,
}

#[derive(Serialize)]
struct OneKey {
    metrics: Metrics,
    metadata: Value,
}

impl Serialize for ByKey<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(
            self.sums
                .iter()
                .map(|(key, sums)| (key, OneKey { metrics: sums.into(), metadata: self.keys.metadata(key) })),
        )
    }
}

//! The activity of days, told apart by models, providers, keys and one kind of owner or tag: LiteLLM's answer, made
//! from a handful of sums. Every request counts once in the figures of a day, however many tags it has.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::super::Shared;
use super::super::refusal::Refusal;
use super::days::{Days, text};
use super::figures::{add, metrics, total, totals};
use super::names::{self, Keys, UNASSIGNED};
use super::read::{self, Sum};
use super::view;
use crate::store::{Dim, Slice, Sums, TagView};

/// As many owners or tags are listed: the costliest. Totals cover all of them.
const MOST_ENTITIES: i64 = 1000;

/// What is to be shown.
pub(super) struct Wish {
    /// The requests, without regard to days.
    pub(super) slice: Slice,
    /// All days asked for.
    pub(super) range: Days,
    /// Those of the page; none beyond the last page.
    pub(super) days: Option<Days>,
    /// What `entities` are; none where there are no such.
    pub(super) entity: Option<Dim>,
    /// Of these ids alone; of all when empty.
    pub(super) only: Vec<String>,
    pub(super) view: TagView,
    /// As many keys are listed: the costliest.
    pub(super) keys: usize,
    pub(super) page: i64,
    pub(super) pages: i64,
}

/// Figures of one thing on one day, and of the keys that used it.
#[derive(Default)]
struct Part {
    sums: Sums,
    keys: BTreeMap<String, Sums>,
}

#[derive(Default)]
struct Day {
    sums: Sums,
    models: BTreeMap<String, Part>,
    groups: BTreeMap<String, Part>,
    providers: BTreeMap<String, Part>,
    keys: BTreeMap<String, Sums>,
    entities: BTreeMap<String, Part>,
}

impl Day {
    /// The parts that a sum by day, model, group and provider counts in.
    fn parts(&mut self, sum: &Sum) -> impl Iterator<Item = &mut Part> {
        let (model, group) = (sum.of(1), sum.of(2));
        let model_part = model.map(|model| self.models.entry(model.to_owned()).or_default());
        let group_part = group.or(model).map(|group| self.groups.entry(group.to_owned()).or_default());
        let provider = sum.of(3).unwrap_or("unknown").to_owned();
        let provider_part = self.providers.entry(provider).or_default();
        model_part.into_iter().chain(group_part).chain(Some(provider_part))
    }

    fn shown(&self, day: i64, keys: &Keys, entities: &HashMap<String, Value>) -> Value {
        json!({
            "date": text(day),
            "metrics": metrics(&self.sums),
            "breakdown": {
                "mcp_servers": {},
                "models": parts(&self.models, keys, &HashMap::new()),
                "model_groups": parts(&self.groups, keys, &HashMap::new()),
                "providers": parts(&self.providers, keys, &HashMap::new()),
                "endpoints": {},
                "api_keys": by_key(&self.keys, keys),
                "entities": parts(&self.entities, keys, entities),
            },
        })
    }
}

fn parts(
    parts: &BTreeMap<String, Part>,
    keys: &Keys,
    metadata: &HashMap<String, Value>,
) -> Map<String, Value> {
    let shown = parts.iter().map(|(name, part)| {
        let shown = json!({
            "metrics": metrics(&part.sums),
            "metadata": metadata.get(name).cloned().unwrap_or_else(|| json!({})),
            "api_key_breakdown": by_key(&part.keys, keys),
        });
        (name.clone(), shown)
    });
    shown.collect()
}

fn by_key(sums: &BTreeMap<String, Sums>, keys: &Keys) -> Map<String, Value> {
    let shown = sums
        .iter()
        .map(|(key, sums)| (key.clone(), json!({"metrics": metrics(sums), "metadata": keys.metadata(key)})));
    shown.collect()
}

/// LiteLLM's answer.
pub(super) async fn answer(shared: &Shared, wish: &Wish) -> Result<Value, Refusal> {
    let everything = read::on(&wish.slice, wish.range);
    let of_range = read::total(shared, &everything).await?;
    let Some(days) = wish.days else {
        let metadata = metadata(wish, &Sums::default(), &of_range, 0, 0);
        return Ok(json!({"results": [], "metadata": metadata}));
    };
    let slice = read::on(&wish.slice, days);
    let mut found: BTreeMap<i64, Day> = BTreeMap::new();
    let by = [Dim::Day, Dim::Model, Dim::Group, Dim::Provider];
    for sum in read::sums(shared, &slice, &by, TagView::Full).await? {
        let day = found.entry(sum.day()).or_default();
        add(&mut day.sums, &sum.sums);
        day.parts(&sum).for_each(|part| add(&mut part.sums, &sum.sums));
    }
    let (listed, keys_in_all) = top_keys(shared, &slice, wish.keys).await?;
    let by_keys = Slice { only: listed, ..slice.clone() };
    let by = [Dim::Day, Dim::Model, Dim::Group, Dim::Provider, Dim::Key];
    for sum in read::sums(shared, &by_keys, &by, TagView::Full).await? {
        let key = names::key(sum.of(4)).to_owned();
        let day = found.entry(sum.day()).or_default();
        add(day.keys.entry(key.clone()).or_default(), &sum.sums);
        for part in day.parts(&sum) {
            add(part.keys.entry(key.clone()).or_default(), &sum.sums);
        }
    }
    let mut attributed = Sums::default();
    let mut entities: Vec<String> = Vec::new();
    if let Some(entity) = wish.entity {
        let ids = top_entities(shared, &slice, entity, wish).await?;
        let named = Slice { only: with_entities(&slice, entity, &ids), ..slice.clone() };
        for sum in read::sums(shared, &named, &[Dim::Day, entity], wish.view).await? {
            let Some(name) = listed_entity(&sum, &ids) else { continue };
            add(&mut attributed, &sum.sums);
            let day = found.entry(sum.day()).or_default();
            add(&mut day.entities.entry(name).or_default().sums, &sum.sums);
        }
        let named = Slice { only: with_entities(&by_keys, entity, &ids), ..slice.clone() };
        for sum in read::sums(shared, &named, &[Dim::Day, entity, Dim::Key], wish.view).await? {
            let (Some(name), key) = (listed_entity(&sum, &ids), names::key(sum.of(2))) else { continue };
            let day = found.entry(sum.day()).or_default();
            let part = day.entities.entry(name).or_default();
            add(part.keys.entry(key.to_owned()).or_default(), &sum.sums);
        }
        entities = ids.into_iter().flatten().collect();
    }
    let keys = Keys::read(shared, found.values().flat_map(|day| day.keys.keys()).map(String::as_str)).await?;
    let entity_names = match wish.entity {
        Some(entity) => names::metadata(shared, entity, entities.iter().map(String::as_str)).await?,
        None => HashMap::new(),
    };
    let of_page = total(found.values().map(|day| &day.sums));
    let results: Vec<Value> =
        found.iter().rev().map(|(day, of)| of.shown(*day, &keys, &entity_names)).collect();
    let mut metadata = metadata(wish, &of_page, &of_range, keys_in_all, entities.len());
    if wish.entity == Some(Dim::Tag) {
        metadata.insert("attributed_spend".to_owned(), attributed.cost.dollars().into());
    }
    Ok(json!({"results": results, "metadata": metadata}))
}

fn metadata(
    wish: &Wish,
    of_page: &Sums,
    of_range: &Sums,
    keys: usize,
    entities: usize,
) -> Map<String, Value> {
    let mut fields = totals(of_page);
    for (name, value) in [
        ("page", json!(wish.page)),
        ("total_pages", json!(wish.pages)),
        ("has_more", json!(wish.page < wish.pages)),
        ("range_total_spend", json!(of_range.cost.dollars())),
        ("api_key_limit", json!(wish.keys)),
        ("total_api_keys", json!(keys)),
    ] {
        fields.insert(name.to_owned(), value);
    }
    if wish.entity.is_some() {
        fields.insert("listed_entities".to_owned(), entities.into());
    }
    if wish.entity == Some(Dim::Tag) {
        fields.insert("view".to_owned(), view::name(wish.view).into());
    }
    fields
}

/// The conditions of a slice, with one for the keys that are listed where these are not all; and how many there are.
async fn top_keys(
    shared: &Shared,
    slice: &Slice,
    most: usize,
) -> Result<(Vec<(Dim, Vec<Option<String>>)>, usize), Refusal> {
    let keys = read::sums(shared, slice, &[Dim::Key], TagView::Full).await?;
    let (mut only, count) = (slice.only.clone(), keys.len());
    if most < count {
        only.push((Dim::Key, keys.into_iter().take(most).filter_map(first).collect()));
    }
    Ok((only, count))
}

fn first(sum: Sum) -> Option<Option<String>> {
    sum.at.into_iter().next()
}

/// The owners or tags that are listed.
async fn top_entities(
    shared: &Shared,
    slice: &Slice,
    entity: Dim,
    wish: &Wish,
) -> Result<HashSet<Option<String>>, Refusal> {
    if !wish.only.is_empty() {
        return Ok(wish.only.iter().cloned().map(Some).collect());
    }
    let mut found = read::top(shared, slice, &[entity], wish.view, MOST_ENTITIES).await?;
    if entity == Dim::Tag && wish.view == TagView::Full {
        found.retain(|sum| sum.of(0).is_some());
    }
    Ok(found.into_iter().filter_map(first).collect())
}

/// The name under which a sum is listed, if it is.
fn listed_entity(sum: &Sum, listed: &HashSet<Option<String>>) -> Option<String> {
    let name = sum.at.get(1)?;
    listed.contains(name).then(|| name.clone().unwrap_or_else(|| UNASSIGNED.to_owned()))
}

/// The conditions of a slice, with one for the owners or tags that are listed.
fn with_entities(
    slice: &Slice,
    entity: Dim,
    listed: &HashSet<Option<String>>,
) -> Vec<(Dim, Vec<Option<String>>)> {
    let mut only = slice.only.clone();
    only.retain(|(dimension, _)| *dimension != entity);
    only.push((entity, listed.iter().cloned().collect()));
    only
}

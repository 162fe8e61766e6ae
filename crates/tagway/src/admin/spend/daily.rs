//! The activity of days, told apart by models, providers, keys and one kind of owner or tag: LiteLLM's answer, made
//! from a handful of sums. Every request counts once in the figures of a day, however many tags it has.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::super::Shared;
use super::super::given::object;
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
    /// What `entities` are.
    pub(super) entity: Dim,
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
    let of_range = async || read::total(shared, &read::on(&wish.slice, wish.range)).await;
    let Some(days) = wish.days else {
        let metadata = metadata(wish, &Found::default(), &Sums::default(), &of_range().await?);
        return Ok(json!({"results": [], "metadata": metadata}));
    };
    let found = Found::read(shared, wish, &read::on(&wish.slice, days)).await?;
    let used = found.days.values().flat_map(|day| day.keys.keys()).map(String::as_str);
    let keys = Keys::read(shared, used).await?;
    let listed = found.entities.iter().flatten().map(String::as_str);
    let entities = names::metadata(shared, wish.entity, listed).await?;
    let of_page = total(found.days.values().map(|day| &day.sums));
    let of_range = if wish.pages == 1 { of_page } else { of_range().await? };
    let results: Vec<Value> =
        found.days.iter().rev().map(|(day, of)| of.shown(*day, &keys, &entities)).collect();
    Ok(json!({"results": results, "metadata": metadata(wish, &found, &of_page, &of_range)}))
}

/// What was found of a page of days.
#[derive(Default)]
struct Found {
    days: BTreeMap<i64, Day>,
    /// The owners or tags that are listed, and what is theirs.
    entities: HashSet<Option<String>>,
    attributed: Sums,
    /// How many keys there are.
    keys: usize,
    /// What keys had of models and the like would have been too much.
    keys_left_out: bool,
}

impl Found {
    async fn read(shared: &Shared, wish: &Wish, slice: &Slice) -> Result<Self, Refusal> {
        let mut found = Self::default();
        let by = [Dim::Day, Dim::Model, Dim::Group, Dim::Provider];
        for sum in read::sums(shared, slice, &by, TagView::Full).await? {
            let day = found.day(&sum);
            add(&mut day.sums, &sum.sums);
            day.parts(&sum).for_each(|part| add(&mut part.sums, &sum.sums));
        }
        let (listed, keys) = top_keys(shared, slice, wish.keys).await?;
        found.keys = keys;
        let of_keys = Slice { only: listed, ..slice.clone() };
        found.read_keys(shared, &of_keys).await?;
        found.entities = top_entities(shared, slice, wish).await?;
        let slice = with_entities(slice, wish.entity, &found.entities);
        for sum in read::sums(shared, &slice, &[Dim::Day, wish.entity], wish.view).await? {
            let Some(name) = found.listed(&sum) else { continue };
            add(&mut found.attributed, &sum.sums);
            add(&mut found.day(&sum).entities.entry(name).or_default().sums, &sum.sums);
        }
        let of_keys = with_entities(&of_keys, wish.entity, &found.entities);
        let by = [Dim::Day, wish.entity, Dim::Key];
        let Some(sums) = read::few(shared, &of_keys, &by, wish.view).await? else {
            found.keys_left_out = true;
            return Ok(found);
        };
        for sum in sums {
            let Some(name) = found.listed(&sum) else { continue };
            let part = found.day(&sum).entities.entry(name).or_default();
            add(part.keys.entry(names::key(sum.of(2)).to_owned()).or_default(), &sum.sums);
        }
        Ok(found)
    }

    /// What each key that is listed had of each day, and of what else, unless that is too much.
    async fn read_keys(&mut self, shared: &Shared, slice: &Slice) -> Result<(), Refusal> {
        let by = [Dim::Day, Dim::Model, Dim::Group, Dim::Provider, Dim::Key];
        let Some(sums) = read::few(shared, slice, &by, TagView::Full).await? else {
            self.keys_left_out = true;
            for sum in read::sums(shared, slice, &[Dim::Day, Dim::Key], TagView::Full).await? {
                let key = names::key(sum.of(1)).to_owned();
                add(self.day(&sum).keys.entry(key).or_default(), &sum.sums);
            }
            return Ok(());
        };
        for sum in sums {
            let key = names::key(sum.of(4));
            let day = self.day(&sum);
            add(day.keys.entry(key.to_owned()).or_default(), &sum.sums);
            for part in day.parts(&sum) {
                add(part.keys.entry(key.to_owned()).or_default(), &sum.sums);
            }
        }
        Ok(())
    }

    fn day(&mut self, sum: &Sum) -> &mut Day {
        self.days.entry(sum.day()).or_default()
    }

    /// The name under which a sum by day and owner or tag is listed, if it is.
    fn listed(&self, sum: &Sum) -> Option<String> {
        let name = sum.at.get(1)?;
        self.entities.contains(name).then(|| name.clone().unwrap_or_else(|| UNASSIGNED.to_owned()))
    }
}

fn metadata(wish: &Wish, found: &Found, of_page: &Sums, of_range: &Sums) -> Map<String, Value> {
    let mut fields = totals(of_page);
    let also = json!({
        "page": wish.page,
        "total_pages": wish.pages,
        "has_more": wish.page < wish.pages,
        "range_total_spend": of_range.cost.dollars(),
        "api_key_limit": wish.keys,
        "total_api_keys": found.keys,
        "listed_entities": found.entities.len(),
        "api_key_breakdown_left_out": found.keys_left_out,
    });
    fields.extend(object(&also));
    if wish.entity == Dim::Tag {
        fields.insert("view".to_owned(), view::name(wish.view).into());
        fields.insert("attributed_spend".to_owned(), found.attributed.cost.dollars().into());
    }
    fields
}

/// The conditions of a slice, with one for the keys that are listed where these are not all; and how many there are.
async fn top_keys(
    shared: &Shared,
    slice: &Slice,
    most: usize,
) -> Result<(Vec<(Dim, Vec<Option<String>>)>, usize), Refusal> {
    let keys = read::top(shared, slice, &[Dim::Key], TagView::Full, read::MOST_SUMS).await?;
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
    wish: &Wish,
) -> Result<HashSet<Option<String>>, Refusal> {
    if !wish.only.is_empty() {
        return Ok(wish.only.iter().cloned().map(Some).collect());
    }
    let days = wish.days.map_or(1, Days::count);
    let most = MOST_ENTITIES.min(read::MOST_SUMS / days);
    let mut found = read::top(shared, slice, &[wish.entity], wish.view, most).await?;
    if wish.entity == Dim::Tag && wish.view == TagView::Full {
        found.retain(|sum| sum.of(0).is_some());
    }
    Ok(found.into_iter().filter_map(first).collect())
}

/// The part of a slice that the listed owners or tags have.
fn with_entities(slice: &Slice, entity: Dim, listed: &HashSet<Option<String>>) -> Slice {
    let mut slice = slice.clone();
    slice.only.retain(|(dimension, _)| *dimension != entity);
    slice.only.push((entity, listed.iter().cloned().collect()));
    slice
}

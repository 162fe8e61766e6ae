//! The activity of days, told apart by models, providers, keys and one kind of owner or tag: LiteLLM's answer, made
//! from a handful of sums. Every request counts once in the figures of a day, however many tags it has.

use std::collections::HashSet;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use super::super::Shared;
use super::super::given::object;
use super::super::refusal::Refusal;
use super::day::{Day, Names};
use super::days::Days;
use super::figures::{total, totals};
use super::names::{self, Keys, UNASSIGNED};
use super::read::{self, Sum};
use super::stream::{self, Pages};
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

/// LiteLLM's answer, written day by day.
pub(super) async fn answer(shared: &Shared, wish: Wish) -> Result<Response, Refusal> {
    let of_range = async || read::total(shared, &read::on(&wish.slice, wish.range)).await;
    let Some(days) = wish.days else {
        let metadata = metadata(&wish, &Sums::default(), &of_range().await?);
        return Ok(Json(json!({"results": [], "metadata": metadata})).into_response());
    };
    let slice = read::on(&wish.slice, days);
    let found = read::sums(shared, &slice, &[Dim::Day], TagView::Full).await?;
    let of_page = total(found.iter().map(|day| &day.sums));
    let of_range = if wish.pages == 1 { of_page } else { of_range().await? };
    let (of_keys, keys) = top_keys(shared, &slice, wish.keys).await?;
    let entities = top_entities(shared, &slice, &wish).await?;
    let names = Names {
        keys: Keys::read(shared, keys.iter().flatten().take(wish.keys).map(String::as_str)).await?,
        entities: names::metadata(shared, wish.entity, entities.iter().flatten().map(String::as_str)).await?,
    };
    let mut metadata = metadata(&wish, &of_page, &of_range);
    metadata.insert("total_api_keys".to_owned(), keys.len().into());
    metadata.insert("listed_entities".to_owned(), entities.len().into());
    let report = Report {
        shared: shared.clone(),
        slice: with_entities(&slice, &wish, &entities),
        of_keys: with_entities(&Slice { only: of_keys, ..slice.clone() }, &wish, &entities),
        whole: slice,
        entity: wish.entity,
        view: wish.view,
        entities,
        names,
        days: found.iter().map(Sum::day).collect(),
        metadata,
        attributed: Sums::default(),
        keys_left_out: false,
        begun: false,
    };
    let body = stream::begin("{\"results\":[".to_owned(), report).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// The answer, from a day on.
struct Report {
    shared: Shared,
    /// All requests; those of the owners or tags that are listed; and of these, those with the keys that are.
    whole: Slice,
    slice: Slice,
    of_keys: Slice,
    entity: Dim,
    view: TagView,
    entities: HashSet<Option<String>>,
    names: Names,
    /// The days that are left, the next one last.
    days: Vec<i64>,
    metadata: Map<String, Value>,
    /// What is the listed owners' or tags'.
    attributed: Sums,
    /// What keys had of models and the like would have been too much.
    keys_left_out: bool,
    begun: bool,
}

impl Pages for Report {
    async fn page(mut self) -> Result<(String, Option<Self>), Refusal> {
        let mut page = String::new();
        if let Some(day) = self.days.pop() {
            let of_day = self.read(day).await?;
            let comma = if self.begun { "," } else { "" };
            self.begun = true;
            page = format!("{comma}{}", of_day.shown(day, &self.names)?);
        }
        if !self.days.is_empty() {
            return Ok((page, Some(self)));
        }
        let left_out = self.keys_left_out.into();
        self.metadata.insert("api_key_breakdown_left_out".to_owned(), left_out);
        if self.entity == Dim::Tag {
            let attributed = self.attributed.cost.dollars();
            self.metadata.insert("attributed_spend".to_owned(), attributed.into());
        }
        page.push_str(&format!("],\"metadata\":{}}}", Value::Object(self.metadata)));
        Ok((page, None))
    }
}

impl Report {
    async fn read(&mut self, day: i64) -> Result<Day, Refusal> {
        let shared = self.shared.clone();
        let day = Days { first: day, last: day };
        let (whole, slice, of_keys) =
            (read::on(&self.whole, day), read::on(&self.slice, day), read::on(&self.of_keys, day));
        let mut found = Day::default();
        let by = [Dim::Model, Dim::Group, Dim::Provider];
        for sum in read::sums(&shared, &whole, &by, TagView::Full).await? {
            found.sums.add(&sum.sums);
            found.parts(&sum).for_each(|part| part.sums.add(&sum.sums));
        }
        let keys = Slice { only: without(&of_keys, self.entity, &whole), ..of_keys.clone() };
        self.read_keys(&shared, &mut found, &keys).await?;
        for sum in read::sums(&shared, &slice, &[self.entity], self.view).await? {
            let Some(name) = self.listed(&sum) else { continue };
            self.attributed.add(&sum.sums);
            found.entities.entry(name).or_default().sums.add(&sum.sums);
        }
        let Some(sums) = read::few(&shared, &of_keys, &[self.entity, Dim::Key], self.view).await? else {
            self.keys_left_out = true;
            return Ok(found);
        };
        for sum in sums {
            let Some(name) = self.listed(&sum) else { continue };
            let part = found.entities.entry(name).or_default();
            part.keys.entry(names::key(sum.of(1)).to_owned()).or_default().add(&sum.sums);
        }
        Ok(found)
    }

    /// What each key that is listed had of a day, and of what else, unless that is too much.
    async fn read_keys(&mut self, shared: &Shared, found: &mut Day, slice: &Slice) -> Result<(), Refusal> {
        let by = [Dim::Model, Dim::Group, Dim::Provider, Dim::Key];
        let Some(sums) = read::few(shared, slice, &by, TagView::Full).await? else {
            self.keys_left_out = true;
            for sum in read::sums(shared, slice, &[Dim::Key], TagView::Full).await? {
                found.keys.entry(names::key(sum.of(0)).to_owned()).or_default().add(&sum.sums);
            }
            return Ok(());
        };
        for sum in sums {
            let key = names::key(sum.of(3));
            found.keys.entry(key.to_owned()).or_default().add(&sum.sums);
            for part in found.parts(&sum) {
                part.keys.entry(key.to_owned()).or_default().add(&sum.sums);
            }
        }
        Ok(())
    }

    /// The name under which a sum by owner or tag is listed, if it is.
    fn listed(&self, sum: &Sum) -> Option<String> {
        let name = sum.at.first()?;
        self.entities.contains(name).then(|| name.clone().unwrap_or_else(|| UNASSIGNED.to_owned()))
    }
}

fn metadata(wish: &Wish, of_page: &Sums, of_range: &Sums) -> Map<String, Value> {
    let mut fields = totals(of_page);
    let also = json!({
        "page": wish.page,
        "total_pages": wish.pages,
        "has_more": wish.page < wish.pages,
        "range_total_spend": of_range.cost.dollars(),
        "api_key_limit": wish.keys,
    });
    fields.extend(object(&also));
    if wish.entity == Dim::Tag {
        fields.insert("view".to_owned(), view::name(wish.view).into());
    }
    fields
}

type Conditions = Vec<(Dim, Vec<Option<String>>)>;

/// The conditions of a slice, with one for the keys that are listed where these are not all; and all keys, the costliest
/// first.
async fn top_keys(
    shared: &Shared,
    slice: &Slice,
    most: usize,
) -> Result<(Conditions, Vec<Option<String>>), Refusal> {
    let keys = read::top(shared, slice, &[Dim::Key], TagView::Full, read::MOST_SUMS).await?;
    let keys: Vec<Option<String>> = keys.into_iter().filter_map(first).collect();
    let mut only = slice.only.clone();
    if most < keys.len() {
        only.push((Dim::Key, keys.iter().take(most).cloned().collect()));
    }
    Ok((only, keys))
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
    let mut found = read::top(shared, slice, &[wish.entity], wish.view, MOST_ENTITIES).await?;
    if wish.entity == Dim::Tag && wish.view == TagView::Full {
        found.retain(|sum| sum.of(0).is_some());
    }
    Ok(found.into_iter().filter_map(first).collect())
}

/// The part of a slice that the listed owners or tags have. Where there are no others, it needs no condition.
fn with_entities(slice: &Slice, wish: &Wish, listed: &HashSet<Option<String>>) -> Slice {
    let mut slice = slice.clone();
    if wish.only.is_empty() && i64::try_from(listed.len()).is_ok_and(|count| MOST_ENTITIES <= count + 1) {
        slice.only.push((wish.entity, listed.iter().cloned().collect()));
    }
    slice
}

/// The conditions of a slice, those on owners or tags being those of another.
fn without(slice: &Slice, entity: Dim, of: &Slice) -> Conditions {
    let others = slice.only.iter().filter(|(dimension, _)| *dimension != entity);
    let own = of.only.iter().filter(|(dimension, _)| *dimension == entity);
    others.chain(own).cloned().collect()
}

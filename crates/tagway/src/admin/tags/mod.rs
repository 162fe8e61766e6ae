//! `/tag/*`: tags as objects. A tag's models carry it from the moment it is stored: the configuration in force is
//! made anew with every change.

mod audit;
mod declare;
mod list;
mod rename;
mod reset;
mod show;
mod terms;
mod violations;

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tagway_core::money::Nanos;
use tagway_core::snapshot::Snapshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::given::object;
use super::refusal::Refusal;
use super::shown::{History, renew};
use crate::objects::{Budget, Kind, Limits, Tag};
use crate::receipt::Payer;
use crate::store::{Dim, SeenTag, Slice, Stored, TagView};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(declare::new))
        .routes(routes!(declare::update))
        .routes(routes!(declare::delete))
        .routes(routes!(rename::rename))
        .routes(routes!(rename::merge))
        .routes(routes!(show::info))
        .routes(routes!(list::list))
        .routes(routes!(violations::violations))
        .routes(routes!(audit::audit))
        .routes(routes!(reset::reset_spend))
}

/// The longest name of a tag, in characters.
const LONGEST: usize = 255;

/// Whether this can be the name of a tag, or a pattern of such names.
fn check_name(field: &'static str, name: &str) -> Result<(), Refusal> {
    let wrong = if name.trim().is_empty() {
        "A tag needs a name."
    } else if LONGEST < name.chars().count() {
        "A tag's name must be no longer than 255 characters."
    } else if name.trim() != name {
        "A tag's name must not have white space around it: no tag of a header can have it."
    } else if name.contains(',') {
        "A tag's name must not hold a comma: headers separate tags by it."
    } else if name.contains(char::is_control) {
        "A tag's name must not hold control characters."
    } else if name.starts_with(['!', '&']) {
        "A tag's name must not begin with '!' or '&': in a request they say what to do with a tag."
    } else if name.strip_suffix('*').unwrap_or(name).contains('*') {
        "A '*' in a tag's name stands for what follows: it comes last."
    } else {
        return Ok(());
    };
    Err(Refusal::field(field, wrong))
}

/// The tag that a name means, be it a former one.
fn meant(shared: &Shared, name: &str) -> String {
    let current = shared.live.current();
    current.snapshot.aliases.today(name).to_owned()
}

/// What else is known of tags, looked up for several at once.
struct Beside {
    /// Nothing for those that would take too long to add up.
    spend: HashMap<String, Nanos>,
    seen: HashMap<String, SeenTag>,
    budgets: HashMap<String, Limits>,
}

impl Beside {
    /// Reads it for these tags.
    async fn read(shared: &Shared, tags: &[Stored<Tag>], others: &[String]) -> Result<Self, Refusal> {
        let mut names: Vec<String> = tags.iter().map(|tag| tag.id.clone()).collect();
        names.extend_from_slice(others);
        let mut ids: Vec<String> = tags.iter().filter_map(|tag| tag.object.budget_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let seen = shared.db.seen_among(&names).await?;
        let budgets = shared.db.find_all::<Budget>(&ids).await?;
        Ok(Self {
            spend: spend(shared, &names).await?,
            seen: seen.into_iter().map(|seen| (seen.tag.clone(), seen)).collect(),
            budgets: budgets.into_iter().map(|budget| (budget.id, budget.object.limits)).collect(),
        })
    }

    /// Spend and uses of a tag.
    fn of(&self, name: &str) -> Map<String, Value> {
        let used = |at: fn(&SeenTag) -> i64| self.seen.get(name).and_then(|seen| moment(at(seen)));
        let fields = json!({
            "spend": self.spend.get(name).copied().map(Nanos::dollars),
            "first_used_at": used(|seen| seen.first_at),
            "last_used_at": used(|seen| seen.last_at),
        });
        object(&fields)
    }
}

/// Of more tags than that without a budget, what was spent is not added up.
const MOST_ADDED_UP: usize = 1000;

/// What was spent on tags: with a budget, what counts against it; without one, all there was.
async fn spend(shared: &Shared, names: &[String]) -> Result<HashMap<String, Nanos>, Refusal> {
    let counted = shared.db.spend(Kind::Tag, names).await?;
    let mut spend: HashMap<String, Nanos> =
        counted.into_iter().map(|(name, amount)| (name, Nanos(amount))).collect();
    let mut others = Vec::new();
    for name in names.iter().filter(|name| !spend.contains_key(*name)) {
        others.push((name.clone(), shared.accounts.find(Payer::Tag, name).is_some()));
    }
    let (budgeted, free): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, budgeted)| *budgeted);
    spend.extend(budgeted.into_iter().map(|(name, _)| (name, Nanos::ZERO)));
    if free.is_empty() || MOST_ADDED_UP < free.len() {
        return Ok(spend);
    }
    let only = vec![(Dim::Tag, free.iter().map(|(name, _)| Some(name.clone())).collect())];
    let sums = shared.db.activity(&Slice { only, ..Slice::default() }, &[Dim::Tag], TagView::Full).await?;
    spend.extend(free.into_iter().map(|(name, _)| (name, Nanos::ZERO)));
    let name = |at: Vec<Option<String>>| at.into_iter().next().flatten();
    spend.extend(sums.into_iter().filter_map(|(at, sums)| Some((name(at)?, sums.cost))));
    Ok(spend)
}

fn moment(millis: i64) -> Option<String> {
    Timestamp::from_millisecond(millis).ok().map(|at| at.to_string())
}

/// A tag as answers show it.
fn shown(snapshot: &Snapshot, stored: &Stored<Tag>, beside: &Beside) -> Value {
    let tag = &stored.object;
    let mut fields = Map::new();
    fields.insert("name".to_owned(), stored.id.as_str().into());
    fields.extend(object(tag));
    fields.insert("model_info".to_owned(), carriers(snapshot, &tag.models));
    let ignored = fields.shift_remove("ignored");
    fields.extend(beside.of(&stored.id));
    if let Some(budget) = budget(tag, beside.budgets.get(tag.budget_id.as_deref().unwrap_or_default())) {
        fields.insert("litellm_budget_table".to_owned(), budget);
    }
    // What has no effect does not look as if it had some.
    for (name, value) in ignored.as_ref().and_then(Value::as_object).cloned().unwrap_or_default() {
        fields.entry(name).or_insert(value);
    }
    fields.extend(object(&History::from(stored)));
    renew(&mut fields);
    Value::Object(fields)
}

/// The deployments these ids and model names mean: names by id.
fn carriers(snapshot: &Snapshot, models: &[String]) -> Value {
    let entries = snapshot.deployments.iter().map(|deployment| &deployment.entry);
    let meant = entries.filter(|entry| models.contains(&entry.info.id) || models.contains(&entry.model_name));
    let names: Map<String, Value> =
        meant.map(|entry| (entry.info.id.clone(), entry.model_name.as_str().into())).collect();
    Value::Object(names)
}

/// The limits that hold for a tag: its own, and those of its budget where it has none.
fn budget(tag: &Tag, shared: Option<&Limits>) -> Option<Value> {
    let own = object(&tag.limits);
    let given = |value: &Value| !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty());
    if tag.budget_id.is_none() && !own.values().any(given) {
        return None;
    }
    let mut limits = own;
    for (name, value) in shared.map(object).unwrap_or_default() {
        if !limits.get(&name).is_some_and(given) {
            limits.insert(name, value);
        }
    }
    let mut table = Map::from_iter([("budget_id".to_owned(), tag.budget_id.clone().into())]);
    table.extend(limits);
    renew(&mut table);
    Some(Value::Object(table))
}

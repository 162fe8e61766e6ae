//! What customers, organizations and projects have in common: tags, and limits of their own or of a budget they
//! refer to. Reads what a request wants of them, and shows them. Knows neither who asks nor what each is for.

use axum::Json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Shared;
use super::actor::Actor;
use super::budgets;
use super::change::Change;
use super::given::{Given, LONGEST_NAME, object};
use super::keys;
use super::refusal::Refusal;
use super::reset::{self, Bounds, ResetSpend, Spent, set_spend};
use super::shown::{Ignored, reset_at, row};
use crate::objects::{Budget, Customer, Limits, Organization, Owner, Project};
use crate::store::{Db, Stored};

/// An object with tags and limits.
pub(super) trait Limited: Owner {
    /// The name of its id in bodies and answers.
    const ID: &'static str;
    /// Fields that are not the client's to give.
    const KEPT: &'static [&'static str] = &["ignored"];
    /// Whether LiteLLM shows a budget even where no limit was ever given.
    const ALWAYS_BUDGETED: bool;

    /// What a request may change of it: limits, the budget it refers to, metadata, fields without effect.
    fn parts(&mut self) -> Parts<'_>;
}

/// The parts of a [`Limited`] object.
pub(super) struct Parts<'a> {
    limits: &'a mut Limits,
    budget_id: &'a mut Option<String>,
    metadata: &'a mut Map<String, Value>,
    ignored: &'a mut Map<String, Value>,
}

macro_rules! limited {
    ($type:ty { $($constants:tt)* }) => {
        impl Limited for $type {
            $($constants)*

            fn parts(&mut self) -> Parts<'_> {
                Parts {
                    limits: &mut self.limits,
                    budget_id: &mut self.budget_id,
                    metadata: &mut self.metadata,
                    ignored: &mut self.ignored,
                }
            }
        }
    };
}

limited!(Customer {
    const ID: &'static str = "user_id";
    const ALWAYS_BUDGETED: bool = false;
});
limited!(Organization {
    const ID: &'static str = "organization_id";
    const KEPT: &'static [&'static str] = &["ignored", "members"];
    const ALWAYS_BUDGETED: bool = true;
});
limited!(Project {
    const ID: &'static str = "project_id";
    const ALWAYS_BUDGETED: bool = true;
});

/// What a request may say beside the object's own fields.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct Wishes {
    /// Tags that requests inherit; they land in `metadata.tags`.
    tags: Option<Vec<String>>,
    /// Dollars spent so far.
    #[schema(minimum = 0)]
    spend: Option<f64>,
}

/// Takes hold of the budget that a request for a change names, if it is there. Budgets come before what refers to
/// them, so that two changes never wait for each other; whether there is one, [`Wanted::read`] says.
pub(super) async fn hold_budget(change: &mut Change<'_>, given: &Given) -> Result<(), Refusal> {
    let Referring { budget_id } = given.peek(&Referring::default(), &[])?;
    if let Some(id) = budget_id {
        change.find::<Budget>(&id).await?;
    }
    Ok(())
}

/// What refers to a budget.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Referring {
    budget_id: Option<String>,
}

/// What a request wants an object to be.
#[derive(Debug)]
pub(super) struct Wanted<T> {
    pub(super) object: T,
    /// Nano-dollars.
    spend: Option<i64>,
    ignored: Ignored,
}

impl<T: Limited> Wanted<T> {
    /// Reads the rest of a request over what the object was; its id has been taken.
    ///
    /// # Errors
    /// A field holds what it cannot hold, or names a budget that is not there.
    pub(super) async fn read(
        change: &mut Change<'_>,
        mut given: Given,
        id: &str,
        before: &T,
    ) -> Result<Self, Refusal> {
        let mut object: T = given.peek(before, T::KEPT)?;
        let given_limits: Limits = given.peek(&Limits::default(), &[])?;
        let wishes: Wishes = given.peek(&Wishes::default(), &[])?;
        given.drop::<T>(T::KEPT);
        given.drop::<Wishes>(&[]);
        let ignored = given.rest()?;
        let parts = object.parts();
        parts.ignored.extend(ignored.clone());
        if let Some(tags) = wishes.tags {
            parts.metadata.insert("tags".to_owned(), tags.into());
        }
        *parts.budget_id = parts.budget_id.take().filter(|id| !id.is_empty());
        if let Some(budget) = parts.budget_id.as_deref()
            && before.links().budget != Some(budget)
        {
            budgets::must_exist(change, budget).await?;
            // Who puts an object under another budget means that budget's limits, not those it had before.
            *parts.limits = given_limits;
        }
        settle(parts.limits, before.limits(), change.now())?;
        object.policy(id)?;
        let spend = wishes.spend.map(|dollars| keys::spend(Some(dollars))).transpose()?;
        Ok(Self { object, spend, ignored: Ignored::from(&ignored) })
    }

    /// Adds the object; `Err(None)` when its id is taken.
    pub(super) async fn insert(
        self,
        change: &mut Change<'_>,
        id: &str,
    ) -> Result<Written<T>, Option<Refusal>> {
        if change.find::<T>(id).await.map_err(Refusal::from)?.is_some() {
            return Err(None);
        }
        let stored = change.insert(id, self.object).await.map_err(|error| match error {
            // Somebody else was faster.
            crate::store::StoreError::Taken => None,
            error => Some(error.into()),
        })?;
        if let Some(spend) = self.spend {
            let bounds = Bounds::of(&stored.object, stored.object.limits());
            let until = bounds.end(change).await.map_err(Refusal::from)?;
            change.set_spend(T::KIND, id, spend, until).await.map_err(Refusal::from)?;
        }
        Ok(Written { stored, ignored: self.ignored })
    }

    /// Puts the object in place of what it was.
    pub(super) async fn update(
        self,
        change: &mut Change<'_>,
        before: &Stored<T>,
    ) -> Result<Written<T>, Refusal> {
        let stored = change.update(before, self.object).await?;
        let bounds = Bounds::of(&stored.object, stored.object.limits());
        let old_bounds = Bounds::of(&before.object, before.object.limits());
        reset::retime(change, T::KIND, &stored.id, old_bounds, bounds).await?;
        if let Some(spend) = self.spend {
            let until = bounds.end(change).await?;
            change.set_spend(T::KIND, &stored.id, spend, until).await?;
        }
        Ok(Written { stored, ignored: self.ignored })
    }
}

/// An object as it was written, with the fields of the request that have no effect.
pub(super) struct Written<T> {
    pub(super) stored: Stored<T>,
    ignored: Ignored,
}

impl<T: Limited> Written<T> {
    /// The beginning of the answer: fields of the request that have no effect.
    pub(super) fn ignored(&self) -> Map<String, Value> {
        object(&self.ignored)
    }

    /// The answer: the object's fields.
    pub(super) async fn shown(self, db: &Db) -> Result<Map<String, Value>, Refusal> {
        let mut answer = self.ignored();
        answer.extend(shown(db, &[self.stored]).await?.into_iter().flatten());
        Ok(answer)
    }
}

/// Sets what was spent on an object to what a request says.
///
/// # Errors
/// It is not there: what `missing` says. Or it cannot be set so.
pub(super) async fn reset<T: Limited>(
    shared: &Shared,
    actor: &Actor,
    id: &str,
    given: Given,
    missing: impl FnOnce(&str) -> Refusal,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let wish = ResetSpend::only(given)?;
    let mut change = Change::begin_spending(shared, actor).await?;
    let stored = change.find::<T>(id).await?.ok_or_else(|| missing(id))?;
    let limits = stored.object.limits();
    let bounds = Bounds::of(&stored.object, limits);
    let Spent { spend, before } = set_spend(&mut change, T::KIND, id, bounds, &wish).await?;
    change.commit().await?;
    Ok(Json(json!({
        (T::ID): id,
        "spend": spend,
        "previous_spend": before,
        "max_budget": limits.max_budget,
        "budget_reset_at": reset_at(limits),
    })))
}

/// Checks limits. A new duration begins anew.
pub(super) fn settle(limits: &mut Limits, before: &Limits, now: Timestamp) -> Result<(), Refusal> {
    if limits.windows_differ(before) && limits.budget_reset_at == before.budget_reset_at {
        limits.budget_reset_at = None;
    }
    Ok(limits.settle(now)?)
}

/// Objects as answers show them: with what was spent, and the limits that hold for them.
pub(super) async fn shown<T: Limited>(
    db: &Db,
    objects: &[Stored<T>],
) -> Result<Vec<Map<String, Value>>, Refusal> {
    let ids: Vec<String> = objects.iter().map(|stored| stored.id.clone()).collect();
    let spend = db.spend(T::KIND, &ids).await?;
    let refer = |stored: &'_ Stored<T>| stored.object.links().budget.map(str::to_owned);
    let asked: Vec<_> = objects.iter().map(|stored| (refer(stored), stored.object.limits())).collect();
    let tables = budgets::tables_of(db, &asked).await?;
    Ok(objects
        .iter()
        .zip(tables)
        .map(|(stored, table)| {
            let mut row = row(stored, T::ID, spend.get(&stored.id).copied().unwrap_or(0));
            let table = if T::ALWAYS_BUDGETED && table.is_null() {
                budgets::table(None, &Budget::default().limits)
            } else {
                table
            };
            row.insert("litellm_budget_table".to_owned(), table);
            row
        })
        .collect())
}

/// Whether this may be the id of a new object.
pub(super) fn check_id(field: &str, id: &str) -> Result<(), Refusal> {
    if id.is_empty() || LONGEST_NAME < id.chars().count() {
        let message = format!("'{field}' must have 1 to {LONGEST_NAME} characters.");
        return Err(Refusal::field(field, message));
    }
    Ok(())
}

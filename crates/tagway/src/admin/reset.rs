//! Counting spend anew, and until when it counts: the same for whatever has some.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change::Change;
use super::given::Given;
use super::refusal::Refusal;
use super::shown::{dollars, nanos};
use crate::objects::{Budget, Customer, Key, Kind, Limits, Object, Organization, Project, Tag};
use crate::receipt::NEVER;
use crate::store::{Edit, StoreError};

/// What the spend is to be.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ResetSpend {
    /// Dollars, no more than were spent.
    #[schema(required = true, value_type = f64, minimum = 0)]
    reset_to: Option<f64>,
}

/// Dollars spent, after and before.
pub(super) struct Spent {
    pub(super) spend: f64,
    pub(super) before: f64,
}

/// Sets what was spent on an object to what the body says.
///
/// # Errors
/// The body says nothing, or more than was spent.
pub(super) async fn set_spend(
    edit: &mut Change<'_>,
    kind: Kind,
    id: &str,
    limits: Bounds<'_>,
    wish: &ResetSpend,
) -> Result<Spent, Refusal> {
    let to = wish.reset_to.ok_or_else(|| Refusal::field("reset_to", "Missing required field 'reset_to'."))?;
    let before = edit.spend_of(kind, id).await? + edit.unshipped(kind, id);
    if !to.is_finite() || to < 0.0 {
        return Err(Refusal::field("reset_to", "reset_to must be >= 0"));
    }
    if before < nanos(to) {
        let message = format!("reset_to ({to:?}) must be <= current spend ({:?})", dollars(before));
        return Err(Refusal::field("reset_to", message));
    }
    let until = limits.end(edit).await?;
    edit.set_spend(kind, id, nanos(to), until).await?;
    Ok(Spent { spend: to, before: dollars(before) })
}

/// The limits an object has: its own, and a budget that it refers to.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) limits: &'a Limits,
    pub(super) budget: Option<&'a str>,
}

impl<'a> Bounds<'a> {
    pub(super) fn of<T: Object>(object: &'a T, limits: &'a Limits) -> Self {
        Self { limits, budget: object.links().budget }
    }

    /// What holds of both.
    async fn joined(self, edit: &mut Edit) -> Result<Limits, StoreError> {
        let budget = match self.budget {
            Some(id) => edit.look_at::<Budget>(id).await?,
            None => None,
        };
        Ok(budget.map_or_else(|| self.limits.clone(), |budget| budget.object.behind(self.limits)))
    }

    /// When the window ends in which something is spent now.
    pub(super) async fn end(self, edit: &mut Edit) -> Result<i64, StoreError> {
        let limits = self.joined(edit).await?;
        Ok(end(&limits, edit))
    }
}

fn end(limits: &Limits, edit: &Edit) -> i64 {
    limits.window().map_or(NEVER, |window| window.until(edit.now().as_millisecond()))
}

/// Lets what was spent on an object count in its new windows, where they have become others.
pub(super) async fn retime(
    edit: &mut Edit,
    kind: Kind,
    id: &str,
    before: Bounds<'_>,
    after: Bounds<'_>,
) -> Result<(), StoreError> {
    let (before, after) = (before.joined(edit).await?, after.joined(edit).await?);
    if !after.windows_differ(&before) {
        return Ok(());
    }
    let until = end(&after, edit);
    edit.retime(kind, &[id.to_owned()], until).await
}

/// The same for everything that refers to a budget and has no windows of its own.
pub(super) async fn retime_under(
    edit: &mut Edit,
    budget: &str,
    before: &Limits,
    after: &Limits,
) -> Result<(), StoreError> {
    if !after.windows_differ(before) {
        return Ok(());
    }
    let until = end(after, edit);
    let has_windows = |own: &Limits| own.max_budget.is_some() || own.budget_duration.is_some();
    macro_rules! retime_all {
        ($($kind:ty),*) => {$(
            let under = edit.under_budget::<$kind>(budget).await?;
            let ids: Vec<String> = under
                .into_iter()
                .filter(|stored| !has_windows(&stored.object.limits))
                .map(|stored| stored.id)
                .collect();
            edit.retime(<$kind>::KIND, &ids, until).await?;
        )*};
    }
    retime_all!(Key, Customer, Organization, Project, Tag);
    Ok(())
}

impl ResetSpend {
    /// The whole body of a request.
    pub(super) fn only(mut given: Given) -> Result<Self, Refusal> {
        let wish = given.take()?;
        given.nothing_else()?;
        Ok(wish)
    }
}

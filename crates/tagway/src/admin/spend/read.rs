//! Reads sums for reports: bounded, whatever is asked for. Knows neither who asks nor how they are shown.

use super::super::Shared;
use super::super::refusal::Refusal;
use super::days::{self, Days};
use crate::store::{Dim, Slice, Sums, TagView};

/// An answer is made from no more sums.
pub(super) const MOST_SUMS: i64 = 100_000;

/// What requests with these in common add up to.
#[derive(Debug)]
pub(super) struct Sum {
    /// One for each dimension asked for.
    pub(super) at: Vec<Option<String>>,
    pub(super) sums: Sums,
}

impl Sum {
    /// What it is of the dimension with this number.
    pub(super) fn of(&self, dimension: usize) -> Option<&str> {
        self.at.get(dimension)?.as_deref()
    }

    /// The day, which is the first dimension.
    pub(super) fn day(&self) -> i64 {
        self.of(0).and_then(|day| day.parse().ok()).and_then(days::number).unwrap_or(0)
    }
}

/// All requests of some days.
pub(super) fn within(days: Days) -> Slice {
    on(&Slice::default(), days)
}

/// The same requests on other days.
pub(super) fn on(slice: &Slice, days: Days) -> Slice {
    Slice { from: Some(days::date(days.first)), to: Some(days::date(days.last)), ..slice.clone() }
}

/// Reads sums, day by day where the day comes first, and the costliest first.
///
/// # Errors
/// There are too many.
pub(super) async fn sums(
    shared: &Shared,
    slice: &Slice,
    by: &[Dim],
    view: TagView,
) -> Result<Vec<Sum>, Refusal> {
    few(shared, slice, by, view).await?.ok_or_else(|| {
        let message = format!(
            "More than {MOST_SUMS} sums would be needed for this. Ask for fewer days, or for less with a filter; GET /spend/export has no bound."
        );
        Refusal::field("start_date", message)
    })
}

/// The same, or nothing if there are too many.
pub(super) async fn few(
    shared: &Shared,
    slice: &Slice,
    by: &[Dim],
    view: TagView,
) -> Result<Option<Vec<Sum>>, Refusal> {
    let found = top(shared, slice, by, view, MOST_SUMS + 1).await?;
    Ok(i64::try_from(found.len()).is_ok_and(|count| count <= MOST_SUMS).then_some(found))
}

/// The costliest few.
pub(super) async fn top(
    shared: &Shared,
    slice: &Slice,
    by: &[Dim],
    view: TagView,
    most: i64,
) -> Result<Vec<Sum>, Refusal> {
    let slice = Slice { most: Some(most), ..slice.clone() };
    let rows = shared.db.activity(&slice, by, view).await?;
    Ok(rows.into_iter().map(|(at, sums)| Sum { at, sums }).collect())
}

/// What all of them add up to, each request once.
pub(super) async fn total(shared: &Shared, slice: &Slice) -> Result<Sums, Refusal> {
    let rows = shared.db.activity(slice, &[], TagView::Full).await?;
    Ok(super::figures::total(rows.iter().map(|(_, sums)| sums)))
}

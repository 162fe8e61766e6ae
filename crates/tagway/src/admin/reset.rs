//! Counting spend anew: the same for whatever has some.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::given::Given;
use super::refusal::Refusal;
use super::shown::{dollars, nanos};
use crate::objects::Kind;
use crate::store::Edit;

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
    edit: &mut Edit,
    kind: Kind,
    id: &str,
    wish: &ResetSpend,
) -> Result<Spent, Refusal> {
    let to = wish.reset_to.ok_or_else(|| Refusal::field("reset_to", "Missing required field 'reset_to'."))?;
    let before = edit.spend_of(kind, id).await?;
    if !to.is_finite() || to < 0.0 {
        return Err(Refusal::field("reset_to", "reset_to must be >= 0"));
    }
    if before < nanos(to) {
        let message = format!("reset_to ({to:?}) must be <= current spend ({:?})", dollars(before));
        return Err(Refusal::field("reset_to", message));
    }
    edit.set_spend(kind, id, nanos(to)).await?;
    Ok(Spent { spend: to, before: dollars(before) })
}

impl ResetSpend {
    /// The whole body of a request.
    pub(super) fn only(mut given: Given) -> Result<Self, Refusal> {
        let wish = given.take()?;
        given.nothing_else()?;
        Ok(wish)
    }
}

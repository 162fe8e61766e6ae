//! `/tag/{name}/reset_spend`: of any tag, be it declared, in the configuration, or only seen in requests.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, Part};
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::{Bounds, ResetSpend, Spent, set_spend};
use super::super::shown::reset_at;
use super::{check_name, meant};
use crate::objects::{Kind, Limits, Tag};
use crate::receipt::Payer;

/// Sets what was spent on a tag.
#[utoipa::path(
    post, path = "/tag/{name}/reset_spend", tag = "tags", request_body = ResetSpend,
    params(("name" = String, Path, description = "Which tag")),
    responses((status = 200, description = "Before and after", body = Object), Refusals)
)]
pub(super) async fn reset_spend(
    State(shared): State<Shared>,
    actor: Actor,
    Part(name): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    check_name("name", &name)?;
    let name = meant(&shared, &name);
    let wish = ResetSpend::only(given)?;
    let mut change = Change::begin_spending(&shared, &actor).await?;
    let stored = change.find::<Tag>(&name).await?;
    // A tag of the configuration, or under a pattern, has the windows of its account.
    let limits = match shared.accounts.find(Payer::Tag, &name) {
        Some(account) => account.limits(),
        None => stored.as_ref().map_or_else(Limits::default, |stored| stored.object.limits.clone()),
    };
    let bounds = Bounds { limits: &limits, budget: None };
    let Spent { spend, before } = set_spend(&mut change, Kind::Tag, &name, bounds, &wish).await?;
    change.commit().await?;
    Ok(Json(json!({
        "name": name,
        "spend": spend,
        "previous_spend": before,
        "max_budget": limits.max_budget,
        "budget_reset_at": reset_at(&limits),
    })))
}

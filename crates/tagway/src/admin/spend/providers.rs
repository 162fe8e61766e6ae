//! `/provider/budgets`: what the configuration lets be spent on each provider, and what is.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tagway_core::money::Nanos;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::refusal::{Refusal, Refusals};
use crate::accounts::now_millis;
use crate::receipt::Payer;

/// Shows the budgets of `router_settings.provider_budget_config`.
#[utoipa::path(
    get, path = "/provider/budgets", tag = "spend",
    responses((status = 200, description = "Budgets by provider", body = Object), Refusals)
)]
pub(super) async fn budgets(State(shared): State<Shared>, actor: Actor) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let now = now_millis();
    let configured = &actor.current.snapshot.config.router.provider_budgets;
    let providers = configured.iter().map(|(provider, budget)| {
        let account = shared.accounts.find(Payer::Provider, provider);
        let reset = account.as_ref().and_then(|account| account.begins_anew(now));
        let shown = json!({
            "budget_limit": budget.max.map(Nanos::dollars),
            "time_period": budget.duration,
            "spend": account.map_or(Nanos::ZERO, |account| account.spent(now)).dollars(),
            "budget_reset_at": reset.and_then(|at| Timestamp::from_millisecond(at).ok()).map(|at| at.to_string()),
        });
        (provider.clone(), shown)
    });
    let providers: Map<String, Value> = providers.collect();
    Ok(Json(json!({"providers": providers})))
}

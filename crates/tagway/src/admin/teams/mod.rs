//! `/team/*`: teams, their members and what their keys share.

mod change;
mod join;
mod make;
mod members;
mod permit;
mod remove;
mod show;

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tagway_core::money::Nanos;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::refusal::Refusal;
use super::shown::row;
use crate::objects::{Kind, Member, Team};
use crate::receipt::Payer;
use crate::store::Stored;

pub(super) use join::{Joining, Share, check_length, find_by_email, join};
pub(super) use permit::must_manage;
pub(super) use show::{MOST_KEYS, keys_of};

/// What answers call a team's id.
const ID: &str = "team_id";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(make::new))
        .routes(routes!(change::update))
        .routes(routes!(change::patch))
        .routes(routes!(change::block))
        .routes(routes!(change::unblock))
        .routes(routes!(change::add_models))
        .routes(routes!(change::delete_models))
        .routes(routes!(change::update_permissions))
        .routes(routes!(change::reset_spend))
        .routes(routes!(members::add))
        .routes(routes!(members::update))
        .routes(routes!(members::delete))
        .routes(routes!(remove::delete))
        .routes(routes!(show::info))
        .routes(routes!(show::list))
        .routes(routes!(show::list_pages))
        .routes(routes!(show::available))
        .routes(routes!(show::permissions))
}

fn not_found(id: &str) -> Refusal {
    Refusal::missing(ID, format!("Team not found, passed team_id={id}"))
}

/// The id in a body that must have one.
fn wanted(id: Option<String>) -> Result<String, Refusal> {
    let missing = || Refusal::field(ID, "Missing required field 'team_id'.");
    id.filter(|id| !id.is_empty()).ok_or_else(missing)
}

/// A team as answers show it.
fn shown(stored: &Stored<Team>, spend: i64) -> Map<String, Value> {
    let mut team = row(stored, ID, spend);
    let aliases = &stored.object.model_aliases;
    // Where LiteLLM's clients look for the aliases.
    let table = if aliases.is_empty() {
        Value::Null
    } else {
        json!({
            "model_aliases": aliases, "created_by": stored.created_by, "updated_by": stored.updated_by,
            "team": null,
        })
    };
    team.insert("litellm_model_table".to_owned(), table);
    team
}

/// The same, with what was spent on each read from the store.
pub(super) async fn shown_all(
    shared: &Shared,
    teams: &[Stored<Team>],
) -> Result<Vec<Map<String, Value>>, Refusal> {
    let ids: Vec<String> = teams.iter().map(|team| team.id.clone()).collect();
    let spend = shared.db.spend(Kind::Team, &ids).await?;
    Ok(teams.iter().map(|team| shown(team, spend.get(&team.id).copied().unwrap_or(0))).collect())
}

/// One of them.
async fn with_spend(shared: &Shared, team: &Stored<Team>) -> Result<Map<String, Value>, Refusal> {
    Ok(shown_all(shared, std::slice::from_ref(team)).await?.pop().unwrap_or_default())
}

/// The members who have limits of their own.
fn limited(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| {
        member.max_budget_in_team.is_some() || member.tpm_limit.is_some() || member.rpm_limit.is_some()
    })
}

/// A member as LiteLLM shows one who has limits.
fn membership(team: &str, member: &Member, spent: Nanos) -> Value {
    json!({
        "user_id": member.user_id,
        "team_id": team,
        "budget_id": null,
        "spend": spent.dollars(),
        "total_spend": spent.dollars(),
        "litellm_budget_table": {
            "max_budget": member.max_budget_in_team,
            "budget_duration": member.budget_duration,
            "tpm_limit": member.tpm_limit,
            "rpm_limit": member.rpm_limit,
        },
    })
}

/// Those of each of these teams, with what they have spent in it.
async fn memberships(shared: &Shared, teams: &[Stored<Team>]) -> Result<Vec<Vec<Value>>, Refusal> {
    let payer = |team: &str, user: &str| format!("{team}/{user}");
    let members = teams.iter().flat_map(|team| {
        let limited = limited(&team.object.members_with_roles);
        limited.filter_map(|member| Some((Payer::Member, payer(&team.id, member.user_id.as_deref()?))))
    });
    let mut spend: HashMap<String, Nanos> = HashMap::new();
    for counted in shared.db.counted(&members.collect::<Vec<_>>()).await? {
        *spend.entry(counted.id).or_default() += counted.amount;
    }
    let of = |team: &Stored<Team>| {
        let shown = limited(&team.object.members_with_roles).map(|member| {
            let spent = member.user_id.as_deref().and_then(|user| spend.get(&payer(&team.id, user)));
            membership(&team.id, member, spent.copied().unwrap_or_default())
        });
        shown.collect()
    };
    Ok(teams.iter().map(of).collect())
}

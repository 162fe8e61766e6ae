//! `/organization/*`: what teams and keys belong to, and whose tags, models and limits they inherit.

mod change;
mod members;
mod permit;
mod remove;
mod show;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::budgets;
use super::limited;
use super::refusal::Refusal;
use super::shown::row;
use crate::objects::{Kind, Limits, Organization, OrganizationMember, Team, User};
use crate::store::{Db, Filter, Page, Stored};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(change::new))
        .routes(routes!(change::update))
        .routes(routes!(change::reset_spend))
        .routes(routes!(show::info, show::several))
        .routes(routes!(show::list))
        .routes(routes!(remove::delete))
        .routes(routes!(members::add))
        .routes(routes!(members::update))
        .routes(routes!(members::remove))
}

fn not_found() -> Refusal {
    Refusal::missing("organization_id", "Organization not found").typed("not_found")
}

/// Organizations as answers show them: with their members and teams.
async fn shown(db: &Db, organizations: &[Stored<Organization>]) -> Result<Vec<Map<String, Value>>, Refusal> {
    let mut rows = limited::shown(db, organizations).await?;
    for (row, stored) in rows.iter_mut().zip(organizations) {
        let members = stored.object.members.iter().map(|member| membership(&stored.id, member));
        row.insert("members".to_owned(), members.collect());
        row.insert("teams".to_owned(), teams(db, &stored.id).await?);
    }
    Ok(rows)
}

/// The teams of an organization.
async fn teams(db: &Db, organization: &str) -> Result<Value, Refusal> {
    let filter = Filter { organization: Some(organization), ..Filter::default() };
    let page = Page { limit: i64::MAX, ..Page::default() };
    let teams: Vec<Stored<Team>> = db.list(&filter, &page).await?;
    let ids: Vec<String> = teams.iter().map(|team| team.id.clone()).collect();
    let spend = db.spend(Kind::Team, &ids).await?;
    let spent = |team: &Stored<Team>| spend.get(&team.id).copied().unwrap_or(0);
    Ok(teams.iter().map(|team| Value::Object(row(team, "team_id", spent(team)))).collect())
}

/// A member as answers show it.
fn membership(organization: &str, member: &OrganizationMember) -> Value {
    let table = member
        .max_budget_in_organization
        .map(|most| budgets::table(None, &Limits { max_budget: Some(most), ..Limits::default() }));
    json!({
        "user_id": member.user_id, "organization_id": organization, "user_role": member.role.as_str(),
        "spend": 0.0, "budget_id": null, "user": null, "user_email": member.user_email,
        "created_at": member.created_at, "updated_at": member.updated_at,
        "litellm_budget_table": table,
    })
}

/// Somebody who joins an organization.
fn member(user: &Stored<User>, now: Timestamp) -> OrganizationMember {
    OrganizationMember {
        user_id: user.id.clone(),
        user_email: user.object.user_email.clone(),
        created_at: now,
        updated_at: now,
        ..OrganizationMember::default()
    }
}

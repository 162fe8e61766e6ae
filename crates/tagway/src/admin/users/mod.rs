//! `/user/*`: the people and services that keys belong to.

mod change;
mod list;
mod make;
mod permit;
mod remove;
mod show;

use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::refusal::Refusal;
use super::shown::row;
use crate::objects::{Kind, User};
use crate::store::Stored;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(make::new))
        .routes(routes!(change::update))
        .routes(routes!(change::reset_spend))
        .routes(routes!(remove::delete))
        .routes(routes!(show::info))
        .routes(routes!(show::info_alone))
        .routes(routes!(list::list))
}

fn not_found(id: &str) -> Refusal {
    Refusal::missing("user_id", format!("User not found, passed user_id={id}"))
}

/// Users as answers show them, with the teams they are member of.
pub(super) async fn shown_all(
    shared: &Shared,
    users: &[Stored<User>],
) -> Result<Vec<Map<String, Value>>, Refusal> {
    let ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
    let spend = shared.db.spend(Kind::User, &ids).await?;
    let mut teams = shared.db.memberships_of(Kind::Team, &ids).await?;
    let mut shown = |user: &Stored<User>| {
        let mut row = row(user, "user_id", spend.get(&user.id).copied().unwrap_or(0));
        row.insert("teams".to_owned(), teams.remove(&user.id).unwrap_or_default().into());
        row
    };
    Ok(users.iter().map(&mut shown).collect())
}

/// One of them.
async fn shown(shared: &Shared, user: &Stored<User>) -> Result<Map<String, Value>, Refusal> {
    Ok(shown_all(shared, std::slice::from_ref(user)).await?.pop().unwrap_or_default())
}

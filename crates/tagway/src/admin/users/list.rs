//! `GET /user/list`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::paging::{pages, paging};
use super::super::refusal::{Refusal, Refusals};
use super::shown_all;
use crate::objects::{Kind, Role, User};
use crate::store::{Filter, KeysOf, Order, Page, Stored};

/// As many ids may be asked for at once.
const MOST_IDS: usize = 500;

/// Which users, and which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Pages count from 1.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    page: i64,
    #[param(minimum = 1, maximum = 100)]
    page_size: i64,
    /// Begin after the user with this id, in place of `page`: as fast on the last page as on the first.
    cursor: Option<String>,
    role: Option<Role>,
    /// Ids, with commas between them.
    user_ids: Option<String>,
    /// A part of the e-mail address.
    user_email: Option<String>,
    /// The id, or a part of the e-mail address.
    search: Option<String>,
    /// Members of this team.
    team: Option<String>,
    /// Ids of organizations, with commas between them.
    organization_ids: Option<String>,
    /// `user_id`, `user_email`, `created_at`, `spend`, `user_alias` or `user_role`.
    #[param(pattern = "^(user_id|user_email|created_at|spend|user_alias|user_role)$")]
    sort_by: Option<String>,
    /// `asc` or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    sort_order: String,
}

impl Default for Which {
    fn default() -> Self {
        Self {
            page: 1,
            page_size: 25,
            cursor: None,
            role: None,
            user_ids: None,
            user_email: None,
            search: None,
            team: None,
            organization_ids: None,
            sort_by: None,
            sort_order: "asc".to_owned(),
        }
    }
}

/// Lists users: all of them for admins, those of its organizations for the admin of an organization.
#[utoipa::path(
    get, path = "/user/list", tag = "users", params(Which),
    responses((status = 200, description = "A page of users", body = Object), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    let (page, size) = paging(which.page, which.page_size, 100)?;
    let own = actor.organizations();
    if !actor.sees_all() && own.is_empty() {
        return Err(Refusal::forbidden("Only proxy admins and organization admins can list users."));
    }
    let ids = split("user_ids", which.user_ids.as_deref())?;
    let mut organizations = split("organization_ids", which.organization_ids.as_deref())?;
    if !actor.sees_all() {
        organizations = Some(match organizations {
            None => own.to_vec(),
            Some(asked) => asked.into_iter().filter(|id| actor.is_org_admin(id)).collect(),
        });
    }
    let order = order(which.sort_by.as_deref())?;
    let descending = match which.sort_order.to_ascii_lowercase().as_str() {
        "asc" => which.sort_by.is_none(),
        "desc" => true,
        _ => return Err(Refusal::field("sort_order", "Invalid sort order. Must be 'asc' or 'desc'")),
    };
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (email, search, team) = (given(&which.user_email), given(&which.search), given(&which.team));
    let filter = Filter {
        ids: ids.as_deref(),
        name_part: email.as_deref(),
        search: search.as_deref(),
        team: team.as_deref(),
        organizations: organizations.as_deref(),
        role: which.role.map(Role::as_str),
        ..Filter::default()
    };
    let after = which.cursor.as_deref();
    let offset = if after.is_some() { 0 } else { (page - 1).saturating_mul(size) };
    let order = if after.is_some() { Order::Created } else { order };
    let part = Page { order, descending, limit: size, offset, after };
    let users: Vec<Stored<User>> = shared.db.list(&filter, &part).await?;
    let total = shared.db.count(Kind::User, &filter).await?;
    let full = i64::try_from(users.len()).is_ok_and(|count| count == size);
    let next = users.last().filter(|_| full).map(|user| user.id.clone());
    let ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
    let keys = shared.db.count_keys(KeysOf::Users, &ids).await?;
    let mut rows = shown_all(&shared, &users).await?;
    for (row, user) in rows.iter_mut().zip(&users) {
        row.insert("key_count".to_owned(), keys.get(&user.id).copied().unwrap_or(0).into());
    }
    Ok(Json(json!({
        "users": rows,
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": pages(total, size),
        "next_cursor": next,
    })))
}

/// The parts of a list with commas.
fn split(field: &str, text: Option<&str>) -> Result<Option<Vec<String>>, Refusal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let parts: Vec<String> =
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if MOST_IDS < parts.len() {
        return Err(Refusal::field(field, format!("{field} must hold no more than {MOST_IDS} ids.")));
    }
    Ok(Some(parts))
}

fn order(name: Option<&str>) -> Result<Order, Refusal> {
    Ok(match name {
        None | Some("created_at") => Order::Created,
        Some("user_id") => Order::Id,
        Some("user_email") => Order::Name,
        Some("spend") => Order::Spend,
        Some("user_alias") => Order::Text("user_alias"),
        Some("user_role") => Order::Text("user_role"),
        Some(_) => {
            let message = "Invalid sort column. Must be one of: user_id, user_email, created_at, spend, user_alias, user_role";
            return Err(Refusal::field("sort_by", message));
        }
    })
}

//! `/organization/member_add`, `member_update` and `member_delete`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::limited::check_id;
use super::super::refusal::{Refusal, Refusals};
use super::super::shown::only_who;
use super::super::users;
use super::{member, membership, permit};
use crate::objects::{Organization, OrganizationMember, OrganizationRole, Role, User};
use crate::store::{Filter, Stored};

/// Somebody, by id or by email.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
struct NewOrganizationMember {
    role: OrganizationRole,
    #[schema(max_length = 255)]
    user_id: Option<String>,
    #[schema(max_length = 255)]
    user_email: Option<String>,
}

/// One, or several.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
enum NewOrganizationMembers {
    Several(Vec<NewOrganizationMember>),
    One(NewOrganizationMember),
}

/// Who is to join which organization.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct AddOrganizationMembers {
    #[schema(required = true, value_type = String)]
    organization_id: Option<String>,
    #[schema(required = true, value_type = NewOrganizationMembers)]
    member: Value,
    /// Dollars each of them may spend in the organization.
    #[schema(minimum = 0)]
    max_budget_in_organization: Option<f64>,
}

/// Adds members to an organization. Users who are not known are made.
#[utoipa::path(
    post, path = "/organization/member_add", tag = "organizations", request_body = AddOrganizationMembers,
    responses((status = 200, description = "The users and their memberships", body = Object), Refusals)
)]
pub(super) async fn add(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    let AddOrganizationMembers { organization_id, member: asked, max_budget_in_organization } =
        given.take()?;
    given.nothing_else()?;
    permit::administer(&shared, &actor, organization_id.as_deref()).await?;
    permit::money(&actor, max_budget_in_organization.is_some())?;
    check_budget(max_budget_in_organization)?;
    let id = organization_id.ok_or_else(no_organization)?;
    let asked: Vec<NewOrganizationMember> = match asked {
        Value::Null => return Err(Refusal::field("member", "Missing required field 'member'.")),
        Value::Array(several) => several.into_iter().map(new_member).collect::<Result<_, _>>()?,
        one => vec![new_member(one)?],
    };
    let mut change = Change::begin(&shared, &actor).await?;
    let before = change.find::<Organization>(&id).await?.ok_or_else(|| unknown(&id))?;
    let mut organization = before.object.clone();
    let (mut users, mut memberships, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for new in asked {
        let user = find_or_make(&mut change, &new).await?;
        if organization.members.iter().any(|member| member.user_id == user.id) {
            known.push(user.id);
            continue;
        }
        let joined =
            OrganizationMember { role: new.role, max_budget_in_organization, ..member(&user, change.now()) };
        memberships.push(membership(&id, &joined));
        users.push(user);
        organization.members.push(joined);
    }
    if users.is_empty() {
        let message = format!("Already members of organization {id}: {}", known.join(", "));
        return Err(Refusal::field("member", message).typed("bad_request"));
    }
    change.update(&before, organization).await?;
    change.commit().await?;
    let mut users = users::shown_all(&shared, &users).await?;
    if !actor.sees_all() {
        users.iter_mut().for_each(only_who);
    }
    Ok(Json(json!({
        "organization_id": id, "updated_users": users, "updated_organization_memberships": memberships,
    })))
}

fn new_member(value: Value) -> Result<NewOrganizationMember, Refusal> {
    serde_json::from_value(value)
        .map_err(|error| Refusal::field("member", format!("Invalid value for 'member': {error}.")))
}

/// Who is to be changed, or to leave.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct WhichOrganizationMember {
    #[schema(required = true, value_type = String)]
    organization_id: Option<String>,
    user_id: Option<String>,
    user_email: Option<String>,
}

/// What a member is to be.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct Fields {
    role: Option<OrganizationRole>,
    /// Dollars the member may spend in the organization; `null` for any.
    #[schema(minimum = 0)]
    max_budget_in_organization: Option<f64>,
}

/// The body of a request for a change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct UpdateOrganizationMember {
    #[schema(inline)]
    #[serde(flatten)]
    which: WhichOrganizationMember,
    #[schema(inline)]
    #[serde(flatten)]
    fields: Fields,
}

/// Changes a member's role or budget.
#[utoipa::path(
    patch, path = "/organization/member_update", tag = "organizations", request_body = UpdateOrganizationMember,
    responses((status = 200, description = "The membership", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    let which: WhichOrganizationMember = given.take()?;
    let gives_budget = given.gives("max_budget_in_organization");
    let Fields { role, max_budget_in_organization } = given.take()?;
    given.nothing_else()?;
    permit::administer(&shared, &actor, which.organization_id.as_deref()).await?;
    permit::money(&actor, gives_budget)?;
    check_budget(max_budget_in_organization)?;
    let mut change = Change::begin(&shared, &actor).await?;
    let now = change.now();
    let (before, at) = find(&mut change, &which).await?;
    let mut organization = before.object.clone();
    let Some(member) = organization.members.get_mut(at) else { return Err(no_member(&which)) };
    member.role = role.unwrap_or(member.role);
    if gives_budget {
        member.max_budget_in_organization = max_budget_in_organization;
    }
    member.updated_at = now;
    let answer = membership(&before.id, member);
    change.update(&before, organization).await?;
    change.commit().await?;
    Ok(Json(answer))
}

/// Takes a member out of an organization. The user stays.
#[utoipa::path(
    delete, path = "/organization/member_delete", tag = "organizations", request_body = WhichOrganizationMember,
    responses((status = 200, description = "The membership that ended", body = Object), Refusals)
)]
pub(super) async fn remove(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    let which: WhichOrganizationMember = given.take()?;
    given.nothing_else()?;
    permit::administer(&shared, &actor, which.organization_id.as_deref()).await?;
    let mut change = Change::begin(&shared, &actor).await?;
    let (before, at) = find(&mut change, &which).await?;
    let mut organization = before.object.clone();
    let gone = organization.members.remove(at);
    change.update(&before, organization).await?;
    change.commit().await?;
    Ok(Json(membership(&before.id, &gone)))
}

/// The organization, and the place of the member among its members.
async fn find(
    change: &mut Change<'_>,
    which: &WhichOrganizationMember,
) -> Result<(Stored<Organization>, usize), Refusal> {
    let id = which.organization_id.as_deref().ok_or_else(no_organization)?;
    let stored = change.find::<Organization>(id).await?.ok_or_else(|| unknown(id))?;
    let is_meant = |member: &OrganizationMember| match (&which.user_id, &which.user_email) {
        (Some(id), _) => member.user_id == *id,
        (None, Some(email)) => {
            member.user_email.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(email))
        }
        (None, None) => false,
    };
    if which.user_id.is_none() && which.user_email.is_none() {
        return Err(nobody());
    }
    let at = stored.object.members.iter().position(is_meant).ok_or_else(|| no_member(which))?;
    Ok((stored, at))
}

/// The user who is to join; made when there is none.
async fn find_or_make(change: &mut Change<'_>, new: &NewOrganizationMember) -> Result<Stored<User>, Refusal> {
    let email = new.user_email.as_deref().filter(|email| !email.is_empty());
    let id = new.user_id.as_deref().filter(|id| !id.is_empty());
    if let Some(id) = id {
        check_id("user_id", id)?;
        if let Some(user) = change.find::<User>(id).await? {
            return Ok(user);
        }
    }
    if let Some(email) = email {
        check_id("user_email", email)?;
        let filter = Filter { name_part: Some(email), ..Filter::default() };
        let mut alike = change.filtered::<User>(&filter).await?;
        alike.retain(|user| {
            user.object.user_email.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(email))
        });
        match (alike.len(), id) {
            (0, _) => {}
            (1, None) => return alike.pop().ok_or_else(nobody),
            (_, Some(id)) => {
                let message = format!("The email {email} belongs to another user than {id}.");
                return Err(Refusal::field("user_email", message));
            }
            (_, None) => {
                let message = format!("Several users have the email {email}. Please use 'user_id' instead.");
                return Err(Refusal::field("user_email", message));
            }
        }
    } else if id.is_none() {
        return Err(nobody());
    }
    let id = id.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let user =
        User { user_email: email.map(str::to_owned), user_role: Some(Role::InternalUser), ..User::default() };
    Ok(change.insert(&id, user).await?)
}

fn check_budget(most: Option<f64>) -> Result<(), Refusal> {
    match most {
        Some(most) if !most.is_finite() || most < 0.0 => {
            let field = "max_budget_in_organization";
            let message = format!("{field} must be a non-negative finite number. Received: {most:?}");
            Err(Refusal::field(field, message))
        }
        _ => Ok(()),
    }
}

fn no_organization() -> Refusal {
    Refusal::field("organization_id", "Missing required field 'organization_id'.")
}

fn unknown(id: &str) -> Refusal {
    let message = format!("Organization not found for organization_id={id}");
    Refusal::missing("organization_id", message).typed("not_found")
}

fn nobody() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "Either user id or user email must be provided").param("user_id")
}

fn no_member(which: &WhichOrganizationMember) -> Refusal {
    let (name, value) = match (&which.user_id, &which.user_email) {
        (None, Some(email)) => ("user_email", email.as_str()),
        (id, _) => ("user_id", id.as_deref().unwrap_or_default()),
    };
    Refusal::missing(name, format!("Member not found in organization for {name}={value}")).typed("not_found")
}

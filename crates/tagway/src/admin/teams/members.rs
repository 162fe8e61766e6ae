//! `/team/member_*`: who belongs to a team, as what, and with how much of its budget.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tagway_core::money::Nanos;
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::super::shown::only_who;
use super::super::users;
use super::join::{Joined, Joining, Share, check_role, check_share, find_by_email, join, same_email};
use super::{limited, membership, permit, wanted, with_spend};
use crate::objects::{Key, Member, Team};
use crate::store::{Edit, Filter, Stored};

/// New members.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = NewTeamMembers)]
struct NewMembers {
    #[schema(required = true, value_type = String)]
    team_id: Option<String>,
    /// One, or a list of them.
    #[schema(required = true, value_type = OneOrMany)]
    member: Value,
    #[schema(ignore)]
    allowed_models: Vec<String>,
}

/// One or several.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
enum OneOrMany {
    One(Joining),
    Many(Vec<Joining>),
}

/// The body of a request for new members.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
#[schema(as = AddTeamMembers)]
struct AddMembers {
    #[schema(inline)]
    #[serde(flatten)]
    members: NewMembers,
    #[schema(inline)]
    #[serde(flatten)]
    share: Share,
}

/// Makes users members of a team. One who is not known yet is made a user.
#[utoipa::path(
    post, path = "/team/member_add", tag = "teams", request_body = AddMembers,
    responses((status = 200, description = "The team, and who is new in it", body = Object), Refusals)
)]
pub(super) async fn add(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_change()?;
    let NewMembers { team_id, member, allowed_models } = given.take()?;
    let share: Share = given.take()?;
    given.nothing_else()?;
    refuse_models(&allowed_models)?;
    let id = wanted(team_id)?;
    let single = member.is_object();
    let listed = if single { json!([member]) } else { member };
    let joining: Vec<Joining> = serde_json::from_value(listed)
        .map_err(|error| Refusal::field("member", format!("Invalid value for 'member': {error}.")))?;
    if joining.is_empty() {
        return Err(Refusal::field("member", "Missing required field 'member'."));
    }
    let mut change = Change::begin(&shared, &actor).await?;
    let found = change.find(&id).await?;
    let before = permit::must_manage(&actor, &id, found, || {
        let message = format!("Team doesn't exist in db. Team={id}. Create team via `/team/new` call.");
        Refusal::missing("team_id", message)
    })?;
    let mut team = before.object.clone();
    let old = team.members_with_roles.len();
    let mut updated = Vec::new();
    for one in &joining {
        match join(&mut change, &actor, &mut team, one, &share).await? {
            Joined::New(user) => updated.extend(user),
            Joined::Already if single => {
                let name = |text: &Option<String>| text.clone().unwrap_or("None".to_owned());
                let message = format!(
                    "User already in team. Member: user_id={}, user_email={}",
                    name(&one.user_id),
                    name(&one.user_email)
                );
                return Err(already(message));
            }
            Joined::Already => {}
        }
    }
    let new = team.members_with_roles.split_off(old);
    if new.is_empty() {
        return Err(already("All users are already in team.".to_owned()));
    }
    let memberships: Vec<Value> = limited(&new).map(|member| membership(&id, member, Nanos::ZERO)).collect();
    team.members_with_roles.extend(new);
    let stored = change.update(&before, team).await?;
    change.commit().await?;
    let mut answer = with_spend(&shared, &stored).await?;
    let updated = updated.iter().map(|user| *user.clone()).collect::<Vec<_>>();
    let mut updated = users::shown_all(&shared, &updated).await?;
    if !actor.sees_all() {
        updated.iter_mut().for_each(only_who);
    }
    answer.insert("updated_users".to_owned(), updated.into());
    answer.insert("updated_team_memberships".to_owned(), memberships.into());
    Ok(Json(answer.into()))
}

fn already(message: String) -> Refusal {
    Refusal::field("member", message).typed("team_member_already_in_team")
}

/// Which models a member may use is not kept: a limit that does not hold must not be accepted.
fn refuse_models(models: &[String]) -> Result<(), Refusal> {
    if models.is_empty() {
        return Ok(());
    }
    let message = "'allowed_models' of a member is not supported by tagway, and ignoring it would change what is allowed or enforced. Remove it from the request.";
    Err(Refusal::field("allowed_models", message))
}

/// Which member of which team.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = TeamMemberById)]
struct Which {
    #[schema(required = true, value_type = String)]
    team_id: Option<String>,
    /// Either this or `user_email`.
    user_id: Option<String>,
    user_email: Option<String>,
}

/// A change of a member.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct Changed {
    /// `admin` or `user`.
    role: Option<String>,
    #[schema(ignore)]
    allowed_models: Vec<String>,
}

/// The body of a request for a member's change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
#[schema(as = UpdateTeamMember)]
struct UpdateMember {
    #[schema(inline)]
    #[serde(flatten)]
    which: Which,
    #[schema(inline)]
    #[serde(flatten)]
    changed: Changed,
    #[schema(inline)]
    #[serde(flatten)]
    share: Share,
}

/// Changes a member's role, or how much of the team's budget it may spend.
#[utoipa::path(
    post, path = "/team/member_update", tag = "teams", request_body = UpdateMember,
    responses((status = 200, description = "The member", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_change()?;
    let which: Which = given.take()?;
    let Changed { role, allowed_models } = given.take()?;
    refuse_models(&allowed_models)?;
    let id = wanted(which.team_id.clone())?;
    let mut change = Change::begin(&shared, &actor).await?;
    let found = change.find(&id).await?;
    let before = permit::must_manage(&actor, &id, found, || unknown_team(&id))?;
    let mut team = before.object.clone();
    let Some(at) = position(&mut change, &team, &which).await? else {
        let name = which.user_id.or(which.user_email).unwrap_or_default();
        return Err(Refusal::missing("user_id", format!("User {name} is not a member of team {id}")));
    };
    let old = team.members_with_roles[at].clone();
    let share: Share = given.overlay(&share_of(&old), &[])?;
    given.nothing_else()?;
    let Share { max_budget_in_team, tpm_limit, rpm_limit, budget_duration } = share;
    let role = role.unwrap_or(old.role.clone());
    check_role(&role)?;
    let new = Member { role, max_budget_in_team, tpm_limit, rpm_limit, budget_duration, ..old.clone() };
    check_share(&new, &change)?;
    permit::member_money(&actor, &team, &old, &new)?;
    team.members_with_roles[at] = new.clone();
    change.update(&before, team).await?;
    change.commit().await?;
    Ok(Json(json!({
        "team_id": id,
        "user_id": new.user_id,
        "user_email": new.user_email,
        "role": new.role,
        "max_budget_in_team": new.max_budget_in_team,
        "tpm_limit": new.tpm_limit,
        "rpm_limit": new.rpm_limit,
        "budget_duration": new.budget_duration,
    })))
}

fn share_of(member: &Member) -> Share {
    Share {
        max_budget_in_team: member.max_budget_in_team,
        tpm_limit: member.tpm_limit,
        rpm_limit: member.rpm_limit,
        budget_duration: member.budget_duration.clone(),
    }
}

/// Takes a member out of a team, and deletes the keys it had there.
#[utoipa::path(
    post, path = "/team/member_delete", tag = "teams", request_body = Which,
    responses((status = 200, description = "The team", body = Object), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_change()?;
    let which: Which = given.take()?;
    given.nothing_else()?;
    let id = wanted(which.team_id.clone())?;
    let mut change = Change::begin(&shared, &actor).await?;
    let found = change.find(&id).await?;
    let before = permit::must_manage(&actor, &id, found, || unknown_team(&id))?;
    let mut team = before.object.clone();
    let Some(at) = position(&mut change, &team, &which).await? else {
        return Err(Refusal::field("user_id", "User not found in team"));
    };
    let gone = team.members_with_roles.remove(at);
    if let Some(user) = &gone.user_id {
        let filter = Filter { team: Some(&id), user: Some(user), ..Filter::default() };
        let keys: Vec<Stored<Key>> = change.filtered(&filter).await?;
        for key in &keys {
            change.delete(key).await?;
        }
    }
    let stored = change.update(&before, team).await?;
    change.commit().await?;
    Ok(Json(with_spend(&shared, &stored).await?.into()))
}

fn unknown_team(id: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, format!("Team id={id} does not exist in db")).param("team_id")
}

/// Where in the list of members the one who is meant stands.
async fn position(edit: &mut Edit, team: &Team, which: &Which) -> Result<Option<usize>, Refusal> {
    let members = &team.members_with_roles;
    let by_id = |id: &str| members.iter().position(|member| member.user_id.as_deref() == Some(id));
    if let Some(id) = which.user_id.as_deref().filter(|id| !id.is_empty()) {
        return Ok(by_id(id));
    }
    let Some(email) = which.user_email.as_deref().filter(|email| !email.is_empty()) else {
        return Err(Refusal::field("user_id", "Either user id or user email must be provided"));
    };
    let noted = |member: &Member| member.user_email.as_deref().is_some_and(|own| same_email(own, email));
    if let Some(at) = members.iter().position(noted) {
        return Ok(Some(at));
    }
    Ok(find_by_email(edit, email).await?.iter().find_map(|user| by_id(&user.id)))
}

//! How somebody becomes a member of a team: by id or by e-mail address, made a user when nobody is known so far.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::actor::{Actor, MASTER_USER};
use super::super::given::LONGEST_NAME;
use super::super::refusal::Refusal;
use crate::objects::{Member, Role, Team, User, after};
use crate::store::{Edit, Filter, Stored};

/// Who is to be a member, and as what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::admin) struct Joining {
    pub(in crate::admin) user_id: Option<String>,
    pub(in crate::admin) user_email: Option<String>,
    /// `admin` or `user`.
    #[schema(required = true)]
    pub(in crate::admin) role: String,
}

/// Dollars and rates that one member of a team may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(in crate::admin) struct Share {
    /// Dollars this member may spend in the team.
    #[schema(minimum = 0)]
    pub(in crate::admin) max_budget_in_team: Option<f64>,
    pub(in crate::admin) tpm_limit: Option<u64>,
    pub(in crate::admin) rpm_limit: Option<u64>,
    /// How long the budget holds before it begins anew: `24h`, `7d`, `30d`.
    pub(in crate::admin) budget_duration: Option<String>,
}

/// What became of it.
pub(in crate::admin) enum Joined {
    /// A member now; the user, unless it is the master key's.
    New(Option<Box<Stored<User>>>),
    /// A member already.
    Already,
}

/// Makes somebody a member of `team`, which is still to be written.
///
/// # Errors
/// It cannot be told who is meant, or the actor may not make users.
pub(in crate::admin) async fn join(
    edit: &mut Edit,
    actor: &Actor,
    team: &mut Team,
    joining: &Joining,
    share: &Share,
) -> Result<Joined, Refusal> {
    check_role(&joining.role)?;
    let user = if joining.user_id.as_deref() == Some(MASTER_USER) {
        None
    } else {
        Some(Box::new(meant(edit, actor, joining).await?))
    };
    let id = user.as_ref().map_or(MASTER_USER, |user| &user.id);
    if team.members_with_roles.iter().any(|member| member.user_id.as_deref() == Some(id)) {
        return Ok(Joined::Already);
    }
    let member = Member {
        user_id: Some(id.to_owned()),
        user_email: joining.user_email.clone(),
        role: joining.role.clone(),
        max_budget_in_team: share.max_budget_in_team,
        tpm_limit: share.tpm_limit,
        rpm_limit: share.rpm_limit,
        budget_duration: share.budget_duration.clone(),
    };
    check_share(&member, edit)?;
    team.members_with_roles.push(member);
    Ok(Joined::New(user))
}

/// The user who is meant.
async fn meant(edit: &mut Edit, actor: &Actor, joining: &Joining) -> Result<Stored<User>, Refusal> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let email = given(&joining.user_email);
    for (field, text) in [("user_id", &joining.user_id), ("user_email", &email)] {
        check_length(field, text.as_deref())?;
    }
    let Some(id) = given(&joining.user_id) else {
        let Some(email) = email else {
            return Err(Refusal::field("member", "Either user id or user email must be provided"));
        };
        let mut found = find_by_email(edit, &email).await?;
        return match (found.pop(), found.is_empty()) {
            (Some(user), true) => Ok(user),
            (Some(_), false) => {
                let message = format!("Several users have the email {email}: name one by its user_id.");
                Err(Refusal::field("user_email", message))
            }
            (None, _) => insert(edit, &Uuid::new_v4().to_string(), Some(email)).await,
        };
    };
    let known: Option<Stored<User>> = edit.find(&id).await?;
    let another = |email: &str| {
        let message = format!("The user {id} has another email than {email}.");
        Refusal::field("user_email", message)
    };
    match (known, email) {
        (Some(user), None) => Ok(user),
        (Some(user), Some(email)) => match &user.object.user_email {
            Some(own) if !same_email(own, &email) => Err(another(&email)),
            _ => Ok(user),
        },
        (None, _) if !actor.is_admin() => Err(Refusal::forbidden(format!(
            "Only proxy admins can add a user_id that does not exist yet: {id}. Add the member by user_email to invite a new user, or ask a proxy admin to create the user first."
        ))),
        (None, Some(email)) if !find_by_email(edit, &email).await?.is_empty() => Err(another(&email)),
        (None, email) => insert(edit, &id, email).await,
    }
}

async fn insert(edit: &mut Edit, id: &str, user_email: Option<String>) -> Result<Stored<User>, Refusal> {
    let user = User { user_email, user_role: Some(Role::InternalUser), ..User::default() };
    Ok(edit.insert(id, user).await?)
}

/// The users with this e-mail address, whatever its case.
pub(in crate::admin) async fn find_by_email(
    edit: &mut Edit,
    email: &str,
) -> Result<Vec<Stored<User>>, Refusal> {
    let filter = Filter { name_part: Some(email), ..Filter::default() };
    let mut found: Vec<Stored<User>> = edit.filtered(&filter).await?;
    found.retain(|user| user.object.user_email.as_deref().is_some_and(|own| same_email(own, email)));
    Ok(found)
}

pub(super) fn same_email(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Ids and addresses are searched by, and so must be short.
pub(in crate::admin) fn check_length(field: &str, text: Option<&str>) -> Result<(), Refusal> {
    match text {
        Some(text) if LONGEST_NAME < text.chars().count() => {
            let message = format!("'{field}' must be no longer than {LONGEST_NAME} characters.");
            Err(Refusal::field(field, message))
        }
        _ => Ok(()),
    }
}

/// A member is an admin of the team, or a user of it.
pub(super) fn check_role(role: &str) -> Result<(), Refusal> {
    if matches!(role, "admin" | "user") {
        return Ok(());
    }
    Err(Refusal::field("role", format!("Invalid role '{role}' of a member. Must be 'admin' or 'user'.")))
}

/// Whether a member's limits make sense.
pub(super) fn check_share(member: &Member, edit: &Edit) -> Result<(), Refusal> {
    if let Some(budget) = member.max_budget_in_team.filter(|budget| !budget.is_finite() || *budget < 0.0) {
        let message =
            format!("max_budget_in_team must be a non-negative finite number. Received: {budget:?}");
        return Err(Refusal::field("max_budget_in_team", message));
    }
    match &member.budget_duration {
        Some(text) if after(text, edit.now()).is_none() => Err(Refusal::field(
            "budget_duration",
            format!("Invalid budget_duration '{text}'. Use a format like '1h', '24h', '7d', or '30d'."),
        )),
        _ => Ok(()),
    }
}

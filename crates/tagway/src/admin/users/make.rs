//! `POST /user/new`: makes a user, and a key for it unless it is told not to.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::Shared;
use super::super::actor::{Actor, MASTER_USER};
use super::super::change::Change;
use super::super::given::{Given, object};
use super::super::keys;
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::Bounds;
use super::super::shown::Ignored;
use super::super::teams::{self, Joining, Share};
use super::{permit, shown};
use crate::objects::{Key, Kind, Organization, OrganizationMember, OrganizationRole, Owner as _, Team, User};
use crate::store::{Edit, StoreError, Stored};

/// Fields of a user that only the gateway sets.
pub(super) const KEPT: &[&str] = &["ignored", "budget_reset_at"];

/// What a request for a user may say beside the user's own fields.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct Wishes {
    /// Its id; a random one when absent.
    user_id: Option<String>,
    /// Tags that its requests inherit; they land in `metadata.tags`.
    tags: Option<Vec<String>>,
    /// Dollars spent so far.
    #[schema(minimum = 0)]
    spend: Option<f64>,
    /// Teams it becomes a member of.
    teams: Vec<InTeam>,
    /// One more team, which the key belongs to.
    team_id: Option<String>,
    /// Organizations it becomes a member of.
    organizations: Vec<String>,
    /// Whether it gets a key at once.
    auto_create_key: bool,
    /// How long the key is valid: `30s`, `30m`, `30h`, `30d`, `1mo`; for ever when absent.
    duration: Option<String>,
    /// The key's alias.
    key_alias: Option<String>,
    /// The key's other names for models.
    aliases: BTreeMap<String, String>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            user_id: None,
            tags: None,
            spend: None,
            teams: Vec::new(),
            team_id: None,
            organizations: Vec::new(),
            auto_create_key: true,
            duration: None,
            key_alias: None,
            aliases: BTreeMap::new(),
        }
    }
}

/// A team by its id, or with what its new member is to be in it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum InTeam {
    Id(String),
    As(AsMember),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct AsMember {
    #[schema(required = true)]
    team_id: String,
    /// `admin` or `user`.
    user_role: Option<String>,
    /// Dollars it may spend in the team.
    max_budget_in_team: Option<f64>,
}

/// The body of a request for a user.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct NewUser {
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: User,
}

/// Makes a user. The answer holds its first key; it is shown this once.
#[utoipa::path(
    post, path = "/user/new", tag = "users", request_body = NewUser,
    responses((status = 200, description = "The user, and its key", body = Object), Refusals)
)]
pub(super) async fn new(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let mut user: User = given.peek(&User::default(), KEPT)?;
    let mut wishes: Wishes = given.peek(&Wishes::default(), &[])?;
    permit::make(&actor, &given, &user)?;
    if let Some(tags) = &wishes.tags {
        user.metadata.insert("tags".to_owned(), tags.clone().into());
    }
    given.drop::<User>(KEPT);
    given.drop::<Wishes>(&[]);
    no_password(&given)?;
    user.ignored = given.rest()?;
    let id = wishes.user_id.take().filter(|id| !id.trim().is_empty());
    let id = id.unwrap_or_else(|| Uuid::new_v4().to_string());
    user.user_email = user.user_email.filter(|email| !email.is_empty());
    user.organization_id = user.organization_id.filter(|id| !id.is_empty());
    wishes.team_id = wishes.team_id.filter(|id| !id.is_empty());
    let mut change = Change::begin(&shared, &actor).await?;
    if id == MASTER_USER || change.find::<User>(&id).await?.is_some() {
        return Err(exists(&id));
    }
    user.own_budget(&actor.current.snapshot.config.proxy.new_users);
    user.limits.settle(change.now())?;
    check(&mut change, &id, &user).await?;
    let stored = change.insert(&id, user).await.map_err(|error| match error {
        StoreError::Taken => exists(&id),
        error => error.into(),
    })?;
    enter_teams(&mut change, &actor, &id, &wishes).await?;
    enter_organizations(&mut change, &id, &wishes.organizations).await?;
    let spend = keys::spend(wishes.spend)?;
    if 0 < spend {
        let until = Bounds::of(&stored.object, &stored.object.limits).end(&mut change).await?;
        change.set_spend(Kind::User, &id, spend, until).await?;
    }
    let key = if wishes.auto_create_key {
        let text = keys::random()?;
        let key = first_key(&stored, wishes, &change)?;
        Some((keys::add(&mut change, key, &text).await?, text))
    } else {
        None
    };
    change.commit().await?;
    let mut answer = object(&Ignored::from(&stored.object.ignored));
    let text = match &key {
        None => {
            for absent in ["key_alias", "key_name", "token", "token_id", "team_id", "expires"] {
                answer.insert(absent.to_owned(), Value::Null);
            }
            ""
        }
        Some((key, text)) => {
            answer.extend(keys::shown(key, 0).as_object().cloned().unwrap_or_default());
            text.as_str()
        }
    };
    answer.extend(shown(&shared, &stored).await?);
    answer.insert("key".to_owned(), json!(text));
    Ok(Json(answer.into()))
}

fn exists(id: &str) -> Refusal {
    let message = format!("User with id {id} already exists");
    Refusal::new(StatusCode::CONFLICT, message).param("user_id")
}

/// A password would be stored as it is.
pub(super) fn no_password(given: &Given) -> Result<(), Refusal> {
    if !given.gives("password") {
        return Ok(());
    }
    Err(Refusal::field("password", "Users of tagway have keys and no passwords. Remove it from the request."))
}

/// Whether a user's fields make sense, and its e-mail address is nobody else's.
pub(super) async fn check(edit: &mut Edit, id: &str, user: &User) -> Result<(), Refusal> {
    user.policy(id)?;
    if let Some(organization) = &user.organization_id
        && edit.find::<Organization>(organization).await?.is_none()
    {
        return Err(no_organization("organization_id", organization));
    }
    let Some(email) = &user.user_email else { return Ok(()) };
    teams::check_length("user_email", Some(email))?;
    if teams::find_by_email(edit, email).await?.iter().all(|other| other.id == id) {
        return Ok(());
    }
    let message = format!("User with email {email} already exists");
    Err(Refusal::new(StatusCode::CONFLICT, message).param("user_email"))
}

fn no_organization(field: &str, id: &str) -> Refusal {
    Refusal::field(field, format!("Organization not found for organization_id={id}"))
}

/// Makes the user a member of the teams it is to be in.
async fn enter_teams(edit: &mut Edit, actor: &Actor, user: &str, wishes: &Wishes) -> Result<(), Refusal> {
    let one_more = wishes.team_id.iter().cloned().map(InTeam::Id);
    for team in wishes.teams.iter().cloned().chain(one_more) {
        let AsMember { team_id, user_role, max_budget_in_team } = match team {
            InTeam::Id(team_id) => AsMember { team_id, ..AsMember::default() },
            InTeam::As(member) => member,
        };
        let found: Option<Stored<Team>> = edit.find(&team_id).await?;
        let before = teams::must_manage(actor, &team_id, found, || {
            let message =
                format!("Team doesn't exist in db. Team={team_id}. Create team via `/team/new` call.");
            Refusal::missing("teams", message)
        })?;
        let mut team = before.object.clone();
        let role = user_role.unwrap_or("user".to_owned());
        let joining = Joining { user_id: Some(user.to_owned()), user_email: None, role };
        let share = Share { max_budget_in_team, ..Share::default() };
        teams::join(edit, actor, &mut team, &joining, &share).await?;
        if team != before.object {
            edit.update(&before, team).await?;
        }
    }
    Ok(())
}

/// Makes the user a member of the organizations it is to be in.
async fn enter_organizations(edit: &mut Edit, user: &str, ids: &[String]) -> Result<(), Refusal> {
    for id in ids {
        let Some(before) = edit.find::<Organization>(id).await? else {
            return Err(no_organization("organizations", id));
        };
        let mut organization = before.object.clone();
        if organization.members.iter().any(|member| member.user_id == user) {
            continue;
        }
        organization.members.push(OrganizationMember {
            user_id: user.to_owned(),
            role: OrganizationRole::InternalUser,
            created_at: edit.now(),
            updated_at: edit.now(),
            ..OrganizationMember::default()
        });
        edit.update(&before, organization).await?;
    }
    Ok(())
}

/// The key that a user begins with: what it may do, its user and team say.
fn first_key(user: &Stored<User>, wishes: Wishes, edit: &Edit) -> Result<Key, Refusal> {
    let expires = match &wishes.duration {
        None => None,
        Some(duration) => keys::lifetime(duration, edit.now())?,
    };
    Ok(Key {
        key_alias: wishes.key_alias,
        user_id: Some(user.id.clone()),
        team_id: wishes.team_id,
        models: user.object.models.clone(),
        aliases: wishes.aliases,
        expires,
        ..Key::default()
    })
}

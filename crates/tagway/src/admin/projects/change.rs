//! `/project/new` and `/project/update`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::access::Models;
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, Part};
use super::super::limited::{Wanted, Wishes, hold_budget, reset};
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::ResetSpend;
use super::not_found;
use crate::objects::{Key, Project, Role, Team};
use crate::store::{Filter, Stored};

/// Which project.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Which {
    project_id: Option<String>,
}

impl Which {
    /// The id, unless it is left blank.
    fn named(self) -> Option<String> {
        self.project_id.filter(|id| !id.is_empty())
    }
}

/// Who may make and change projects. Tags and budgets are part of them.
fn permit(actor: &Actor) -> Result<(), Refusal> {
    actor.must_be_admin().map_err(|refusal| {
        if actor.role == Some(Role::ProxyAdminViewer) {
            return refusal;
        }
        Refusal::forbidden(format!(
            "Only admins or team admins can create projects. Your role is {}",
            actor.role_name()
        ))
    })
}

/// The body of a request for a project.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct NewProject {
    /// A random one when absent.
    #[schema(max_length = 255)]
    project_id: Option<String>,
    /// The team it belongs to.
    #[schema(max_length = 255)]
    team_id: String,
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Project,
}

/// Makes a project of a team.
#[utoipa::path(
    post, path = "/project/new", tag = "projects", request_body = NewProject,
    responses((status = 200, description = "The project", body = Object), Refusals)
)]
pub(super) async fn new(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    permit(&actor)?;
    let id = given.take::<Which>()?.named().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut change = Change::begin(&shared, &actor).await?;
    let wanted: Wanted<Project> = Wanted::read(&mut change, given, &id, &Project::default()).await?;
    check(&mut change, &wanted.object).await?;
    let written = wanted.insert(&mut change, &id).await.map_err(|refusal| {
        let message = format!("Project id = {id} already exists. Please use a different project id.");
        refusal.unwrap_or_else(|| Refusal::field("project_id", message).typed("bad_request"))
    })?;
    change.commit().await?;
    Ok(Json(written.shown(&shared.db).await?))
}

/// The body of a request for a change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct UpdateProject {
    #[schema(min_length = 1, max_length = 255)]
    project_id: String,
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Project,
}

/// Changes a project. Fields that are absent stay as they are; `null` takes a value away.
#[utoipa::path(
    post, path = "/project/update", tag = "projects", request_body = UpdateProject,
    responses((status = 200, description = "The project", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Map<String, Value>>, Refusal> {
    permit(&actor)?;
    let id = given.take::<Which>()?.named();
    let id = id.ok_or_else(|| Refusal::field("project_id", "Missing required field 'project_id'."))?;
    let mut change = Change::begin_for(&shared, &actor, &given).await?;
    hold_budget(&mut change, &given).await?;
    let before = change.find::<Project>(&id).await?.ok_or_else(|| not_found("project_id", &id))?;
    let wanted: Wanted<Project> = Wanted::read(&mut change, given, &id, &before.object).await?;
    let (was, is) = (&before.object, &wanted.object);
    // A team that was narrowed since does not keep its projects from being blocked or renamed.
    if was.team_id != is.team_id || was.models != is.models || was.limits != is.limits {
        check(&mut change, is).await?;
    }
    if was.team_id != is.team_id {
        check_keys(&mut change, &id, is).await?;
    }
    let written = wanted.update(&mut change, &before).await?;
    change.commit().await?;
    Ok(Json(written.shown(&shared.db).await?))
}

/// A project has a team, and asks for no more than its team has.
async fn check(change: &mut Change<'_>, project: &Project) -> Result<(), Refusal> {
    let Some(id) = project.team_id.as_deref().filter(|id| !id.is_empty()) else {
        return Err(Refusal::field("team_id", "Missing required field 'team_id'."));
    };
    let unknown = || Refusal::missing("team_id", format!("Team not found, team_id={id}")).typed("not_found");
    let team = change.find::<Team>(id).await?.ok_or_else(unknown)?;
    within(project, &team)
}

fn within(project: &Project, team: &Stored<Team>) -> Result<(), Refusal> {
    let allowed = Models::new(&team.object.models);
    let beyond = |model: &&String| *model != "all-team-models" && !allowed.allow(&[model], &[]);
    if let Some(model) = project.models.iter().find(beyond) {
        let list = team.object.models.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let message = format!(
            "Model '{model}' not in team's allowed models. Team allowed models=[{list}]. Team: {}",
            team.id
        );
        return Err(Refusal::field("models", message));
    }
    let (own, most) = (&project.limits, &team.object.limits);
    if let (Some(soft), Some(hard)) = (own.soft_budget, own.max_budget)
        && hard <= soft
    {
        let message = format!("soft_budget ({soft:?}) must be strictly lower than max_budget ({hard:?})");
        return Err(Refusal::field("soft_budget", message));
    }
    let over = |field: &'static str, own: String, most: String| {
        let message = format!("Project {field} ({own}) exceeds team's {field} ({most}). Team: {}", team.id);
        Err(Refusal::field(field, message))
    };
    if let (Some(own), Some(most)) = (own.max_budget, most.max_budget)
        && most < own
    {
        return over("max_budget", format!("{own:?}"), format!("{most:?}"));
    }
    for (field, own, most) in
        [("tpm_limit", own.tpm_limit, most.tpm_limit), ("rpm_limit", own.rpm_limit, most.rpm_limit)]
    {
        if let (Some(own), Some(most)) = (own, most)
            && most < own
        {
            return over(field, own.to_string(), most.to_string());
        }
    }
    Ok(())
}

/// A project's keys are of its team, if of any.
async fn check_keys(change: &mut Change<'_>, id: &str, project: &Project) -> Result<(), Refusal> {
    let filter = Filter { project: Some(id), ..Filter::default() };
    let keys: Vec<Stored<Key>> = change.filtered(&filter).await?;
    let of_others =
        keys.iter().filter(|key| key.object.team_id.is_some() && key.object.team_id != project.team_id);
    match of_others.count() {
        0 => Ok(()),
        many => {
            let message = format!(
                "Cannot move project {id} to another team. {many} key(s) of its team are associated with it."
            );
            Err(Refusal::field("team_id", message).typed("bad_request"))
        }
    }
}

/// Sets what was spent by a project.
#[utoipa::path(
    post, path = "/project/{project_id}/reset_spend", tag = "projects", request_body = ResetSpend,
    params(("project_id" = String, Path, description = "Which project")),
    responses((status = 200, description = "Before and after", body = Object), Refusals)
)]
pub(super) async fn reset_spend(
    State(shared): State<Shared>,
    actor: Actor,
    Part(id): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    reset::<Project>(&shared, &actor, &id, given, |id| not_found("project_id", id)).await
}

//! `/model/new`, `/model/update`, `/model/delete` and their kin: deployments that are kept in the store. They are
//! held to what a configuration file is held to, and serve from the next request on; the files' own stay the files'.

mod change;
mod make;
mod remove;

use http::StatusCode;
use serde_json::{Map, Value};
use tagway_core::config::is_secret;
use tagway_core::vocabulary::Mode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::actor::Actor;
use super::given::{Given, object};
use super::models::masked;
use super::refusal::Refusal;
use super::shown::History;
use crate::catalog::Checked;
use crate::objects::{Model, Role};
use crate::store::Stored;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(make::new))
        .routes(routes!(change::update))
        .routes(routes!(change::patch))
        .routes(routes!(change::block))
        .routes(routes!(change::unblock))
        .routes(routes!(remove::delete))
}

/// Fields of `model_info` that the gateway finds out itself, and that clients send back as they got them.
const COMPUTED: &[&str] = &[
    "access_via_team_ids",
    "created_at",
    "created_by",
    "db_model",
    "direct_access",
    "key",
    "litellm_provider",
    "member_auto_router",
    "pricing_overrides",
    "updated_at",
    "updated_by",
];

/// The longest id or name, in characters.
const LONGEST: usize = 255;

/// Only admins manage deployments.
fn permit(actor: &Actor) -> Result<(), Refusal> {
    if actor.must_be_admin().is_ok() {
        return Ok(());
    }
    match actor.role {
        Some(Role::ProxyAdminViewer) => Err(actor.refused()),
        Some(Role::InternalUserViewer) => Err(Refusal::forbidden("View-only users cannot manage models.")),
        _ => Err(Refusal::forbidden(format!(
            "User does not have permission to make this model call. Your role={}. You can only make model calls if you are a PROXY_ADMIN.",
            actor.role_name()
        ))),
    }
}

/// The fields of `model_info` that are the client's to give, and the id it gives.
fn info(given: Map<String, Value>) -> Result<(Option<String>, Map<String, Value>), Refusal> {
    let mut info = given;
    info.retain(|name, _| !COMPUTED.contains(&name.as_str()));
    let says_nothing = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    if info.get("team_id").is_some_and(|team| !team.is_null()) {
        let message = "'model_info.team_id' is not supported: deployments do not belong to teams. Give the deployment a tag and let the team carry it, or list the model in the team's 'models'.";
        return Err(Refusal::field("model_info.team_id", message));
    }
    for name in ["team_id", "blocked"] {
        if info.get(name).is_some_and(says_nothing) {
            info.shift_remove(name);
        }
    }
    let id = match info.shift_remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if !id.trim().is_empty() && short(&id) => Some(id),
        Some(_) => {
            let message =
                "'model_info.id' must be a text of 1 to 255 characters, none of them a control character.";
            return Err(Refusal::field("model_info.id", message));
        }
    };
    Ok((id, info))
}

/// What is left of a request, which has no effect. A secret must not be among it: it would be stored in clear text.
fn rest(given: Given) -> Result<Map<String, Value>, Refusal> {
    let rest = given.rest()?;
    match rest.keys().find(|name| is_secret(name)) {
        None => Ok(rest),
        Some(name) => Err(Refusal::field(name, format!("'{name}' belongs into 'litellm_params'."))),
    }
}

fn short(text: &str) -> bool {
    text.chars().count() <= LONGEST && !text.contains(char::is_control)
}

/// The name of a model group.
fn check_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() || !short(name) {
        let message = "'model_name' must be a text of 1 to 255 characters, none of them a control character.";
        return Err(Refusal::field("model_name", message));
    }
    Ok(())
}

/// The model with its secrets sealed, and what a reader of configuration files would say of it.
fn settle(shared: &Shared, id: &str, mut model: Model) -> Result<(Model, Checked), Refusal> {
    for fields in [&mut model.litellm_params, &mut model.model_info] {
        fields.retain(|_, value| !value.is_null());
        let sealed = shared.catalog.sealed(id, fields);
        *fields = sealed.map_err(|why| Refusal::field("litellm_params", why.to_string()))?;
    }
    let checked = shared.catalog.deployment(id, &model).map_err(|problems| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("Invalid deployment: {problems}"))
    })?;
    keeps_to_vocabulary(shared, id, &checked.deployment.tags)?;
    Ok((model, checked))
}

/// Whether the tags that a deployment does not carry yet keep to the vocabulary.
fn keeps_to_vocabulary(shared: &Shared, id: &str, tags: &[String]) -> Result<(), Refusal> {
    let current = shared.live.current();
    let snapshot = &current.snapshot;
    let before = snapshot.deployments.iter().find(|deployment| deployment.entry.info.id == id);
    let carried = |tag: &String| before.is_some_and(|deployment| deployment.entry.tags.contains(tag));
    let objection = |tag: &String| snapshot.vocabulary.objection_to_carried(tag);
    match tags.iter().filter(|tag| !carried(tag)).find_map(objection) {
        Some((objection, Mode::Enforce)) => Err(Refusal::field("litellm_params.tags", objection.to_string())),
        Some((_, Mode::Observe)) | None => Ok(()),
    }
}

/// Whether the configuration in force has a deployment with this id that is not stored.
fn is_in_file(shared: &Shared, id: &str) -> bool {
    let current = shared.live.current();
    current.snapshot.deployments.iter().any(|deployment| deployment.entry.info.id == id)
}

/// A stored deployment as answers show it.
fn row(stored: &Stored<Model>) -> Map<String, Value> {
    let model = &stored.object;
    let open = |fields: &Map<String, Value>| -> Map<String, Value> {
        fields.iter().map(|(name, value)| (name.clone(), masked(name, value))).collect()
    };
    let mut info = Map::from_iter([("id".to_owned(), stored.id.as_str().into())]);
    info.extend(open(&model.model_info));
    info.insert("db_model".to_owned(), true.into());
    let mut row = Map::from_iter([
        ("model_id".to_owned(), stored.id.as_str().into()),
        ("model_name".to_owned(), model.model_name.as_str().into()),
        ("litellm_params".to_owned(), Value::Object(open(&model.litellm_params))),
        ("model_info".to_owned(), Value::Object(info)),
        ("blocked".to_owned(), model.blocked.into()),
    ]);
    row.extend(object(&History::from(stored)));
    row
}

/// The row, with what had no effect and what deserves a look.
fn answer(stored: &Stored<Model>, checked: &Checked, ignored: &Map<String, Value>) -> Value {
    let mut answer = row(stored);
    let mut fields: Vec<&str> = ignored.keys().map(String::as_str).collect();
    fields.extend(checked.ignored.iter().map(String::as_str));
    if !fields.is_empty() {
        answer.insert("ignored_fields".to_owned(), fields.into());
    }
    if !checked.notes.is_empty() {
        answer.insert("notes".to_owned(), checked.notes.clone().into());
    }
    Value::Object(answer)
}

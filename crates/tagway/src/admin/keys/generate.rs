//! `POST /key/generate`: makes a key, and shows it this once.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tagway_core::access::Models;
use tagway_core::secret;
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::blank;
use super::super::change::Change;
use super::super::given::{Given, object};
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::Bounds;
use super::super::shown::{Ignored, nanos};
use super::bounds::bounded;
use super::{budget_table, permit, shown};
use crate::objects::{Budget, Key, Kind, Organization, Owner as _, Project, Team, after};
use crate::store::{Edit, StoreError, Stored};

/// Fields of a key that only the gateway sets.
pub(super) const KEPT: &[&str] =
    &["key_name", "token", "rotation_count", "last_rotation_at", "ignored", "budget_reset_at"];

/// What a request may say beside the key's own fields.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct Wishes {
    /// The key itself, instead of a random one; begins with `sk-` and has 16 characters or more.
    pub(super) key: Option<String>,
    /// How long it is valid: `30s`, `30m`, `30h`, `30d`, `1mo`; for ever when absent.
    pub(super) duration: Option<String>,
    /// Tags that its requests inherit; they land in `metadata.tags`.
    pub(super) tags: Option<Vec<String>>,
    /// `llm_api`, `management`, `read_only` or `default`: a preset of `allowed_routes`.
    pub(super) key_type: Option<KeyType>,
    /// Dollars spent so far.
    #[schema(minimum = 0)]
    pub(super) spend: Option<f64>,
}

/// A preset of paths a key may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyType {
    LlmApi,
    Management,
    ReadOnly,
    Default,
}

impl KeyType {
    fn routes(self) -> &'static [&'static str] {
        match self {
            Self::LlmApi => &["llm_api_routes"],
            Self::Management => &["management_routes"],
            Self::ReadOnly => &["info_routes"],
            Self::Default => &[],
        }
    }
}

/// The body of a request for a key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub(super) struct GenerateKey {
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    key: Key,
}

/// Makes a virtual key. The answer holds the key; it is shown this once.
#[utoipa::path(
    post, path = "/key/generate", tag = "keys", request_body = GenerateKey,
    responses((status = 200, description = "The key, and all its fields", body = Object), Refusals)
)]
pub(super) async fn generate(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_manage_keys()?;
    make(&shared, &actor, given, false).await
}

/// Makes a key that belongs to a team and to no user.
#[utoipa::path(
    post, path = "/key/service-account/generate", tag = "keys", request_body = GenerateKey,
    responses((status = 200, description = "The key, and all its fields", body = Object), Refusals)
)]
pub(super) async fn service_account(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_manage_keys()?;
    make(&shared, &actor, given, true).await
}

async fn make(shared: &Shared, actor: &Actor, given: Given, service: bool) -> Result<Json<Value>, Refusal> {
    let new_keys = &actor.current.snapshot.config.proxy.new_keys;
    let mut given = given.or(&new_keys.defaults);
    let blank = Key::default();
    let mut key: Key = given.peek(&blank, KEPT)?;
    let wishes: Wishes = given.peek(&Wishes::default(), &[])?;
    if let Some(tags) = &wishes.tags {
        key.metadata.insert("tags".to_owned(), tags.clone().into());
    }
    permit::fields(actor, &given, &blank, &key)?;
    given.drop::<Key>(KEPT);
    given.drop::<Wishes>(&[]);
    key.ignored = given.rest()?;
    if let Some(kind) = wishes.key_type {
        if kind == KeyType::Management && !actor.is_admin() {
            return Err(Refusal::forbidden("Only proxy admins can make a key of type management."));
        }
        if key.allowed_routes.is_empty() {
            key.allowed_routes = kind.routes().iter().map(|path| (*path).to_owned()).collect();
        }
    }
    for id in [&mut key.team_id, &mut key.organization_id, &mut key.project_id, &mut key.user_id] {
        *id = id.take().filter(|id| !id.is_empty());
    }
    if service {
        if key.team_id.is_none() {
            let message =
                "team_id is required for service account keys. Please specify `team_id` in the request body.";
            return Err(Refusal::field("team_id", message));
        }
        key.user_id = None;
        let name = key.key_alias.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        key.metadata.entry("service_account_id").or_insert(name.into());
    } else if key.user_id.is_none() && !actor.is_admin() {
        key.user_id.clone_from(&actor.user);
    }
    let text = match wishes.key {
        Some(text) => {
            check_text(&text)?;
            text
        }
        None => random()?,
    };
    let mut change = Change::begin(shared, actor).await?;
    permit::make(actor, &mut change, &key).await?;
    permit::hand_down(actor, &mut change, &mut key).await?;
    let now = change.now();
    let duration = bounded(&new_keys.bounds, &mut key.limits, wishes.duration, now)?;
    if let Some(duration) = &duration {
        key.expires = lifetime(duration, now)?;
    }
    key.limits.settle(now)?;
    own_budget(actor, &key)?;
    let stored = add(&mut change, key, &text).await?;
    let spend = spend(wishes.spend)?;
    if 0 < spend {
        let until = Bounds::of(&stored.object, &stored.object.limits).end(&mut change).await?;
        change.set_spend(Kind::Key, &stored.id, spend, until).await?;
    }
    change.commit().await?;
    let mut answer = object(&Ignored::from(&stored.object.ignored));
    answer.extend(shown(&stored, spend).as_object().cloned().unwrap_or_default());
    answer.insert("litellm_budget_table".to_owned(), budget_table(shared, &stored.object).await?);
    answer.insert("key".to_owned(), text.into());
    if let Some(tags) = wishes.tags {
        answer.insert("tags".to_owned(), tags.into());
    }
    blank::fill_new_key(&mut answer);
    Ok(Json(Value::Object(answer)))
}

/// Dollars spent, as the store counts.
pub(in crate::admin) fn spend(dollars: Option<f64>) -> Result<i64, Refusal> {
    match dollars {
        None => Ok(0),
        Some(dollars) if dollars.is_finite() && (0.0..1e9).contains(&dollars) => Ok(nanos(dollars)),
        Some(dollars) => {
            let message = format!("spend must be a non-negative finite number. Received: {dollars:?}");
            Err(Refusal::field("spend", message))
        }
    }
}

/// Adds a key that reads `text`.
///
/// # Errors
/// It refers to what is not there, or its text or alias is taken.
pub(in crate::admin) async fn add(
    edit: &mut Change<'_>,
    mut key: Key,
    text: &str,
) -> Result<Stored<Key>, Refusal> {
    name(&mut key, text);
    let id = key.token.clone();
    key.policy(&id)?;
    check_links(edit, &key, None).await?;
    let digest = secret::digest(text);
    if edit.key_by_digest(digest).await?.is_some() {
        return Err(Refusal::field("key", "This key exists already."));
    }
    let alias = key.key_alias.clone();
    let stored = edit.insert(&id, key).await.map_err(|error| taken(error, alias.as_deref()))?;
    edit.add_digest(&id, digest).await?;
    Ok(stored)
}

/// A key, or its alias, is there already.
pub(super) fn taken(error: StoreError, alias: Option<&str>) -> Refusal {
    match (error, alias) {
        (StoreError::Taken, Some(alias)) => Refusal::field(
            "key_alias",
            format!(
                "Key with alias '{alias}' already exists. Unique key aliases across all keys are required."
            ),
        )
        .typed("bad_request_error"),
        (StoreError::Taken, None) => Refusal::field("key", "This key exists already."),
        (error, _) => error.into(),
    }
}

/// A random key: 128 bits, as LiteLLM's.
///
/// # Errors
/// The system gives no random bits.
pub(in crate::admin) fn random() -> Result<String, Refusal> {
    let mut bits = [0; 16];
    aws_lc_rs::rand::fill(&mut bits).map_err(|_| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The system gives no random numbers. Try again.")
    })?;
    Ok(format!("sk-{}", URL_SAFE_NO_PAD.encode(bits)))
}

/// Notes the key's digest and what may be shown of it.
pub(super) fn name(key: &mut Key, text: &str) {
    key.token = secret::hex(&secret::digest(text));
    let last: String = {
        let chars: Vec<char> = text.chars().collect();
        chars[chars.len().saturating_sub(4)..].iter().collect()
    };
    key.key_name = Some(format!("sk-...{last}"));
}

/// Whether this may be a key.
pub(super) fn check_text(text: &str) -> Result<(), Refusal> {
    if !text.starts_with("sk-") {
        return Err(Refusal::field("key", "Invalid key format. LiteLLM Virtual Key must start with 'sk-'."));
    }
    if text.len() < 16 {
        let message = "Invalid key format. LiteLLM Virtual Key must be at least 16 characters long.";
        return Err(Refusal::field("key", message));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || 256 < text.len() {
        let message = "Invalid key format. A key is up to 256 printable ASCII characters without spaces.";
        return Err(Refusal::field("key", message));
    }
    Ok(())
}

/// When a key of this duration ends; `-1` never does.
pub(in crate::admin) fn lifetime(duration: &str, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    if duration == "-1" {
        return Ok(None);
    }
    let invalid = || {
        let message =
            format!("Invalid duration '{duration}'. Use a format like '30s', '30m', '24h', '30d' or '1mo'.");
        Refusal::field("duration", message)
    };
    after(duration, now).map(Some).ok_or_else(invalid)
}

/// Nobody but an admin gives a key more money than its own may spend.
fn own_budget(actor: &Actor, key: &Key) -> Result<(), Refusal> {
    let own = actor.caller.bearer().and_then(|bearer| bearer.max_budget);
    let (false, Some(own)) = (actor.is_admin(), own) else { return Ok(()) };
    match key.limits.max_budget {
        Some(asked) if asked <= own => Ok(()),
        asked => {
            let asked = asked.map_or("unlimited".to_owned(), |asked| format!("{asked:?}"));
            let message =
                format!("max_budget ({asked}) cannot exceed the caller's own max_budget ({own:?}).");
            Err(Refusal::field("max_budget", message))
        }
    }
}

/// What a key refers to must be there, and must allow what the key asks for.
pub(super) async fn check_links(edit: &mut Edit, key: &Key, before: Option<&Key>) -> Result<(), Refusal> {
    if let Some(id) = &key.team_id {
        let Some(team) = edit.find::<Team>(id).await? else {
            let message = format!("Team doesn't exist in db. Team={id}. Create team via `/team/new` call.");
            return Err(Refusal::missing("team_id", message));
        };
        // The key's organization goes before the team's: another one would put the team's out of force.
        let organization = team.object.organization_id;
        if key.organization_id.is_some() && organization.is_some() && organization != key.organization_id {
            let message = format!("Team {id} belongs to another organization than the key.");
            return Err(Refusal::field("organization_id", message));
        }
    }
    if let Some(id) = &key.organization_id
        && edit.find::<Organization>(id).await?.is_none()
    {
        let message = format!("Organization not found for organization_id={id}");
        return Err(Refusal::field("organization_id", message));
    }
    if let Some(id) = &key.project_id {
        let Some(project) = edit.find::<Project>(id).await? else {
            return Err(Refusal::missing("project_id", format!("Project not found, project_id={id}")));
        };
        let team = project.object.team_id.clone();
        if key.team_id.is_some() && team.is_some() && team != key.team_id {
            let message = format!("Project {id} belongs to another team than the key.");
            return Err(Refusal::field("project_id", message));
        }
        // A project that was narrowed since does not keep its keys from being blocked or renamed.
        let asks = |key: &Key| (key.project_id.clone(), key.models.clone(), key.limits.max_budget);
        if before.is_none_or(|before| asks(before) != asks(key)) {
            within(edit, id, &project.object, key).await?;
        }
    }
    if let Some(id) = &key.budget_id
        && edit.find::<Budget>(id).await?.is_none()
    {
        return Err(Refusal::missing("budget_id", format!("Budget not found, budget_id={id}")));
    }
    Ok(())
}

/// A key asks for no more than its project has.
async fn within(edit: &mut Edit, id: &str, project: &Project, key: &Key) -> Result<(), Refusal> {
    let allowed = Models::new(&project.models);
    let special = |model: &str| matches!(model, "all-team-models" | "all-proxy-models" | "no-default-models");
    let beyond = |model: &&String| !special(model) && !allowed.allow(&[model.as_str()], &[]);
    if let Some(model) = key.models.iter().find(beyond) {
        let list = project.models.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let message = format!(
            "Model '{model}' not in project's allowed models. Project allowed models=[{list}]. Project: {id}"
        );
        return Err(Refusal::field("models", message));
    }
    let mut most = project.limits.max_budget;
    if let (None, Some(budget)) = (most, &project.budget_id) {
        most = edit.find::<Budget>(budget).await?.and_then(|budget| budget.object.limits.max_budget);
    }
    match (key.limits.max_budget, most) {
        (Some(own), Some(most)) if most < own => {
            let message =
                format!("Key max_budget ({own:?}) exceeds project's max_budget ({most:?}). Project: {id}");
            Err(Refusal::field("max_budget", message))
        }
        _ => Ok(()),
    }
}

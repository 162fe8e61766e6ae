//! `/tag/new`, `/tag/update` and `/tag/delete`: what a tag is, and which deployments carry it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, object};
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::{Bounds, retime};
use super::super::shown::Ignored;
use super::{Beside, check_name, meant, shown, terms};
use crate::objects::{Budget, Kind, Model, Tag, TagUse};
use crate::store::{Filter, StoreError, Stored};

/// Fields of a tag that only the gateway sets.
const KEPT: &[&str] = &["aliases", "ignored", "budget_reset_at"];

/// WhichTag tag.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct WhichTag {
    /// The tag, or a pattern ending in `*` that declares all tags beginning so.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 255)]
    name: Option<String>,
}

impl WhichTag {
    fn take(given: &mut Given) -> Result<String, Refusal> {
        let Self { name } = given.take()?;
        name.ok_or_else(|| Refusal::field("name", "Missing required field 'name'."))
    }
}

/// A tag with its name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct NamedTag {
    #[schema(inline)]
    #[serde(flatten)]
    which: WhichTag,
    #[serde(flatten)]
    tag: Tag,
}

/// Declares a tag. The deployments it names carry it from the next request on.
#[utoipa::path(
    post, path = "/tag/new", tag = "tags", request_body = NamedTag,
    responses((status = 200, description = "The tag", body = Object), Refusals)
)]
pub(super) async fn new(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let name = WhichTag::take(&mut given)?;
    check_name("name", &name)?;
    if let Some(tag) = shared.live.current().snapshot.aliases.meant(&name) {
        return Err(Refusal::field(
            "name",
            format!("Tag {name} already exists: it is a former name of {tag}"),
        ));
    }
    let mut tag: Tag = read(&mut given, &Tag::default())?;
    tag.ignored = given.rest()?;
    let mut change = Change::begin(&shared, &actor).await?;
    let exists = || Refusal::field("name", format!("Tag {name} already exists"));
    if change.find::<Tag>(&name).await?.is_some() {
        return Err(exists());
    }
    tag.limits.settle(change.now())?;
    terms::check(&shared, &name, &tag, true)?;
    check(&shared, &mut change, &name, &Tag::default(), &tag).await?;
    let inserted = change.insert(&name, tag).await;
    let stored = inserted.map_err(|error| match error {
        StoreError::Taken => exists(),
        error => error.into(),
    })?;
    change.commit().await?;
    let ignored = Ignored::from(&stored.object.ignored);
    answer(&shared, format!("Tag {name} created successfully"), stored, &ignored).await
}

/// Changes a tag. Fields that are absent stay as they are; `null` takes a value away.
#[utoipa::path(
    post, path = "/tag/update", tag = "tags", request_body = NamedTag,
    responses((status = 200, description = "The tag", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let name = meant(&shared, &WhichTag::take(&mut given)?);
    let mut change = Change::begin(&shared, &actor).await?;
    let before = change.find::<Tag>(&name).await?.ok_or_else(|| unknown(&shared, &name))?;
    let mut tag = read(&mut given, &before.object)?;
    let ignored = given.rest()?;
    tag.ignored.extend(ignored.clone());
    if tag.limits.windows_differ(&before.object.limits) {
        tag.limits.budget_reset_at = None;
    }
    tag.limits.settle(change.now())?;
    terms::check(&shared, &name, &tag, false)?;
    check(&shared, &mut change, &name, &before.object, &tag).await?;
    let stored = change.update(&before, tag).await?;
    let bounds = Bounds::of(&stored.object, &stored.object.limits);
    let old_bounds = Bounds::of(&before.object, &before.object.limits);
    retime(&mut change, Kind::Tag, &name, old_bounds, bounds).await?;
    change.commit().await?;
    answer(&shared, format!("Tag {name} updated successfully"), stored, &Ignored::from(&ignored)).await
}

/// Forgets a tag, and that it had other names. Deployments that carry it for its sake carry it no longer; what they say themselves stays.
#[utoipa::path(
    post, path = "/tag/delete", tag = "tags", request_body = WhichTag,
    responses((status = 200, description = "That it is gone", body = Object), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let name = WhichTag::take(&mut given)?;
    given.nothing_else()?;
    if let Some(tag) = shared.live.current().snapshot.aliases.meant(&name) {
        return Err(Refusal::field("name", format!("'{name}' is a former name of '{tag}': delete that.")));
    }
    let mut change = Change::begin(&shared, &actor).await?;
    let stored = change.find::<Tag>(&name).await?.ok_or_else(|| unknown(&shared, &name))?;
    change.forget_aliases(&name).await?;
    change.delete(&stored).await?;
    change.commit().await?;
    Ok(Json(json!({"message": format!("Tag {name} deleted successfully")})))
}

/// The tag that the fields given make of `onto`.
fn read(given: &mut Given, onto: &Tag) -> Result<Tag, Refusal> {
    let allowed: Allowed = given.take()?;
    if allowed.allowed_tags.is_some_and(|value| !matches!(&value, Value::Array(items) if items.is_empty())) {
        let message = "A tag has no 'allowed_tags': set it on a key or a team to say which tags their callers may send.";
        return Err(Refusal::field("allowed_tags", message));
    }
    if allowed.aliases.is_some_and(|aliases| aliases != onto.aliases) {
        let message =
            "A tag gets its former names by /tag/rename and /tag/merge, which keep its history together.";
        return Err(Refusal::field("aliases", message));
    }
    let mut tag: Tag = given.overlay(onto, KEPT)?;
    tag.budget_id = tag.budget_id.filter(|id| !id.is_empty());
    Ok(tag)
}

/// What belongs to keys and teams, and what the gateway finds out itself.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Allowed {
    allowed_tags: Option<Value>,
    /// LiteLLM's clients send it; it follows from `models`.
    model_info: Option<Value>,
    /// Clients that send back what they have read send it.
    aliases: Option<Vec<String>>,
}

/// Whether a tag can be so. What it refers to newly must be there.
async fn check(
    shared: &Shared,
    change: &mut Change<'_>,
    name: &str,
    before: &Tag,
    tag: &Tag,
) -> Result<(), Refusal> {
    if !tag.models.is_empty() {
        if name.ends_with('*') {
            let message = "A pattern of tags cannot have models: a deployment carries single tags.";
            return Err(Refusal::field("models", message));
        }
        if tag.kind == TagUse::Attribution {
            let message = "A tag of kind 'attribution' takes no part in routing: it cannot have models.";
            return Err(Refusal::field("models", message));
        }
    }
    let current = shared.live.current();
    let deployments = &current.snapshot.deployments;
    for model in tag.models.iter().filter(|model| !before.models.contains(model)) {
        let known = deployments
            .iter()
            .any(|deployment| deployment.entry.info.id == *model || deployment.entry.model_name == *model);
        // One that is out of service is in the store alone.
        if known || change.find::<Model>(model).await?.is_some() {
            continue;
        }
        let named = Filter { name: Some(model), ..Filter::default() };
        if change.filtered::<Model>(&named).await?.is_empty() {
            return Err(Refusal::missing("models", format!("Model {model} not found")));
        }
    }
    if let Some(id) = tag.budget_id.as_ref().filter(|_| tag.budget_id != before.budget_id)
        && change.find::<Budget>(id).await?.is_none()
    {
        return Err(Refusal::missing("budget_id", format!("Budget not found, budget_id={id}")));
    }
    Ok(())
}

/// The refusal of a tag that is not stored.
fn unknown(shared: &Shared, name: &str) -> Refusal {
    let declared = &shared.live.current().snapshot.config.tags;
    if declared.iter().any(|tag| tag.name == name) {
        let message = format!(
            "Tag {name} is declared in the configuration file: change it there, or declare it with /tag/new as well."
        );
        return Refusal::field("name", message);
    }
    Refusal::missing("name", format!("Tag {name} not found"))
}

pub(super) async fn answer(
    shared: &Shared,
    message: String,
    stored: Stored<Tag>,
    ignored: &Ignored,
) -> Result<Json<Value>, Refusal> {
    let tags = [stored];
    let beside = Beside::read(shared, &tags, &[]).await?;
    let current = shared.live.current();
    let mut answer = Map::from_iter([("message".to_owned(), message.into())]);
    for stored in &tags {
        answer.insert("tag".to_owned(), shown(&current.snapshot, stored, &beside));
    }
    answer.extend(object(ignored));
    Ok(Json(Value::Object(answer)))
}

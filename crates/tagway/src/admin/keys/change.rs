//! `/key/update` and the small changes of a key: block, unblock, reset of its spend.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, Part, object};
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::{Bounds, ResetSpend, Spent, retime, set_spend};
use super::super::shown::{Ignored, reset_at};
use super::generate::{self, KEPT, check_links, lifetime, taken};
use super::permit::{self, Deed};
use super::{digest_of, find, is_key, not_found, shown, spent};
use crate::objects::{Key, Kind, Owner as _};
use crate::store::Stored;

/// What a request for a change may say beside the key's own fields.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct Wishes {
    /// The key, or its digest. Without it, `key_alias` says which key is meant.
    key: Option<String>,
    /// How long it is valid from now on; `null` or `-1` for ever.
    duration: Option<String>,
    /// Tags that its requests inherit; they land in `metadata.tags`.
    tags: Option<Vec<String>>,
    /// Dollars spent so far.
    #[schema(minimum = 0)]
    spend: Option<f64>,
}

/// The body of a request for a change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct UpdateKey {
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Key,
}

/// Changes a key. Fields that are absent stay as they are; `null` takes a value away.
#[utoipa::path(
    post, path = "/key/update", tag = "keys", request_body = UpdateKey,
    responses((status = 200, description = "The key's fields", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_manage_keys()?;
    let (asked, stored, ignored) = apply(&shared, &actor, given).await?;
    let mut answer = object(&ignored);
    answer.extend(shown(&stored, spent(&shared, &stored.id).await?).as_object().cloned().unwrap_or_default());
    // What was sent may be the key itself, which is shown once, when it is made.
    let key = if is_key(&asked) { stored.object.token.clone() } else { asked };
    answer.insert("key".to_owned(), key.into());
    Ok(Json(Value::Object(answer)))
}

async fn apply(
    shared: &Shared,
    actor: &Actor,
    mut given: Given,
) -> Result<(String, Stored<Key>, Ignored), Refusal> {
    let wishes: Wishes = given.peek(&Wishes::default(), &[])?;
    let mut change = Change::begin_for(shared, actor, &given).await?;
    let (asked, before) = match &wishes.key {
        Some(key) => (key.clone(), find(&mut change, key).await?.ok_or_else(not_found)?),
        None => {
            let Key { key_alias: Some(alias), .. } = given.peek(&Key::default(), KEPT)? else {
                return Err(Refusal::field("key", "either key or key_alias must be provided"));
            };
            let found = change.named_key(&alias).await?.ok_or_else(|| {
                Refusal::missing("key_alias", format!("Key not found. No key with key_alias='{alias}'."))
            })?;
            (found.id.clone(), found)
        }
    };
    permit::touch(actor, &mut change, &before, Deed::Update).await?;
    let mut key: Key = given.peek(&before.object, KEPT)?;
    if let Some(tags) = &wishes.tags {
        key.metadata.insert("tags".to_owned(), tags.clone().into());
    }
    permit::fields(actor, &given, &before.object, &key)?;
    permit::money(actor, &before.object, &key)?;
    let forever = given.gives("duration") && wishes.duration.is_none();
    given.drop::<Key>(KEPT);
    given.drop::<Wishes>(&[]);
    let ignored = given.rest()?;
    key.ignored.extend(ignored.clone());
    let now = change.now();
    match &wishes.duration {
        Some(duration) => key.expires = lifetime(duration, now)?,
        None if forever => key.expires = None,
        None => {}
    }
    if key.limits.windows_differ(&before.object.limits) {
        key.limits.budget_reset_at = None;
    }
    key.limits.settle(now)?;
    key.policy(&before.id)?;
    check_links(&mut change, &key, Some(&before.object)).await?;
    let alias = key.key_alias.clone();
    let stored = change.update(&before, key).await.map_err(|error| taken(error, alias.as_deref()))?;
    let bounds = Bounds::of(&stored.object, &stored.object.limits);
    let old_bounds = Bounds::of(&before.object, &before.object.limits);
    retime(&mut change, Kind::Key, &stored.id, old_bounds, bounds).await?;
    if wishes.spend.is_some() {
        let until = bounds.end(&mut change).await?;
        change.set_spend(Kind::Key, &stored.id, generate::spend(wishes.spend)?, until).await?;
    }
    change.commit().await?;
    Ok((asked, stored, Ignored::from(&ignored)))
}

/// Several changes.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Bulk {
    /// Bodies of /key/update, up to 500.
    #[schema(required = true, value_type = Vec<Object>, min_items = 1, max_items = 500)]
    keys: Vec<Map<String, Value>>,
}

/// Changes several keys, each for itself.
#[utoipa::path(
    post, path = "/key/bulk_update", tag = "keys", request_body = Bulk,
    responses((status = 200, description = "What became of each", body = Object), Refusals)
)]
pub(super) async fn bulk_update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_manage_keys()?;
    if !actor.is_admin() {
        return Err(Refusal::forbidden("Only proxy admins can perform bulk key updates"));
    }
    let Bulk { keys } = given.take()?;
    given.nothing_else()?;
    match keys.len() {
        0 => return Err(Refusal::field("keys", "No keys provided for update")),
        1..=500 => {}
        many => {
            let message = format!("Maximum 500 keys can be updated at once. Found {many} keys.");
            return Err(Refusal::field("keys", message));
        }
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    let total = keys.len();
    for fields in keys {
        let asked = fields.get("key").and_then(Value::as_str).unwrap_or_default();
        let asked = if is_key(asked) { "sk-***".to_owned() } else { asked.to_owned() };
        match apply(&shared, &actor, Given::from(fields)).await {
            Ok((_, stored, _)) => {
                let spend = spent(&shared, &stored.id).await?;
                done.push(json!({"key": stored.object.token, "key_info": shown(&stored, spend)}));
            }
            Err(refusal) => {
                failed.push(json!({"key": asked, "key_info": null, "failed_reason": refusal.message()}));
            }
        }
    }
    Ok(Json(json!({"total_requested": total, "successful_updates": done, "failed_updates": failed})))
}

/// Which key.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = KeyById)]
struct Which {
    /// The key, or its digest.
    #[schema(required = true)]
    key: Option<String>,
}

/// Refuses all requests with a key, from the next one on.
#[utoipa::path(
    post, path = "/key/block", tag = "keys", request_body = Which,
    responses((status = 200, description = "The key's fields", body = Object), Refusals)
)]
pub(super) async fn block(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_blocked(&shared, &actor, given, true).await
}

/// Lets requests with a key in again.
#[utoipa::path(
    post, path = "/key/unblock", tag = "keys", request_body = Which,
    responses((status = 200, description = "The key's fields", body = Object), Refusals)
)]
pub(super) async fn unblock(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    set_blocked(&shared, &actor, given, false).await
}

async fn set_blocked(
    shared: &Shared,
    actor: &Actor,
    mut given: Given,
    blocked: bool,
) -> Result<Json<Value>, Refusal> {
    actor.must_manage_keys()?;
    let Which { key } = given.take()?;
    given.nothing_else()?;
    let key = key.ok_or_else(|| Refusal::field("key", "Missing required field 'key'."))?;
    if digest_of(&key).is_none() {
        return Err(Refusal::field("key", "Invalid key format.").typed("bad_request_error"));
    }
    let mut change = Change::begin(shared, actor).await?;
    let before = find(&mut change, &key).await?.ok_or_else(not_found)?;
    permit::touch(actor, &mut change, &before, Deed::Block).await?;
    let after = Key { blocked: Some(blocked), ..before.object.clone() };
    let stored = change.update(&before, after).await?;
    change.commit().await?;
    Ok(Json(shown(&stored, spent(shared, &stored.id).await?)))
}

/// Sets what was spent with a key.
#[utoipa::path(
    post, path = "/key/{key}/reset_spend", tag = "keys", request_body = ResetSpend,
    params(("key" = String, Path, description = "The key, or its digest")),
    responses((status = 200, description = "Before and after", body = Object), Refusals)
)]
pub(super) async fn reset_spend(
    State(shared): State<Shared>,
    actor: Actor,
    Part(key): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_manage_keys()?;
    let wish = ResetSpend::only(given)?;
    let mut change = Change::begin_spending(&shared, &actor).await?;
    let stored = find(&mut change, &key).await?.ok_or_else(not_found)?;
    permit::touch(&actor, &mut change, &stored, Deed::Reset).await?;
    let bounds = Bounds::of(&stored.object, &stored.object.limits);
    let Spent { spend, before } = set_spend(&mut change, Kind::Key, &stored.id, bounds, &wish).await?;
    change.commit().await?;
    Ok(Json(json!({
        "key_hash": stored.object.token,
        "spend": spend,
        "previous_spend": before,
        "max_budget": stored.object.limits.max_budget,
        "budget_reset_at": reset_at(&stored.object.limits),
    })))
}

//! `/key/{key}/regenerate`: a new key in place of an old one, which may hold for a while beside it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::blank;
use super::super::change::Change;
use super::super::given::{Given, Part, object};
use super::super::refusal::{Refusal, Refusals};
use super::super::shown::Ignored;
use super::generate::{KEPT, check_links, check_text, lifetime, name, random, taken};
use super::permit::{self, Deed};
use super::{budget_table, find, not_found, shown, spent};
use crate::objects::{Key, Owner as _, after};

/// What a request for a new key may say beside the key's own fields.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct Wishes {
    /// The old key, or its digest: in place of the path's.
    key: Option<String>,
    /// The new key itself, instead of a random one.
    new_key: Option<String>,
    /// How long the old key holds beside the new one: `24h`; it ends at once when absent.
    grace_period: Option<String>,
    /// How long the new key is valid.
    duration: Option<String>,
    /// Tags that its requests inherit.
    tags: Option<Vec<String>>,
}

/// The body of a request for a new key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct RegenerateKey {
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: Key,
}

/// Puts a new key in place of an old one. Its id, alias, tags, limits and spend stay.
#[utoipa::path(
    post, path = "/key/{key}/regenerate", tag = "keys", request_body = RegenerateKey,
    params(("key" = String, Path, description = "The old key, or its digest")),
    responses((status = 200, description = "The new key, and all its fields", body = Object), Refusals)
)]
pub(super) async fn regenerate(
    State(shared): State<Shared>,
    actor: Actor,
    Part(key): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    rotate(&shared, &actor, Some(key), given).await
}

/// The same, with the old key in the body.
#[utoipa::path(
    post, path = "/key/regenerate", tag = "keys", request_body = RegenerateKey,
    responses((status = 200, description = "The new key, and all its fields", body = Object), Refusals)
)]
pub(super) async fn regenerate_in_body(
    State(shared): State<Shared>,
    actor: Actor,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    rotate(&shared, &actor, None, given).await
}

async fn rotate(
    shared: &Shared,
    actor: &Actor,
    key: Option<String>,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_manage_keys()?;
    let wishes: Wishes = given.peek(&Wishes::default(), &[])?;
    let old = wishes.key.or(key).ok_or_else(|| Refusal::field("key", "No key passed in."))?;
    let text = match wishes.new_key {
        Some(text) => {
            check_text(&text)?;
            text
        }
        None => random()?,
    };
    let mut change = Change::begin(shared, actor).await?;
    let before = find(&mut change, &old).await?.ok_or_else(not_found)?;
    permit::touch(actor, &mut change, &before, Deed::End).await?;
    let mut fields: Key = given.peek(&before.object, KEPT)?;
    if let Some(tags) = &wishes.tags {
        fields.metadata.insert("tags".to_owned(), tags.clone().into());
    }
    permit::fields(actor, &given, &before.object, &fields)?;
    permit::money(actor, &before.object, &fields)?;
    // Who may put another key in place of one may not always say what it is worth.
    if fields != before.object || wishes.duration.is_some() {
        permit::touch(actor, &mut change, &before, Deed::Update).await?;
    }
    given.drop::<Key>(KEPT);
    given.drop::<Wishes>(&[]);
    let ignored = given.rest()?;
    fields.ignored.extend(ignored.clone());
    let now = change.now();
    if let Some(duration) = &wishes.duration {
        fields.expires = lifetime(duration, now)?;
    }
    fields.limits.settle(now)?;
    let overlap = match &wishes.grace_period {
        None => None,
        Some(period) => Some(after(period, now).ok_or_else(|| {
            let message = format!("Invalid grace_period '{period}'. Use a format like '30m', '24h' or '7d'.");
            Refusal::field("grace_period", message)
        })?),
    };
    name(&mut fields, &text);
    fields.rotation_count += 1;
    fields.last_rotation_at = Some(now);
    fields.policy(&before.id)?;
    check_links(&mut change, &fields, Some(&before.object)).await?;
    change.end_digests(&before.id, overlap).await?;
    let digest = tagway_core::secret::digest(&text);
    change.add_digest(&before.id, digest).await.map_err(|error| taken(error, None))?;
    let alias = fields.key_alias.clone();
    let stored = change.update(&before, fields).await.map_err(|error| taken(error, alias.as_deref()))?;
    change.commit().await?;
    let mut answer = object(&Ignored::from(&ignored));
    answer.extend(shown(&stored, spent(shared, &stored.id).await?).as_object().cloned().unwrap_or_default());
    answer.insert("litellm_budget_table".to_owned(), budget_table(shared, &stored.object).await?);
    answer.insert("key".to_owned(), text.into());
    blank::fill_new_key(&mut answer);
    Ok(Json(Value::Object(answer)))
}

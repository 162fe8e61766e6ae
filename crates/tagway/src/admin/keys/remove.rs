//! `POST /key/delete`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::permit::{self, Deed};
use super::{find, is_key};

/// Which keys.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = DeleteKeys)]
struct Which {
    /// Keys, or their digests.
    keys: Option<Vec<String>>,
    /// Aliases of keys.
    key_aliases: Option<Vec<String>>,
}

/// Deletes keys: all of them, or none when one of them is not the caller's to delete.
#[utoipa::path(
    post, path = "/key/delete", tag = "keys", request_body = Which,
    responses((status = 200, description = "Which keys were deleted", body = Object), Refusals)
)]
pub(super) async fn delete(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_manage_keys()?;
    let Which { keys, key_aliases } = given.take()?;
    given.nothing_else()?;
    if keys.is_none() && key_aliases.is_none() {
        let message = "At least one of 'keys' or 'key_aliases' must be provided.";
        return Err(Refusal::field("keys", message));
    }
    let (keys, aliases) = (keys.unwrap_or_default(), key_aliases.unwrap_or_default());
    let mut change = Change::begin(&shared, &actor).await?;
    let mut found = Vec::new();
    let mut deleted = Vec::new();
    for key in &keys {
        if let Some(stored) = find(&mut change, key).await? {
            // A key itself is not repeated.
            deleted.push(if is_key(key) { stored.object.token.clone() } else { key.clone() });
            found.push(stored);
        }
    }
    for alias in &aliases {
        if let Some(stored) = change.named_key(alias).await? {
            deleted.push(alias.clone());
            found.push(stored);
        }
    }
    if found.is_empty() {
        return Err(Refusal::missing("keys", "No keys found"));
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup_by(|one, other| one.id == other.id);
    for stored in &found {
        permit::touch(&actor, &mut change, stored, Deed::End).await?;
    }
    for stored in &found {
        change.delete(stored).await?;
    }
    change.commit().await?;
    Ok(Json(json!({ "deleted_keys": deleted })))
}

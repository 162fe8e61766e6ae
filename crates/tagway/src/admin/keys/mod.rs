//! `/key/*`: virtual keys.

mod bounds;
mod change;
mod generate;
mod list;
mod permit;
mod remove;
mod rotate;
mod show;

use serde_json::{Value, json};
use tagway_core::secret;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::blank;
use super::budgets;
use super::given::object;
use super::refusal::Refusal;
use super::shown::{History, dollars, repeat_in_metadata};
use crate::objects::{Key, Kind};
use crate::store::{Edit, Stored};

pub(super) use generate::{add, lifetime, random, spend};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(generate::generate))
        .routes(routes!(generate::service_account))
        .routes(routes!(change::update))
        .routes(routes!(change::bulk_update))
        .routes(routes!(change::block))
        .routes(routes!(change::unblock))
        .routes(routes!(change::reset_spend))
        .routes(routes!(rotate::regenerate))
        .routes(routes!(rotate::regenerate_in_body))
        .routes(routes!(remove::delete))
        .routes(routes!(show::info))
        .routes(routes!(show::infos))
        .routes(routes!(show::health))
        .routes(routes!(list::list))
        .routes(routes!(list::aliases))
}

/// The digest that a key, or its digest in hexadecimal, stands for.
fn digest_of(key: &str) -> Option<[u8; 32]> {
    if key.starts_with("sk-") { Some(secret::digest(key)) } else { secret::unhex(key) }
}

/// Whether something begins like a key: such text is never repeated in an answer.
fn is_key(text: &str) -> bool {
    text.starts_with("sk-")
}

/// The key that is meant by itself, by one of its digests, or by its id.
async fn find(edit: &mut Edit, key: &str) -> Result<Option<Stored<Key>>, Refusal> {
    let Some(digest) = digest_of(key) else { return Ok(None) };
    if let Some(found) = edit.key_by_digest(digest).await? {
        return Ok(Some(found));
    }
    // A key that was regenerated keeps its id.
    if is_key(key) { Ok(None) } else { Ok(edit.find(&secret::hex(&digest)).await?) }
}

/// The same, reading only.
pub(super) async fn look_up(shared: &Shared, key: &str) -> Result<Option<Stored<Key>>, Refusal> {
    let Some(digest) = digest_of(key) else { return Ok(None) };
    let mut found = shared.db.keys_by_digest(&[digest]).await?;
    if let Some(found) = found.remove(&digest) {
        return Ok(Some(found.key));
    }
    if is_key(key) { Ok(None) } else { Ok(shared.db.find(&secret::hex(&digest)).await?) }
}

fn not_found() -> Refusal {
    Refusal::missing("key", "Key not found.")
}

/// A key as answers show it.
pub(super) fn shown(stored: &Stored<Key>, spend: i64) -> Value {
    let mut fields = object(&stored.object);
    fields.insert("token_id".to_owned(), stored.id.as_str().into());
    fields.insert("spend".to_owned(), dollars(spend).into());
    let ignored = fields.shift_remove("ignored");
    fields.extend(ignored.as_ref().and_then(Value::as_object).cloned().unwrap_or_default());
    fields.extend(object(&History::from(stored)));
    fields.insert("key_type".to_owned(), key_type(&stored.object.allowed_routes).into());
    blank::fill(Kind::Key, &mut fields);
    repeat_in_metadata(&mut fields);
    Value::Object(fields)
}

/// What LiteLLM calls a key that may call these paths.
fn key_type(routes: &[String]) -> &'static str {
    match routes {
        [one] if one == "llm_api_routes" => "llm_api",
        [one] if one == "management_routes" => "management",
        [one] if one == "info_routes" => "read_only",
        _ => "default",
    }
}

/// The budget that a key refers to, with the key's own limits before it; `null` when it refers to none.
async fn budget_table(shared: &Shared, key: &Key) -> Result<Value, Refusal> {
    if key.budget_id.is_none() {
        return Ok(Value::Null);
    }
    let tables = budgets::tables_of(&shared.db, &[(key.budget_id.clone(), &key.limits)]).await?;
    Ok(tables.into_iter().next().unwrap_or_default())
}

/// What was spent on one key.
async fn spent(shared: &Shared, id: &str) -> Result<i64, Refusal> {
    let ids = [id.to_owned()];
    Ok(shared.db.spend(Kind::Key, &ids).await?.remove(id).unwrap_or(0))
}

/// `active`, `expired` or `revoked`.
fn status(stored: &Stored<Key>) -> &'static str {
    let key = &stored.object;
    if key.blocked == Some(true) {
        return "revoked";
    }
    if key.expires.is_some_and(|end| end <= jiff::Timestamp::now()) { "expired" } else { "active" }
}

/// `{"key": …, "info": {…}}`
fn with_info(asked: &str, stored: &Stored<Key>, spend: i64, budget: Value) -> Value {
    let mut info = shown(stored, spend);
    if let Some(fields) = info.as_object_mut() {
        fields.shift_remove("token");
        fields.insert("status".to_owned(), status(stored).into());
        fields.insert("litellm_budget_table".to_owned(), budget);
    }
    let key = if is_key(asked) { stored.object.token.as_str() } else { asked };
    json!({"key": key, "info": info})
}

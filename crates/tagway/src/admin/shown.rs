//! Stored objects as answers show them: their fields, with what the store knows of them beside.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::blank;
use super::given::{IN_METADATA, object};
use crate::objects::{Limits, Object};
use crate::store::Stored;

/// When an object was made and changed, and by whom.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct History {
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
    pub(super) created_by: Option<String>,
    pub(super) updated_by: Option<String>,
}

impl<T> From<&Stored<T>> for History {
    fn from(stored: &Stored<T>) -> Self {
        Self {
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            created_by: stored.created_by.clone(),
            updated_by: stored.updated_by.clone(),
        }
    }
}

/// The answer to a change that gave fields tagway does not act on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Ignored {
    /// Fields of the request that were stored and have no effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) ignored_fields: Vec<String>,
}

impl From<&Map<String, Value>> for Ignored {
    fn from(fields: &Map<String, Value>) -> Self {
        Self { ignored_fields: fields.keys().cloned().collect() }
    }
}

/// An object as answers show it: its fields, what it keeps without acting on it, its id under this name, what
/// was spent on it, and its history.
pub(super) fn row<T: Object>(stored: &Stored<T>, id: &str, spend: i64) -> Map<String, Value> {
    let mut fields = object(&stored.object);
    let ignored = fields.shift_remove("ignored");
    let mut row = ignored.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    row.extend(fields);
    row.insert(id.to_owned(), stored.id.as_str().into());
    row.insert("spend".to_owned(), dollars(spend).into());
    row.extend(object(&History::from(stored)));
    blank::fill(T::KIND, &mut row);
    repeat_in_metadata(&mut row);
    renew(&mut row);
    row
}

/// When a budget begins anew; the time that was written down may have passed.
pub(super) fn reset_at(limits: &Limits) -> Option<Timestamp> {
    limits.window()?.end(Timestamp::now())
}

/// The same, among the fields of an object that is shown.
pub(super) fn renew(row: &mut Map<String, Value>) {
    if !row.get("budget_duration").is_some_and(Value::is_string) {
        return;
    }
    let limits: Option<Limits> = serde_json::from_value(Value::Object(row.clone())).ok();
    if let Some(at) = limits.as_ref().and_then(reset_at) {
        row.insert("budget_reset_at".to_owned(), at.to_string().into());
    }
}

/// A user as one may see it who can name it a member of something, and is no admin: who it is, and nothing of what it
/// may do elsewhere or has spent.
pub(super) fn only_who(user: &mut Map<String, Value>) {
    user.retain(|field, _| matches!(field.as_str(), "user_id" | "user_email" | "user_alias"));
}

/// Limits by model stand in `metadata` as well: there LiteLLM keeps them, and its clients look for them.
pub(super) fn repeat_in_metadata(row: &mut Map<String, Value>) {
    for name in IN_METADATA {
        let Some(limit) = row.get(*name).filter(|limit| !limit.is_null()).cloned() else { continue };
        if let Some(metadata) = row.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert((*name).to_owned(), limit);
        }
    }
}

/// Nano-dollars in dollars.
#[expect(clippy::cast_precision_loss, reason = "shown to people; the store keeps the exact figure")]
pub(super) fn dollars(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// Dollars in nano-dollars.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
pub(super) fn nanos(dollars: f64) -> i64 {
    (dollars * 1e9).round() as i64
}

//! A stored object and the columns beside it.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use sqlx::FromRow;

use super::StoreError;
use crate::objects::Object;

/// The columns of every kind of object.
pub(super) const COLUMNS: &str = "id, created_at, updated_at, created_by, updated_by, version, body";

/// A row of them.
#[derive(FromRow)]
pub(super) struct ObjectRow {
    pub(super) id: String,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) created_by: Option<String>,
    pub(super) updated_by: Option<String>,
    pub(super) version: i64,
    pub(super) body: String,
}

/// An object with what the store knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Stored<T> {
    pub(crate) id: String,
    pub(crate) object: T,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) created_by: Option<String>,
    pub(crate) updated_by: Option<String>,
    /// Counts its changes.
    pub(crate) version: i64,
}

impl<T: Object> Stored<T> {
    pub(super) fn from_row(row: ObjectRow) -> Result<Self, StoreError> {
        let object = serde_json::from_str(&row.body).map_err(|error| StoreError::Unreadable {
            table: T::KIND.table(),
            id: row.id.clone(),
            why: error.to_string(),
        })?;
        Ok(Self {
            id: row.id,
            object,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
            created_by: row.created_by,
            updated_by: row.updated_by,
            version: row.version,
        })
    }
}

/// A column's time.
pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The time now, as columns have it.
pub(super) fn now_millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

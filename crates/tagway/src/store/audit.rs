//! The audit: every change, the newest first.

use sqlx::FromRow;

use super::StoreError;
use super::db::{Arg, Db};

/// A change of an object.
#[derive(Debug, FromRow)]
pub(crate) struct AuditRow {
    /// Grows with time.
    pub(crate) seq: i64,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) actor: String,
    pub(crate) role: String,
    /// `created`, `updated`, `deleted`
    pub(crate) action: String,
    pub(crate) kind: String,
    pub(crate) id: String,
    /// JSON without secrets.
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// Which of them.
#[derive(Debug, Default)]
pub(crate) struct AuditFilter<'a> {
    pub(crate) kind: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) actor: Option<&'a str>,
    pub(crate) action: Option<&'a str>,
    /// Before this one: the next page.
    pub(crate) before: Option<i64>,
    pub(crate) limit: i64,
}

impl Db {
    /// A page of the audit.
    pub(crate) async fn audit(&self, filter: &AuditFilter<'_>) -> Result<Vec<AuditRow>, StoreError> {
        let mut condition = "1 = 1".to_owned();
        let mut args: Vec<Arg> = Vec::new();
        let texts =
            [("kind", filter.kind), ("id", filter.id), ("actor", filter.actor), ("action", filter.action)];
        for (column, value) in texts {
            if let Some(value) = value {
                args.push(value.into());
                condition.push_str(&format!(" AND {column} = ${}", args.len()));
            }
        }
        if let Some(before) = filter.before {
            args.push(before.into());
            condition.push_str(&format!(" AND seq < ${}", args.len()));
        }
        args.push(filter.limit.into());
        let sql = format!(
            "SELECT seq, at, actor, role, action, kind, id, before, after FROM audit WHERE {condition} ORDER BY seq DESC LIMIT ${}",
            args.len()
        );
        self.all(&sql, &args).await
    }
}

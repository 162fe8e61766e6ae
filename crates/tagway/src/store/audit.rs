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
    /// Not before this time, in milliseconds since 1970.
    pub(crate) from: Option<i64>,
    /// Before this time.
    pub(crate) until: Option<i64>,
    /// Older than the change with this number: the same cost on every page.
    pub(crate) before: Option<i64>,
}

impl AuditFilter<'_> {
    /// The condition, with its arguments from `$1` on.
    fn condition(&self) -> (String, Vec<Arg>) {
        let mut condition = "1 = 1".to_owned();
        let mut args: Vec<Arg> = Vec::new();
        let mut and = |comparison: &str, arg: Option<Arg>| {
            if let Some(arg) = arg {
                args.push(arg);
                condition.push_str(&format!(" AND {comparison} ${}", args.len()));
            }
        };
        and("kind =", self.kind.map(Into::into));
        and("id =", self.id.map(Into::into));
        and("actor =", self.actor.map(Into::into));
        and("action =", self.action.map(Into::into));
        and("at >=", self.from.map(Into::into));
        and("at <", self.until.map(Into::into));
        and("seq <", self.before.map(Into::into));
        (condition, args)
    }
}

impl Db {
    /// A page of the audit.
    pub(crate) async fn audit(
        &self,
        filter: &AuditFilter<'_>,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let (condition, mut args) = filter.condition();
        args.extend([limit.into(), offset.into()]);
        let sql = format!(
            "SELECT seq, at, actor, role, action, kind, id, before, after FROM audit WHERE {condition} ORDER BY seq DESC LIMIT ${} OFFSET ${}",
            args.len() - 1,
            args.len()
        );
        self.all(&sql, &args).await
    }

    /// How many changes a filter finds.
    pub(crate) async fn audit_count(&self, filter: &AuditFilter<'_>) -> Result<i64, StoreError> {
        let (condition, args) = filter.condition();
        let sql = format!("SELECT count(*) FROM audit WHERE {condition}");
        Ok(self.one::<(i64,)>(&sql, &args).await?.map_or(0, |(count,)| count))
    }
}

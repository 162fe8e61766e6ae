//! Where identity is kept: an SQLite file or PostgreSQL. The only place that speaks SQL; it knows objects as JSON
//! with a few columns beside it, and neither who may change them nor what they mean.

mod audit;
mod changes;
mod db;
mod edit;
mod keys;
mod list;
mod open;
mod read;
mod related;
mod row;
mod seen;

pub(crate) use audit::{AuditFilter, AuditRow};
pub(crate) use changes::{Change, Changes, News};
pub(crate) use db::Db;
pub(crate) use edit::{Actor, Edit};
pub(crate) use keys::Digested;
pub(crate) use list::{Filter, Order, Page, SeenBy};
pub(crate) use open::{Place, open};
pub(crate) use related::KeysOf;
pub(crate) use row::Stored;
pub(crate) use seen::SeenTag;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be reached, or is too busy.
    #[error("the store cannot be reached: {0}")]
    Unavailable(sqlx::Error),
    /// There is none.
    #[error("this gateway has no store: give it a folder it may write to (--data-dir), or DATABASE_URL")]
    Absent,
    /// Something with this id or name is there already.
    #[error("it is there already")]
    Taken,
    /// What it refers to is not there.
    #[error("what it refers to does not exist")]
    Dangling,
    /// A row holds what this version cannot read.
    #[error("{table} {id}: {why}")]
    Unreadable { table: &'static str, id: String, why: String },
    /// Anything else the database said.
    #[error("the store failed: {0}")]
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(said) => {
                if said.is_unique_violation() {
                    return Self::Taken;
                }
                if said.is_foreign_key_violation() {
                    return Self::Dangling;
                }
                match said.code().as_deref() {
                    // PostgreSQL: shutting down, starting, too many connections, cancelled by a timeout. SQLite:
                    // busy, locked, full disk, read-only after an I/O error.
                    Some(
                        "57P01" | "57P02" | "57P03" | "53300" | "57014" | "55P03" | "5" | "6" | "10" | "13",
                    ) => Self::Unavailable(error),
                    Some(code) if code.starts_with("08") || code == "261" || code == "517" => {
                        Self::Unavailable(error)
                    }
                    _ => Self::Failed(error),
                }
            }
            _ => Self::Failed(error),
        }
    }
}

//! Where identity and the ledger are kept: an SQLite file or PostgreSQL. The only place that speaks SQL; it knows
//! objects as JSON with a few columns beside it, and neither who may change them nor what they mean.

mod activity;
mod alerts;
mod aliases;
mod amounts;
mod audit;
mod book;
mod changes;
mod counted;
mod db;
mod edit;
mod experiments;
mod export;
mod forget;
#[cfg(test)]
mod keeping_tests;
mod keys;
#[cfg(test)]
mod ledger_tests;
mod list;
mod log_days;
mod log_filter;
#[cfg(test)]
mod log_tests;
mod log_walk;
mod open;
mod postgres;
mod read;
mod related;
mod rolled;
mod row;
mod rows;
mod seen;
mod slice;
mod spend_logs;
mod subjects;
mod terms;
#[cfg(test)]
mod trial;

pub(crate) use activity::{Dim, Sums, TagView};
pub(crate) use audit::{AuditFilter, AuditRow};
pub(crate) use changes::{Change, Changes, News};
pub(crate) use db::Db;
pub(crate) use edit::{Actor, Edit};
pub(crate) use experiments::Counted;
pub(crate) use export::{DayCursor, DayRow};
pub(crate) use keys::Digested;
pub(crate) use list::{Filter, Order, Page, SeenBy};
pub(crate) use log_walk::LogPart;
pub(crate) use open::{Migrated, Place, migrate, open};
pub(crate) use related::KeysOf;
pub(crate) use row::Stored;
pub(crate) use seen::SeenTag;
pub(crate) use slice::Slice;
pub(crate) use spend_logs::{LogFilter, LogPage, LogStatus};

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
                if said.code().is_some_and(|code| passes(&code)) {
                    return Self::Unavailable(error);
                }
                Self::Failed(error)
            }
            _ => Self::Failed(error),
        }
    }
}

/// Whether a database that says so may do it when asked again.
fn passes(code: &str) -> bool {
    if code.len() != 5 {
        // SQLite, whose higher bits say more than is asked here: busy, locked, out of memory, I/O error, full disk,
        // file cannot be opened.
        return code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 10 | 13 | 14));
    }
    match code.get(..2) {
        // PostgreSQL: connection lost, credentials (being changed), no such database (being restored), no room or no
        // connection left, ended or not started by the operator, its disk.
        Some("08" | "28" | "3D" | "53" | "57" | "58") => true,
        // Deadlock, serialisation, lock not available, idle too long, a standby, connections not allowed.
        _ => matches!(code, "40P01" | "40001" | "55P03" | "25P03" | "25006" | "55000"),
    }
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        for code in ["57P01", "57P03", "57014", "08006", "53300", "40P01", "5", "517", "261", "778", "14"] {
            assert!(passes(code), "{code}");
        }
        for code in ["42P01", "42601", "22P02", "23502", "1", "1299", "11"] {
            assert!(!passes(code), "{code}");
        }
    }
}

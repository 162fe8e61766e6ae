//! Two databases behind one set of statements: the text of a statement and its arguments are the same for both,
//! so that only this file tells them apart.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite, Transaction};

use super::StoreError;
use super::postgres::{Pools, within};

/// The store's connections.
#[derive(Debug, Clone)]
pub(crate) enum Db {
    Sqlite {
        /// SQLite has one writer at a time: so have we, and nobody waits inside the database.
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(Pools),
    /// No store: the place for it cannot be written, and nobody asked for it.
    Absent,
}

/// An argument of a statement.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Text(String),
    MaybeText(Option<String>),
    Int(i64),
    MaybeInt(Option<i64>),
    Bytes(Vec<u8>),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<&str>> for Arg {
    fn from(text: Option<&str>) -> Self {
        Self::MaybeText(text.map(str::to_owned))
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Option<i64>> for Arg {
    fn from(number: Option<i64>) -> Self {
        Self::MaybeInt(number)
    }
}

impl From<&[u8]> for Arg {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

/// Rows of either database.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static
{}

macro_rules! bound {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for arg in $args {
            query = match arg {
                Arg::Text(text) => query.bind(text.clone()),
                Arg::MaybeText(text) => query.bind(text.clone()),
                Arg::Int(number) => query.bind(*number),
                Arg::MaybeInt(number) => query.bind(*number),
                Arg::Bytes(bytes) => query.bind(bytes.clone()),
            };
        }
        query
    }};
}

const POSTGRES_CLOCK: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
const SQLITE_CLOCK: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

impl Db {
    /// The store's time as an expression, in milliseconds since 1970: the same clock for all gateways.
    pub(super) fn clock(&self) -> &'static str {
        if self.is_postgres() { POSTGRES_CLOCK } else { SQLITE_CLOCK }
    }

    /// Reads rows. `sql` holds no text from outside: that goes into `args`, for `$1`, `$2`, ….
    pub(super) async fn all<T: Row>(&self, sql: &str, args: &[Arg]) -> Result<Vec<T>, StoreError> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite { read, .. } => bound!(sqlx::query_as(sql), args).fetch_all(read).await,
            Self::Postgres(Pools { pool, silence, .. }) => {
                within(*silence, bound!(sqlx::query_as(sql), args).fetch_all(pool)).await
            }
            Self::Absent => return Err(StoreError::Absent),
        }?)
    }

    /// Reads one row, if it is there.
    pub(super) async fn one<T: Row>(&self, sql: &str, args: &[Arg]) -> Result<Option<T>, StoreError> {
        Ok(self.all(sql, args).await?.into_iter().next())
    }

    /// Begins to write.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(Pools { pool, silence, .. }) => {
                Tx::Postgres(PgTx { tx: within(*silence, pool.begin()).await?, silence: *silence })
            }
            Self::Absent => return Err(StoreError::Absent),
        })
    }

    /// Whether it is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(Pools { pool, inner, .. }) => {
                inner.close().await;
                pool.close().await;
            }
            Self::Absent => {}
        }
    }
}

/// Writes that happen together or not at all.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(PgTx),
}

pub(super) struct PgTx {
    pub(super) tx: Transaction<'static, Postgres>,
    /// An answer that takes longer will not come.
    pub(super) silence: Duration,
}

impl Tx {
    /// Runs a statement; says how many rows it touched.
    pub(super) async fn run(&mut self, sql: &str, args: &[Arg]) -> Result<u64, StoreError> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(tx) => bound!(sqlx::query(sql), args).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(PgTx { tx, silence }) => {
                within(*silence, bound!(sqlx::query(sql), args).execute(&mut **tx)).await?.rows_affected()
            }
        })
    }

    /// Reads rows as this transaction sees them.
    pub(super) async fn all<T: Row>(&mut self, sql: &str, args: &[Arg]) -> Result<Vec<T>, StoreError> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(tx) => bound!(sqlx::query_as(sql), args).fetch_all(&mut **tx).await,
            Self::Postgres(PgTx { tx, silence }) => {
                within(*silence, bound!(sqlx::query_as(sql), args).fetch_all(&mut **tx)).await
            }
        }?)
    }

    /// What makes a read row wait for its last writer and keep the next one out. SQLite has one writer anyway.
    pub(super) fn lock(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE",
        }
    }

    /// Whether it is PostgreSQL's.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// The store's time as an expression, in milliseconds since 1970: the same clock for all gateways.
    pub(super) fn clock(&self) -> &'static str {
        if self.is_postgres() { POSTGRES_CLOCK } else { SQLITE_CLOCK }
    }

    /// Tells the other gateways, once the transaction is there.
    pub(super) async fn notify(&mut self, payload: &str) -> Result<(), StoreError> {
        if let Self::Postgres(_) = self {
            self.run("SELECT pg_notify('tagway_changes', $1)", &[payload.into()]).await?;
        }
        Ok(())
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(PgTx { tx, silence }) => within(silence, tx.commit()).await,
        }?)
    }
}

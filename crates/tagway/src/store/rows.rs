//! Many rows in one statement, cheaply on both databases: PostgreSQL takes a column as one array; SQLite takes values
//! without names, since it looks for each name among all of them.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, SqlSafeStr as _};

use super::StoreError;
use super::db::{Arg, Db, PgTx, Row, Tx};
use super::postgres::{Pools, within};

/// As many rows go into one statement of SQLite's.
const MOST: usize = 512;
/// As many go into one of PostgreSQL's: it is to take no longer than a statement may.
const MOST_IN_ARRAYS: usize = 5_000;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cells {
    Ints,
    Texts,
    Bytes,
}

impl Cells {
    fn array(self) -> &'static str {
        match self {
            Self::Ints => "bigint[]",
            Self::Texts => "text[]",
            Self::Bytes => "bytea[]",
        }
    }
}

/// Rows on their way to a table.
pub(super) struct Rows<'c> {
    /// `table (columns)`
    pub(super) into: &'c str,
    /// What the columns hold.
    pub(super) columns: &'c [Cells],
    /// The cells of all rows, row by row.
    pub(super) cells: Vec<Arg>,
    /// An expression that each row has at its end, with a comma before it.
    pub(super) more: &'c str,
    /// What comes after the rows: what to do about those that are there, what to give back.
    pub(super) then: &'c str,
}

/// SQLite's arguments, in a list of their own: a query that is given one after the other is moved for each.
fn bound(args: Vec<Arg>) -> Result<SqliteArguments, StoreError> {
    let mut bound = SqliteArguments::default();
    bound.reserve(args.len(), 0);
    for arg in args {
        let added = match arg {
            Arg::Text(text) => bound.add(text),
            Arg::MaybeText(text) => bound.add(text),
            Arg::Int(number) => bound.add(number),
            Arg::MaybeInt(number) => bound.add(number),
            Arg::Bytes(bytes) => bound.add(bytes),
        };
        added.map_err(|error| StoreError::Failed(sqlx::Error::Encode(error)))?;
    }
    Ok(bound)
}

macro_rules! bound_to_postgres {
    ($query:expr, $columns:expr) => {{
        let mut query = $query;
        for column in $columns {
            query = match column {
                Column::Ints(numbers) => query.bind(numbers),
                Column::Texts(texts) => query.bind(texts),
                Column::Bytes(bytes) => query.bind(bytes),
            };
        }
        query
    }};
}

/// A column as PostgreSQL takes it.
enum Column {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Vec<u8>>),
}

impl Column {
    fn new(cells: Cells, rows: usize) -> Self {
        match cells {
            Cells::Ints => Self::Ints(Vec::with_capacity(rows)),
            Cells::Texts => Self::Texts(Vec::with_capacity(rows)),
            Cells::Bytes => Self::Bytes(Vec::with_capacity(rows)),
        }
    }

    /// Adds a cell. One of another kind is nothing.
    fn push(&mut self, cell: Arg) {
        match (self, cell) {
            (Self::Ints(numbers), Arg::Int(number)) => numbers.push(Some(number)),
            (Self::Ints(numbers), Arg::MaybeInt(number)) => numbers.push(number),
            (Self::Ints(numbers), _) => numbers.push(None),
            (Self::Texts(texts), Arg::Text(text)) => texts.push(Some(text)),
            (Self::Texts(texts), Arg::MaybeText(text)) => texts.push(text),
            (Self::Texts(texts), _) => texts.push(None),
            (Self::Bytes(all), Arg::Bytes(bytes)) => all.push(bytes),
            (Self::Bytes(all), _) => all.push(Vec::new()),
        }
    }
}

impl Tx {
    /// Writes rows; says how many.
    pub(super) async fn write(&mut self, rows: Rows<'_>) -> Result<u64, StoreError> {
        let mut written = 0;
        let is_postgres = self.is_postgres();
        for (sql, args) in statements(rows, is_postgres) {
            let sql = AssertSqlSafe(sql).into_sql_str();
            written += match (&mut *self, args) {
                (Self::Sqlite(tx), Args::Single(args)) => {
                    sqlx::query_with(sql, bound(args)?).execute(&mut **tx).await?.rows_affected()
                }
                (Self::Postgres(PgTx { tx, silence }), Args::Columns(columns)) => {
                    let query = bound_to_postgres!(sqlx::query(sql), columns);
                    within(*silence, query.execute(&mut **tx)).await?.rows_affected()
                }
                _ => 0,
            };
        }
        Ok(written)
    }

    /// Writes rows; gives back what `then` says.
    pub(super) async fn write_returning<T: Row>(&mut self, rows: Rows<'_>) -> Result<Vec<T>, StoreError> {
        let mut returned = Vec::new();
        let is_postgres = self.is_postgres();
        for (sql, args) in statements(rows, is_postgres) {
            let sql = AssertSqlSafe(sql).into_sql_str();
            returned.extend(match (&mut *self, args) {
                (Self::Sqlite(tx), Args::Single(args)) => {
                    sqlx::query_as_with(sql, bound(args)?).fetch_all(&mut **tx).await?
                }
                (Self::Postgres(PgTx { tx, silence }), Args::Columns(columns)) => {
                    let query = bound_to_postgres!(sqlx::query_as(sql), columns);
                    within(*silence, query.fetch_all(&mut **tx)).await?
                }
                _ => Vec::new(),
            });
        }
        Ok(returned)
    }

    /// Reads the rows of a statement that ends in a column, for those values of it.
    pub(super) async fn among<T: Row>(
        &mut self,
        select: &str,
        values: Vec<Arg>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::with_capacity(values.len());
        let is_postgres = self.is_postgres();
        for (sql, args) in questions(select, values, is_postgres) {
            let sql = AssertSqlSafe(sql).into_sql_str();
            found.extend(match (&mut *self, args) {
                (Self::Sqlite(tx), Args::Single(args)) => {
                    sqlx::query_as_with(sql, bound(args)?).fetch_all(&mut **tx).await?
                }
                (Self::Postgres(PgTx { tx, silence }), Args::Columns(columns)) => {
                    let query = bound_to_postgres!(sqlx::query_as(sql), columns);
                    within(*silence, query.fetch_all(&mut **tx)).await?
                }
                _ => Vec::new(),
            });
        }
        Ok(found)
    }
}

impl Db {
    /// Reads the rows of a statement that ends in a column, for those values of it.
    pub(super) async fn among<T: Row>(&self, select: &str, values: Vec<Arg>) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::with_capacity(values.len());
        for (sql, args) in questions(select, values, self.is_postgres()) {
            let sql = AssertSqlSafe(sql).into_sql_str();
            found.extend(match (self, args) {
                (Self::Sqlite { read, .. }, Args::Single(args)) => {
                    sqlx::query_as_with(sql, bound(args)?).fetch_all(read).await?
                }
                (Self::Postgres(Pools { pool, silence, .. }), Args::Columns(columns)) => {
                    within(*silence, bound_to_postgres!(sqlx::query_as(sql), columns).fetch_all(pool)).await?
                }
                _ => return Err(StoreError::Absent),
            });
        }
        Ok(found)
    }
}

/// The arguments of a statement.
enum Args {
    /// SQLite's, one by one.
    Single(Vec<Arg>),
    /// PostgreSQL's, a column each.
    Columns(Vec<Column>),
}

/// The statements that write rows.
fn statements(rows: Rows<'_>, postgres: bool) -> Vec<(String, Args)> {
    let Rows { into, columns, cells, more, then } = rows;
    let width = columns.len().max(1);
    let mut statements = Vec::new();
    for (count, cells) in parts(cells, width, postgres) {
        statements.push(if postgres {
            let mut arrays: Vec<Column> = columns.iter().map(|kind| Column::new(*kind, count)).collect();
            for (place, cell) in cells.into_iter().enumerate() {
                if let Some(column) = arrays.get_mut(place % width) {
                    column.push(cell);
                }
            }
            let places: Vec<String> = columns
                .iter()
                .enumerate()
                .map(|(at, kind)| format!("${}::{}", at + 1, kind.array()))
                .collect();
            let from = places.join(", ");
            (
                format!("INSERT INTO {into} SELECT u.*{more} FROM unnest({from}) AS u {then}"),
                Args::Columns(arrays),
            )
        } else {
            let row = format!("({}{more})", vec!["?"; width].join(", "));
            let rows = vec![row; count].join(", ");
            (format!("INSERT INTO {into} VALUES {rows} {then}"), Args::Single(cells))
        });
    }
    statements
}

/// The statements that read rows by one column.
fn questions(select: &str, values: Vec<Arg>, postgres: bool) -> Vec<(String, Args)> {
    let kind = match values.first() {
        Some(Arg::Int(_) | Arg::MaybeInt(_)) => Cells::Ints,
        Some(Arg::Bytes(_)) => Cells::Bytes,
        _ => Cells::Texts,
    };
    let mut statements = Vec::new();
    for (count, values) in parts(values, 1, postgres) {
        statements.push(if postgres {
            let mut column = Column::new(kind, count);
            values.into_iter().for_each(|value| column.push(value));
            (format!("{select} = ANY($1::{})", kind.array()), Args::Columns(vec![column]))
        } else {
            (format!("{select} IN ({})", vec!["?"; count].join(", ")), Args::Single(values))
        });
    }
    statements
}

/// Cuts cells into parts for one statement each, in their order, with the number of their rows. SQLite's are powers of
/// two, so that there are few texts of statements: what was prepared is kept.
fn parts(mut cells: Vec<Arg>, width: usize, postgres: bool) -> Vec<(usize, Vec<Arg>)> {
    let mut parts = Vec::new();
    let mut left = cells.len() / width;
    // From the end, where a part can be taken without moving the rest: the small ones first.
    let mut lengths = Vec::new();
    while let Some(bits) = left.checked_ilog2() {
        let length = if postgres { left.min(MOST_IN_ARRAYS) } else { MOST.min(1 << bits) };
        lengths.push(length);
        left -= length;
    }
    for length in lengths.into_iter().rev() {
        parts.push((length, cells.split_off(cells.len() - length * width)));
    }
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(count: i64, postgres: bool) -> Vec<usize> {
        let cells: Vec<Arg> = (0..2 * count).map(Arg::Int).collect();
        let parts = parts(cells, 2, postgres);
        let numbers = parts.iter().flat_map(|(_, cells)| cells).map(|cell| match cell {
            Arg::Int(number) => *number,
            _ => -1,
        });
        assert!(numbers.eq(0..2 * count), "in their order");
        parts.iter().map(|(length, _)| *length).collect()
    }

    #[test]
    fn rows_are_cut_in_their_order() {
        assert_eq!(lengths(0, false), [0; 0]);
        assert_eq!(lengths(1, false), [1]);
        assert_eq!(lengths(7, false), [4, 2, 1]);
        assert_eq!(lengths(1_100, false), [512, 512, 64, 8, 4]);
        assert_eq!(lengths(12_000, true), [5_000, 5_000, 2_000]);
    }

    #[test]
    fn each_database_is_given_rows_as_it_likes_them() {
        let rows = || Rows {
            into: "t (a, b, at)",
            columns: &[Cells::Ints, Cells::Texts],
            cells: vec![1.into(), "x".into(), 2.into(), "y".into()],
            more: ", now()",
            then: "RETURNING a",
        };
        let text = |postgres| statements(rows(), postgres).remove(0).0;
        assert_eq!(text(false), "INSERT INTO t (a, b, at) VALUES (?, ?, now()), (?, ?, now()) RETURNING a");
        assert_eq!(
            text(true),
            "INSERT INTO t (a, b, at) SELECT u.*, now() FROM unnest($1::bigint[], $2::text[]) AS u RETURNING a"
        );
    }
}

//! Opening the store: which database, with which limits, brought to the newest schema first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection};

use super::db::Db;
use super::postgres;

static SQLITE: Migrator = sqlx::migrate!("src/store/migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("src/store/migrations/postgres");

/// Waits for a connection no longer than this: a management request then gets an answer, if a bad one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kibibytes of the file that its writer keeps in memory, as SQLite wants it said.
const CACHE: &str = "-16384";
/// The same of a reader: who follows the log asks for the subject of each request.
const READ_CACHE: &str = "-8192";
/// Pages of 4 KiB that the log has before they are copied to the file.
const CHECKPOINT: &str = "8000";

/// Where the store is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A file in this folder.
    Folder(PathBuf),
    /// `postgresql://…`
    Postgres { url: String, connections: u32 },
}

impl Place {
    /// For people; without the password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => file(folder).display().to_string(),
            Self::Postgres { url, .. } => match url::Url::parse(url) {
                Ok(url) => format!(
                    "PostgreSQL at {}:{}{}",
                    url.host_str().unwrap_or("localhost"),
                    url.port().unwrap_or(5432),
                    url.path()
                ),
                Err(_) => "PostgreSQL".to_owned(),
            },
        }
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("tagway.db")
}

/// What bringing a store up to date did.
#[derive(Debug, Default)]
pub(crate) struct Migrated {
    /// The steps taken, by number and name; none when it was up to date.
    pub(crate) steps: Vec<(i64, String)>,
    /// Where it stands now.
    pub(crate) version: i64,
}

/// Opens the store and brings its schema up to date.
///
/// # Errors
/// The database cannot be reached, or its schema cannot be changed.
pub(crate) async fn open(place: &Place) -> anyhow::Result<Db> {
    migrate(place).await?;
    connect(place).await
}

/// The connections to a store, whatever its schema.
async fn connect(place: &Place) -> anyhow::Result<Db> {
    match place {
        Place::Folder(folder) => {
            let options = sqlite(folder);
            let write = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(Duration::from_secs(30))
                .connect_with(for_writing(options.clone()))
                .await?;
            let read = SqlitePoolOptions::new()
                .max_connections(4)
                .acquire_timeout(PATIENCE)
                .connect_lazy_with(options.read_only(true).pragma("cache_size", READ_CACHE));
            Ok(Db::Sqlite { write, read })
        }
        Place::Postgres { url, connections } => Ok(postgres::open(url, *connections)?),
    }
}

/// Brings the schema up to date. Several gateways may do so at once: a lock lets one after the other look.
///
/// # Errors
/// The database cannot be reached, or its schema cannot be changed.
pub(crate) async fn migrate(place: &Place) -> anyhow::Result<Migrated> {
    match place {
        Place::Folder(folder) => {
            make_private(folder)?;
            // SQLite has no lock that outlives a transaction, and changes its journal mode without waiting.
            let lock = std::fs::File::create(folder.join("tagway.lock"))?;
            let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await?;
            let lock = lock.context("cannot lock the folder")?;
            let mut connection = SqliteConnection::connect_with(&sqlite(folder)).await?;
            let before = steps(&SQLITE, sqlx::query_scalar(APPLIED).fetch_all(&mut connection).await);
            SQLITE.run(&mut connection).await?;
            connection.close().await?;
            drop(lock);
            Ok(before)
        }
        Place::Postgres { url, .. } => {
            let mut connection: PgConnection = postgres::connect(url).await?;
            let before = steps(&POSTGRES, sqlx::query_scalar(APPLIED).fetch_all(&mut connection).await);
            POSTGRES.run(&mut connection).await?;
            connection.close().await?;
            Ok(before)
        }
    }
}

const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success";

/// What is to be done. Where the list cannot be read, there is none yet.
fn steps(migrator: &Migrator, applied: Result<Vec<i64>, sqlx::Error>) -> Migrated {
    let applied = applied.unwrap_or_default();
    let left = migrator.iter().filter(|step| !applied.contains(&step.version));
    Migrated {
        steps: left.map(|step| (step.version, step.description.to_string())).collect(),
        version: migrator.iter().map(|step| step.version).max().unwrap_or_default(),
    }
}

fn sqlite(folder: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file(folder))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What was acknowledged survives a loss of power, too.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
}

/// The writer books receipts by the thousand into tables with indexes all over: with pages at hand, and copied from the
/// log to the file seldom, each is written and read less often.
fn for_writing(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .pragma("cache_size", CACHE)
        .pragma("wal_autocheckpoint", CHECKPOINT)
        .pragma("temp_store", "memory")
        // What was prepared for parts of all lengths is kept.
        .statement_cache_capacity(256)
}

/// Makes the folder, for its owner alone.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens a fresh store as it was after an earlier step.
#[cfg(test)]
pub(super) async fn open_after(step: i64, place: &Place) -> anyhow::Result<Db> {
    match place {
        Place::Folder(folder) => {
            SQLITE.run_to(step, &mut SqliteConnection::connect_with(&sqlite(folder)).await?).await?;
        }
        Place::Postgres { url, .. } => POSTGRES.run_to(step, &mut postgres::connect(url).await?).await?,
    }
    connect(place).await
}

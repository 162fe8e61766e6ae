//! Opening the store: which database, with which limits, brought to the newest schema first.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::db::Db;

static SQLITE: Migrator = sqlx::migrate!("src/store/migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("src/store/migrations/postgres");

/// Waits for a connection no longer than this: a management request then gets an answer, if a bad one.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Opens the store and brings its schema up to date. Several gateways may do so at once: a lock in the database
/// lets one of them migrate.
///
/// # Errors
/// The database cannot be reached, or its schema cannot be changed.
pub(crate) async fn open(place: &Place) -> anyhow::Result<Db> {
    match place {
        Place::Folder(folder) => {
            make_private(folder)?;
            let options = SqliteConnectOptions::new()
                .filename(file(folder))
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // What was acknowledged survives a loss of power, too.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(PATIENCE);
            let write = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(Duration::from_secs(30))
                .connect_with(options.clone())
                .await?;
            SQLITE.run(&write).await?;
            let read = SqlitePoolOptions::new()
                .max_connections(4)
                .acquire_timeout(PATIENCE)
                .connect_lazy_with(options.read_only(true));
            Ok(Db::Sqlite { write, read })
        }
        Place::Postgres { url, connections } => {
            let options = PgConnectOptions::from_str(url)?
                .application_name("tagway")
                .options([("statement_timeout", "15000"), ("idle_in_transaction_session_timeout", "15000")]);
            let pool = PgPoolOptions::new()
                .max_connections(*connections)
                .acquire_timeout(PATIENCE)
                .max_lifetime(Duration::from_secs(1800))
                .connect_with(options)
                .await?;
            POSTGRES.run(&pool).await?;
            Ok(Db::Postgres(pool))
        }
    }
}

/// Makes the folder, for its owner alone.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

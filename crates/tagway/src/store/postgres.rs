//! Connections to PostgreSQL: how many, how patient, and how they end when the network swallows what they send.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::time::{sleep, timeout};

use super::db::Db;

/// A management request waits for a connection no longer than this …
const PATIENCE: Duration = Duration::from_secs(5);
/// … and the keeper of keys no longer than this: requests wait for it.
const HASTE: Duration = Duration::from_secs(2);
/// A start waits so long for a database that starts as well.
const START: Duration = Duration::from_secs(15);
/// The server ends longer statements, and transactions that idle as long.
const LONGEST: Duration = Duration::from_secs(10);
/// Nothing is waited for longer than this on a connection: the server does not end what does not reach it.
const SILENCE: Duration = Duration::from_secs(12);
/// Connections apart from those of management: one that listens, one for the keeper, one that looks for changes.
const INNER: u32 = 3;

/// Parameters that the driver knows. LiteLLM's URLs have others, meant for another driver.
const KNOWN: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The connections.
#[derive(Debug, Clone)]
pub(crate) struct Pools {
    pub(super) pool: PgPool,
    /// A few that management cannot take.
    pub(super) inner: PgPool,
    /// An answer that takes longer will not come.
    pub(super) silence: Duration,
}

/// Where to connect, and the schema that `?schema=` names.
fn options(url: &str) -> Result<(PgConnectOptions, Option<String>), sqlx::Error> {
    let mut url = url::Url::parse(url).map_err(|error| sqlx::Error::Configuration(error.into()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(sqlx::Error::Configuration("not a postgresql:// URL".into()));
    }
    let (known, foreign): (Vec<_>, Vec<_>) = url
        .query_pairs()
        .into_owned()
        .partition(|(name, _)| KNOWN.contains(&name.as_str()) || name.starts_with("options["));
    url.query_pairs_mut().clear().extend_pairs(known);
    let schema = foreign.into_iter().find(|(name, value)| name == "schema" && value != "public");
    let options = PgConnectOptions::from_str(url.as_str())?.application_name("tagway");
    Ok((options, schema.map(|(_, name)| format!("\"{}\"", name.replace('"', "\"\"")))))
}

/// One connection, with the time a migration needs. Waits for a database that starts.
pub(super) async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    let (options, schema) = options(url)?;
    let connecting = async {
        loop {
            match PgConnection::connect_with(&options).await {
                Err(sqlx::Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(sqlx::Error::Database(said)) if said.is_transient_in_connect_phase() => {}
                connected => return connected,
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    let mut connection = within(START, connecting).await?;
    if let Some(schema) = schema {
        let make = format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path TO {schema}");
        connection.execute(AssertSqlSafe(make)).await?;
    }
    Ok(connection)
}

/// The pools; connects when there is something to ask.
pub(super) fn open(url: &str, connections: u32) -> Result<Db, sqlx::Error> {
    let (options, schema) = options(url)?;
    let longest = LONGEST.as_millis();
    // Not among the connection's parameters: poolers refuse those.
    let mut settings =
        format!("SET statement_timeout = {longest}; SET idle_in_transaction_session_timeout = {longest}");
    if let Some(schema) = schema {
        settings.push_str(&format!("; SET search_path TO {schema}"));
    }
    let pool = |most: u32, patience: Duration| -> PgPool {
        let settings = settings.clone();
        PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(patience)
            .max_lifetime(Duration::from_secs(1800))
            .after_connect(move |connection, _| {
                let settings = AssertSqlSafe(settings.clone());
                Box::pin(async move { connection.execute(settings).await.map(|_| ()) })
            })
            .after_release(|connection, meta| Box::pin(sound(connection, meta)))
            .connect_lazy_with(options.clone())
    };
    Ok(Db::Postgres(Pools {
        pool: pool(connections.saturating_sub(INNER).max(1), PATIENCE),
        inner: pool(INNER, HASTE),
        silence: SILENCE,
    }))
}

/// Whether a connection may go back to the pool. The pool asks it as well, but would wait for ever, and keep its
/// place meanwhile.
async fn sound(connection: &mut PgConnection, _: PoolConnectionMetadata) -> Result<bool, sqlx::Error> {
    Ok(timeout(HASTE, connection.ping()).await.is_ok_and(|answer| answer.is_ok()))
}

/// What comes in time.
pub(super) async fn within<T>(
    most: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    timeout(most, work).await.unwrap_or_else(|_| late())
}

impl Db {
    /// The same store for what requests wait for: its connections are its own, so that no amount of management
    /// keeps it waiting, and it gives up sooner.
    pub(crate) fn hasty(&self) -> Self {
        match self {
            Self::Postgres(Pools { inner, .. }) => {
                Self::Postgres(Pools { pool: inner.clone(), inner: inner.clone(), silence: HASTE })
            }
            other => other.clone(),
        }
    }
}

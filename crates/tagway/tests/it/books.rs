//! What is in the books: the rows of the log of a store, read behind the gateway's back.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::gateway::PATIENCE;
use crate::stores::Home;

/// A request in the books.
#[derive(Debug, Clone)]
pub struct Row {
    pub call_id: String,
    pub status: i64,
    /// Nano-dollars.
    pub cost: Option<i64>,
    pub rest: Value,
}

impl Row {
    pub fn tokens(&self) -> (u64, u64) {
        let count = |name: &str| self.rest["usage"][name].as_u64().unwrap_or_default();
        (count("prompt"), count("completion"))
    }

    pub fn estimated(&self) -> bool {
        self.rest["usage"]["estimated"] == true
    }
}

const LOG: &str = "SELECT call_id, status, cost, body, about FROM spend_logs l JOIN spend_log_subjects s ON s.id = subject_id ORDER BY l.id";

type Columns = (String, i64, Option<i64>, String, String);

/// All rows, the oldest first.
pub async fn rows(home: &Home) -> Vec<Row> {
    let rows: Vec<Columns> = match home {
        Home::Folder(dir) => in_file(&dir.path().join("data/tagway.db")).await,
        Home::Database(database) => {
            let mut database = PgConnection::connect(database.url.as_str()).await.unwrap();
            sqlx::query_as(LOG).fetch_all(&mut database).await.unwrap()
        }
    };
    let row = |(call_id, status, cost, body, about): Columns| {
        let mut rest: serde_json::Map<String, Value> = serde_json::from_str(&body).unwrap();
        rest.extend(serde_json::from_str::<serde_json::Map<String, Value>>(&about).unwrap());
        Row { call_id, status, cost, rest: rest.into() }
    };
    rows.into_iter().map(row).collect()
}

async fn in_file(file: &Path) -> Vec<Columns> {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(PATIENCE);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query_as(LOG).fetch_all(&mut database).await.unwrap()
}

/// The rows, once there are `count` of them.
pub async fn until_rows(home: &Home, count: usize) -> Vec<Row> {
    let began = Instant::now();
    loop {
        let rows = rows(home).await;
        if count <= rows.len() {
            return rows;
        }
        assert!(began.elapsed() < PATIENCE, "{} of {count} rows: {rows:?}", rows.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many rows each call id has.
pub fn by_call(rows: &[Row]) -> HashMap<&str, usize> {
    rows.iter().fold(HashMap::new(), |mut count, row| {
        *count.entry(row.call_id.as_str()).or_default() += 1;
        count
    })
}

//! Stores for tests of this module: a file, and a database of its own where PostgreSQL is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tagway_core::money::Nanos;
use tagway_core::usage::Usage;
use tempfile::TempDir;

use super::open::{Place, open, open_after};
use super::{Db, StoreError};
use crate::receipt::{Booking, Payer, Receipt, Subject};

/// A fresh store.
pub(super) struct Trial {
    pub(super) db: Db,
    pub(super) place: Place,
    _folder: Option<TempDir>,
    database: Option<(String, String)>,
}

impl Trial {
    /// One on each database there is.
    pub(super) async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for Room { place, folder, database } in Room::all().await {
            all.push(Self { db: open(&place).await.unwrap(), place, _folder: folder, database });
        }
        all
    }

    /// The same, as they were after a step of their schema.
    pub(super) async fn all_after(step: i64) -> Vec<Self> {
        let mut all = Vec::new();
        for Room { place, folder, database } in Room::all().await {
            all.push(Self { db: open_after(step, &place).await.unwrap(), place, _folder: folder, database });
        }
        all
    }

    /// The whole of a query's first column of whole numbers.
    pub(super) async fn numbers(&self, sql: &str) -> Result<Vec<i64>, StoreError> {
        Ok(self.db.all::<(i64,)>(sql, &[]).await?.into_iter().map(|(number,)| number).collect())
    }

    /// Ends it.
    pub(super) async fn end(self) {
        self.db.close().await;
        if let Some((admin, name)) = self.database {
            run(&admin, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

/// Where a store may be.
struct Room {
    place: Place,
    folder: Option<TempDir>,
    database: Option<(String, String)>,
}

impl Room {
    async fn all() -> Vec<Self> {
        let folder = TempDir::new().unwrap();
        let place = Place::Folder(folder.path().to_owned());
        let mut all = vec![Self { place, folder: Some(folder), database: None }];
        if let Ok(url) = std::env::var("TAGWAY_TEST_POSTGRES_URL") {
            all.push(Self::postgres(url).await);
        }
        all
    }

    async fn postgres(admin: String) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tagway_unit_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run(&admin, format!("CREATE DATABASE {name}")).await;
        let mut url = url::Url::parse(&admin).unwrap();
        url.set_path(&name);
        let place = Place::Postgres { url: url.to_string(), connections: 10 };
        Self { place, folder: None, database: Some((admin, name)) }
    }
}

async fn run(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

/// Books as often as it takes: SQLite lets one write at a time, and who waits too long is to come again.
pub(super) async fn book(db: &Db, receipts: &[Receipt]) {
    loop {
        match db.book(receipts).await {
            Err(StoreError::Unavailable(_)) => {}
            booked => break drop(booked.unwrap()),
        }
    }
}

/// A request that began at a time and cost a thousand nano-dollars.
pub(super) fn receipt(number: u128, began: i64) -> Receipt {
    Receipt {
        id: Receipt::first_id(began) + number,
        named: format!("call-{number}").into(),
        began,
        took: 1500,
        status: 200,
        usage: Some(Usage { prompt: 10, completion: 5, total: 15, ..Usage::default() }),
        cost: Some(Nanos(1_000)),
        subject: subject(|_| {}),
        ..Receipt::default()
    }
}

/// What a request was about, but for some of it.
pub(super) fn subject(change: impl FnOnce(&mut Subject)) -> Arc<Subject> {
    let mut subject =
        Subject { endpoint: "/chat/completions".into(), asked: "m".into(), ..Subject::default() };
    change(&mut subject);
    Arc::new(subject)
}

pub(super) fn booking(payer: Payer, id: &str, until: i64) -> Booking {
    Booking { payer, id: id.into(), until }
}

//! Days that are over, added up once more by fewer properties: what a question about months is answered from. Decides
//! which of these sums a question may be read from, and when they are made; `daily` stays what they must agree with.

use super::StoreError;
use super::activity::Dim;
use super::book::SUMS;
use super::db::{Db, PgTx, Tx};

/// A day has this long, in one statement: it is nobody's request.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(600);
/// Tells locks of days from other locks.
const LOCK: i32 = 0x7461_6765;

/// Sums by some properties.
pub(super) struct Roll {
    pub(super) table: &'static str,
    /// Besides the day.
    dims: &'static [Dim],
}

/// The smallest come first.
static ROLLS: [Roll; 6] = [
    Roll { table: "daily_models", dims: &[Dim::Group, Dim::Deployment, Dim::Provider, Dim::Model] },
    Roll { table: "daily_keys", dims: &[Dim::Key, Dim::Team, Dim::User, Dim::Organization, Dim::Project] },
    Roll { table: "daily_tags", dims: &[Dim::Tag, Dim::Group, Dim::Deployment, Dim::Provider, Dim::Model] },
    Roll {
        table: "daily_owners",
        dims: &[
            Dim::Key,
            Dim::Team,
            Dim::User,
            Dim::Organization,
            Dim::Project,
            Dim::Group,
            Dim::Deployment,
            Dim::Provider,
            Dim::Model,
        ],
    },
    Roll {
        table: "daily_tag_owners",
        dims: &[Dim::Tag, Dim::Key, Dim::Team, Dim::User, Dim::Organization, Dim::Project],
    },
    Roll {
        table: "daily_customers",
        dims: &[Dim::Customer, Dim::Key, Dim::Team, Dim::User, Dim::Organization, Dim::Project],
    },
];

impl Roll {
    /// The sums that know all of these properties. Those by tag have a request once for each of its tags: they are for
    /// questions about tags alone.
    pub(super) fn knowing(dims: &[Dim]) -> Option<&'static Self> {
        let by_tag = dims.contains(&Dim::Tag);
        let knows = |roll: &&Self| {
            roll.dims.contains(&Dim::Tag) == by_tag
                && dims.iter().all(|dim| *dim == Dim::Day || roll.dims.contains(dim))
        };
        ROLLS.iter().find(knows)
    }

    /// The statement that makes a day's.
    fn statement(&self) -> String {
        let by_tag = self.dims.contains(&Dim::Tag);
        let columns: Vec<&str> = self.dims.iter().map(|dim| dim.name()).collect();
        let groups: Vec<String> = self.dims.iter().map(|dim| dim.in_days()).collect();
        let mut names: Vec<String> = SUMS.iter().map(|name| (*name).to_owned()).collect();
        let mut sums: Vec<String> = SUMS.iter().map(|name| format!("sum(d.{name})")).collect();
        if by_tag {
            names.extend(SUMS.iter().map(|name| format!("split_{name}")));
            sums.extend(SUMS.iter().map(|name| format!("sum({})", share(name))));
        }
        let join = if by_tag { " LEFT JOIN tag_set_members m ON m.tag_set = d.tag_set" } else { "" };
        format!(
            "INSERT INTO {} (day, {}, {}) SELECT d.day, {}, {} FROM daily d{join} WHERE d.day = $1 GROUP BY d.day, {}",
            self.table,
            columns.join(", "),
            names.join(", "),
            groups.join(", "),
            sums.join(", "),
            groups.join(", ")
        )
    }
}

/// A tag's share of a row of days: an equal one, and what cannot be shared goes to the first.
pub(super) fn share(name: &str) -> String {
    format!("d.{name} / coalesce(m.size, 1) + CASE WHEN m.position < d.{name} % m.size THEN 1 ELSE 0 END")
}

impl Db {
    /// The days of `daily` that are not rolled up into these sums.
    pub(super) async fn open_days(
        &self,
        roll: &Roll,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<Vec<i64>, StoreError> {
        // From one day to the next by the index: a day may have very many rows.
        let sql = "WITH RECURSIVE days (day) AS (SELECT min(day) FROM daily WHERE $1 <= day UNION ALL SELECT (SELECT min(day) FROM daily WHERE days.day < daily.day) FROM days WHERE day IS NOT NULL AND day < $2) SELECT day FROM days WHERE day <= $2 AND NOT EXISTS (SELECT 1 FROM rolled WHERE roll = $3 AND rolled.day = days.day)";
        let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
        let rows: Vec<(i64,)> = self.all(sql, &[from.into(), to.into(), roll.table.into()]).await?;
        Ok(rows.into_iter().map(|(day,)| day).collect())
    }

    /// Rolls up one day (of those up to `last`, counted from 1970) that is not yet; says whether there was one.
    pub(crate) async fn roll_up(&self, last: i64) -> Result<bool, StoreError> {
        for roll in &ROLLS {
            let Some(day) = self.open_days(roll, None, Some(last)).await?.into_iter().next() else {
                continue;
            };
            let mut tx = self.begin().await?;
            tx.take_time().await?;
            tx.keep_names().await?;
            tx.lock_days(&[day]).await?;
            let rolled = [roll.table.into(), day.into()];
            let sql = "INSERT INTO rolled (roll, day) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            // Another gateway may have been faster.
            if tx.run(sql, &rolled).await? == 1 {
                tx.run(&format!("DELETE FROM {} WHERE day = $1", roll.table), &[day.into()]).await?;
                tx.run(&roll.statement(), &[day.into()]).await?;
            }
            tx.commit().await?;
            return Ok(true);
        }
        Ok(false)
    }
}

impl Tx {
    /// Has days read from `daily` again, since something is added to them.
    pub(super) async fn unroll(&mut self, days: &[i64]) -> Result<(), StoreError> {
        self.lock_days(days).await?;
        for day in days {
            self.run("DELETE FROM rolled WHERE day = $1", &[(*day).into()]).await?;
        }
        Ok(())
    }

    /// Keeps a day from being added to and rolled up at once. SQLite has one writer anyway.
    async fn lock_days(&mut self, days: &[i64]) -> Result<(), StoreError> {
        if self.is_postgres() {
            for day in days {
                let sql = format!("SELECT pg_advisory_xact_lock({LOCK}, CAST($1 AS INTEGER))");
                self.run(&sql, &[(*day).into()]).await?;
            }
        }
        Ok(())
    }

    /// Waits longer for answers than for those that somebody waits for.
    async fn take_time(&mut self) -> Result<(), StoreError> {
        if let Self::Postgres(PgTx { silence, .. }) = self {
            *silence = LONGEST;
            let sql = format!("SET LOCAL statement_timeout = {}", LONGEST.as_millis());
            self.run(&sql, &[]).await?;
        }
        Ok(())
    }
}

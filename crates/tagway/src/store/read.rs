//! Reading single objects, and small things about them.

use std::collections::HashMap;

use super::StoreError;
use super::db::{Arg, Db};
use super::row::{COLUMNS, ObjectRow, Stored, now_millis};
use crate::objects::{Kind, Object};

/// As many ids are read at once.
const IDS_PAGE: i64 = 10_000;
/// As many ids go into one statement.
pub(super) const MOST_IDS: usize = 500;

impl Db {
    /// An object by its id.
    pub(crate) async fn find<T: Object>(&self, id: &str) -> Result<Option<Stored<T>>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = $1", T::KIND.table());
        self.one::<ObjectRow>(&sql, &[id.into()]).await?.map(Stored::from_row).transpose()
    }

    /// Those of these objects that are there.
    pub(crate) async fn find_all<T: Object>(&self, ids: &[String]) -> Result<Vec<Stored<T>>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(MOST_IDS) {
            let sql =
                format!("SELECT {COLUMNS} FROM {} WHERE id IN ({})", T::KIND.table(), places(part.len()));
            let args: Vec<Arg> = part.iter().map(|id| id.as_str().into()).collect();
            for row in self.all::<ObjectRow>(&sql, &args).await? {
                found.push(Stored::from_row(row)?);
            }
        }
        Ok(found)
    }

    /// All objects of a kind: for kinds of which there are few.
    pub(crate) async fn everything<T: Object>(&self) -> Result<Vec<Stored<T>>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM {} ORDER BY created_at, id", T::KIND.table());
        self.all::<ObjectRow>(&sql, &[]).await?.into_iter().map(Stored::from_row).collect()
    }

    /// The versions of those of these objects that are there.
    pub(crate) async fn versions(
        &self,
        kind: Kind,
        ids: &[String],
    ) -> Result<HashMap<String, i64>, StoreError> {
        let mut versions = HashMap::with_capacity(ids.len());
        for part in ids.chunks(MOST_IDS) {
            let sql =
                format!("SELECT id, version FROM {} WHERE id IN ({})", kind.table(), places(part.len()));
            let args: Vec<Arg> = part.iter().map(|id| id.as_str().into()).collect();
            versions.extend(self.all::<(String, i64)>(&sql, &args).await?);
        }
        Ok(versions)
    }

    /// The ids of a kind made since a time (milliseconds since 1970), read in pages: there may be very many.
    pub(crate) async fn ids_since(&self, kind: Kind, since: i64) -> Result<Vec<String>, StoreError> {
        let sql = format!(
            "SELECT created_at, id FROM {} WHERE (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3",
            kind.table()
        );
        let mut ids = Vec::new();
        let mut last = (since, String::new());
        loop {
            let args = [last.0.into(), last.1.as_str().into(), IDS_PAGE.into()];
            let page: Vec<(i64, String)> = self.all(&sql, &args).await?;
            let full = i64::try_from(page.len()).is_ok_and(|count| count == IDS_PAGE);
            ids.extend(page.iter().map(|(_, id)| id.clone()));
            match page.into_iter().last() {
                Some(end) if full => last = end,
                _ => return Ok(ids),
            }
        }
    }

    /// What was spent on these objects, in nano-dollars; nothing where it is not listed.
    pub(crate) async fn spend(&self, kind: Kind, ids: &[String]) -> Result<HashMap<String, i64>, StoreError> {
        let mut spend = HashMap::new();
        for part in ids.chunks(MOST_IDS) {
            let sql = format!(
                "SELECT id, CAST(sum(amount) AS BIGINT) FROM spend WHERE kind = '{kind}' AND id IN ({}) AND {} < until GROUP BY id",
                places(part.len()),
                now_millis()
            );
            let args: Vec<Arg> = part.iter().map(|id| id.as_str().into()).collect();
            spend.extend(self.all::<(String, i64)>(&sql, &args).await?);
        }
        Ok(spend)
    }

    /// The teams or organizations a user is member of, and as what.
    pub(crate) async fn memberships(
        &self,
        kind: Kind,
        user: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT id, role FROM members WHERE user_id = $1 AND kind = $2 ORDER BY id";
        self.all(sql, &[user.into(), kind.as_str().into()]).await
    }

    /// Which store this is, whatever address it is reached at.
    pub(crate) async fn identity(&self) -> Result<String, StoreError> {
        let id = self.one::<(String,)>("SELECT id FROM installation", &[]).await?;
        Ok(id.map(|(id,)| id).unwrap_or_default())
    }
}

/// `$1, $2, …`
pub(super) fn places(count: usize) -> String {
    let mut places = String::new();
    for place in 1..=count {
        if 1 < place {
            places.push_str(", ");
        }
        places.push_str(&format!("${place}"));
    }
    places
}

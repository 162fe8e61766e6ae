//! What hangs on objects, for whole pages of them: how many keys they have, whose members users are.

use std::collections::HashMap;

use super::StoreError;
use super::db::{Arg, Db};
use super::read::{MOST_IDS, places};
use crate::objects::Kind;

/// By what keys are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeysOf {
    Teams,
    Users,
}

impl Db {
    /// How many keys each of these has; nothing where it has none.
    pub(crate) async fn count_keys(
        &self,
        whose: KeysOf,
        ids: &[String],
    ) -> Result<HashMap<String, i64>, StoreError> {
        let column = match whose {
            KeysOf::Teams => "team_id",
            KeysOf::Users => "user_id",
        };
        let mut counts = HashMap::new();
        for part in ids.chunks(MOST_IDS) {
            let sql = format!(
                "SELECT {column}, count(*) FROM keys WHERE {column} IN ({}) GROUP BY {column}",
                places(part.len())
            );
            let args: Vec<Arg> = part.iter().map(|id| id.as_str().into()).collect();
            counts.extend(self.all::<(String, i64)>(&sql, &args).await?);
        }
        Ok(counts)
    }

    /// The teams or organizations that each of these users is member of.
    pub(crate) async fn memberships_of(
        &self,
        kind: Kind,
        users: &[String],
    ) -> Result<HashMap<String, Vec<String>>, StoreError> {
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for part in users.chunks(MOST_IDS) {
            let sql = format!(
                "SELECT user_id, id FROM members WHERE kind = '{kind}' AND user_id IN ({}) ORDER BY id",
                places(part.len())
            );
            let args: Vec<Arg> = part.iter().map(|id| id.as_str().into()).collect();
            for (user, id) in self.all::<(String, String)>(&sql, &args).await? {
                found.entry(user).or_default().push(id);
            }
        }
        Ok(found)
    }
}

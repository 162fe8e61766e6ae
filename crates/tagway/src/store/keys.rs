//! The digests keys answer to.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::FromRow;

use super::StoreError;
use super::db::{Arg, Db};
use super::edit::Edit;
use super::list::Filter;
use super::read::places;
use super::row::{COLUMNS, ObjectRow, Stored, time};
use crate::objects::Key;

/// A key found by one of its digests.
#[derive(Debug, Clone)]
pub(crate) struct Digested {
    pub(crate) key: Stored<Key>,
    /// Until when this digest holds, while a rotation overlaps.
    pub(crate) until: Option<Timestamp>,
}

#[derive(FromRow)]
struct DigestRow {
    digest: Vec<u8>,
    ends_at: Option<i64>,
    #[sqlx(flatten)]
    object: ObjectRow,
}

impl Db {
    /// The keys with these digests.
    pub(crate) async fn keys_by_digest(
        &self,
        digests: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], Digested>, StoreError> {
        let columns =
            COLUMNS.split(", ").map(|column| format!("keys.{column}")).collect::<Vec<_>>().join(", ");
        let mut args: Vec<Arg> = digests.iter().map(|digest| digest.as_slice().into()).collect();
        // Few texts for all numbers of digests: databases keep what they have prepared.
        args.resize(digests.len().next_power_of_two(), Arg::Bytes(Vec::new()));
        let sql = format!(
            "SELECT key_digests.digest, key_digests.ends_at, {columns} FROM key_digests JOIN keys ON keys.id = key_digests.key_id WHERE key_digests.digest IN ({})",
            places(args.len())
        );
        let mut found = HashMap::new();
        for row in self.all::<DigestRow>(&sql, &args).await? {
            let key = match Stored::from_row(row.object) {
                Ok(key) => key,
                // It opens nothing, and the others are not to suffer for it.
                Err(error) => {
                    tracing::error!(%error, "a key cannot be used");
                    continue;
                }
            };
            if let Ok(digest) = <[u8; 32]>::try_from(row.digest) {
                found.insert(digest, Digested { key, until: row.ends_at.map(time) });
            }
        }
        Ok(found)
    }

    /// All digests of a key.
    pub(crate) async fn digests(&self, key: &str) -> Result<Vec<[u8; 32]>, StoreError> {
        let rows: Vec<(Vec<u8>,)> =
            self.all("SELECT digest FROM key_digests WHERE key_id = $1", &[key.into()]).await?;
        Ok(rows.into_iter().filter_map(|(digest,)| digest.try_into().ok()).collect())
    }
}

impl Edit {
    /// Lets a key answer to a digest.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another key answers to it.
    pub(crate) async fn add_digest(&mut self, key: &str, digest: [u8; 32]) -> Result<(), StoreError> {
        let sql = "INSERT INTO key_digests (digest, key_id) VALUES ($1, $2)";
        self.tx.run(sql, &[digest.as_slice().into(), key.into()]).await?;
        Ok(())
    }

    /// The key that answers to a digest.
    pub(crate) async fn key_by_digest(
        &mut self,
        digest: [u8; 32],
    ) -> Result<Option<Stored<Key>>, StoreError> {
        let sql = "SELECT key_id FROM key_digests WHERE digest = $1 AND (ends_at IS NULL OR $2 < ends_at)";
        let now = self.now().as_millisecond();
        let rows: Vec<(String,)> = self.tx.all(sql, &[digest.as_slice().into(), now.into()]).await?;
        match rows.into_iter().next() {
            Some((id,)) => self.find(&id).await,
            None => Ok(None),
        }
    }

    /// The key with this alias.
    pub(crate) async fn named_key(&mut self, alias: &str) -> Result<Option<Stored<Key>>, StoreError> {
        let filter = Filter { name: Some(alias), ..Filter::default() };
        Ok(self.filtered(&filter).await?.into_iter().next())
    }

    /// Lets a key's digests end at a time, or forgets them at once.
    pub(crate) async fn end_digests(&mut self, key: &str, at: Option<Timestamp>) -> Result<(), StoreError> {
        match at {
            Some(at) => {
                let sql = "UPDATE key_digests SET ends_at = $2 WHERE key_id = $1 AND (ends_at IS NULL OR $2 < ends_at)";
                self.tx.run(sql, &[key.into(), at.as_millisecond().into()]).await?;
            }
            None => {
                self.tx.run("DELETE FROM key_digests WHERE key_id = $1", &[key.into()]).await?;
            }
        }
        Ok(())
    }
}

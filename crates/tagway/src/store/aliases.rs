//! Tags that become one: what was booked on a tag is moved to the one it is called now, and what is booked under a
//! former name later goes there as well. Decides what of the store a tag's name stands in; not who may rename what.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::StoreError;
use super::db::{Arg, Db, Tx};
use super::edit::Edit;
use super::seen::WIDENS;
use super::terms::{Shared, Terms, clean};
use crate::objects::Kind;
use crate::receipt::{Booking, Payer};

/// Tells the lock of tags' names from other locks.
const LOCK: i64 = 0x7461_6773;

/// Former names, as the store knows them.
#[derive(Debug, Default)]
pub(super) struct Renamed {
    tags: HashMap<String, String>,
    ids: HashMap<i64, i64>,
}

impl Renamed {
    /// The number of the tag that a number means.
    pub(super) fn id(&self, id: i64) -> i64 {
        self.ids.get(&id).copied().unwrap_or(id)
    }

    /// Whose account a booking is for, where it was made for a tag by a former name.
    pub(super) fn account(&self, booking: &Booking) -> Option<String> {
        match booking.payer {
            Payer::Tag => self.tags.get(clean(&booking.id).as_ref()).cloned(),
            Payer::DeploymentTag => {
                let mut tags = self.tags.iter();
                tags.find_map(|(alias, tag)| Some(format!("{}/{tag}", before(&booking.id, alias)?)))
            }
            _ => None,
        }
    }
}

/// The deployment of what is counted for it and a tag.
fn before<'a>(id: &'a str, tag: &str) -> Option<&'a str> {
    id.strip_suffix(tag)?.strip_suffix('/')
}

/// Whether a booking is for a tag's account.
pub(super) fn is_for_tag(booking: &Booking) -> bool {
    matches!(booking.payer, Payer::Tag | Payer::DeploymentTag)
}

impl Tx {
    /// Former names; until this transaction has ended, no tag gets another name.
    pub(super) async fn renamed(&mut self) -> Result<Renamed, StoreError> {
        self.keep_names().await?;
        let rows: Vec<(String, String, i64, i64)> =
            self.all("SELECT alias, tag, alias_id, tag_id FROM tag_aliases", &[]).await?;
        let mut renamed = Renamed::default();
        for (alias, tag, alias_id, tag_id) in rows {
            renamed.tags.insert(alias, tag);
            renamed.ids.insert(alias_id, tag_id);
        }
        Ok(renamed)
    }

    /// Lets no tag get another name until this transaction has ended. SQLite has one writer anyway.
    pub(super) async fn keep_names(&mut self) -> Result<(), StoreError> {
        if self.is_postgres() {
            self.run(&format!("SELECT pg_advisory_xact_lock_shared({LOCK})"), &[]).await?;
        }
        Ok(())
    }
}

impl Db {
    /// Former names of tags, and what they are called now.
    pub(crate) async fn tag_aliases(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.all("SELECT alias, tag FROM tag_aliases ORDER BY alias", &[]).await
    }

    /// The numbers of those of these tags that are known, be it by a former name.
    pub(super) async fn tag_ids(&self, tags: &[&str]) -> Result<HashMap<String, i64>, StoreError> {
        let mut ids = self.term_ids(tags).await?;
        let args = ids.values().copied().collect::<BTreeSet<i64>>().into_iter().map(Arg::Int).collect();
        let sql = "SELECT alias_id, tag_id FROM tag_aliases WHERE alias_id";
        let renamed: HashMap<i64, i64> = self.among::<(i64, i64)>(sql, args).await?.into_iter().collect();
        ids.values_mut().for_each(|id| *id = renamed.get(id).copied().unwrap_or(*id));
        Ok(ids)
    }

    /// Gives tags numbers, in a transaction of its own: others that do so meanwhile wait for nobody who waits for them.
    pub(crate) async fn number_tags(&self, tags: &[&str]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let mut texts = Shared::default();
        for tag in tags {
            texts.place(*tag);
        }
        Terms::resolve(&mut tx, &texts).await?;
        tx.commit().await
    }
}

impl Edit {
    /// Makes `from` a former name of `into`: everything that was booked on the one is the other's, a request that
    /// carried both counts once. Both have numbers ([`Db::number_tags`]).
    pub(crate) async fn join_tags(&mut self, from: &str, into: &str) -> Result<(), StoreError> {
        if self.tx.is_postgres() {
            self.tx.run(&format!("SELECT pg_advisory_xact_lock({LOCK})"), &[]).await?;
        }
        let (from_text, into_text) = (clean(from), clean(into));
        let sql = "SELECT text, id FROM terms WHERE text IN ($1, $2)";
        let ids: HashMap<String, i64> = self
            .tx
            .all::<(String, i64)>(sql, &[from_text.as_ref().into(), into_text.as_ref().into()])
            .await?
            .into_iter()
            .collect();
        let (Some(&from_id), Some(&into_id)) = (ids.get(from_text.as_ref()), ids.get(into_text.as_ref()))
        else {
            return Err(StoreError::Unreadable {
                table: "terms",
                id: from.to_owned(),
                why: "it has no number".to_owned(),
            });
        };
        let now = self.now().as_millisecond();
        let pair: [Arg; 2] = [from_text.as_ref().into(), into_text.as_ref().into()];
        // Former names of the former name.
        let sql = "UPDATE tag_aliases SET tag = $2, tag_id = $3 WHERE tag = $1";
        self.tx.run(sql, &[pair[0].clone(), pair[1].clone(), into_id.into()]).await?;
        let sql = "INSERT INTO tag_aliases (alias, tag, alias_id, tag_id, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (alias) DO UPDATE SET tag = excluded.tag, tag_id = excluded.tag_id, at = excluded.at";
        let [alias, tag] = pair.clone();
        self.tx.run(sql, &[alias, tag, from_id.into(), into_id.into(), now.into()]).await?;
        self.join_sets(from_id, into_id).await?;
        self.join_spend(Kind::Tag.as_str(), from_text.as_ref(), into_text.as_ref()).await?;
        let sql = "SELECT DISTINCT id FROM spend WHERE kind = 'deployment_tag'";
        for (id,) in self.tx.all::<(String,)>(sql, &[]).await? {
            if let Some(deployment) = before(&id, &from_text) {
                let into = format!("{deployment}/{into_text}");
                self.join_spend(Payer::DeploymentTag.as_str(), &id, &into).await?;
            }
        }
        let sql = format!(
            "INSERT INTO seen_tags (tag, first_at, last_at) SELECT $2, first_at, last_at FROM seen_tags WHERE tag = $1 {WIDENS}"
        );
        self.tx.run(&sql, &[from.into(), into.into()]).await?;
        self.tx.run("DELETE FROM seen_tags WHERE tag = $1", &[from.into()]).await?;
        self.changed(Kind::Tag, from);
        self.changed(Kind::Tag, into);
        Ok(())
    }

    /// Forgets the former names of a tag.
    pub(crate) async fn forget_aliases(&mut self, tag: &str) -> Result<(), StoreError> {
        self.tx.run("DELETE FROM tag_aliases WHERE tag = $1", &[clean(tag).as_ref().into()]).await?;
        Ok(())
    }

    /// Sets of tags with the one have the other in its place. What they were found by is gone: who meets such a set
    /// again makes it with the names of then.
    async fn join_sets(&mut self, from: i64, into: i64) -> Result<(), StoreError> {
        let with = "SELECT tag_set FROM tag_set_members WHERE tag_id";
        let sql = format!("UPDATE tag_sets SET tags = '~' || CAST(id AS TEXT) WHERE id IN ({with} = $1)");
        self.tx.run(&sql, &[from.into()]).await?;
        for table in ["daily_tags", "daily_tag_owners"] {
            let sql = format!(
                "DELETE FROM rolled WHERE roll IN ('daily_tags', 'daily_tag_owners') AND day IN (SELECT DISTINCT day FROM {table} WHERE tag_id = $1)"
            );
            self.tx.run(&sql, &[from.into()]).await?;
        }
        let sql = format!(
            "UPDATE tag_set_members SET tag_id = $2 WHERE tag_id = $1 AND tag_set NOT IN ({with} = $2)"
        );
        self.tx.run(&sql, &[from.into(), into.into()]).await?;
        // What is left had both, and has one tag less.
        let sql = format!("UPDATE tag_sets SET size = size - 1 WHERE id IN ({with} = $1)");
        self.tx.run(&sql, &[from.into()]).await?;
        let own = "SELECT own.position FROM tag_set_members own WHERE own.tag_set = tag_set_members.tag_set AND own.tag_id = $1";
        let sql = format!(
            "UPDATE tag_set_members SET size = size - 1, position = position - CASE WHEN ({own}) < position THEN 1 ELSE 0 END WHERE tag_id <> $1 AND tag_set IN ({with} = $1)"
        );
        self.tx.run(&sql, &[from.into()]).await?;
        self.tx.run("DELETE FROM tag_set_members WHERE tag_id = $1", &[from.into()]).await?;
        Ok(())
    }

    /// What one account has counted is the other's.
    async fn join_spend(&mut self, kind: &str, from: &str, into: &str) -> Result<(), StoreError> {
        let (lock, clock) = (self.tx.lock(), self.tx.clock());
        let args: [Arg; 3] = [kind.into(), from.into(), into.into()];
        let sql =
            format!("SELECT until FROM spend WHERE kind = $1 AND id IN ($2, $3) ORDER BY id, until{lock}");
        self.tx.all::<(i64,)>(&sql, &args).await?;
        let sql = format!(
            "INSERT INTO spend (kind, id, until, amount, updated_at) SELECT kind, $3, until, amount, {clock} FROM spend WHERE kind = $1 AND id = $2 ON CONFLICT (kind, id, until) DO UPDATE SET amount = spend.amount + excluded.amount, updated_at = {clock}"
        );
        self.tx.run(&sql, &args).await?;
        let sql = format!(
            "UPDATE spend SET amount = 0, updated_at = {clock} WHERE kind = $1 AND id = $2 AND amount <> 0"
        );
        self.tx.run(&sql, &args[..2]).await?;
        Ok(())
    }
}

/// The account a booking is for, as the store knows it.
pub(super) fn account<'b>(booking: &'b Booking, renamed: &Renamed) -> Cow<'b, str> {
    match renamed.account(booking) {
        Some(account) => Cow::Owned(clean(&account).into_owned()),
        None => clean(&booking.id),
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, receipt, subject};
    use super::super::{Actor, Dim, Slice, TagView};
    use super::*;
    use crate::receipt::{NEVER, Receipt, Tagged};

    const DAY: i64 = 86_400_000;

    /// Requests of three days with any of eight sets of four tags, some of which have a budget.
    fn receipts(first: u128, meant: impl Fn(&str) -> String) -> Vec<Receipt> {
        let of = |n: u128| {
            let tags = ["lab", "research", "x", "y"].into_iter().enumerate();
            let tags: Vec<&str> = tags
                .filter(|(at, _)| n >> (at % 3) & 1 == 1 || n % 7 == *at as u128)
                .map(|(_, tag)| tag)
                .collect();
            let mut named: Vec<String> = tags.iter().map(|tag| meant(tag)).collect();
            named.sort();
            named.dedup();
            Receipt {
                subject: subject(|s| {
                    s.tags = named
                        .iter()
                        .map(|tag| Tagged { tag: tag.as_str().into(), origin: "body".into() })
                        .collect();
                    s.key = Some(format!("k{}", n % 3).into());
                    s.bookings = named
                        .iter()
                        .map(|tag| Booking { payer: Payer::Tag, id: tag.as_str().into(), until: NEVER })
                        .collect();
                }),
                ..receipt(n, 20_000 * DAY + i64::try_from(n % 3).unwrap_or_default() * DAY)
            }
        };
        (first..first + 60).map(of).collect()
    }

    async fn views(db: &Db) -> Vec<Vec<(Vec<Option<String>>, (i64, i64))>> {
        let mut views = Vec::new();
        for view in [TagView::Full, TagView::Split] {
            for dims in [&[Dim::Tag][..], &[Dim::Tag, Dim::Key], &[Dim::Day, Dim::Tag], &[Dim::Key]] {
                let sums = db.activity(&Slice::default(), dims, view).await.unwrap();
                let mut sums: Vec<_> =
                    sums.into_iter().map(|(at, sums)| (at, (sums.requests, sums.cost.0))).collect();
                sums.sort();
                if view == TagView::Split {
                    // Which of a set's tags gets what cannot be shared is nobody's business.
                    let all = sums.iter().fold((0, 0), |all, (_, sums)| (all.0 + sums.0, all.1 + sums.1));
                    sums = vec![(Vec::new(), all)];
                }
                views.push(sums);
            }
        }
        views
    }

    #[tokio::test]
    async fn joined_tags_add_up_as_if_they_had_been_one_all_along() {
        let (joined, plain) = (Trial::all().await, Trial::all().await);
        for (joined, plain) in joined.into_iter().zip(plain) {
            let (db, other) = (&joined.db, &plain.db);
            db.book(&receipts(1, str::to_owned)).await.unwrap();
            while db.roll_up(20_001).await.unwrap() {}
            db.number_tags(&["lab", "research"]).await.unwrap();
            let actor = Actor { id: "test".to_owned(), role: "test" };
            let mut edit = Edit::begin(db, actor).await.unwrap();
            edit.join_tags("lab", "research").await.unwrap();
            edit.commit().await.unwrap();
            // What was on its way has the names of then.
            db.book(&receipts(100, str::to_owned)).await.unwrap();
            let meant = |tag: &str| if tag == "lab" { "research".to_owned() } else { tag.to_owned() };
            other.book(&[receipts(1, meant), receipts(100, meant)].concat()).await.unwrap();
            let expected = views(other).await;
            assert_eq!(views(db).await, expected);
            while db.roll_up(20_002).await.unwrap() {}
            assert_eq!(views(db).await, expected, "rolled up");
            assert_eq!(db.tag_aliases().await.unwrap(), [("lab".to_owned(), "research".to_owned())]);
            let by_name = async |db: &Db, tag: &str| {
                let slice = Slice { only: vec![(Dim::Tag, vec![Some(tag.to_owned())])], ..Slice::default() };
                db.activity(&slice, &[], TagView::Full)
                    .await
                    .unwrap()
                    .iter()
                    .map(|(_, sums)| sums.requests)
                    .sum::<i64>()
            };
            assert_eq!(by_name(db, "lab").await, by_name(other, "research").await);
            // What both had spent was counted for each, and so it is now; later a request counts once for each name.
            let spent = async |db: &Db, tag: &str| {
                let counted = db.counted(&[(Payer::Tag, tag.to_owned())]).await.unwrap();
                counted.iter().map(|counted| counted.amount.0).sum::<i64>()
            };
            assert_eq!(spent(db, "lab").await, 0);
            assert!(spent(other, "research").await <= spent(db, "research").await);
            assert_eq!(spent(db, "x").await, spent(other, "x").await);
            joined.end().await;
            plain.end().await;
        }
    }
}

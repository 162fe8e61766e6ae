//! The dictionary: texts that many rows share, and sets of tags, as numbers. Numbers are looked up for every batch and
//! kept nowhere: they are those of this database as it is now, whatever was rolled back or restored.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use tagway_core::secret;

use super::StoreError;
use super::db::{Arg, Db, Tx};
use super::read::places;
use super::rows::{parts, tuples};

/// The longest text of the dictionary, in bytes: PostgreSQL's indexes take no more than 2,700.
const LONGEST: usize = 512;
/// The longest list of numbers that is a set's name itself.
const LONGEST_SET: usize = 255;

/// A text as it is stored: what clients name may be of any length and hold any character, and one that a database
/// refuses would keep a whole batch out. Different texts stay different.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST && !text.contains('\0') {
        return Cow::Borrowed(text);
    }
    let plain = text.replace('\0', "\u{fffd}");
    let cut = plain.floor_char_boundary(LONGEST - 40);
    Cow::Owned(format!("{}… {}", plain.get(..cut).unwrap_or_default(), short_digest(text)))
}

/// 128 bits of a digest, as text.
fn short_digest(text: &str) -> String {
    secret::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers of texts.
#[derive(Debug, Default)]
pub(super) struct Terms(HashMap<String, i64>);

impl Terms {
    /// Finds the numbers of texts that are [`clean`], and gives numbers to new ones.
    pub(super) async fn resolve(tx: &mut Tx, texts: &BTreeSet<Cow<'_, str>>) -> Result<Self, StoreError> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        resolve(
            tx,
            &texts,
            FIND,
            |count| {
                format!(
                    "INSERT INTO terms (text) VALUES {} ON CONFLICT (text) DO NOTHING RETURNING text, id",
                    tuples(count, 1)
                )
            },
            |text| vec![text.into()],
        )
        .await
        .map(|resolved| Self(resolved.all))
    }

    /// The number of a text that is [`clean`].
    pub(super) fn id(&self, text: &str) -> Option<i64> {
        self.0.get(text).copied()
    }
}

const FIND: &str = "SELECT text, id FROM terms WHERE text IN";

/// Numbers of names, all and those just given.
struct Resolved {
    all: HashMap<String, i64>,
    new: Vec<(String, i64)>,
}

/// Finds numbers and gives new ones. Two gateways that meet the same new names do so in the same order, so that the
/// second waits for the first and then finds what it gave.
async fn resolve(
    tx: &mut Tx,
    names: &[&str],
    find: &str,
    insert: impl Fn(usize) -> String,
    row: impl Fn(&str) -> Vec<Arg>,
) -> Result<Resolved, StoreError> {
    let mut all = HashMap::with_capacity(names.len());
    look_up(tx, names, find, &mut all).await?;
    let missing: Vec<&str> = names.iter().copied().filter(|name| !all.contains_key(*name)).collect();
    let mut new: Vec<(String, i64)> = Vec::with_capacity(missing.len());
    for part in parts(&missing) {
        let args: Vec<Arg> = part.iter().flat_map(|name| row(name)).collect();
        new.extend(tx.all::<(String, i64)>(&insert(part.len()), &args).await?);
    }
    all.extend(new.iter().cloned());
    let elsewhere: Vec<&str> = missing.into_iter().filter(|name| !all.contains_key(*name)).collect();
    look_up(tx, &elsewhere, find, &mut all).await?;
    Ok(Resolved { all, new })
}

async fn look_up(
    tx: &mut Tx,
    names: &[&str],
    find: &str,
    found: &mut HashMap<String, i64>,
) -> Result<(), StoreError> {
    for part in parts(names) {
        let args: Vec<Arg> = part.iter().map(|name| (*name).into()).collect();
        found.extend(tx.all::<(String, i64)>(&format!("{find} ({})", places(part.len())), &args).await?);
    }
    Ok(())
}

/// A set of tags: their numbers in ascending order, each once.
pub(super) type Set = Vec<i64>;

/// Numbers of sets of tags.
#[derive(Debug, Default)]
pub(super) struct TagSets(HashMap<String, i64>);

impl TagSets {
    /// Finds the numbers of sets, and gives numbers to new ones.
    pub(super) async fn resolve(tx: &mut Tx, sets: &BTreeSet<Set>) -> Result<Self, StoreError> {
        let mut named: Vec<(String, &Set)> =
            sets.iter().filter(|set| !set.is_empty()).map(|set| (name(set), set)).collect();
        named.sort();
        let sets: HashMap<&str, &Set> = named.iter().map(|(name, set)| (name.as_str(), *set)).collect();
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let size = |name: &str| sets.get(name).map_or(0, |set| count(set));
        let resolved = resolve(tx, &names, "SELECT tags, id FROM tag_sets WHERE tags IN", |count| {
            format!(
                "INSERT INTO tag_sets (tags, size) VALUES {} ON CONFLICT (tags) DO NOTHING RETURNING tags, id",
                tuples(count, 2)
            )
        }, |name| vec![name.into(), size(name).into()])
        .await?;
        let mut members: Vec<[i64; 4]> = Vec::new();
        for (name, id) in &resolved.new {
            let set = sets.get(name.as_str()).copied();
            members.extend(
                (0..).zip(set.into_iter().flatten()).map(|(place, tag)| [*tag, *id, place, size(name)]),
            );
        }
        for part in parts(&members) {
            let sql = format!(
                "INSERT INTO tag_set_members (tag_id, tag_set, position, size) VALUES {}",
                tuples(part.len(), 4)
            );
            let args: Vec<Arg> = part.iter().flatten().map(|number| (*number).into()).collect();
            tx.run(&sql, &args).await?;
        }
        Ok(Self(resolved.all))
    }

    /// The number of a set.
    pub(super) fn id(&self, set: &Set) -> Option<i64> {
        if set.is_empty() { Some(0) } else { self.0.get(&name(set)).copied() }
    }
}

fn count(set: &Set) -> i64 {
    i64::try_from(set.len()).unwrap_or(i64::MAX)
}

/// What a set is known by.
fn name(set: &Set) -> String {
    let numbers: Vec<String> = set.iter().map(i64::to_string).collect();
    let list = numbers.join(" ");
    if list.len() <= LONGEST_SET { list } else { format!("#{}", short_digest(&list)) }
}

impl Db {
    /// The numbers of those of these texts that are known.
    pub(super) async fn term_ids(&self, texts: &[&str]) -> Result<HashMap<String, i64>, StoreError> {
        let mut found = HashMap::with_capacity(texts.len());
        for part in parts(texts) {
            let args: Vec<Arg> = part.iter().map(|text| Arg::Text(clean(text).into_owned())).collect();
            found
                .extend(self.all::<(String, i64)>(&format!("{FIND} ({})", places(part.len())), &args).await?);
        }
        Ok(found)
    }

    /// The texts of numbers.
    pub(super) async fn term_texts(&self, ids: &BTreeSet<i64>) -> Result<HashMap<i64, String>, StoreError> {
        let ids: Vec<i64> = ids.iter().copied().collect();
        let mut found = HashMap::with_capacity(ids.len());
        for part in parts(&ids) {
            let sql = format!("SELECT id, text FROM terms WHERE id IN ({})", places(part.len()));
            let args: Vec<Arg> = part.iter().map(|id| (*id).into()).collect();
            found.extend(self.all::<(i64, String)>(&sql, &args).await?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_the_databases_and_stay_different() {
        assert_eq!(clean("customer:acme"), "customer:acme");
        assert!(!clean("a\0b").contains('\0'));
        assert_ne!(clean("a\0b"), clean("a\u{fffd}b"));
        let (long, longer) = ("é".repeat(1000), "é".repeat(1001));
        assert!(clean(&long).len() <= LONGEST);
        assert_ne!(clean(&long), clean(&longer));
        assert_eq!(clean(&long), clean(&long));
    }

    #[test]
    fn sets_are_named_by_their_numbers() {
        assert_eq!(name(&vec![3, 17]), "3 17");
        assert_ne!(name(&(0..500).collect()), name(&(0..501).collect()));
        assert!(name(&(0..500).collect()).len() <= LONGEST_SET);
    }
}

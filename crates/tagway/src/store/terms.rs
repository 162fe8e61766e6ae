//! The dictionary: texts that many rows share, and sets of tags, as numbers. Numbers are looked up for every batch and
//! kept nowhere: they are those of this database as it is now, whatever was rolled back or restored.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use smallvec::SmallVec;
use tagway_core::secret;

use super::StoreError;
use super::aliases::Renamed;
use super::db::{Arg, Db, Tx};
use super::rows::{Cells, Rows};

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
pub(super) fn short_digest(text: &str) -> String {
    secret::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Things that many rows share, each once, with the places at which the rows name them: a batch has few of them, and
/// they are hashed in every row but looked up once.
#[derive(Debug)]
pub(super) struct Shared<T> {
    places: foldhash::HashMap<T, usize>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { places: foldhash::HashMap::default() }
    }
}

impl<T: std::hash::Hash + Eq> Shared<T> {
    /// Where it stands.
    pub(super) fn place(&mut self, thing: T) -> usize {
        let next = self.places.len();
        *self.places.entry(thing).or_insert(next)
    }

    /// What a number was found for, by place.
    fn numbers(&self, number: impl Fn(&T) -> Option<i64>) -> Vec<Option<i64>> {
        let mut numbers = vec![None; self.places.len()];
        for (thing, place) in &self.places {
            if let Some(at) = numbers.get_mut(*place) {
                *at = number(thing);
            }
        }
        numbers
    }
}

/// Numbers of texts, by place.
#[derive(Debug, Default)]
pub(super) struct Terms(Vec<Option<i64>>);

impl Terms {
    /// Finds the numbers of texts, and gives numbers to new ones.
    pub(super) async fn resolve(tx: &mut Tx, shared: &Shared<&str>) -> Result<Self, StoreError> {
        let texts: BTreeSet<Cow<'_, str>> = shared.places.keys().map(|text| clean(text)).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let rows = |cells: Vec<Arg>| Rows {
            into: "terms (text)",
            columns: &[Cells::Texts],
            cells,
            more: "",
            then: "ON CONFLICT (text) DO NOTHING RETURNING text, id",
        };
        let found = resolve(tx, &texts, FIND, rows, |text| vec![text.into()]).await?.all;
        Ok(Self(shared.numbers(|text| found.get(clean(text).as_ref()).copied())))
    }

    /// The number of the text at a place.
    pub(super) fn id(&self, place: usize) -> Option<i64> {
        self.0.get(place).copied().flatten()
    }
}

const FIND: &str = "SELECT text, id FROM terms WHERE text";

/// Numbers of names, all and those just given.
pub(super) struct Resolved {
    pub(super) all: HashMap<String, i64>,
    new: Vec<(String, i64)>,
}

/// Finds numbers and gives new ones. Two gateways that meet the same new names do so in the same order, so that the
/// second waits for the first and then finds what it gave.
pub(super) async fn resolve<'c>(
    tx: &mut Tx,
    names: &[&str],
    find: &str,
    rows: impl Fn(Vec<Arg>) -> Rows<'c>,
    row: impl Fn(&str) -> Vec<Arg>,
) -> Result<Resolved, StoreError> {
    let args = |names: &[&str]| -> Vec<Arg> { names.iter().map(|name| (*name).into()).collect() };
    let mut all: HashMap<String, i64> = tx.among(find, args(names)).await?.into_iter().collect();
    let missing: Vec<&str> = names.iter().copied().filter(|name| !all.contains_key(*name)).collect();
    let cells = missing.iter().flat_map(|name| row(name)).collect();
    let new: Vec<(String, i64)> = tx.write_returning(rows(cells)).await?;
    all.extend(new.iter().cloned());
    let elsewhere: Vec<&str> = missing.into_iter().filter(|name| !all.contains_key(*name)).collect();
    all.extend(tx.among::<(String, i64)>(find, args(&elsewhere)).await?);
    Ok(Resolved { all, new })
}

/// A set of tags: their numbers in ascending order, each once.
pub(super) type Set = SmallVec<[i64; 8]>;

/// Numbers of sets of tags, by place.
#[derive(Debug, Default)]
pub(super) struct TagSets(Vec<Option<i64>>);

impl TagSets {
    /// Finds the numbers of sets, and gives numbers to new ones.
    pub(super) async fn resolve(tx: &mut Tx, shared: &Shared<Set>) -> Result<Self, StoreError> {
        let named: Vec<(String, &Set)> =
            shared.places.keys().filter(|set| !set.is_empty()).map(|set| (name(set), set)).collect();
        let args = named.iter().map(|(name, _)| name.as_str().into()).collect();
        let mut numbers: HashMap<String, i64> = tx.among(FIND_SETS, args).await?.into_iter().collect();
        let strange: Vec<(String, &Set)> =
            named.into_iter().filter(|(name, _)| !numbers.contains_key(name)).collect();
        if !strange.is_empty() {
            // A set that is new may be one of former names.
            let renamed = tx.renamed().await?;
            let meant: Vec<(String, Set)> =
                strange.into_iter().map(|(name, set)| (name, today(set, &renamed))).collect();
            let made = make_sets(tx, meant.iter().map(|(_, set)| set)).await?;
            numbers.extend(
                meant.iter().filter_map(|(named, set)| Some((named.clone(), *made.get(&name(set))?))),
            );
        }
        let number = |set: &Set| numbers.get(&name(set)).copied();
        Ok(Self(shared.numbers(|set| if set.is_empty() { Some(0) } else { number(set) })))
    }

    /// The number of the set at a place.
    pub(super) fn id(&self, place: usize) -> i64 {
        self.0.get(place).copied().flatten().unwrap_or(0)
    }
}

const FIND_SETS: &str = "SELECT tags, id FROM tag_sets WHERE tags";

/// A set as it is written today.
fn today(set: &Set, renamed: &Renamed) -> Set {
    let mut today: Set = set.iter().map(|tag| renamed.id(*tag)).collect();
    today.sort_unstable();
    today.dedup();
    today
}

/// The numbers of sets by their names: of those that are there, and of those that are not yet.
async fn make_sets(
    tx: &mut Tx,
    sets: impl Iterator<Item = &Set>,
) -> Result<HashMap<String, i64>, StoreError> {
    let sets: BTreeMap<String, &Set> = sets.map(|set| (name(set), set)).collect();
    let names: Vec<&str> = sets.keys().map(String::as_str).collect();
    let size = |name: &str| sets.get(name).map_or(0, |set| count(set));
    let rows = |cells: Vec<Arg>| Rows {
        into: "tag_sets (tags, size)",
        columns: &[Cells::Texts, Cells::Ints],
        cells,
        more: "",
        then: "ON CONFLICT (tags) DO NOTHING RETURNING tags, id",
    };
    let row = |name: &str| vec![name.into(), size(name).into()];
    let resolved = resolve(tx, &names, FIND_SETS, rows, row).await?;
    let mut members: Vec<[i64; 4]> = Vec::new();
    for (name, id) in &resolved.new {
        let set = sets.get(name).copied();
        members
            .extend((0..).zip(set.into_iter().flatten()).map(|(place, tag)| [*tag, *id, place, size(name)]));
    }
    tx.write(Rows {
        into: "tag_set_members (tag_id, tag_set, position, size)",
        columns: &[Cells::Ints; 4],
        cells: members.into_iter().flatten().map(Arg::Int).collect(),
        more: "",
        then: "",
    })
    .await?;
    Ok(resolved.all)
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
        let args = texts.iter().map(|text| Arg::Text(clean(text).into_owned())).collect();
        Ok(self.among::<(String, i64)>(FIND, args).await?.into_iter().collect())
    }

    /// The texts of numbers.
    pub(super) async fn term_texts(&self, ids: &BTreeSet<i64>) -> Result<HashMap<i64, String>, StoreError> {
        let args = ids.iter().copied().map(Arg::Int).collect();
        let rows: Vec<(i64, String)> = self.among("SELECT id, text FROM terms WHERE id", args).await?;
        Ok(rows.into_iter().collect())
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
        assert_eq!(name(&Set::from_slice(&[3, 17])), "3 17");
        assert_ne!(name(&(0..500).collect()), name(&(0..501).collect()));
        assert!(name(&(0..500).collect()).len() <= LONGEST_SET);
    }
}

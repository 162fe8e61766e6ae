//! What the receipts of a batch are about: each subject once, with the numbers of its texts, however many receipts
//! share it. Knows nothing of amounts.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::StoreError;
use super::db::{Arg, Tx};
use super::rows::{Cells, Rows};
use super::spend_logs;
use super::terms::{Set, Shared, TagSets, Terms, resolve, short_digest};
use crate::receipt::{self, Receipt, Subject};

/// Owner and origin of a request, as numbers, in the order of the columns of `daily`.
pub(super) type Owners = [Option<i64>; 10];

/// A subject with its numbers.
pub(super) struct Known<'r> {
    pub(super) subject: &'r Subject,
    pub(super) owners: Owners,
    pub(super) tag_set: i64,
    /// That of itself, by which rows of the log name it.
    pub(super) number: i64,
}

/// The subjects of these receipts, and for each receipt the place of its own.
pub(super) async fn known<'r>(
    tx: &mut Tx,
    receipts: &'r [Receipt],
) -> Result<(Vec<Known<'r>>, Vec<usize>), StoreError> {
    let (subjects, places) = receipt::subjects(receipts);
    let mut texts = Shared::default();
    let named: Vec<Named> = subjects.iter().map(|subject| Named::new(subject, &mut texts)).collect();
    let terms = Terms::resolve(tx, &texts).await?;
    let mut sets = Shared::default();
    let tagged: Vec<usize> = named.iter().map(|named| sets.place(named.tag_set(&terms))).collect();
    let sets = TagSets::resolve(tx, &sets).await?;
    let rows = subjects.iter().zip(&named).zip(tagged).map(|((subject, named), set)| {
        let owners = named.owners.map(|place| place.and_then(|place| terms.id(place)));
        Ok(SubjectRow::new(owners, sets.id(set), spend_logs::about(subject)?))
    });
    let rows: Vec<SubjectRow> = rows.collect::<Result<_, StoreError>>()?;
    let numbers = stored(tx, &rows).await?;
    let known = subjects.into_iter().zip(rows).map(|(subject, row)| {
        let SubjectRow { digest, owners, tag_set, .. } = row;
        let Some(number) = numbers.get(&digest).copied() else {
            // Rows that name no subject would be found by nobody.
            let why = "it was not stored".to_owned();
            return Err(StoreError::Unreadable { table: "spend_log_subjects", id: digest, why });
        };
        Ok(Known { subject, owners, tag_set, number })
    });
    Ok((known.collect::<Result<_, StoreError>>()?, places))
}

/// A subject as it is stored.
struct SubjectRow {
    /// Of all that follows.
    digest: String,
    owners: Owners,
    tag_set: i64,
    /// What has no column.
    about: String,
}

impl SubjectRow {
    fn new(owners: Owners, tag_set: i64, about: String) -> Self {
        let numbers = owners.map(|id| id.map_or_else(String::new, |id| id.to_string())).join(" ");
        Self { digest: short_digest(&format!("{numbers} {tag_set} {about}")), owners, tag_set, about }
    }
}

/// The numbers of subjects by their digests; new ones are stored.
async fn stored(tx: &mut Tx, rows: &[SubjectRow]) -> Result<HashMap<String, i64>, StoreError> {
    // In their order, in which gateways that meet the same new ones wait for each other.
    let by_digest: BTreeMap<&str, &SubjectRow> = rows.iter().map(|row| (row.digest.as_str(), row)).collect();
    let digests: Vec<&str> = by_digest.keys().copied().collect();
    let mut columns = [Cells::Ints; 13];
    [columns[0], columns[12]] = [Cells::Texts; 2];
    let into = format!("spend_log_subjects (digest, {}, tag_set, about)", spend_logs::OWNERS);
    let new = |cells: Vec<Arg>| Rows {
        into: &into,
        columns: &columns,
        cells,
        more: "",
        then: "ON CONFLICT (digest) DO NOTHING RETURNING digest, id",
    };
    let cells = |digest: &str| -> Vec<Arg> {
        let Some(row) = by_digest.get(digest) else { return Vec::new() };
        let mut cells = vec![digest.into()];
        cells.extend(row.owners.map(Arg::MaybeInt));
        cells.extend([row.tag_set.into(), row.about.as_str().into()]);
        cells
    };
    let find = "SELECT digest, id FROM spend_log_subjects WHERE digest";
    Ok(resolve(tx, &digests, find, new, cells).await?.all)
}

/// The places of a subject's texts.
struct Named {
    owners: [Option<usize>; 10],
    tags: SmallVec<[usize; 8]>,
}

impl Named {
    fn new<'r>(subject: &'r Subject, texts: &mut Shared<&'r str>) -> Self {
        Self {
            owners: owners(subject).map(|text| text.map(|text| texts.place(text))),
            tags: subject.tags.iter().map(|tagged| texts.place(&tagged.tag)).collect(),
        }
    }

    fn tag_set(&self, terms: &Terms) -> Set {
        let mut tags: Set = self.tags.iter().filter_map(|place| terms.id(*place)).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

/// The texts of a subject that stand in the dictionary, in the order of [`Owners`].
fn owners(subject: &Subject) -> [Option<&str>; 10] {
    [
        &subject.key,
        &subject.team,
        &subject.user,
        &subject.organization,
        &subject.project,
        &subject.customer,
        &subject.group,
        &subject.deployment,
        &subject.provider,
        &subject.model,
    ]
    .map(|text| text.as_deref().filter(|text| !text.is_empty()))
}

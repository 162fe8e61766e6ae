//! What the receipts of a batch are about: each subject once, with the numbers of its texts, however many receipts
//! share it. Knows nothing of amounts.

use smallvec::SmallVec;

use super::StoreError;
use super::db::Tx;
use super::spend_logs;
use super::terms::{Set, Shared, TagSets, Terms};
use crate::receipt::{self, Receipt, Subject};

/// Owner and origin of a request, as numbers, in the order of the columns of `daily`.
pub(super) type Owners = [Option<i64>; 10];

/// A subject with its numbers.
pub(super) struct Known<'r> {
    pub(super) subject: &'r Subject,
    pub(super) owners: Owners,
    pub(super) tag_set: i64,
    /// Its part of the log's `body`.
    pub(super) body: String,
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
    let known = subjects.into_iter().zip(&named).zip(tagged).map(|((subject, named), set)| {
        let owners = named.owners.map(|place| place.and_then(|place| terms.id(place)));
        Ok(Known { subject, owners, tag_set: sets.id(set), body: spend_logs::about(subject)? })
    });
    Ok((known.collect::<Result<_, StoreError>>()?, places))
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

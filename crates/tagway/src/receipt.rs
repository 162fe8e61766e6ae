//! What is known of a request when it has ended: the unit of the ledger. It is written to the journal before the
//! last byte of an answer leaves, and from there to the store, exactly once. Holds no body and no key.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tagway_core::money::Nanos;
use tagway_core::usage::Usage;

/// The time at which what never begins anew begins anew.
pub(crate) use tagway_core::budget::NEVER;

/// Whose spend it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Payer {
    Key,
    Team,
    User,
    Organization,
    Project,
    Customer,
    Tag,
    /// A key's use of one model: `<key>/<model>`.
    KeyModel,
    /// Another owner's use of one model: `<kind>/<id>/<model>`.
    OwnerModel,
    /// A user's part of a team's: `<team>/<user>`.
    Member,
    Deployment,
    Provider,
    /// Everybody's: the id is empty.
    Global,
    // The journal knows them by their place: new ones come last.
    /// What carried a tag at a deployment: `<deployment>/<tag>`.
    DeploymentTag,
    /// A user's part of an organization's: `<organization>/<user>`.
    OrganizationMember,
}

impl Payer {
    const ALL: [Self; 15] = [
        Self::Key,
        Self::Team,
        Self::User,
        Self::Organization,
        Self::Project,
        Self::Customer,
        Self::Tag,
        Self::KeyModel,
        Self::OwnerModel,
        Self::Member,
        Self::Deployment,
        Self::Provider,
        Self::Global,
        Self::DeploymentTag,
        Self::OrganizationMember,
    ];

    /// The one of this name in the store.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|payer| payer.as_str() == name)
    }

    /// Its name in the store: that of the object's kind, where it is an object.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Organization => "organization",
            Self::Project => "project",
            Self::Customer => "customer",
            Self::Tag => "tag",
            Self::KeyModel => "key_model",
            Self::OwnerModel => "owner_model",
            Self::Member => "member",
            Self::OrganizationMember => "organization_member",
            Self::Deployment => "deployment",
            Self::DeploymentTag => "deployment_tag",
            Self::Provider => "provider",
            Self::Global => "global",
        }
    }
}

/// A counter that the cost of a request is added to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Booking {
    pub(crate) payer: Payer,
    pub(crate) id: Box<str>,
    /// Until when the cost counts against the payer's budget, in milliseconds since 1970: the end of the budget's
    /// window, or [`NEVER`].
    pub(crate) until: i64,
}

/// What the store has counted for a payer until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    /// [`Payer::as_str`].
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) until: i64,
    pub(crate) amount: Nanos,
}

/// A tag a request carried, without marker and routing prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Tagged {
    pub(crate) tag: Box<str>,
    /// Where it came from: `header`, `body`, `key`, `team`, ….
    pub(crate) origin: Cow<'static, str>,
}

/// A request that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Receipt<S = Arc<Subject>> {
    /// The gateway's own number of the request. Its first 48 bits are `began`, so that later ones are larger and a
    /// time is a range of numbers.
    pub(crate) id: u128,
    /// `x-litellm-call-id` as the client gave it; empty where it is the number, see [`Self::call_id`].
    pub(crate) named: Box<str>,
    /// When it began, in milliseconds since 1970.
    pub(crate) began: i64,
    /// How long all of it took, in microseconds.
    pub(crate) took: u64,
    /// From its beginning to the first byte of the answer, in microseconds.
    pub(crate) first_byte: Option<u64>,
    /// The provider's part of it, in microseconds.
    pub(crate) upstream: u64,
    pub(crate) stream: bool,
    pub(crate) status: u16,
    /// What went wrong, if anything.
    pub(crate) error: Option<Box<str>>,
    pub(crate) usage: Option<Usage>,
    /// What it cost; none when the price is not known and something was used.
    pub(crate) cost: Option<Nanos>,
    pub(crate) retries: u32,
    pub(crate) fallbacks: u32,
    /// Prompt and answer, where they are kept.
    pub(crate) texts: Option<Box<Texts>>,
    /// How it was routed, as JSON, where that is kept.
    pub(crate) decision: Option<Box<str>>,
    /// Last, so that a journal's entry ends with it and many that end alike are read once.
    pub(crate) subject: S,
}

/// What was said, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Texts {
    /// `messages` of the request, or `prompt`, or `input`.
    pub(crate) messages: Box<str>,
    /// The answer.
    pub(crate) response: Box<str>,
}

/// The subjects of receipts, and for each receipt the place of its own. Receipts that were read together share their
/// subjects; others have some of their own that may say the same.
pub(crate) fn subjects(receipts: &[Receipt]) -> (Vec<&Subject>, Vec<usize>) {
    let (mut subjects, mut known) = (Vec::new(), foldhash::HashMap::default());
    let places = receipts.iter().map(|receipt| {
        *known.entry(Arc::as_ptr(&receipt.subject)).or_insert_with(|| {
            subjects.push(&*receipt.subject);
            subjects.len() - 1
        })
    });
    let places = places.collect();
    (subjects, places)
}

/// Whose a request was, what it asked for and who served it: what very many requests have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Subject {
    /// The path of the endpoint: `/chat/completions`.
    pub(crate) endpoint: Box<str>,
    /// The key's stable id (SHA-256 of the key it was made with), or that of a token's subject; none for the master key.
    pub(crate) key: Option<Box<str>>,
    pub(crate) team: Option<Box<str>>,
    pub(crate) user: Option<Box<str>>,
    pub(crate) organization: Option<Box<str>>,
    pub(crate) project: Option<Box<str>>,
    /// The end user that the request names, known or not.
    pub(crate) customer: Option<Box<str>>,
    /// The model as the client asked for it.
    pub(crate) asked: Box<str>,
    /// The model group that served.
    pub(crate) group: Option<Box<str>>,
    /// `model_info.id` of the deployment that served.
    pub(crate) deployment: Option<Box<str>>,
    pub(crate) provider: Option<Box<str>>,
    /// The provider's model (`litellm_params.model`, wildcards filled).
    pub(crate) model: Option<Box<str>>,
    pub(crate) tags: Vec<Tagged>,
    /// What chose the deployment: `tags` or `tag_regex`, and its value.
    pub(crate) matched: Option<(Box<str>, Box<str>)>,
    /// The counters that the cost is added to.
    pub(crate) bookings: Vec<Booking>,
}

impl<S> Receipt<S> {
    /// The receipt with something else for its subject; and that one.
    pub(crate) fn about<T>(self, subject: T) -> (Receipt<T>, S) {
        let Self { id, named, began, took, first_byte, upstream, stream, status, error, usage, cost, .. } =
            self;
        let (retries, fallbacks, texts, decision) = (self.retries, self.fallbacks, self.texts, self.decision);
        let receipt = Receipt {
            id,
            named,
            began,
            took,
            first_byte,
            upstream,
            stream,
            status,
            error,
            usage,
            cost,
            retries,
            fallbacks,
            texts,
            decision,
            subject,
        };
        (receipt, self.subject)
    }
}

impl Receipt {
    /// Whether the request failed, be it after its answer had begun.
    pub(crate) fn failed(&self) -> bool {
        self.error.is_some() || 400 <= self.status
    }

    /// A number for a request that begins now (milliseconds since 1970): the bits of a UUID of version 7. A name and no
    /// secret: a fast generator is enough.
    pub(crate) fn new_id(now: i64) -> u128 {
        const RANDOM: u128 = (0xfff << 64) | ((1 << 62) - 1);
        Self::first_id(now) | 7 << 76 | 0b10 << 62 | fastrand::u128(..) & RANDOM
    }

    /// When a request with this number began, in milliseconds since 1970.
    pub(crate) fn began(id: u128) -> i64 {
        i64::try_from(id >> 80).unwrap_or_default()
    }

    /// A number as a name.
    pub(crate) fn name_of(id: u128, buffer: &mut [u8]) -> &str {
        uuid::Uuid::from_u128(id).hyphenated().encode_lower(buffer)
    }

    /// The request's name for clients and logs: `x-litellm-call-id`.
    pub(crate) fn call_id(&self) -> Cow<'_, str> {
        if self.named.is_empty() {
            Cow::Owned(Self::name_of(self.id, &mut uuid::Uuid::encode_buffer()).to_owned())
        } else {
            Cow::Borrowed(&self.named)
        }
    }

    /// The smallest number that a request which began at this time (milliseconds since 1970) may have.
    pub(crate) fn first_id(began: i64) -> u128 {
        u128::from(u64::try_from(began).unwrap_or(0).min((1 << 48) - 1)) << 80
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_are_unique_and_later_ones_are_larger() {
        let numbers: Vec<u128> =
            (0..10_000).map(|at| Receipt::new_id(1_800_000_000_000 + at / 5000)).collect();
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
        assert!(numbers[0] < numbers[9_999] && numbers[4_999] < numbers[5_000]);
        assert_eq!(uuid::Uuid::from_u128(numbers[0]).get_version_num(), 7);
    }

    /// What stands in a journal outlives the gateway that wrote it: see the format in `ledger/segment.rs`.
    #[test]
    fn a_receipt_in_a_journal_reads_as_the_version_that_the_journal_tells() {
        let receipt = Receipt {
            id: 7,
            named: "mine".into(),
            began: 1_800_000_000_000,
            took: 300,
            first_byte: Some(200),
            upstream: 100,
            stream: true,
            status: 200,
            usage: Some(Usage { prompt: 3, total: 3, ..Usage::default() }),
            cost: Some(Nanos(5)),
            retries: 1,
            subject: Subject {
                endpoint: "/e".into(),
                key: Some("k".into()),
                asked: "m".into(),
                tags: vec![Tagged { tag: "eu".into(), origin: "key".into() }],
                matched: Some(("tags".into(), "eu".into())),
                bookings: vec![Booking { payer: Payer::Global, id: "".into(), until: NEVER }],
                ..Subject::default()
            },
            ..Receipt::default()
        };
        let bytes = postcard::to_stdvec(&receipt).unwrap();
        assert_eq!(postcard::from_bytes::<Receipt<Subject>>(&bytes).unwrap(), receipt);
        let (alone, about) = postcard::take_from_bytes::<Receipt<()>>(&bytes).unwrap();
        assert_eq!(postcard::from_bytes::<Subject>(about).unwrap(), receipt.subject);
        assert_eq!(alone.cost, receipt.cost);
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            written,
            concat!(
                "07046d696e6580c0e285e368ac0201c8016401c801000103000300000000000000010a01000000022f65",
                "01016b0000000000016d0000000001026575036b6579010474616773026575010c00feffffffffffffff",
                "ff01"
            )
        );
    }

    #[test]
    fn a_request_is_called_what_its_client_calls_it_or_by_its_number() {
        let mut receipt: Receipt = Receipt { id: Receipt::new_id(1_800_000_000_000), ..Receipt::default() };
        assert_eq!(uuid::Uuid::parse_str(&receipt.call_id()).unwrap().as_u128(), receipt.id);
        receipt.named = "mine".into();
        assert_eq!(receipt.call_id(), "mine");
    }
}

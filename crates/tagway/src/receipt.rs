//! What is known of a request when it has ended: the unit of the ledger. It is written to the journal before the
//! last byte of an answer leaves, and from there to the store, exactly once. Holds no body and no key.

use std::borrow::Cow;

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
}

impl Payer {
    const ALL: [Self; 13] = [
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
            Self::Deployment => "deployment",
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tagged {
    pub(crate) tag: Box<str>,
    /// Where it came from: `header`, `body`, `key`, `team`, ….
    pub(crate) origin: Cow<'static, str>,
}

/// A request that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Receipt {
    /// The gateway's own number of the request. Its first 48 bits are `began`, so that later ones are larger and a
    /// time is a range of numbers.
    pub(crate) id: u128,
    /// `x-litellm-call-id`: the client's, or ours.
    pub(crate) call_id: Box<str>,
    /// When it began, in milliseconds since 1970.
    pub(crate) began: i64,
    /// How long all of it took, in microseconds.
    pub(crate) took: u64,
    /// From its beginning to the first byte of the answer, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte: Option<u64>,
    /// The provider's part of it, in microseconds.
    pub(crate) upstream: u64,
    /// The path of its endpoint: `/chat/completions`.
    pub(crate) endpoint: Box<str>,
    /// The key's stable id (SHA-256 of the key it was made with); none for the master key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) team: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) organization: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<Box<str>>,
    /// The end user that the request names, known or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<Box<str>>,
    /// The model as the client asked for it.
    pub(crate) asked: Box<str>,
    /// The model group that served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<Box<str>>,
    /// `model_info.id` of the deployment that served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deployment: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<Box<str>>,
    /// The provider's model (`litellm_params.model`, wildcards filled).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Box<str>>,
    pub(crate) stream: bool,
    pub(crate) status: u16,
    /// What went wrong, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
    /// What it cost; none when the price is not known and something was used.
    pub(crate) cost: Option<Nanos>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<Tagged>,
    /// What chose the deployment: `tags` or `tag_regex`, and its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matched: Option<(Box<str>, Box<str>)>,
    pub(crate) retries: u32,
    pub(crate) fallbacks: u32,
    /// The counters that the cost is added to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) bookings: Vec<Booking>,
}

impl Receipt {
    /// Whether the request failed, be it after its answer had begun.
    pub(crate) fn failed(&self) -> bool {
        self.error.is_some() || 400 <= self.status
    }

    /// The smallest number that a request which began at this time (milliseconds since 1970) may have.
    pub(crate) fn first_id(began: i64) -> u128 {
        u128::from(u64::try_from(began).unwrap_or(0).min((1 << 48) - 1)) << 80
    }
}

//! What is counted, and the labels by which it is told apart. Decides which labels make a difference, and what stands for
//! values that have no room; knows no numbers.

use tagway_core::metrics::Label;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// Requests with a complete answer, and the usage of all that a deployment has worked for.
    Served,
    /// Requests without one.
    Failed,
    /// Calls of deployments that failed.
    CallFailed,
    /// Calls that made a deployment cool down.
    Cooled,
    FellBack,
    FellBackInVain,
    Retried,
    /// Requests that no deployment was left for.
    Undecided,
    /// Requests with a tag.
    Tag,
}

impl What {
    pub(super) fn has_usage(self) -> bool {
        matches!(self, Self::Served | Self::Tag)
    }
}

/// The labels by which cells are told apart. The others follow from these.
pub(super) const IDENTITY: [Label; 15] = [
    Label::HashedApiKey,
    Label::RequestedModel,
    Label::ModelId,
    Label::StatusCode,
    Label::Tag,
    Label::ApiKeyAlias,
    Label::Team,
    Label::User,
    Label::ModelGroup,
    Label::LitellmModelName,
    Label::Route,
    Label::Stream,
    Label::ExceptionClass,
    Label::FallbackModel,
    Label::MatchedVia,
];

/// Of these, requests bring ever new values.
const UNBOUND: [Label; 7] = [
    Label::HashedApiKey,
    Label::ApiKeyAlias,
    Label::Team,
    Label::User,
    Label::RequestedModel,
    Label::FallbackModel,
    Label::Tag,
];

/// Longer values are cut.
const LONGEST: usize = 256;

/// What stands for values beyond the bound.
pub(super) const OTHER: &str = "other";

/// The labels of a cell that is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(super) what: What,
    /// Which of the listed tags there are, by bits.
    pub(super) tags: u32,
    of: [&'a str; Label::COUNT],
}

impl<'a> Name<'a> {
    /// One without labels.
    pub(crate) fn new(what: What) -> Self {
        Self { what, tags: 0, of: [""; Label::COUNT] }
    }

    /// One with this label, too.
    pub(crate) fn with(mut self, label: Label, value: &'a str) -> Self {
        // Clients name models and tags as long as they like.
        self.of[label as usize] =
            if value.len() <= LONGEST { value } else { &value[..value.floor_char_boundary(LONGEST)] };
        self
    }

    /// One with these of the listed tags.
    pub(crate) fn tagged(mut self, tags: u32) -> Self {
        self.tags = tags;
        self
    }

    /// The same for whatever has no room of its own.
    pub(super) fn of_others(mut self) -> Self {
        for label in UNBOUND {
            self.of[label as usize] = OTHER;
        }
        self.tags = u32::MAX;
        self
    }

    pub(super) fn hash(&self) -> u64 {
        use std::hash::BuildHasher as _;
        let identity: [&str; IDENTITY.len()] = std::array::from_fn(|at| self.of[IDENTITY[at] as usize]);
        super::HASHER.hash_one((self.what, self.tags, identity))
    }
}

/// The labels of a cell.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(super) what: What,
    pub(super) tags: u32,
    pub(super) hash: u64,
    /// Stands for whatever has no room of its own.
    pub(super) others: bool,
    of: [Box<str>; Label::COUNT],
}

impl Labels {
    pub(super) fn new(name: &Name<'_>, others: bool, fill: impl FnOnce(&mut Self)) -> Self {
        let of = std::array::from_fn(|at| name.of[at].into());
        let (what, tags, hash) = (name.what, name.tags, name.hash());
        let mut labels = Self { what, tags, hash, others, of };
        fill(&mut labels);
        if others {
            labels.set(Label::TeamAlias, OTHER);
        }
        labels
    }

    /// Whether these are the labels of a name with this hash. To compare them one by one would cost more than all the
    /// rest of a measurement; that two of some thousand names have the same 64 bits, chosen anew in each process, is
    /// less likely than a broken memory, and would only mix two numbers.
    pub(super) fn is(&self, name: &Name<'_>, hash: u64) -> bool {
        self.hash == hash && self.what == name.what && self.tags == name.tags
    }

    /// A label that follows from the others.
    pub(crate) fn set(&mut self, label: Label, value: &str) {
        self.of[label as usize] = value.into();
    }

    /// What is told of a label.
    pub(super) fn get(&self, label: Label) -> &str {
        let value = match label {
            Label::ExceptionStatus => &self.of[Label::StatusCode as usize],
            Label::Outcome if self.what == What::Served => "served",
            Label::Outcome => &self.of[Label::ExceptionClass as usize],
            // LiteLLM's word for it.
            Label::Reason => "missing_pricing_key",
            other => &self.of[other as usize],
        };
        // Python's None as text, as dashboards know it.
        if value.is_empty() { "None" } else { value }
    }
}

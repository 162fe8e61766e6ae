//! What is wrong with a vocabulary of tags: told from what is declared, seen, carried and served. Pure: the facts are
//! given, and what is found is the same for the same facts. Knows neither stores nor how findings are shown.

mod checks;
mod near;
mod text;

use serde::{Deserialize, Serialize};

pub use near::{Near, Spelling, Word, near};
pub use text::in_words;

use crate::config::TagKind;
use crate::money::Nanos;

/// What is known of tags.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// The declared vocabulary.
    pub declared: Vec<Declared<'a>>,
    /// Tags of requests.
    pub seen: Vec<Seen<'a>>,
    /// What keys, teams and other owners carry.
    pub carried: Vec<Carried<'a>>,
    /// Tags that rules and experiments of the operator add.
    pub derived: Vec<&'a str>,
    /// The deployments there are.
    pub deployments: Vec<Place<'a>>,
    /// Stored budgets that nothing refers to.
    pub budgets: Vec<&'a str>,
    /// What has broken the vocabulary lately, or would have.
    pub broken: Vec<Broken<'a>>,
    /// Names that need no declaration: what headers label, variants of experiments, `default`.
    pub granted: Vec<&'a str>,
    /// `tag_hierarchy`
    pub hierarchy: bool,
    /// `tag_routing_prefix`
    pub prefix: &'a str,
    /// Now, in milliseconds since 1970.
    pub now: i64,
    /// What was not seen since then (milliseconds since 1970) is not in use.
    pub since: i64,
}

/// A declared tag or pattern.
#[derive(Debug, Clone, Copy, Default)]
pub struct Declared<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub kind: TagKind,
    /// Names it had before.
    pub former: &'a [String],
    /// Whether it says what it is for.
    pub described: bool,
    /// Whether it says who answers for it.
    pub owned: bool,
    /// Whether it has a budget.
    pub budget: bool,
    /// When it retires: in milliseconds since 1970, and as it was written.
    pub retires: Option<(i64, &'a str)>,
    /// What to use instead.
    pub replaced_by: Option<&'a str>,
    /// It labels, and takes no part in routing.
    pub quarantined: bool,
}

/// Something that has broken the vocabulary, or would have.
#[derive(Debug, Clone, Copy)]
pub struct Broken<'a> {
    /// The tag as it was written.
    pub tag: &'a str,
    /// What was done about it: `refused`, `observed`, `warned`.
    pub outcome: &'a str,
    /// Why, in words.
    pub message: &'a str,
    /// How often.
    pub count: u64,
    /// When it was met last, in milliseconds since 1970.
    pub last: i64,
    /// Who sent it last.
    pub by: &'a str,
}

/// A tag that requests carried.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// Its name, without marker and prefix.
    pub name: &'a str,
    /// When it was seen last, in milliseconds since 1970.
    pub last: i64,
    /// Requests of the days in question.
    pub requests: u64,
    /// What they cost.
    pub spend: Nanos,
}

/// A tag that an owner gives its requests.
#[derive(Debug, Clone, Copy)]
pub struct Carried<'a> {
    /// As it is written, marker and prefix included.
    pub tag: &'a str,
    /// `key`, `team`, ….
    pub kind: &'a str,
    /// The owner's id.
    pub id: &'a str,
}

/// A deployment.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// `model_info.id`
    pub id: &'a str,
    /// Its model group.
    pub group: &'a str,
    /// The tags it carries.
    pub tags: &'a [String],
    /// Whether patterns of the User-Agent lead to it.
    pub patterns: bool,
    /// Whether tags choose in its group.
    pub filtered: bool,
    /// Requests of the days in question.
    pub requests: u64,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// Probably not meant.
    Warning,
    /// Requests fail, or what is enforced is not what is declared.
    Error,
}

impl Weight {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A tag that routes, and no deployment carries it.
    UnservedTag,
    /// A tag that has retired or is about to, and is in use.
    RetiredTag,
    /// A tag that breaks the vocabulary.
    Violation,
    /// A tag in quarantine that is in use.
    QuarantinedTag,
    /// A deployment of a group that no tags lead to.
    UnreachableDeployment,
    /// Two tags that look like one.
    NearDuplicate,
    /// A tag of requests that nobody has declared.
    UndeclaredTag,
    /// An owner that gives its requests tags which nobody has declared.
    UndeclaredOnOwner,
    /// A declared tag that no request carries.
    UnusedTag,
    /// A budget of a tag that nobody spends.
    IdleBudget,
    /// A deployment that no request went to.
    IdleDeployment,
    /// A declared tag without a description or an owner.
    UndocumentedTag,
}

impl Check {
    /// All of them, the most important first.
    pub const ALL: [Self; 12] = [
        Self::UnservedTag,
        Self::RetiredTag,
        Self::Violation,
        Self::QuarantinedTag,
        Self::UnreachableDeployment,
        Self::NearDuplicate,
        Self::UndeclaredTag,
        Self::UndeclaredOnOwner,
        Self::UnusedTag,
        Self::IdleBudget,
        Self::IdleDeployment,
        Self::UndocumentedTag,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnservedTag => "unserved_tag",
            Self::RetiredTag => "retired_tag",
            Self::Violation => "violation",
            Self::QuarantinedTag => "quarantined_tag",
            Self::UnreachableDeployment => "unreachable_deployment",
            Self::NearDuplicate => "near_duplicate",
            Self::UndeclaredTag => "undeclared_tag",
            Self::UndeclaredOnOwner => "undeclared_on_owner",
            Self::UnusedTag => "unused_tag",
            Self::IdleBudget => "idle_budget",
            Self::IdleDeployment => "idle_deployment",
            Self::UndocumentedTag => "undocumented_tag",
        }
    }

    /// What it means, over a list of findings.
    pub fn heading(self) -> &'static str {
        match self {
            Self::UnservedTag => "Tags that route, and no deployment carries them",
            Self::RetiredTag => "Retired and retiring tags in use",
            Self::Violation => "What breaks the vocabulary",
            Self::QuarantinedTag => "Tags in quarantine that are in use",
            Self::UnreachableDeployment => "Deployments that no tags lead to",
            Self::NearDuplicate => "Tags that look like one",
            Self::UndeclaredTag => "Tags in use that nobody has declared",
            Self::UndeclaredOnOwner => "Owners that give undeclared tags to their requests",
            Self::UnusedTag => "Declared tags that no request carries",
            Self::IdleBudget => "Budgets that nobody spends",
            Self::IdleDeployment => "Deployments that no request went to",
            Self::UndocumentedTag => "Declared tags without a description or an owner",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::UnservedTag => {
                "put the tag on a deployment, take it from who gives it, or declare it with `kind: attribution`"
            }
            Self::RetiredTag => "use what replaces it, and take it from who carries it",
            Self::Violation => {
                "tell who sends it, or change what is declared; `GET /tag/violations` lists all of them"
            }
            Self::QuarantinedTag => "declare what it is for, or end its use with `retire_at`",
            Self::UnreachableDeployment => {
                "give the deployment a tag that requests carry, or `default`, or take it away"
            }
            Self::NearDuplicate => "merge them with `tagway tag merge`, or declare both if both are meant",
            Self::UndeclaredTag => {
                "declare it under `tags:` or with `tagway tag new`, or refuse it (`unknown_tags: reject`)"
            }
            Self::UndeclaredOnOwner => "declare the tag, or take it from the owner",
            Self::UnusedTag => "remove the declaration, or ask who was to use it",
            Self::IdleBudget => "remove the budget, or look whether requests carry the tag that was meant",
            Self::IdleDeployment => "look whether requests ask for its group, or take it away",
            Self::UndocumentedTag => "say what it is for (`description`) and who answers for it (`owner`)",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub check: Check,
    /// How bad it is.
    pub weight: Weight,
    /// The tag, deployment or owner: `team a`.
    pub subject: String,
    /// The subject's name for people, where it has one: a key's alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is the matter with it, in words.
    pub message: String,
    /// The tag that it is about, where the subject is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The tag that it looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<String>,
    /// When it was used last, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<i64>,
    /// Requests of the days in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// What they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<Nanos>,
}

impl Finding {
    fn new(check: Check, weight: Weight, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            check,
            weight,
            subject: subject.into(),
            name: None,
            message: message.into(),
            tag: None,
            similar: None,
            last_used: None,
            requests: None,
            spend: None,
        }
    }
}

/// Everything that is wrong, the most important check first, and within one what matters most.
pub fn audit(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = checks::all(facts);
    found.sort_by(|one, other| {
        let order = |finding: &Finding| (finding.check, std::cmp::Reverse(finding.weight));
        let use_of = |finding: &Finding| std::cmp::Reverse((finding.spend, finding.requests));
        order(one)
            .cmp(&order(other))
            .then_with(|| use_of(one).cmp(&use_of(other)))
            .then_with(|| one.subject.cmp(&other.subject))
            .then_with(|| one.similar.cmp(&other.similar))
            .then_with(|| one.tag.cmp(&other.tag))
    });
    found
}

//! The objects of identity as they are stored and shown: keys, teams, users and what stands above them, with
//! LiteLLM's field names. They know neither how they are stored nor who may see them.

mod budget;
mod customer;
mod duration;
mod experiment;
mod key;
mod limits;
mod model;
mod organization;
mod policy;
mod project;
mod tag;
mod team;
mod user;
mod window;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tagway_core::access::Policy;
use tagway_core::config::Rates;
use tagway_core::tag::Origin;

pub(crate) use budget::Budget;
pub(crate) use customer::Customer;
pub(crate) use duration::{after, count_days_in};
pub(crate) use experiment::Experiment;
pub(crate) use key::{Key, RouterSettings};
pub(crate) use limits::Limits;
pub(crate) use model::Model;
pub(crate) use organization::{Organization, OrganizationMember, OrganizationRole};
pub(crate) use project::Project;
pub(crate) use tag::{Tag, TagUse};
pub(crate) use team::{Member, Team};
pub(crate) use user::{Role, User};
pub(crate) use window::Window;

/// The kinds of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Key,
    Team,
    User,
    Customer,
    Organization,
    Project,
    Budget,
    Tag,
    Model,
    Experiment,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Key,
        Self::Team,
        Self::User,
        Self::Customer,
        Self::Organization,
        Self::Project,
        Self::Budget,
        Self::Tag,
        Self::Model,
        Self::Experiment,
    ];

    /// Its name in the audit and among the changes.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Customer => "customer",
            Self::Organization => "organization",
            Self::Project => "project",
            Self::Budget => "budget",
            Self::Tag => "tag",
            Self::Model => "model",
            Self::Experiment => "experiment",
        }
    }

    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The table that holds it.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Team => "teams",
            Self::User => "users",
            Self::Customer => "customers",
            Self::Organization => "organizations",
            Self::Project => "projects",
            Self::Budget => "budgets",
            Self::Tag => "tags",
            Self::Model => "models",
            Self::Experiment => "experiments",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an object is searched by, and whom it belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Links<'a> {
    /// Its alias or name.
    pub(crate) name: Option<&'a str>,
    pub(crate) team: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    pub(crate) organization: Option<&'a str>,
    pub(crate) project: Option<&'a str>,
    pub(crate) budget: Option<&'a str>,
}

/// A kind of object: plain data that is JSON in the store and in answers. Every field has a default, so that a
/// request may give any subset of them.
pub(crate) trait Object:
    Serialize + DeserializeOwned + Clone + Default + Send + Sync + 'static
{
    const KIND: Kind;

    fn links(&self) -> Links<'_>;

    /// The tags it carries.
    fn tags(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Who is member of it, and as what.
    fn members(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }
}

/// An object that requests inherit from.
pub(crate) trait Owner: Object {
    const ORIGIN: Origin;

    /// What it gives to requests and demands of them.
    ///
    /// # Errors
    /// A field holds what it cannot hold, with the field's name.
    fn policy(&self, id: &str) -> Result<Policy, Unfit>;

    /// Its limits of rate and money.
    fn limits(&self) -> &Limits;

    /// How messages name it, if not by its id.
    fn name_in_messages(&self) -> Option<Box<str>> {
        None
    }

    /// How messages about its budget for a model name it.
    fn whose_model_budget(&self, id: &str) -> String {
        let kind = Self::KIND.as_str();
        let (first, rest) = kind.split_at(1);
        format!("LiteLLM {}{rest}: {id}", first.to_uppercase())
    }

    /// What its members may spend, by user.
    fn member_limits(&self) -> impl Iterator<Item = (&str, Limits)> {
        std::iter::empty()
    }

    /// How many tokens an answer is taken to have before it is there: of any model, and by model.
    fn estimated_output(&self) -> (Option<u64>, Option<&BTreeMap<String, u64>>) {
        (None, None)
    }

    /// Its limits of rate by model.
    fn model_rates(&self) -> Vec<(Box<str>, Rates)> {
        Vec::new()
    }
}

/// Limits by model as rates.
fn by_model(
    requests: Option<&BTreeMap<String, u64>>,
    tokens: Option<&BTreeMap<String, u64>>,
) -> Vec<(Box<str>, Rates)> {
    let of = |limits: Option<&BTreeMap<String, u64>>, model: &str| limits?.get(model).copied();
    let mut models: Vec<&String> = requests.into_iter().chain(tokens).flat_map(BTreeMap::keys).collect();
    models.sort();
    models.dedup();
    let rates = models.into_iter().map(|model| {
        let rates = Rates { requests: of(requests, model), tokens: of(tokens, model), in_progress: None };
        (model.as_str().into(), rates)
    });
    rates.collect()
}

/// A field of an object that holds what it cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Unfit {
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

impl Unfit {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// The strings of `metadata.tags`: what an owner's requests inherit.
fn tags_of(metadata: &Map<String, Value>) -> Vec<&str> {
    match metadata.get("tags") {
        Some(Value::String(tag)) => vec![tag],
        Some(Value::Array(tags)) => tags.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

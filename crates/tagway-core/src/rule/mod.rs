//! Rules: tags that the operator derives from what a request is and says. A condition is CEL, checked and bounded when it
//! is loaded, so that none can fail for its form later, or keep a request waiting.
//!
//! The language is that of <https://cel.dev>, as far as conditions need it: its parser is the `cel` crate's; what it
//! yields is compiled here into a tree whose types are known, since an interpreter of values of any type would take a
//! hundred times as long for each rule of each request.

mod compile;
mod names;
mod program;

use http::HeaderName;
use serde_json::Value;

pub use program::{Program, Wrong};

/// What conditions may ask of a request. Texts that are not known are empty.
pub trait Facts {
    /// A text.
    fn text(&self, field: TextField) -> &str;
    /// A header.
    fn header(&self, name: &HeaderName) -> Option<&str>;
    /// An object that somebody has attached.
    fn metadata(&self, of: Owner) -> Option<&Value>;
    /// Calls `each` with every tag, until that says that it has seen enough.
    fn tags(&self, of: Owner, each: &mut dyn FnMut(&str) -> bool);
    /// `request.stream`
    fn stream(&self) -> bool;
    /// `request.tokens`: an estimate of the prompt's.
    fn tokens(&self) -> u64;
    /// `request.contains_pii`
    fn contains_pii(&self) -> bool;
}

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The request.
    Request,
    /// Its virtual key.
    Key,
    /// The key's team.
    Team,
    /// The key's user.
    User,
    /// The key's project.
    Project,
    /// The organization.
    Organization,
    /// The customer that the request names.
    Customer,
}

/// Texts by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// `request.path`
    Path,
    /// `request.model`
    Model,
    /// `request.user`: the end user it names.
    EndUser,
    /// `request.session`: LiteLLM's session id.
    Session,
    /// `key.id`, `team.id`, …
    Id(Owner),
    /// `key.alias`, …: its name for people.
    Alias(Owner),
}

/// What an error of a condition is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// `skip`: the rule does not apply.
    #[default]
    Skip,
    /// `deny`: the request is refused.
    Deny,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, for logs and explanations.
    pub name: Box<str>,
    /// When it applies.
    pub when: Program,
    /// The tags it adds, with their markers.
    pub add: Vec<Box<str>>,
    /// What follows when the condition cannot be answered.
    pub on_error: OnError,
}

/// A condition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadCondition {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where it is, in characters from the beginning.
    pub at: Option<usize>,
}

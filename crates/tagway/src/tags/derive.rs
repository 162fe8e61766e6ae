//! Tags that the operator's rules derive from a request. What a condition means is the core's; here is what it may ask
//! about, made only where some rule asks for it.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, HeaderName};
use serde_json::Value;
use smallvec::SmallVec;
use tagway_core::pii;
use tagway_core::rule::{Facts, OnError, Owner, Rule, TextField};
use tagway_core::snapshot::Snapshot;
use tagway_core::tag::{Expression, Origin, RequestTags};
use tagway_core::tokens;
use tagway_core::wire::peek::{Known, Peek};

use super::session;
use crate::accounts::now_millis;
use crate::auth::Caller;

/// Tokens of longer bodies are told by their length.
const COUNTED: usize = 32 << 10;
/// Longer metadata is no metadata that a rule is about.
const MOST_METADATA: usize = 64 << 10;
/// Failed conditions are told this often, in milliseconds: a client decides how often they fail.
const TOLD: i64 = 1000;

/// A request whose tags are asked for, with what rules may ask about it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) peek: &'a Peek<'a>,
    pub(crate) path: &'a str,
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
    /// The customer it names.
    pub(crate) customer: Option<&'a str>,
    /// Its own tag expression.
    pub(crate) expression: Option<&'a Expression>,
}

/// A rule that denies what it cannot judge could not judge this request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Request refused: the rule '{rule}' cannot be applied: {why}.")]
pub(crate) struct Undecided {
    rule: Box<str>,
    why: Box<str>,
}

/// Adds the tags of all rules that apply. None of them sees what another one adds.
///
/// # Errors
/// A condition cannot be answered, and its rule denies then.
pub(super) fn derive<'a>(
    snapshot: &'a Snapshot,
    asked: &Asked<'_>,
    tags: &mut RequestTags<'a>,
) -> Result<(), Undecided> {
    let rules = &snapshot.config.tag_rules;
    if rules.is_empty() {
        return Ok(());
    }
    let facts = Request::new(snapshot, asked, tags);
    let mut applied: SmallVec<[&Rule; 8]> = SmallVec::new();
    for rule in rules {
        match rule.when.holds(&facts) {
            Ok(true) => applied.push(rule),
            Ok(false) => {}
            Err(wrong) if rule.on_error == OnError::Deny => {
                return Err(Undecided { rule: rule.name.clone(), why: wrong.0.into() });
            }
            Err(wrong) => tell(&rule.name, wrong.0),
        }
    }
    for rule in applied {
        rule.add.iter().for_each(|tag| tags.push(&**tag, Origin::Rule));
    }
    Ok(())
}

pub(super) fn tell(rule: &str, why: &str) {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let now = now_millis();
    let last = LAST.load(Ordering::Relaxed);
    if TOLD <= now - last && LAST.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        tracing::warn!(rule, why, "a rule cannot be applied, and is passed over");
    } else {
        tracing::debug!(rule, why, "a rule cannot be applied, and is passed over");
    }
}

/// A request as conditions see it.
pub(super) struct Request<'a, 't> {
    snapshot: &'a Snapshot,
    asked: &'a Asked<'a>,
    tags: &'a RequestTags<'t>,
    metadata: OnceCell<Option<Value>>,
    session: OnceCell<String>,
    tokens: OnceCell<u64>,
    contains_pii: OnceCell<bool>,
}

fn origin(of: Owner) -> Option<Origin> {
    Some(match of {
        Owner::Request => return None,
        Owner::Key => Origin::Key,
        Owner::Team => Origin::Team,
        Owner::User => Origin::User,
        Owner::Project => Origin::Project,
        Owner::Organization => Origin::Organization,
        Owner::Customer => Origin::Customer,
    })
}

impl<'a, 't> Request<'a, 't> {
    pub(super) fn new(snapshot: &'a Snapshot, asked: &'a Asked<'a>, tags: &'a RequestTags<'t>) -> Self {
        Self {
            snapshot,
            asked,
            tags,
            metadata: OnceCell::new(),
            session: OnceCell::new(),
            tokens: OnceCell::new(),
            contains_pii: OnceCell::new(),
        }
    }

    fn policy(&self, of: Owner) -> Option<&tagway_core::access::Policy> {
        let origin = origin(of)?;
        self.asked.caller.policies().find(|policy| policy.origin == origin)
    }
}

impl Facts for Request<'_, '_> {
    fn text(&self, field: TextField) -> &str {
        let Asked { caller, path, model, customer, .. } = *self.asked;
        match field {
            TextField::Path => path,
            TextField::Model => model,
            TextField::EndUser => customer.unwrap_or_default(),
            TextField::Session => self.session.get_or_init(|| {
                session::of(self.asked.headers, self.asked.peek).map(String::from).unwrap_or_default()
            }),
            // LiteLLM lets keys belong to users and teams that nobody has made.
            TextField::Id(Owner::User) => {
                caller.bearer().and_then(|bearer| bearer.user_id.as_deref()).unwrap_or_default()
            }
            TextField::Id(of) => self.policy(of).map_or("", |policy| &policy.id),
            TextField::Alias(of) => origin(of).and_then(|origin| caller.alias_of(origin)).unwrap_or_default(),
        }
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.asked.headers.get(name)?.to_str().ok()
    }

    fn metadata(&self, of: Owner) -> Option<&Value> {
        if of != Owner::Request {
            return self.policy(of).map(|policy| &policy.metadata);
        }
        let read = || {
            let json = [Known::Metadata, Known::LitellmMetadata]
                .into_iter()
                .filter_map(|known| self.asked.peek.json(known))
                .find(|json| json.starts_with('{') && json.len() <= MOST_METADATA)?;
            serde_json::from_str(json).ok()
        };
        self.metadata.get_or_init(read).as_ref()
    }

    fn tags(&self, of: Owner, each: &mut dyn FnMut(&str) -> bool) {
        let aliases = &self.snapshot.aliases;
        // A condition may know a tag by a former name.
        let mut every = |tag: &str| each(tag) || aliases.former(tag).any(&mut *each);
        if of == Owner::Request {
            let _ = self.tags.iter().any(|tag| every(tag.text()));
        } else if let Some(policy) = self.policy(of) {
            let _ = policy.tags.iter().any(|tag| every(aliases.today(tag)));
        }
    }

    fn stream(&self) -> bool {
        self.asked.stream
    }

    fn tokens(&self) -> u64 {
        *self.tokens.get_or_init(|| {
            let peek = self.asked.peek;
            let bytes = peek.text().len();
            if bytes <= COUNTED { tokens::count_prompt(peek) } else { tokens::rough_prompt(bytes) }
        })
    }

    fn contains_pii(&self) -> bool {
        *self.contains_pii.get_or_init(|| pii::find_in(self.asked.peek).is_some())
    }
}

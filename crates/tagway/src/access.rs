//! What a caller may ask for: models by the lists of its key and of everything above it, under the names it may
//! use for them. Asked before tags have a say.

use std::borrow::Cow;

use http::HeaderMap;
use tagway_core::access::Policy;
use tagway_core::snapshot::{Named, Snapshot};
use tagway_core::tag::Origin;

use crate::auth::Caller;

/// A model the caller may not use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", words(*.whose, .model))]
pub(crate) struct Forbidden {
    /// Whose list leaves it out.
    pub(crate) whose: Origin,
    pub(crate) model: String,
}

fn words(whose: Origin, model: &str) -> String {
    if whose == Origin::Customer {
        return format!(
            "The requested model '{model}' is not in the allowed models for this customer. Check the models this customer can use and try again."
        );
    }
    format!(
        "The requested model '{model}' is not available for this API key, or the model name is invalid. Check the models available to you and try again."
    )
}

impl Forbidden {
    /// `error.type` of the answer.
    pub(crate) fn kind(&self) -> &'static str {
        match self.whose {
            Origin::Team => "team_model_access_denied",
            Origin::Project => "project_model_access_denied",
            Origin::Organization => "org_model_access_denied",
            Origin::User => "user_model_access_denied",
            Origin::Customer => "customer_model_access_denied",
            _ => "key_model_access_denied",
        }
    }
}

/// What the caller means by `model`: the key's aliases come first, then the team's.
pub(crate) fn meant<'a>(caller: &'a Caller, model: &'a str) -> &'a str {
    caller.policies().find_map(|policy| policy.alias(model)).unwrap_or(model)
}

/// Whether the caller may use what it means by `model`.
///
/// # Errors
/// The first list that leaves it out.
pub(crate) fn check(snapshot: &Snapshot, caller: &Caller, model: &str) -> Result<(), Forbidden> {
    let mut asked = None;
    // Who gives a model another name says nothing to the lists above: those know what is meant by it.
    let mut renamed = false;
    for policy in caller.policies() {
        let as_asked = !renamed;
        renamed |= policy.alias(model).is_some();
        // Most lists are empty, or name the model as the request does.
        if policy.models.any() || as_asked && policy.models.names(model) || !bears_on(caller, policy) {
            continue;
        }
        let asked = asked.get_or_insert_with(|| Asked::new(snapshot, model, meant(caller, model)));
        if !asked.allowed_by(policy, as_asked) {
            return Err(Forbidden { whose: policy.origin, model: model.to_owned() });
        }
    }
    Ok(())
}

/// Where a token names several teams: makes the first of them that may use `model` the caller's, if the one it has may
/// not. Says whether that is another one.
pub(crate) fn find_team(snapshot: &Snapshot, caller: &mut Caller, model: &str, headers: &HeaderMap) -> bool {
    let others = caller.in_other_teams(headers);
    if others.is_empty() || check(snapshot, caller, model).is_ok() {
        return false;
    }
    match others.into_iter().find(|other| check(snapshot, other, model).is_ok()) {
        Some(other) => {
            *caller = other;
            true
        }
        None => false,
    }
}

/// The names a caller may ask for: those of aliases and groups that its lists allow, what they name behind a wildcard,
/// and its own names for them. Wildcards themselves are among them.
pub(crate) fn usable<'a>(snapshot: &'a Snapshot, caller: &'a Caller) -> Vec<&'a str> {
    let aliases = snapshot.config.router.aliases.iter().filter(|alias| !alias.hidden);
    let aliases = aliases.map(|alias| alias.name.as_str());
    let groups = snapshot.groups.iter().map(|group| group.name.as_str());
    let lists = caller.policies().filter(|policy| bears_on(caller, policy));
    let listed =
        lists.flat_map(|policy| policy.models.listed()).filter(|name| is_behind_wildcard(snapshot, name));
    let own = caller.policies().flat_map(|policy| policy.aliases.iter().map(|(name, _)| &**name));
    let own = own.filter(|name| snapshot.find(meant(caller, name)).is_some());
    let mut names: Vec<&str> = Vec::new();
    for name in aliases.chain(groups).chain(listed).chain(own) {
        if !names.contains(&name) && check(snapshot, caller, name).is_ok() {
            names.push(name);
        }
    }
    names
}

/// Whether a listed name, or pattern of names, is served by a wildcard group.
fn is_behind_wildcard(snapshot: &Snapshot, name: &str) -> bool {
    match snapshot.find(name) {
        Some(Named::Group(id)) => snapshot.group(id).name.contains('*'),
        Some(Named::Deployment(_)) | None => false,
    }
}

/// A user's list is for keys of its own: a team's keys have the team's.
fn bears_on(caller: &Caller, policy: &Policy) -> bool {
    policy.origin != Origin::User || !caller.policies().any(|policy| policy.origin == Origin::Team)
}

/// A model, by every name a list may know it under.
struct Asked<'a> {
    names: [Cow<'a, str>; 3],
    groups: &'a [String],
}

impl<'a> Asked<'a> {
    fn new(snapshot: &'a Snapshot, model: &'a str, meant: &'a str) -> Self {
        let group = match snapshot.find(meant) {
            Some(Named::Group(id)) => Some(snapshot.group(id)),
            Some(Named::Deployment(id)) => Some(snapshot.group(snapshot.deployment(id).group)),
            None => None,
        };
        // Behind a wildcard the group's name is a pattern: which of its models is meant, the name says.
        let of_group = group.map(|group| group.name.as_str()).filter(|name| !name.contains('*'));
        Self {
            names: [
                model.into(),
                meant.into(),
                of_group.map_or_else(|| snapshot.meant(meant), Cow::Borrowed),
            ],
            groups: group.map_or(&[], |group| &group.access_groups),
        }
    }

    /// Whether a list has it; the name it was asked by comes first, and may be none of the list's.
    fn allowed_by(&self, policy: &Policy, as_asked: bool) -> bool {
        let models = &policy.models;
        let names = self.names.each_ref().map(|name| &**name);
        let names = if as_asked { &names[..] } else { &names[1..] };
        models.allow(names, self.groups)
            || models.has_patterns()
                && names
                    .iter()
                    .filter_map(|name| tagway_core::snapshot::with_provider(name))
                    .any(|name| models.allow(&[&name], &[]))
    }
}

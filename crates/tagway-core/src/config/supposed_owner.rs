//! Who makes a request that is supposed: a key, and what stands above it, as a file of route tests describes them.

use serde_json::Value;

use super::model::Tier;
use super::scope::{At, Rule, Scope, Table, strict};
use super::yaml::Kind;
use crate::access::{Models, Policy, Routes};
use crate::tag::{Expression, Origin, UnknownTags};

/// A key, or an owner above it.
#[derive(Debug)]
pub struct Owner {
    /// What it gives to requests and demands of them.
    pub policy: Policy,
    /// Its name for people.
    pub alias: Option<Box<str>>,
}

impl Owner {
    /// One that gives and demands nothing.
    pub fn new(origin: Origin) -> Self {
        Self {
            policy: Policy {
                origin,
                id: Box::default(),
                blocked: false,
                tags: Vec::new(),
                allowed_tags: None,
                allow_client_tags: true,
                expression: None,
                tag_filtering: false,
                unknown_tags: None,
                tier: None,
                region: None,
                metadata: Value::Null,
                models: Models::default(),
                aliases: Vec::new(),
                routes: Routes::default(),
            },
            alias: None,
        }
    }
}

const OWNER: Table<Owner> = &[
    ("id", Rule::Works(|owner, at, scope| owner.policy.id = scope.text(at).unwrap_or_default().into())),
    ("alias", Rule::Works(|owner, at, scope| owner.alias = scope.text(at).map(Into::into))),
    ("tags", Rule::Works(|owner, at, scope| owner.policy.tags = texts(at, scope))),
    ("metadata", Rule::Works(|owner, at, scope| owner.policy.metadata = scope.json(at).unwrap_or_default())),
    ("allowed_tags", Rule::Works(|owner, at, scope| owner.policy.allowed_tags = Some(texts(at, scope)))),
    (
        "allow_client_tags",
        Rule::Works(|owner, at, scope| owner.policy.allow_client_tags = scope.bool(at).unwrap_or(true)),
    ),
    ("tag_expression", Rule::Works(expression)),
    (
        "enable_tag_filtering",
        Rule::Works(|owner, at, scope| owner.policy.tag_filtering = scope.bool(at).unwrap_or_default()),
    ),
    (
        "unknown_tags",
        Rule::Works(|owner, at, scope| owner.policy.unknown_tags = scope.word(at, &UnknownTags::WORDS)),
    ),
    ("tier", Rule::Works(|owner, at, scope| owner.policy.tier = tier(at, scope))),
    ("region", Rule::Works(|owner, at, scope| owner.policy.region = scope.text(at).map(Into::into))),
    ("models", Rule::Works(|owner, at, scope| owner.policy.models = Models::new(&scope.texts(at)))),
    ("aliases", Rule::Works(aliases)),
];

fn texts(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Box<str>> {
    scope.texts(at).into_iter().map(Into::into).collect()
}

pub(super) fn tier(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Tier> {
    scope.word(at, &[("free", Tier::Free), ("paid", Tier::Paid)])
}

fn expression(owner: &mut Owner, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(text) = scope.text(at) else { return };
    match Expression::parse(&text) {
        Ok(expression) => owner.policy.expression = Some(expression),
        Err(why) => {
            scope.error(at, why.to_string());
        }
    }
}

fn aliases(owner: &mut Owner, at: &At<'_>, scope: &mut Scope<'_>) {
    for entry in scope.entries(at) {
        let model = scope.text(&at.entry(entry));
        owner.policy.aliases.extend(model.map(|model| (entry.key.as_str().into(), model.into())));
    }
}

/// Reads an owner: a map, or the list of its tags.
pub(super) fn read(origin: Origin, at: &At<'_>, scope: &mut Scope<'_>) -> Owner {
    let mut owner = Owner::new(origin);
    match &at.node.kind {
        Kind::List(_) => owner.policy.tags = texts(at, scope),
        _ => scope.walk(at, OWNER, &mut owner, strict),
    }
    owner
}

/// Gives the key a tier and a region that stand beside it.
pub(super) fn bind(owners: &mut Vec<Owner>, tier: Option<Tier>, region: Option<Box<str>>) {
    if tier.is_none() && region.is_none() {
        return;
    }
    let place = owners.iter().position(|owner| owner.policy.origin == Origin::Key);
    let place = place.unwrap_or_else(|| {
        owners.push(Owner::new(Origin::Key));
        owners.len() - 1
    });
    if let Some(key) = owners.get_mut(place) {
        key.policy.tier = key.policy.tier.or(tier);
        key.policy.region = key.policy.region.take().or(region);
    }
}

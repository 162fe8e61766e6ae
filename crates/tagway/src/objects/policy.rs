//! From an object's fields to the policy that requests meet.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tagway_core::access::{Models, Policy, Routes};
use tagway_core::config::Tier;
use tagway_core::tag::{Expression, Origin};

use super::{RouterSettings, Unfit, tags_of};

/// As many tags as a request may carry.
const MOST_TAGS: usize = 256;
/// Tags are searched by, and the index takes no longer ones.
const LONGEST_TAG: usize = 255;

/// The fields a policy is made of.
pub(super) struct Given<'a> {
    pub(super) origin: Origin,
    pub(super) id: &'a str,
    pub(super) blocked: bool,
    pub(super) metadata: &'a Map<String, Value>,
    pub(super) allowed_tags: Option<&'a [String]>,
    pub(super) allow_client_tags: Option<bool>,
    pub(super) tag_expression: Option<&'a str>,
    pub(super) router_settings: Option<&'a RouterSettings>,
    pub(super) region: Option<&'a str>,
    pub(super) models: Models,
    pub(super) aliases: &'a BTreeMap<String, String>,
    pub(super) routes: Routes,
}

impl<'a> Given<'a> {
    /// One that carries tags and demands nothing.
    pub(super) fn plain(origin: Origin, id: &'a str, metadata: &'a Map<String, Value>) -> Self {
        const NO_ALIASES: &BTreeMap<String, String> = &BTreeMap::new();
        Self {
            origin,
            id,
            blocked: false,
            metadata,
            allowed_tags: None,
            allow_client_tags: None,
            tag_expression: None,
            router_settings: None,
            region: None,
            models: Models::default(),
            aliases: NO_ALIASES,
            routes: Routes::default(),
        }
    }
}

/// Metadata without what a policy reads of it.
fn said(metadata: &Map<String, Value>) -> Value {
    let own = |(name, value): &(&String, &Value)| *name != "tags" && !value.is_null();
    let said: Map<String, Value> =
        metadata.iter().filter(own).map(|(name, value)| (name.clone(), value.clone())).collect();
    if said.is_empty() { Value::Null } else { Value::Object(said) }
}

/// The policy of these fields.
///
/// # Errors
/// One of them holds what it cannot hold.
pub(super) fn of(given: Given<'_>) -> Result<Policy, Unfit> {
    let tags = given.metadata.get("tags");
    let listed = match tags {
        None | Some(Value::Null | Value::String(_)) => true,
        Some(Value::Array(tags)) => tags.iter().all(Value::is_string),
        Some(_) => false,
    };
    if !listed {
        return Err(Unfit::new("metadata.tags", "metadata.tags must be a list of strings."));
    }
    let tags = tags_of(given.metadata);
    if MOST_TAGS < tags.len() || tags.iter().any(|tag| LONGEST_TAG < tag.chars().count()) {
        let message =
            format!("metadata.tags may hold {MOST_TAGS} tags of up to {LONGEST_TAG} characters each.");
        return Err(Unfit::new("metadata.tags", message));
    }
    let tier = match given.metadata.get("tier") {
        None | Some(Value::Null) => None,
        Some(Value::String(tier)) if tier == "free" => Some(Tier::Free),
        Some(Value::String(tier)) if tier == "paid" => Some(Tier::Paid),
        Some(other) => {
            let message = format!("metadata.tier must be \"free\" or \"paid\", not {other}.");
            return Err(Unfit::new("metadata.tier", message));
        }
    };
    let region = given.region.filter(|region| !region.is_empty());
    if region.is_some_and(|region| LONGEST_TAG < region.chars().count()) {
        let message = format!("allowed_model_region may have {LONGEST_TAG} characters.");
        return Err(Unfit::new("allowed_model_region", message));
    }
    let expression =
        match given.tag_expression.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(Expression::parse(text).map_err(|error| {
                Unfit::new("tag_expression", format!("Invalid 'tag_expression': {error}"))
            })?),
        };
    Ok(Policy {
        origin: given.origin,
        id: given.id.into(),
        blocked: given.blocked,
        tags: tags.into_iter().map(Into::into).collect(),
        allowed_tags: given.allowed_tags.map(|tags| tags.iter().map(|tag| tag.as_str().into()).collect()),
        allow_client_tags: given.allow_client_tags.unwrap_or(true),
        expression,
        tag_filtering: given
            .router_settings
            .and_then(|settings| settings.enable_tag_filtering)
            .unwrap_or(false),
        unknown_tags: given.router_settings.and_then(|settings| settings.unknown_tags).map(Into::into),
        tier,
        region: region.map(Into::into),
        metadata: said(given.metadata),
        models: given.models,
        aliases: given
            .aliases
            .iter()
            .map(|(name, model)| (name.as_str().into(), model.as_str().into()))
            .collect(),
        routes: given.routes,
    })
}

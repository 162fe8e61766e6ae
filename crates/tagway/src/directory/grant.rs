//! Keys and owners as requests meet them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use tagway_core::access::Policy;

use super::{Purse, TokenOf};
use crate::meter::Metered;
use crate::objects::Key;
use crate::store::Stored;

/// What a team, project, organization, user or customer gives and demands.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) policy: Policy,
    /// Its name for people.
    pub(super) alias: Option<Box<str>>,
    /// Its limits of rate.
    pub(crate) limits: Box<[Metered]>,
    /// Its budgets.
    pub(crate) purse: Purse,
    /// The budget that gives some of them.
    pub(super) budget: Option<Box<str>>,
    /// Counts its changes in the store.
    pub(super) version: i64,
    /// The organization it belongs to.
    pub(super) organization: Option<Arc<Slot>>,
}

impl Grant {
    /// An owner nobody has stored, that a request is supposed to be made under.
    pub(crate) fn supposed(policy: Policy, alias: Option<Box<str>>) -> Self {
        Self {
            policy,
            alias,
            limits: Box::default(),
            purse: Purse::default(),
            budget: None,
            version: 0,
            organization: None,
        }
    }

    /// Its name for people.
    pub(crate) fn alias(&self) -> Option<&str> {
        self.alias.as_deref()
    }
}

/// The place of an owner that several keys point to, so that a change of it is made once. Empty: it was deleted.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: Box<str>,
    pub(super) grant: ArcSwapOption<Grant>,
    /// It is stored, but what it forbids cannot be known.
    pub(super) broken: AtomicBool,
}

/// The owners above a key.
pub(super) struct Above {
    pub(super) team: Option<Arc<Slot>>,
    pub(super) project: Option<Arc<Slot>>,
    pub(super) organization: Option<Arc<Slot>>,
    pub(super) user: Option<Arc<Slot>>,
}

fn limit_headers(key: &Key) -> Vec<(HeaderName, HeaderValue)> {
    let limits = &key.limits;
    let all = [
        ("x-litellm-key-rpm-limit", limits.rpm_limit.map(|limit| limit.to_string())),
        ("x-litellm-key-tpm-limit", limits.tpm_limit.map(|limit| limit.to_string())),
    ];
    let given = all.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::try_from(value?).ok()?))
    });
    given.collect()
}

/// A virtual key, or whoever a token names.
#[derive(Debug)]
pub(crate) struct Bearer {
    /// The stable id; of a token, a digest of its issuer and subject.
    pub(crate) id: Box<str>,
    /// What makes it one that came with a token, and has no key.
    pub(crate) token_of: Option<TokenOf>,
    /// The name for people.
    pub(crate) alias: Option<Box<str>>,
    /// What may be shown of the key: its beginning and end.
    pub(crate) name: Box<str>,
    /// The digest in force, in hexadecimal.
    pub(crate) token: Box<str>,
    pub(crate) user_id: Option<Box<str>>,
    pub(crate) team_id: Option<Box<str>>,
    /// Dollars it may spend.
    pub(crate) max_budget: Option<f64>,
    /// Its budgets.
    pub(crate) purse: Purse,
    /// Headers of every answer to it: its limits of rate.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Counts its changes in the store.
    pub(super) version: i64,
    /// The key's own policy.
    pub(crate) policy: Policy,
    /// Its own limits of rate.
    pub(crate) limits: Box<[Metered]>,
    /// The budget that gives some of them.
    pub(super) budget: Option<Box<str>>,
    /// Not valid from this time on: the key's end, or that of a digest it answers to no longer.
    pub(super) ends: Option<Timestamp>,
    pub(super) team: Option<Arc<Slot>>,
    pub(super) project: Option<Arc<Slot>>,
    pub(super) organization: Option<Arc<Slot>>,
    pub(super) user: Option<Arc<Slot>>,
}

impl Bearer {
    /// A key as requests meet it.
    pub(super) fn new(stored: &Stored<Key>, own: Grant, above: Above, ends: Option<Timestamp>) -> Self {
        let Stored { id, object: key, version, .. } = stored;
        let text = |text: &Option<String>| text.as_deref().map(Box::from);
        let Above { team, project, organization, user } = above;
        Self {
            id: id.as_str().into(),
            token_of: None,
            alias: text(&key.key_alias),
            name: text(&key.key_name).unwrap_or_default(),
            token: key.token.as_str().into(),
            user_id: text(&key.user_id),
            team_id: text(&key.team_id),
            max_budget: key.limits.max_budget,
            headers: limit_headers(key),
            version: *version,
            policy: own.policy,
            limits: own.limits,
            purse: own.purse,
            budget: own.budget,
            ends,
            team,
            project,
            organization,
            user,
        }
    }

    /// A key nobody has stored, that a request is supposed to be made with.
    pub(crate) fn supposed(policy: Policy, alias: Option<Box<str>>, user_id: Option<Box<str>>) -> Self {
        Self {
            id: policy.id.clone(),
            token_of: None,
            alias,
            name: Box::default(),
            token: Box::default(),
            user_id,
            team_id: None,
            max_budget: None,
            purse: Purse::default(),
            headers: Vec::new(),
            version: 0,
            policy,
            limits: Box::default(),
            budget: None,
            ends: None,
            team: None,
            project: None,
            organization: None,
            user: None,
        }
    }

    /// Its team's name for people.
    pub(crate) fn team_alias(&self) -> Option<Box<str>> {
        self.team.as_ref()?.grant.load().as_ref()?.alias.clone()
    }

    /// When it ends to be valid.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        self.ends
    }

    /// What stands above the key: its team, project, organization and user.
    ///
    /// # Errors
    /// One of them is gone from the store, and with it what it forbids.
    pub(crate) fn grants(&self) -> Result<smallvec::SmallVec<[Arc<Grant>; 4]>, &'static str> {
        let mut grants = smallvec::SmallVec::new();
        let mut organization = self.organization.clone();
        if let Some(slot) = &self.team {
            let team = slot.grant.load_full().ok_or("team")?;
            organization = organization.or_else(|| team.organization.clone());
            grants.push(team);
        }
        if let Some(slot) = &self.project {
            grants.push(slot.grant.load_full().ok_or("project")?);
        }
        if let Some(slot) = &organization {
            grants.push(slot.grant.load_full().ok_or("organization")?);
        }
        // LiteLLM lets keys belong to users it does not know.
        if let Some(slot) = &self.user {
            match slot.grant.load_full() {
                Some(user) => grants.push(user),
                None if slot.broken.load(Ordering::Relaxed) => return Err("user"),
                None => {}
            }
        }
        Ok(grants)
    }
}

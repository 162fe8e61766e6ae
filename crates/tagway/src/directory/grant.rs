//! Keys and owners as requests meet them.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tagway_core::access::Policy;

use crate::objects::Key;
use crate::store::Stored;

/// What a team, project, organization, user or customer gives and demands.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) policy: Policy,
    /// Counts its changes in the store.
    pub(super) version: i64,
    /// The organization it belongs to.
    pub(super) organization: Option<Arc<Slot>>,
}

/// The place of an owner that several keys point to, so that a change of it is made once. Empty: it was deleted.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: Box<str>,
    pub(super) grant: ArcSwapOption<Grant>,
}

/// A virtual key.
#[derive(Debug)]
pub(crate) struct Bearer {
    /// The stored key, for the management API.
    pub(crate) key: Stored<Key>,
    /// The key's own policy.
    pub(super) own: Arc<Grant>,
    /// Not valid from this time on: the key's end, or that of a digest it answers to no longer.
    pub(super) ends: Option<Timestamp>,
    pub(super) team: Option<Arc<Slot>>,
    pub(super) project: Option<Arc<Slot>>,
    pub(super) organization: Option<Arc<Slot>>,
    pub(super) user: Option<Arc<Slot>>,
}

impl Bearer {
    /// When it ends to be valid.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        self.ends
    }

    /// The key's own policy.
    pub(crate) fn policy(&self) -> &Policy {
        &self.own.policy
    }

    /// The policies a request with this key meets: the key's, its team's, project's, organization's, user's.
    ///
    /// # Errors
    /// One of them is gone from the store, and with it what it forbids.
    pub(crate) fn grants(&self) -> Result<smallvec::SmallVec<[Arc<Grant>; 6]>, &'static str> {
        let mut grants = smallvec::SmallVec::new();
        grants.push(Arc::clone(&self.own));
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
        if let Some(user) = self.user.as_ref().and_then(|slot| slot.grant.load_full()) {
            grants.push(user);
        }
        Ok(grants)
    }
}

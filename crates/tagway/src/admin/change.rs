//! A change of the store together with what it means for requests: when [`Change::commit`] returns, the next
//! request meets it.

use std::ops::{Deref, DerefMut};

use super::Shared;
use super::actor::Actor;
use super::refusal::Refusal;
use crate::objects::Kind;
use crate::store::Edit;

/// A change in the making. Reads and writes as the [`Edit`] it is made of.
pub(super) struct Change<'s> {
    shared: &'s Shared,
    edit: Edit,
}

impl<'s> Change<'s> {
    /// Begins a change.
    pub(super) async fn begin(shared: &'s Shared, actor: &Actor) -> Result<Self, Refusal> {
        if actor.is_anybody() {
            return Err(Refusal::forbidden(
                "This gateway has no master key, so that nobody can be told to be its admin. Set general_settings.master_key to use the management API.",
            ));
        }
        Ok(Self { shared, edit: Edit::begin(&shared.db, actor.signature()).await? })
    }

    /// Makes it so, here and everywhere.
    pub(super) async fn commit(self) -> Result<(), Refusal> {
        let changes = self.edit.commit().await?;
        if changes.iter().any(|change| matches!(change.kind, Kind::Model | Kind::Tag | Kind::Budget)) {
            self.shared.catalog.refresh().await;
        }
        self.shared.directory.refresh(changes).await;
        self.shared.peers.tell();
        Ok(())
    }
}

impl Deref for Change<'_> {
    type Target = Edit;

    fn deref(&self) -> &Edit {
        &self.edit
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Edit {
        &mut self.edit
    }
}

//! A change of the store together with what it means for requests: when [`Change::commit`] returns, the next
//! request meets it.

use std::ops::{Deref, DerefMut};

use super::Shared;
use super::actor::Actor;
use super::given::Given;
use super::put_tags::PutTags;
use super::refusal::Refusal;
use crate::accounts::Turn;
use crate::objects::{Kind, Object};
use crate::receipt::Payer;
use crate::store::{Edit, StoreError, Stored};

/// A change in the making. Reads and writes as the [`Edit`] it is made of.
pub(super) struct Change<'s> {
    shared: &'s Shared,
    edit: Edit,
    actor: &'s Actor,
    tags: PutTags,
    /// Nobody else reads or books spend meanwhile.
    turn: Option<Turn<'s>>,
}

impl<'s> Change<'s> {
    /// Begins a change.
    pub(super) async fn begin(shared: &'s Shared, actor: &'s Actor) -> Result<Self, Refusal> {
        Self::begin_with(shared, actor, None).await
    }

    /// Begins a change that sets what was spent.
    pub(super) async fn begin_spending(shared: &'s Shared, actor: &'s Actor) -> Result<Self, Refusal> {
        // Before the store is held: who books waits for it with the turn in hand.
        Self::begin_with(shared, actor, Some(shared.accounts.turn().await)).await
    }

    /// Begins a change to what a body gives, which may be what was spent.
    pub(super) async fn begin_for(
        shared: &'s Shared,
        actor: &'s Actor,
        given: &Given,
    ) -> Result<Self, Refusal> {
        if given.gives("spend") {
            Self::begin_spending(shared, actor).await
        } else {
            Self::begin(shared, actor).await
        }
    }

    async fn begin_with(
        shared: &'s Shared,
        actor: &'s Actor,
        turn: Option<Turn<'s>>,
    ) -> Result<Self, Refusal> {
        if actor.is_anybody() {
            return Err(Refusal::forbidden(
                "This gateway has no master key, so that nobody can be told to be its admin. Set general_settings.master_key to use the management API.",
            ));
        }
        let edit = Edit::begin(&shared.db, actor.signature()).await?;
        Ok(Self { shared, edit, actor, tags: PutTags::default(), turn })
    }

    /// As [`Edit::insert`].
    pub(super) async fn insert<T: Object>(&mut self, id: &str, object: T) -> Result<Stored<T>, StoreError> {
        self.tags.note(self.actor, id, None, &object);
        self.edit.insert(id, object).await
    }

    /// As [`Edit::update`].
    pub(super) async fn update<T: Object>(
        &mut self,
        before: &Stored<T>,
        object: T,
    ) -> Result<Stored<T>, StoreError> {
        self.tags.note(self.actor, &before.id, Some(&before.object), &object);
        self.edit.update(before, object).await
    }

    /// These tags come from the key of whoever makes the change.
    pub(super) fn hands_down(&mut self, tags: &[&str]) {
        self.tags.handed_down(tags);
    }

    /// What this gateway has counted for an object and the store has not, in nano-dollars.
    pub(super) fn unshipped(&self, kind: Kind, id: &str) -> i64 {
        let payer = self.turn.as_ref().and_then(|_| Payer::named(kind.as_str()));
        payer.map_or(0, |payer| self.shared.accounts.unshipped(payer, id).0)
    }

    /// Sets what was spent on an object, in nano-dollars. What is on its way to the store is no part of it any more.
    pub(super) async fn set_spend(
        &mut self,
        kind: Kind,
        id: &str,
        amount: i64,
        until: i64,
    ) -> Result<(), StoreError> {
        let unshipped = self.unshipped(kind, id);
        self.edit.set_spend(kind, id, amount.saturating_sub(unshipped), until).await
    }

    /// Makes it so, here and everywhere.
    ///
    /// # Errors
    /// It puts tags on objects that its maker may not set, or the store fails.
    pub(super) async fn commit(self) -> Result<(), Refusal> {
        self.tags.check(self.shared, self.actor)?;
        let changes = self.edit.commit().await?;
        // Those who read spend now read this.
        drop(self.turn);
        if changes.iter().any(|change| matches!(change.kind, Kind::Model | Kind::Tag | Kind::Budget)) {
            self.shared.catalog.refresh().await;
        }
        let payers: Vec<_> = changes
            .iter()
            .filter_map(|change| Some((Payer::named(change.kind.as_str())?, change.id.clone())))
            .collect();
        self.shared.directory.refresh(changes).await;
        for (payer, id) in payers {
            self.shared.accounts.changed(payer, &id);
        }
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

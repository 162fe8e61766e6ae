//! Bearers of tokens: finds the owners that a token names, and makes those that the configuration has made.

use std::sync::Arc;

use super::grant::{Above, Slot};
use super::keeper::Keeper;
use super::linked::Linked;
use super::{Bearer, Token, Unreachable};
use crate::objects::{Kind, Organization, Team, User};
use crate::store::{self, Db, Edit, StoreError};

impl Keeper {
    /// The bearer of a token that has been verified.
    pub(super) async fn admit(
        &mut self,
        digest: [u8; 32],
        token: &Token,
    ) -> Result<Arc<Bearer>, Unreachable> {
        // Many requests with a new token come at once.
        if let Some(known) = self.directory.token(&digest, &token.rules) {
            return Ok(known);
        }
        let made = self.of_token(token).await.map_err(|error| {
            self.directory.lost(&error);
            Unreachable
        })?;
        let bearer = Arc::new(made);
        self.directory.tokens.insert(digest, Arc::clone(&bearer));
        Ok(bearer)
    }

    async fn of_token(&mut self, token: &Token) -> Result<Bearer, StoreError> {
        let identity = token.identity();
        let user = self.owner::<User>(identity.user.as_deref(), token.new_user.as_deref()).await?;
        let organization = self.slot::<Organization>(identity.organization.as_deref()).await?;
        let mut teams = identity.teams.clone();
        let mut by_membership = false;
        // As LiteLLM: who is a member of one team alone, works for it.
        if teams.is_empty()
            && !identity.admin
            && let Some(user) = identity.user.as_deref()
            && !matches!(self.db, Db::Absent)
        {
            by_membership = true;
            if let [(team, _)] = self.db.memberships(Kind::Team, user).await?.as_slice() {
                teams.push(team.as_str().into());
            }
        }
        let above = |team: Option<Arc<Slot>>| Above {
            team,
            project: None,
            organization: organization.clone(),
            user: user.clone(),
        };
        let mut next = None;
        for team in teams.iter().skip(1).rev() {
            let slot = self.owner::<Team>(Some(team), None).await?;
            next = Some(Arc::new(token.bearer(Some(team), above(slot), next, false)));
        }
        let first = teams.first().map(|team| &**team);
        let new = token.new_team.as_deref().filter(|_| identity.one_team);
        let slot = self.owner::<Team>(first, new).await?;
        Ok(token.bearer(first, above(slot), next, by_membership))
    }

    /// The place of an owner, who is made like `new` where there is none.
    async fn owner<T: Linked>(
        &mut self,
        id: Option<&str>,
        new: Option<&T>,
    ) -> Result<Option<Arc<Slot>>, StoreError> {
        let Some(slot) = self.slot::<T>(id).await? else { return Ok(None) };
        let absent = slot.grant.load().is_none() && !slot.is_broken();
        if absent && let Some(new) = new {
            match self.make(&slot.id, new).await {
                // Somebody else was faster, or there is nothing to make it in.
                Ok(()) | Err(StoreError::Taken | StoreError::Absent) => self.fill::<T>(&slot).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(Some(slot))
    }

    async fn make<T: Linked>(&mut self, id: &str, new: &T) -> Result<(), StoreError> {
        let actor = store::Actor { id: "jwt".to_owned(), role: "identity_provider" };
        let mut edit = Edit::begin(&self.db, actor).await?;
        edit.insert(id, new.clone()).await?;
        edit.commit().await?;
        tracing::info!(kind = %T::KIND, id, "made for the bearer of a token");
        Ok(())
    }

    /// Forgets tokens whose team follows from memberships: those have changed, perhaps.
    pub(super) fn forget_members(&self) {
        self.directory
            .tokens
            .retain(|_, bearer| !bearer.token_of.as_ref().is_some_and(|of| of.by_membership));
    }
}

impl Slot {
    fn is_broken(&self) -> bool {
        self.broken.load(std::sync::atomic::Ordering::Relaxed)
    }
}

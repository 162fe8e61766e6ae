//! Whoever comes with a JSON Web Token, as requests meet them: a policy of their own with the tags of their claims, and
//! above it the stored team, organization and user that the claims name. Knows no signature.

use std::sync::Arc;

use jiff::Timestamp;
use tagway_core::access::{Policy, Routes};
use tagway_core::claims::Identity;
use tagway_core::config::{Jwt, Owner};
use tagway_core::tag::Origin;

use super::grant::Above;
use super::{Bearer, Purse};
use crate::jwt::Proven;
use crate::objects::{Team, User};

/// What the bearer of a token has that no key has.
#[derive(Debug)]
pub(crate) struct TokenOf {
    /// By what it was verified: settings that have changed since may refuse it.
    rules: Arc<Jwt>,
    keys: u64,
    /// Its scope makes it an admin.
    pub(crate) admin: bool,
    /// The customer its requests are made for, whatever they say.
    pub(crate) customer: Option<Box<str>>,
    /// The same bearer in the next team that the token names.
    next: Option<Arc<Bearer>>,
    /// The first team is the one, unless the request's header says otherwise.
    pub(crate) one_team: bool,
    /// Its team is the only one that its user is a member of, which may change.
    pub(super) by_membership: bool,
}

impl Bearer {
    fn in_next_team(&self) -> Option<&Arc<Self>> {
        self.token_of.as_ref()?.next.as_ref()
    }

    /// The same bearer in the other teams that its token names after this one.
    pub(crate) fn in_next_teams(&self) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(self.in_next_team(), |bearer| bearer.in_next_team())
    }
}

impl TokenOf {
    /// Whether it would be verified the same way now.
    pub(super) fn is_valid(&self, rules: &Arc<Jwt>, keys: u64) -> bool {
        Arc::ptr_eq(&self.rules, rules) && self.keys == keys
    }
}

/// A token that has been verified, on its way to become a bearer.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) rules: Arc<Jwt>,
    pub(crate) proven: Proven,
    /// The user and the team that are made where there are none.
    pub(crate) new_user: Option<Box<User>>,
    pub(crate) new_team: Option<Box<Team>>,
}

impl Token {
    /// The teams it names, the one that counts first.
    pub(super) fn identity(&self) -> &Identity {
        &self.proven.identity
    }

    /// Its bearer with these owners above.
    pub(super) fn bearer(
        &self,
        team: Option<&str>,
        above: Above,
        next: Option<Arc<Bearer>>,
        by_membership: bool,
    ) -> Bearer {
        let identity = self.identity();
        let routes = match (identity.admin, team) {
            (true, _) => self.rules.admin_routes.clone(),
            (false, Some(_)) => self.rules.team_routes.clone(),
            (false, None) => Routes::default(),
        };
        let policy = Policy {
            id: self.proven.subject.clone(),
            tags: identity.tags.clone(),
            routes,
            ..Owner::new(Origin::Jwt).policy
        };
        let Above { team: in_team, project, organization, user } = above;
        Bearer {
            token_of: Some(TokenOf {
                rules: Arc::clone(&self.rules),
                keys: self.proven.keys,
                admin: identity.admin,
                customer: identity.customer.clone(),
                next,
                one_team: identity.one_team,
                by_membership,
            }),
            id: self.proven.subject.clone(),
            alias: None,
            name: Box::default(),
            token: Box::default(),
            user_id: identity.user.clone(),
            team_id: team.map(Into::into),
            max_budget: None,
            purse: Purse::default(),
            headers: Vec::new(),
            version: 0,
            policy,
            limits: Box::default(),
            budget: None,
            ends: Timestamp::from_second(self.proven.ends).ok(),
            team: in_team,
            project,
            organization,
            user,
        }
    }
}

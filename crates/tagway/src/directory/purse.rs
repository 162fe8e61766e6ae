//! The budgets of a key, or of an owner above it: its own, those by model, those of a team's members. Knows which
//! account is for what; what is left on it is the account's matter.

use std::sync::Arc;

use crate::accounts::{Account, Terms, Wanted};
use crate::objects::{Kind, Limits, Owner};
use crate::receipt::Payer;
use crate::store::Stored;

/// Accounts of one owner.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    own: Option<Arc<Account>>,
    by_model: Box<[(Box<str>, Arc<Account>)]>,
    /// By user.
    by_member: Box<[(Box<str>, Arc<Account>)]>,
    /// How long an answer is taken to be before it is there.
    output: Option<u64>,
    output_by_model: Box<[(Box<str>, u64)]>,
}

impl Purse {
    /// Its own account.
    pub(crate) fn own(&self) -> Option<&Arc<Account>> {
        self.own.as_ref()
    }

    /// The accounts that a request for a model counts against, made by a member.
    pub(crate) fn accounts(&self, model: &str, member: Option<&str>) -> impl Iterator<Item = &Arc<Account>> {
        let of_model = of(&self.by_model, model).or_else(|| of(&self.by_model, without_provider(model)?));
        let of_member = member.and_then(|member| of(&self.by_member, member));
        self.own.iter().chain(of_model).chain(of_member)
    }

    /// How many tokens an answer of a model is taken to have.
    pub(crate) fn output(&self, model: &str) -> Option<u64> {
        of(&self.output_by_model, model).copied().or(self.output)
    }
}

fn of<'a, T>(all: &'a [(Box<str>, T)], name: &str) -> Option<&'a T> {
    all.iter().find(|(known, _)| **known == *name).map(|(_, found)| found)
}

/// LiteLLM finds the budget of `gpt-4o` for `openai/gpt-4o`.
fn without_provider(model: &str) -> Option<&str> {
    model.split_once('/').map(|(_, model)| model)
}

/// A purse whose accounts are still to be opened.
pub(super) struct Draft {
    own: Option<Wanted>,
    by_model: Vec<(Box<str>, Wanted)>,
    by_member: Vec<(Box<str>, Wanted)>,
    output: Option<u64>,
    output_by_model: Box<[(Box<str>, u64)]>,
}

impl Draft {
    /// The purse of an owner with these limits.
    pub(super) fn new<T: Owner>(stored: &Stored<T>, limits: &Limits) -> Self {
        let (id, object) = (stored.id.as_str(), &stored.object);
        let name = || object.name_in_messages();
        let terms = Terms::of(limits).named(name());
        let payer = payer(T::KIND);
        // What a key has spent is told in answers, whether it has a budget or not.
        let own = (terms.limits() || T::KIND == Kind::Key).then(|| (payer, id.into(), terms));
        let by_model = Terms::by_model(limits).map(|(model, terms)| {
            let wanted = match T::KIND {
                Kind::Key => (Payer::KeyModel, format!("{id}/{model}")),
                kind => (Payer::OwnerModel, format!("{kind}/{id}/{model}")),
            };
            let words = format!("{}, exceeded budget for model={model}", object.whose_model_budget(id));
            (model.into(), (wanted.0, wanted.1.into(), terms.named(Some(words.into()))))
        });
        let (part, whole) = match T::KIND {
            Kind::Organization => (Payer::OrganizationMember, "Organization"),
            _ => (Payer::Member, "Team"),
        };
        let by_member = object.member_limits().map(|(user, limits)| {
            let name = format!("User={user} in {whole}={id}");
            let terms = Terms::of(&limits).named(Some(name.into()));
            (user.into(), (part, format!("{id}/{user}").into(), terms))
        });
        let (output, by_name) = object.estimated_output();
        let output_by_model = by_name.into_iter().flatten();
        Self {
            own,
            by_model: by_model.collect(),
            by_member: by_member.collect(),
            output,
            output_by_model: output_by_model.map(|(name, tokens)| (name.as_str().into(), *tokens)).collect(),
        }
    }

    /// The accounts it wants, in the order in which [`Self::with`] takes them.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let others = self.by_model.iter().chain(&self.by_member).map(|(_, wanted)| wanted);
        self.own.iter().chain(others).cloned().collect()
    }

    /// The purse, with its accounts from the beginning of what was opened.
    pub(super) fn with(self, opened: &mut impl Iterator<Item = Arc<Account>>) -> Purse {
        let own = self.own.and_then(|_| opened.next());
        let mut take = |names: Vec<(Box<str>, Wanted)>| -> Box<[_]> {
            names.into_iter().filter_map(|(name, _)| Some((name, opened.next()?))).collect()
        };
        Purse {
            own,
            by_model: take(self.by_model),
            by_member: take(self.by_member),
            output: self.output,
            output_by_model: self.output_by_model,
        }
    }
}

fn payer(kind: Kind) -> Payer {
    match kind {
        Kind::Team => Payer::Team,
        Kind::User => Payer::User,
        Kind::Customer => Payer::Customer,
        Kind::Organization => Payer::Organization,
        Kind::Project => Payer::Project,
        Kind::Tag => Payer::Tag,
        // The others spend nothing.
        Kind::Key | Kind::Budget | Kind::Model | Kind::Experiment => Payer::Key,
    }
}

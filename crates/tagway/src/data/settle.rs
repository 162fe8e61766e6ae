//! The receipt of a request, made in one place when the request has ended in whatever way: with its answer, with a
//! failure, with a stream that broke, or with a client that left. Decides what is told of it; the ledger decides what it
//! cost.

use http::StatusCode;
use smallvec::SmallVec;
use tagway_core::price::Prices;
use tagway_core::tag::Origin;

use super::attempt::Begun;
use super::estimate;
use super::record::{Record, micros};
use super::texts::Keep;
use crate::auth::{Caller, Who};
use crate::ledger::{Bill, Call, Seen};
use crate::receipt::{Booking, NEVER, Payer, Receipt, Subject};

/// Longer texts of clients and providers are cut.
const LONGEST: usize = 1024;

/// nginx's status for a client that left before there was an answer.
pub(super) const LEFT: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// Whose a request is beside key, team and user.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    organization: Option<Box<str>>,
    project: Option<Box<str>>,
    /// As the request names it.
    pub(crate) customer: Option<Box<str>>,
    /// The customer is one of the store's.
    known_customer: bool,
}

impl Record {
    /// What stands above the key is known.
    pub(super) fn owned(&mut self, caller: &Caller) {
        for policy in caller.policies() {
            match policy.origin {
                Origin::Organization => self.owners.organization = Some(policy.id.clone()),
                Origin::Project => self.owners.project = Some(policy.id.clone()),
                Origin::Customer => self.owners.known_customer = true,
                _ => {}
            }
        }
    }

    /// Settles the request, once: its receipt is written, and what it held of budgets becomes what it cost. `seen` is
    /// asked only where the provider's figures did not come. `complete` says that the last byte of an answer leaves
    /// next.
    pub(super) fn settle(&mut self, seen: impl FnOnce() -> Seen, complete: bool) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.observe();
        self.note_variants();
        let due = self.measure();
        // A request of nobody is nobody's cost.
        if self.who.is_none() {
            return;
        }
        self.learn();
        let seen = if self.usage.is_none() || self.keep != Keep::Nothing { seen() } else { Seen::Nothing };
        let texts = self.keep.texts(&self.request, &seen);
        let calls = self.calls(seen);
        let bill = Bill {
            receipt: Receipt { texts, ..self.receipt() },
            holds: std::mem::take(&mut self.tries.holds),
            request: std::mem::take(&mut self.request),
            calls,
            complete,
            rules: self.current.snapshot.config.general.spend,
            due,
        };
        self.writer.settle(bill);
    }

    /// Settles what nobody has settled: the client left.
    pub(super) fn abandoned(&mut self) {
        if self.settled {
            return;
        }
        self.left();
        if self.deployment.is_none() {
            self.status = LEFT;
        }
        self.settle(|| Seen::Nothing, false);
    }

    /// What providers have done for it.
    fn calls(&mut self, seen: Seen) -> SmallVec<[Call; 1]> {
        let mut calls = SmallVec::new();
        for lost in &self.tries.lost {
            calls.push(Call { prices: self.prices(lost), usage: None, seen: Seen::Nothing });
        }
        if let Some(begun) = &self.tries.begun {
            let seen = if self.usage.is_some() { Seen::Nothing } else { seen };
            calls.push(Call { prices: self.prices(begun), usage: self.usage, seen });
        }
        calls
    }

    /// What the next estimates learn of this call.
    fn learn(&self) {
        let (Some(usage), Some(begun)) = (self.usage, &self.tries.begun) else { return };
        let Some(prices) = self.prices(begun) else { return };
        let (board, estimate) = (&self.current.board, self.tries.holds.estimate());
        estimate::learn(board, begun.deployment, &usage, estimate, prices.cost(&usage).total());
    }

    fn prices(&self, begun: &Begun) -> Option<Prices> {
        let asked = begun.model.as_deref().unwrap_or(&self.model);
        let prices = self.current.snapshot.deployment(begun.deployment).prices_for(asked)?;
        Some(prices.lasting(begun.took()))
    }

    fn receipt(&mut self) -> Receipt<Subject> {
        let bookings = self.bookings();
        let took = self.began.elapsed();
        let text = |text: &Option<Box<str>>| text.clone();
        let bearer = self.who.as_ref().and_then(Who::bearer);
        let begun = self.tries.begun.as_ref().or(self.tries.lost.last());
        let deployment = begun.map(|begun| self.current.snapshot.deployment(begun.deployment));
        let model = begun.zip(deployment).map(|(begun, deployment)| match &begun.model {
            Some(asked) => deployment.model_for(asked).into(),
            None => deployment.entry.model.as_str().into(),
        });
        let subject = Subject {
            endpoint: self.endpoint.path().into(),
            key: bearer.map(|bearer| bearer.id.clone()),
            team: bearer.and_then(|bearer| text(&bearer.team_id)),
            user: bearer.and_then(|bearer| text(&bearer.user_id)),
            organization: self.owners.organization.take(),
            project: self.owners.project.take(),
            customer: self.owners.customer.take(),
            asked: cut(&self.model),
            group: self.group.as_deref().map(cut),
            deployment: deployment.map(|deployment| deployment.entry.info.id.as_str().into()),
            provider: deployment.map(|deployment| deployment.entry.provider.name.into()),
            model,
            tags: std::mem::take(&mut self.tagged),
            matched: self.matched.as_ref().map(|(via, value)| ((*via).into(), cut(value))),
            bookings,
        };
        Receipt {
            id: self.number,
            named: if self.named_by_client { self.call_id.to_str().unwrap_or_default() } else { "" }.into(),
            began: Receipt::began(self.number),
            took: micros(took),
            first_byte: self.first_byte.map(micros),
            upstream: micros(self.upstream),
            stream: self.stream,
            status: self.status.as_u16(),
            error: self.error.as_deref().map(cut),
            usage: None,
            cost: None,
            retries: self.tries.retries,
            fallbacks: self.tries.fallbacks,
            texts: None,
            decision: self.decided.take(),
            subject,
        }
    }

    /// Counters that neither a budget nor the receipt's owners imply.
    fn bookings(&self) -> Vec<Booking> {
        let declared = self.tagged.iter().filter(|tagged| self.current.snapshot.declares(&tagged.tag));
        let tags = declared.map(|tagged| (Payer::Tag, tagged.tag.clone()));
        let customer = self.owners.customer.clone().filter(|_| self.owners.known_customer);
        let customer = customer.map(|id| (Payer::Customer, id));
        tags.chain(customer).map(|(payer, id)| Booking { payer, id, until: NEVER }).collect()
    }
}

/// The beginning of a text.
pub(super) fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(LONGEST)].into()
}

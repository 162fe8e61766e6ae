//! What a request cost: from the providers' figures, or where these did not come, from a count of what was seen; and
//! whose counters that goes to. Knows prices and texts; nothing of files, and nothing of how a request went.

use bytes::Bytes;
use smallvec::SmallVec;
use tagway_core::config::SpendRules;
use tagway_core::money::Nanos;
use tagway_core::price::Prices;
use tagway_core::tokens;
use tagway_core::usage::Usage;
use tagway_core::wire::peek::Peek;
use tagway_core::wire::reply;
use tagway_core::wire::sse::SseMap;

use crate::accounts::Holds;
use crate::metrics::Due;
use crate::receipt::{Receipt, Subject};

/// Texts up to this size are counted at once, before the last byte of an answer leaves.
const COUNTED_AT_ONCE: usize = 32 << 10;

/// What was seen of an answer.
pub(crate) enum Seen {
    /// It had begun, and nothing of it came.
    Nothing,
    /// Some or all of a stream.
    Stream(Box<SseMap>),
    /// All of one that does not stream.
    Whole(Bytes),
}

/// A provider's part in a request.
pub(crate) struct Call {
    pub(crate) prices: Option<Prices>,
    /// The provider's own figures.
    pub(crate) usage: Option<Usage>,
    pub(crate) seen: Seen,
}

/// A request that has ended, before its cost is known.
pub(crate) struct Bill {
    /// Without usage and cost; its bookings are those that no budget asks for.
    pub(crate) receipt: Receipt<Subject>,
    pub(crate) holds: Holds,
    /// The body of the request.
    pub(crate) request: Bytes,
    /// Every call that a provider had begun to answer.
    pub(crate) calls: SmallVec<[Call; 1]>,
    /// The client is about to get the last byte of an answer.
    pub(crate) complete: bool,
    pub(crate) rules: SpendRules,
    /// Where metrics take note of what it used.
    pub(crate) due: Due,
}

/// How exact a count is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Exact,
    /// By length alone.
    Rough,
}

impl Bill {
    /// How it must be counted to be there before the last byte of its answer; `None` when that byte never comes, and
    /// there is time.
    pub(super) fn at_once(&self) -> Option<Count> {
        if self.calls.iter().all(|call| call.usage.is_some()) {
            return Some(Count::Exact);
        }
        if !self.complete {
            return None;
        }
        let answers: usize = self.calls.iter().map(Call::size).sum();
        Some(if self.request.len() + answers <= COUNTED_AT_ONCE { Count::Exact } else { Count::Rough })
    }

    /// The receipt, complete. The cost takes the place of what the request held of budgets.
    pub(super) fn receipt(self, count: Count, now: i64) -> Receipt<Subject> {
        let Self { mut receipt, holds, request, calls, due, .. } = self;
        let mut prompt = None;
        let (mut total, mut cost) = (Usage::default(), Some(Nanos::ZERO));
        for call in &calls {
            let usage = call.usage.unwrap_or_else(|| {
                let prompt = *prompt.get_or_insert_with(|| count.prompt(&request));
                Usage::estimate(prompt, count.completion(&call.seen))
            });
            let priced = call.prices.as_ref().map(|prices| prices.cost(&usage).total());
            let free = usage == Usage::default();
            cost = cost.and_then(|sum| Some(sum + priced.or(free.then_some(Nanos::ZERO))?));
            total = sum(total, usage);
        }
        receipt.usage = (!calls.is_empty()).then_some(total);
        receipt.cost = cost;
        due.settle(receipt.usage.as_ref(), cost);
        for booking in holds.settle(cost.unwrap_or(Nanos::ZERO), now) {
            let same = |other: &&mut _| {
                let crate::receipt::Booking { payer, id, .. } = &**other;
                (*payer, id) == (booking.payer, &booking.id)
            };
            let bookings = &mut receipt.subject.bookings;
            match bookings.iter_mut().find(same) {
                Some(known) => *known = booking,
                None => bookings.push(booking),
            }
        }
        receipt
    }
}

impl Call {
    fn size(&self) -> usize {
        match &self.seen {
            Seen::Nothing => 0,
            Seen::Stream(map) => usize::try_from(map.seen().events).unwrap_or(usize::MAX) * 64,
            Seen::Whole(body) => body.len(),
        }
    }
}

impl Count {
    fn prompt(self, request: &Bytes) -> u64 {
        match self {
            Self::Exact => Peek::read(request).map_or(0, |peek| tokens::count_prompt(&peek)),
            Self::Rough => tokens::rough_prompt(request.len()),
        }
    }

    fn completion(self, seen: &Seen) -> u64 {
        match (seen, self) {
            (Seen::Nothing, _) => 0,
            (Seen::Stream(map), Self::Exact) => map.estimated_completion(),
            (Seen::Whole(body), Self::Exact) => reply::estimated_completion(body),
            // Providers send a token or a few with each event.
            (Seen::Stream(map), Self::Rough) => map.seen().events,
            (Seen::Whole(body), Self::Rough) => body.len() as u64 / 4,
        }
    }
}

fn sum(one: Usage, other: Usage) -> Usage {
    Usage {
        prompt: one.prompt.saturating_add(other.prompt),
        completion: one.completion.saturating_add(other.completion),
        total: one.total.saturating_add(other.total),
        cache_read: one.cache_read.saturating_add(other.cache_read),
        cache_write: one.cache_write.saturating_add(other.cache_write),
        reasoning: one.reasoning.saturating_add(other.reasoning),
        audio_in: one.audio_in.saturating_add(other.audio_in),
        audio_out: one.audio_out.saturating_add(other.audio_out),
        service: other.service,
        estimated: one.estimated || other.estimated,
    }
}

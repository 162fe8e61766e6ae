//! The choices by figures: pure functions of the candidates, of what is known of each of them, and of random numbers
//! between 0 and 1. Among equals all have the same chance.

use smallvec::SmallVec;

use crate::tag::Members;

/// What is known of a candidate's recent calls.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Recent {
    /// What they took; `None` when there were none.
    pub took: Option<f32>,
    /// Calls in progress.
    pub in_progress: u32,
}

/// What a candidate has to do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Running {
    /// How long a call takes; `None` when that is not known.
    pub takes: Option<f32>,
    /// Calls in progress.
    pub in_progress: u32,
}

/// What was used of a candidate within this minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Tokens of calls that have ended.
    pub tokens: u64,
    /// These calls.
    pub calls: u64,
    /// Calls in progress.
    pub in_progress: u32,
}

type Values<T> = SmallVec<[(usize, T); 16]>;

/// By share: of the `kinds` of shares a candidate may have, the first that any has counts; evenly if none has any.
pub fn shuffle(
    among: &Members,
    kinds: usize,
    share: impl Fn(usize, usize) -> Option<f64>,
    random: f64,
) -> Option<usize> {
    let count = among.count();
    if count < 2 {
        return among.first();
    }
    for kind in 0..kinds {
        let own = |place| share(kind, place).unwrap_or(0.0);
        let total: f64 = among.iter().map(own).sum();
        if total <= 0.0 {
            continue;
        }
        let mut point = random * total;
        for place in among.iter() {
            let own = own(place);
            if point < own {
                return Some(place);
            }
            point -= own;
        }
    }
    among.iter().nth(nth(count, random))
}

/// The one with the least of something.
pub fn least<T: PartialOrd>(among: &Members, value: impl Fn(usize) -> T, random: f64) -> Option<usize> {
    // Figures change while they are compared: each is read once.
    let values: Values<T> = among.iter().map(|place| (place, value(place))).collect();
    lowest(&values, |least, value| value <= least, random)
}

/// The fastest, or one of those that are slower by no more than the share `buffer`. One of which nothing is known is
/// tried first, by one call at a time as long as there are others.
pub fn fastest(among: &Members, recent: impl Fn(usize) -> Recent, buffer: f64, random: f64) -> Option<usize> {
    let all: Values<Recent> = among.iter().map(|place| (place, recent(place))).collect();
    let untried = |recent: &Recent| recent.took.is_none() && recent.in_progress == 0;
    let known = |recent: &Recent| recent.took.map(f64::from);
    let of = |wanted: &dyn Fn(&Recent) -> Option<f64>| -> Values<f64> {
        all.iter().filter_map(|(place, recent)| Some((*place, wanted(recent)?))).collect()
    };
    let mut values = of(&|recent| untried(recent).then_some(0.0));
    if values.is_empty() {
        values = of(&known);
    }
    if values.is_empty() {
        values = of(&|_| Some(0.0));
    }
    lowest(&values, |least, value| *value <= least * (1.0 + buffer), random)
}

/// The one with the fewest tokens of this minute; calls in progress count as many as the mean of those that have ended.
pub fn least_used(among: &Members, used: impl Fn(usize) -> Used, random: f64) -> Option<usize> {
    let all: Values<Used> = among.iter().map(|place| (place, used(place))).collect();
    let sum = |of: fn(&Used) -> u64| all.iter().map(|(_, used)| of(used)).fold(0, u64::saturating_add);
    // Where no tokens are counted, calls are.
    let mean = (sum(|used| used.tokens) / sum(|used| used.calls).max(1)).max(1);
    let expected = |used: &Used| {
        let running = u64::from(used.in_progress).saturating_mul(mean);
        (used.tokens.saturating_add(running), used.calls)
    };
    let values: Values<(u64, u64)> = all.iter().map(|(place, used)| (*place, expected(used))).collect();
    lowest(&values, |least, value| value <= least, random)
}

/// Of two at random the one whose calls, with one more, take less time altogether. If nothing is known of how long calls
/// of one of them take, the one with fewer.
pub fn best_of_two(among: &Members, running: impl Fn(usize) -> Running, random: [f64; 3]) -> Option<usize> {
    let count = among.count();
    if count < 2 {
        return among.first();
    }
    let first = nth(count, random[0]);
    let second = (first + 1 + nth(count - 1, random[1])) % count;
    let (one, other) = (among.iter().nth(first)?, among.iter().nth(second)?);
    let (a, b) = (running(one), running(other));
    let work = |running: Running, takes: f32| f64::from(takes) * (f64::from(running.in_progress) + 1.0);
    let (a, b) = match (a.takes, b.takes) {
        (Some(takes), Some(others)) => (work(a, takes), work(b, others)),
        _ => (work(a, 1.0), work(b, 1.0)),
    };
    let first = a < b || a <= b && random[2] < 0.5;
    Some(if first { one } else { other })
}

/// One of those that are `close` to the lowest.
fn lowest<T: PartialOrd>(values: &Values<T>, close: impl Fn(&T, &T) -> bool, random: f64) -> Option<usize> {
    let least = values.iter().map(|(_, value)| value).reduce(|a, b| if b < a { b } else { a })?;
    let good = || values.iter().filter(|(_, value)| close(least, value));
    let chosen = good().nth(nth(good().count(), random)).or(values.first());
    chosen.map(|(place, _)| *place)
}

/// A place among `count`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "as fair as a random number of 53 bits"
)]
fn nth(count: usize, random: f64) -> usize {
    ((count as f64 * random) as usize).min(count.saturating_sub(1))
}

//! What strategies go by: how many calls of a deployment are in progress, how long calls take, what was used within this
//! minute. Atomics alone, so that nobody waits; two at once may lose a little, which matters to no average. Time is an
//! argument. Kept only for those strategies that ask.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tagway_core::fault::OutlierEjection;
use tagway_core::strategy::{Latency, MOST_SAMPLES, Recent, Running, Used};

use super::Mark;

/// The weight of a call in an average is one in so many.
const WEIGHT: f32 = 8.0;
/// An average loses half of itself in this time without calls: who was slow gets another chance.
const HALF_LIFE: f32 = 60.0;
/// A call that timed out counts as one that took this long, as in LiteLLM.
const TIMED_OUT: Duration = Duration::from_secs(1000);
/// Room for so many calls: a power of two, so that counting on past the end of a number does no harm.
const RING: usize = MOST_SAMPLES.next_power_of_two();
/// Bits of a count of one minute; the rest is the minute.
const COUNT_BITS: u32 = 40;

/// The figures of one deployment.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    in_progress: AtomicU32,
    /// Seconds a call takes.
    average: Stamped,
    /// Seconds for each token of an answer; of those without tokens, seconds.
    answers: Series,
    /// Seconds to the first token of a stream.
    first_tokens: Series,
    tokens: OfMinute,
    calls: OfMinute,
    /// What other gateways have told.
    tokens_elsewhere: OfMinute,
    calls_elsewhere: OfMinute,
}

/// A number of seconds, and when it was noted: in tenths of seconds, 0 for never.
#[derive(Debug, Default)]
struct Stamped(AtomicU64);

/// The last calls, and what they come to.
#[derive(Debug, Default)]
struct Series {
    ring: OnceLock<Box<Ring>>,
    typical: Stamped,
}

#[derive(Debug)]
struct Ring {
    next: AtomicU32,
    calls: [Stamped; RING],
}

/// A count that begins anew every minute.
#[derive(Debug, Default)]
struct OfMinute(AtomicU64);

impl Stamped {
    fn set(&self, seconds: f32, now: Duration) {
        let time = u32::try_from(now.as_millis() / 100 + 1).unwrap_or(u32::MAX);
        self.0.store(u64::from(time) << 32 | u64::from(seconds.to_bits()), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The number, and its age.
    fn get(&self, now: Duration) -> Option<(f32, Duration)> {
        let both = self.0.load(Ordering::Relaxed);
        let time = u64::from((both >> 32) as u32).checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let seconds = f32::from_bits(both as u32);
        Some((seconds, now.saturating_sub(Duration::from_millis(time * 100))))
    }
}

impl Series {
    fn note(&self, seconds: f32, first_token: bool, rules: &Latency, now: Duration) {
        let ring = self.ring.get_or_init(|| {
            Box::new(Ring { next: AtomicU32::new(0), calls: std::array::from_fn(|_| Stamped::default()) })
        });
        let place = ring.next.fetch_add(1, Ordering::Relaxed) as usize;
        let at = |back: usize| &ring.calls[place.wrapping_sub(back) % RING];
        at(0).set(seconds, now);
        let mut recent = [0.0; MOST_SAMPLES];
        let mut count = 0;
        for back in 0..rules.samples.min(MOST_SAMPLES) {
            if let Some((seconds, age)) = at(back).get(now)
                && age <= rules.ttl
            {
                recent[count] = seconds;
                count += 1;
            }
        }
        if let Some(typical) = rules.typical(&mut recent[..count], first_token) {
            self.typical.set(typical, now);
        }
    }

    /// How many calls there were lately.
    fn count(&self, within: Duration, now: Duration) -> usize {
        let Some(ring) = self.ring.get() else { return 0 };
        ring.calls.iter().filter_map(|call| call.get(now)).filter(|(_, age)| *age <= within).count()
    }

    fn forget(&self) {
        if let Some(ring) = self.ring.get() {
            ring.calls.iter().chain([&self.typical]).for_each(Stamped::clear);
        }
    }

    fn typical(&self, rules: &Latency, now: Duration) -> Option<f32> {
        self.typical.get(now).filter(|(_, age)| *age <= rules.ttl).map(|(seconds, _)| seconds)
    }
}

impl OfMinute {
    fn add(&self, more: u64, now: Duration) {
        let minute = now.as_secs() / 60;
        let added = |before: u64| {
            let count = if before >> COUNT_BITS == minute { before & ((1 << COUNT_BITS) - 1) } else { 0 };
            Some(minute << COUNT_BITS | count.saturating_add(more).min((1 << COUNT_BITS) - 1))
        };
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }

    fn get(&self, now: Duration) -> u64 {
        let both = self.0.load(Ordering::Relaxed);
        if both >> COUNT_BITS == now.as_secs() / 60 { both & ((1 << COUNT_BITS) - 1) } else { 0 }
    }
}

impl Figures {
    pub(crate) fn in_progress(&self) -> u32 {
        self.in_progress.load(Ordering::Relaxed)
    }

    pub(crate) fn recent(&self, stream: bool, rules: &Latency, now: Duration) -> Recent {
        let series = if stream { &self.first_tokens } else { &self.answers };
        Recent { took: series.typical(rules, now), in_progress: self.in_progress() }
    }

    pub(crate) fn running(&self, now: Duration) -> Running {
        Running { takes: self.average(now), in_progress: self.in_progress() }
    }

    pub(crate) fn used(&self, now: Duration) -> Used {
        let (tokens, calls) = self.used_here(now);
        let (tokens, calls) =
            (tokens + self.tokens_elsewhere.get(now), calls + self.calls_elsewhere.get(now));
        Used { tokens, calls, in_progress: self.in_progress() }
    }

    /// Tokens and calls within this minute, as this gateway made them.
    pub(super) fn used_here(&self, now: Duration) -> (u64, u64) {
        (self.tokens.get(now), self.calls.get(now))
    }

    pub(super) fn add_elsewhere(&self, tokens: u64, calls: u64, now: Duration) {
        self.tokens_elsewhere.add(tokens, now);
        self.calls_elsewhere.add(calls, now);
    }

    /// How long calls take, with or without a stream, where it rests on enough of them.
    pub(super) fn latency(&self, stream: bool, rules: &Latency, enough: usize, now: Duration) -> Option<f32> {
        let series = if stream { &self.first_tokens } else { &self.answers };
        let lately = series.count(OutlierEjection::WINDOW, now);
        if lately < enough { None } else { series.typical(rules, now) }
    }

    /// How long calls took is of no account any more.
    pub(super) fn forget_latency(&self) {
        self.answers.forget();
        self.first_tokens.forget();
    }

    fn average(&self, now: Duration) -> Option<f32> {
        let (seconds, age) = self.average.get(now)?;
        Some(seconds * 0.5_f32.powf(age.as_secs_f32() / HALF_LIFE))
    }
}

/// How a call has ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ended {
    /// How long it took until its end.
    pub(crate) took: Duration,
    /// Until its first token, of a stream.
    pub(crate) first_token: Option<Duration>,
    /// The tokens of its answer, if they are known.
    pub(crate) output: u64,
}

/// A call in progress. Dropping it ends the call.
#[derive(Debug)]
pub(crate) struct Flight {
    mark: Arc<Mark>,
    start: Instant,
}

impl Flight {
    pub(super) fn begin(mark: &Arc<Mark>, start: Instant) -> Self {
        mark.figures.in_progress.fetch_add(1, Ordering::Relaxed);
        Self { mark: Arc::clone(mark), start }
    }

    /// Takes note of what it has used, however it ended.
    pub(crate) fn used(&self, tokens: u64, now: Instant) {
        let now = now.saturating_duration_since(self.start);
        self.mark.figures.tokens.add(tokens, now);
        self.mark.figures.calls.add(1, now);
    }

    /// Takes note of how long it took, for an average.
    pub(crate) fn averages(&self, took: Duration, now: Instant) {
        let now = now.saturating_duration_since(self.start);
        let (figures, took) = (&self.mark.figures, took.as_secs_f32());
        let average = figures.average(now).map_or(took, |before| before + (took - before) / WEIGHT);
        figures.average.set(average, now);
    }

    /// Takes note of how long it took, as one of the last calls.
    pub(crate) fn lasted(&self, ended: &Ended, rules: &Latency, now: Instant) {
        let now = now.saturating_duration_since(self.start);
        let figures = &self.mark.figures;
        #[expect(clippy::cast_precision_loss, reason = "a share needs no 24 bits")]
        let for_each = ended.took.as_secs_f32() / ended.output.max(1) as f32;
        figures.answers.note(for_each, false, rules, now);
        if let Some(first) = ended.first_token {
            figures.first_tokens.note(first.as_secs_f32(), true, rules, now);
        }
    }

    /// It timed out.
    pub(crate) fn timed_out(&self, stream: bool, rules: &Latency, now: Instant) {
        let first_token = stream.then_some(TIMED_OUT);
        self.lasted(&Ended { took: TIMED_OUT, first_token, ..Ended::default() }, rules, now);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.mark.figures.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_minute_begins_with_nothing() {
        let count = OfMinute::default();
        count.add(5, secs(1));
        count.add(7, secs(59));
        assert_eq!((count.get(secs(59)), count.get(secs(60))), (12, 0));
        count.add(u64::MAX, secs(61));
        assert_eq!(count.get(secs(61)), (1 << COUNT_BITS) - 1);
    }

    #[test]
    fn only_the_last_calls_count_and_only_for_a_while() {
        let rules = Latency { samples: 2, ttl: secs(10), ..Latency::default() };
        let series = Series::default();
        assert_eq!(series.typical(&rules, secs(0)), None);
        for (seconds, at) in [(9.0, 0), (1.0, 1), (3.0, 2)] {
            series.note(seconds, false, &rules, secs(at));
        }
        assert_eq!(series.typical(&rules, secs(2)), Some(2.0));
        assert_eq!(series.typical(&rules, secs(13)), None, "forgotten");
        series.note(7.0, false, &rules, secs(20));
        assert_eq!(series.typical(&rules, secs(20)), Some(7.0), "what is older than that does not count");
        for _ in 0..1000 {
            series.note(0.5, false, &rules, secs(21));
        }
        assert_eq!(series.typical(&rules, secs(21)), Some(0.5));
    }

    #[test]
    fn an_average_follows_calls_and_fades_without() {
        let (start, mark) = (Instant::now(), Arc::new(Mark::default()));
        let flight = Flight::begin(&mark, start);
        assert_eq!(mark.figures.running(secs(0)), Running { takes: None, in_progress: 1 });
        for _ in 0..100 {
            flight.averages(secs(2), start);
        }
        let takes = |at: u64| mark.figures.running(secs(at)).takes.unwrap_or_default();
        assert!(
            (takes(0) - 2.0).abs() < 0.01 && (takes(60) - 1.0).abs() < 0.01,
            "{} {}",
            takes(0),
            takes(60)
        );
        drop(flight);
        assert_eq!(mark.figures.in_progress(), 0);
    }
}

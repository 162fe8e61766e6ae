//! What calls to a deployment have shown of their cost: how long answers are, and how far estimates were off. Averages
//! in atomics, in which recent calls weigh most; knows no prices.

use std::sync::atomic::{AtomicU64, Ordering};

use tagway_core::money::Nanos;

/// What an answer is taken to have before there was any.
const FIRST_OUTPUT: u64 = 256;
/// Averages are kept in so many parts of one.
const ONE: u64 = 1024;
/// An estimate is raised this much at most.
const MOST: u64 = 16;
/// A call's weight in an average is one in so many.
const WEIGHT: u64 = 8;

/// Averages of one deployment.
#[derive(Debug)]
pub(crate) struct Learned {
    output: AtomicU64,
    factor: AtomicU64,
}

impl Default for Learned {
    fn default() -> Self {
        Self { output: AtomicU64::new(FIRST_OUTPUT * ONE), factor: AtomicU64::new(ONE) }
    }
}

impl Learned {
    /// How many tokens an answer has.
    pub(crate) fn output(&self) -> u64 {
        self.output.load(Ordering::Relaxed).div_ceil(ONE)
    }

    /// What a call that was estimated to cost so much does cost: no less than that.
    pub(crate) fn correct(&self, estimate: Nanos) -> Nanos {
        let raised =
            i128::from(estimate.0) * i128::from(self.factor.load(Ordering::Relaxed)) / i128::from(ONE);
        Nanos(i64::try_from(raised).unwrap_or(i64::MAX))
    }

    /// A call has ended: with so many tokens in its answer, and a cost other than the one it was estimated to have
    /// before that was corrected.
    pub(crate) fn note(&self, output: u64, estimate: Nanos, cost: Nanos) {
        // Two at once may both build on the same average: one call more or less does not matter.
        let blend = |average: &AtomicU64, seen: u64| {
            let before = average.load(Ordering::Relaxed);
            average.store((before * (WEIGHT - 1) + seen) / WEIGHT, Ordering::Relaxed);
        };
        if 0 < output {
            blend(&self.output, output.min(1 << 30) * ONE);
        }
        if Nanos::ZERO < estimate {
            let ratio = i128::from(cost.0) * i128::from(ONE) / i128::from(estimate.0);
            let ratio = u64::try_from(ratio).unwrap_or(0).clamp(ONE, MOST * ONE);
            blend(&self.factor, ratio);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_follow_what_calls_have_shown() {
        let learned = Learned::default();
        assert_eq!((learned.output(), learned.correct(Nanos(100))), (256, Nanos(100)));
        for _ in 0..100 {
            learned.note(10, Nanos(100), Nanos(400));
        }
        assert!((10..=11).contains(&learned.output()), "{}", learned.output());
        assert!((390..=400).contains(&learned.correct(Nanos(100)).0), "{:?}", learned.correct(Nanos(100)));
        for _ in 0..100 {
            learned.note(10, Nanos(100), Nanos(1));
        }
        assert!(learned.correct(Nanos(100)).0 < 102);
        learned.note(u64::MAX, Nanos(1), Nanos(i64::MAX));
        assert!(learned.correct(Nanos(100)).0 <= 1600);
    }
}

//! Strategies: which one of the deployments that may serve a request serves it. A choice is a function of the
//! candidates, of what is known of each, and of random numbers; it never leaves the candidates. Knows neither tags nor
//! where the figures come from.

mod choose;
mod sticky;

use std::time::Duration;

pub use choose::{Recent, Running, Used, best_of_two, fastest, least, least_used, shuffle};
pub use sticky::{By, hash, mixed, rendezvous};

/// How one of the candidates is chosen.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Strategy {
    /// `simple-shuffle`: at random, by `weight`, `rpm` or `tpm`.
    #[default]
    Shuffle,
    /// `least-busy`: the fewest calls in progress.
    LeastBusy,
    /// `latency-based-routing`: the shortest time to the first token, or for each token of the answer.
    Fastest(Latency),
    /// `cost-based-routing`: the lowest price.
    Cheapest,
    /// `usage-based-routing` and `usage-based-routing-v2`: the fewest tokens of this minute.
    LeastUsed {
        /// It is called by the latter name.
        v2: bool,
    },
    /// `power-of-two`: of two at random the one with less to do, and faster.
    PowerOfTwo,
    /// `sticky`: always the same one for the same user, session, …
    Sticky(By),
}

/// The arguments of `latency-based-routing`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// `ttl`: a deployment that was not called for this long is tried anew.
    pub ttl: Duration,
    /// `lowest_latency_buffer`: those slower than the fastest by no more than this share are as good.
    pub buffer: f64,
    /// `max_latency_list_size`: how many calls count.
    pub samples: usize,
    /// `ttft_percentile`: of times to the first token this one counts, not their mean.
    pub percentile: Option<f64>,
}

/// The most calls that [`Latency::samples`] may be.
pub const MOST_SAMPLES: usize = 100;

impl Default for Latency {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(3600), buffer: 0.0, samples: 10, percentile: None }
    }
}

impl Latency {
    /// What recent calls come to, each given in seconds.
    pub fn typical(&self, calls: &mut [f32], first_token: bool) -> Option<f32> {
        let count = calls.len();
        #[expect(clippy::cast_precision_loss, reason = "there are no more than a hundred")]
        let size = count as f32;
        match self.percentile.filter(|_| first_token) {
            _ if count == 0 => None,
            None => Some(calls.iter().sum::<f32>() / size),
            Some(share) => {
                calls.sort_by(f32::total_cmp);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and 100"
                )]
                let place = (f64::from(size) * share).ceil() as usize;
                calls.get(place.clamp(1, count) - 1).copied()
            }
        }
    }
}

/// What must be known of deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// How many calls are in progress.
    pub in_progress: bool,
    /// How long recent calls took.
    pub recent: bool,
    /// How long calls take, as an average in which recent ones weigh most.
    pub average: bool,
    /// Requests and tokens of this minute.
    pub minute: bool,
}

impl Needs {
    /// Whether anything is.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

impl Strategy {
    /// Its name in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shuffle => "simple-shuffle",
            Self::LeastBusy => "least-busy",
            Self::Fastest(_) => "latency-based-routing",
            Self::Cheapest => "cost-based-routing",
            Self::LeastUsed { v2: false } => "usage-based-routing",
            Self::LeastUsed { v2: true } => "usage-based-routing-v2",
            Self::PowerOfTwo => "power-of-two",
            Self::Sticky(_) => "sticky",
        }
    }

    /// What it must know.
    pub fn needs(&self) -> Needs {
        let none = Needs::default();
        match self {
            Self::Shuffle | Self::Cheapest | Self::Sticky(_) => none,
            Self::LeastBusy => Needs { in_progress: true, ..none },
            Self::Fastest(_) => Needs { in_progress: true, recent: true, ..none },
            Self::LeastUsed { .. } => Needs { in_progress: true, minute: true, ..none },
            Self::PowerOfTwo => Needs { in_progress: true, average: true, ..none },
        }
    }

    /// Whether `rpm` and `tpm` of its deployments are limits, as they are for LiteLLM's strategies of this name.
    pub fn enforces_rates(&self) -> bool {
        matches!(self, Self::Fastest(_) | Self::Cheapest | Self::LeastUsed { .. })
    }
}

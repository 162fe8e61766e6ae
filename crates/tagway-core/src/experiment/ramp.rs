//! A ramp: the share of a variant that grows by a schedule, unless it is held. The share is a function of the schedule,
//! the time and how the ramp stands; whether it must be held is one of figures. Knows no clock and counts nothing.

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramp {
    /// The place of the variant that grows.
    pub variant: usize,
    /// The place of the one that it grows at the cost of.
    pub control: usize,
    /// When the first step begins, in milliseconds since 1970. Before that nobody gets the variant.
    pub starts_at: i64,
    /// At least one; the last one stays.
    pub steps: Vec<Step>,
    /// What it must not be worse by.
    pub hold: Option<Hold>,
}

/// A step of a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The variant's share.
    pub share: f64,
    /// How long it lasts, in milliseconds; the last step has no end.
    pub lasts: Option<i64>,
}

/// How much worse than the control the variant may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hold {
    /// By how much of all requests more of them may fail: 0.01 is a percentage point.
    pub error_rate: Option<f64>,
    /// How many times as long its answers may take to begin, for nineteen in twenty.
    pub latency: Option<f64>,
    /// So many requests of each must have ended.
    pub min_requests: u64,
    /// What follows.
    pub on_breach: OnBreach,
}

/// What follows when a variant is too bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBreach {
    /// The share stays where it is.
    #[default]
    Hold,
    /// Nobody gets the variant any more.
    Rollback,
}

/// How a ramp stands: what has been done to its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// It has been held since then, in milliseconds since 1970.
    pub held_since: Option<i64>,
    /// So long it was held before, in milliseconds.
    pub paused: i64,
    /// Nobody gets the variant.
    pub rolled_back: bool,
    /// Only what came after this time is judged.
    pub judged_from: i64,
}

/// Where a ramp is at some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The variant's share.
    pub share: f64,
    /// The step, from 0; none before the first one, and after a rollback.
    pub step: Option<usize>,
    /// Since when requests of this step are counted, in milliseconds since 1970.
    pub since: i64,
    /// When the next step begins, if one does by the schedule.
    pub next: Option<i64>,
}

impl Ramp {
    /// Where the ramp is.
    pub fn at(&self, now: i64, standing: &Standing) -> Point {
        let counted = |since: i64| since.max(standing.judged_from);
        if standing.rolled_back {
            return Point { share: 0.0, step: None, since: counted(i64::MIN), next: None };
        }
        let held = standing.held_since.is_some();
        let begin = self.starts_at.saturating_add(standing.paused);
        let now = standing.held_since.map_or(now, |since| since.min(now));
        let mut start = begin;
        let mut last = None;
        for (place, step) in self.steps.iter().enumerate() {
            if now < start {
                break;
            }
            let end = step.lasts.map(|lasts| start.saturating_add(lasts));
            last = Some(Point {
                share: step.share,
                step: Some(place),
                since: counted(start),
                next: end.filter(|_| !held && place + 1 < self.steps.len()),
            });
            match end {
                Some(end) => start = end,
                None => break,
            }
        }
        let before =
            Point { share: 0.0, step: None, since: counted(i64::MIN), next: (!held).then_some(begin) };
        last.unwrap_or(before)
    }

    /// How it stands when somebody, or a judgement, holds it.
    #[must_use]
    pub fn held(&self, now: i64, standing: &Standing) -> Standing {
        Standing { held_since: Some(standing.held_since.unwrap_or(now)), ..*standing }
    }

    /// How it stands when nobody is to get the variant any more.
    #[must_use]
    pub fn rolled_back(&self, now: i64, standing: &Standing) -> Standing {
        Standing { rolled_back: true, ..self.held(now, standing) }
    }

    /// How it stands when it goes on: where it was held, or from the first step after a rollback. What was counted
    /// before is not judged again.
    #[must_use]
    pub fn resumed(&self, now: i64, standing: &Standing) -> Standing {
        let paused = if standing.rolled_back {
            (now - self.starts_at).max(0)
        } else {
            // What has not begun cannot be late.
            let began = self.starts_at.saturating_add(standing.paused);
            standing.paused + standing.held_since.map_or(0, |since| (now - since.max(began)).max(0))
        };
        Standing { held_since: None, paused, rolled_back: false, judged_from: now }
    }
}

/// What requests of a variant came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests that a provider answered, or failed.
    pub requests: u64,
    /// Those that failed, or that others had to serve.
    pub failed: u64,
    /// How long answers took to begin: how many requests, by bucket.
    pub times: Vec<(u16, u64)>,
}

/// Parts of a doubling that are told apart.
const PARTS: u32 = 8;

impl Figures {
    /// As many buckets there are.
    pub const BUCKETS: usize = 256;

    /// The bucket of a time in microseconds: an eighth more begins the next.
    pub fn bucket(micros: u64) -> u16 {
        let micros = micros.max(1 << 6);
        let doublings = micros.ilog2();
        let part = (micros >> (doublings - 3)) & u64::from(PARTS - 1);
        let bucket = u64::from((doublings - 6) * PARTS) + part;
        u16::try_from(bucket.min(Self::BUCKETS as u64 - 1)).unwrap_or(u16::MAX)
    }

    /// The middle of a bucket, in microseconds.
    fn middle(bucket: u16) -> f64 {
        let (doublings, part) = (u32::from(bucket) / PARTS + 6, u32::from(bucket) % PARTS);
        2_f64.powi(i32::try_from(doublings).unwrap_or(0)) * (1.0 + (f64::from(part) + 0.5) / f64::from(PARTS))
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        for (bucket, count) in &other.times {
            match self.times.binary_search_by_key(bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.times[at].1 += count,
                Err(at) => self.times.insert(at, (*bucket, *count)),
            }
        }
    }

    /// The part of them that failed.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failed as f64 / self.requests as f64 }
    }

    /// Until the answers of nineteen in twenty had begun, in microseconds, to a sixteenth.
    pub fn p95(&self) -> Option<f64> {
        let all: u64 = self.times.iter().map(|(_, count)| count).sum();
        let wanted = (all * 19).div_ceil(20);
        let mut seen = 0;
        let found = self.times.iter().find(|(_, count)| {
            seen += count;
            wanted <= seen
        })?;
        Some(Self::middle(found.0))
    }
}

/// In what a variant is too bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Breach {
    /// More of its requests fail.
    Errors {
        /// Its part that fails.
        variant: f64,
        /// The control's.
        control: f64,
        /// How much more it may be.
        bound: f64,
    },
    /// Its answers take longer to begin.
    Latency {
        /// In microseconds, for nineteen in twenty.
        variant: f64,
        /// The control's.
        control: f64,
        /// How many times as long it may be.
        bound: f64,
    },
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Errors { variant, control, bound } => {
                let [variant, control, bound] = [variant, control, bound].map(|part| part * 100.0);
                write!(
                    f,
                    "{variant:.2} % of its requests fail, of the control's {control:.2} %; {bound:.2} more may"
                )
            }
            Self::Latency { variant, control, bound } => {
                let [variant, control] = [variant, control].map(|micros| micros / 1000.0);
                write!(
                    f,
                    "p95 until its answers begin is {variant:.1} ms, the control's {control:.1} ms; {bound} times as long it may be"
                )
            }
        }
    }
}

impl Hold {
    /// In what the variant is too bad; nothing while too few requests of either have ended.
    pub fn judge(&self, variant: &Figures, control: &Figures) -> Option<Breach> {
        if variant.requests.min(control.requests) < self.min_requests.max(1) {
            return None;
        }
        if let Some(bound) = self.error_rate
            && control.error_rate() + bound < variant.error_rate()
        {
            let (variant, control) = (variant.error_rate(), control.error_rate());
            return Some(Breach::Errors { variant, control, bound });
        }
        let (bound, variant, control) = (self.latency?, variant.p95()?, control.p95()?);
        (control * bound < variant).then_some(Breach::Latency { variant, control, bound })
    }
}

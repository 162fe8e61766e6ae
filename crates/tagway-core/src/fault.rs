//! How calls of a provider fail, in LiteLLM's classes, and what a configuration allows for each: retries, failures
//! before a deployment cools down. Knows neither bodies nor messages of errors.

use std::time::Duration;

/// A class of failures, by the exception that LiteLLM makes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `BadRequestError`: 400 and 422, a prompt that is too long among them.
    BadRequest,
    /// `ContentPolicyViolationError`, a kind of bad request.
    ContentPolicy,
    /// `AuthenticationError`: 401.
    Authentication,
    /// `NotFoundError`: 404.
    NotFound,
    /// `Timeout`: 408, 504, and no answer in time.
    Timeout,
    /// `RateLimitError`: 429.
    RateLimit,
    /// `InternalServerError`: 500, a connection that broke, an answer that cannot be read.
    InternalServer,
    /// `BadGatewayError`: 502.
    BadGateway,
    /// `ServiceUnavailableError`: 503.
    ServiceUnavailable,
    /// Any other status.
    Other,
}

impl Fault {
    /// All of them that have a name in LiteLLM's policies: `TimeoutErrorRetries`, `TimeoutErrorAllowedFails`.
    pub const NAMED: [(Self, &'static str); 9] = [
        (Self::BadRequest, "BadRequestError"),
        (Self::ContentPolicy, "ContentPolicyViolationError"),
        (Self::Authentication, "AuthenticationError"),
        (Self::NotFound, "NotFoundError"),
        (Self::Timeout, "TimeoutError"),
        (Self::RateLimit, "RateLimitError"),
        (Self::InternalServer, "InternalServerError"),
        (Self::BadGateway, "BadGatewayError"),
        (Self::ServiceUnavailable, "ServiceUnavailableError"),
    ];

    /// Its name in those policies; none has [`Fault::Other`].
    pub fn name(self) -> Option<&'static str> {
        Self::NAMED.get(self as usize).map(|(_, name)| *name)
    }

    /// The class of an error by its HTTP status.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 | 422 => Self::BadRequest,
            401 => Self::Authentication,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            429 => Self::RateLimit,
            500 => Self::InternalServer,
            502 => Self::BadGateway,
            503 => Self::ServiceUnavailable,
            _ => Self::Other,
        }
    }
}

/// Numbers by class: `retry_policy`, `allowed_fails_policy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerFault {
    named: [Option<u32>; Fault::NAMED.len()],
    /// `DefaultRetries`: for every class that has no number of its own.
    pub default: Option<u32>,
}

impl PerFault {
    /// Sets the number of a class; [`Fault::Other`] has none.
    pub fn set(&mut self, fault: Fault, number: u32) {
        if let Some(place) = self.named.get_mut(fault as usize) {
            *place = Some(number);
        }
    }

    /// The number of a class, as far as something is said of it.
    pub fn of(&self, fault: Fault) -> Option<u32> {
        let own = |fault| self.named.get(fault as usize).copied().flatten();
        let general = || own(Fault::BadRequest).filter(|_| fault == Fault::ContentPolicy);
        own(fault).or_else(general).or(self.default)
    }
}

/// `retry_budget`: how many retries there may be beside requests, so that a provider that fails is not called even more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Retries in a thousand requests of a model group, within the last [`RetryBudget::WINDOW`].
    pub per_mille: u32,
    /// As many a second there may always be.
    pub per_second: u32,
}

impl RetryBudget {
    /// The time over which requests and retries are counted.
    pub const WINDOW: Duration = Duration::from_secs(10);

    /// Whether there may be one more retry beside so many requests and retries of the last window.
    pub fn allows(&self, requests: u64, retries: u64) -> bool {
        let always = u64::from(self.per_second) * Self::WINDOW.as_secs();
        let share = requests.saturating_mul(u64::from(self.per_mille)) / 1000;
        retries < always.saturating_add(share)
    }
}

impl Default for RetryBudget {
    /// A fifth of the requests, and ten a second.
    fn default() -> Self {
        Self { per_mille: 200, per_second: 10 }
    }
}

/// What follows from failures of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cooling {
    /// Nothing.
    Never,
    /// It cools down with the first.
    AtOnce,
    /// It cools down when there are more than so many within a minute.
    After(u32),
    /// It cools down when most calls fail: more than half of [`Cooling::ENOUGH`] or more within a minute, or as many in
    /// a row.
    Mostly,
}

impl Cooling {
    /// LiteLLM's `DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS`.
    pub const ENOUGH: u32 = 5;
    /// The time in which failures are counted.
    pub const WINDOW: Duration = Duration::from_secs(60);

    /// Whether a deployment cools down that has failed so many times, among so many calls since the first failure within
    /// the window, and as often in a row.
    pub fn cools(self, failures: u32, calls: u32, row: u32) -> bool {
        match self {
            Self::Never => false,
            Self::AtOnce => true,
            Self::After(allowed) => allowed < failures,
            Self::Mostly => {
                let most = Self::ENOUGH <= calls && u64::from(calls) < 2 * u64::from(failures);
                most || Self::ENOUGH <= row
            }
        }
    }
}

/// What is said of failures: of a deployment, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedFails {
    /// `allowed_fails` within a minute.
    pub any: Option<u32>,
    /// `allowed_fails_policy`
    pub by_fault: PerFault,
}

impl AllowedFails {
    /// What follows from a failure of this class. `own` is what the deployment says, `alone` whether it is the only one of
    /// its model group: with nobody to take over, a cooldown would only turn one failure into many.
    ///
    /// LiteLLM's order (`cooldown_handlers.py`): the deployment's policy, its number, the policy of all, the number of
    /// all; without any, a rate limit, a wrong key and an unknown model cool down at once, and what is a client's mistake
    /// does not.
    pub fn cooling(&self, own: &Self, fault: Fault, alone: bool) -> Cooling {
        if let Some(allowed) = own.by_fault.of(fault) {
            return Cooling::After(allowed);
        }
        if matches!(fault, Fault::BadRequest | Fault::ContentPolicy) {
            return Cooling::Never;
        }
        if let Some(allowed) = own.any {
            return if alone { Cooling::Never } else { Cooling::After(allowed) };
        }
        if let Some(allowed) = self.by_fault.of(fault).or(self.any) {
            return Cooling::After(allowed);
        }
        match fault {
            Fault::Authentication | Fault::NotFound => Cooling::AtOnce,
            _ if alone => Cooling::Never,
            Fault::RateLimit => Cooling::AtOnce,
            _ => Cooling::Mostly,
        }
    }
}

/// `outlier_ejection`: deployments that are much slower than the others of their model group take a break.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutlierEjection {
    /// `latency_factor`: so many times the median of the group is much slower.
    pub latency_factor: f64,
    /// `min_requests` of a deployment within [`OutlierEjection::WINDOW`] before anything is said of it.
    pub min_requests: usize,
    /// `max_ejected_percent` of a group.
    pub max_ejected_percent: u32,
}

impl OutlierEjection {
    /// Older calls do not count.
    pub const WINDOW: Duration = Duration::from_secs(60);

    /// Which of these latencies stand out: the slowest first, as many as may be.
    pub fn outliers(&self, latencies: &[(usize, f32)]) -> Vec<usize> {
        let mut sorted: Vec<f32> = latencies.iter().map(|(_, latency)| *latency).collect();
        sorted.sort_by(f32::total_cmp);
        // Of two, the faster one is what the other is compared with.
        let Some(median) = sorted.get(sorted.len().saturating_sub(1) / 2) else { return Vec::new() };
        let bound = f64::from(*median) * self.latency_factor;
        let mut slow: Vec<_> =
            latencies.iter().filter(|(_, latency)| bound < f64::from(*latency)).copied().collect();
        slow.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        slow.into_iter().map(|(place, _)| place).collect()
    }

    /// How many of a group of this size may be out at once: never all.
    pub fn most(&self, group: usize) -> usize {
        let share = group * self.max_ejected_percent as usize / 100;
        share.max(1).min(group.saturating_sub(1))
    }
}

impl Default for OutlierEjection {
    fn default() -> Self {
        Self { latency_factor: 3.0, min_requests: 20, max_ejected_percent: 50 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_a_number_of_its_own_has_the_default() {
        let mut policy = PerFault::default();
        assert_eq!(policy.of(Fault::Timeout), None);
        policy.set(Fault::BadRequest, 1);
        policy.set(Fault::RateLimit, 5);
        assert_eq!(policy.of(Fault::ContentPolicy), Some(1), "it is a bad request");
        policy.set(Fault::ContentPolicy, 0);
        policy.default = Some(7);
        let all =
            [Fault::RateLimit, Fault::ContentPolicy, Fault::Timeout, Fault::Other].map(|f| policy.of(f));
        assert_eq!(all, [Some(5), Some(0), Some(7), Some(7)]);
    }

    #[test]
    fn the_names_stand_at_their_classes() {
        for (place, (fault, _)) in Fault::NAMED.iter().enumerate() {
            assert_eq!(*fault as usize, place);
        }
    }

    #[test]
    fn most_calls_fail_when_more_than_half_do_or_many_in_a_row() {
        let cools = |failures, calls, row| Cooling::Mostly.cools(failures, calls, row);
        assert!(!cools(4, 4, 4) && cools(5, 5, 5), "so few say nothing");
        assert!(!cools(3, 6, 1) && cools(4, 6, 1));
        assert!(cools(9, 10_000, 5), "it was fine, and is no longer");
        assert!(!Cooling::After(3).cools(3, 3, 3) && Cooling::After(3).cools(4, 900, 1));
    }

    #[test]
    fn what_a_deployment_says_goes_before_what_holds_for_all() {
        let says = |any, named: Option<u32>| {
            let mut allowed = AllowedFails { any, ..AllowedFails::default() };
            if let Some(number) = named {
                allowed.by_fault.set(Fault::Timeout, number);
            }
            allowed
        };
        let none = AllowedFails::default();
        let timeout = |all: &AllowedFails, own: &AllowedFails| all.cooling(own, Fault::Timeout, false);
        assert_eq!(timeout(&none, &none), Cooling::Mostly);
        assert_eq!(timeout(&says(Some(1), None), &none), Cooling::After(1));
        assert_eq!(timeout(&says(Some(1), Some(2)), &none), Cooling::After(2));
        assert_eq!(timeout(&says(Some(1), Some(2)), &says(Some(3), None)), Cooling::After(3));
        assert_eq!(timeout(&says(Some(1), Some(2)), &says(Some(3), Some(4))), Cooling::After(4));
        let alone = |own: &AllowedFails, fault| none.cooling(own, fault, true);
        assert_eq!(alone(&none, Fault::RateLimit), Cooling::Never);
        assert_eq!(alone(&none, Fault::Authentication), Cooling::AtOnce);
        assert_eq!(alone(&says(None, Some(0)), Fault::Timeout), Cooling::After(0));
        assert_eq!(alone(&says(Some(0), None), Fault::Timeout), Cooling::Never);
        assert_eq!(says(Some(0), None).cooling(&none, Fault::BadRequest, false), Cooling::Never);
    }

    #[test]
    fn retries_are_a_share_of_requests_and_some_always() {
        let budget = RetryBudget { per_mille: 200, per_second: 1 };
        assert!(budget.allows(0, 9) && !budget.allows(0, 10));
        assert!(budget.allows(1000, 209) && !budget.allows(1000, 210));
        assert!(!RetryBudget { per_mille: 0, per_second: 0 }.allows(u64::MAX, 0));
    }

    #[test]
    fn slow_ones_are_told_by_the_median_of_their_group() {
        let ejection = OutlierEjection::default();
        assert!(ejection.outliers(&[]).is_empty());
        assert!(ejection.outliers(&[(0, 5.0)]).is_empty());
        assert_eq!(ejection.outliers(&[(0, 1.0), (1, 3.1)]), [1]);
        assert_eq!(ejection.outliers(&[(0, 1.0), (1, 9.0), (2, 1.1), (4, 99.0), (5, 1.2)]), [4, 1]);
        assert!(ejection.outliers(&[(0, 1.0), (1, 2.9), (2, 1.0)]).is_empty());
        assert_eq!([1, 2, 3, 4].map(|group| ejection.most(group)), [0, 1, 1, 2]);
    }
}

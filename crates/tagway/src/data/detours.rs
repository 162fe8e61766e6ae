//! What happened on the way to an answer, for the metrics: calls that failed, and other model groups that were asked.

use http::StatusCode;
use tagway_core::snapshot::DeploymentId;

use super::class::Class;
use super::failure::Failure;

/// What happened on the way to an answer.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(super) failed: Vec<Missed>,
    pub(super) fallbacks: Vec<Fallback>,
}

/// A call that failed.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) deployment: DeploymentId,
    pub(super) status: StatusCode,
    pub(super) class: Class,
    /// The deployment cools down for it.
    pub(super) cools: bool,
    /// There was another attempt.
    pub(super) retried: bool,
}

/// A change to another model group.
#[derive(Debug)]
pub(super) struct Fallback {
    pub(super) to: Box<str>,
    pub(super) served: bool,
    /// What made it necessary.
    pub(super) status: StatusCode,
    pub(super) class: Class,
}

impl Told {
    /// A call failed.
    pub(crate) fn failed(&mut self, deployment: DeploymentId, failure: &Failure, cools: bool) {
        let (status, class) = (failure.status(), Class::of(failure));
        self.failed.push(Missed { deployment, status, class, cools, retried: false });
    }

    /// There is another attempt.
    pub(crate) fn retried(&mut self) {
        if let Some(last) = self.failed.last_mut() {
            last.retried = true;
        }
    }

    /// Another model group was asked.
    pub(crate) fn fell_back(&mut self, to: &str, failure: &Failure, served: bool) {
        let (status, class) = (failure.status(), Class::of(failure));
        self.fallbacks.push(Fallback { to: to.into(), served, status, class });
    }
}

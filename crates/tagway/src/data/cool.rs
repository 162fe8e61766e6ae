//! What a failed call says of its deployment: whether it cools down, and for how long. The rules are the core's; how a
//! failure reads to the client is decided elsewhere.

use std::time::{Duration, Instant};

use http::StatusCode;
use tagway_core::fault::{Cooling, Fault};
use tagway_core::snapshot::{DeploymentId, Endpoint, Snapshot};

use super::class;
use super::failure::Failure;
use super::record::Record;
use crate::health::{Board, Failed, Probe};

/// A provider that asks for a longer break gets the configured one.
const LONGEST_BREAK: Duration = Duration::from_secs(3600);
/// A caller who waits no longer than this says nothing of a provider.
const NO_PATIENCE: Duration = Duration::from_secs(1);

/// Takes note of a failed call; says whether the deployment cools down now.
pub(super) fn note(
    snapshot: &Snapshot,
    board: &Board,
    id: DeploymentId,
    probe: Option<Probe>,
    failure: &Failure,
    endpoint: Endpoint,
) -> bool {
    let Some(fault) = class::fault(failure) else { return false };
    let weak = match failure {
        Failure::Timeout { impatient: true, limit, .. } if *limit < NO_PATIENCE => return false,
        Failure::Timeout { impatient, .. } => *impatient,
        _ => false,
    };
    let asked = failure.retry_after().filter(|asked| *asked <= LONGEST_BREAK);
    let (status, whose) = (failure.status(), Whose { snapshot, board, id, endpoint });
    match whose.cooling(fault, status, asked.is_some()) {
        Cooling::Never => {
            // It has answered, at least, and would again.
            if let Some(probe) = probe {
                probe.passed();
            }
            false
        }
        cooling => whose.failed(probe, cooling, asked, weak, status),
    }
}

/// A deployment in its surroundings.
struct Whose<'a> {
    snapshot: &'a Snapshot,
    board: &'a Board,
    id: DeploymentId,
    endpoint: Endpoint,
}

impl Whose<'_> {
    fn cooling(&self, fault: Fault, status: StatusCode, asks_for_a_break: bool) -> Cooling {
        let router = &self.snapshot.config.router;
        let deployment = self.snapshot.deployment(self.id);
        let group = self.snapshot.group(deployment.group);
        let (all, own) = (&router.failures.allowed, &deployment.entry.info.allowed_fails);
        if router.disable_cooldowns || self.time() == Duration::ZERO {
            return Cooling::Never;
        }
        // Behind a wildcard the client names the model, and not every provider has every endpoint: what it cannot
        // find then says nothing of the deployment.
        let chosen_by_client = deployment.model_json.is_none()
            || matches!(self.endpoint, Endpoint::Responses | Endpoint::Completions);
        if fault == Fault::NotFound && chosen_by_client {
            return Cooling::Never;
        }
        // Of other statuses that blame the client, an unpaid bill is the gateway's.
        if fault == Fault::Other && status.is_client_error() && status != StatusCode::PAYMENT_REQUIRED {
            return Cooling::Never;
        }
        let alone = group.deployments.len() < 2;
        let named = own.by_fault.of(fault).or(all.by_fault.of(fault)).is_some();
        if fault == Fault::RateLimit && asks_for_a_break && !alone && !named {
            return Cooling::AtOnce;
        }
        all.cooling(own, fault, alone)
    }

    fn time(&self) -> Duration {
        let own = self.snapshot.deployment(self.id).entry.cooldown_time;
        own.unwrap_or(self.snapshot.config.router.cooldown_time)
    }

    fn failed(
        &self,
        probe: Option<Probe>,
        cooling: Cooling,
        asked: Option<Duration>,
        weak: bool,
        status: StatusCode,
    ) -> bool {
        let time = asked.unwrap_or_else(|| self.time());
        let cools = self.board.failed(self.id, probe, &Failed { cooling, time, weak }, Instant::now());
        if cools {
            self.board.blame(self.id, status.as_u16(), Instant::now());
            let deployment = self.snapshot.deployment(self.id);
            tracing::warn!(
                deployment = deployment.entry.info.id,
                group = self.snapshot.group(deployment.group).name,
                status = status.as_u16(),
                seconds = time.as_secs_f64(),
                "cooling down"
            );
        }
        cools
    }
}

impl Record {
    /// A stream broke after it had begun: `reason` is `error.reason` of its last event.
    pub(super) fn broke_off(&self, reason: &str) {
        let Some(id) = self.deployment else { return };
        let fault = match reason {
            "timeout" => Fault::Timeout,
            "upstream_broken" => Fault::InternalServer,
            // The provider says so itself.
            _ => Fault::Other,
        };
        let (snapshot, board, endpoint) = (&self.current.snapshot, &self.current.board, self.endpoint);
        let (whose, status) = (Whose { snapshot, board, id, endpoint }, StatusCode::INTERNAL_SERVER_ERROR);
        match whose.cooling(fault, status, false) {
            Cooling::Never => {}
            cooling => {
                whose.failed(None, cooling, None, false, status);
            }
        }
    }
}

//! Which deployments of a group are so much slower than the others that they take a break. Latencies are what calls have
//! shown; what stands out is the core's to say.

use std::time::{Duration, Instant};

use tagway_core::config::Router;
use tagway_core::fault::OutlierEjection;
use tagway_core::snapshot::{DeploymentId, Group, Snapshot};
use tagway_core::strategy::{Latency, Strategy};

use super::{Board, Mark, millis};

/// What latencies of a model group are kept by, where anything asks for them.
pub(crate) fn rules(router: &Router, group: &Group) -> Option<Latency> {
    match (&group.strategy, &router.failures.outliers) {
        (Strategy::Fastest(rules), _) => Some(*rules),
        (_, Some(ejection)) if 1 < group.deployments.len() => Some(Latency {
            ttl: OutlierEjection::WINDOW,
            samples: ejection.min_requests,
            ..Latency::default()
        }),
        _ => None,
    }
}

impl Board {
    /// Gives deployments a break that are much slower than the others of their group, streams and other calls each
    /// compared with their like. Says which.
    pub(crate) fn eject_outliers(&self, snapshot: &Snapshot, now: Instant) -> Vec<DeploymentId> {
        let router = &snapshot.config.router;
        let Some(ejection) = router.failures.outliers.filter(|_| !router.disable_cooldowns) else {
            return Vec::new();
        };
        let mut ejected = Vec::new();
        for group in &snapshot.groups {
            let Some(rules) = rules(router, group) else { continue };
            let members: Vec<(DeploymentId, &Mark)> =
                group.deployments.iter().filter_map(|id| Some((*id, self.mark(*id)?))).collect();
            for stream in [false, true] {
                let since = self.since(now);
                let latency =
                    |mark: &Mark| mark.figures.latency(stream, &rules, ejection.min_requests, since);
                let latencies: Vec<(usize, f32)> = members
                    .iter()
                    .enumerate()
                    .filter(|(_, (_, mark))| !mark.is_out(self.millis(now)))
                    .filter_map(|(place, (_, mark))| Some((place, latency(mark)?)))
                    .collect();
                let out = members.iter().filter(|(_, mark)| mark.is_out(self.millis(now))).count();
                let room = ejection.most(members.len()).saturating_sub(out);
                for place in ejection.outliers(&latencies).into_iter().take(room) {
                    let (id, mark) = members[place];
                    let own = snapshot.deployment(id).entry.cooldown_time.unwrap_or(router.cooldown_time);
                    if own != Duration::ZERO {
                        mark.cool(self.millis(now).saturating_add(millis(own)), true);
                        // It comes back with nothing held against it.
                        mark.figures.forget_latency();
                        ejected.push(id);
                    }
                }
            }
        }
        ejected
    }
}

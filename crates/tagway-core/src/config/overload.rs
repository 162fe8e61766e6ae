//! What `general_settings` says of too many requests at once: how many are served, how many wait and for how long, and
//! what is kept for the more important ones. Knows no tags.

use std::time::Duration;

use super::scope::{At, Rule, Scope, Table, strict};

/// Too many requests at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overload {
    /// `global_max_parallel_requests`: so many are served at a time.
    pub places: Option<u32>,
    /// `max_queued_requests`: so many more wait.
    pub queue: u32,
    /// `admission_queue_timeout_seconds`: for so long.
    pub wait: Duration,
    /// `max_connections` of clients; as many as files may be open allow when not given.
    pub connections: Option<u32>,
    /// `priority_shares.low`: how much of the places requests of low priority may fill.
    pub low: f64,
    /// `priority_shares.normal`: how much of them low and normal ones may fill together, where some have a high one.
    pub normal: f64,
}

impl Default for Overload {
    fn default() -> Self {
        // The wait is LiteLLM's.
        Self {
            places: None,
            queue: 0,
            wait: Duration::from_secs(1),
            connections: None,
            low: 0.7,
            normal: 0.9,
        }
    }
}

pub(super) fn places(overload: &mut Overload, at: &At<'_>, scope: &mut Scope<'_>) {
    overload.places = scope.whole(at, 1, i64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
}

pub(super) fn queue(overload: &mut Overload, at: &At<'_>, scope: &mut Scope<'_>) {
    // Whoever waits has its body in memory.
    overload.queue = scope.whole(at, 0, 1 << 20).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
}

pub(super) fn connections(overload: &mut Overload, at: &At<'_>, scope: &mut Scope<'_>) {
    overload.connections = scope.whole(at, 1, i64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
}

pub(super) fn wait(overload: &mut Overload, at: &At<'_>, scope: &mut Scope<'_>) {
    overload.wait = scope.seconds(at, false).unwrap_or(overload.wait);
}

const SHARES: Table<Overload> = &[
    ("low", Rule::Works(|overload, at, scope| share(&mut overload.low, at, scope))),
    ("normal", Rule::Works(|overload, at, scope| share(&mut overload.normal, at, scope))),
];

pub(super) fn shares(overload: &mut Overload, at: &At<'_>, scope: &mut Scope<'_>) {
    scope.walk(at, SHARES, overload, strict);
    if overload.normal < overload.low {
        let Overload { low, normal, .. } = *overload;
        scope
            .error(at, format!("`low` ({low}) may fill more of the places than `normal` ({normal})"))
            .help("low ones yield first: give them the smaller share");
    }
}

fn share(share: &mut f64, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(given) = scope.number(at, 0.0) else { return };
    if given == 0.0 || 1.0 < given {
        scope
            .error(at, format!("must be more than 0 and at most 1, not {}", at.shown()))
            .help("it is a share of `global_max_parallel_requests`: 0.5 is half of them");
        return;
    }
    *share = given;
}

/// What settings say that mean nothing without others.
pub(super) fn settle(overload: Overload, at: &At<'_>, scope: &mut Scope<'_>) {
    if overload.places.is_some() {
        return;
    }
    for name in ["max_queued_requests", "admission_queue_timeout_seconds", "priority_shares"] {
        if let Some(entry) = at.node.get(name) {
            scope
                .warning_at_key(
                    &at.entry(entry),
                    format!("`{name}` has no effect without `global_max_parallel_requests`"),
                )
                .help("say how many requests the gateway serves at a time: nobody waits before");
        }
    }
}

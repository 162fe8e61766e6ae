//! Metrics of how the gateway is.

use super::Kind::{Counter, Gauge};
use super::Label::*;
use super::{Family, Label, family};

const OF_DEPLOYMENT: &[Label] = &[LitellmModelName, ModelId, ApiProvider, ApiBase];
const OF_MEMBER: &[Label] = &[ModelGroup, LitellmModelName, ModelId, ApiProvider, ApiBase];

const OF_STATE: &[Label] = &[LitellmModelName, ModelId, ApiProvider, ApiBase, State];

/// `litellm_in_flight_requests`
pub const IN_FLIGHT: Family =
    family("litellm_in_flight_requests", Gauge, &[], "Requests for models in progress.");
/// `litellm_admission_admitted_requests`
pub const ADMITTED: Family = family(
    "litellm_admission_admitted_requests",
    Gauge,
    &[],
    "Requests that have one of the places of `global_max_parallel_requests`.",
);
/// `litellm_admission_queued_requests`
pub const QUEUED: Family =
    family("litellm_admission_queued_requests", Gauge, &[Priority], "Requests that wait for such a place.");
/// `litellm_admission_rejected_requests_total`
pub const SHED: Family = family(
    "litellm_admission_rejected_requests_total",
    Counter,
    &[Priority, Reason],
    "Requests that got no such place: `queue_full`, `queue_timeout`, or `displaced` by a more important one.",
);
/// `litellm_deployment_state`
pub const STATE: Family = family(
    "litellm_deployment_state",
    Gauge,
    OF_DEPLOYMENT,
    "Whether a deployment is healthy (0), cools down (2), or is between: unhealthy by its last check, slow, or being tried out (1).",
);
/// `tagway_deployment_state`
pub const STANDING: Family = family(
    "tagway_deployment_state",
    Gauge,
    OF_STATE,
    "1 for the state a deployment is in, 0 for the others: healthy, cooling_down, probing, unhealthy, ejected.",
);
/// `tagway_deployment_cooldown_seconds`
pub const COOLDOWN: Family = family(
    "tagway_deployment_cooldown_seconds",
    Gauge,
    OF_DEPLOYMENT,
    "How long a deployment still cools down.",
);
/// `tagway_retries_denied_total`
pub const RETRIES_DENIED: Family = family(
    "tagway_retries_denied_total",
    Counter,
    &[ModelGroup],
    "Retries that a model group's `retry_budget` left no room for.",
);
/// `tagway_experiment_share`
pub const EXPERIMENT_SHARE: Family = family(
    "tagway_experiment_share",
    Gauge,
    &[Experiment, Variant],
    "The share of requests that a variant of an experiment gets now, up to 1.",
);
/// `tagway_experiment_held`
pub const EXPERIMENT_HELD: Family = family(
    "tagway_experiment_held",
    Gauge,
    &[Experiment],
    "1 while the ramp of an experiment is held or rolled back, 0 otherwise.",
);
/// `tagway_mirror_in_flight_requests`
pub const MIRRORING: Family = family(
    "tagway_mirror_in_flight_requests",
    Gauge,
    &[Mirror],
    "Copies of requests for a mirror in progress.",
);
/// `tagway_mirror_requests_total`
pub const MIRRORED: Family = family(
    "tagway_mirror_requests_total",
    Counter,
    &[Mirror, Outcome],
    "Copies of requests for a mirror: `answered`, `failed`, or not sent at all and why: `dropped_busy`, `dropped_large`, `dropped_refused`, `dropped_ill`, `dropped_full`.",
);
/// `litellm_deployment_rpm_limit`
pub const RPM_LIMIT: Family =
    family("litellm_deployment_rpm_limit", Gauge, OF_MEMBER, "A deployment's `rpm`.");
/// `litellm_deployment_tpm_limit`
pub const TPM_LIMIT: Family =
    family("litellm_deployment_tpm_limit", Gauge, OF_MEMBER, "A deployment's `tpm`.");
/// `tagway_ledger_backlog_bytes`
pub const BACKLOG: Family = family(
    "tagway_ledger_backlog_bytes",
    Gauge,
    &[],
    "Bytes of receipts in the journal that the store does not have yet.",
);
/// `tagway_ledger_memory_bytes`
pub const IN_MEMORY: Family = family(
    "tagway_ledger_memory_bytes",
    Gauge,
    &[],
    "Bytes of receipts kept in memory alone, since the journal does not take them.",
);
/// `tagway_ledger_lag_seconds`
pub const LAG: Family =
    family("tagway_ledger_lag_seconds", Gauge, &[], "How long receipts have been waiting for the store.");
/// `tagway_ledger_dropped_receipts_total`
pub const DROPPED: Family = family(
    "tagway_ledger_dropped_receipts_total",
    Counter,
    &[],
    "Receipts that were lost: neither the journal nor memory had room for them.",
);
/// `tagway_ledger_shipped_receipts_total`
pub const SHIPPED: Family = family(
    "tagway_ledger_shipped_receipts_total",
    Counter,
    &[],
    "Receipts that the store has taken from this gateway.",
);
/// `tagway_ledger_last_shipment_timestamp_seconds`
pub const SHIPPED_AT: Family = family(
    "tagway_ledger_last_shipment_timestamp_seconds",
    Gauge,
    &[],
    "When the store last took receipts from this gateway.",
);
/// `tagway_ledger_journal_failing`
pub const JOURNAL_FAILING: Family = family(
    "tagway_ledger_journal_failing",
    Gauge,
    &[],
    "1 when the journal could not be written last time, or there is none.",
);
/// `tagway_store_up`
pub const STORE_UP: Family = family("tagway_store_up", Gauge, &[], "1 when the store answered last time.");
/// `tagway_valkey_up`
pub const VALKEY_UP: Family =
    family("tagway_valkey_up", Gauge, &[], "1 when Valkey answered last time; only where one is configured.");
/// `tagway_gateways`
pub const GATEWAYS: Family = family(
    "tagway_gateways",
    Gauge,
    &[],
    "Gateways that meet at Valkey, this one among them, as of some seconds ago; only where one is configured.",
);
/// `tagway_config_rejected_reloads`
pub const REJECTED: Family = family(
    "tagway_config_rejected_reloads",
    Gauge,
    &[],
    "Reloads that were rejected in a row: above 0, the configuration file has problems and is not what is in force.",
);
/// `tagway_tag_violations_total`
pub const TAG_VIOLATIONS: Family = family(
    "tagway_tag_violations_total",
    Counter,
    &[Reason, Outcome],
    "Tags that break the vocabulary: `refused`, `observed` (let through by `mode: observe`), or `warned` (in quarantine, or soon to retire).",
);
/// `tagway_metrics_label_sets`
pub const LABEL_SETS: Family = family(
    "tagway_metrics_label_sets",
    Gauge,
    &[],
    "Sets of label values that requests have made; beyond `prometheus_metrics_max_series_per_metric` they are counted as `other`.",
);
/// `tagway_build_info`
pub const BUILD: Family = family("tagway_build_info", Gauge, &[Version], "1, by the version that runs.");

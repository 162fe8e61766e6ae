//! `general_settings`, and the master key wherever it comes from.

use super::alerts;
use super::general_keys::GENERAL_KEYS;
use super::health;
use super::jwt;
use super::model::General;
use super::overload::{self, Overload};
use super::scope::{At, Scope, strict};
use super::spend_logs::SpendLogsDraft;
use super::yaml::{Kind, Mark};
use crate::secret::Secret;

/// LiteLLM has no limit by default; a gateway that reads a body into memory needs one.
const DEFAULT_REQUEST_BYTES: usize = 100 << 20;

/// A million receipts and more.
const DEFAULT_JOURNAL_BYTES: u64 = 1 << 30;

/// What becomes of requests whose receipts cannot be kept safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendRules {
    /// `spend_failure`.
    pub failure: SpendFailure,
    /// `spend_journal_max_mb` in bytes: as much may wait for the store.
    pub journal_bytes: u64,
    /// Not with `disable_spend_updates`: what requests cost is told to no store then.
    pub kept: bool,
}

/// `spend_failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpendFailure {
    /// They are served; receipts are kept in memory as far as there is room.
    #[default]
    Serve,
    /// New ones get 503 until the ledger is well again.
    Refuse,
}

/// `general_settings` as far as read.
#[derive(Default)]
pub(super) struct Draft {
    /// Whether `master_key` is there at all, even if its variable is not set.
    pub(super) master_key_given: bool,
    pub(super) master_key: Option<Secret>,
    pub(super) weak_key_meant: bool,
    pub(super) max_request_bytes: Option<usize>,
    pub(super) key_header: Option<http::HeaderName>,
    pub(super) reject_client_metadata_tags: bool,
    pub(super) overload: Overload,
    pub(super) max_parallel_requests: Option<u64>,
    pub(super) fail_closed_rates: bool,
    pub(super) strict_budgets: bool,
    pub(super) user_budget_on_team_keys: bool,
    pub(super) estimated_output_tokens: Option<u64>,
    pub(super) database_url: Option<Secret>,
    pub(super) database_connections: Option<u32>,
    pub(super) spend_failure: SpendFailure,
    pub(super) journal_bytes: Option<u64>,
    pub(super) spend_disabled: bool,
    pub(super) alerts: alerts::Draft,
    pub(super) spend_logs: SpendLogsDraft,
    pub(super) health: health::Draft,
    pub(super) jwt: jwt::Draft,
}

pub(super) fn request_size(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(megabytes) = scope.number(at, 0.0) else { return };
    let bytes = (megabytes * f64::from(1 << 20)).round();
    if !(1.0..=1e15).contains(&bytes) {
        scope
            .error(at, "must be more than 0 and less than a billion")
            .help(format!("leave it out for {} MB", DEFAULT_REQUEST_BYTES >> 20));
        return;
    }
    draft.max_request_bytes = usize::try_from(bytes as u64).ok();
}

pub(super) fn spend_failure(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    match scope.text(at).as_deref() {
        Some("serve") => draft.spend_failure = SpendFailure::Serve,
        Some("refuse") => draft.spend_failure = SpendFailure::Refuse,
        Some(_) => {
            scope.error(at, "must be `serve` or `refuse`").help(
                "`serve` keeps serving when spend cannot be recorded safely, `refuse` answers 503 then",
            );
        }
        None => {}
    }
}

pub(super) fn spend_updates(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.spend_disabled = scope.bool(at).unwrap_or(false);
    if draft.spend_disabled {
        scope
            .warning(at, "what requests cost is not recorded: there are no reports, and a restart forgets what budgets have counted")
            .help("remove the line to keep accounts; they cost a few microseconds a request");
    }
}

pub(super) fn journal_size(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let megabytes = scope.whole(at, 1, 1 << 30);
    draft.journal_bytes =
        megabytes.and_then(|megabytes| u64::try_from(megabytes).ok()).map(|megabytes| megabytes << 20);
}

pub(super) fn key_header(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(name) = scope.text(at) else { return };
    match http::HeaderName::try_from(name.as_str()) {
        Ok(name) => draft.key_header = Some(name),
        Err(_) => {
            scope.error(at, "not a valid header name").help("write e.g. `X-Gateway-Key`");
        }
    }
}

/// Reads the section, `None` when the file has none.
pub(super) fn read(at: Option<&At<'_>>, scope: &mut Scope<'_>) -> General {
    let mut draft = Draft::default();
    if let Some(at) = at {
        scope.walk(at, GENERAL_KEYS, &mut draft, strict);
        overload::settle(draft.overload, at, scope);
    }
    let in_file = at.and_then(|at| at.node.get("master_key").map(|entry| at.entry(entry)));
    let in_file = in_file.filter(|at| !matches!(at.node.kind, Kind::Null));
    if !draft.master_key_given {
        let variable =
            ["TAGWAY_MASTER_KEY", "LITELLM_MASTER_KEY"].into_iter().find_map(|name| scope.env(name));
        draft.master_key = variable.map(Secret::new);
    }
    if !draft.weak_key_meant {
        let section = at.map(|at| at.key).unwrap_or_default();
        let mark = in_file.map_or(section, |at| at.node.mark);
        warn_of_weak_key(&draft, mark, scope);
    }
    // A master key that cannot be read is a problem of its own.
    let open = draft.master_key.is_none() && !draft.master_key_given;
    General {
        jwt: draft.jwt.settle(open, scope),
        master_key: draft.master_key,
        max_request_bytes: draft.max_request_bytes.unwrap_or(DEFAULT_REQUEST_BYTES),
        key_header: draft.key_header,
        reject_client_metadata_tags: draft.reject_client_metadata_tags,
        overload: draft.overload,
        max_parallel_requests: draft.max_parallel_requests,
        fail_closed_rates: draft.fail_closed_rates,
        strict_budgets: draft.strict_budgets,
        user_budget_on_team_keys: draft.user_budget_on_team_keys,
        estimated_output_tokens: draft.estimated_output_tokens,
        database_url: draft.database_url.or_else(|| scope.env("DATABASE_URL").map(Secret::new)),
        database_connections: draft.database_connections.unwrap_or(10),
        spend: SpendRules {
            failure: draft.spend_failure,
            journal_bytes: draft.journal_bytes.unwrap_or(DEFAULT_JOURNAL_BYTES),
            kept: !draft.spend_disabled,
        },
        alerts: draft.alerts.settle(scope),
        spend_logs: draft.spend_logs.finish(scope),
        health: draft.health.finish(scope),
    }
}

/// Keys from tutorials, and words people type while trying things.
const PUBLIC: &[&str] = &[
    "sk-1234",
    "sk-12345",
    "sk-123456",
    "sk-test",
    "sk-master",
    "sk-litellm",
    "sk-master-key",
    "changeme",
    "secret",
    "password",
    "master-key",
    "admin",
    "test",
    "sk-your-master-key",
    "your-master-key",
    "sk-xxxx",
];

/// Shorter keys can be guessed.
const LEAST_LENGTH: usize = 16;

fn warn_of_weak_key(draft: &Draft, mark: Mark, scope: &mut Scope<'_>) {
    let help = "use a long random one, e.g. from `openssl rand -hex 24`";
    match &draft.master_key {
        None if draft.master_key_given => {}
        None => {
            let message = "no master key: everybody who reaches the port may use every model";
            scope
                .report
                .warning(mark, "general_settings.master_key", message)
                .help(format!("set `master_key` under `general_settings`, or `LITELLM_MASTER_KEY`; {help}"));
        }
        Some(key) if PUBLIC.contains(&key.expose()) => {
            scope
                .report
                .warning(mark, "general_settings.master_key", "the master key is one from the tutorials")
                .help(help);
        }
        Some(key) if key.expose().len() < LEAST_LENGTH => {
            let message = format!("the master key is shorter than {LEAST_LENGTH} characters");
            scope.report.warning(mark, "general_settings.master_key", message).help(help);
        }
        Some(_) => {}
    }
}

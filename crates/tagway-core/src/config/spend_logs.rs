//! What the log of requests holds, and how long it is kept: by age and by length. Reads the settings; deletes nothing.

use std::time::Duration;

use super::general::Draft;
use super::scope::{At, Scope};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Requests stay in the log at least so long, whatever is asked for: one that is told to the store a second time, after
/// an outage, is known by its row.
const LEAST: Duration = DAY;

/// How long the log of requests is kept. What requests add up to is kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendLogs {
    /// `maximum_spend_logs_retention_period`: older requests are deleted. A day with `disable_spend_logs`.
    pub kept: Option<Duration>,
    /// `maximum_spend_logs_rows`: of more requests the oldest are deleted.
    pub most: Option<u64>,
    /// `maximum_spend_logs_retention_interval`: how often to look for some.
    pub every: Duration,
    /// `store_prompts_in_spend_logs`: prompts and answers are kept, each of their strings up to so many characters
    /// (LiteLLM's variable `MAX_STRING_LENGTH_PROMPT_IN_DB`).
    pub texts: Option<usize>,
}

/// As many characters of a string are kept, as in LiteLLM.
const TEXT: usize = 2048;
/// As many may be asked for.
const LONGEST_TEXT: usize = 32_768;

/// The settings as far as read.
#[derive(Default)]
pub(super) struct SpendLogsDraft {
    disabled: bool,
    kept: Option<Duration>,
    most: Option<u64>,
    every: Option<Duration>,
    texts: bool,
}

impl SpendLogsDraft {
    pub(super) fn finish(self, scope: &Scope<'_>) -> SpendLogs {
        let longest = || scope.env("MAX_STRING_LENGTH_PROMPT_IN_DB")?.trim().parse().ok();
        SpendLogs {
            kept: if self.disabled { Some(LEAST) } else { self.kept },
            most: self.most,
            every: self.every.unwrap_or(HOUR),
            texts: self.texts.then(|| longest().unwrap_or(TEXT).min(LONGEST_TEXT)),
        }
    }
}

pub(super) fn disabled(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.spend_logs.disabled = scope.bool(at).unwrap_or(false);
}

pub(super) fn texts(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.spend_logs.texts = scope.bool(at).unwrap_or(false);
}

pub(super) fn kept(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(kept) = duration(at, scope) else { return };
    if kept < LEAST {
        scope
            .error(at, "the log of requests is kept for a day at least")
            .help("write `1d` or more: a request that is told to the store twice is known by its row");
        return;
    }
    draft.spend_logs.kept = Some(kept);
}

pub(super) fn every(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.spend_logs.every = duration(at, scope);
}

pub(super) fn most(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let most = scope.whole(at, 1, i64::MAX);
    draft.spend_logs.most = most.and_then(|most| u64::try_from(most).ok());
}

/// A span of time as LiteLLM writes it; a month is one of 31 days.
fn duration(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Duration> {
    let text = scope.text(at)?;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let unit = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        "w" => Some(7 * 86_400),
        "mo" => Some(31 * 86_400),
        _ => None,
    };
    let count = count.parse::<u64>().ok().filter(|count| 0 < *count);
    let seconds = count.zip(unit).and_then(|(count, unit)| count.checked_mul(unit));
    // A hundred years.
    let seconds = seconds.filter(|seconds| *seconds <= 100 * 366 * 86_400);
    if seconds.is_none() {
        scope.error(at, "expected a duration").help("write `24h`, `30d` or `1mo`");
    }
    seconds.map(Duration::from_secs)
}

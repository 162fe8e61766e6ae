//! `alerting` and what belongs to it: who is told when a budget is crossed.

use super::scope::{At, Scope};
use super::yaml::{Kind, Mark};
use crate::secret::Secret;

/// What a `whsec_…` secret must hold at least, decoded or not (Standard Webhooks asks for 24 to 64 bytes).
const SHORTEST_SECRET: usize = 24;

/// Where alerts go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    /// A Slack webhook: `alerting: [slack]` and `SLACK_WEBHOOK_URL`, or `alert_to_webhook_url.budget_alerts`.
    pub slack: Vec<Secret>,
    /// `alerting: [webhook]` and `WEBHOOK_URL`.
    pub webhook: Option<Secret>,
    /// `alert_signing_secret` or `WEBHOOK_SIGNING_SECRET`: with it, what goes to the webhook is signed.
    pub signing: Option<Secret>,
}

/// The settings as far as read.
#[derive(Default)]
pub(super) struct Draft {
    slack: Option<(Mark, String)>,
    webhook: Option<(Mark, String)>,
    /// `alert_to_webhook_url.budget_alerts`
    urls: Vec<Secret>,
    signing: Option<Secret>,
}

/// `alerting`: the ways alerts go.
pub(super) fn ways(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    for (index, node) in scope.items(at).iter().enumerate() {
        let at = at.item(index, node);
        let Some(way) = scope.text(&at) else { continue };
        let place = Some((at.node.mark, at.path.clone()));
        match way.as_str() {
            "slack" => draft.slack = place,
            "webhook" => draft.webhook = place,
            other => {
                scope.warning(&at, format!("no alerts go to `{other}`")).help("write `slack` or `webhook`");
            }
        }
    }
}

/// `alert_to_webhook_url`: an address or several for a type of alert.
pub(super) fn urls(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    for entry in scope.entries(at) {
        let at = at.entry(entry);
        if entry.key != "budget_alerts" {
            scope
                .warning_at_key(&at, format!("there are no alerts of the type `{}`", entry.key))
                .help("tagway tells of crossed budgets: `budget_alerts`");
            continue;
        }
        let several = matches!(at.node.kind, Kind::List(_));
        let given = if several { scope.texts(&at) } else { scope.text(&at).into_iter().collect() };
        for url in given {
            if is_web(&url) {
                draft.urls.push(Secret::new(url));
            } else {
                scope.error(&at, "must begin with `https://` or `http://`");
            }
        }
    }
}

/// `alert_signing_secret`
pub(super) fn signing(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(secret) = scope.text(at) else { return };
    if secret.len() < SHORTEST_SECRET {
        scope
            .error(at, format!("shorter than {SHORTEST_SECRET} characters"))
            .help("use `whsec_` and the base64 of 24 to 64 random bytes");
    }
    draft.signing = Some(Secret::new(secret));
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

impl Draft {
    /// What is in force, with what the environment adds.
    pub(super) fn settle(self, scope: &mut Scope<'_>) -> Alerts {
        let mut address = |way: &Option<(Mark, String)>, variable: &str| {
            let (mark, path) = way.as_ref()?;
            match scope.env(variable) {
                Some(url) if is_web(&url) => return Some(Secret::new(url)),
                Some(_) => {
                    let wrong = format!("the variable {variable} must begin with `https://` or `http://`");
                    scope.report.error(*mark, path, wrong);
                }
                None => {
                    scope
                        .report
                        .error(*mark, path, format!("the variable {variable} is not set"))
                        .help(format!("set {variable} to the address alerts go to"));
                }
            }
            None
        };
        let slack = match (self.urls.is_empty(), &self.slack) {
            (true, way) => address(way, "SLACK_WEBHOOK_URL").into_iter().collect(),
            (false, Some(_)) => self.urls,
            (false, None) => Vec::new(),
        };
        let webhook = address(&self.webhook, "WEBHOOK_URL");
        let signing = self.signing.or_else(|| scope.env("WEBHOOK_SIGNING_SECRET").map(Secret::new));
        Alerts { slack, webhook, signing }
    }
}

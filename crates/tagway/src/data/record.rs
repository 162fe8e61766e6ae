//! The log line of a request: filled in on its way, written once, when the request has ended in whatever way.
//! Holds no body and no key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, StatusCode};
use tagway_core::snapshot::{DeploymentId, Endpoint};
use tagway_core::tag::RequestTags;
use tagway_core::usage::Usage;

use super::admit::Hold;
use super::attempt::{Reply, Tries};
use super::estimate;
use super::failure::Failure;
use super::rates::Permits;
use crate::accounts::{Account, Holds, now_millis};
use crate::auth::Who;
use crate::live::Current;
use crate::route::Plan;

/// What the log says of a request.
pub(crate) struct Record {
    pub(crate) began: Instant,
    pub(crate) call_id: HeaderValue,
    pub(crate) endpoint: Endpoint,
    pub(crate) current: Arc<Current>,
    pub(crate) who: Option<Who>,
    pub(crate) model: String,
    pub(crate) group: Option<String>,
    pub(crate) tags: String,
    pub(crate) matched: Option<(&'static str, String)>,
    pub(crate) deployment: Option<DeploymentId>,
    pub(crate) status: StatusCode,
    pub(crate) stream: bool,
    pub(crate) upstream: Duration,
    pub(crate) retries: u32,
    pub(crate) fallbacks: u32,
    pub(crate) max_retries: u32,
    /// What an error message says of fallbacks.
    pub(crate) about_fallbacks: Option<String>,
    pub(crate) error: Option<String>,
    usage: Option<Usage>,
    /// The request's place among those in progress.
    pub(crate) hold: Option<Hold>,
    /// What the limits of key and owners gave it.
    pub(crate) permits: Permits,
    /// What it holds of budgets.
    pub(crate) holds: Holds,
}

impl Record {
    /// A record of a request that begins now.
    pub(crate) fn new(endpoint: Endpoint, call_id: HeaderValue, current: Arc<Current>) -> Self {
        Self {
            began: Instant::now(),
            call_id,
            endpoint,
            current,
            who: None,
            model: String::new(),
            group: None,
            tags: String::new(),
            matched: None,
            deployment: None,
            status: StatusCode::OK,
            stream: false,
            upstream: Duration::ZERO,
            retries: 0,
            fallbacks: 0,
            max_retries: 0,
            about_fallbacks: None,
            error: None,
            usage: None,
            hold: None,
            permits: Permits::default(),
            holds: Holds::default(),
        }
    }

    /// The caller is known.
    pub(crate) fn known(&mut self, who: &Who) {
        self.who = Some(who.clone());
    }

    /// How the log names the key; never the key.
    fn key(&self) -> &str {
        match &self.who {
            None => "",
            Some(Who::Master) => "master",
            Some(Who::Open) => "none",
            Some(Who::Key(bearer)) => bearer.alias.as_deref().unwrap_or(&bearer.id),
        }
    }

    /// Headers that tell the key's limits.
    pub(crate) fn key_limits(&self) -> &[(HeaderName, HeaderValue)] {
        match &self.who {
            Some(Who::Key(bearer)) => &bearer.headers,
            _ => &[],
        }
    }

    /// What the key has spent, and may.
    pub(crate) fn key_account(&self) -> Option<&Account> {
        match &self.who {
            Some(Who::Key(bearer)) => bearer.purse.own().map(|account| &**account),
            _ => None,
        }
    }

    fn team(&self) -> Option<&str> {
        match &self.who {
            Some(Who::Key(bearer)) => bearer.team_id.as_deref(),
            _ => None,
        }
    }

    /// It is known what the request asks for.
    pub(crate) fn asked(&mut self, model: &str, stream: bool) {
        model.clone_into(&mut self.model);
        self.stream = stream;
    }

    /// Its tags are known.
    pub(crate) fn tagged(&mut self, tags: &RequestTags<'_>) {
        for tag in tags.iter() {
            if !self.tags.is_empty() {
                self.tags.push(',');
            }
            self.tags.push_str(tag.text());
        }
    }

    /// What it took is known.
    pub(crate) fn tried(&mut self, tries: Tries) {
        self.retries = tries.retries;
        self.fallbacks = tries.fallbacks;
        self.max_retries = tries.max_retries;
        self.about_fallbacks = tries.about_fallbacks;
        self.holds = tries.holds;
    }

    /// A deployment has answered.
    pub(crate) fn served(&mut self, plan: &Plan<'_>, reply: &Reply) {
        self.group = Some(plan.group.name.clone());
        self.matched = plan.matched.map(|(via, value)| (via, value.to_owned()));
        self.deployment = Some(reply.deployment);
        self.upstream = reply.took;
    }

    /// The request gets an error.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.status = failure.status();
        self.error = Some(failure.to_string());
    }

    /// Notes what the provider counted.
    pub(crate) fn usage(&mut self, usage: Option<Usage>) {
        self.usage = usage.or(self.usage);
    }

    /// The stream broke after its head had been sent.
    pub(crate) fn broke(&mut self, reason: &'static str) {
        self.error = Some(reason.into());
    }

    /// Puts what the request cost in place of what it held of budgets.
    fn settle(&mut self) {
        let holds = std::mem::take(&mut self.holds);
        let (Some(usage), Some(id)) = (self.usage, self.deployment) else { return };
        let Some(prices) = estimate::prices(self.current.snapshot.deployment(id)) else { return };
        let cost = prices.cost(&usage).total();
        estimate::learn(&self.current.board, id, &usage, holds.estimate(), cost);
        holds.settle(cost, now_millis());
    }

    /// The client left before the end.
    pub(crate) fn left(&mut self) {
        self.error.get_or_insert_with(|| "client_left".into());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.settle();
        let deployment =
            self.deployment.map(|id| self.current.snapshot.deployment(id).entry.info.id.as_str());
        let total = self.began.elapsed();
        if let Some(usage) = self.usage {
            self.permits.used(usage.prompt + usage.completion);
        }
        let (via, value) =
            self.matched.as_ref().map_or((None, None), |(via, value)| (Some(*via), Some(value.as_str())));
        tracing::info!(
            target: "tagway::request",
            call_id = self.call_id.to_str().unwrap_or_default(),
            key = self.key(),
            team = self.team(),
            endpoint = self.endpoint.path(),
            model = self.model,
            group = self.group,
            deployment,
            tags = self.tags,
            matched_via = via,
            matched_value = value,
            status = self.status.as_u16(),
            stream = self.stream,
            retries = self.retries,
            fallbacks = self.fallbacks,
            prompt_tokens = self.usage.map(|usage| usage.prompt),
            completion_tokens = self.usage.map(|usage| usage.completion),
            total_us = micros(total),
            upstream_us = micros(self.upstream),
            error = self.error,
        );
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

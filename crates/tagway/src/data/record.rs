//! What is known of a request: filled in on its way, settled once, when the request has ended in whatever way, and
//! logged behind it. Holds no key; the body only until the tokens of the request are known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;
use tagway_core::snapshot::{DeploymentId, Endpoint};
use tagway_core::tag::RequestTags;
use tagway_core::tag::name::{Marker, TagName};
use tagway_core::usage::Usage;

use super::attempt::{Reply, Tries};
use super::class::Class;
use super::failure::Failure;
use super::rates::Permits;
use super::settle::Owners;
use super::texts::Keep;
use crate::accounts::{Account, now_millis};
use crate::auth::Who;
use crate::ledger::Writer;
use crate::live::Current;
use crate::metrics::Progress;
use crate::places::Place;
use crate::ramps::{Came, Counts};
use crate::receipt::{Receipt, Tagged};
use crate::route::{Plan, Variant};

/// What is known of a request.
pub(crate) struct Record {
    pub(crate) began: Instant,
    /// The way to the ledger.
    pub(super) writer: Arc<Writer>,
    /// Its place in the metrics, where they are kept.
    pub(super) progress: Option<Progress>,
    /// Its receipt has been written.
    pub(super) settled: bool,
    /// The body: for its tokens, where a provider does not tell them.
    pub(super) request: Bytes,
    /// What of prompt and answer is kept.
    pub(super) keep: Keep,
    /// How it was routed, where that is kept.
    pub(super) decided: Option<Box<str>>,
    /// Whose it is beside key, team and user.
    pub(super) owners: Owners,
    /// What the caller is to be warned of.
    pub(super) warning: Option<HeaderValue>,
    /// Its tags by name, those that it excludes left out.
    pub(super) tagged: Vec<Tagged>,
    /// From its beginning to the provider's first event.
    pub(super) first_byte: Option<Duration>,
    /// The gateway's own name for it.
    pub(super) number: u128,
    /// The client's name for it, or else that one.
    pub(crate) call_id: HeaderValue,
    pub(super) named_by_client: bool,
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
    /// What it took until now.
    pub(crate) tries: Tries,
    pub(crate) error: Option<String>,
    /// The class of the failure it ended with, and whether it is a provider's.
    pub(super) class: Option<Class>,
    pub(super) usage: Option<Usage>,
    /// The request's place among those in progress.
    pub(crate) place: Option<Place>,
    /// What the limits of key and owners gave it.
    pub(crate) permits: Permits,
    /// Where the variants of ramps that it is in are counted.
    pub(super) counts: SmallVec<[Arc<Counts>; 1]>,
    /// What became of its variants.
    variant: Variant,
}

impl Record {
    /// A record of a request that begins now, with the client's name for it.
    pub(crate) fn new(
        endpoint: Endpoint,
        own: Option<HeaderValue>,
        current: Arc<Current>,
        writer: Arc<Writer>,
    ) -> Self {
        let number = Receipt::new_id(now_millis());
        let named_by_client = own.is_some();
        let call_id = own.unwrap_or_else(|| {
            let mut text = uuid::Uuid::encode_buffer();
            HeaderValue::from_str(Receipt::name_of(number, &mut text))
                .unwrap_or(HeaderValue::from_static("unknown"))
        });
        Self {
            began: Instant::now(),
            writer,
            progress: None,
            settled: false,
            request: Bytes::new(),
            keep: Keep::Nothing,
            decided: None,
            owners: Owners::default(),
            warning: None,
            tagged: Vec::new(),
            first_byte: None,
            number,
            call_id,
            named_by_client,
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
            tries: Tries::default(),
            error: None,
            class: None,
            usage: None,
            place: None,
            permits: Permits::default(),
            counts: SmallVec::new(),
            variant: Variant::Serves,
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
            Some(Who::Key(bearer) | Who::Token(bearer)) => bearer.alias.as_deref().unwrap_or(&bearer.id),
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
        self.who.as_ref()?.bearer()?.team_id.as_deref()
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
            let name = TagName::parse(tag.text(), &self.current.snapshot.config.router.tags.prefix);
            let Some(TagName { marker, name, .. }) = name else { continue };
            if marker != Marker::Excluded && !name.is_empty() {
                self.tagged.push(Tagged { tag: name.into(), origin: tag.origin().as_str().into() });
            }
        }
    }

    /// A deployment has answered.
    pub(crate) fn served(&mut self, plan: &Plan<'_>, reply: &Reply) {
        self.group = Some(plan.group.name.clone());
        self.matched = plan.matched.map(|(via, value)| (via, value.to_owned()));
        self.deployment = Some(reply.deployment);
        self.first_byte = Some(self.began.elapsed());
        self.upstream = reply.took;
        self.variant = plan.variant;
    }

    /// Counts it for the ramps it is in. Whom its tags led elsewhere, who left, and what no provider was asked, say
    /// nothing about a variant.
    pub(super) fn note_variants(&self) {
        if self.counts.is_empty() {
            return;
        }
        let failed = self.class.is_some_and(|class| class.is_providers) || 0 < self.tries.fallbacks;
        let came = match (&self.error, self.variant) {
            (_, Variant::Apart) => return,
            (_, Variant::Ill) => Came::Failed,
            _ if failed => Came::Failed,
            (None, _) => match self.first_byte {
                Some(time) => Came::Answered(time),
                None => return,
            },
            (Some(error), _) if error == "client_left" || self.first_byte.is_none() => return,
            (Some(_), _) => Came::Failed,
        };
        self.counts.iter().for_each(|counts| counts.note(came));
    }

    /// The request gets an error.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.status = failure.status();
        self.error = Some(failure.to_string());
        self.class = Some(Class::of(failure));
    }

    /// Notes what the provider counted.
    pub(crate) fn usage(&mut self, usage: Option<Usage>) {
        self.usage = usage.or(self.usage);
    }

    /// The stream broke after its head had been sent.
    pub(crate) fn broke(&mut self, reason: &'static str) {
        self.broke_off(reason);
        self.error = Some(reason.into());
    }

    /// Whether it ended with an error.
    pub(super) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// The client left before the end.
    pub(crate) fn left(&mut self) {
        self.error.get_or_insert_with(|| "client_left".into());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.abandoned();
        let deployment =
            self.deployment.map(|id| self.current.snapshot.deployment(id).entry.info.id.as_str());
        let total = self.began.elapsed();
        if let Some(usage) = self.usage {
            let tokens = usage.prompt + usage.completion;
            self.permits.used(tokens);
            if let Some(taken) = &self.tries.taken {
                taken.used(tokens, crate::meter::micros(Instant::now()));
            }
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
            retries = self.tries.retries,
            fallbacks = self.tries.fallbacks,
            prompt_tokens = self.usage.map(|usage| usage.prompt),
            completion_tokens = self.usage.map(|usage| usage.completion),
            total_us = micros(total),
            upstream_us = micros(self.upstream),
            error = self.error,
        );
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

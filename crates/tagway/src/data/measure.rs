//! What metrics take note of when a request has ended: once, wherever it ends. Decides the labels; the numbers are kept
//! below.

use http::StatusCode;
use tagway_core::config::MetricRules;
use tagway_core::metrics::Label;
use tagway_core::snapshot::{DeploymentId, Snapshot};
use tagway_core::tag::name::covers;

use super::class::Class;
use super::detours::Told;
use super::record::Record;
use crate::auth::Who;
use crate::directory::Bearer;
use crate::metrics::{Due, Labels, Meter, Name, Took, What};

/// The tag of deployments for requests that match nothing.
const DEFAULT_TAG: &str = "default";

/// Where a request's numbers go.
struct Scale<'r> {
    record: &'r Record,
    meter: &'r Meter,
    rules: &'r MetricRules,
    snapshot: &'r Snapshot,
    bearer: Option<&'r Bearer>,
    /// Which of the listed tags the request has.
    tags: u32,
    /// The model asked for, if there is one of that name.
    model: &'r str,
}

impl Record {
    /// Takes note of the request, which has ended. Gives the cells that its usage goes to once that is known.
    pub(super) fn measure(&self) -> Due {
        let Some(progress) = &self.progress else { return Due::default() };
        Scale::new(self, progress.meter()).note()
    }

    /// How a request failed, if it did: with a status and a class.
    fn ended_badly(&self) -> Option<(StatusCode, Class)> {
        let error = self.error.as_deref()?;
        let broken = |name| Class { name, is_providers: true, undecided: None };
        Some(match self.class {
            Some(class) => (self.status, class),
            None if error == "client_left" => {
                (super::settle::LEFT, Class { is_providers: false, ..broken("ClientDisconnected") })
            }
            None => (StatusCode::INTERNAL_SERVER_ERROR, broken("APIConnectionError")),
        })
    }
}

impl<'r> Scale<'r> {
    fn new(record: &'r Record, meter: &'r Meter) -> Self {
        let snapshot = &record.current.snapshot;
        let rules = &snapshot.config.proxy.metrics;
        let bearer = record.who.as_ref().and_then(Who::bearer).map(|bearer| &**bearer);
        let known =
            record.deployment.is_some() || record.model.is_empty() || snapshot.find(&record.model).is_some();
        let model = if known { record.model.as_str() } else { "other" };
        let mut tags = 0;
        for (bit, listed) in rules.tags.iter().enumerate() {
            if record.tagged.iter().any(|tagged| covers(listed, &tagged.tag)) {
                tags |= 1 << bit;
            }
        }
        Self { record, meter, rules, snapshot, bearer, tags, model }
    }

    fn note(&self) -> Due {
        let Record { tries, .. } = self.record;
        let failed = self.record.ended_badly();
        let mut due = Due::default();
        if let Some(begun) = tries.begun.as_ref().or(tries.lost.last()) {
            let via = self.via(begun.deployment);
            let stream = if self.record.stream { "True" } else { "False" };
            let name = self
                .place(self.caller(What::Served), begun.deployment)
                .with(Label::StatusCode, self.record.status.as_str())
                .with(Label::Route, self.record.endpoint.path())
                .with(Label::Stream, stream)
                .with(Label::MatchedVia, via)
                .with(Label::Tag, self.matched());
            let cell = self
                .meter
                .cell(&name, self.rules.most_series, |labels| self.fill(labels, Some(begun.deployment)));
            if failed.is_none() {
                let took = self.took();
                cell.one_more();
                cell.took(&took);
                due.provider = Some(took.provider);
            }
            due.cells.push(cell);
        }
        if self.tags != 0 {
            let listed = |tag: &str| self.rules.tags.iter().any(|listed| covers(listed, tag));
            for tagged in self.record.tagged.iter().filter(|tagged| listed(&tagged.tag)) {
                let name = Name::new(What::Tag).with(Label::Tag, &tagged.tag);
                let cell = self.meter.cell(&name, self.rules.most_series, |_| {});
                cell.one_more();
                due.cells.push(cell);
            }
        }
        if let Some((status, class)) = failed {
            self.failed(status, class);
        }
        if !tries.told.failed.is_empty() || !tries.told.fallbacks.is_empty() {
            self.detours(&tries.told);
        }
        due
    }

    /// The request failed.
    fn failed(&self, status: StatusCode, class: Class) {
        let Record { tries, endpoint, .. } = self.record;
        let last = tries.begun.as_ref().map(|begun| begun.deployment);
        let deployment = last.or(tries.told.failed.last().map(|failed| failed.deployment));
        let deployment = deployment.filter(|_| class.is_providers || last.is_some());
        let name = self.caller(What::Failed);
        let name = deployment.map_or(name, |id| self.place(name, id));
        let name = name
            .with(Label::StatusCode, status.as_str())
            .with(Label::ExceptionClass, class.name)
            .with(Label::Route, endpoint.path())
            .with(Label::Stream, if self.record.stream { "True" } else { "False" });
        self.count(&name, deployment, class);
        if let Some(id) = last.filter(|_| class.is_providers) {
            // It broke off in the middle of its answer.
            self.call_failed(id, status, class);
        }
        if let Some(reason) = class.undecided {
            let name = Name::new(What::Undecided)
                .with(Label::ModelGroup, self.model)
                .with(Label::RequestedModel, self.model)
                .with(Label::ExceptionClass, reason);
            self.meter.cell(&name, self.rules.most_series, |_| {}).one_more();
        }
    }

    /// What failed on the way.
    fn detours(&self, told: &Told) {
        for missed in &told.failed {
            self.call_failed(missed.deployment, missed.status, missed.class);
            if missed.cools {
                let name = self.place(Name::new(What::Cooled), missed.deployment);
                let name = name.with(Label::StatusCode, missed.status.as_str());
                self.count(&name, Some(missed.deployment), missed.class);
            }
            if missed.retried {
                let group = &self.snapshot.group(self.snapshot.deployment(missed.deployment).group).name;
                let name = Name::new(What::Retried).with(Label::RequestedModel, self.model);
                self.count(&name.with(Label::ModelGroup, group), None, missed.class);
            }
        }
        for fallback in &told.fallbacks {
            let what = if fallback.served { What::FellBack } else { What::FellBackInVain };
            let name = self
                .caller(what)
                .with(Label::FallbackModel, &fallback.to)
                .with(Label::StatusCode, fallback.status.as_str())
                .with(Label::ExceptionClass, fallback.class.name);
            self.count(&name, None, fallback.class);
        }
    }

    fn call_failed(&self, id: DeploymentId, status: StatusCode, class: Class) {
        let name = self
            .place(self.caller(What::CallFailed), id)
            .with(Label::StatusCode, status.as_str())
            .with(Label::ExceptionClass, class.name);
        self.count(&name, Some(id), class);
    }

    fn count(&self, name: &Name<'_>, deployment: Option<DeploymentId>, class: Class) {
        let fill = |labels: &mut Labels| {
            self.fill(labels, deployment);
            if let Some(id) = deployment.filter(|_| class.is_providers) {
                // As LiteLLM writes it: `Openai.RateLimitError`.
                let provider = self.snapshot.deployment(id).entry.provider.name;
                let (first, rest) = provider.split_at_checked(1).unwrap_or(("", provider));
                labels.set(
                    Label::ExceptionClass,
                    &format!("{}{rest}.{}", first.to_ascii_uppercase(), class.name),
                );
            }
        };
        self.meter.cell(name, self.rules.most_series, fill).one_more();
    }

    /// A name with the labels of whoever asks.
    fn caller(&self, what: What) -> Name<'_> {
        let text = |text: &'r Option<Box<str>>| text.as_deref().unwrap_or_default();
        let name = Name::new(what).tagged(self.tags).with(Label::RequestedModel, self.model);
        match (self.bearer, &self.record.who) {
            (Some(bearer), _) => name
                .with(Label::HashedApiKey, &bearer.id)
                .with(Label::ApiKeyAlias, text(&bearer.alias))
                .with(Label::Team, text(&bearer.team_id))
                .with(Label::User, text(&bearer.user_id)),
            (None, Some(Who::Master)) => name.with(Label::ApiKeyAlias, "master"),
            (None, _) => name,
        }
    }

    /// A name with the labels of a deployment.
    fn place<'n>(&'n self, name: Name<'n>, id: DeploymentId) -> Name<'n> {
        let deployment = self.snapshot.deployment(id);
        let name = name
            .with(Label::ModelId, &deployment.entry.info.id)
            .with(Label::LitellmModelName, &deployment.entry.model);
        name.with(Label::ModelGroup, &self.snapshot.group(deployment.group).name)
    }

    /// Sets the labels that follow from the others.
    fn fill(&self, labels: &mut Labels, deployment: Option<DeploymentId>) {
        if let Some(alias) = self.bearer.and_then(Bearer::team_alias) {
            labels.set(Label::TeamAlias, &alias);
        }
        let Some(id) = deployment else { return };
        let deployment = self.snapshot.deployment(id);
        let provider = &deployment.entry.provider;
        labels.set(Label::ApiProvider, provider.name);
        labels.set(Label::ApiBase, deployment.shown_base());
        let model = deployment.model_for(self.model);
        let own = model.split_once('/').filter(|(prefix, _)| *prefix == provider.name);
        labels.set(Label::Model, own.map_or(&model, |(_, model)| model));
    }

    /// By what the deployment was found.
    fn via(&self, id: DeploymentId) -> &'static str {
        if let Some((via, _)) = &self.record.matched {
            return via;
        }
        let tags = &self.snapshot.deployment(id).entry.tags;
        let falls = self.snapshot.config.router.tags.enable_tag_filtering
            && tags.iter().any(|tag| tag == DEFAULT_TAG);
        if falls { DEFAULT_TAG } else { "none" }
    }

    /// The tag that decided, if it is listed.
    fn matched(&self) -> &str {
        match &self.record.matched {
            Some((_, value)) if self.rules.tags.iter().any(|listed| covers(listed, value)) => value,
            _ => "",
        }
    }

    fn took(&self) -> Took {
        let Record { first_byte, upstream, stream, .. } = *self.record;
        let total = self.record.began.elapsed();
        let overhead = first_byte.unwrap_or(total).saturating_sub(upstream);
        let provider = if stream { total.saturating_sub(overhead) } else { upstream };
        Took { total, provider, first_token: stream.then_some(upstream), overhead }
    }
}

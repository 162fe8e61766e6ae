//! What `litellm_settings` says of metrics: whether they are kept, which are told, and by which labels.

use super::proxy::Draft;
use super::scope::{At, Scope, nearest};
use super::yaml::Kind;
use crate::metrics::requests::REQUESTS;
use crate::metrics::{self, ALL, EVERY_LABEL, Family, Label};

/// A metric, and the labels it is to have if not all of its own.
type Only = (&'static Family, Option<Vec<Label>>);

/// Which metrics are kept and told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricRules {
    /// A callback `prometheus` is there.
    pub on: bool,
    /// Nobody needs a key to read them (`require_auth_for_metrics_endpoint: false`).
    pub open: bool,
    /// `custom_prometheus_tags`: the tags that may be labels, and patterns of them.
    pub tags: Vec<String>,
    /// `prometheus_metrics_max_series_per_metric`
    pub most_series: usize,
    /// `prometheus_emit_stream_label`
    pub stream: bool,
    /// `prometheus_metrics_config`: of LiteLLM's metrics only these, by these labels.
    only: Option<Vec<Only>>,
    /// `prometheus_exclude_metrics`
    without: Vec<&'static Family>,
    /// `prometheus_exclude_labels`
    without_labels: Vec<Label>,
}

impl Default for MetricRules {
    fn default() -> Self {
        Self {
            on: false,
            open: false,
            tags: Vec::new(),
            most_series: 2000,
            stream: false,
            only: None,
            without: Vec::new(),
            without_labels: Vec::new(),
        }
    }
}

impl MetricRules {
    /// As many tags may be labels.
    pub const MOST_TAGS: usize = 32;

    /// The labels by which a metric is told; `None` when it is not.
    pub fn labels(&self, family: &Family) -> Option<Vec<Label>> {
        if self.without.contains(&family) {
            return None;
        }
        let mut included = None;
        if let Some(only) = &self.only
            && family.name.starts_with("litellm_")
        {
            (_, included) = only.iter().find(|(listed, _)| *listed == family)?.clone();
        }
        // Gauges cannot be added up: without one of its labels, two of them would be the same.
        let told = |label: &Label| {
            family.kind == metrics::Kind::Gauge
                || !self.without_labels.contains(label)
                    && included.as_ref().is_none_or(|included| included.contains(label))
        };
        let stream = (self.stream && *family == REQUESTS).then_some(Label::Stream);
        Some(family.labels.iter().copied().chain(stream).filter(told).collect())
    }
}

/// Of LiteLLM's labels, those that nothing here has: they have no bound, or are data of persons.
const NOT_HERE: &[&str] = &[
    "callback_name",
    "client_ip",
    "end_user",
    "input_sequence_length",
    "mcp_server_name",
    "mcp_tool_name",
    "org_alias",
    "project_alias",
    "rate_limit_category",
    "rate_limit_type",
    "service_tier",
    "user_agent",
    "user_alias",
    "user_email",
];

/// `success_callback` and `failure_callback`: only metrics mean something there.
pub(super) fn watchers(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let one = std::slice::from_ref(at.node);
    let items = if let Kind::List(items) = &at.node.kind { items.as_slice() } else { one };
    let mut others = false;
    for item in items {
        match &item.kind {
            Kind::Text(name) if name == "prometheus" => draft.proxy.metrics.on = true,
            _ => others = true,
        }
    }
    if others {
        scope.report.ignored(&at.path);
    }
}

pub(super) fn auth(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.proxy.metrics.open = scope.bool(at) == Some(false);
}

pub(super) fn most(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let most = scope.whole(at, 1, 1 << 20);
    if let Some(most) = most.and_then(|most| usize::try_from(most).ok()) {
        draft.proxy.metrics.most_series = most;
    }
}

pub(super) fn tags(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let tags = scope.texts(at);
    if MetricRules::MOST_TAGS < tags.len() {
        let message = format!("{} tags are too many: at most {}", tags.len(), MetricRules::MOST_TAGS);
        scope.error(at, message).help("a pattern counts as one: `customer:*`");
        return;
    }
    for (place, tag) in tags.iter().enumerate() {
        let label = metrics::tag_label(tag);
        if let Some(other) = tags[..place].iter().find(|other| metrics::tag_label(other) == label) {
            let message = format!("`{other}` and `{tag}` would be the same label, `{label}`");
            scope.error(at, message).help("leave one of them out");
            return;
        }
    }
    draft.proxy.metrics.tags = tags;
}

pub(super) fn metadata_labels(_: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    if !scope.texts(at).is_empty() {
        scope
            .error_at_key(at, "metadata does not become labels: what clients write there has no bound")
            .help("remove it; name tags in `custom_prometheus_tags`, and give those to keys and teams");
    }
}

pub(super) fn without_metrics(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let names = scope.texts(at);
    draft.proxy.metrics.without = families(&names, at, scope);
}

pub(super) fn without_labels(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let names = scope.texts(at);
    draft.proxy.metrics.without_labels = labels(&names, at, scope);
}

/// `prometheus_metrics_config`: groups of metrics, each with the labels they are to have.
pub(super) fn groups(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let mut only = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let (mut named, mut included) = (Vec::new(), None);
        for entry in scope.entries(&item) {
            let value = item.entry(entry);
            match entry.key.as_str() {
                "group" => {}
                "metrics" => {
                    let names = scope.texts(&value);
                    named = families(&names, &value, scope);
                }
                "include_labels" if matches!(value.node.kind, Kind::Null) => {}
                "include_labels" => {
                    let names = scope.texts(&value);
                    included = Some(labels(&names, &value, scope));
                }
                other => {
                    scope
                        .error_at_key(&value, format!("unknown key `{other}`"))
                        .help("a group has `group`, `metrics` and `include_labels`");
                }
            }
        }
        only.extend(named.into_iter().map(|family| (family, included.clone())));
    }
    draft.proxy.metrics.only = Some(only);
}

fn families(names: &[String], at: &At<'_>, scope: &mut Scope<'_>) -> Vec<&'static Family> {
    let mut found = Vec::new();
    for name in names {
        if let Some(family) = Family::named(name) {
            found.push(family);
            continue;
        }
        let near = nearest(name, ALL.iter().map(|family| family.name));
        let said = if name.starts_with("litellm_") {
            scope.warning(at, format!("tagway has no metric `{name}`"))
        } else {
            scope.error(at, format!("there is no metric `{name}`"))
        };
        if let Some(near) = near {
            said.help(format!("did you mean `{near}`?"));
        }
    }
    found
}

fn labels(names: &[String], at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Label> {
    let mut found = Vec::new();
    for name in names {
        match EVERY_LABEL.iter().find(|label| label.name() == name) {
            Some(label) => found.push(*label),
            None if NOT_HERE.contains(&name.as_str()) => {}
            None => {
                let near = nearest(name, EVERY_LABEL.iter().map(|label| label.name()));
                let said = scope.error(at, format!("there is no label `{name}`"));
                if let Some(near) = near {
                    said.help(format!("did you mean `{near}`?"));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::requests;

    #[test]
    fn of_the_metrics_some_are_told_by_some_of_their_labels() {
        let all = MetricRules::default();
        assert_eq!(all.labels(&requests::SPEND).unwrap(), requests::SPEND.labels);
        let some = MetricRules {
            only: Some(vec![(&requests::SPEND, Some(vec![Label::Team, Label::Model]))]),
            without: vec![&requests::RETRIES],
            without_labels: vec![Label::Team],
            ..MetricRules::default()
        };
        assert_eq!(some.labels(&requests::SPEND).unwrap(), [Label::Model]);
        assert!(some.labels(&requests::LATENCY).is_none());
        assert!(some.labels(&requests::RETRIES).is_none());
        assert!(some.labels(&requests::DECISIONS).is_some(), "what is tagway's own stays");
    }
}

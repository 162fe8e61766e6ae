//! `litellm_settings`. Most of LiteLLM's module variables can stand there; few of them mean something here.

use super::model::Proxy;
use super::proxy_keys::PROXY_KEYS;
use super::routing;
use super::scope::{At, Scope, nearest, strict};
use super::yaml::Kind;

/// `litellm_settings` as far as read.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) proxy: Proxy,
    /// What LiteLLM hands to its router.
    pub(super) routing: routing::Draft,
}

pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> Draft {
    let mut draft = Draft::default();
    scope.walk(at, PROXY_KEYS, &mut draft, strict);
    draft
}

/// Callbacks that only watch: leaving them out takes nothing from anybody's rights or limits.
const WATCHERS: &[&str] = &[
    "prometheus",
    "otel",
    "opentelemetry",
    "webhook",
    "langfuse",
    "langfuse_otel",
    "langsmith",
    "datadog",
    "datadog_llm_observability",
    "helicone",
    "lunary",
    "arize",
    "arize_phoenix",
    "braintrust",
    "galileo",
    "logfire",
    "sentry",
    "slack",
    "s3",
    "s3_v2",
    "gcs_bucket",
    "gcs_pubsub",
    "sqs",
    "aws_sqs",
    "dynamodb",
    "supabase",
    "wandb",
    "weave_otel",
    "mlflow",
    "opik",
    "posthog",
    "promptlayer",
    "athina",
    "traceloop",
    "openmeter",
    "lago",
    "argilla",
    "greenscale",
    "literalai",
    "humanloop",
    "generic_api",
    "custom_callback_api",
    "email",
    "resend_email",
    "smtp_email",
    "sendgrid_email",
    "cloudzero",
    "focus",
    "agentops",
    "deepeval",
    "azure_storage",
    "newrelic",
    "levo",
    "bitbucket",
    "gitlab",
    "dotprompt",
    "langtrace",
    "clickhouse",
    "pagerduty",
];

/// `extra_spend_tag_headers`: names of headers.
pub(super) fn spend_tag_headers(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let Some(name) = scope.text(&item) else { continue };
        match name.parse::<http::HeaderName>() {
            Ok(name) if SECRET.contains(&name.as_str()) => {
                scope.error(&item, format!("`{name}` holds a key, which must not become a tag"));
            }
            Ok(name) => draft.proxy.spend_tag_headers.push(name),
            Err(_) => {
                scope.error(&item, format!("{} is no name of a header", item.shown()));
            }
        }
    }
}

/// Headers that hold keys.
const SECRET: [&str; 7] = [
    "authorization",
    "x-litellm-api-key",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "cookie",
];

/// `callbacks`: those that watch are ignored; one that may refuse or change a request is not.
pub(super) fn callbacks(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let one = [at.node.clone()];
    let items = match &at.node.kind {
        Kind::List(items) => items.as_slice(),
        _ => one.as_slice(),
    };
    for (index, node) in items.iter().enumerate() {
        let item = if let Kind::List(_) = at.node.kind { at.item(index, node) } else { at.clone() };
        let Some(name) = scope.text(&item) else { continue };
        if name == "prometheus" {
            draft.proxy.metrics.on = true;
            continue;
        }
        if WATCHERS.contains(&name.as_str()) {
            scope.report.ignored(&format!("{} ({name})", at.path));
            continue;
        }
        let said = scope.error(
            &item,
            format!(
                "the callback {} may refuse or change requests, and tagway does not run it",
                item.shown()
            ),
        );
        match nearest(&name, WATCHERS.iter().copied()) {
            Some(near) => said.help(format!("did you mean `{near}`?")),
            None => said.help("remove it only if requests may pass without it"),
        }
    }
}

//! One entry of `model_list`: which of its keys mean what, and the deployment they make. Must not know of the
//! other deployments.

use std::time::Duration;

use serde_json::{Map, Value};

use super::deployment_keys::PARAMS;
use super::model::{Budget, Deployment, Mock, MockError, ModelInfo};
use super::model_info::{self, Info};
use super::prices::{is_price, price};
use super::scope::{At, Rule, Scope, Table, nearest};
use super::yaml::Kind;
use super::{health, identity, links, mask};
use crate::dialect::{Provider, Resolved, resolve};
use crate::secret::Secret;

/// `litellm_params` as far as read.
#[derive(Default)]
pub(super) struct Params {
    pub(super) model: Option<String>,
    pub(super) custom_provider: Option<String>,
    pub(super) api_base: Option<String>,
    /// Whether `api_key` is there at all, even if its variable is not set.
    pub(super) has_key: bool,
    pub(super) api_key: Option<Secret>,
    pub(super) api_version: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) tag_regex: Vec<String>,
    pub(super) weight: Option<f64>,
    pub(super) order: Option<i64>,
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
    pub(super) max_parallel_requests: Option<u64>,
    pub(super) timeout: Option<Duration>,
    pub(super) stream_timeout: Option<Duration>,
    pub(super) max_retries: Option<u32>,
    pub(super) cooldown_time: Option<Duration>,
    pub(super) prices: Vec<(String, f64)>,
    pub(super) base_model: Option<String>,
    pub(super) region: Option<String>,
    pub(super) extra_headers: Vec<(http::HeaderName, http::HeaderValue)>,
    pub(super) mock: Option<Mock>,
    pub(super) defaults: Map<String, Value>,
    pub(super) budget: Budget,
    /// Keys of providers tagway cannot speak to, by path.
    pub(super) foreign: Vec<(String, super::yaml::Mark)>,
}

#[derive(Default)]
struct Item {
    name: Option<String>,
    params: Option<Params>,
    info: Info,
}

const ITEM: Table<Item> = &[
    ("model_name", Rule::Works(|item, at, scope| item.name = scope.text(at))),
    (
        "litellm_params",
        Rule::Works(|item, at, scope| {
            let mut params = Params::default();
            scope.walk(at, PARAMS, &mut params, default_parameter);
            item.params = Some(params);
        }),
    ),
    ("model_info", Rule::Works(|item, at, scope| item.info = model_info::read(at, scope))),
];

/// Reads one entry; gives nothing when a problem leaves no deployment.
pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Deployment> {
    let mut item = Item::default();
    scope.walk(at, ITEM, &mut item, misplaced);
    let Kind::Map(_) = at.node.kind else {
        if matches!(at.node.kind, Kind::Null) {
            scope.error(at, "an empty entry");
        }
        return None;
    };
    for key in ["model_name", "litellm_params"] {
        if at.node.get(key).is_none_or(|entry| matches!(entry.value.kind, Kind::Null)) {
            scope.error(at, format!("`{key}` is missing"));
        }
    }
    let (name, params) = (item.name?, item.params?);
    if name.trim().is_empty() {
        scope.error(&at.entry(at.node.get("model_name")?), "the model group needs a name");
        return None;
    }
    let params_at = at.entry(at.node.get("litellm_params")?);
    build(name, params, item.info, &params_at, at, scope)
}

/// A key of `litellm_params` one level too high is the usual slip.
fn misplaced(_: &mut Item, at: &At<'_>, key: &str, scope: &mut Scope<'_>) -> bool {
    let known = PARAMS.iter().any(|(name, _)| *name == key);
    if known {
        scope
            .error_at_key(at, format!("`{key}` does not belong here"))
            .help(format!("move `{key}` under `litellm_params:` of this entry"));
    }
    known
}

/// An unknown key of `litellm_params` is, as in LiteLLM, a request parameter with this default.
fn default_parameter(params: &mut Params, at: &At<'_>, key: &str, scope: &mut Scope<'_>) -> bool {
    if is_price(key) {
        match at.node.kind {
            Kind::List(_) | Kind::Map(_) => scope.report.ignored(&at.path),
            _ => price(&mut params.prices, at, scope),
        }
        return true;
    }
    // `user` and `top_p` are parameters, however near to a setting; one edit is a slip.
    let near = nearest(key, PARAMS.iter().map(|(name, _)| *name))
        .filter(|near| strsim::osa_distance(near, key) <= 1 || mask::is_secret(near));
    match near {
        // Taken for a parameter, the credential would go into request bodies.
        Some(near) if mask::is_secret(near) => {
            scope.error_at_key(at, format!("unknown key `{key}`")).help(format!("did you mean `{near}`?"));
            return true;
        }
        Some(near) => {
            let message = format!("`{key}` is no setting: it is sent to the provider with every request");
            scope.warning_at_key(at, message).help(format!("did you mean `{near}`?"));
        }
        None if mask::is_secret(key) => {
            let message =
                format!("`{key}` looks like a credential, and would be sent in every request's body");
            scope.error_at_key(at, message).help("give the provider's key as `api_key`; remove this one");
            return true;
        }
        None => {}
    }
    if let Some(value) = scope.json(at) {
        params.defaults.insert(key.to_owned(), value);
    }
    true
}

fn build(
    model_name: String,
    params: Params,
    mut info: Info,
    params_at: &At<'_>,
    item_at: &At<'_>,
    scope: &mut Scope<'_>,
) -> Option<Deployment> {
    let has =
        |key: &str| params_at.node.get(key).is_some_and(|entry| !matches!(entry.value.kind, Kind::Null));
    if !has("model") {
        scope
            .error(params_at, "`model` is missing")
            .help("write `model: provider/name`, e.g. `openai/gpt-4o`");
        return None;
    }
    let model = params.model?;
    let model_at = params_at.entry(params_at.node.get("model")?);
    let Resolved { provider, model: upstream_model } =
        provider(&model, params.custom_provider.as_deref(), has("mock_response"), &model_at, scope)?;
    if let Some((path, mark)) = params.foreign.first().filter(|_| params.mock.is_none()) {
        let key = path.rsplit('.').next().unwrap_or_default();
        let message = format!("`{key}` is for a provider that tagway cannot speak to yet");
        scope
            .report
            .error(*mark, path, message)
            .help(format!("remove it: {} does not take it", provider.name));
    }
    let mut api_base = params.api_base;
    if api_base.is_none() && !has("api_base") && !has("base_url") {
        api_base = scope.env(provider.base_var);
    }
    if params.mock.is_none() && api_base.is_none() && provider.base_url.is_empty() && !has("api_base") {
        scope
            .error(&model_at, format!("`{}` has no address of its own", provider.name))
            .help(format!("give `api_base`, or set `{}`", provider.base_var));
    }
    let mut api_key = params.api_key;
    if api_key.is_none() && !params.has_key {
        api_key = scope.env(provider.key_var).map(Secret::new);
        if api_key.is_none() && !provider.keyless && api_base.is_none() && !has("mock_response") {
            let message =
                format!("no `api_key`, and `{}` is not set: {} will refuse", provider.key_var, provider.name);
            scope.warning(params_at, message).help(format!("add `api_key: os.environ/{}`", provider.key_var));
        }
    }
    let mut prices = params.prices;
    for (name, price) in info.prices.drain(..) {
        if !prices.iter().any(|(known, _)| *known == name) {
            prices.push((name, price));
        }
    }
    let mut checked = std::mem::take(&mut info.health);
    if let Some(written) = checked.model
        && let Some(info_at) = item_at.node.get("model_info").map(|entry| item_at.entry(entry))
        && let Some(entry) = info_at.node.get("health_check_model")
    {
        checked.check.model = health::model(written, provider, &info_at.entry(entry), scope);
    }
    let id = info.id.unwrap_or_else(|| identity::of_entry(item_at.node));
    Some(Deployment {
        model_name,
        model,
        provider,
        upstream_model,
        api_base,
        api_key,
        api_version: params.api_version,
        organization: params.organization,
        tags: params.tags,
        tag_regex: params.tag_regex,
        weight: params.weight,
        order: params.order,
        rpm: params.rpm,
        tpm: params.tpm,
        max_parallel_requests: params.max_parallel_requests,
        timeout: params.timeout,
        stream_timeout: params.stream_timeout,
        max_retries: params.max_retries,
        cooldown_time: info.cooldown_time.or(params.cooldown_time),
        prices,
        base_model: params.base_model.or(info.base_model),
        region: params.region,
        extra_headers: params.extra_headers,
        mock: params.mock,
        budget: params.budget,
        defaults: params.defaults,
        info: ModelInfo {
            id,
            tier: info.tier,
            enable_tag_filtering: info.enable_tag_filtering,
            allow_fail_open: info.allow_fail_open,
            tag_rates: info.tag_rates,
            tag_budgets: info.tag_budgets,
            allowed_fails: info.allowed_fails,
            access_groups: info.access_groups,
            max_input: info.max_input,
            health: checked.check,
            fields: info.fields,
        },
    })
}

/// Prefixes of LiteLLM providers with an API of their own that people use most.
const FOREIGN: &[&str] = &[
    "anthropic",
    "azure",
    "azure_ai",
    "azure_text",
    "bedrock",
    "bedrock_converse",
    "vertex_ai",
    "vertex_ai_beta",
    "gemini",
    "cohere",
    "cohere_chat",
    "huggingface",
    "replicate",
    "sagemaker",
    "sagemaker_chat",
    "watsonx",
    "databricks",
    "snowflake",
    "oci",
    "cloudflare",
    "ai21",
    "ai21_chat",
    "predibase",
    "triton",
    "voyage",
    "jina_ai",
    "infinity",
    "deepgram",
    "elevenlabs",
    "fal_ai",
    "topaz",
    "bytez",
    "clarifai",
    "nlp_cloud",
    "aleph_alpha",
    "petals",
    "baseten",
    "friendliai",
    "galadriel",
    "github_copilot",
    "gigachat",
    "datarobot",
    "recraft",
    "aiohttp_openai",
    "v0",
    "morph",
    "wandb",
    "vercel_ai_gateway",
    "heroku",
    "cometapi",
    "compactifai",
];

fn provider(
    model: &str,
    custom: Option<&str>,
    mocked: bool,
    at: &At<'_>,
    scope: &mut Scope<'_>,
) -> Option<Resolved> {
    if let Some(resolved) = resolve(model, custom) {
        if !resolved.model.is_empty() {
            return Some(resolved);
        }
        scope.error(at, "the model's name is missing after the provider").help("write `provider/name`");
        return None;
    }
    if mocked {
        // It never calls out: whose name it bears does not matter.
        let name = model.split_once('/').map_or(model, |(_, name)| name);
        return Some(Resolved { provider: Provider::named("openai")?, model: name.to_owned() });
    }
    let prefix = custom.or_else(|| model.split_once('/').map(|(prefix, _)| prefix));
    let compatible = "an OpenAI-compatible endpoint works as `openai/<name>` with `api_base`";
    match prefix {
        Some(prefix) if FOREIGN.contains(&prefix) => {
            let all: Vec<&str> = Provider::all().map(|p| p.name).collect();
            scope
                .error(at, format!("tagway cannot speak to `{prefix}` yet"))
                .help(format!("{compatible}; supported are {}", all.join(", ")));
        }
        Some(prefix) if custom.is_some() || !model.starts_with(char::is_uppercase) => {
            let near = nearest(prefix, Provider::all().map(|p| p.name));
            scope.error(at, format!("unknown provider `{prefix}`")).help(match near {
                Some(near) => format!("did you mean `{near}`? Otherwise, {compatible}"),
                None => compatible.to_owned(),
            });
        }
        _ => {
            scope
                .error(at, format!("no provider is known for {}", at.shown()))
                .help(format!("put the provider in front: `openai/{model}`; {compatible}"));
        }
    }
    None
}

/// `mock_response`: a text, a list of numbers, or the name of an error.
pub(super) fn mock(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Mock> {
    if let Kind::List(items) = &at.node.kind {
        let items = items.iter().enumerate();
        return Some(Mock::Embedding(
            items.filter_map(|(i, node)| scope.number(&at.item(i, node), f64::MIN)).collect(),
        ));
    }
    let text = scope.text(at)?;
    let error = match text.as_str() {
        "litellm.RateLimitError" => MockError::RateLimit,
        "litellm.InternalServerError" => MockError::InternalServer,
        "litellm.ContextWindowExceededError" => MockError::ContextWindowExceeded,
        "litellm.ContentPolicyViolationError" => MockError::ContentPolicyViolation,
        "litellm.Timeout" => MockError::Timeout,
        other if other.starts_with("litellm.") => {
            let known = ["RateLimitError", "InternalServerError", "ContextWindowExceededError"]
                .into_iter()
                .chain(["ContentPolicyViolationError", "Timeout"]);
            let near = nearest(other.trim_start_matches("litellm."), known);
            let said = scope.error(at, format!("{} is no error that can be played", at.shown()));
            if let Some(near) = near {
                said.help(format!("did you mean `litellm.{near}`?"));
            }
            return None;
        }
        _ => return Some(Mock::Text(text)),
    };
    Some(Mock::Error(error))
}

/// `extra_headers`: names and values that can go over the wire.
pub(super) fn headers(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<(http::HeaderName, http::HeaderValue)> {
    let mut headers = Vec::new();
    for entry in scope.entries(at) {
        let value_at = at.entry(entry);
        let Ok(name) = http::HeaderName::try_from(entry.key.as_str()) else {
            scope.error_at_key(&value_at, "not a valid header name");
            continue;
        };
        let Some(text) = scope.text(&value_at) else { continue };
        match http::HeaderValue::try_from(text) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            Err(_) => {
                scope.error(&value_at, "not a valid header value");
            }
        }
    }
    headers
}

/// The deployments of `model_list`, each with an id of its own.
pub(super) fn list(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Deployment> {
    let (mut deployments, mut places) = (Vec::new(), Vec::new());
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        if let Some(deployment) = read(&item, scope) {
            deployments.push(deployment);
            places.push(item);
        }
    }
    links::unique_ids(&mut deployments, &places, scope);
    deployments
}

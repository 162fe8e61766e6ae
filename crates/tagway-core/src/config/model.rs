//! The checked configuration: what the file says once every problem has been ruled out. Types here cannot be
//! wrong; they know nothing of YAML, spans or environment variables.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    Alerts, Failures, HealthCheck, HealthChecks, Jwt, Overload, SpendLogs, SpendRules, TagDeclaration,
    TagSettings,
};
use crate::catalogue::Catalogue;
use crate::dialect::Provider;
use crate::experiment::{Experiment, Mirror};
use crate::fault::AllowedFails;
use crate::money::Nanos;
use crate::rule::Rule;
use crate::secret::Secret;
use crate::strategy::Strategy;

/// Everything one `config.yaml` (with its includes and environment) says.
#[derive(Debug, Clone)]
pub struct Config {
    /// `model_list`, in file order.
    pub deployments: Vec<Deployment>,
    /// `router_settings` (and the `litellm_settings` that LiteLLM hands to its router).
    pub router: Router,
    /// `litellm_settings`.
    pub proxy: Proxy,
    /// `general_settings`.
    pub general: General,
    /// `tags`: the declared vocabulary.
    pub tags: Vec<TagDeclaration>,
    /// `tag_settings`.
    pub tag_settings: TagSettings,
    /// `tag_rules`, in file order.
    pub tag_rules: Vec<Rule>,
    /// `experiments`
    pub experiments: Vec<Experiment>,
    /// `mirrors`
    pub mirrors: Vec<Mirror>,
    /// What models cost that say nothing of it themselves.
    pub catalogue: Catalogue,
}

/// One entry of `model_list`.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The model group it belongs to; may be a wildcard (`openai/*`, `*`).
    pub model_name: String,
    /// `litellm_params.model` as written, e.g. `openai/fake`.
    pub model: String,
    /// The provider that `model` (or `custom_llm_provider`) names.
    pub provider: Provider,
    /// The model name the provider knows: `model` without the provider's prefix; may hold a `*`.
    pub upstream_model: String,
    /// `api_base` as written (shown in headers); the provider's own base URL when absent.
    pub api_base: Option<String>,
    /// `api_key`, or the provider's key variable.
    pub api_key: Option<Secret>,
    /// `api_version` (Azure and the like).
    pub api_version: Option<String>,
    /// `organization`, sent as `OpenAI-Organization`.
    pub organization: Option<String>,
    /// `tags`: routing tags, in file order.
    pub tags: Vec<String>,
    /// `tag_regex`: patterns searched in `User-Agent: <value>`; all compile.
    pub tag_regex: Vec<String>,
    /// Share of a shuffle among the candidates; finite, 0 or above.
    pub weight: Option<f64>,
    /// `order`: lower is tried first.
    pub order: Option<i64>,
    /// Requests a minute: a share for the shuffle, and a limit with [`Router::enforce_rates`].
    pub rpm: Option<u64>,
    /// Tokens a minute: the same.
    pub tpm: Option<u64>,
    /// `max_parallel_requests`: calls in progress.
    pub max_parallel_requests: Option<u64>,
    /// `timeout`, for the whole answer of a call that does not stream.
    pub timeout: Option<Duration>,
    /// `stream_timeout`, for the first byte of a stream and for every silence in it.
    pub stream_timeout: Option<Duration>,
    /// `max_retries` of this deployment.
    pub max_retries: Option<u32>,
    /// `cooldown_time` of this deployment.
    pub cooldown_time: Option<Duration>,
    /// Prices in dollars per unit, by LiteLLM's names (`input_cost_per_token`, …).
    pub prices: Vec<(String, f64)>,
    /// `base_model` of `litellm_params` or `model_info`: the model whose price it has.
    pub base_model: Option<String>,
    /// `region_name`: where it computes.
    pub region: Option<String>,
    /// `extra_headers` for the provider.
    pub extra_headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// `mock_response`: answers without any upstream.
    pub mock: Option<Mock>,
    /// Default request parameters (`temperature`, …): the client's own win.
    pub defaults: Map<String, Value>,
    /// `model_info`.
    pub info: ModelInfo,
    /// What may be spent on it.
    pub budget: Budget,
}

/// A budget, as it stands wherever one may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// `max_budget`
    pub max: Option<Nanos>,
    /// `soft_budget`: after so much somebody is told.
    pub soft: Option<Nanos>,
    /// `budget_duration`: how long it holds before it begins anew, in LiteLLM's words (`30d`).
    pub duration: Option<String>,
    /// `budget_window`
    pub window: BudgetWindow,
    /// `budget_timezone`: the IANA name of the zone whose days count.
    pub timezone: Option<String>,
    /// `strict`: a request must fit, not only find something left.
    pub strict: Option<bool>,
}

/// When the window of a budget ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BudgetWindow {
    /// At round times: midnight, Monday, the first of the month.
    #[default]
    Calendar,
    /// A duration after each request: what counts is what was spent within the last one.
    Rolling,
}

/// `mock_response` of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub enum Mock {
    /// An assistant message, or the text of a completion.
    Text(String),
    /// An embedding.
    Embedding(Vec<f64>),
    /// One of LiteLLM's error names, e.g. `litellm.RateLimitError`.
    Error(MockError),
}

/// The failures `mock_response` can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MockError {
    /// `litellm.RateLimitError`: 429.
    RateLimit,
    /// `litellm.InternalServerError`: 500.
    InternalServer,
    /// `litellm.ContextWindowExceededError`: 400.
    ContextWindowExceeded,
    /// `litellm.ContentPolicyViolationError`: 400.
    ContentPolicyViolation,
    /// `litellm.Timeout`: 408.
    Timeout,
}

/// `model_info` of a deployment.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    /// `id`, or a stable hash of the entry.
    pub id: String,
    /// `tier`.
    pub tier: Option<Tier>,
    /// `enable_tag_filtering`: the first one set decides for the group.
    pub enable_tag_filtering: Option<bool>,
    /// `allow_fail_open`.
    pub allow_fail_open: bool,
    /// `request_limits` and `token_limits`: requests and tokens a minute by tag or pattern, at this deployment.
    pub tag_rates: Vec<(String, Rates)>,
    /// `dollar_limits`: what may be spent on it by tag or pattern.
    pub tag_budgets: Vec<(String, Budget)>,
    /// `allowed_fails` and `allowed_fails_policy` of this deployment.
    pub allowed_fails: AllowedFails,
    /// `access_groups`: names under which lists of models may mean this deployment's.
    pub access_groups: Vec<String>,
    /// `max_input_tokens`: its context window.
    pub max_input: Option<u64>,
    /// How it is checked.
    pub health: HealthCheck,
    /// Every field as written (`mode`, `base_model`, free-form ones too), for `/model/info`.
    pub fields: Map<String, Value>,
}

/// A free or a paid tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// `free`
    Free,
    /// `paid`
    Paid,
}

/// `router_settings`.
#[derive(Debug, Clone)]
pub struct Router {
    /// The settings every tag decision depends on.
    pub tags: crate::tag::Settings,
    /// Status of an answer to a request whose tags match nothing: 401 (LiteLLM's) or 403.
    pub tag_error_status: u16,
    /// `num_retries` of `router_settings`, else of `litellm_settings`, else 2 (LiteLLM's default).
    pub num_retries: u32,
    /// `retry_after`: the least wait before a retry.
    pub retry_after: Duration,
    /// `timeout` (or `litellm_settings.request_timeout`, default 6000 s) of a call.
    pub timeout: Duration,
    /// `stream_timeout`.
    pub stream_timeout: Option<Duration>,
    /// What failures are followed by.
    pub failures: Failures,
    /// `cooldown_time`; LiteLLM's default is 5 s.
    pub cooldown_time: Duration,
    /// `disable_cooldowns`.
    pub disable_cooldowns: bool,
    /// `fallbacks`: model group → groups to try, in order.
    pub fallbacks: Vec<(String, Vec<String>)>,
    /// `default_fallbacks`.
    pub default_fallbacks: Vec<String>,
    /// `context_window_fallbacks`.
    pub context_window_fallbacks: Vec<(String, Vec<String>)>,
    /// `content_policy_fallbacks`.
    pub content_policy_fallbacks: Vec<(String, Vec<String>)>,
    /// `max_fallbacks`: LiteLLM's default is 5.
    pub max_fallbacks: u32,
    /// `model_group_alias`: name → group, and whether `/v1/models` hides the name.
    pub aliases: Vec<Alias>,
    /// `enable_pre_call_checks`, or `enforce_model_rate_limits` among `optional_pre_call_checks`: `rpm` and `tpm` of
    /// deployments are limits.
    pub enforce_rates: bool,
    /// `enable_pre_call_checks`: a prompt goes only where it fits the context window.
    pub check_context_windows: bool,
    /// `default_max_parallel_requests` of deployments that say nothing of it.
    pub default_max_parallel_requests: Option<u64>,
    /// `provider_budget_config`: what may be spent on a provider, by its name.
    pub provider_budgets: Vec<(String, Budget)>,
    /// `routing_strategy` with its arguments.
    pub strategy: Strategy,
    /// `routing_groups`: model groups with another one.
    pub routing_groups: Vec<RoutingGroup>,
    /// `redis_url`, `redis_host` and the like, or the environment's `REDIS_URL`, `REDIS_HOST`, ….
    pub valkey: Option<Valkey>,
}

/// Model groups with a strategy of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutingGroup {
    /// `group_name`
    pub name: String,
    /// `models`: names of model groups.
    pub models: Vec<String>,
    /// `routing_strategy` with its arguments.
    pub strategy: Strategy,
}

impl Router {
    /// The strategy of a model group.
    pub fn strategy_of(&self, group: &str) -> &Strategy {
        let own = self.routing_groups.iter().find(|own| own.models.iter().any(|model| model == group));
        own.map_or(&self.strategy, |own| &own.strategy)
    }
}

/// Where Valkey (or Redis) is, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valkey {
    /// Its address.
    pub server: ValkeyServer,
    /// Not with a URL, which says it.
    pub username: Option<String>,
    /// Not with a URL, which says it.
    pub password: Option<Secret>,
    /// Whether to speak TLS; a URL says it.
    pub tls: bool,
    /// The number of the database; a URL says it.
    pub db: u32,
    /// `ssl_ca_certs`: the file with the certificates to trust instead of the system's.
    pub ca_certs: Option<String>,
    /// `ssl_certfile` and `ssl_keyfile`: the files of the gateway's own certificate and its key.
    pub certificate: Option<(String, String)>,
}

/// The address of Valkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValkeyServer {
    /// `redis://…` or `rediss://…`, which may hold a password.
    Url(Secret),
    /// Host and port.
    Address(String, u16),
    /// Hosts and ports of a cluster's nodes: some of them, which know the others.
    Cluster(Vec<(String, u16)>),
}

impl Valkey {
    /// The server at this address, without a login beside what it says.
    pub fn new(server: ValkeyServer) -> Self {
        Self { server, username: None, password: None, tls: false, db: 0, ca_certs: None, certificate: None }
    }
}

/// An entry of `model_group_alias`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name a client may ask for.
    pub name: String,
    /// The model group that serves it.
    pub group: String,
    /// `hidden: true`: not listed by `/v1/models`.
    pub hidden: bool,
}

/// `litellm_settings`.
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    /// `json_logs`
    pub json_logs: bool,
    /// `turn_off_message_logging`: of prompts and answers nothing is kept but that there were some.
    pub texts_redacted: bool,
    /// What new virtual keys get and may ask for.
    pub new_keys: NewKeys,
    /// What a new user with the role `internal_user` may spend that is given no budget.
    pub new_users: NewUsers,
    /// What a customer may spend that has no budget of its own, be it known or not.
    pub customers: CustomerBudget,
    /// `max_budget` and its like: what may be spent altogether.
    pub budget: Budget,
    /// `tag_budget_config`: what may be spent on a tag, by its name.
    pub tag_budgets: Vec<(String, Budget)>,
    /// `timezone`: the IANA name of the zone whose days count where a budget names none; UTC without.
    pub timezone: Option<String>,
    /// `budget_exceeded_status_code` (or `budget_exceeded_status`); 429 when not given.
    pub budget_exceeded_status: Option<u16>,
    /// `default_estimated_output_tokens`, which may stand in `general_settings` as well.
    pub estimated_output_tokens: Option<u64>,
    /// `price_catalog`: prices that go before the built-in ones.
    pub price_catalog: Option<PriceCatalog>,
    /// `extra_spend_tag_headers`: headers whose values label what requests cost.
    pub spend_tag_headers: Vec<http::HeaderName>,
    /// The metrics at `/metrics`.
    pub metrics: super::MetricRules,
}

/// The budget of new users with the role `internal_user`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewUsers {
    /// `max_internal_user_budget`
    pub max: Option<Nanos>,
    /// `default_max_internal_user_budget`, where the one above is not set.
    pub default_max: Option<Nanos>,
    /// `internal_user_budget_duration`
    pub duration: Option<String>,
}

/// The budget of customers without one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerBudget {
    /// `max_end_user_budget`
    pub max: Option<Nanos>,
    /// `max_end_user_budget_id`: a stored budget, which goes before the amount.
    pub budget_id: Option<String>,
}

/// Where prices come from, in the format of LiteLLM's `model_prices_and_context_window.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceCatalog {
    /// A file, read with the configuration.
    File(PathBuf),
    /// A web address, to be read by whoever loads the configuration.
    Url(String),
}

/// What new virtual keys get and may ask for.
#[derive(Debug, Clone, Default)]
pub struct NewKeys {
    /// `upperbound_key_generate_params`.
    pub bounds: KeyBounds,
    /// `default_key_generate_params`: fields of the request, for those it does not give.
    pub defaults: Map<String, Value>,
}

/// The most that a virtual key may have, which is also what it gets when it asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct KeyBounds {
    /// Dollars.
    pub max_budget: Option<f64>,
    /// How long the budget holds: `30d`.
    pub budget_duration: Option<String>,
    /// How long the key is valid.
    pub duration: Option<String>,
    /// Requests in progress at once.
    pub max_parallel_requests: Option<u64>,
    /// Tokens a minute.
    pub tpm_limit: Option<u64>,
    /// Requests a minute.
    pub rpm_limit: Option<u64>,
}

/// `general_settings`.
#[derive(Debug, Clone)]
pub struct General {
    /// `master_key`; without one the gateway is open to everybody.
    pub master_key: Option<Secret>,
    /// `max_request_size_mb` in bytes; 100 MB by default.
    pub max_request_bytes: usize,
    /// `litellm_key_header_name`: one more header that may carry the key.
    pub key_header: Option<http::HeaderName>,
    /// `reject_clientside_metadata_tags`.
    pub reject_client_metadata_tags: bool,
    /// What becomes of too many requests at once.
    pub overload: Overload,
    /// `max_parallel_requests`: of every virtual key that has no limit of its own.
    pub max_parallel_requests: Option<u64>,
    /// `fail_closed_rate_limit_enforcement`: while Valkey cannot be asked, requests with limits are refused.
    pub fail_closed_rates: bool,
    /// `strict_budgets`: all budgets are strict that do not say otherwise.
    pub strict_budgets: bool,
    /// `apply_user_budget_to_team_keys`: a user's budget counts what the keys of its teams spend, too.
    pub user_budget_on_team_keys: bool,
    /// `default_estimated_output_tokens`: how long an answer is taken to be before it is there.
    pub estimated_output_tokens: Option<u64>,
    /// `database_url`, or `DATABASE_URL`: PostgreSQL instead of a file.
    pub database_url: Option<Secret>,
    /// `database_connection_pool_limit`; LiteLLM's default is 10.
    pub database_connections: u32,
    /// Whom to tell when a budget is crossed.
    pub alerts: Alerts,
    /// What becomes of requests whose receipts cannot be kept safely.
    pub spend: SpendRules,
    /// What the log of requests holds, and how long it is kept.
    pub spend_logs: SpendLogs,
    /// How deployments are checked.
    pub health: HealthChecks,
    /// `enable_jwt_auth`: whose tokens are taken.
    pub jwt: Option<Arc<Jwt>>,
}

/// Limits of rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// `rpm_limit`: requests a minute.
    pub requests: Option<u64>,
    /// `tpm_limit`: tokens a minute.
    pub tokens: Option<u64>,
    /// `max_parallel_requests`: requests in progress.
    pub in_progress: Option<u64>,
}

impl Rates {
    /// Whether they limit anything.
    pub fn any(&self) -> bool {
        self.requests.is_some() || self.tokens.is_some() || self.in_progress.is_some()
    }

    /// The share of one of so many gateways: at least 1 of what is not 0.
    #[must_use]
    pub fn share(&self, gateways: u64) -> Self {
        let share = |limit: Option<u64>| limit.map(|limit| (limit / gateways.max(1)).max(limit.min(1)));
        Self {
            requests: share(self.requests),
            tokens: share(self.tokens),
            in_progress: share(self.in_progress),
        }
    }
}

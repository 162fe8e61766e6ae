//! Metrics of what requests have done.

use super::Kind::{Counter, Histogram};
use super::Label::*;
use super::{Family, Label, family};

const CALLED: &[Label] = &[
    HashedApiKey,
    ApiKeyAlias,
    Team,
    TeamAlias,
    RequestedModel,
    ModelGroup,
    LitellmModelName,
    ModelId,
    ApiProvider,
    ApiBase,
];
const FALLBACK: &[Label] = &[
    HashedApiKey,
    ApiKeyAlias,
    Team,
    TeamAlias,
    RequestedModel,
    FallbackModel,
    ExceptionStatus,
    ExceptionClass,
];
const TIMED: &[Label] = &[
    HashedApiKey,
    ApiKeyAlias,
    Team,
    TeamAlias,
    User,
    RequestedModel,
    ModelGroup,
    Model,
    ModelId,
    ApiProvider,
];
const USED: &[Label] =
    &[HashedApiKey, ApiKeyAlias, Team, TeamAlias, User, RequestedModel, Model, ModelId, ApiProvider];

/// `litellm_proxy_total_requests_metric`
pub const REQUESTS: Family = family(
    "litellm_proxy_total_requests_metric",
    Counter,
    &[
        HashedApiKey,
        ApiKeyAlias,
        Team,
        TeamAlias,
        User,
        RequestedModel,
        StatusCode,
        Route,
        ModelId,
        ApiProvider,
    ],
    "Requests for models that have ended, in whatever way.",
);
/// `litellm_proxy_failed_requests_metric`
pub const FAILED: Family = family(
    "litellm_proxy_failed_requests_metric",
    Counter,
    &[
        HashedApiKey,
        ApiKeyAlias,
        Team,
        TeamAlias,
        User,
        RequestedModel,
        ExceptionStatus,
        ExceptionClass,
        Route,
        ModelId,
        ApiProvider,
    ],
    "Requests for models that got no complete answer. 499: the client left.",
);
/// `litellm_requests_metric`
pub const SERVED: Family =
    family("litellm_requests_metric", Counter, USED, "Requests for models that got a complete answer.");
/// `litellm_request_total_latency_metric`
pub const LATENCY: Family = family(
    "litellm_request_total_latency_metric",
    Histogram,
    TIMED,
    "Seconds from a request's beginning to the end of its answer, of those answered.",
);
/// `litellm_llm_api_latency_metric`
pub const API_LATENCY: Family = family(
    "litellm_llm_api_latency_metric",
    Histogram,
    TIMED,
    "Seconds that the provider's part of an answered request took, to the end of the answer.",
);
/// `litellm_llm_api_time_to_first_token_metric`
pub const FIRST_TOKEN: Family = family(
    "litellm_llm_api_time_to_first_token_metric",
    Histogram,
    TIMED,
    "Seconds until a provider's first event, of streams.",
);
/// `litellm_overhead_latency_metric`
pub const OVERHEAD: Family = family(
    "litellm_overhead_latency_metric",
    Histogram,
    &[HashedApiKey, ApiKeyAlias, ModelGroup, LitellmModelName, ModelId, ApiProvider, ApiBase],
    "Seconds that the gateway added until the answer began: all that was not the answering provider, earlier attempts among it.",
);
/// `litellm_deployment_latency_per_output_token`
pub const PER_TOKEN: Family = family(
    "litellm_deployment_latency_per_output_token",
    Histogram,
    &[
        HashedApiKey,
        ApiKeyAlias,
        Team,
        TeamAlias,
        ModelGroup,
        LitellmModelName,
        ModelId,
        ApiProvider,
        ApiBase,
    ],
    "Seconds of the provider's part for each token of the answer.",
);
/// `litellm_spend_metric`
pub const SPEND: Family =
    family("litellm_spend_metric", Counter, USED, "What requests have cost, in dollars.");
/// `litellm_total_tokens_metric`
pub const TOTAL_TOKENS: Family =
    family("litellm_total_tokens_metric", Counter, USED, "Tokens of prompts and answers.");
/// `litellm_input_tokens_metric`
pub const INPUT_TOKENS: Family =
    family("litellm_input_tokens_metric", Counter, USED, "Tokens of prompts, cached ones among them.");
/// `litellm_output_tokens_metric`
pub const OUTPUT_TOKENS: Family =
    family("litellm_output_tokens_metric", Counter, USED, "Tokens of answers, reasoning among them.");
/// `litellm_input_cached_tokens_metric`
pub const CACHED_TOKENS: Family = family(
    "litellm_input_cached_tokens_metric",
    Counter,
    USED,
    "Tokens of prompts that came from the provider's cache.",
);
/// `litellm_input_cache_creation_tokens_metric`
pub const CACHE_WRITES: Family = family(
    "litellm_input_cache_creation_tokens_metric",
    Counter,
    USED,
    "Tokens of prompts that were written to the provider's cache.",
);
/// `litellm_input_audio_tokens_metric`
pub const AUDIO_INPUT: Family =
    family("litellm_input_audio_tokens_metric", Counter, USED, "Tokens of audio in prompts.");
/// `litellm_output_reasoning_tokens_metric`
pub const REASONING: Family =
    family("litellm_output_reasoning_tokens_metric", Counter, USED, "Tokens of reasoning in answers.");
/// `litellm_output_audio_tokens_metric`
pub const AUDIO_OUTPUT: Family =
    family("litellm_output_audio_tokens_metric", Counter, USED, "Tokens of audio in answers.");
/// `litellm_zero_cost_requests_total`
pub const UNPRICED: Family = family(
    "litellm_zero_cost_requests_total",
    Counter,
    &[RequestedModel, Model, ModelId, ApiProvider, Reason],
    "Requests that used tokens of a model whose price is not known, so that their cost is not known either.",
);
/// `tagway_estimated_usage_requests_total`
pub const ESTIMATED: Family = family(
    "tagway_estimated_usage_requests_total",
    Counter,
    &[RequestedModel, Model, ModelId, ApiProvider],
    "Requests whose tokens tagway has counted, since the provider did not tell them.",
);
/// `litellm_deployment_total_requests`
pub const CALLS: Family = family(
    "litellm_deployment_total_requests",
    Counter,
    CALLED,
    "Calls of deployments: those that served a request, and those that failed.",
);
/// `litellm_deployment_success_responses`
pub const CALLS_SERVED: Family = family(
    "litellm_deployment_success_responses",
    Counter,
    CALLED,
    "Calls of deployments that served a request.",
);
/// `litellm_deployment_failure_responses`
pub const CALLS_FAILED: Family = family(
    "litellm_deployment_failure_responses",
    Counter,
    &[
        HashedApiKey,
        ApiKeyAlias,
        Team,
        TeamAlias,
        RequestedModel,
        ModelGroup,
        LitellmModelName,
        ModelId,
        ApiProvider,
        ApiBase,
        ExceptionStatus,
        ExceptionClass,
    ],
    "Calls of deployments that failed, each attempt by itself.",
);
/// `litellm_deployment_cooled_down`
pub const COOLED_DOWN: Family = family(
    "litellm_deployment_cooled_down",
    Counter,
    &[LitellmModelName, ModelId, ApiProvider, ApiBase, ExceptionStatus],
    "How often a failed call made a deployment cool down.",
);
/// `litellm_deployment_successful_fallbacks`
pub const FELL_BACK: Family = family(
    "litellm_deployment_successful_fallbacks",
    Counter,
    FALLBACK,
    "Fallbacks to another model group that served the request.",
);
/// `litellm_deployment_failed_fallbacks`
pub const FELL_BACK_IN_VAIN: Family = family(
    "litellm_deployment_failed_fallbacks",
    Counter,
    FALLBACK,
    "Fallbacks to another model group that failed as well.",
);
/// `tagway_retries_total`
pub const RETRIES: Family = family(
    "tagway_retries_total",
    Counter,
    &[RequestedModel, ModelGroup],
    "Further attempts within a model group.",
);
/// `tagway_decisions_total`
pub const DECISIONS: Family = family(
    "tagway_decisions_total",
    Counter,
    &[ModelGroup, Outcome, MatchedVia, Tag],
    "Which deployments tags left for a request: `served`, or why there was none. `matched_via`: tags, tag_regex, default (a deployment for requests that match nothing), none. `tag`: what matched, where it is on the list of tags.",
);
/// `tagway_tag_requests_total`
pub const TAG_REQUESTS: Family = family(
    "tagway_tag_requests_total",
    Counter,
    &[Tag],
    "Requests that have ended, by each of their tags on the list of tags.",
);
/// `tagway_tag_spend_dollars_total`
pub const TAG_SPEND: Family = family(
    "tagway_tag_spend_dollars_total",
    Counter,
    &[Tag],
    "What requests have cost, in full for each of their tags on the list of tags.",
);
/// `tagway_tag_input_tokens_total`
pub const TAG_INPUT_TOKENS: Family = family(
    "tagway_tag_input_tokens_total",
    Counter,
    &[Tag],
    "Tokens of prompts, in full for each of their tags on the list of tags.",
);
/// `tagway_tag_output_tokens_total`
pub const TAG_OUTPUT_TOKENS: Family = family(
    "tagway_tag_output_tokens_total",
    Counter,
    &[Tag],
    "Tokens of answers, in full for each of their tags on the list of tags.",
);

//! Every key of `litellm_params` that is not a request parameter, and its rule.

use super::budgets;
use super::deployment::{Params, headers, mock};
use super::prices::{price, tiers};
use super::scope::{At, Rule, Scope, Table};
use super::tags;
use crate::secret::Secret;

const NO_LIMITS: &str = "remove it, and hold the limit at the provider until tagway enforces it";
const NO_GUARD: &str = "remove it only if requests may pass without this check";
const AS_SENT: &str = "requests go out as the client sent them";
const NO_ROUTER: &str = "name one model: tags and a strategy choose among deployments";

fn own_price(params: &mut Params, at: &At<'_>, scope: &mut Scope<'_>) {
    price(&mut params.prices, at, scope);
}

/// A credential or place of a provider with an API of its own.
fn foreign(params: &mut Params, at: &At<'_>, _: &mut Scope<'_>) {
    params.foreign.push((at.path.clone(), at.key));
}

fn region(params: &mut Params, at: &At<'_>, scope: &mut Scope<'_>) {
    params.region = scope.text(at).filter(|region| {
        if region.trim().is_empty() {
            scope.error(at, "a region needs a name").help("leave `region_name` out where it is not known");
        }
        !region.trim().is_empty()
    });
}

fn api_base(params: &mut Params, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(base) = scope.text(at) else { return };
    match url::Url::parse(&base) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            scope
                .error(at, "holds a user or a password")
                .help("give the credential as `api_key` or in `extra_headers`");
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => params.api_base = Some(base),
        _ => {
            scope.error(at, "not a web address").help("write `https://host/v1`");
        }
    }
}

pub(super) const PARAMS: Table<Params> = &[
    ("model", Rule::Works(|params, at, scope| params.model = scope.text(at))),
    ("custom_llm_provider", Rule::Works(|params, at, scope| params.custom_provider = scope.text(at))),
    ("api_base", Rule::Works(api_base)),
    ("base_url", Rule::Works(api_base)),
    (
        "api_key",
        Rule::Works(|params, at, scope| {
            params.has_key = true;
            params.api_key = scope.text(at).map(Secret::new);
        }),
    ),
    ("api_version", Rule::Works(|params, at, scope| params.api_version = scope.text(at))),
    ("organization", Rule::Works(|params, at, scope| params.organization = scope.text(at))),
    ("region_name", Rule::Works(region)),
    ("tags", Rule::Works(|params, at, scope| params.tags = tags::carried(at, scope))),
    ("tag_regex", Rule::Works(|params, at, scope| params.tag_regex = tags::patterns(at, scope))),
    ("weight", Rule::Works(|params, at, scope| params.weight = scope.number(at, 0.0))),
    ("order", Rule::Works(|params, at, scope| params.order = scope.whole(at, i64::MIN, i64::MAX))),
    (
        "rpm",
        Rule::Works(|params, at, scope| params.rpm = scope.whole(at, 0, i64::MAX).map(i64::unsigned_abs)),
    ),
    (
        "tpm",
        Rule::Works(|params, at, scope| params.tpm = scope.whole(at, 0, i64::MAX).map(i64::unsigned_abs)),
    ),
    ("max_parallel_requests", Rule::Works(|p, at, s| p.max_parallel_requests = s.places(at))),
    ("timeout", Rule::Works(|params, at, scope| params.timeout = scope.seconds(at, false))),
    ("stream_timeout", Rule::Works(|params, at, scope| params.stream_timeout = scope.seconds(at, false))),
    ("max_retries", Rule::Works(|params, at, scope| params.max_retries = scope.count(at))),
    ("cooldown_time", Rule::Works(|params, at, scope| params.cooldown_time = scope.seconds(at, true))),
    // LiteLLM's own name for it.
    ("num_retries", Rule::Works(|params, at, scope| params.max_retries = scope.count(at))),
    ("extra_headers", Rule::Works(|params, at, scope| params.extra_headers.extend(headers(at, scope)))),
    ("headers", Rule::Works(|params, at, scope| params.extra_headers.extend(headers(at, scope)))),
    ("mock_response", Rule::Works(|params, at, scope| params.mock = mock(at, scope))),
    // The prices people set; others are known by their form.
    ("input_cost_per_token", Rule::Works(own_price)),
    ("output_cost_per_token", Rule::Works(own_price)),
    ("cache_read_input_token_cost", Rule::Works(own_price)),
    ("cache_creation_input_token_cost", Rule::Works(own_price)),
    ("input_cost_per_second", Rule::Works(own_price)),
    ("output_cost_per_second", Rule::Works(own_price)),
    ("input_cost_per_image", Rule::Works(own_price)),
    ("output_cost_per_image", Rule::Works(own_price)),
    ("input_cost_per_audio_token", Rule::Works(own_price)),
    ("output_cost_per_audio_token", Rule::Works(own_price)),
    ("output_cost_per_reasoning_token", Rule::Works(own_price)),
    ("input_cost_per_character", Rule::Works(own_price)),
    ("output_cost_per_character", Rule::Works(own_price)),
    ("input_cost_per_query", Rule::Works(own_price)),
    ("input_cost_per_request", Rule::Works(own_price)),
    ("tiered_pricing", Rule::Works(|params, at, scope| tiers(&mut params.prices, at, scope))),
    ("base_model", Rule::Works(|params, at, scope| params.base_model = scope.text(at))),
    // Providers with an API of their own.
    ("azure", Rule::Works(foreign)),
    ("azure_ad_token", Rule::Works(foreign)),
    ("azure_ad_token_provider", Rule::Works(foreign)),
    ("tenant_id", Rule::Works(foreign)),
    ("client_id", Rule::Works(foreign)),
    ("client_secret", Rule::Works(foreign)),
    ("azure_scope", Rule::Works(foreign)),
    ("azure_username", Rule::Works(foreign)),
    ("azure_password", Rule::Works(foreign)),
    ("vertex_project", Rule::Works(foreign)),
    ("vertex_location", Rule::Works(foreign)),
    ("vertex_credentials", Rule::Works(foreign)),
    ("vertex_ai_project", Rule::Works(foreign)),
    ("vertex_ai_location", Rule::Works(foreign)),
    ("vertex_ai_credentials", Rule::Works(foreign)),
    ("gcs_bucket_name", Rule::Works(foreign)),
    ("aws_access_key_id", Rule::Works(foreign)),
    ("aws_secret_access_key", Rule::Works(foreign)),
    ("aws_session_token", Rule::Works(foreign)),
    ("aws_region_name", Rule::Works(foreign)),
    ("aws_session_name", Rule::Works(foreign)),
    ("aws_profile_name", Rule::Works(foreign)),
    ("aws_role_name", Rule::Works(foreign)),
    ("aws_web_identity_token", Rule::Works(foreign)),
    ("aws_sts_endpoint", Rule::Works(foreign)),
    ("aws_external_id", Rule::Works(foreign)),
    ("aws_session_tags", Rule::Works(foreign)),
    ("aws_bedrock_runtime_endpoint", Rule::Works(foreign)),
    ("aws_bedrock_project_id", Rule::Works(foreign)),
    ("aws_batch_role_arn", Rule::Works(foreign)),
    ("s3_bucket_name", Rule::Works(foreign)),
    ("s3_endpoint_url", Rule::Works(foreign)),
    ("s3_region_name", Rule::Works(foreign)),
    ("s3_access_key_id", Rule::Works(foreign)),
    ("s3_secret_access_key", Rule::Works(foreign)),
    ("s3_encryption_key_id", Rule::Works(foreign)),
    ("s3_bucket_owner", Rule::Works(foreign)),
    ("s3_output_bucket_name", Rule::Works(foreign)),
    ("bedrock_tags", Rule::Works(foreign)),
    ("watsonx_region_name", Rule::Works(foreign)),
    ("use_xai_oauth", Rule::Works(foreign)),
    ("openai_identity_provider_id", Rule::Works(foreign)),
    ("openai_service_account_id", Rule::Works(foreign)),
    ("openai_identity_token_file", Rule::Works(foreign)),
    // What would change who may do what, or what is enforced.
    ("max_budget", Rule::Works(|p, at, s| p.budget.max = budgets::money(at, s))),
    ("soft_budget", Rule::Works(|p, at, s| p.budget.soft = budgets::money(at, s))),
    ("budget_duration", Rule::Works(|p, at, s| p.budget.duration = budgets::duration(at, s))),
    ("budget_window", Rule::Works(|p, at, s| p.budget.window = budgets::window(at, s))),
    ("budget_timezone", Rule::Works(|p, at, s| p.budget.timezone = budgets::timezone(at, s))),
    ("default_api_key_tpm_limit", Rule::Refused(NO_LIMITS)),
    ("default_api_key_rpm_limit", Rule::Refused(NO_LIMITS)),
    ("guardrails", Rule::Refused(NO_GUARD)),
    ("turn_off_message_logging", Rule::Refused("set it under `litellm_settings`, for all deployments")),
    (
        "allowed_model_region",
        Rule::Refused(
            "give the deployment a `region_name`, and `allowed_model_region` to customers, keys or teams",
        ),
    ),
    (
        "litellm_credential_name",
        Rule::Refused("give `api_key` and `api_base` here: `credential_list` is not supported yet"),
    ),
    ("auto_router_config_path", Rule::Refused(NO_ROUTER)),
    ("auto_router_config", Rule::Refused(NO_ROUTER)),
    ("auto_router_default_model", Rule::Refused(NO_ROUTER)),
    ("auto_router_embedding_model", Rule::Refused(NO_ROUTER)),
    ("complexity_router_config", Rule::Refused(NO_ROUTER)),
    ("complexity_router_default_model", Rule::Refused(NO_ROUTER)),
    ("adaptive_router_config", Rule::Refused(NO_ROUTER)),
    ("adaptive_router_default_model", Rule::Refused(NO_ROUTER)),
    ("quality_router_config", Rule::Refused(NO_ROUTER)),
    ("quality_router_default_model", Rule::Refused(NO_ROUTER)),
    // What is missed.
    ("fallbacks", Rule::Missed("set `fallbacks` under `router_settings`")),
    ("context_window_fallback_dict", Rule::Missed("set `context_window_fallbacks` under `router_settings`")),
    ("additional_drop_params", Rule::Missed(AS_SENT)),
    ("allowed_openai_params", Rule::Missed(AS_SENT)),
    ("metadata", Rule::Missed("only tags given under `tags` route and label requests")),
    ("litellm_metadata", Rule::Missed("only tags given under `tags` route and label requests")),
    ("ssl_verify", Rule::Missed("certificates are always verified: add yours to the system's store")),
    ("silent_model", Rule::Missed("no traffic is mirrored")),
    (
        "retry_policy",
        Rule::Missed("set `retry_policy` or `model_group_retry_policy` under `router_settings`"),
    ),
    ("request_timeout", Rule::Missed("use `timeout`")),
    ("force_timeout", Rule::Missed("use `timeout`")),
    ("provider_specific_header", Rule::Missed("use `extra_headers`")),
    ("ensure_alternating_roles", Rule::Missed(AS_SENT)),
    ("user_continue_message", Rule::Missed(AS_SENT)),
    ("assistant_continue_message", Rule::Missed(AS_SENT)),
    ("prompt_id", Rule::Missed(AS_SENT)),
    ("prompt_variables", Rule::Missed(AS_SENT)),
    ("prompt_version", Rule::Missed(AS_SENT)),
    ("prompt_label", Rule::Missed(AS_SENT)),
    ("litellm_system_prompt", Rule::Missed(AS_SENT)),
    ("enable_json_schema_validation", Rule::Missed("answers are passed on as they come")),
    // What means nothing here.
    ("drop_params", Rule::Ignored),
    ("id", Rule::Ignored),
    ("db_model", Rule::Ignored),
    ("litellm_trace_id", Rule::Ignored),
    ("litellm_session_id", Rule::Ignored),
    ("litellm_call_id", Rule::Ignored),
    ("litellm_request_debug", Rule::Ignored),
    ("stream_chunk_size", Rule::Ignored),
    ("keepalive_seconds", Rule::Ignored),
    ("allow_client_keepalive_override", Rule::Ignored),
    ("use_in_pass_through", Rule::Ignored),
    ("configurable_clientside_auth_params", Rule::Ignored),
    ("caching", Rule::Ignored),
    ("caching_groups", Rule::Ignored),
    ("ttl", Rule::Ignored),
    ("cache", Rule::Ignored),
    ("verbose", Rule::Ignored),
    ("no-log", Rule::Ignored),
    ("mock_timeout", Rule::Ignored),
    ("itpm", Rule::Ignored),
    ("otpm", Rule::Ignored),
    ("model_info", Rule::Ignored),
    ("supports_system_message", Rule::Ignored),
    ("max_file_size_mb", Rule::Ignored),
    ("use_litellm_proxy", Rule::Ignored),
    ("use_chat_completions_api", Rule::Ignored),
    ("merge_reasoning_content_in_choices", Rule::Ignored),
    ("provider_affinity_header", Rule::Ignored),
    ("timeout_by_service_tier", Rule::Ignored),
    ("stream_timeout_by_service_tier", Rule::Ignored),
    ("complete_response", Rule::Ignored),
    ("litellm_disabled_callbacks", Rule::Ignored),
    ("custom_prompt_dict", Rule::Ignored),
    ("roles", Rule::Ignored),
    ("initial_prompt_value", Rule::Ignored),
    ("final_prompt_value", Rule::Ignored),
    ("bos_token", Rule::Ignored),
    ("eos_token", Rule::Ignored),
    ("hf_model_name", Rule::Ignored),
    ("enable_prompt_caching", Rule::Ignored),
    ("fireworks_forward_user_id", Rule::Ignored),
    ("max_agentic_loops", Rule::Ignored),
    ("regional_processing_uplift_multiplier_eu", Rule::Ignored),
    ("regional_processing_uplift_multiplier_us", Rule::Ignored),
    ("regional_endpoint_uplift_multiplier", Rule::Ignored),
    ("output_vector_size", Rule::Ignored),
];

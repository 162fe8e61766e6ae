//! The names of headers that requests and answers carry; made once, since making one costs a parse.

use http::HeaderName;

pub(super) static ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
pub(super) static ATTEMPTED_FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
pub(super) static ATTEMPTED_RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
pub(super) static CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
pub(super) static KEY_MAX_BUDGET: HeaderName = HeaderName::from_static("x-litellm-key-max-budget");
pub(super) static KEY_SPEND: HeaderName = HeaderName::from_static("x-litellm-key-spend");
pub(super) static MARETRIES: HeaderName = HeaderName::from_static("x-litellm-max-retries");
pub(super) static MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
pub(super) static MODEL_NAME: HeaderName = HeaderName::from_static("x-litellm-model-name");
pub(super) static NUM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-num-retries");
pub(super) static OVERHEAD_DURATION_MS: HeaderName =
    HeaderName::from_static("x-litellm-overhead-duration-ms");
pub(super) static PROVIDER_REQUEST_ID: HeaderName = HeaderName::from_static("llm_provider-request-id");
pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub(super) static RESPONSE_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
pub(super) static RESPONSE_COST_INPUT: HeaderName = HeaderName::from_static("x-litellm-response-cost-input");
pub(super) static RESPONSE_COST_OUTPUT: HeaderName =
    HeaderName::from_static("x-litellm-response-cost-output");
pub(super) static RESPONSE_DURATION_MS: HeaderName =
    HeaderName::from_static("x-litellm-response-duration-ms");
pub(super) static STAINLESS_READ_TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-read-timeout");
pub(super) static STREAM_TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");
pub(super) static TAGWAY_EXPLAIN: HeaderName = HeaderName::from_static("x-tagway-explain");
pub(super) static TAGWAY_ROUTE: HeaderName = HeaderName::from_static("x-tagway-route");
pub(super) static TAGWAY_TAG_EXPRESSION: HeaderName = HeaderName::from_static("x-tagway-tag-expression");
pub(super) static TAGWAY_WARNING: HeaderName = HeaderName::from_static("x-tagway-warning");
pub(super) static TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
pub(super) static VERSION: HeaderName = HeaderName::from_static("x-litellm-version");
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

//! A request of the log as answers show it: under LiteLLM's names, with what LiteLLM does not know beside them. Knows
//! no filters and no pages.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::super::Shared;
use super::super::given::object;
use super::super::refusal::Refusal;
use super::csv::Sheet;
use super::names::{self, Keys};
use crate::receipt::Receipt;
use crate::store::Dim;

/// The names beside the ids of a page of the log.
pub(super) struct Names {
    keys: Keys,
    teams: HashMap<String, Value>,
}

impl Names {
    pub(super) async fn read(shared: &Shared, log: &[Receipt]) -> Result<Self, Refusal> {
        let keys = log.iter().filter_map(|receipt| receipt.subject.key.as_deref());
        let teams = log.iter().filter_map(|receipt| receipt.subject.team.as_deref());
        Ok(Self {
            keys: Keys::read(shared, keys).await?,
            teams: names::metadata(shared, Dim::Team, teams).await?,
        })
    }

    fn key(&self, receipt: &Receipt) -> Option<&str> {
        self.keys.alias(receipt.subject.key.as_deref()?)
    }

    fn team(&self, receipt: &Receipt) -> Option<&str> {
        self.teams.get(receipt.subject.team.as_deref()?)?.get("team_alias")?.as_str()
    }
}

/// The number of a request as text.
pub(super) fn id(receipt: &Receipt) -> String {
    number(receipt.id)
}

/// The same of the number itself.
pub(super) fn number(id: u128) -> String {
    format!("{id:032x}")
}

/// LiteLLM's name for what an endpoint does.
fn call_type(endpoint: &str) -> &str {
    match endpoint.strip_prefix("/v1").unwrap_or(endpoint) {
        "/chat/completions" => "acompletion",
        "/completions" => "atext_completion",
        "/embeddings" => "aembedding",
        "/responses" => "aresponses",
        _ => endpoint,
    }
}

fn after(began: i64, micros: u64) -> Option<String> {
    let micros = i64::try_from(micros).ok()?;
    let began = Timestamp::from_millisecond(began).ok()?;
    began.checked_add(SignedDuration::from_micros(micros)).ok().map(|at| format!("{at:.3}"))
}

fn status(receipt: &Receipt) -> &'static str {
    if receipt.failed() { "failure" } else { "success" }
}

/// Milliseconds of microseconds.
fn millis(micros: u64) -> u64 {
    micros / 1000
}

/// A row of the log.
pub(super) fn shown(receipt: &Receipt, names: &Names) -> Value {
    let usage = receipt.usage.unwrap_or_default();
    let tags: Vec<&str> = receipt.subject.tags.iter().map(|tagged| &*tagged.tag).collect();
    let error = receipt
        .error
        .as_deref()
        .map(|message| json!({"error_code": receipt.status.to_string(), "error_message": message}));
    let first = receipt.first_byte.and_then(|micros| after(receipt.began, micros));
    let key = names::key(receipt.subject.key.as_deref());
    let metadata = json!({
        "user_api_key": key,
        "user_api_key_alias": names.key(receipt),
        "user_api_key_team_id": receipt.subject.team,
        "user_api_key_team_alias": names.team(receipt),
        "user_api_key_user_id": receipt.subject.user,
        "user_api_key_org_id": receipt.subject.organization,
        "user_api_key_project_id": receipt.subject.project,
        "status": status(receipt),
        "error_information": error,
        "usage_object": receipt.usage.map(|_| used(receipt)),
        "attempted_retries": receipt.retries,
        "attempted_fallbacks": receipt.fallbacks,
        "original_model_group": receipt.subject.asked,
        "tags": tags,
    });
    let known = json!({
        "request_id": id(receipt),
        "litellm_call_id": receipt.call_id(),
        "call_type": call_type(&receipt.subject.endpoint),
        "api_key": key,
        "spend": receipt.cost.unwrap_or_default().dollars(),
        "total_tokens": usage.prompt.saturating_add(usage.completion),
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "startTime": after(receipt.began, 0),
        "endTime": after(receipt.began, receipt.took),
        "completionStartTime": first,
        "request_duration_ms": millis(receipt.took),
        "model": receipt.subject.model.as_deref().unwrap_or(&receipt.subject.asked),
        "model_id": receipt.subject.deployment.as_deref().unwrap_or_default(),
        "model_group": receipt.subject.group,
        "custom_llm_provider": receipt.subject.provider,
        "api_base": "",
        "user": receipt.subject.user.as_deref().unwrap_or_default(),
        "metadata": metadata,
        "cache_hit": "False",
        "cache_key": "",
        "request_tags": tags,
        "team_id": receipt.subject.team,
        "organization_id": receipt.subject.organization,
        "project_id": receipt.subject.project,
        "end_user": receipt.subject.customer,
        "requester_ip_address": null,
        "session_id": null,
        "status": status(receipt),
        "messages": {},
        "response": {},
        "proxy_server_request": {},
        "mcp_namespaced_tool_name": null,
        "agent_id": null,
    });
    let tags = receipt.subject.tags.iter().map(|tagged| json!({"tag": tagged.tag, "origin": tagged.origin}));
    let own = json!({
        "cost": receipt.cost.map(tagway_core::money::Nanos::dollars),
        "status_code": receipt.status,
        "stream": receipt.stream,
        "asked_model": receipt.subject.asked,
        "tags": tags.collect::<Vec<_>>(),
        "matched_by": receipt.subject.matched.as_ref().map(|(what, value)| json!({"kind": what, "value": value})),
        "ttft_ms": receipt.first_byte.filter(|_| receipt.stream).map(millis),
        "upstream_duration_ms": millis(receipt.upstream),
        "estimated_usage": usage.estimated,
    });
    let mut row = object(&known);
    row.extend(object(&own));
    Value::Object(row)
}

/// Tokens under OpenAI's names.
fn used(receipt: &Receipt) -> Map<String, Value> {
    let usage = receipt.usage.unwrap_or_default();
    let fields = json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt.saturating_add(usage.completion),
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_creation_tokens": usage.cache_write,
            "audio_tokens": usage.audio_in,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_out,
        },
    });
    object(&fields)
}

/// The columns of a sheet of the log.
pub(super) const COLUMNS: [&str; 29] = [
    "request_id",
    "call_id",
    "start_time",
    "duration_ms",
    "ttft_ms",
    "endpoint",
    "status",
    "status_code",
    "api_key",
    "key_alias",
    "team_id",
    "team_alias",
    "user_id",
    "organization_id",
    "project_id",
    "end_user",
    "asked_model",
    "model_group",
    "model",
    "deployment",
    "provider",
    "spend",
    "prompt_tokens",
    "completion_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "estimated_usage",
    "tags",
    "error",
];

/// A row of a sheet of the log. What it cost is empty where no price is known.
pub(super) fn cells(sheet: &mut Sheet, receipt: &Receipt, names: &Names) {
    let usage = receipt.usage.unwrap_or_default();
    let tags: Vec<&str> = receipt.subject.tags.iter().map(|tagged| &*tagged.tag).collect();
    let first = receipt.first_byte.map(|micros| millis(micros).to_string());
    sheet
        .plain(id(receipt))
        .text(&receipt.call_id())
        .plain(after(receipt.began, 0).unwrap_or_default())
        .plain(millis(receipt.took))
        .plain(first.unwrap_or_default())
        .text(&receipt.subject.endpoint)
        .plain(status(receipt))
        .plain(receipt.status)
        .text(names::key(receipt.subject.key.as_deref()))
        .maybe(names.key(receipt))
        .maybe(receipt.subject.team.as_deref())
        .maybe(names.team(receipt))
        .maybe(receipt.subject.user.as_deref())
        .maybe(receipt.subject.organization.as_deref())
        .maybe(receipt.subject.project.as_deref())
        .maybe(receipt.subject.customer.as_deref())
        .text(&receipt.subject.asked)
        .maybe(receipt.subject.group.as_deref())
        .maybe(receipt.subject.model.as_deref())
        .maybe(receipt.subject.deployment.as_deref())
        .maybe(receipt.subject.provider.as_deref())
        .plain(receipt.cost.map(super::csv::decimal).unwrap_or_default())
        .plain(usage.prompt)
        .plain(usage.completion)
        .plain(usage.cache_read)
        .plain(usage.cache_write)
        .plain(usage.estimated)
        .text(&json!(tags).to_string())
        .maybe(receipt.error.as_deref())
        .end();
}

//! Answers of `mock_response` deployments: what a provider would say, without any. Shapes are OpenAI's, token
//! counts LiteLLM's constants for mocks.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tagway_core::config::{Mock, MockError};
use tagway_core::snapshot::Endpoint;
use tagway_core::usage::Usage;

use super::content::Content;
use super::failure::Failure;
use super::intake::Call;
use super::refused::{Class, Refused};

const USAGE: Usage = Usage { prompt: 10, completion: 20, total: 30, ..Usage::NONE };
/// A mocked stream comes in pieces of this many characters.
const PIECE: usize = 3;

/// Plays a mock.
///
/// # Errors
/// The failure the mock stands for.
pub(crate) fn play(mock: &Mock, model: &str, call: &Call<'_>) -> Result<Content, Failure> {
    let text = match mock {
        Mock::Error(error) => return Err(failure(*error, model)),
        Mock::Text(text) => text.clone(),
        Mock::Embedding(vector) if call.endpoint == Endpoint::Embeddings => {
            return Ok(embedding(vector, call));
        }
        Mock::Embedding(vector) => json!(vector).to_string(),
    };
    let id = uuid::Uuid::from_u128(fastrand::u128(..));
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let answer =
        Answer { id: id.to_string(), created, model: named(call), text: &text, choices: choices(call) };
    Ok(match (call.endpoint, call.stream) {
        (Endpoint::Embeddings, _) => embedding(&[0.0], call),
        (Endpoint::Chat, false) => whole(&answer.chat()),
        (Endpoint::Completions, false) => whole(&answer.completion()),
        (Endpoint::Responses, false) => whole(&answer.response("completed")),
        (Endpoint::Chat, true) => answer.chat_events(call.asked_for_usage),
        (Endpoint::Completions, true) => answer.completion_events(),
        (Endpoint::Responses, true) => answer.response_events(),
    })
}

/// How many choices the client wants.
fn choices(call: &Call<'_>) -> u64 {
    const MOST: u64 = 128;
    call.peek.json_of("n").and_then(|json| json.parse().ok()).unwrap_or(1).clamp(1, MOST)
}

/// The name the client asked for.
fn named(call: &Call<'_>) -> Value {
    serde_json::from_str(&call.model_json).unwrap_or_default()
}

fn whole(body: &Value) -> Content {
    Content::Whole { body: body.to_string().into(), usage: Some(USAGE) }
}

fn embedding(vector: &[f64], call: &Call<'_>) -> Content {
    whole(&json!({
        "model": named(call),
        "data": [{"embedding": vector, "index": 0, "object": "embedding"}],
        "object": "list",
        "usage": {"prompt_tokens": USAGE.prompt, "completion_tokens": 0, "total_tokens": USAGE.prompt},
    }))
}

struct Answer<'a> {
    id: String,
    created: u64,
    model: Value,
    text: &'a str,
    choices: u64,
}

fn usage() -> Value {
    json!({"completion_tokens": USAGE.completion, "prompt_tokens": USAGE.prompt, "total_tokens": USAGE.total})
}

impl Answer<'_> {
    /// The same for every choice.
    fn each(&self, choice: impl Fn(u64) -> Value) -> Value {
        (0..self.choices).map(choice).collect()
    }

    fn chat(&self) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.id), "created": self.created, "model": self.model,
            "object": "chat.completion",
            "choices": self.each(|index| json!({
                "finish_reason": "stop", "index": index,
                "message": {"content": self.text, "role": "assistant"},
            })),
            "usage": usage(),
        })
    }

    fn completion(&self) -> Value {
        json!({
            "id": format!("cmpl-{}", self.id), "created": self.created, "model": self.model,
            "object": "text_completion",
            "choices": [{"finish_reason": "stop", "index": 0, "text": self.text, "logprobs": null}],
            "usage": usage(),
        })
    }

    fn response(&self, status: &str) -> Value {
        let done = status == "completed";
        let output = json!([{
            "type": "message", "id": format!("msg_{}", self.id), "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": self.text, "annotations": []}],
        }]);
        json!({
            "id": format!("resp_{}", self.id), "created_at": self.created, "model": self.model,
            "object": "response", "status": status, "error": null, "incomplete_details": null,
            "instructions": null, "metadata": {}, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
            "temperature": null, "top_p": null,
            "output": if done { output } else { json!([]) },
            "usage": if done { json!({
                "input_tokens": USAGE.prompt, "output_tokens": USAGE.completion, "total_tokens": USAGE.total,
                "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
            }) } else { Value::Null },
        })
    }

    fn pieces(&self) -> Vec<String> {
        let characters: Vec<char> = self.text.chars().collect();
        characters.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
    }

    fn chat_events(&self, with_usage: bool) -> Content {
        let chunk = |choices: Value| {
            json!({
                "id": format!("chatcmpl-{}", self.id), "object": "chat.completion.chunk",
                "created": self.created, "model": self.model, "choices": choices,
            })
        };
        let mut events: Vec<Value> = Vec::new();
        for (n, piece) in self.pieces().into_iter().enumerate() {
            let delta = if n == 0 {
                json!({"role": "assistant", "content": piece})
            } else {
                json!({"content": piece})
            };
            events.push(chunk(self.each(|index| json!({"index": index, "delta": delta}))));
        }
        events.push(chunk(self.each(|index| json!({"index": index, "delta": {}, "finish_reason": "stop"}))));
        if with_usage {
            let mut last = chunk(json!([]));
            last["usage"] = usage();
            events.push(last);
        }
        Content::Events { events: data_events(&events), usage: USAGE }
    }

    fn completion_events(&self) -> Content {
        let chunk = |text: &str, finish: Option<&str>| {
            json!({
                "id": format!("cmpl-{}", self.id), "object": "text_completion", "created": self.created,
                "model": self.model,
                "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}],
            })
        };
        let mut events: Vec<Value> = self.pieces().iter().map(|piece| chunk(piece, None)).collect();
        events.push(chunk("", Some("stop")));
        Content::Events { events: data_events(&events), usage: USAGE }
    }

    fn response_events(&self) -> Content {
        let item = format!("msg_{}", self.id);
        let mut events = vec![
            json!({"type": "response.created", "response": self.response("in_progress")}),
            json!({"type": "response.in_progress", "response": self.response("in_progress")}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": {
                "type": "message", "id": item, "status": "in_progress", "role": "assistant", "content": [],
            }}),
            json!({"type": "response.content_part.added", "item_id": item, "output_index": 0, "content_index": 0,
                "part": {"type": "output_text", "text": "", "annotations": []}}),
        ];
        for piece in self.pieces() {
            events.push(json!({
                "type": "response.output_text.delta", "item_id": item, "output_index": 0, "content_index": 0,
                "delta": piece, "logprobs": [],
            }));
        }
        let full = self.response("completed");
        let message = full["output"][0].clone();
        events.extend([
            json!({"type": "response.output_text.done", "item_id": item, "output_index": 0, "content_index": 0,
                "text": self.text, "logprobs": []}),
            json!({"type": "response.content_part.done", "item_id": item, "output_index": 0, "content_index": 0,
                "part": message["content"][0]}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": message}),
            json!({"type": "response.completed", "response": full}),
        ]);
        for (event, number) in events.iter_mut().zip(0..) {
            event["sequence_number"] = Value::from(number);
        }
        Content::Events { events: data_events(&events), usage: USAGE }
    }
}

fn data_events(events: &[Value]) -> bytes::Bytes {
    let mut out = String::new();
    for event in events {
        if let Some(name) = event.get("type").and_then(Value::as_str) {
            out.push_str(&format!("event: {name}\n"));
        }
        out.push_str(&format!("data: {event}\n\n"));
    }
    out.push_str("data: [DONE]\n\n");
    out.into()
}

fn failure(error: MockError, model: &str) -> Failure {
    let advice = "https://docs.litellm.ai/docs/routing#fallbacks";
    let (status, kind, class, message) = match error {
        MockError::RateLimit => {
            (429, "throttling_error", Class::Other, "litellm.RateLimitError: this is a mock rate limit error".into())
        }
        MockError::InternalServer => (
            500,
            "internal_server_error",
            Class::Other,
            "litellm.InternalServerError: this is a mock internal server error".into(),
        ),
        MockError::ContextWindowExceeded => (
            400,
            "invalid_request_error",
            Class::ContextWindow,
            format!(
                "litellm.ContextWindowExceededError: litellm.BadRequestError: this is a mock context window exceeded error\nmodel={model}. context_window_fallbacks=None. fallbacks=None.\n\nSet 'context_window_fallback' - {advice}"
            ),
        ),
        MockError::ContentPolicyViolation => (
            400,
            "invalid_request_error",
            Class::ContentPolicy,
            "litellm.BadRequestError: litellm.ContentPolicyViolationError: this is a mock content policy violation error".into(),
        ),
        MockError::Timeout => {
            (408, "invalid_request_error", Class::Other, "litellm.Timeout: this is a mock timeout error".into())
        }
    };
    Failure::Refused(Box::new(Refused {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        kind,
        message,
        class,
        retry_after: None,
        headers: HeaderMap::new(),
    }))
}

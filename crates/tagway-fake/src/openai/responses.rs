//! The responses API, whole and as its stream of named, numbered events.

use serde_json::{Value, json};

use super::{Refusal, Said};
use crate::reply::Reply;
use crate::sse::Event;

pub(super) fn respond(said: &Said) -> Result<Reply, Refusal> {
    said.required("input")?;
    Ok(if said.stream { stream(said) } else { Reply::json(200, &whole(said, "completed")) })
}

fn whole(said: &Said, status: &str) -> Value {
    let (output, usage) = match status {
        "completed" => (json!([item(said, "completed")]), usage(said)),
        _ => (json!([]), Value::Null),
    };
    let asked = |field: &str| said.body.get(field).cloned().unwrap_or_default();
    json!({
        "id": said.id("resp_"), "object": "response", "created_at": said.created, "status": status,
        "error": null, "incomplete_details": null, "instructions": asked("instructions"),
        "max_output_tokens": asked("max_output_tokens"), "model": said.model, "output": output,
        "parallel_tool_calls": true, "previous_response_id": asked("previous_response_id"),
        "store": false, "tool_choice": "auto", "tools": [], "usage": usage, "metadata": {},
    })
}

fn item(said: &Said, status: &str) -> Value {
    let content = if status == "completed" { json!([part(&said.text())]) } else { json!([]) };
    json!({"id": said.id("msg_"), "type": "message", "status": status, "role": "assistant", "content": content})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": []})
}

fn usage(said: &Said) -> Value {
    let (input, output) = said.tokens("input");
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + output,
    })
}

fn stream(said: &Said) -> Reply {
    let text = said.text();
    let place = json!({"item_id": said.id("msg_"), "output_index": 0, "content_index": 0});
    let with = |field: &str, value: Value| {
        let mut body = place.clone();
        body[field] = value;
        body
    };
    let mut told = vec![
        ("response.created", json!({"response": whole(said, "in_progress")})),
        ("response.in_progress", json!({"response": whole(said, "in_progress")})),
        ("response.output_item.added", json!({"output_index": 0, "item": item(said, "in_progress")})),
        ("response.content_part.added", with("part", part(""))),
    ];
    told.extend(
        said.deltas
            .iter()
            .map(|delta| ("response.output_text.delta", with("delta", Value::from(delta.as_str())))),
    );
    told.extend([
        ("response.output_text.done", with("text", Value::from(text.as_str()))),
        ("response.content_part.done", with("part", part(&text))),
        ("response.output_item.done", json!({"output_index": 0, "item": item(said, "completed")})),
        ("response.completed", json!({"response": whole(said, "completed")})),
    ]);
    Reply::sse(told.into_iter().enumerate().map(|(number, (name, rest))| {
        let mut body = json!({"type": name, "sequence_number": number});
        if let (Value::Object(body), Value::Object(rest)) = (&mut body, rest) {
            body.extend(rest);
        }
        Event::named(name, body.to_string())
    }))
}

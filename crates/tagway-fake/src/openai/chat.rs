//! Chat completions and the older text completions, whole and as streams.

use serde_json::{Value, json};

use super::{Refusal, Said};
use crate::reply::Reply;
use crate::sse::Event;

pub(super) fn chat(said: &Said) -> Result<Reply, Refusal> {
    if !said.required("messages")?.is_array() {
        return Err(Refusal::new(400, "Invalid type for 'messages': expected an array of objects."));
    }
    Ok(if said.stream { chat_stream(said) } else { chat_whole(said) })
}

pub(super) fn chat_whole(said: &Said) -> Reply {
    let message = json!({"role": "assistant", "content": said.text(), "refusal": null, "annotations": []});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
    let mut body = envelope(said, "chatcmpl-", "chat.completion", json!([choice]));
    body["usage"] = usage(said, "messages");
    Reply::json(200, &body)
}

pub(super) fn chat_stream(said: &Said) -> Reply {
    let choice = |delta: Value, finish: Option<&str>| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let mut choices = vec![choice(json!({"role": "assistant", "content": "", "refusal": null}), None)];
    choices.extend(said.deltas.iter().map(|text| choice(json!({"content": text}), None)));
    choices.push(choice(json!({}), Some("stop")));
    stream(said, "chatcmpl-", "chat.completion.chunk", "messages", choices)
}

pub(super) fn completion(said: &Said) -> Result<Reply, Refusal> {
    said.required("prompt")?;
    let choice = |text: &str, finish: Option<&str>| json!([{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]);
    if said.stream {
        let mut choices: Vec<Value> = said.deltas.iter().map(|text| choice(text, None)).collect();
        choices.push(choice("", Some("stop")));
        return Ok(stream(said, "cmpl-", "text_completion", "prompt", choices));
    }
    let mut body = envelope(said, "cmpl-", "text_completion", choice(&said.text(), Some("stop")));
    body["usage"] = usage(said, "prompt");
    Ok(Reply::json(200, &body))
}

fn stream(said: &Said, id: &str, object: &str, prompt: &str, choices: Vec<Value>) -> Reply {
    let mut events: Vec<Event> = Vec::with_capacity(choices.len() + 2);
    for choices in choices {
        let mut chunk = envelope(said, id, object, choices);
        // Asked for usage, the real provider says null in every chunk but the last.
        if said.include_usage {
            chunk["usage"] = Value::Null;
        }
        events.push(chunk.into());
    }
    if said.include_usage {
        let mut chunk = envelope(said, id, object, json!([]));
        chunk["usage"] = usage(said, prompt);
        events.push(chunk.into());
    }
    events.push("[DONE]".into());
    Reply::sse(events)
}

fn envelope(said: &Said, id: &str, object: &str, choices: Value) -> Value {
    let mut body = json!({
        "id": said.id(id), "object": object, "created": said.created, "model": said.model,
        "service_tier": "default", "system_fingerprint": "fp_fake",
    });
    body["choices"] = choices;
    body
}

fn usage(said: &Said, prompt: &str) -> Value {
    let (prompt, completion) = said.tokens(prompt);
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}

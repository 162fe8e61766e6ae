//! What of a prompt and its answer is kept in the log of requests: nothing, unless the configuration asks for it; then
//! every string up to a length and all of it up to a size, or only that there was something, where a request or the
//! configuration wants it so.

use http::HeaderMap;
use serde_json::{Value, json};
use tagway_core::config::Config;

use crate::ledger::Seen;
use crate::receipt::Texts;

/// No more bytes are kept of a prompt, or of an answer.
const MOST: usize = 64 << 10;
/// Requests with one of these, and something that is not false in it, are not to be kept.
const REDACTING: [&str; 2] = ["x-litellm-enable-message-redaction", "litellm-enable-message-redaction"];
/// LiteLLM's word for what is left out.
const REDACTED: &str = "redacted-by-litellm";

/// What is kept of a request's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    /// That there were some.
    Mark,
    /// Strings of at most so many characters.
    Strings(usize),
}

impl Keep {
    /// What the configuration says, and the request itself.
    pub(super) fn of(config: &Config, headers: &HeaderMap) -> Self {
        let Some(longest) = config.general.spend_logs.texts else { return Self::Nothing };
        let asked = |name: &str| {
            headers.get(name).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"false"))
        };
        let marked = config.proxy.texts_redacted || REDACTING.iter().any(|name| asked(name));
        if marked { Self::Mark } else { Self::Strings(longest) }
    }

    /// What is kept of a request's body and its answer.
    pub(super) fn texts(self, request: &[u8], seen: &Seen) -> Option<Box<Texts>> {
        let (messages, response) = match self {
            Self::Nothing => return None,
            Self::Mark => (json!([{"role": "user", "content": REDACTED}]), json!({"text": REDACTED})),
            Self::Strings(longest) => (asked(request, longest), answered(seen, longest)),
        };
        Some(Box::new(Texts { messages: text(&messages), response: text(&response) }))
    }
}

/// The part of a request that says something.
fn asked(request: &[u8], longest: usize) -> Value {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(request) else { return json!({}) };
    let said = ["messages", "prompt", "input"].into_iter().find_map(|name| fields.remove(name));
    said.map_or_else(|| json!({}), |said| shortened(said, longest))
}

fn answered(seen: &Seen, longest: usize) -> Value {
    match seen {
        Seen::Nothing => json!({}),
        Seen::Whole(body) => {
            serde_json::from_slice(body).map_or_else(|_| json!({}), |body| shortened(body, longest))
        }
        Seen::Stream(map) => {
            let choices = map.texts().zip(0..).map(|(raw, index)| {
                // As it stands in the stream's JSON; a piece of it may have been cut within an escape.
                let content = serde_json::from_str::<String>(&format!("\"{raw}\""));
                let content = short(content.unwrap_or_else(|_| raw.to_owned()), longest);
                json!({"index": index, "message": {"role": "assistant", "content": content}})
            });
            json!({ "choices": choices.collect::<Vec<_>>() })
        }
    }
}

/// A value with every string in it shortened.
fn shortened(value: Value, longest: usize) -> Value {
    match value {
        Value::String(text) => short(text, longest).into(),
        Value::Array(items) => items.into_iter().map(|item| shortened(item, longest)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, shortened(value, longest))).collect())
        }
        other => other,
    }
}

/// The beginning of a text and its end, which tells more: a third, and two.
fn short(text: String, longest: usize) -> String {
    let count = text.chars().count();
    if count <= longest {
        return text;
    }
    let (head, tail) = (longest / 3, longest - longest / 3);
    let head: String = text.chars().take(head).collect();
    let rest: String = text.chars().skip(count - tail).collect();
    format!("{head}… ({} characters left out) …{rest}", count - longest)
}

/// A value as text, if it is not too large to be kept.
fn text(value: &Value) -> Box<str> {
    let text = value.to_string();
    if text.len() <= MOST {
        return text.into();
    }
    let cut = text.get(..text.floor_char_boundary(MOST / 2)).unwrap_or_default();
    json!({"left_out": text.len() - cut.len(), "begins": cut}).to_string().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_json_and_bounded(
            texts in proptest::collection::vec(".{0,300}", 0..40), longest in 0usize..64
        ) {
            let request = json!({"messages": texts.iter().map(|text| json!({"content": text})).collect::<Vec<_>>()});
            let kept = Keep::Strings(longest).texts(request.to_string().as_bytes(), &Seen::Nothing).unwrap();
            prop_assert!(kept.messages.len() <= MOST);
            let messages: Value = serde_json::from_str(&kept.messages).unwrap();
            for (message, text) in messages.as_array().unwrap().iter().zip(&texts) {
                let content = message["content"].as_str().unwrap();
                if text.chars().count() <= longest {
                    prop_assert_eq!(content, text);
                } else {
                    prop_assert!(content.chars().count() <= longest + 40);
                }
            }
        }
    }

    #[test]
    fn what_is_too_large_is_cut_and_says_so() {
        let request = json!({"input": (0..50_000).collect::<Vec<u32>>()}).to_string();
        let kept = Keep::Strings(100).texts(request.as_bytes(), &Seen::Nothing).unwrap();
        assert!(kept.messages.len() <= MOST && kept.messages.starts_with("{\"left_out\":"));
    }
}

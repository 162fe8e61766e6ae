//! How many tokens a text is, where no provider says so: a count of good quality for what was used, and estimates
//! of what a request may use before it is sent. Knows no prices.

use std::ops::Range;

use crate::wire::json::{Walk, text_of};
use crate::wire::peek::{Known, Peek};

/// What every message of a chat costs beside its text, and the answer's beginning.
const MESSAGE: u64 = 3;

/// An image in a prompt, whatever its size: OpenAI's "high detail" of a square of 1024 pixels.
const IMAGE: u64 = 765;

/// A sound or a file in a prompt, whose content is no text.
const ATTACHMENT: u64 = 300;

/// Tokens of `text`.
pub fn count_text(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// An estimate for a request's prompt that takes no time: more than ordinary text has, less than the worst text
/// can have.
pub fn rough_prompt(bytes: usize) -> u64 {
    bytes as u64 / 3 + 8
}

/// What no prompt of so many bytes can exceed: a token stands for a byte at least. (Images count by their size at
/// the provider, which a link does not tell.)
pub fn most_prompt(bytes: usize) -> u64 {
    bytes as u64
}

/// Tokens of a request's prompt: messages, prompt or input, and the tools.
pub fn count_prompt(body: &Peek<'_>) -> u64 {
    let text = body.text();
    let mut sum = 0;
    if let Some(span) = body.span(Known::Messages) {
        sum += messages(text, span);
    }
    for known in [Known::Prompt, Known::Input] {
        if let Some(span) = body.span(known) {
            sum += input(text, span);
        }
    }
    for key in ["tools", "functions", "response_format", "instructions"] {
        if let Some(json) = body.json_of(key).filter(|json| *json != "null") {
            sum += text_of(json).map_or_else(|| count_text(json), |text| count_text(&text));
        }
    }
    sum
}

fn messages(text: &str, span: Range<usize>) -> u64 {
    let Some(all) = Walk::elements(text, span) else { return 0 };
    all.map(|message| MESSAGE + self::message(text, message)).sum::<u64>() + MESSAGE
}

/// A message, or an item of a responses call's input.
fn message(text: &str, span: Range<usize>) -> u64 {
    let Some(fields) = Walk::fields(text, span) else { return 0 };
    let count = |field: crate::wire::json::FieldSpan| match &text[field.key] {
        "content" | "text" | "output" => content(text, field.value),
        "tool_calls" | "function_call" | "arguments" | "name" | "role" | "reasoning_content" => {
            plain(&text[field.value])
        }
        _ => 0,
    };
    fields.map(count).sum()
}

/// A text, or a list of parts.
fn content(text: &str, span: Range<usize>) -> u64 {
    match Walk::elements(text, span.clone()) {
        Some(parts) => parts.map(|part| self::part(text, part)).sum(),
        None => plain(&text[span]),
    }
}

fn part(text: &str, span: Range<usize>) -> u64 {
    let Some(fields) = Walk::fields(text, span.clone()) else { return plain(&text[span]) };
    let count = |field: crate::wire::json::FieldSpan| match &text[field.key] {
        "text" | "refusal" => plain(&text[field.value]),
        "image_url" => IMAGE,
        "input_audio" | "file" | "file_id" | "file_data" => ATTACHMENT,
        _ => 0,
    };
    fields.map(count).sum()
}

/// `prompt` and `input`: a text, texts, tokens (a number each), or messages.
fn input(text: &str, span: Range<usize>) -> u64 {
    let Some(elements) = Walk::elements(text, span.clone()) else { return plain(&text[span]) };
    let count = |item: Range<usize>| match text.as_bytes().get(item.start) {
        Some(b'{') => MESSAGE + message(text, item),
        Some(b'[') => Walk::elements(text, item).into_iter().flatten().count() as u64,
        Some(b'"') => plain(&text[item]),
        _ => 1,
    };
    elements.map(count).sum()
}

/// A JSON value: a string's text, anything else as it is written.
fn plain(json: &str) -> u64 {
    match (json, text_of(json)) {
        ("null" | "\"\"", _) => 0,
        (_, Some(text)) => count_text(&text),
        (_, None) => count_text(json),
    }
}

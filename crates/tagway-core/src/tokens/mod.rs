//! How many tokens a text is, where no provider says so: a count of good quality for what was used, and estimates
//! of what a request may use before it is sent. Knows no prices.

mod split;
mod vocabulary;

use std::ops::Range;

use crate::wire::json::{Walk, text_of};
use crate::wire::peek::{Known, Peek};

/// What every message of a chat costs beside its text, and the answer's beginning.
const MESSAGE: u64 = 3;

/// An image in a prompt, whatever its size: OpenAI's "high detail" of a square of 1024 pixels.
const IMAGE: u64 = 765;

/// A sound or a file in a prompt, whose content is no text.
const ATTACHMENT: u64 = 300;

/// A text longer than this is counted in samples, so that no text takes long.
const WHOLE: usize = 128 << 10;
const SAMPLE: usize = 8 << 10;

/// Tokens of `text`, as the models of OpenAI of these years have them. For other models, and for a text of more than
/// 128 KB, it is an estimate.
pub fn count_text(text: &str) -> u64 {
    let count = |text| split::Pieces::of(text).map(vocabulary::count).sum::<u64>();
    if text.len() <= WHOLE {
        return count(text);
    }
    let (mut tokens, mut bytes) = (0, 0);
    for at in 0..WHOLE / SAMPLE {
        let start = text.len() / (WHOLE / SAMPLE) * at;
        let start = text.floor_char_boundary(start);
        let sample = &text[start..text.floor_char_boundary(start + SAMPLE)];
        tokens += count(sample);
        bytes += sample.len();
    }
    let all = u128::from(tokens) * text.len() as u128 / bytes.max(1) as u128;
    u64::try_from(all).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_as_openai_does() {
        for (text, tokens) in [
            ("", 0),
            ("Hello, world!", 4),
            ("The quick brown fox jumps over the lazy dog.", 10),
            ("你好，世界。今天天气怎么样？", 9),
            ("fn main() {\n    println!(\"{}\", 12345);\n}\n", 12),
            ("Donaudampfschifffahrtsgesellschaftskapitän", 13),
            ("   \n\n  a\t\tb  ", 6),
            ("Привет, как дела?", 6),
            ("👩‍👩‍👧 🎉", 10),
        ] {
            assert_eq!(count_text(text), tokens, "{text}");
        }
    }

    fn prompt(body: &str) -> u64 {
        count_prompt(&Peek::read(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_prompt_is_its_messages_its_tools_and_a_little_more() {
        assert_eq!(prompt(r#"{"messages":[{"role":"user","content":"Hello, world!"}]}"#), 4 + 1 + 3 + 3);
        let parts = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Hello, world!"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
        assert_eq!(prompt(parts), 4 + 1 + 3 + 3 + IMAGE);
        assert!(
            20 < prompt(
                r#"{"messages":[],"tools":[{"type":"function","function":{"name":"find","parameters":{"type":"object"}}}]}"#
            )
        );
        assert_eq!(prompt(r#"{"prompt":"Hello, world!"}"#), 4);
        assert_eq!(prompt(r#"{"input":["Hello, world!",[1,2,3]]}"#), 7);
        assert_eq!(
            prompt(r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"Hello, world!"}]}]}"#),
            8
        );
        assert_eq!(prompt(r#"{"messages":{"a":1},"prompt":null,"input":7}"#), 1);
    }

    #[test]
    fn a_long_text_is_estimated_well() {
        let text = include_str!("split.rs").repeat(60);
        let (one, all) = (count_text(include_str!("split.rs")) * 60, count_text(&text));
        assert!(WHOLE < text.len() && (one * 97 / 100..=one * 103 / 100).contains(&all), "{one} {all}");
    }

    proptest! {
        #[test]
        fn there_are_never_more_tokens_than_bytes(text in "(\\PC|\\s){0,60}") {
            prop_assert!(count_text(&text) <= most_prompt(text.len()));
        }

        #[test]
        fn any_prompt_is_counted(text in "\\PC{0,30}") {
            let text = serde_json::to_string(&text).unwrap();
            let counted = prompt(&format!("{{\"messages\":[{{\"content\":{text},\"role\":[{text}]}},{text}],\"tools\":{text}}}"));
            prop_assert!(0 < counted);
        }
    }
}

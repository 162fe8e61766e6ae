//! What an answer has said so far, so that its tokens can be counted when the provider's figures do not come: the
//! text of every choice, of its reasoning and of its tool calls. Counts nothing while a stream passes.
//!
//! Chunks of one stream differ in little but the text: the bytes before it and behind it are remembered, so that
//! a chunk costs two comparisons instead of a parse.

use std::ops::Range;

use super::json::{FieldSpan, Walk};
use super::sse::SseMap;
use crate::tokens::count_text;

/// No more text than this is kept; the tokens of what follows are estimated by its length.
const KEPT: usize = 256 << 10;

/// Choices of an answer that are told apart.
const CHOICES: usize = 16;

/// What a tool call costs beside its name and arguments.
const TOOL_CALL: u64 = 4;

/// The text of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// The text of each choice as JSON has it, escapes as written.
    choices: Vec<Vec<u8>>,
    kept: usize,
    total: usize,
    calls: u64,
    alike: Alike,
}

/// How the last chunk with one piece of text was made.
#[derive(Debug, Clone, Default)]
struct Alike {
    /// From where the search began to the text's first byte.
    before: Vec<u8>,
    /// From the quote behind the text to the end of `choices`.
    after: Vec<u8>,
    choice: usize,
}

/// A piece of text in a payload, without its quotes.
struct Piece {
    span: Range<usize>,
    choice: usize,
}

impl SseMap {
    /// The text of each choice so far, as JSON has it, without quotes; no more than is kept to be counted.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.told.choices.iter().map(|raw| std::str::from_utf8(raw).unwrap_or_default())
    }
}

impl Told {
    /// Takes the text of a chunk that is made as the last one was behind `from`. Says up to where it is.
    pub(super) fn alike(&mut self, payload: &[u8], from: usize) -> Option<usize> {
        let Alike { before, after, choice } = &self.alike;
        let rest = payload.get(from..)?.strip_prefix(before.as_slice()).filter(|_| !before.is_empty())?;
        let end = string_end(rest)?;
        if !rest[end..].starts_with(after) {
            return None;
        }
        let known = from + before.len() + end + after.len();
        self.keep(*choice, &rest[..end]);
        Some(known)
    }

    /// Takes the text of any chunk; what stands before `from` is known to hold none.
    pub(super) fn chunk(&mut self, payload: &[u8], from: usize) {
        if let Ok(text) = std::str::from_utf8(payload) {
            self.study(text, from);
        }
    }

    fn study(&mut self, text: &str, from: usize) {
        let fields = Walk::fields(text, 0..text.len()).into_iter().flatten();
        for field in fields {
            match &text[field.key] {
                "choices" => {
                    let (mut pieces, end) = (Vec::new(), field.value.end);
                    self.choices_of(text, field.value, &mut pieces);
                    if let [piece] = pieces.as_slice()
                        && from < piece.span.start
                    {
                        self.alike = Alike {
                            before: text.as_bytes()[from..piece.span.start].to_vec(),
                            after: text.as_bytes()[piece.span.end..end].to_vec(),
                            choice: piece.choice,
                        };
                    }
                    for piece in pieces {
                        self.keep(piece.choice, text[piece.span].as_bytes());
                    }
                }
                "delta" => self.string(text, field.value),
                _ => {}
            }
        }
    }

    /// A piece of text that was found already, with its quotes.
    pub(super) fn string(&mut self, text: &str, value: Range<usize>) {
        if let Some(inner) = text[value].strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            self.keep(0, inner.as_bytes());
        }
    }

    /// Every piece of text in `choices`, of a stream or of a whole answer.
    fn choices_of(&mut self, text: &str, choices: Range<usize>, pieces: &mut Vec<Piece>) {
        for (choice, at) in Walk::elements(text, choices).into_iter().flatten().zip(0..) {
            let (mut index, first) = (at, pieces.len());
            for field in Walk::fields(text, choice).into_iter().flatten() {
                match &text[field.key.clone()] {
                    "index" => index = text[field.value].parse().unwrap_or(at),
                    "delta" | "message" => self.message(text, field.value, pieces),
                    "text" => piece(text, &field, pieces),
                    _ => {}
                }
            }
            for piece in &mut pieces[first..] {
                piece.choice = index.min(CHOICES - 1);
            }
        }
    }

    /// A message, or its next part.
    fn message(&mut self, text: &str, span: Range<usize>, pieces: &mut Vec<Piece>) {
        for field in Walk::fields(text, span).into_iter().flatten() {
            match &text[field.key.clone()] {
                "content" | "reasoning_content" | "reasoning" | "refusal" => piece(text, &field, pieces),
                "function_call" => self.function(text, field.value, pieces),
                "tool_calls" => {
                    for call in Walk::elements(text, field.value).into_iter().flatten() {
                        for field in Walk::fields(text, call).into_iter().flatten() {
                            if matches!(&text[field.key.clone()], "function" | "custom") {
                                self.function(text, field.value, pieces);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn function(&mut self, text: &str, span: Range<usize>, pieces: &mut Vec<Piece>) {
        for field in Walk::fields(text, span).into_iter().flatten() {
            match &text[field.key.clone()] {
                "name" => {
                    self.calls += 1;
                    piece(text, &field, pieces);
                }
                "arguments" | "input" => piece(text, &field, pieces),
                _ => {}
            }
        }
    }

    fn keep(&mut self, choice: usize, raw: &[u8]) {
        self.total += raw.len();
        if KEPT < self.kept + raw.len() {
            return;
        }
        self.kept += raw.len();
        while self.choices.len() <= choice {
            self.choices.push(Vec::new());
        }
        if let Some(text) = self.choices.get_mut(choice) {
            if text.capacity() == 0 {
                text.reserve(256.max(raw.len()));
            }
            text.extend_from_slice(raw);
        }
    }

    /// Tokens of all of it.
    pub(super) fn tokens(&self) -> u64 {
        let kept: u64 = self.choices.iter().map(|raw| count_raw(raw)).sum();
        let all = if self.kept < self.total {
            u128::from(kept) * self.total as u128 / (self.kept.max(1) as u128)
        } else {
            kept.into()
        };
        u64::try_from(all).unwrap_or(u64::MAX).saturating_add(TOOL_CALL * self.calls)
    }

    /// The text of a whole answer.
    pub(super) fn of_answer(text: &str) -> Self {
        let mut told = Self::default();
        for field in Walk::fields(text, 0..text.len()).into_iter().flatten() {
            match &text[field.key] {
                "choices" => {
                    let mut pieces = Vec::new();
                    told.choices_of(text, field.value, &mut pieces);
                    for piece in pieces {
                        told.keep(piece.choice, text[piece.span].as_bytes());
                    }
                }
                "output" => told.output(text, field.value),
                _ => {}
            }
        }
        told
    }

    /// `output` of a response: messages, reasoning and calls of functions.
    fn output(&mut self, text: &str, output: Range<usize>) {
        for item in Walk::elements(text, output).into_iter().flatten() {
            for field in Walk::fields(text, item).into_iter().flatten() {
                match &text[field.key] {
                    "content" | "summary" => {
                        for part in Walk::elements(text, field.value).into_iter().flatten() {
                            let fields = Walk::fields(text, part).into_iter().flatten();
                            for field in
                                fields.filter(|field| matches!(&text[field.key.clone()], "text" | "refusal"))
                            {
                                self.string(text, field.value);
                            }
                        }
                    }
                    "arguments" | "name" | "input" => self.string(text, field.value),
                    _ => {}
                }
            }
        }
    }
}

fn piece(text: &str, field: &FieldSpan, pieces: &mut Vec<Piece>) {
    let span = field.value.clone();
    if span.len() >= 2 && text.as_bytes()[span.start] == b'"' {
        pieces.push(Piece { span: span.start + 1..span.end - 1, choice: 0 });
    }
}

/// Where a string that begins before `rest` ends: at its closing quote.
fn string_end(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', rest.get(at..)?)?;
        if rest[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

/// Tokens of the inside of a JSON string.
fn count_raw(raw: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(raw) else { return count_text(&String::from_utf8_lossy(raw)) };
    if memchr::memchr(b'\\', raw).is_none() {
        return count_text(text);
    }
    let unescaped: Option<String> = serde_json::from_str(&format!("\"{text}\"")).ok();
    count_text(unescaped.as_deref().unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::super::sse::{SseMap, Wishes};
    use super::*;

    /// The text kept of the first choice, escapes undone.
    fn text(told: &Told) -> String {
        let raw = told.choices.first().cloned().unwrap_or_default();
        serde_json::from_str(&format!("\"{}\"", String::from_utf8(raw).unwrap())).unwrap()
    }

    fn told(payloads: &[&str]) -> Told {
        let mut told = Told::default();
        for payload in payloads {
            if told.alike(payload.as_bytes(), 0).is_none() {
                told.chunk(payload.as_bytes(), 0);
            }
        }
        told
    }

    #[test]
    fn joins_the_text_of_chunks_that_are_alike_and_of_those_that_are_not() {
        let told = told(&[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"He\"l"}}],"obfuscation":"x"}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"l\\"}}],"obfuscation":"abc"}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"o"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a","refusal":"b"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":null}}]}"#,
            r#"{"choices":[{"text":"c"}]}"#,
        ]);
        assert_eq!(text(&told), "He\"ll\\ohmabc");
    }

    #[test]
    fn choices_do_not_mix() {
        let told = told(&[
            r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"x"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"b"}},{"index":1,"delta":{"content":"y"}}]}"#,
        ]);
        assert_eq!(told.choices, [b"ab", b"xy"]);
    }

    #[test]
    fn the_arguments_of_calls_count() {
        let told = told(&[
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"find","arguments":""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
        ]);
        assert_eq!(text(&told), "find{\"a\":1}");
        assert_eq!(told.calls, 1);
    }

    #[test]
    fn a_response_tells_its_text_in_deltas() {
        let told = told(&[
            r#"{"type":"response.output_text.delta","sequence_number":1,"delta":"Hel"}"#,
            r#"{"type":"response.output_text.delta","sequence_number":2,"delta":"lo"}"#,
            r#"{"type":"response.output_text.done","text":"Hello"}"#,
        ]);
        assert_eq!(text(&told), "Hello");
    }

    #[test]
    fn a_whole_answer_tells_the_same() {
        let chat = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"}}]}"#;
        let response = r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"Hello"}]}]}"#;
        assert_eq!(text(&Told::of_answer(chat)), "Hello");
        assert_eq!(text(&Told::of_answer(response)), "Hello");
    }

    #[test]
    fn a_stream_split_anywhere_says_the_same() {
        let chunk = |text: &str| {
            format!(
                "data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
            )
        };
        let stream = ["Hello", ",", " \\\"wor", "ld\\\""].map(chunk).concat();
        for size in [stream.len(), 7, 1] {
            let mut map = SseMap::new(Wishes { model: "\"asked\"".into(), hide_usage: true });
            stream.as_bytes().chunks(size).for_each(|part| map.push(part, &mut Vec::new()).unwrap());
            assert_eq!(map.estimated_completion(), count_text("Hello, \"world\""));
        }
    }

    #[test]
    fn what_is_not_kept_is_estimated_by_its_length() {
        let mut told = Told::default();
        let word = "word ".repeat(1000);
        for _ in 0..1000 {
            told.keep(0, word.as_bytes());
        }
        assert!(told.kept <= KEPT);
        let (one, all) = (count_text(&word), told.tokens());
        assert!((one * 990..=one * 1010).contains(&all), "{one} {all}");
    }
}

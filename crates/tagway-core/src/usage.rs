//! Tokens as providers report them. Knows the field names of OpenAI's chat, completion, embedding and responses
//! answers, and what compatible providers add to them; knows no prices. Nothing a provider writes is a failure:
//! a figure that makes no sense is as good as none.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::wire::json::Walk;

/// More tokens than any call has: whoever reports more has not counted.
const MOST: f64 = 1e9;

/// Tokens of one call, as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt: u64,
    /// Tokens of the answer, reasoning included.
    pub completion: u64,
    /// The provider's total.
    pub total: u64,
    /// Of the prompt: tokens read from the provider's cache.
    pub cache_read: u64,
    /// Of the prompt: tokens written to the provider's cache.
    pub cache_write: u64,
    /// Of the answer: tokens of reasoning.
    pub reasoning: u64,
    /// Of the prompt: tokens of audio.
    pub audio_in: u64,
    /// Of the answer: tokens of audio.
    pub audio_out: u64,
    /// How fast the provider served the call, which some of them price.
    pub service: Service,
    /// Counted by tagway, wholly or in part, since the provider's figures did not come.
    pub estimated: bool,
}

/// A provider's service tier with prices of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// `default`, `auto`, and everything unheard of.
    #[default]
    Standard,
    /// `flex`: slower and cheaper.
    Flex,
    /// `priority`
    Priority,
    /// `ultrafast`
    Ultrafast,
}

impl Service {
    /// Those with prices of their own.
    pub const SPECIAL: [Self; 3] = [Self::Flex, Self::Priority, Self::Ultrafast];

    /// Its name at the provider, and at the end of LiteLLM's price names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "default",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Ultrafast => "ultrafast",
        }
    }

    /// The tier an answer's `service_tier` names, as a JSON value.
    pub fn read(json: &str) -> Self {
        let name = json.trim_matches('"');
        Self::SPECIAL.into_iter().find(|service| service.name() == name).unwrap_or_default()
    }
}

/// The figures of a `usage` object as they stand there.
#[derive(Default)]
struct Figures {
    prompt: Option<u64>,
    input: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    /// Anthropic's names for the cache, which count beside `input_tokens`.
    beside: bool,
    details: bool,
    cache_read: u64,
    cache_write: u64,
    reasoning: u64,
    audio_in: u64,
    audio_out: u64,
}

impl Usage {
    /// Nothing.
    pub const NONE: Self = Self {
        prompt: 0,
        completion: 0,
        total: 0,
        cache_read: 0,
        cache_write: 0,
        reasoning: 0,
        audio_in: 0,
        audio_out: 0,
        service: Service::Standard,
        estimated: false,
    };

    /// Reads a `usage` object; `None` for `null`, for anything else, and when no figure in it makes sense.
    pub fn read(json: &str) -> Option<Self> {
        let mut figures = Figures::default();
        for field in Walk::fields(json, 0..json.len())? {
            figures.take(json, &json[field.key], field.value);
        }
        figures.settle()
    }

    /// A count of tagway's own.
    pub fn estimate(prompt: u64, completion: u64) -> Self {
        let total = prompt.saturating_add(completion);
        Self { prompt, completion, total, estimated: true, ..Self::NONE }
    }
}

impl Figures {
    fn take(&mut self, json: &str, key: &str, value: Range<usize>) {
        let count = || count(&json[value.clone()]);
        match key {
            "prompt_tokens" => self.prompt = count(),
            "input_tokens" => self.input = count(),
            "completion_tokens" | "output_tokens" => self.completion = count().or(self.completion),
            "total_tokens" => self.total = count(),
            "prompt_tokens_details" | "input_tokens_details" => self.prompt_details(json, value),
            "completion_tokens_details" | "output_tokens_details" => self.completion_details(json, value),
            // DeepSeek's and Moonshot's.
            "prompt_cache_hit_tokens" | "cached_tokens" => most(&mut self.cache_read, count()),
            // Perplexity's and others'.
            "reasoning_tokens" => most(&mut self.reasoning, count()),
            "cache_read_input_tokens" => {
                self.beside = true;
                most(&mut self.cache_read, count());
            }
            "cache_creation_input_tokens" => {
                self.beside = true;
                most(&mut self.cache_write, count());
            }
            _ => {}
        }
    }

    fn prompt_details(&mut self, json: &str, details: Range<usize>) {
        for field in Walk::fields(json, details).into_iter().flatten() {
            let count = count(&json[field.value]);
            self.details = true;
            match &json[field.key] {
                "cached_tokens" => most(&mut self.cache_read, count),
                "cache_write_tokens" | "cache_creation_tokens" => most(&mut self.cache_write, count),
                "audio_tokens" => most(&mut self.audio_in, count),
                _ => {}
            }
        }
    }

    fn completion_details(&mut self, json: &str, details: Range<usize>) {
        for field in Walk::fields(json, details).into_iter().flatten() {
            let count = count(&json[field.value]);
            match &json[field.key] {
                "reasoning_tokens" => most(&mut self.reasoning, count),
                "audio_tokens" => most(&mut self.audio_out, count),
                _ => {}
            }
        }
    }

    fn settle(self) -> Option<Usage> {
        let mut prompt = self.prompt.or(self.input);
        if self.prompt.is_none() && self.beside && !self.details {
            prompt = prompt.map(|prompt| prompt + self.cache_read + self.cache_write);
        }
        let rest = |known: u64| self.total.map(|total| total.saturating_sub(known));
        let prompt = prompt.or_else(|| rest(self.completion.unwrap_or(0)))?;
        let mut completion = self.completion.or_else(|| rest(prompt)).unwrap_or(0);
        // xAI's do not count reasoning among the answer's tokens; their total tells.
        if self.reasoning > 0 && self.total == Some(prompt + completion + self.reasoning) {
            completion += self.reasoning;
        }
        Some(Usage {
            prompt,
            completion,
            total: self.total.unwrap_or(prompt + completion),
            cache_read: self.cache_read.min(prompt),
            cache_write: self.cache_write.min(prompt.saturating_sub(self.cache_read)),
            reasoning: self.reasoning.min(completion),
            audio_in: self.audio_in.min(prompt),
            audio_out: self.audio_out.min(completion),
            ..Usage::NONE
        })
    }
}

/// A count of tokens; none when it is no number, below nothing, or beyond all reason.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn count(json: &str) -> Option<u64> {
    let number: f64 = json.parse().ok()?;
    (0.0..=MOST).contains(&number).then(|| number.round() as u64)
}

/// Several fields may tell the same figure: zeros among them mean that it is not known there.
fn most(figure: &mut u64, count: Option<u64>) {
    *figure = (*figure).max(count.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Usage {
        Usage::read(json).unwrap()
    }

    #[test]
    fn reads_the_names_of_both_protocols() {
        let chat = r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{}}"#;
        let responses = r#"{"input_tokens":3,"output_tokens":4,"total_tokens":7}"#;
        let expected = Some(Usage { prompt: 3, completion: 4, total: 7, ..Usage::default() });
        assert_eq!(Usage::read(chat), expected);
        assert_eq!(Usage::read(responses), expected);
        assert_eq!(Usage::read(r#"{"prompt_tokens":3,"total_tokens":7}"#), expected);
        assert_eq!(Usage::read("null"), None);
        assert_eq!(Usage::read("[1]"), None);
        assert_eq!(Usage::read("{}"), None);
    }

    #[test]
    fn reads_the_details() {
        let chat = r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
            "prompt_tokens_details":{"cached_tokens":40,"audio_tokens":10},
            "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":5,"accepted_prediction_tokens":0}}"#;
        let expected = Usage {
            prompt: 100,
            completion: 50,
            total: 150,
            cache_read: 40,
            reasoning: 20,
            audio_in: 10,
            audio_out: 5,
            ..Usage::NONE
        };
        assert_eq!(read(chat), expected);
        let responses = r#"{"input_tokens":100,"input_tokens_details":{"cached_tokens":40},
            "output_tokens":50,"output_tokens_details":{"reasoning_tokens":20},"total_tokens":150}"#;
        assert_eq!(read(responses), Usage { audio_in: 0, audio_out: 0, ..expected });
    }

    #[test]
    fn reads_what_compatible_providers_add() {
        let deepseek = r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,
            "prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":40}"#;
        assert_eq!(read(deepseek).cache_read, 60);
        let beside = r#"{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":60,"cache_creation_input_tokens":30}"#;
        let read_beside = read(beside);
        assert_eq!((read_beside.prompt, read_beside.cache_read, read_beside.cache_write), (100, 60, 30));
        let within = r#"{"prompt_tokens":100,"completion_tokens":5,"cache_read_input_tokens":60,
            "prompt_tokens_details":{"cached_tokens":60}}"#;
        assert_eq!((read(within).prompt, read(within).cache_read), (100, 60));
        let xai = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35,"completion_tokens_details":{"reasoning_tokens":20}}"#;
        assert_eq!((read(xai).completion, read(xai).reasoning), (25, 20));
    }

    #[test]
    fn nonsense_is_no_figure() {
        let odd = r#"{"prompt_tokens":3.0,"completion_tokens":-4,"total_tokens":"7","prompt_tokens_details":null,
            "completion_tokens_details":[],"prompt_tokens":5}"#;
        assert_eq!(read(odd), Usage { prompt: 5, total: 5, ..Usage::NONE });
        assert_eq!(Usage::read(r#"{"prompt_tokens":1e300,"completion_tokens":4}"#), None);
        assert_eq!(Usage::read(r#"{"prompt_tokens":null,"completion_tokens":null}"#), None);
        assert_eq!(read(r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":9}}"#).cache_read, 5);
    }

    proptest! {
        #[test]
        fn any_figures_are_survived(
            figures in prop::collection::vec((0..14_usize, any::<f64>()), 0..14),
            text in ".{0,40}",
        ) {
            const NAMES: [&str; 14] = [
                "prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "total_tokens",
                "cache_read_input_tokens", "cache_creation_input_tokens", "prompt_cache_hit_tokens",
                "reasoning_tokens", "cached_tokens", "prompt_tokens_details", "x", "y", "z",
            ];
            let fields: Vec<String> =
                figures.iter().map(|(name, figure)| format!("\"{}\":{figure:?}", NAMES[*name])).collect();
            if let Some(usage) = Usage::read(&format!("{{{}}}", fields.join(","))) {
                prop_assert!(usage.cache_read + usage.cache_write <= usage.prompt);
                prop_assert!(usage.reasoning <= usage.completion);
            }
            Usage::read(&text);
        }
    }
}

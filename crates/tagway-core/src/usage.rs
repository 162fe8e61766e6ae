//! Tokens as providers report them. Knows the field names of OpenAI's chat, completion, embedding and responses
//! answers; knows no prices.

use serde::{Deserialize, Serialize};

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
    /// Counted by tagway, wholly or in part, since the provider's figures did not come.
    pub estimated: bool,
}

#[derive(Deserialize)]
struct Reported {
    prompt_tokens: Option<u64>,
    input_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

impl Usage {
    /// Reads a `usage` object; `None` for `null` or anything else.
    pub fn read(json: &str) -> Option<Self> {
        let reported: Reported = serde_json::from_str(json).ok()?;
        let prompt = reported.prompt_tokens.or(reported.input_tokens).unwrap_or(0);
        let completion = reported.completion_tokens.or(reported.output_tokens).unwrap_or(0);
        let total = reported.total_tokens.unwrap_or_else(|| prompt.saturating_add(completion));
        Some(Self { prompt, completion, total, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_of_both_protocols() {
        let chat = r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{}}"#;
        let responses = r#"{"input_tokens":3,"output_tokens":4,"total_tokens":7}"#;
        let expected = Some(Usage { prompt: 3, completion: 4, total: 7, ..Usage::default() });
        assert_eq!(Usage::read(chat), expected);
        assert_eq!(Usage::read(responses), expected);
        assert_eq!(Usage::read("null"), None);
    }
}

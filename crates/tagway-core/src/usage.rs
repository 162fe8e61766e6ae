//! Tokens as providers report them. Knows the field names of OpenAI's chat, completion, embedding and responses
//! answers; knows no prices.

use serde::Deserialize;

/// Tokens of one call, as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt: u64,
    /// Tokens of the answer, reasoning included.
    pub completion: u64,
    /// The provider's total.
    pub total: u64,
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
        Some(Self { prompt, completion, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_of_both_protocols() {
        let chat = r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{}}"#;
        let responses = r#"{"input_tokens":3,"output_tokens":4,"total_tokens":7}"#;
        let expected = Some(Usage { prompt: 3, completion: 4, total: 7 });
        assert_eq!(Usage::read(chat), expected);
        assert_eq!(Usage::read(responses), expected);
        assert_eq!(Usage::read("null"), None);
    }
}

//! The prices and sizes of known models: a text with a line for each, sorted by name, searched where it lies. The
//! built-in one is part of the program and takes no memory of its own; another in LiteLLM's format goes before it.
//! Knows no deployment but in [`Pricing`].

mod json;
mod line;
mod pricing;

use std::cmp::Ordering;
use std::sync::Arc;

pub use json::Unreadable;
pub use line::Listed;
pub use pricing::Pricing;

/// Made by `scripts/prices`.
static BUILT_IN: &str = include_str!("prices.tsv");

/// Providers whose models are listed under another name too.
const ALSO: [(&str, &str); 4] = [
    ("openai", "text-completion-openai"),
    ("text-completion-openai", "openai"),
    ("ollama_chat", "ollama"),
    ("vllm", "hosted_vllm"),
];

/// What is known of models: the built-in list, and one that goes before it.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Lines as the built-in ones.
    first: Option<Arc<str>>,
}

impl Catalogue {
    /// A catalogue in the format of LiteLLM's `model_prices_and_context_window.json`, before the built-in one.
    ///
    /// # Errors
    /// It is no JSON object of objects, or has no model with a price.
    pub fn read(json: &str) -> Result<Self, Unreadable> {
        let lines = json::lines(json, "")?;
        Ok(Self { first: Some(lines.into()) })
    }

    /// What is known of a provider's model.
    pub fn find(&self, provider: &str, model: &str) -> Option<Listed<'_>> {
        // A fine-tuned model (`ft:gpt-4o:org::id`) has the price of its kind.
        let model = match model.strip_prefix("ft:") {
            Some(rest) => &model[..3 + rest.find(':').unwrap_or(rest.len())],
            None => model,
        };
        let also = ALSO.iter().filter(|(name, _)| *name == provider).map(|(_, also)| *also);
        let names: Vec<String> =
            [provider].into_iter().chain(also).map(|name| format!("{name}/{model}")).collect();
        if let Some(first) = &self.first {
            let bare = [model.to_owned()];
            let line = names.iter().chain(&bare).find_map(|name| search(first, name));
            if let Some(listed) = line.and_then(Listed::read) {
                return Some(listed);
            }
        }
        names.iter().find_map(|name| search(BUILT_IN, name)).and_then(Listed::read)
    }

    /// How many models go before the built-in ones.
    pub fn len(&self) -> usize {
        self.first.as_ref().map_or(0, |lines| lines.lines().count())
    }

    /// Whether only the built-in ones are known.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

/// LiteLLM's format as lines of the built-in catalogue, for the providers tagway speaks to. Lines that say what
/// `before` says keep their date, others get `today`.
///
/// # Errors
/// As [`Catalogue::read`].
pub fn compile(json: &str, before: &str, today: &str) -> Result<String, Unreadable> {
    let lines = json::lines(json, today)?;
    let speaks = |line: &&str| {
        line.split_once('/').is_some_and(|(provider, _)| crate::dialect::Provider::named(provider).is_some())
    };
    let mut out = String::new();
    for line in lines.lines().filter(speaks) {
        let name = line.split('\t').next().unwrap_or_default();
        let old = search(before, name).filter(|old| line::same_but_date(old, line));
        out.push_str(old.unwrap_or(line));
        out.push('\n');
    }
    Ok(out)
}

/// The line of `name` in sorted `lines`.
fn search<'t>(lines: &'t str, name: &str) -> Option<&'t str> {
    let bytes = lines.as_bytes();
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = memchr::memrchr(b'\n', &bytes[low..middle]).map_or(low, |found| low + found + 1);
        let end = memchr::memchr(b'\n', &bytes[middle..high]).map_or(high, |found| middle + found);
        // The middle may be a line break: then the line it ends is looked at.
        let line = lines.get(start..end)?;
        match line.split('\t').next().unwrap_or_default().cmp(name) {
            Ordering::Equal => return Some(line),
            Ordering::Less => low = end + 1,
            Ordering::Greater => high = start,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_built_in_catalogue_is_found_and_can_be_read() {
        let names: Vec<&str> = BUILT_IN.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert!(names.is_sorted(), "sorted by name");
        assert!(500 < names.len());
        for (line, name) in BUILT_IN.lines().zip(names) {
            assert_eq!(search(BUILT_IN, name), Some(line));
            let listed = Listed::read(line).unwrap();
            assert!(listed.prices().is_some(), "{line}");
        }
        for other in ["", "a", "openai/gpt", "openai/gpt-4oo", "zzz", "\u{10ffff}"] {
            assert_eq!(search(BUILT_IN, other), None, "{other}");
        }
    }

    #[test]
    fn a_models_price_is_found_under_its_providers_names() {
        let catalogue = Catalogue::default();
        let input = |provider, model| Some(catalogue.find(provider, model)?.prices()?.per_token().0);
        assert_eq!(input("openai", "gpt-4o-mini"), Some(1.5e-7));
        assert_eq!(input("openai", "ft:gpt-4o-2024-08-06:us::x"), input("openai", "ft:gpt-4o-2024-08-06"));
        assert!(input("openai", "ft:gpt-4o-2024-08-06").is_some());
        assert!(input("openai", "gpt-3.5-turbo-instruct").is_some());
        assert_eq!(input("openai", "nonesuch"), None);
        assert_eq!(input("groq", "gpt-4o-mini"), None);
    }

    #[test]
    fn a_catalogue_of_ones_own_goes_first() {
        let json = r#"{
            "sample_spec": {"input_cost_per_token": 1},
            "openai/gpt-4o-mini": {"litellm_provider": "openai", "input_cost_per_token": 3e-6, "output_cost_per_token": 4e-6, "max_input_tokens": 7},
            "gpt-4o-mini": {"litellm_provider": "openai", "input_cost_per_token": 9},
            "groq/ours": {"input_cost_per_token": 1e-6, "mode": "chat"},
            "bare": {"input_cost_per_token": 2e-6},
            "picture": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_token": 1e-6}
        }"#;
        let catalogue = Catalogue::read(json).unwrap();
        let input = |provider, model| Some(catalogue.find(provider, model)?.prices()?.per_token().0);
        assert_eq!(input("openai", "gpt-4o-mini"), Some(3e-6));
        assert_eq!(catalogue.find("openai", "gpt-4o-mini").unwrap().max_input, Some(7));
        assert_eq!(input("groq", "ours"), Some(1e-6));
        assert_eq!(input("xai", "bare"), Some(2e-6));
        assert_eq!(input("openai", "picture"), None);
        assert_eq!(input("openai", "gpt-4o"), Some(2.5e-6));
        assert!(Catalogue::read("[]").is_err());
        assert!(Catalogue::read("{}").is_err());
        assert!(Catalogue::read("<html>").is_err());
    }

    #[test]
    fn tiers_are_read_in_both_of_their_forms() {
        let json = r#"{
            "dashscope/flat": {"litellm_provider": "dashscope", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
                "input_cost_per_token_above_256k_tokens": 5e-6, "input_cost_per_token_flex": 5e-7},
            "dashscope/ranges": {"litellm_provider": "dashscope", "tiered_pricing": [
                {"range": [0, 256000.0], "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
                {"range": [256000.0, 1000000.0], "input_cost_per_token": 5e-6, "output_cost_per_token": 2e-6}]}
        }"#;
        let catalogue = Catalogue::read(json).unwrap();
        for model in ["flat", "ranges"] {
            let prices = catalogue.find("dashscope", model).unwrap().prices().unwrap();
            let input = |prompt| prices.cost(&crate::usage::Usage { prompt, ..Default::default() }).input.0;
            assert_eq!((input(256_000), input(256_001)), (256_000_000, 5 * 256_001_000), "{model}");
        }
    }

    #[test]
    fn a_line_that_says_the_same_keeps_its_date() {
        let json = r#"{"gpt-x": {"litellm_provider": "openai", "input_cost_per_token": 1e-6},
            "other/y": {"litellm_provider": "other", "input_cost_per_token": 1e-6}}"#;
        let first = compile(json, "", "2026-01-01").unwrap();
        assert_eq!(first, "openai/gpt-x\t\t\t2026-01-01\tin=1\n");
        assert_eq!(compile(json, &first, "2026-02-02").unwrap(), first);
        let dearer = compile(&json.replace("1e-6", "2e-6"), &first, "2026-02-02").unwrap();
        assert_eq!(dearer, "openai/gpt-x\t\t\t2026-02-02\tin=2\n");
    }
}

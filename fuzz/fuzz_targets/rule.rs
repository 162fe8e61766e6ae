//! A condition of a rule: is refused with its place, or answered within the bound of what it may cost, whatever the
//! request. And a text in which personal data is looked for.
#![no_main]

use http::HeaderName;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tagway_core::rule::{Facts, Owner, Program, TextField};

struct Request {
    text: String,
    metadata: Value,
}

impl Facts for Request {
    fn text(&self, _: TextField) -> &str {
        &self.text
    }

    fn header(&self, _: &HeaderName) -> Option<&str> {
        Some(&self.text)
    }

    fn metadata(&self, _: Owner) -> Option<&Value> {
        Some(&self.metadata)
    }

    fn tags(&self, _: Owner, each: &mut dyn FnMut(&str) -> bool) {
        let _ = [self.text.as_str(), "", "é:*"].iter().any(|tag| each(tag));
    }

    fn stream(&self) -> bool {
        true
    }

    fn tokens(&self) -> u64 {
        u64::MAX
    }

    fn contains_pii(&self) -> bool {
        tagway_core::pii::find(&self.text).is_some()
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = tagway_core::pii::find(text);
    match Program::compile(text) {
        Ok(program) => {
            assert!(program.cost() <= 50_000);
            let metadata = json!({"a": text, "b": 1, "c": true, "d": {"e": null}});
            let _ = program.holds(&Request { text: text.to_owned(), metadata });
        }
        Err(bad) => {
            assert!(!bad.message.is_empty());
            assert!(bad.at.is_none_or(|at| at <= text.chars().count()), "{bad:?}");
        }
    }
});

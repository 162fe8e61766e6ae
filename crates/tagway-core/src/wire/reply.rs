//! The answer of a provider that does not stream: checked, its `model` replaced by the name the client asked
//! for, its usage read. Knows nothing of headers or status codes.

use bytes::Bytes;

use super::json::{Fault, Walk};
use super::told::Told;
use crate::usage::{Service, Usage};

/// An answer, ready for the client.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The body.
    pub body: Bytes,
    /// What the provider says was used.
    pub usage: Option<Usage>,
}

/// Reads `body` and puts `model` (a JSON string with its quotes) where the provider's name stands.
///
/// # Errors
/// The body is no JSON object.
pub fn read(body: Bytes, model: &str) -> Result<Reply, Fault> {
    let text = std::str::from_utf8(&body)
        .map_err(|error| Fault::Syntax { what: "invalid UTF-8", at: error.valid_up_to() })?;
    let mut walk = Walk::new(text);
    if !walk.enter_object() {
        return Err(Fault::Syntax { what: "expected an object", at: walk.offset() });
    }
    let (mut name, mut usage, mut service, mut first) = (None, None, Service::Standard, true);
    while let Some(field) = walk.field(first)? {
        first = false;
        match &text[field.key] {
            "model" => name = Some(field.value),
            "usage" => usage = Usage::read(&text[field.value]),
            "service_tier" => service = Service::read(&text[field.value]),
            _ => {}
        }
    }
    walk.end()?;
    let body = match name {
        Some(span) if &text[span.clone()] != model => {
            let mut out = Vec::with_capacity(text.len() + model.len());
            out.extend_from_slice(&body[..span.start]);
            out.extend_from_slice(model.as_bytes());
            out.extend_from_slice(&body[span.end..]);
            out.into()
        }
        _ => body,
    };
    Ok(Reply { body, usage: usage.map(|usage| Usage { service, ..usage }) })
}

/// Tokens of a whole answer, counted by tagway: for one without the provider's figures.
pub fn estimated_completion(body: &[u8]) -> u64 {
    std::str::from_utf8(body).map_or(0, |text| Told::of_answer(text).tokens())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_model_the_client_asked_for() {
        let body = Bytes::from_static(br#"{"x":{"model":"y"}, "model": "gpt-4o-2024", "usage":{"prompt_tokens":1,"completion_tokens":2}}"#);
        let reply = read(body, "\"gpt-4\"").unwrap();
        assert_eq!(
            reply.body,
            r#"{"x":{"model":"y"}, "model": "gpt-4", "usage":{"prompt_tokens":1,"completion_tokens":2}}"#
        );
        assert_eq!(reply.usage, Some(Usage { prompt: 1, completion: 2, total: 3, ..Usage::default() }));
    }

    #[test]
    fn a_cut_or_foreign_body_is_an_error() {
        assert!(read(Bytes::from_static(br#"{"id":"x","choices":["#), "\"m\"").is_err());
        assert!(read(Bytes::from_static(b"<html>"), "\"m\"").is_err());
        assert!(read(Bytes::from_static(b"[]"), "\"m\"").is_err());
    }
}

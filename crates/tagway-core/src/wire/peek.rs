//! What the gateway reads of a request body: the top-level fields, where they stand, and which of them are the
//! gateway's own. It decides nothing and copies nothing.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use smallvec::SmallVec;

use super::json::{Fault, FieldSpan, Walk, text_of};

/// A top-level field the gateway reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The model group, alias or deployment id asked for.
    Model,
    /// Chat messages.
    Messages,
    /// The input of embeddings and responses.
    Input,
    /// The prompt of a completion.
    Prompt,
    /// Whether the answer is a stream of events.
    Stream,
    /// `stream_options`, for `include_usage`.
    StreamOptions,
    /// Request tags.
    Tags,
    /// `metadata`: the caller's and the provider's, with tags in it.
    Metadata,
    /// `litellm_metadata`: the gateway's, with tags in it.
    LitellmMetadata,
    /// A tag expression.
    TagExpression,
    /// The caller's time limit in seconds.
    Timeout,
    /// Retries the caller wants.
    NumRetries,
    /// Model groups to fall back to.
    Fallbacks,
    /// The same, for a prompt that is too long.
    ContextWindowFallbacks,
    /// The same, for what a content policy forbids.
    ContentPolicyFallbacks,
    /// Another name of `timeout`.
    RequestTimeout,
    /// The caller's time limit for a stream.
    StreamTimeout,
    /// `true` turns fallbacks off.
    DisableFallbacks,
    /// Whether the provider is to store the answer (then it takes `metadata`).
    Store,
    /// The end user.
    User,
}

const KNOWN: usize = Known::User as usize + 1;

/// What becomes of a top-level field on its way to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Forwarded as it is.
    Forward,
    /// An object whose fields stand for fields of the body (`extra_body`).
    Unfold,
    /// The gateway's own: never forwarded.
    Drop,
    /// It would choose an upstream, a credential or a policy: the request is refused.
    Refuse,
}

fn known(key: &str) -> Option<Known> {
    Some(match key {
        "model" => Known::Model,
        "messages" => Known::Messages,
        "input" => Known::Input,
        "prompt" => Known::Prompt,
        "stream" => Known::Stream,
        "stream_options" => Known::StreamOptions,
        "tags" => Known::Tags,
        "metadata" => Known::Metadata,
        "litellm_metadata" => Known::LitellmMetadata,
        "tag_expression" => Known::TagExpression,
        "timeout" => Known::Timeout,
        "num_retries" => Known::NumRetries,
        "fallbacks" => Known::Fallbacks,
        "context_window_fallbacks" => Known::ContextWindowFallbacks,
        "content_policy_fallbacks" => Known::ContentPolicyFallbacks,
        "request_timeout" => Known::RequestTimeout,
        "stream_timeout" => Known::StreamTimeout,
        "disable_fallbacks" => Known::DisableFallbacks,
        "store" => Known::Store,
        "user" => Known::User,
        _ => return None,
    })
}

fn fate(key: &str) -> Fate {
    match key {
        // The usual ones first: the rest of this list is long.
        "model"
        | "messages"
        | "stream"
        | "temperature"
        | "max_tokens"
        | "top_p"
        | "tools"
        | "input"
        | "prompt"
        | "user"
        | "stop"
        | "n"
        | "seed"
        | "tool_choice"
        | "response_format"
        | "max_completion_tokens"
        | "stream_options" => Fate::Forward,
        "tags"
        | "litellm_metadata"
        | "metadata"
        | "tag_expression"
        | "timeout"
        | "stream_timeout"
        | "num_retries"
        | "max_retries"
        | "fallbacks"
        | "disable_fallbacks"
        | "max_fallbacks"
        | "mock_response"
        | "context_window_fallbacks"
        | "content_policy_fallbacks"
        | "retry_policy"
        | "cooldown_time"
        | "allowed_fails"
        | "enable_tag_filtering"
        | "inherited_tags"
        | "caller_tags"
        | "caching"
        | "cache"
        | "ttl"
        | "no-log"
        | "litellm_call_id"
        | "litellm_trace_id"
        | "litellm_session_id"
        | "litellm_logging_obj"
        | "proxy_server_request"
        | "model_info"
        | "secret_fields"
        | "drop_params"
        | "additional_drop_params"
        | "allowed_openai_params"
        | "mock_delay"
        | "mock_tool_calls"
        | "prompt_id"
        | "prompt_variables"
        | "turn_off_message_logging"
        | "litellm_params"
        | "tag_regex"
        | "tpm"
        | "rpm"
        | "weight"
        | "order"
        | "max_budget"
        | "budget_duration"
        | "provider_specific_header"
        | "use_in_pass_through"
        | "use_litellm_proxy"
        | "merge_reasoning_content_in_choices"
        | "enable_json_schema_validation"
        | "fastest_response"
        | "id"
        | "verbose"
        | "acompletion"
        | "hf_model_name"
        | "logger_fn"
        | "ssl_verify"
        | "supports_system_message"
        | "preset_cache_key"
        | "prompt_label"
        | "shared_session"
        | "router_settings"
        | "router_settings_override"
        | "request_timeout" => Fate::Drop,
        "api_base"
        | "base_url"
        | "api_key"
        | "api_version"
        | "custom_llm_provider"
        | "user_config"
        | "model_list"
        | "extra_headers"
        | "headers"
        | "organization"
        | "guardrails"
        | "allowed_model_region"
        | "policies"
        | "mock_timeout"
        | "mock_testing_fallbacks"
        | "input_cost_per_token"
        | "output_cost_per_token" => Fate::Refuse,
        "extra_body" => Fate::Unfold,
        "region_name" => Fate::Drop,
        _ if ["user_api_key_", "aws_", "vertex_"].iter().any(|start| key.starts_with(start)) => Fate::Drop,
        _ => Fate::Forward,
    }
}

/// A top-level field of the body.
#[derive(Debug, Clone)]
pub struct Field {
    /// Where its key (without quotes) and value stand.
    pub span: FieldSpan,
    /// What becomes of it.
    pub fate: Fate,
    /// Its key is not written as it is read.
    escaped: bool,
}

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not UTF-8.
    #[error("invalid UTF-8 at byte {0}")]
    Encoding(usize),
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] Fault),
    /// It is JSON, but no object.
    #[error("expected a JSON object")]
    NoObject,
    /// A field that decides something stands there twice.
    #[error("the field '{0}' is given twice")]
    Repeated(String),
    /// A field that a client may not set.
    #[error("the field '{0}' may not be set by a client")]
    Refused(String),
}

/// A request body, read as far as the gateway needs.
#[derive(Debug, Clone)]
pub struct Peek<'a> {
    text: &'a str,
    fields: SmallVec<[Field; 16]>,
    known: [Option<u32>; KNOWN],
}

impl<'a> Peek<'a> {
    /// Reads `body`: the whole text is checked, nothing is built.
    pub fn read(body: &'a [u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(body).map_err(|error| Unreadable::Encoding(error.valid_up_to()))?;
        let mut walk = Walk::new(text);
        let mut peek = Self { text, fields: SmallVec::new(), known: [None; KNOWN] };
        if !walk.enter_object() {
            walk.value()?;
            walk.end()?;
            return Err(Unreadable::NoObject);
        }
        while let Some(span) = walk.field(peek.fields.is_empty())? {
            peek.add(span)?;
        }
        walk.end()?;
        Ok(peek)
    }

    fn add(&mut self, span: FieldSpan) -> Result<(), Unreadable> {
        let key = self.key(&span);
        let fate = fate(&key);
        if fate == Fate::Refuse {
            return Err(Unreadable::Refused(key.into_owned()));
        }
        if let Some(known) = known(&key) {
            let slot = &mut self.known[known as usize];
            if slot.is_some() {
                return Err(Unreadable::Repeated(key.into_owned()));
            }
            *slot = u32::try_from(self.fields.len()).ok();
        }
        if fate == Fate::Unfold && self.fields.iter().any(|field| field.fate == Fate::Unfold) {
            return Err(Unreadable::Repeated(key.into_owned()));
        }
        let escaped = matches!(key, Cow::Owned(_));
        self.fields.push(Field { span, fate, escaped });
        Ok(())
    }

    /// A key as text: escapes in it are undone, so that no spelling of a key slips past.
    fn key(&self, span: &FieldSpan) -> Cow<'a, str> {
        let quoted = &self.text[span.key.start - 1..span.key.end + 1];
        text_of(quoted).unwrap_or(Cow::Borrowed(&self.text[span.key.clone()]))
    }

    /// Whether this is a field's key.
    fn is(&self, field: &Field, key: &str) -> bool {
        if field.escaped { self.key(&field.span) == key } else { &self.text[field.span.key.clone()] == key }
    }

    /// The whole body.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The fields in the order they stand.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Where the value of a field stands.
    pub fn span(&self, known: Known) -> Option<Range<usize>> {
        let at = self.known[known as usize]?;
        self.fields.get(at as usize).map(|field| field.span.value.clone())
    }

    /// The JSON text of a field's value.
    pub fn json(&self, known: Known) -> Option<&'a str> {
        self.span(known).map(|span| &self.text[span])
    }

    /// A field that is a string.
    pub fn string(&self, known: Known) -> Option<Cow<'a, str>> {
        text_of(self.json(known)?)
    }

    /// Whether a field is `true`.
    pub fn is_true(&self, known: Known) -> bool {
        self.json(known) == Some("true")
    }

    /// The fields of an [`Fate::Unfold`] object that may stand at the top level, and do not stand there already:
    /// key with its quotes and colon, and value.
    pub fn unfold(&self, object: Range<usize>) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        let text = self.text;
        let given: HashSet<Cow<'a, str>> = self.fields.iter().map(|field| self.key(&field.span)).collect();
        let fields = Walk::fields(text, object).into_iter().flatten();
        fields.filter_map(move |span| {
            let key = self.key(&span);
            let free = fate(&key) == Fate::Forward && known(&key).is_none() && !given.contains(&key);
            free.then(|| (&text[span.key.start - 1..span.value.start], &text[span.value]))
        })
    }

    /// Whether the caller gives a field, at the top level or in its `extra_body`.
    pub fn gives(&self, key: &str) -> bool {
        self.has(key)
            || self.fields.iter().filter(|field| field.fate == Fate::Unfold).any(|field| {
                let inner = Walk::fields(self.text, field.span.value.clone()).into_iter().flatten();
                inner.into_iter().any(|span| self.key(&span) == key)
            })
    }

    /// Whether a field stands at the top level under `key`, as written.
    pub fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|field| self.is(field, key))
    }

    /// The JSON text of a field's value by its name, for fields that are not [`Known`].
    pub fn json_of(&self, key: &str) -> Option<&'a str> {
        let field = self.fields.iter().find(|field| self.is(field, key))?;
        Some(&self.text[field.span.value.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_fields_it_knows_and_marks_its_own() {
        let body = br#" {"model":"gpt-4", "tags" :["free"],"x":{"model":1},"stream": true} "#;
        let peek = Peek::read(body).unwrap();
        assert_eq!(peek.string(Known::Model).unwrap(), "gpt-4");
        assert_eq!(peek.json(Known::Tags), Some(r#"["free"]"#));
        assert!(peek.is_true(Known::Stream));
        assert_eq!(
            peek.fields().iter().map(|f| f.fate).collect::<Vec<_>>(),
            [Fate::Forward, Fate::Drop, Fate::Forward, Fate::Forward]
        );
    }

    #[test]
    fn an_escaped_key_is_the_same_key() {
        let peek = Peek::read(br#"{"mod\u0065l":"a"}"#).unwrap();
        assert_eq!(peek.string(Known::Model).unwrap(), "a");
        assert_eq!(
            Peek::read(br#"{"model":"a","mod\u0065l":"b"}"#).unwrap_err(),
            Unreadable::Repeated("model".into())
        );
    }

    #[test]
    fn a_known_field_is_found_behind_any_number_of_others() {
        let body = format!("{{{}\"model\":\"a\"}}", "\"x\":1,".repeat(70_000));
        let peek = Peek::read(body.as_bytes()).unwrap();
        assert_eq!(peek.json(Known::Model), Some("\"a\""));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |body: &[u8]| Peek::read(body).unwrap_err().to_string();
        assert_eq!(error(b"[1]"), "expected a JSON object");
        assert_eq!(error(b""), "the text ends where a value is expected at byte 0");
        assert_eq!(error(b"{\"a\":1,}"), "expected a key in double quotes at byte 7");
        assert_eq!(error(b"{\"a\":\"\xff\"}"), "invalid UTF-8 at byte 6");
        assert_eq!(error(br#"{"api_base":"http://x"}"#), "the field 'api_base' may not be set by a client");
    }
}

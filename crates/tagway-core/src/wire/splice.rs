//! The body for the provider: the caller's bytes with the few changes a gateway must make. Knows no deployment,
//! only the changes it is given.

use std::ops::Range;

use super::json::{Walk, text_of};
use super::peek::{Fate, Known, Peek};

const OPTIONS: &str = "stream_options";

/// What must change.
#[derive(Debug, Clone, Copy)]
pub struct Changes<'c> {
    /// The provider's name of the model, as a JSON string with its quotes.
    pub model: &'c str,
    /// The answer is to be a stream: without it, `stream_options` stays behind, since providers refuse it then.
    pub streams: bool,
    /// Ask for the usage of a stream.
    pub include_usage: bool,
    /// Forward `metadata` (its string values, less `tags`).
    pub keep_metadata: bool,
    /// Parameters to add where the caller gave none: key and JSON text.
    pub defaults: &'c [(String, String)],
}

/// Whether the caller itself asked for the usage of a stream.
pub fn asked_for_usage(peek: &Peek<'_>) -> bool {
    let Some(options) = peek.span(Known::StreamOptions) else { return false };
    Walk::fields(peek.text(), options).is_some_and(|mut fields| {
        fields.any(|f| is_key(peek.text(), &f.key, "include_usage") && &peek.text()[f.value] == "true")
    })
}

/// Writes the body for the provider. Bytes that need no change, white space too, are the caller's.
pub fn request(peek: &Peek<'_>, changes: &Changes<'_>) -> Vec<u8> {
    let text = peek.text();
    let added: usize = changes.defaults.iter().map(|(key, json)| key.len() + json.len() + 4).sum();
    let mut out = Vec::with_capacity(text.len() + changes.model.len() + added + 64);
    let mut writer = Writer { out: &mut out, first: true };
    let model = peek.span(Known::Model);
    let options = peek.span(Known::StreamOptions);
    let metadata = peek.span(Known::Metadata);
    // The bytes between one field's end and the next one's key: a comma with the caller's white space.
    let mut lead = text.find('{').map_or(0, |at| at + 1);
    for field in peek.fields() {
        let (key, value) = (field.span.key.clone(), field.span.value.clone());
        let between = &text[lead..key.start - 1];
        let blank = between.split_once(',').map_or(between, |(_, after)| after);
        lead = value.end;
        let head = &text[key.start - 1..value.start];
        let at = Some(&value);
        if at == model.as_ref() {
            writer.field(blank, head, changes.model);
        } else if at == options.as_ref() {
            match (changes.streams, changes.include_usage) {
                (true, true) => writer.field(blank, head, &with_usage(&text[value])),
                (true, false) => writer.field(blank, head, &text[value]),
                (false, _) => {}
            }
        } else if at == metadata.as_ref() && changes.keep_metadata {
            if let Some(kept) = provider_metadata(&text[value]) {
                writer.field(blank, head, &kept);
            }
        } else if field.fate == Fate::Unfold {
            for (head, json) in peek.unfold(value) {
                writer.field("", head, json);
            }
        } else if field.fate == Fate::Forward {
            writer.field(blank, head, &text[value]);
        }
    }
    if model.is_none() {
        // The path named it.
        writer.field("", "\"model\":", changes.model);
    }
    if options.is_none() && changes.streams {
        let default = changes.defaults.iter().find(|(key, _)| key == OPTIONS).map(|(_, json)| json.as_str());
        match (default, changes.include_usage) {
            (default, true) => {
                writer.field("", "\"stream_options\":", &with_usage(default.unwrap_or_default()));
            }
            (Some(default), false) => writer.field("", "\"stream_options\":", default),
            (None, false) => {}
        }
    }
    for (key, json) in changes.defaults.iter().filter(|(key, _)| key != OPTIONS && !peek.gives(key)) {
        writer.field("", &format!("{}:", serde_json::Value::from(key.as_str())), json);
    }
    out.push(b'}');
    out
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl Writer<'_> {
    /// `blank`: white space before the key; `head`: the key, its quotes and the colon.
    fn field(&mut self, blank: &str, head: &str, json: &str) {
        self.out.push(if self.first { b'{' } else { b',' });
        self.first = false;
        self.out.extend_from_slice(blank.as_bytes());
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(json.as_bytes());
    }
}

/// `stream_options` with `include_usage: true`, everything else in it kept.
fn with_usage(options: &str) -> String {
    let mut out = String::from("{\"include_usage\":true");
    for field in Walk::fields(options, 0..options.len()).into_iter().flatten() {
        if !is_key(options, &field.key, "include_usage") {
            out.push(',');
            out.push_str(&options[field.key.start - 1..field.value.end]);
        }
    }
    out.push('}');
    out
}

/// Whether the key that stands at `span` is `key`, however it is spelled.
fn is_key(text: &str, span: &Range<usize>, key: &str) -> bool {
    text_of(&text[span.start - 1..span.end + 1]).is_some_and(|found| found == key)
}

/// The part of `metadata` that is for the provider: OpenAI takes string values only. `None` when nothing is.
fn provider_metadata(metadata: &str) -> Option<String> {
    let mut out = String::new();
    for field in Walk::fields(metadata, 0..metadata.len())? {
        let is_text = metadata[field.value.clone()].starts_with('"');
        if is_text && !is_key(metadata, &field.key, "tags") {
            out.push(if out.is_empty() { '{' } else { ',' });
            out.push_str(&metadata[field.key.start - 1..field.value.end]);
        }
    }
    if out.is_empty() {
        return None;
    }
    out.push('}');
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    const PLAIN: Changes<'static> =
        Changes { model: "\"up\"", streams: true, include_usage: false, keep_metadata: false, defaults: &[] };

    fn spliced(body: &str, changes: &Changes<'_>) -> String {
        String::from_utf8(request(&Peek::read(body.as_bytes()).unwrap(), changes)).unwrap()
    }

    #[test]
    fn changes_the_model_and_keeps_every_other_byte() {
        assert_eq!(
            spliced("{ \"a\" : 1.50 ,\n \"model\": \"m\",\"é\":[ 1 ] }", &PLAIN),
            "{ \"a\" : 1.50,\n \"model\": \"up\",\"é\":[ 1 ]}"
        );
    }

    #[test]
    fn the_gateways_own_fields_stay_behind_wherever_they_stand() {
        let body = r#"{"tags":["a"], "model":"m","litellm_metadata":{}, "x":1,"metadata":{"tags":[]}}"#;
        assert_eq!(spliced(body, &PLAIN), r#"{ "model":"up", "x":1}"#);
    }

    #[test]
    fn a_model_named_by_the_path_is_added() {
        assert_eq!(spliced(r#"{"input":"x"}"#, &PLAIN), r#"{"input":"x","model":"up"}"#);
        assert_eq!(spliced("{}", &PLAIN), r#"{"model":"up"}"#);
    }

    #[test]
    fn usage_is_asked_for_once() {
        let changes = Changes { include_usage: true, ..PLAIN };
        assert_eq!(
            spliced(r#"{"model":"m"}"#, &changes),
            r#"{"model":"up","stream_options":{"include_usage":true}}"#
        );
        assert_eq!(
            spliced(r#"{"model":"m","stream_options":{"x":1,"include_usage":false}}"#, &changes),
            r#"{"model":"up","stream_options":{"include_usage":true,"x":1}}"#
        );
    }

    #[test]
    fn usage_is_asked_for_once_however_it_is_spelled() {
        let changes = Changes { include_usage: true, ..PLAIN };
        let body = r#"{"model":"m","stream_options":{"include_usag\u0065":false}}"#;
        assert_eq!(spliced(body, &changes), r#"{"model":"up","stream_options":{"include_usage":true}}"#);
        let body = br#"{"stream_options":{"include_usag\u0065":true}}"#;
        assert!(asked_for_usage(&Peek::read(body).unwrap()));
    }

    #[test]
    fn default_stream_options_join_the_wish_for_usage() {
        let defaults = [("stream_options".to_owned(), r#"{"x":1}"#.to_owned())];
        let changes = Changes { defaults: &defaults, include_usage: true, ..PLAIN };
        let body = r#"{"model":"m"}"#;
        assert_eq!(
            spliced(body, &changes),
            r#"{"model":"up","stream_options":{"include_usage":true,"x":1}}"#
        );
        let changes = Changes { include_usage: false, ..changes };
        assert_eq!(spliced(body, &changes), r#"{"model":"up","stream_options":{"x":1}}"#);
        assert_eq!(spliced(body, &Changes { streams: false, ..changes }), r#"{"model":"up"}"#);
    }

    #[test]
    fn the_providers_metadata_is_forwarded_without_tags() {
        let changes = Changes { keep_metadata: true, ..PLAIN };
        let body = r#"{"model":"m","metadata":{"tags":["a"],"trace":"t","n":1}}"#;
        assert_eq!(spliced(body, &changes), r#"{"model":"up","metadata":{"trace":"t"}}"#);
        assert_eq!(spliced(r#"{"model":"m","metadata":{"tags":"a"}}"#, &changes), r#"{"model":"up"}"#);
    }

    #[test]
    fn defaults_yield_to_the_caller() {
        let defaults = [("temperature".to_owned(), "0.5".to_owned()), ("n".to_owned(), "2".to_owned())];
        let changes = Changes { defaults: &defaults, ..PLAIN };
        assert_eq!(spliced(r#"{"model":"m","n":1}"#, &changes), r#"{"model":"up","n":1,"temperature":0.5}"#);
    }

    proptest! {
        /// The second formulation: parse, change, compare.
        #[test]
        fn agrees_with_parsing_and_rebuilding(
            fields in prop::collection::hash_map("[a-d]{1,2}|tags|metadata|store", prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!({"k": [null, "s"]}))], 0..8),
            pretty: bool,
        ) {
            let mut map: Map<String, Value> = fields.into_iter().collect();
            map.insert("model".into(), "m".into());
            let body = if pretty { serde_json::to_string_pretty(&map) } else { serde_json::to_string(&map) }.unwrap();
            map.insert("model".into(), "up".into());
            map.retain(|key, _| !matches!(key.as_str(), "tags" | "metadata"));
            let ours: Value = serde_json::from_str(&spliced(&body, &PLAIN)).unwrap();
            prop_assert_eq!(ours, Value::Object(map));
        }
    }
}

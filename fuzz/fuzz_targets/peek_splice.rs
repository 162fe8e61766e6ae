//! A request body: read as serde_json would, and rewritten as parsing, changing and comparing would.
#![no_main]

mod unique;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use tagway_core::wire::json::{Fault, MAX_DEPTH};
use tagway_core::wire::peek::{Fate, Known, Peek, Unreadable};
use tagway_core::wire::splice::{self, Changes};

/// Said again here, so that a name lost from the gateway's own list is noticed.
const NEVER_FORWARDED: &[&str] = &[
    "tags",
    "litellm_metadata",
    "tag_expression",
    "timeout",
    "num_retries",
    "fallbacks",
    "disable_fallbacks",
    "mock_response",
    "model_info",
    "litellm_params",
    "proxy_server_request",
    "api_key",
    "api_base",
    "base_url",
    "user_config",
    "extra_headers",
    "user_api_key_hash",
];

fuzz_target!(|body: &[u8]| {
    let read = Peek::read(body);
    let Ok(text) = std::str::from_utf8(body) else {
        assert!(matches!(read, Err(Unreadable::Encoding(_))));
        return;
    };
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let is_object = text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    match &read {
        Ok(_) => assert!(is_json && is_object),
        // What is said of a field may come before the text is read to its end.
        Err(Unreadable::Repeated(_) | Unreadable::Refused(_)) => assert!(is_object),
        Err(Unreadable::NoObject) => assert!(is_json && !is_object),
        Err(Unreadable::Json(Fault::TooDeep { at })) => assert!(MAX_DEPTH < nesting(&text[..=*at])),
        Err(Unreadable::Json(Fault::Syntax { at, .. })) => assert!(!is_json && *at <= text.len()),
        Err(Unreadable::Encoding(_)) => panic!("this is UTF-8"),
    }
    let Ok(peek) = read else { return };
    for field in peek.fields() {
        assert!(text[..field.span.key.start].ends_with('"') && text[field.span.key.end..].starts_with('"'));
    }
    let parsed = unique::parse(text);
    let defaults = [("temperature", "0.5"), ("a\"b", "[1]"), ("stream_options", "{\"y\":2}")]
        .map(|(key, json)| (key.to_owned(), json.to_owned()));
    for choice in 0..16_u8 {
        let is = |bit: u8| choice >> bit & 1 == 1;
        let changes = Changes {
            model: "\"up\"",
            streams: is(0) || is(1),
            include_usage: is(1),
            keep_metadata: is(2),
            defaults: if is(3) { &defaults } else { &[] },
        };
        let out = splice::request(&peek, &changes);
        let out = std::str::from_utf8(&out).expect("the output is UTF-8");
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(out).is_ok(), "not JSON: {out}");
        if let Some(Value::Object(original)) = &parsed {
            let ours = unique::parse(out).unwrap_or_else(|| panic!("a key is repeated: {out}"));
            assert_eq!(ours, Value::Object(changed(original, &peek, &changes)), "{out}");
            for name in NEVER_FORWARDED {
                assert!(ours.get(name).is_none(), "{name} is forwarded: {out}");
            }
        }
    }
});

/// The second formulation: parsed, then changed.
fn changed(original: &Map<String, Value>, peek: &Peek<'_>, changes: &Changes<'_>) -> Map<String, Value> {
    let mut new = original.clone();
    for ((key, value), field) in original.iter().zip(peek.fields()) {
        if field.fate == Fate::Drop {
            new.remove(key);
        }
        if key == "metadata"
            && changes.keep_metadata
            && let Value::Object(all) = value
        {
            let kept: Map<_, _> =
                all.clone().into_iter().filter(|(key, value)| key != "tags" && value.is_string()).collect();
            if !kept.is_empty() {
                new.insert(key.clone(), Value::Object(kept));
            }
        }
    }
    assert_eq!(original.contains_key("model"), peek.span(Known::Model).is_some());
    new.insert("model".into(), "up".into());
    if !changes.streams {
        new.remove("stream_options");
    }
    let default = changes.defaults.iter().find(|(key, _)| key == "stream_options");
    if let (true, Some((key, json)), None) = (changes.streams, default, original.get("stream_options")) {
        new.insert(key.clone(), serde_json::from_str(json).expect("the defaults are JSON"));
    }
    if changes.include_usage {
        let options = new.entry("stream_options").or_insert(Value::Null);
        let mut fields = options.as_object().cloned().unwrap_or_default();
        fields.insert("include_usage".into(), true.into());
        *options = Value::Object(fields);
    }
    for (key, json) in changes.defaults {
        if key != "stream_options" && !original.contains_key(key) {
            new.insert(key.clone(), serde_json::from_str(json).expect("the defaults are JSON"));
        }
    }
    new
}

/// How many levels are open at the end of `text`, below the outermost object.
fn nesting(text: &str) -> u32 {
    let (mut depth, mut inside, mut escaped) = (0_u32, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'{' | b'[' if !inside => depth += 1,
            b'}' | b']' if !inside => depth -= 1,
            _ => {}
        }
    }
    // A text that is no object is read for its faults only; its outermost level counts.
    if text.trim_start().starts_with('{') { depth - 1 } else { depth }
}

//! A stream of server-sent events on its way to the client: `model` becomes the name the client asked for, one
//! `id` stays throughout, usage is read, and a usage chunk the client did not ask for is hidden. Works on any
//! split of the bytes and keeps all others as they are.
//!
//! Chunks of one stream begin alike (`{"id":"…","object":"…","created":1,"model":"…"`). The beginning of the
//! last one is remembered with the place of its model, so that a chunk costs one comparison instead of a parse.

use std::ops::Range;

use memchr::memmem::Finder;

use super::event::{event_end, is_data, payload_of};
use super::json::Walk;
use super::told::Told;
use crate::usage::{Service, Usage};

/// No event may be longer; a provider that sends more is broken.
pub const MAX_EVENT: usize = 32 << 20;

/// An event was longer than [`MAX_EVENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {MAX_EVENT} bytes")]
pub struct TooLong;

/// What to do with a stream.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// The model's name for the client, as a JSON string with its quotes.
    pub model: String,
    /// Hide the chunk that carries nothing but usage.
    pub hide_usage: bool,
}

/// What a stream has shown so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Usage as last reported.
    pub usage: Option<Usage>,
    /// `data: [DONE]` has passed.
    pub done: bool,
    /// The provider reported an error inside the stream: its payload. Nothing is passed on from there.
    pub error: Option<String>,
    /// Data events passed on.
    pub events: u64,
}

/// The map from a provider's bytes to the client's.
#[derive(Debug, Clone)]
pub struct SseMap {
    wishes: Wishes,
    /// The bytes of an event that has not ended yet.
    partial: Vec<u8>,
    /// How far `partial` has been searched for the event's end.
    searched: usize,
    memo: Memo,
    id: Option<String>,
    usage: Finder<'static>,
    error: Finder<'static>,
    seen: Seen,
    pub(super) told: Told,
}

#[derive(Debug, Clone, Default)]
struct Memo {
    /// A payload's beginning up to the end of its model.
    start: Vec<u8>,
    /// Where the model stands in it.
    model: Range<usize>,
}

impl SseMap {
    /// A map for one stream.
    pub fn new(wishes: Wishes) -> Self {
        Self {
            wishes,
            partial: Vec::new(),
            searched: 0,
            memo: Memo::default(),
            id: None,
            usage: Finder::new(b"\"usage\""),
            error: Finder::new(b"\"error\""),
            seen: Seen::default(),
            told: Told::default(),
        }
    }

    /// What the stream has shown so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Tokens of the answer so far, counted by tagway: for a stream that ends without the provider's figures.
    pub fn estimated_completion(&self) -> u64 {
        self.told.tokens()
    }

    /// Whether the bytes so far end inside an event: a stream that ends here was cut.
    pub fn inside_event(&self) -> bool {
        !matches!(self.partial.trim_ascii(), b"" | b"data: [DONE]" | b"data:[DONE]")
    }

    /// Takes the provider's next bytes and appends the client's to `out`.
    ///
    /// # Errors
    /// An event is too long to be one.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
        if self.partial.is_empty() {
            let used = self.events(input, out);
            self.partial.extend_from_slice(&input[used..]);
        } else {
            self.partial.extend_from_slice(input);
            let partial = std::mem::take(&mut self.partial);
            let used = self.events(&partial, out);
            self.partial = partial;
            self.partial.drain(..used);
        }
        if MAX_EVENT < self.partial.len() { Err(TooLong) } else { Ok(()) }
    }

    /// Maps every complete event at the start of `input`; says how many bytes they were.
    fn events(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut used = 0;
        while self.seen.error.is_none() {
            let rest = &input[used..];
            match event_end(rest, self.searched) {
                Ok(end) => {
                    self.searched = 0;
                    self.event(&rest[..end], out);
                    used += end;
                }
                Err(searched) => {
                    self.searched = searched;
                    return used;
                }
            }
        }
        input.len()
    }

    /// Maps one event, its blank line included.
    fn event(&mut self, event: &[u8], out: &mut Vec<u8>) {
        if let Some(first) = memchr::memchr(b'\n', event)
            && is_data(event)
            && event[first + 1..].iter().all(u8::is_ascii_whitespace)
        {
            let payload = payload_of(event, 0..first);
            let (head, tail) = (&event[..payload.start], &event[payload.end..]);
            return self.data(head, &event[payload], tail, out);
        }
        self.long_event(event, out);
    }

    /// An event of several lines: comments and other fields pass, data lines are joined into one.
    fn long_event(&mut self, event: &[u8], out: &mut Vec<u8>) {
        let (mut others, mut data, mut some) = (Vec::new(), Vec::new(), false);
        let mut at = 0;
        while at < event.len() {
            let end = memchr::memchr(b'\n', &event[at..]).map_or(event.len(), |found| at + found + 1);
            let line = &event[at..end];
            if is_data(line) {
                if some {
                    data.push(b'\n');
                }
                some = true;
                data.extend_from_slice(&line[payload_of(line, 0..line.len())]);
            } else if !line.iter().all(u8::is_ascii_whitespace) {
                others.extend_from_slice(line);
            }
            at = end;
        }
        if some {
            // A joined payload may hold line breaks; JSON may be written without them.
            data.retain(|byte| !matches!(byte, b'\n' | b'\r'));
            others.extend_from_slice(b"data: ");
            self.data(&others, &data, b"\n\n", out);
        } else {
            out.extend_from_slice(event);
        }
    }

    /// One data payload, between the bytes `head` and `tail` of its event.
    fn data(&mut self, head: &[u8], payload: &[u8], tail: &[u8], out: &mut Vec<u8>) {
        let start = !self.memo.start.is_empty() && payload.starts_with(&self.memo.start);
        // What is as it was in the last chunk has been searched there.
        let mut known = if start { self.memo.model.end } else { 0 };
        let alike = self.told.alike(payload, known);
        let mut told = alike.is_some();
        if start {
            known = alike.unwrap_or(known);
        }
        // Inside a string the quotes would be escaped: this is a key or a bare value.
        if self.error.find(&payload[known..]).is_some() && is_error(payload) {
            self.seen.error = Some(String::from_utf8_lossy(payload).into_owned());
            return;
        }
        let model = if start {
            Some(self.memo.model.clone())
        } else {
            if payload == b"[DONE]" {
                self.seen.done = true;
                out.extend_from_slice(&[head, payload, tail].concat());
                return;
            }
            match self.study(payload) {
                Study::Model(span) => Some(span),
                Study::Plain => None,
                Study::Told => {
                    told = true;
                    None
                }
                Study::Rewritten(text) => {
                    if self.may_tell_usage(payload) && self.account(payload) && self.wishes.hide_usage {
                        return;
                    }
                    self.seen.events += 1;
                    if !told {
                        self.told.chunk(text.as_bytes(), 0);
                    }
                    out.extend_from_slice(&[head, text.as_bytes(), tail].concat());
                    return;
                }
            }
        };
        let from = model.as_ref().map_or(0, |span| span.end);
        if self.may_tell_usage(&payload[known.max(from)..]) && self.account(payload) && self.wishes.hide_usage
        {
            return;
        }
        self.seen.events += 1;
        if !told {
            self.told.chunk(payload, from);
        }
        out.extend_from_slice(head);
        match model {
            Some(span) => {
                out.extend_from_slice(&payload[..span.start]);
                out.extend_from_slice(self.wishes.model.as_bytes());
                out.extend_from_slice(&payload[span.end..]);
            }
            None => out.extend_from_slice(payload),
        }
        out.extend_from_slice(tail);
    }

    /// Reads a payload whose beginning is new.
    fn study(&mut self, payload: &[u8]) -> Study {
        let Ok(text) = std::str::from_utf8(payload) else { return Study::Plain };
        let (mut model, mut id, mut response, mut delta) = (None, None, None, None);
        for field in Walk::fields(text, 0..text.len()).into_iter().flatten() {
            match &text[field.key] {
                "model" => model = Some(field.value),
                "id" => id = Some(field.value),
                "response" => response = Some(field.value),
                "delta" => delta = Some(field.value),
                _ => {}
            }
            if model.is_some() && id.is_some() {
                break;
            }
        }
        if let Some(response) = response {
            return self.response_event(text, response);
        }
        let Some(model) = model else {
            let Some(delta) = delta else { return Study::Plain };
            self.told.string(text, delta);
            return Study::Told;
        };
        // Another chunk that begins alike has the same id and the same model only when both end within.
        let alike = text[model.clone()].ends_with('"') && id.as_ref().is_some_and(|id| id.end <= model.start);
        if let Some(span) =
            id.filter(|span| text[span.clone()].starts_with('"') && text[span.clone()] != *"\"\"")
        {
            match &self.id {
                None => self.id = Some(text[span].to_owned()),
                Some(first) if text[span.clone()] == **first => {}
                Some(first) => {
                    let text = replaced(text, &[(span, first), (model, &self.wishes.model)]);
                    return Study::Rewritten(text);
                }
            }
        }
        if alike {
            self.memo = Memo { start: payload[..model.end].to_vec(), model: model.clone() };
        }
        Study::Model(model)
    }

    /// An event of the responses protocol that carries the whole response: model and usage stand inside.
    fn response_event(&mut self, text: &str, response: Range<usize>) -> Study {
        let (mut model, mut usage, mut service) = (None, None, Service::Standard);
        for field in Walk::fields(text, response).into_iter().flatten() {
            match &text[field.key] {
                "model" => model = Some(field.value),
                "usage" => usage = Usage::read(&text[field.value]),
                "service_tier" => service = Service::read(&text[field.value]),
                _ => {}
            }
        }
        self.seen.usage = usage.map(|usage| Usage { service, ..usage }).or(self.seen.usage);
        match model {
            Some(span) => Study::Rewritten(replaced(text, &[(span, &self.wishes.model)])),
            None => Study::Plain,
        }
    }

    /// Whether `"usage"` stands there with anything but `null`, which is what every chunk but the last says.
    fn may_tell_usage(&self, text: &[u8]) -> bool {
        self.usage.find_iter(text).any(|at| {
            let rest = text[at + b"\"usage\"".len()..].trim_ascii_start();
            !rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
        })
    }

    /// Reads the usage of a chunk; says whether the chunk carries nothing else.
    fn account(&mut self, payload: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(payload) else { return false };
        let (mut usage, mut service, mut empty) = (None, Service::Standard, false);
        for field in Walk::fields(text, 0..text.len()).into_iter().flatten() {
            match &text[field.key] {
                "usage" => usage = Usage::read(&text[field.value]),
                "service_tier" => service = Service::read(&text[field.value]),
                "choices" => {
                    empty = Walk::elements(text, field.value).is_some_and(|mut all| all.next().is_none());
                }
                _ => {}
            }
        }
        self.seen.usage = usage.map(|usage| Usage { service, ..usage }).or(self.seen.usage);
        usage.is_some() && empty
    }
}

enum Study {
    /// The model stands here.
    Model(Range<usize>),
    /// Nothing to change.
    Plain,
    /// Nothing to change, and its text is noted already.
    Told,
    /// Changed already.
    Rewritten(String),
}

/// Whether a payload has an `error` object at its top level. That of a response event stands deeper.
fn is_error(payload: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(payload) else { return false };
    let mut fields = Walk::fields(text, 0..text.len()).into_iter().flatten();
    fields.any(|field| &text[field.key] == "error" && text[field.value].starts_with('{'))
}

/// `text` with each span replaced.
fn replaced(text: &str, with: &[(Range<usize>, &str)]) -> String {
    let mut with: Vec<_> = with.iter().collect();
    with.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for (span, new) in with {
        out.push_str(&text[at..span.start]);
        out.push_str(new);
        at = span.end;
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wishes(hide_usage: bool) -> Wishes {
        Wishes { model: "\"asked\"".into(), hide_usage }
    }

    fn map(hide_usage: bool, parts: &[&[u8]]) -> (String, Seen, bool) {
        let (mut map, mut out) = (SseMap::new(wishes(hide_usage)), Vec::new());
        for part in parts {
            map.push(part, &mut out).unwrap();
        }
        (String::from_utf8(out).unwrap(), map.seen().clone(), map.inside_event())
    }

    const STREAM: &str = concat!(
        ": hello\n\n",
        "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\": 1\"}}],\"usage\":null}\n\n",
        "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"é\"}}]}\r\n\r\n",
        "data: {\"id\":\"c2\",\"model\":\"up\",\"choices\":[]}\n\n",
        "event: x\ndata: {\"id\":\"c1\",\ndata: \"model\":\"up\"}\n\n",
        "data:{\"id\":\"c1\",\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
        "data: [DONE]\n\n",
    );

    #[test]
    fn rewrites_the_model_keeps_one_id_and_hides_the_usage_nobody_asked_for() {
        let (text, seen, cut) = map(true, &[STREAM.as_bytes()]);
        assert_eq!(
            text,
            concat!(
                ": hello\n\n",
                "data: {\"id\":\"c1\",\"model\":\"asked\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\": 1\"}}],\"usage\":null}\n\n",
                "data: {\"id\":\"c1\",\"model\":\"asked\",\"choices\":[{\"delta\":{\"content\":\"é\"}}]}\r\n\r\n",
                "data: {\"id\":\"c1\",\"model\":\"asked\",\"choices\":[]}\n\n",
                "event: x\ndata: {\"id\":\"c1\",\"model\":\"asked\"}\n\n",
                "data: [DONE]\n\n",
            )
        );
        assert_eq!(seen.usage, Some(Usage { prompt: 1, completion: 2, total: 3, ..Usage::default() }));
        assert!(seen.done && !cut);
        assert!(map(false, &[STREAM.as_bytes()]).0.contains("\"prompt_tokens\":1"));
    }

    #[test]
    fn usage_is_read_wherever_it_is_not_null() {
        let stream = b"data: {\"id\":\"c\",\"model\":\"up\",\"usage\" : null,\"x\":{\"usage\":null}}\n\ndata: {\"id\":\"c\",\"model\":\"up\",\"x\":{\"usage\":null},\"usage\" : {\"prompt_tokens\":1}}\n\n";
        let (_, seen, _) = map(true, &[stream]);
        assert_eq!(seen.usage.map(|usage| usage.prompt), Some(1));
    }

    #[test]
    fn an_error_inside_the_stream_ends_it() {
        let stream = b"data: {\"model\":\"up\"}\n\ndata: {\"error\":{\"message\":\"x\"}}\n\ndata: [DONE]\n\n";
        let (text, seen, _) = map(true, &[stream]);
        assert_eq!(text, "data: {\"model\":\"asked\"}\n\n");
        assert_eq!(seen.error.as_deref(), Some("{\"error\":{\"message\":\"x\"}}"));
        assert!(!seen.done);
    }

    #[test]
    fn an_error_behind_the_model_is_an_error_too() {
        let stream = b"data: {\"id\":\"c\",\"model\":\"up\"}\n\ndata: {\"id\":\"c\",\"model\":\"up\",\"error\":{\"code\":502}}\n\n";
        assert!(map(true, &[stream]).1.error.is_some());
    }

    #[test]
    fn usage_is_read_and_hidden_whatever_the_ids() {
        let stream = b"data: {\"id\":\"\",\"model\":\"\"}\n\ndata: {\"id\":\"1\",\"model\":\"up\"}\n\ndata: {\"id\":\"2\",\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"input_tokens\":1,\"completion_tokens\":2}}\n\n";
        let (text, seen, _) = map(true, &[stream]);
        assert_eq!(
            text,
            "data: {\"id\":\"\",\"model\":\"asked\"}\n\ndata: {\"id\":\"1\",\"model\":\"asked\"}\n\n"
        );
        assert_eq!(seen.usage.map(|usage| usage.total), Some(3));
    }

    #[test]
    fn an_end_mark_without_a_blank_line_is_no_cut() {
        assert!(!map(true, &[b"data: [DONE]\n"]).2);
    }

    #[test]
    fn a_response_event_names_the_model_inside() {
        let stream = b"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"model\":\"up\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n";
        let (text, seen, _) = map(true, &[stream]);
        assert!(text.contains("\"model\":\"asked\""));
        assert_eq!(seen.usage.map(|usage| usage.total), Some(3));
    }

    #[test]
    fn a_beginning_that_does_not_settle_id_and_model_is_not_remembered() {
        let stream = b"data: {\"model\":\"up\",\"id\":\"c1\"}\n\ndata: {\"model\":\"up\",\"id\":\"c2\"}\n\n";
        let (text, ..) = map(true, &[stream]);
        assert_eq!(text.matches("{\"model\":\"asked\",\"id\":\"c1\"}").count(), 2, "{text}");
        let stream = b"data: {\"id\":\"c\",\"model\":1}\n\ndata: {\"id\":\"c\",\"model\":12}\n\n";
        let (text, ..) = map(true, &[stream]);
        assert_eq!(text.matches("{\"id\":\"c\",\"model\":\"asked\"}").count(), 2, "{text}");
    }

    #[test]
    fn a_stream_cut_inside_an_event_is_noticed() {
        assert!(map(true, &[b"data: {\"id\""]).2);
        assert!(!map(true, &[b"data: 1\n\n\n"]).2);
    }

    proptest! {
        #[test]
        fn a_stream_split_anywhere_maps_the_same(mut cuts in prop::collection::vec(0..STREAM.len(), 0..40), hide: bool) {
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut at = 0;
            for cut in cuts.into_iter().chain([STREAM.len()]) {
                parts.push(&STREAM.as_bytes()[at..cut]);
                at = cut;
            }
            prop_assert_eq!(map(hide, &parts), map(hide, &[STREAM.as_bytes()]));
        }

        #[test]
        fn any_bytes_are_survived(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
            let (mut map, mut out) = (SseMap::new(wishes(true)), Vec::new());
            for part in parts {
                map.push(&part, &mut out).unwrap();
            }
        }
    }
}

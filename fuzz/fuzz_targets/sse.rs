//! A provider's stream: any bytes in any pieces give the same output, nothing is kept that need not be, and a
//! stream of sound chunks stays one.
#![no_main]

mod unique;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tagway_core::wire::sse::{Seen, SseMap, Wishes};

const ASKED: &str = "\"asked\"";

struct Mapped {
    out: Vec<u8>,
    seen: Seen,
    inside: bool,
}

/// Maps the stream in the pieces given. Output may exceed input only by the longer model name and id of each
/// event, and there is an event at most every two bytes.
fn map<'a>(hide_usage: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Mapped {
    let mut map = SseMap::new(Wishes { model: ASKED.into(), hide_usage });
    let mut out = Vec::new();
    for piece in pieces {
        map.push(piece, &mut out).expect("no input here is as long as an event may be");
    }
    Mapped { out, seen: map.seen().clone(), inside: map.inside_event() }
}

fuzz_target!(|data: &[u8]| {
    // The last byte chooses the pieces.
    let Some((&choice, stream)) = data.split_last() else { return };
    for hide in [false, true] {
        let whole = map(hide, std::iter::once(stream));
        assert!(whole.out.len() <= (stream.len() + 8) * (stream.len() + 8));
        for other in [
            map(hide, stream.chunks(1)),
            map(hide, stream.chunks(2 + usize::from(choice))),
            map(hide, pieces(stream, choice)),
        ] {
            assert_eq!(String::from_utf8_lossy(&whole.out), String::from_utf8_lossy(&other.out));
            assert_eq!(whole.seen, other.seen);
            assert_eq!(whole.inside, other.inside);
        }
        if let Some(chunks) = sound(stream) {
            check(&chunks, &whole, hide);
        }
    }
});

/// Pieces of uneven lengths, empty ones among them.
fn pieces(stream: &[u8], choice: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (stream, u32::from(choice) + 1);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, left) = rest.split_at((state >> 24) as usize % 24 % (rest.len() + 1));
        rest = left;
        Some(piece)
    })
}

/// The chunks of a stream that is nothing but `data: {…}` events, no two keys alike in any, none with escapes,
/// and none that the map treats in a way of its own.
fn sound(stream: &[u8]) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(stream).ok()?;
    if text.contains(['\\', '\r']) {
        return None;
    }
    let events = text.strip_suffix("\n\n")?.split("\n\n");
    let chunk = |event: &str| {
        let chunk = unique::parse(event.strip_prefix("data: ").filter(|line| !line.contains('\n'))?)?;
        let plain = chunk.is_object() && chunk.get("response").is_none() && chunk.get("error").is_none();
        plain.then_some(chunk)
    };
    events.map(chunk).collect()
}

/// The second formulation: parsed, then changed.
fn check(chunks: &[Value], mapped: &Mapped, hide: bool) {
    let mut first_id: Option<Value> = None;
    let text = std::str::from_utf8(&mapped.out).expect("the output is UTF-8");
    let mut ours = text.split_terminator("\n\n").map(|event| {
        let payload = event.strip_prefix("data: ").expect("every event is a data line");
        unique::parse(payload).unwrap_or_else(|| panic!("not JSON: {payload}"))
    });
    let mut usage = None;
    for chunk in chunks {
        let mut expected = chunk.clone();
        let id = chunk.get("id").filter(|id| id.is_string() && chunk.get("model").is_some());
        if let Some(id) = id {
            expected["id"] = first_id.get_or_insert_with(|| id.clone()).clone();
        }
        if let Some(model) = expected.get_mut("model") {
            *model = "asked".into();
        }
        let reported = chunk.get("usage").is_some_and(Value::is_object);
        if reported {
            usage = chunk.get("usage").cloned();
        }
        let no_choices = chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
        if hide && reported && no_choices {
            continue;
        }
        assert_eq!(ours.next(), Some(expected), "{chunk}");
    }
    assert_eq!(ours.next(), None);
    assert!(mapped.seen.usage.is_none() || usage.is_some());
    assert!(!mapped.inside);
}

//! Models that fail as they are called, so that a person with curl can see what a gateway makes of it. A
//! name counts with or without a prefix such as `openai/`.

use std::time::Duration;

use super::Said;
use crate::reply::{After, Body, Reply};

pub(super) const MODELS: [&str; 9] = [
    "fake-400",
    "fake-401",
    "fake-429",
    "fake-500",
    "fake-reset",
    "fake-stall",
    "fake-slow",
    "fake-truncated",
    "fake-garbage",
];

/// Spoils a decent reply as its model asks. A stream fails half way (or stalls after its first chunk), since
/// a failure before the head is what the same model does to a whole reply.
pub(super) fn apply(said: &Said, reply: Reply) -> Reply {
    let slow = Duration::from_millis(200);
    let (half, whole) = match &reply.body {
        Body::Events(events) => (After::Chunks(events.len() / 2), false),
        Body::Whole(bytes) => (After::Bytes(bytes.len() / 2), true),
    };
    match said.model.rsplit('/').next().unwrap_or_default() {
        "fake-400" => Reply::error(400, "This model refuses every request."),
        "fake-401" => Reply::error(401, "Incorrect API key provided."),
        "fake-429" => Reply::error(429, "Rate limit reached for this model.").retry_after(2),
        "fake-500" => Reply::error(500, "The server had an error while processing your request."),
        "fake-reset" => reply.reset(if whole { After::Request } else { half }),
        "fake-stall" => reply.stall(if whole { After::Request } else { After::Chunks(1) }),
        "fake-slow" if whole => reply.split_every(64).chunk_delay(slow),
        "fake-slow" => reply.chunk_delay(slow),
        "fake-truncated" => reply.close(half),
        "fake-garbage" => Reply::garbage("this is not the protocol you are looking for\r\n\r\n"),
        _ => reply,
    }
}

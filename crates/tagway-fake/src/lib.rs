//! A scripted upstream. It speaks HTTP/1.1 by hand over TCP, because it must also do what a well-behaved
//! server cannot: stall, reset, lie about lengths, cut an event in two. It decides nothing about the
//! gateway and forgives nothing: what it receives it records as it came, and what is not HTTP it refuses.
//!
//! ```no_run
//! # async fn demo() {
//! use tagway_fake::{After, Fake, Reply};
//! let east = Fake::reply(429, r#"{"error":{"message":"slow down"}}"#).await;
//! let west = Fake::sse(["Hel", "lo"]).await;
//! let odd = Fake::script([Reply::error(503, "busy"), Reply::chat(["a", "b"]).reset(After::Chunks(2))]).await;
//! # let _ = (east, west, odd);
//! # }
//! ```
//!
//! The map: [`Fake`] owns the listener; `connection` reads a request (`read`), notes it (`record`), asks the
//! [`Script`] for a [`Reply`], has it laid out as steps (`plan`, pure) and walks them. [`OpenAi`] is the
//! default script; `written` is the JSON form of a reply.

mod base64;
mod connection;
mod fake;
mod openai;
mod plan;
mod read;
mod record;
mod reply;
mod script;
mod sse;
mod written;

pub use fake::Fake;
pub use openai::OpenAi;
pub use record::{Counts, Seen};
pub use reply::{After, Framing, Reply};
pub use script::Script;
pub use sse::Event;

/// Ends the test that uses the fake: a double that cannot do its work has nobody to report an error to,
/// and going on would let an assertion hold by luck.
#[expect(clippy::panic, reason = "the callers are tests, whose way to fail is to panic")]
#[track_caller]
fn fail(why: &str) -> ! {
    panic!("{why}")
}

//! Bytes on the wire: what the gateway reads of a body and what it changes, without rebuilding it.
//!
//! [`json`] walks JSON text in place, [`peek`] finds the fields of a request body, [`splice`] writes the body
//! for the provider, [`reply`] does the same for an answer, and [`sse`] for a stream of events.

mod event;
pub mod json;
pub mod peek;
pub mod reply;
pub mod splice;
pub mod sse;
mod told;

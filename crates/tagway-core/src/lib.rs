//! The pure core of tagway: what a gateway decides, without sockets, clocks, randomness, locks or async.
//!
//! - [`config`]: LiteLLM's `config.yaml`, read strictly into a [`config::Config`] that cannot be wrong.
//! - [`tag`]: request tags with their origin, the index of a model group, the decision and its explanation.
//! - [`strategy`]: which one of the candidates serves.
//! - [`dialect`]: the providers tagway can speak to.
//!
//! Invariants: nothing here reads a file, an environment variable or the time by itself (they are arguments);
//! nothing here knows HTTP status codes of tagway's own answers; nothing here can fail for any other reason
//! than its input.

pub mod access;
pub mod audit;
pub mod budget;
pub mod catalogue;
pub mod claims;
pub mod config;
pub mod dialect;
pub mod experiment;
pub mod fault;
pub mod limits;
pub mod metrics;
pub mod money;
pub mod pii;
pub mod price;
pub mod priority;
pub mod rule;
pub mod secret;
pub mod snapshot;
pub mod strategy;
pub mod tag;
pub mod tokens;
pub mod usage;
pub mod vocabulary;
mod wildcard;
pub mod wire;

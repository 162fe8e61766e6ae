//! Configuration: LiteLLM's `config.yaml`, read strictly.

mod model;

pub use model::*;

//! Providers: the table of OpenAI-compatible ones, and how a model name finds its provider.

mod table;

pub use table::{Provider, ProviderEntry, Resolved, resolve};

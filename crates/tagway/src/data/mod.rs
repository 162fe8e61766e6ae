//! The data path: from a client's request for a model to its answer. [`pipeline`] is the map of it.

pub(crate) mod admit;
pub(crate) mod answer;
pub(crate) mod attempt;
mod budgets;
pub(crate) mod content;
mod cost;
mod customer;
mod estimate;
pub(crate) mod explain;
pub(crate) mod failure;
mod fallback;
mod intake;
mod mock;
mod names;
pub(crate) mod pipeline;
pub(crate) mod probe;
mod provider_headers;
mod python;
mod rates;
mod record;
mod refused;
mod relay;
mod room;
mod settle;
mod stream;
pub(crate) mod upstream;
mod wanted_fallbacks;

//! Configuration: LiteLLM's `config.yaml`, read strictly. [`load`] gives a [`Config`] that cannot be wrong, or
//! every [`Problem`] at once.

mod alerts;
mod budgets;
mod deployment;
mod deployment_keys;
mod files;
mod general;
mod general_keys;
mod groups;
mod health;
mod homes;
mod identity;
mod links;
mod lint;
mod lint_names;
mod lint_prices;
mod load;
mod mask;
mod matrix;
mod metrics;
mod model;
mod model_info;
mod new_keys;
mod prices;
mod problem;
mod proxy;
mod proxy_keys;
mod report;
mod resilience;
mod routing;
mod scalar;
mod scope;
mod spend_logs;
mod strategy;
mod tags;
mod valkey;
mod yaml;

pub use health::{HealthCheck, HealthChecks};
pub use load::{Host, Loaded, check, load};
pub use mask::is_secret;
pub use matrix::{Column, GroupMatrix, Matrix, Row, matrix};
pub use metrics::MetricRules;
pub use model::*;
pub use problem::{Problem, Problems, Severity, Snippet};
pub use resilience::Failures;
pub use spend_logs::SpendLogs;

//! Command-line arguments as fields of a request body.

use clap::Args;
use serde_json::{Map, Value};

use super::client::Failed;

/// Any field of the API, as `name=value`.
#[derive(Debug, Args)]
pub(in super::super) struct Set {
    /// Any other field of the API: `name=value`, the value as JSON or as plain text; may be repeated.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<String>,
}

/// Limits of rate and money.
#[derive(Debug, Args)]
pub(in super::super) struct Limits {
    /// Dollars that may be spent.
    #[arg(long)]
    max_budget: Option<f64>,
    /// How long the budget holds before it begins anew: 24h, 7d, 1mo.
    #[arg(long)]
    budget_duration: Option<String>,
    /// Requests a minute.
    #[arg(long)]
    rpm_limit: Option<u64>,
    /// Tokens a minute.
    #[arg(long)]
    tpm_limit: Option<u64>,
    /// Requests in progress at once.
    #[arg(long)]
    max_parallel_requests: Option<u64>,
}

/// A body in the making.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// With a field, if it is given.
    pub(super) fn with(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// With a list, if it has items. A single empty item stands for the empty list.
    pub(super) fn list(self, name: &str, items: &[String]) -> Self {
        match items {
            [] => self,
            [one] if one.is_empty() => self.with(name, Some(Vec::<String>::new())),
            items => self.with(name, Some(items.to_vec())),
        }
    }

    /// With the limits given.
    pub(super) fn limits(self, limits: &Limits) -> Self {
        self.with("max_budget", limits.max_budget)
            .with("budget_duration", limits.budget_duration.clone())
            .with("rpm_limit", limits.rpm_limit)
            .with("tpm_limit", limits.tpm_limit)
            .with("max_parallel_requests", limits.max_parallel_requests)
    }

    /// The body, with the fields of `--set`.
    pub(super) fn body(mut self, set: &Set) -> Result<Value, Failed> {
        for one in &set.set {
            let Some((name, value)) = one.split_once('=') else {
                return Err(Failed::Unasked(format!("--set {one}: write FIELD=VALUE")));
            };
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            self.0.insert(name.to_owned(), value);
        }
        Ok(Value::Object(self.0))
    }
}

/// JSON in an argument.
pub(super) fn json(name: &str, text: Option<&str>) -> Result<Option<Value>, Failed> {
    let Some(text) = text else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| Failed::Unasked(format!("--{name}: {error}")))
}

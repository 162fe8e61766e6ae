//! Budgets with an id, which keys, customers, tags and others refer to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Kind, Limits, Links, Object};

/// A budget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Budget {
    #[serde(flatten)]
    pub(crate) limits: Limits,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

impl Object for Budget {
    const KIND: Kind = Kind::Budget;

    fn links(&self) -> Links<'_> {
        Links::default()
    }
}

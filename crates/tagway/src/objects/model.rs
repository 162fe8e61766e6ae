//! Deployments that were added over the API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Kind, Links, Object};

/// A deployment, with LiteLLM's three parts of it. Secrets in them are sealed before they get here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Model {
    pub(crate) model_name: String,
    pub(crate) litellm_params: Map<String, Value>,
    pub(crate) model_info: Map<String, Value>,
    /// Whether it is out of service.
    pub(crate) blocked: bool,
    /// Fields of LiteLLM that tagway keeps and does not act on.
    #[schema(read_only)]
    pub(crate) ignored: Map<String, Value>,
}

impl Object for Model {
    const KIND: Kind = Kind::Model;

    fn links(&self) -> Links<'_> {
        Links {
            name: Some(&self.model_name),
            team: self.model_info.get("team_id").and_then(Value::as_str),
            ..Links::default()
        }
    }

    fn tags(&self) -> Vec<&str> {
        match self.litellm_params.get("tags") {
            Some(Value::Array(tags)) => tags.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

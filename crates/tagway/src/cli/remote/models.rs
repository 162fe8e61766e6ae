//! `tagway model …`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Failed};
use super::fields::{Fields, Set, json as parsed};
use super::{Answer, Ask};

/// What to do with deployments.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Model {
    /// Add a deployment.
    New {
        /// The model group it joins: the name clients ask for.
        name: String,
        #[command(flatten)]
        given: Given,
    },
    /// List deployments.
    List,
    /// Show a deployment.
    Info { id: String },
    /// Change a deployment that was added over the API.
    Update {
        id: String,
        #[command(flatten)]
        given: Given,
    },
    /// Delete a deployment that was added over the API.
    Delete { id: String },
}

/// The parts of a deployment.
#[derive(Debug, Args)]
pub(in super::super) struct Given {
    /// The provider's model: openai/gpt-4o.
    #[arg(long)]
    model: Option<String>,
    /// The provider's address.
    #[arg(long)]
    api_base: Option<String>,
    /// A variable of the gateway's environment that holds the provider's key.
    #[arg(long, value_name = "VARIABLE")]
    api_key_env: Option<String>,
    /// Tags it serves: a comma list.
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// Other parameters, as a JSON object.
    #[arg(long)]
    params: Option<String>,
    /// `model_info`, as a JSON object.
    #[arg(long)]
    info: Option<String>,
    #[command(flatten)]
    set: Set,
}

impl Given {
    fn body(&self, name: Option<&str>, id: Option<&str>) -> Result<Value, Failed> {
        let empty = || json!({});
        let mut params = parsed("params", self.params.as_deref())?.unwrap_or_else(empty);
        let key = self.api_key_env.as_ref().map(|variable| format!("os.environ/{variable}"));
        for (field, value) in [("model", &self.model), ("api_base", &self.api_base), ("api_key", &key)] {
            if let Some(value) = value {
                params[field] = value.as_str().into();
            }
        }
        if !self.tags.is_empty() {
            params["tags"] = self.tags.clone().into();
        }
        let mut info = parsed("info", self.info.as_deref())?.unwrap_or_else(empty);
        if let Some(id) = id {
            info["id"] = id.into();
        }
        Fields::default()
            .with("model_name", name)
            .with("litellm_params", Some(params))
            .with("model_info", Some(info))
            .body(&self.set)
    }
}

impl Ask for Model {
    fn ask(&self, client: &Client) -> Result<Answer, Failed> {
        let columns = &[
            "model_name",
            "model_info.id",
            "litellm_params.model",
            "litellm_params.tags",
            "model_info.db_model",
        ];
        Ok(match self {
            Self::New { name, given } => {
                Answer::one(client.post("/model/new", &given.body(Some(name), None)?)?)
            }
            Self::List => {
                let mut listed = client.get("/model/info", &[])?;
                Answer::many(listed["data"].take(), columns)
            }
            Self::Info { id } => {
                let mut found = client.get("/model/info", &[("litellm_model_id", Some(id.clone()))])?;
                Answer::one(found["data"][0].take())
            }
            Self::Update { id, given } => {
                Answer::one(client.post("/model/update", &given.body(None, Some(id))?)?)
            }
            Self::Delete { id } => Answer::one(client.post("/model/delete", &json!({ "id": id }))?),
        })
    }
}

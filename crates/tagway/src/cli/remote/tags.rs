//! `tagway tag …`

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Failed};
use super::fields::{Fields, Limits, Set};
use super::{Answer, Ask};

/// What to do with tags.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Tag {
    /// Declare a tag.
    New {
        name: String,
        #[command(flatten)]
        given: Given,
    },
    /// List tags: declared ones, and those only seen in requests.
    List,
    /// Show a tag.
    Info { name: String },
    /// Change a tag.
    Update {
        name: String,
        #[command(flatten)]
        given: Given,
    },
    /// Delete a tag, and take it from the deployments it was put on.
    Delete { name: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Kind {
    Routing,
    Attribution,
    Both,
}

/// The fields of a tag.
#[derive(Debug, Args)]
pub(in super::super) struct Given {
    /// What it is for, in words.
    #[arg(long)]
    description: Option<String>,
    /// Who answers for it.
    #[arg(long)]
    owner: Option<String>,
    /// Whether it takes part in routing, in accounting, or in both.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Deployments that carry it, by id or model name: a comma list.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    set: Set,
}

impl Given {
    fn body(&self, name: &str) -> Result<Value, Failed> {
        let kind = self.kind.map(|kind| match kind {
            Kind::Routing => "routing",
            Kind::Attribution => "attribution",
            Kind::Both => "both",
        });
        Fields::default()
            .with("name", Some(name))
            .with("description", self.description.clone())
            .with("owner", self.owner.clone())
            .with("kind", kind)
            .list("models", &self.models)
            .limits(&self.limits)
            .body(&self.set)
    }
}

impl Ask for Tag {
    fn ask(&self, client: &Client) -> Result<Answer, Failed> {
        Ok(match self {
            Self::New { name, given } => {
                let mut made = client.post("/tag/new", &given.body(name)?)?;
                Answer::one(made["tag"].take())
            }
            Self::List => {
                let columns = &["name", "kind", "description", "models", "created_at", "updated_at"];
                Answer::many(client.get("/tag/list", &[])?, columns)
            }
            Self::Info { name } => {
                let mut found = client.post("/tag/info", &json!({ "names": [name] }))?;
                Answer::one(found[name.as_str()].take())
            }
            Self::Update { name, given } => {
                let mut changed = client.post("/tag/update", &given.body(name)?)?;
                Answer::one(changed["tag"].take())
            }
            Self::Delete { name } => Answer::one(client.post("/tag/delete", &json!({ "name": name }))?),
        })
    }
}

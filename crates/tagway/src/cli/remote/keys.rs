//! `tagway key …`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Failed, segment};
use super::fields::{Fields, Limits, Set, json as parsed};
use super::{Answer, Ask};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Key {
    /// Make a key. It is shown this once.
    #[command(visible_alias = "new")]
    Generate(Given),
    /// List keys, the newest first.
    List {
        /// Keys of this team.
        #[arg(long)]
        team: Option<String>,
        /// Keys of this user.
        #[arg(long)]
        user: Option<String>,
        /// The key with this alias.
        #[arg(long)]
        alias: Option<String>,
        /// Keys that carry this tag.
        #[arg(long)]
        tag: Option<String>,
        /// Pages count from 1.
        #[arg(long, default_value_t = 1)]
        page: u32,
        /// Objects on a page.
        #[arg(long, default_value_t = 50)]
        size: u32,
    },
    /// Show a key, by itself or its hash; without one the key that asks.
    Info { which: Option<String> },
    /// Change a key. What is not given stays as it is.
    Update {
        which: String,
        #[command(flatten)]
        given: Given,
    },
    /// Delete keys.
    Delete {
        #[arg(required = true)]
        which: Vec<String>,
    },
    /// Refuse requests with a key.
    Block { which: String },
    /// Let requests with a key in again.
    Unblock { which: String },
    /// Put a new key in place of an old one.
    Regenerate {
        which: String,
        /// How long the old one holds beside it: 30m, 24h.
        #[arg(long)]
        grace_period: Option<String>,
    },
}

/// The fields of a key.
#[derive(Debug, Args)]
pub(in super::super) struct Given {
    /// A name for people.
    #[arg(long)]
    alias: Option<String>,
    /// Id of the team it belongs to.
    #[arg(long)]
    team: Option<String>,
    /// Id of the user it belongs to.
    #[arg(long)]
    user: Option<String>,
    /// Models it may use: a comma list.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Tags its requests inherit: a comma list.
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// Patterns of tags its requests may send: a comma list.
    #[arg(long, value_delimiter = ',')]
    allowed_tags: Vec<String>,
    /// How long it is valid: 24h, 30d, 1mo.
    #[arg(long)]
    duration: Option<String>,
    /// Free-form fields, as a JSON object.
    #[arg(long)]
    metadata: Option<String>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    set: Set,
}

impl Given {
    fn body(&self, which: Option<&str>) -> Result<Value, Failed> {
        Fields::default()
            .with("key", which)
            .with("key_alias", self.alias.clone())
            .with("team_id", self.team.clone())
            .with("user_id", self.user.clone())
            .list("models", &self.models)
            .list("tags", &self.tags)
            .list("allowed_tags", &self.allowed_tags)
            .with("duration", self.duration.clone())
            .with("metadata", parsed("metadata", self.metadata.as_deref())?)
            .limits(&self.limits)
            .body(&self.set)
    }
}

impl Ask for Key {
    fn ask(&self, client: &Client) -> Result<Answer, Failed> {
        Ok(match self {
            Self::Generate(given) => Answer::one(client.post("/key/generate", &given.body(None)?)?),
            Self::List { team, user, alias, tag, page, size } => {
                let query = [
                    ("team_id", team.clone()),
                    ("user_id", user.clone()),
                    ("key_alias", alias.clone()),
                    ("tag", tag.clone()),
                    ("page", Some(page.to_string())),
                    ("size", Some(size.to_string())),
                    ("return_full_object", Some("true".to_owned())),
                ];
                let mut listed = client.get("/key/list", &query)?;
                let columns = &[
                    "key_name",
                    "key_alias",
                    "team_id",
                    "user_id",
                    "metadata.tags",
                    "models",
                    "expires",
                    "spend",
                    "token",
                ];
                Answer::many(listed["keys"].take(), columns)
            }
            Self::Info { which } => {
                let mut found = client.get("/key/info", &[("key", which.clone())])?;
                let mut info = found["info"].take();
                info["token"] = found["key"].take();
                Answer::one(info)
            }
            Self::Update { which, given } => {
                Answer::one(client.post("/key/update", &given.body(Some(which))?)?)
            }
            Self::Delete { which } => Answer::one(client.post("/key/delete", &json!({ "keys": which }))?),
            Self::Block { which } => Answer::one(client.post("/key/block", &json!({ "key": which }))?),
            Self::Unblock { which } => Answer::one(client.post("/key/unblock", &json!({ "key": which }))?),
            Self::Regenerate { which, grace_period } => {
                let path = format!("/key/{}/regenerate", segment(which));
                Answer::one(client.post(&path, &json!({ "grace_period": grace_period }))?)
            }
        })
    }
}

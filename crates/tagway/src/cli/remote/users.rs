//! `tagway user …`

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Failed};
use super::fields::{Fields, Limits, Set};
use super::{Answer, Ask};

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(in super::super) enum User {
    /// Make a user.
    New {
        /// Make a key for the user, too.
        #[arg(long)]
        with_key: bool,
        #[command(flatten)]
        given: Given,
    },
    /// List users.
    List {
        /// Pages count from 1.
        #[arg(long, default_value_t = 1)]
        page: u32,
        /// Objects on a page.
        #[arg(long, default_value_t = 50)]
        size: u32,
    },
    /// Show a user; without one the user who asks.
    Info { which: Option<String> },
    /// Change a user. What is not given stays as it is.
    Update {
        which: String,
        #[command(flatten)]
        given: Given,
    },
    /// Delete users, with their keys.
    Delete {
        #[arg(required = true)]
        which: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Role {
    ProxyAdmin,
    ProxyAdminViewer,
    InternalUser,
    InternalUserViewer,
}

/// The fields of a user.
#[derive(Debug, Args)]
pub(in super::super) struct Given {
    /// The id; a random one when absent. Not for update.
    #[arg(long)]
    id: Option<String>,
    /// Address; no two users have the same.
    #[arg(long)]
    email: Option<String>,
    /// A name for people.
    #[arg(long)]
    alias: Option<String>,
    /// What the user may see and change.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Models the user's own keys may use: a comma list.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    set: Set,
}

impl Given {
    fn fields(&self, which: Option<&str>) -> Fields {
        let role = self.role.map(|role| match role {
            Role::ProxyAdmin => "proxy_admin",
            Role::ProxyAdminViewer => "proxy_admin_viewer",
            Role::InternalUser => "internal_user",
            Role::InternalUserViewer => "internal_user_viewer",
        });
        Fields::default()
            .with("user_id", which.or(self.id.as_deref()))
            .with("user_email", self.email.clone())
            .with("user_alias", self.alias.clone())
            .with("user_role", role)
            .list("models", &self.models)
            .limits(&self.limits)
    }
}

impl Ask for User {
    fn ask(&self, client: &Client) -> Result<Answer, Failed> {
        Ok(match self {
            Self::New { with_key, given } => {
                let body: Value =
                    given.fields(None).with("auto_create_key", Some(*with_key)).body(&given.set)?;
                Answer::one(client.post("/user/new", &body)?)
            }
            Self::List { page, size } => {
                let query = [("page", Some(page.to_string())), ("page_size", Some(size.to_string()))];
                let mut listed = client.get("/user/list", &query)?;
                let columns =
                    &["user_id", "user_email", "user_alias", "user_role", "key_count", "spend", "max_budget"];
                Answer::many(listed["users"].take(), columns)
            }
            Self::Info { which } => {
                let mut found = client.get("/user/info", &[("user_id", which.clone())])?;
                Answer::one(found["user_info"].take())
            }
            Self::Update { which, given } => {
                let mut changed =
                    client.post("/user/update", &given.fields(Some(which)).body(&given.set)?)?;
                Answer::one(changed["data"].take())
            }
            Self::Delete { which } => {
                Answer::one(client.post("/user/delete", &json!({ "user_ids": which }))?)
            }
        })
    }
}

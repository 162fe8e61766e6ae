//! `tagway team …`

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Failed};
use super::fields::{Fields, Limits, Set, json as parsed};
use super::{Answer, Ask};

/// What to do with teams.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Team {
    /// Make a team.
    New(Given),
    /// List teams.
    List {
        /// Teams of this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Show a team.
    Info { which: String },
    /// Change a team. What is not given stays as it is.
    Update {
        which: String,
        #[command(flatten)]
        given: Given,
    },
    /// Delete teams, with their keys.
    Delete {
        #[arg(required = true)]
        which: Vec<String>,
    },
    /// Refuse requests with a team's keys.
    Block { which: String },
    /// Let requests with a team's keys in again.
    Unblock { which: String },
    /// Add a user to a team.
    AddMember {
        which: String,
        user: String,
        #[arg(long, value_enum, default_value_t = MemberRole::User)]
        role: MemberRole,
    },
    /// Take a user out of a team.
    RemoveMember { which: String, user: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum MemberRole {
    User,
    Admin,
}

/// The fields of a team.
#[derive(Debug, Args)]
pub(in super::super) struct Given {
    /// Its id; a random one when absent. Not for update.
    #[arg(long)]
    id: Option<String>,
    /// A name for people.
    #[arg(long)]
    alias: Option<String>,
    /// Id of the organization it belongs to.
    #[arg(long)]
    organization: Option<String>,
    /// Models its keys may use at most: a comma list.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Tags its requests inherit: a comma list.
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// Patterns of tags its requests may send: a comma list.
    #[arg(long, value_delimiter = ',')]
    allowed_tags: Vec<String>,
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
            .with("team_id", which.or(self.id.as_deref()))
            .with("team_alias", self.alias.clone())
            .with("organization_id", self.organization.clone())
            .list("models", &self.models)
            .list("tags", &self.tags)
            .list("allowed_tags", &self.allowed_tags)
            .with("metadata", parsed("metadata", self.metadata.as_deref())?)
            .limits(&self.limits)
            .body(&self.set)
    }
}

impl Ask for Team {
    fn ask(&self, client: &Client) -> Result<Answer, Failed> {
        Ok(match self {
            Self::New(given) => Answer::one(client.post("/team/new", &given.body(None)?)?),
            Self::List { user } => {
                let columns =
                    &["team_id", "team_alias", "metadata.tags", "models", "blocked", "spend", "max_budget"];
                Answer::many(client.get("/team/list", &[("user_id", user.clone())])?, columns)
            }
            Self::Info { which } => {
                let mut found = client.get("/team/info", &[("team_id", Some(which.clone()))])?;
                Answer::one(found["team_info"].take())
            }
            Self::Update { which, given } => {
                let mut changed = client.post("/team/update", &given.body(Some(which))?)?;
                Answer::one(changed["data"].take())
            }
            Self::Delete { which } => {
                Answer::one(client.post("/team/delete", &json!({ "team_ids": which }))?)
            }
            Self::Block { which } => Answer::one(client.post("/team/block", &json!({ "team_id": which }))?),
            Self::Unblock { which } => {
                Answer::one(client.post("/team/unblock", &json!({ "team_id": which }))?)
            }
            Self::AddMember { which, user, role } => {
                let role = if *role == MemberRole::Admin { "admin" } else { "user" };
                let body = json!({"team_id": which, "member": {"user_id": user, "role": role}});
                Answer::one(client.post("/team/member_add", &body)?)
            }
            Self::RemoveMember { which, user } => {
                Answer::one(client.post("/team/member_delete", &json!({"team_id": which, "user_id": user}))?)
            }
        })
    }
}

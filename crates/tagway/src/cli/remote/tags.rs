//! `tagway tag …`

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use tagway_core::audit::{self, Finding};
use tagway_core::money::Nanos;

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
    /// Look for what is wrong with the tags: unused, undeclared, look-alikes, served by nothing. Exit code 3 where there
    /// is something as bad as `--fail-on`.
    Audit {
        /// What was not used for so many days is not in use.
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// As many findings of each check are listed.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// These checks alone: a comma list, e.g. near_duplicate,unserved_tag.
        #[arg(long)]
        only: Option<String>,
        /// From which weight on a finding is a failure.
        #[arg(long, value_enum, default_value_t = FailOn::Warning)]
        fail_on: FailOn,
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

/// What makes an audit fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum FailOn {
    Error,
    Warning,
    Note,
    Never,
}

impl FailOn {
    /// Whether what was found is as bad.
    fn fails(self, found: &Value) -> bool {
        let some =
            |names: &[&str]| names.iter().any(|name| found[*name].as_u64().is_some_and(|count| 0 < count));
        match self {
            Self::Error => some(&["errors"]),
            Self::Warning => some(&["errors", "warnings"]),
            Self::Note => some(&["errors", "warnings", "notes"]),
            Self::Never => false,
        }
    }
}

/// The findings as text for people.
fn in_words(found: &Value) -> String {
    let findings = found["findings"].as_array().into_iter().flatten().filter_map(finding);
    let findings: Vec<Finding> = findings.collect();
    let left_out = serde_json::from_value(found["left_out"].clone()).unwrap_or_default();
    let day =
        |at: i64| Timestamp::from_millisecond(at).map_or(String::new(), |at| at.strftime("%F").to_string());
    audit::in_words(&findings, &left_out, day)
}

/// A finding, of the row that a gateway tells it in.
fn finding(row: &Value) -> Option<Finding> {
    let mut row = row.clone();
    let at = row["last_used_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let spend = row["spend"].as_f64().map(Nanos::from_dollars);
    let fields = row.as_object_mut()?;
    fields.insert("last_used".to_owned(), at.map(Timestamp::as_millisecond).into());
    fields.insert("spend".to_owned(), serde_json::to_value(spend).ok()?);
    // A newer gateway may know checks that are not known here.
    serde_json::from_value(row).ok()
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
            Self::Audit { days, limit, only, fail_on } => {
                let query = [
                    ("days", Some(days.to_string())),
                    ("limit", Some(limit.to_string())),
                    ("only", only.clone()),
                ];
                let found = client.get("/tag/audit", &query)?;
                let code = if fail_on.fails(&found) { 3 } else { 0 };
                Answer::told(in_words(&found), found, code)
            }
            Self::Delete { name } => Answer::one(client.post("/tag/delete", &json!({ "name": name }))?),
        })
    }
}

//! `tagway spend …`

use std::collections::HashMap;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Failed};
use super::{Answer, Ask};

/// What to read of what was spent.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Spend {
    /// What each tag costs.
    Tags {
        #[command(flatten)]
        days: Days,
        /// Share what a request cost among its tags, so that they add up to the total.
        #[arg(long)]
        split: bool,
    },
    /// What each team, customer, key, model … costs.
    By {
        #[arg(value_enum)]
        what: Dimension,
        #[command(flatten)]
        days: Days,
    },
    /// The last requests.
    Logs {
        /// With this tag.
        #[arg(long)]
        tag: Option<String>,
        /// Of this team.
        #[arg(long)]
        team: Option<String>,
        /// Of this user.
        #[arg(long)]
        user: Option<String>,
        /// Served by this model group.
        #[arg(long)]
        model: Option<String>,
        /// `success`, `failure`, or an HTTP status.
        #[arg(long)]
        status: Option<String>,
        /// As many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// What the key that asks has spent and has left.
    Me,
    /// Write everything of some days to standard output, as comma-separated values.
    Export {
        #[command(flatten)]
        days: Days,
        /// In the columns of FOCUS, which tools for cloud costs read.
        #[arg(long)]
        focus: bool,
    },
}

/// From which day to which.
#[derive(Debug, Args)]
pub(in super::super) struct Days {
    /// The first day: 2026-01-31, UTC. The last thirty days and today when not given.
    #[arg(long, requires = "to", value_name = "DATE")]
    from: Option<String>,
    /// The last day.
    #[arg(long, requires = "from", value_name = "DATE")]
    to: Option<String>,
}

impl Days {
    fn query(&self) -> [(&'static str, Option<String>); 2] {
        [("start_date", self.from.clone()), ("end_date", self.to.clone())]
    }

    /// The same where they must be said.
    fn said(&self) -> [(&'static str, Option<String>); 2] {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let month_ago = today.saturating_sub(jiff::ToSpan::days(30));
        let or = |given: &Option<String>, usual: jiff::civil::Date| {
            Some(given.clone().unwrap_or_else(|| usual.to_string()))
        };
        [("start_date", or(&self.from, month_ago)), ("end_date", or(&self.to, today))]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Dimension {
    Team,
    Customer,
    Key,
    Model,
    #[value(name = "model-group")]
    Asked,
    Deployment,
    Provider,
    User,
    Organization,
    Project,
}

impl Dimension {
    /// Its name, that of its list, and of what is in it.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Team => ("team", "teams", "team_id"),
            Self::Customer => ("customer", "customers", "customer"),
            Self::Key => ("api_key", "", "api_key"),
            Self::Model => ("model", "models", "model"),
            Self::Asked => ("model_group", "model_groups", "model_group"),
            Self::Deployment => ("deployment", "deployments", "deployment"),
            Self::Provider => ("provider", "providers", "provider"),
            Self::User => ("user", "users", "user_id"),
            Self::Organization => ("organization", "organizations", "organization_id"),
            Self::Project => ("project", "projects", "project_id"),
        }
    }
}

/// A report of days as one of all of them, the costliest first.
fn of_all_days(report: &Value, list: &str, one: &str) -> Value {
    let mut sums: HashMap<Option<&str>, f64> = HashMap::new();
    let days = report.as_array().into_iter().flatten();
    for row in days.filter_map(|day| day[list].as_array()).flatten() {
        *sums.entry(row[one].as_str()).or_default() += row["total_spend"].as_f64().unwrap_or_default();
    }
    let mut rows: Vec<(Option<&str>, f64)> = sums.into_iter().collect();
    rows.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    // What floats add is not shown.
    let rounded = |dollars: f64| (dollars * 1e9).round() / 1e9;
    rows.into_iter().map(|(name, spend)| json!({"name": name, "spend": rounded(spend)})).collect()
}

impl Ask for Spend {
    fn ask(&self, client: &Client) -> Result<Answer, Failed> {
        Ok(match self {
            Self::Tags { days, split } => {
                let [first, last] = days.query();
                let view = ("view", split.then(|| "split".to_owned()));
                let columns = &["individual_request_tag", "log_count", "total_spend", "view"];
                Answer::many(client.get("/spend/tags", &[first, last, view])?, columns)
            }
            Self::By { what, days } => {
                let ([first, last], (name, list, one)) = (days.said(), what.names());
                let by = ("group_by", Some(name.to_owned()));
                let report = client.get("/global/spend/report", &[first, last, by])?;
                if *what == Dimension::Key {
                    return Ok(Answer::many(report, &["api_key", "key_alias", "total_cost"]));
                }
                Answer::many(of_all_days(&report, list, one), &["name", "spend"])
            }
            Self::Logs { tag, team, user, model, status, limit } => {
                let query = [
                    ("tag", tag.clone()),
                    ("team_id", team.clone()),
                    ("user_id", user.clone()),
                    ("model", model.clone()),
                    ("status", status.clone()),
                    ("limit", Some(limit.to_string())),
                ];
                let columns = &[
                    "startTime",
                    "model_group",
                    "metadata.user_api_key_alias",
                    "team_id",
                    "request_tags",
                    "status_code",
                    "total_tokens",
                    "spend",
                ];
                Answer::many(client.get("/spend/logs", &query)?, columns)
            }
            Self::Me => Answer::one(client.get("/me/usage", &[])?),
            Self::Export { days, focus } => {
                let [first, last] = days.said();
                let format = ("format", focus.then(|| "focus".to_owned()));
                client.copy("/spend/export", &[first, last, format])?;
                Answer::nothing()
            }
        })
    }
}

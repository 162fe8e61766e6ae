//! Tags × deployments: which deployments of each model group a single tag, and no tag, reaches. Asks the real
//! decision; decides nothing itself.

use std::fmt;

use serde::Serialize;

use super::groups;
use super::model::Config;
use crate::vocabulary::Vocabulary;

/// The matrix of every model group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Matrix(pub Vec<GroupMatrix>);

/// The matrix of one model group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMatrix {
    /// The model group's name.
    pub model_name: String,
    /// Whether its requests are filtered by tags.
    pub filtering: bool,
    /// Its deployments, in config order.
    pub deployments: Vec<Column>,
    /// No tag first, then every tag a deployment of the group carries.
    pub rows: Vec<Row>,
}

/// A deployment of the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// `model_info.id`.
    pub id: String,
    /// `litellm_params.model`.
    pub model: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What a tag reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The tag; `None` for a request without any.
    pub tag: Option<String>,
    /// For each deployment, whether it is a candidate. None is when the request is refused.
    pub reaches: Vec<bool>,
}

/// Asks, for every model group, where each tag leads while all deployments are healthy.
pub fn matrix(config: &Config) -> Matrix {
    let vocabulary = Vocabulary::compile(config);
    let group = |group: groups::Group<'_>| {
        let row = |tag: Option<&str>| {
            let asks = tag.filter(|tag| !vocabulary.sets_aside(tag));
            let decision = group.serves(asks.as_slice(), None);
            let reaches = (0..group.members.len())
                .map(|place| decision.as_ref().is_some_and(|found| found.candidates.contains(place)))
                .collect();
            Row { tag: tag.map(str::to_owned), reaches }
        };
        let deployments = group.members.iter().filter_map(|&place| config.deployments.get(place));
        GroupMatrix {
            model_name: group.name.to_owned(),
            filtering: group.filters(config),
            deployments: deployments
                .map(|deployment| Column {
                    id: deployment.info.id.clone(),
                    model: deployment.model.clone(),
                    tags: deployment.tags.clone(),
                })
                .collect(),
            rows: std::iter::once(None).chain(group.tags.iter().copied().map(Some)).map(row).collect(),
        }
    };
    Matrix(groups::of(config).into_iter().map(group).collect())
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, group) in self.0.iter().enumerate() {
            if number != 0 {
                writeln!(f)?;
            }
            write!(f, "{group}")?;
        }
        Ok(())
    }
}

impl fmt::Display for GroupMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = if self.filtering { "" } else { "  (tag filtering is off: tags change nothing)" };
        writeln!(f, "{}{off}", self.model_name)?;
        let wide = self.deployments.len().to_string().len();
        for (number, deployment) in self.deployments.iter().enumerate() {
            writeln!(f, "  {:>wide$} = {}  {}", number + 1, deployment.model, deployment.id)?;
        }
        let label = |row: &Row| row.tag.clone().unwrap_or_else(|| "(no tag)".to_owned());
        let first = self.rows.iter().map(|row| label(row).chars().count()).max().unwrap_or_default();
        write!(f, "  {:first$}", "")?;
        for number in 1..=self.deployments.len() {
            write!(f, "  {number:>wide$}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "  {:first$}", label(row))?;
            for &reached in &row.reaches {
                write!(f, "  {:>wide$}", if reached { "x" } else { "." })?;
            }
            let refused = if row.reaches.contains(&true) { "" } else { "  refused" };
            writeln!(f, "{refused}")?;
        }
        Ok(())
    }
}

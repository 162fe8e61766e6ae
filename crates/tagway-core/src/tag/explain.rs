//! A decision in words: what was asked, step by step what was left, and why each deployment was kept or
//! dropped. An observer of the decision, never a second implementation; decides nothing.

use serde::Serialize;

use super::ask::Ask;
use super::decide::Decision;
use super::index::GroupIndex;
use super::members::Members;
use super::name;
use super::observe::{Observer, Role, Step, Switch};
use super::refusal::Refusal;
use super::request::{Origin, RequestTag};

/// Why a deployment is dropped that is not healthy.
pub const COOLING: &str = "cooling down";

/// Everything there is to say about one decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether tag filtering was on.
    pub filtering: bool,
    /// Who said so.
    pub filtering_by: Switch,
    /// Every tag of the request, in order.
    pub tags: Vec<TagPart>,
    /// What happened, in order.
    pub steps: Vec<StepTaken>,
    /// The ids of the healthy deployments inside the inherited boundary; `None` when nothing bounds the
    /// request.
    pub boundary: Option<Vec<String>>,
    /// Whether the answer is a fail-open.
    pub fail_open: bool,
    /// Every deployment of the group, in config order.
    pub deployments: Vec<Verdict>,
    /// How it ended.
    pub outcome: Outcome,
}

/// A tag of the request and the part it played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagPart {
    /// As written.
    pub tag: String,
    /// Without prefix and marker.
    pub name: String,
    /// Where it was met first.
    pub origin: Origin,
    /// Everything that gave it.
    pub origins: Vec<Origin>,
    /// Its part.
    pub role: Role,
    /// Whether the group knows it.
    pub known: bool,
}

/// A step and what it left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepTaken {
    /// What is true of those left.
    pub step: String,
    /// How many were left.
    pub left: usize,
}

/// What became of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `model_info.id`.
    pub id: String,
    /// Whether it is a candidate.
    pub kept: bool,
    /// Why, in words.
    pub reason: String,
}

/// How a decision ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Some deployments may serve.
    Candidates {
        /// Their ids.
        ids: Vec<String>,
        /// `tags` or `tag_regex`, when the first one was matched.
        matched_via: Option<&'static str>,
        /// The tag or pattern it was matched by.
        matched_value: Option<String>,
    },
    /// None may.
    Refused {
        /// For machines: `tag_policy`, `outside_boundary`, `unknown_tag`, `cooling_down`.
        reason: &'static str,
        /// For people.
        message: String,
    },
}

/// Decides as [`GroupIndex::decide`] does, and says how. `model` is the name for the message of a refusal.
pub fn explain<'i>(
    index: &'i GroupIndex,
    ask: &Ask<'_>,
    healthy: &Members,
    model: &str,
) -> (Result<Decision<'i>, Refusal>, Explanation) {
    let mut notes = Notes {
        index,
        filtering: (false, Switch::Router),
        tags: Vec::new(),
        steps: Vec::new(),
        boundary: None,
        fail_open: false,
        left: index.all().clone(),
        reasons: vec![String::new(); index.len()],
    };
    let result = index.decide(ask, healthy, &mut notes);
    if !notes.filtering.0 {
        ask.tags.iter().for_each(|tag| notes.tag(tag, "", Role::Nothing, false));
    }
    let outcome = match &result {
        Ok(decision) => Outcome::Candidates {
            ids: notes.ids(&decision.candidates),
            matched_via: decision.matched.map(|matched| matched.via.as_str()),
            matched_value: decision.matched.map(|matched| matched.value.to_owned()),
        },
        Err(refusal) => {
            Outcome::Refused { reason: refusal.reason(), message: refusal.message(model, ask.tags) }
        }
    };
    let candidates = result.as_ref().map(|decision| decision.candidates.clone()).unwrap_or_default();
    let explanation = notes.finish(&candidates, outcome);
    (result, explanation)
}

/// What has been heard so far.
struct Notes<'i> {
    index: &'i GroupIndex,
    filtering: (bool, Switch),
    tags: Vec<TagPart>,
    steps: Vec<StepTaken>,
    boundary: Option<Members>,
    fail_open: bool,
    left: Members,
    /// For each deployment, why it was last dropped or kept.
    reasons: Vec<String>,
}

impl Notes<'_> {
    fn ids(&self, members: &Members) -> Vec<String> {
        members.iter().filter_map(|place| self.index.id(place)).map(str::to_owned).collect()
    }

    /// Why a step dropped the deployment at `place`.
    fn dropped_by(&self, step: Step<'_>, place: usize) -> String {
        match step {
            Step::Region(region) => format!("not in the region `{region}`"),
            Step::Healthy => COOLING.to_owned(),
            Step::Tier(_) => "not in the tier of the key".to_owned(),
            Step::Expression(expression, origin) => {
                format!("does not satisfy the expression of {}: {expression}", origin.as_str())
            }
            Step::Boundary => "outside the boundary of the inherited tags".to_owned(),
            Step::Constraint(tag) => {
                let (text, origin) = (tag.text(), tag.origin().as_str());
                match self.tags.iter().find(|part| part.tag == text) {
                    Some(part) if part.role == Role::Excluded => match self.carried(place, &part.name) {
                        Some(carried) => {
                            format!("carries `{carried}`, which `{text}` from {origin} excludes")
                        }
                        None => format!("excluded by `{text}` from {origin}"),
                    },
                    _ => format!("does not carry what `{text}` from {origin} requires"),
                }
            }
            Step::Matched { .. } | Step::NoMatch => "matches neither a tag nor by User-Agent".to_owned(),
            Step::NoMatchDefault | Step::Untagged | Step::FailOpen => "not tagged `default`".to_owned(),
            // These steps drop nothing.
            Step::FilteringOff | Step::ConstraintsOnly | Step::BoundaryItself => String::new(),
        }
    }

    /// Why a step kept the deployment at `place`.
    fn kept_by(&self, step: Step<'_>, place: usize) -> String {
        match step {
            Step::Matched { by_tags } if by_tags.contains(place) => {
                let asked = self.tags.iter().filter(|part| part.role == Role::Positive);
                match asked.filter_map(|part| self.carried(place, &part.name)).next() {
                    Some(carried) => format!("carries `{carried}`, which is asked for"),
                    None => step.to_string(),
                }
            }
            Step::Matched { .. } => "its tag_regex matches the User-Agent".to_owned(),
            Step::Untagged | Step::FailOpen if self.index.default.contains(place) => match step {
                Step::FailOpen => "the group falls open: tagged `default`".to_owned(),
                _ => "no tag asks for anything: tagged `default`".to_owned(),
            },
            _ => step.to_string(),
        }
    }

    /// The tag of a deployment by which it matches `name`.
    fn carried(&self, place: usize, name: &str) -> Option<&str> {
        let tags = &self.index.deployments.get(place)?.tags;
        tags.iter().map(|(tag, _)| &**tag).find(|tag| name::matches(name, tag, self.index.hierarchy))
    }

    fn finish(mut self, candidates: &Members, outcome: Outcome) -> Explanation {
        let boundary = self.boundary.as_ref().map(|members| self.ids(members));
        let reasons = std::mem::take(&mut self.reasons);
        let deployments = reasons.into_iter().enumerate().map(|(place, reason)| Verdict {
            id: self.index.id(place).unwrap_or_default().to_owned(),
            kept: candidates.contains(place),
            reason,
        });
        Explanation {
            filtering: self.filtering.0,
            filtering_by: self.filtering.1,
            boundary,
            deployments: deployments.collect(),
            tags: self.tags,
            steps: self.steps,
            fail_open: self.fail_open,
            outcome,
        }
    }
}

impl Observer for Notes<'_> {
    fn filtering(&mut self, on: bool, by: Switch) {
        self.filtering = (on, by);
    }

    fn tag(&mut self, tag: &RequestTag<'_>, name: &str, role: Role, known: bool) {
        self.tags.push(TagPart {
            tag: tag.text().to_owned(),
            name: name.to_owned(),
            origin: tag.origin(),
            origins: tag.origins().collect(),
            role,
            known,
        });
    }

    fn step(&mut self, step: Step<'_>, left: &Members) {
        self.steps.push(StepTaken { step: step.to_string(), left: left.count() });
        match step {
            Step::Boundary => self.boundary = Some(left.clone()),
            Step::FailOpen => self.fail_open = true,
            _ => {}
        }
        for place in 0..self.reasons.len() {
            let reason = match (self.left.contains(place), left.contains(place)) {
                (_, true) => self.kept_by(step, place),
                (true, false) => self.dropped_by(step, place),
                (false, false) => continue,
            };
            if let Some(known) = self.reasons.get_mut(place) {
                *known = reason;
            }
        }
        self.left = left.clone();
    }
}

//! `GET /tag/violations`: what has broken the vocabulary lately, or would have.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::moment;
use crate::tags::Violation;

/// Which of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those of this tag, as it was written.
    tag: Option<String>,
}

/// What was wrong with a tag, and how often.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagViolation {
    /// The tag as it was written.
    tag: Box<str>,
    /// `tag_value`, `tag_set_by`, `tag_name`, `tag_max_values`, `tag_retired`, `tag_retiring`, `tag_quarantined` or
    /// `unknown_tag`.
    reason: &'static str,
    /// `refused`, `observed` (let through, and refused without `mode: observe`) or `warned`.
    outcome: &'static str,
    count: u64,
    first_at: Option<String>,
    last_at: Option<String>,
    /// What was said last.
    message: Box<str>,
    /// The key that sent it last, by name or id.
    key: Box<str>,
    /// That key's team.
    team: Box<str>,
}

impl From<Violation> for TagViolation {
    fn from(violation: Violation) -> Self {
        let Violation { tag, reason, outcome, count, first_at, last_at, message, key, team, .. } = violation;
        Self {
            tag,
            reason: reason.as_str(),
            outcome: outcome.as_str(),
            count,
            first_at: moment(first_at),
            last_at: moment(last_at),
            message,
            key,
            team,
        }
    }
}

/// Lists what has broken the vocabulary lately, or would have: the latest first, up to 1,000, as this gateway has met it
/// since it was started.
#[utoipa::path(
    get, path = "/tag/violations", tag = "tags", params(Which),
    responses((status = 200, description = "What was wrong", body = Vec<TagViolation>), Refusals)
)]
pub(super) async fn violations(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Vec<TagViolation>>, Refusal> {
    actor.must_see_all()?;
    let mut recent = shared.violations.recent();
    recent.retain(|violation| which.tag.as_deref().is_none_or(|tag| *violation.tag == *tag));
    Ok(Json(recent.into_iter().map(TagViolation::from).collect()))
}

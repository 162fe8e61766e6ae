//! Why a tag decision found no deployment, in words and for machines. Does not know HTTP: the shell gives each
//! refusal its status.

use super::request::{RequestTag, python_list};

/// Why no deployment may serve a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The tags leave none of the healthy deployments. Whether cooling ones would serve is for
    /// [`super::GroupIndex::serves_when_all_healthy`] to say.
    Tags,
    /// The caller's tags are known, but to nothing inside the inherited boundary.
    OutsideBoundary,
    /// `unknown_tags: reject`, and the caller gave a tag that nobody knows.
    UnknownTag {
        /// The tag as written.
        tag: String,
        /// Names it may have meant, best first, three at most.
        nearest: Vec<String>,
    },
    /// No deployment of the group is where the request must stay.
    Region {
        /// The region.
        region: String,
    },
    /// No deployment of the group is healthy, whatever the tags.
    CoolingDown,
}

impl Refusal {
    /// The `reason` of the error answer.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Tags => "tag_policy",
            Self::OutsideBoundary => "outside_boundary",
            Self::UnknownTag { .. } => "unknown_tag",
            Self::Region { .. } => "region",
            Self::CoolingDown => "cooling_down",
        }
    }

    /// The `message` of the error answer; LiteLLM's own words where it has any. A tag outside the boundary
    /// reads like a tag that matches nothing, so that nobody can feel for other teams' tags.
    pub fn message(&self, model: &str, tags: &[RequestTag<'_>]) -> String {
        match self {
            Self::Tags | Self::OutsideBoundary => format!(
                "Not allowed to access model due to tags configuration. Passed model={model} and tags={}",
                python_list(tags.iter().map(RequestTag::text))
            ),
            Self::UnknownTag { tag, nearest } if nearest.is_empty() => {
                format!("Unknown tag `{tag}` for model={model}")
            }
            Self::UnknownTag { tag, nearest } => {
                format!("Unknown tag `{tag}` for model={model}. Did you mean `{}`?", nearest.join("`, `"))
            }
            Self::Region { region } => {
                format!(
                    "No deployment of model={model} is in the region `{region}`, where this request must stay"
                )
            }
            Self::CoolingDown => "No deployments available for selected model".to_owned(),
        }
    }
}

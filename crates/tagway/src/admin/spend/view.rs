//! The two ways in which a request with several tags counts for each of them, as questions and answers name them.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tagway_core::money::Nanos;
use utoipa::IntoParams;

use super::super::refusal::Refusal;
use super::csv::decimal;
use crate::store::TagView;

/// Which view of tags.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct View {
    /// `full`: a request counts with all of its cost for each of its tags, as in LiteLLM. `split`: it counts in equal
    /// parts, so that tags add up to the total.
    #[param(pattern = "^(full|split)$")]
    view: Option<String>,
}

impl View {
    /// The view asked for.
    ///
    /// # Errors
    /// There is no such.
    pub(super) fn wanted(&self) -> Result<TagView, Refusal> {
        match self.view.as_deref() {
            None | Some("full") => Ok(TagView::Full),
            Some("split") => Ok(TagView::Split),
            Some(_) => Err(Refusal::field("view", "Invalid view. Must be 'full' or 'split'")),
        }
    }
}

/// The name it has in questions and answers.
pub(super) fn name(view: TagView) -> &'static str {
    match view {
        TagView::Full => "full",
        TagView::Split => "split",
    }
}

/// What answers that are lists say in their headers, for they have no other place: the view, and what all requests
/// cost, each counted once.
pub(super) fn headers(view: TagView, total: Nanos) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-tagway-tag-view"), HeaderValue::from_static(name(view)));
    if let Ok(total) = HeaderValue::try_from(decimal(total)) {
        headers.insert(HeaderName::from_static("x-tagway-total-spend"), total);
    }
    headers
}

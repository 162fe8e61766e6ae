//! `tag_settings`: what holds for tags altogether. Decides nothing about a single tag.

use super::scope::{At, Rule, Scope, Table, strict};

/// A hundredth of all requests.
const SAMPLE: f64 = 0.01;

/// What holds for tags altogether.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TagSettings {
    /// `explain_sample`: the share of requests whose routing is explained and kept. Refusals always are.
    pub sample: f64,
}

impl Default for TagSettings {
    fn default() -> Self {
        Self { sample: SAMPLE }
    }
}

const NOT_YET: &str = "remove it until tagway supports it";

pub(super) const SETTINGS: Table<TagSettings> = &[
    (
        "explain_sample",
        Rule::Works(|settings, at, scope| {
            let Some(share) = scope.number(at, 0.0) else { return };
            if 1.0 < share {
                scope
                    .error(at, "must be a share of all requests, between 0 and 1")
                    .help("write 0.01 for one in a hundred");
                return;
            }
            settings.sample = share;
        }),
    ),
    ("name_pattern", Rule::Refused(NOT_YET)),
    ("mode", Rule::Refused(NOT_YET)),
];

/// Reads the section.
pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> TagSettings {
    let mut settings = TagSettings::default();
    scope.walk(at, SETTINGS, &mut settings, strict);
    settings
}

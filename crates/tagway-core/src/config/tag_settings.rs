//! `tag_settings`: what holds for tags altogether. Decides nothing about a single tag.

use super::scope::{At, Rule, Scope, Table, strict};
use crate::vocabulary::{Mode, check_name_pattern};

/// A hundredth of all requests.
const SAMPLE: f64 = 0.01;

/// What holds for tags altogether.
#[derive(Debug, Clone, PartialEq)]
pub struct TagSettings {
    /// `explain_sample`: the share of requests whose routing is explained and kept. Refusals always are.
    pub sample: f64,
    /// `name_pattern`: what names of tags match as a whole; it compiles.
    pub name_pattern: Option<String>,
    /// `mode`: what becomes of what breaks the vocabulary.
    pub mode: Mode,
}

impl Default for TagSettings {
    fn default() -> Self {
        Self { sample: SAMPLE, name_pattern: None, mode: Mode::default() }
    }
}

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
    (
        "name_pattern",
        Rule::Works(|settings, at, scope| {
            let Some(pattern) = scope.text(at) else { return };
            if let Err(why) = check_name_pattern(&pattern) {
                scope.error(at, format!("invalid pattern: {why}"));
            } else {
                settings.name_pattern = Some(pattern);
            }
        }),
    ),
    (
        "mode",
        Rule::Works(|settings, at, scope| settings.mode = scope.word(at, &Mode::WORDS).unwrap_or_default()),
    ),
];

/// Reads the section.
pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> TagSettings {
    let mut settings = TagSettings::default();
    scope.walk(at, SETTINGS, &mut settings, strict);
    settings
}

//! Whether what is said of a stored tag goes together with what the configuration says.

use http::HeaderName;
use tagway_core::config::TagDeclaration;
use tagway_core::snapshot::Snapshot;
use tagway_core::vocabulary::{Mode, Setter, Terms, Vocabulary, is_of_header};

use super::super::Shared;
use super::super::refusal::Refusal;
use crate::objects::Tag;

/// Whether a tag of this name can be declared so. One that is declared keeps its name, whatever names are like now.
pub(super) fn check(shared: &Shared, name: &str, tag: &Tag, is_new: bool) -> Result<(), Refusal> {
    let terms = tag.terms(name)?;
    let current = shared.live.current();
    let config = &current.snapshot.config;
    let before = &current.snapshot.vocabulary;
    if is_new
        && config.tag_settings.mode == Mode::Enforce
        && let Some(objection) = before.objection_to_name(name)
    {
        return Err(Refusal::field("name", objection.to_string()));
    }
    let terms = match current.in_file(name) {
        Some(tag) => terms.or(&tag.terms),
        None => terms,
    };
    let mut tags = config.tags.clone();
    labelled_by_header(&config.proxy.spend_tag_headers, name, &terms)?;
    tags.retain(|tag| tag.name != name);
    tags.push(TagDeclaration {
        name: name.to_owned(),
        aliases: tag.aliases.clone(),
        terms,
        ..TagDeclaration::default()
    });
    let after =
        Vocabulary::new(&tags, &config.tag_settings, &config.router.tags, &config.proxy.spend_tag_headers);
    for rule in &config.tag_rules {
        for added in &rule.add {
            if let Some((objection, Mode::Enforce)) = after.objection_to_rule(added)
                && before.objection_to_rule(added).is_none()
            {
                let message =
                    format!("The rule '{}' of the configuration adds '{added}'. {objection}", rule.name);
                return Err(Refusal::field("name", message));
            }
        }
    }
    Ok(())
}

/// Whether a tag that is known can have this name from now on.
pub(super) fn check_other_name(snapshot: &Snapshot, field: &'static str, name: &str) -> Result<(), Refusal> {
    match snapshot.vocabulary.objection_to_carried(name) {
        Some((objection, Mode::Enforce)) => Err(Refusal::field(field, objection.to_string())),
        Some((_, Mode::Observe)) | None => Ok(()),
    }
}

/// What a header labels is a caller's word.
fn labelled_by_header(headers: &[HeaderName], name: &str, terms: &Terms) -> Result<(), Refusal> {
    if !is_of_header(headers, name) || terms.set_by.is_none_or(|set_by| set_by.has(Setter::Caller)) {
        return Ok(());
    }
    let message =
        "'set_by' must have 'caller': litellm_settings.extra_spend_tag_headers lets callers set these tags.";
    Err(Refusal::field("set_by", message))
}

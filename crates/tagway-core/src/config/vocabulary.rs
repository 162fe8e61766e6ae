//! Whether what the file itself says of tags keeps to the vocabulary it declares: names, tags of deployments, and tags that
//! it gives to requests. Asks `vocabulary`, as requests do.

use super::model::Config;
use super::scope::{At, Scope};
use super::yaml::{Kind, Node};
use crate::vocabulary::{Mode, Objection, Setter, Vocabulary};

/// Reports what does not.
pub(super) fn check(config: &Config, tree: &Node, scope: &mut Scope<'_>) {
    let vocabulary = Vocabulary::compile(config);
    if !vocabulary.binds() {
        return;
    }
    let root = At::root(tree);
    let section = |name: &str| tree.get(name).map(|entry| root.entry(entry));
    for at in section("tags").iter().flat_map(items) {
        let name = at.node.get("name").map_or_else(|| at.clone(), |entry| at.entry(entry));
        if let Some(objection) = text(&name).and_then(|text| vocabulary.objection_to_name(text)) {
            tell(&objection, config.tag_settings.mode, &name, scope);
        }
    }
    for entry in section("model_list").iter().flat_map(items) {
        let params = entry.node.get("litellm_params").map(|params| entry.entry(params));
        let tags = params.and_then(|params| Some(params.entry(params.node.get("tags")?)));
        for at in tags.iter().flat_map(items) {
            if let Some((objection, mode)) = text(&at).and_then(|text| vocabulary.objection_to_carried(text))
            {
                tell(&objection, mode, &at, scope);
            }
        }
    }
    for rule in section("tag_rules").iter().flat_map(items) {
        let add = rule.node.get("add").map(|add| rule.entry(add));
        for at in add.iter().flat_map(items) {
            if let Some((objection, mode)) = text(&at).and_then(|text| vocabulary.objection_to_rule(text)) {
                tell(&objection, mode, &at, scope);
            }
        }
    }
    headers(config, &section, scope);
    claims(config, &vocabulary, &section, scope);
}

/// What claims of tokens say is known when they come; where their tags begin is known now.
fn claims<'n>(
    config: &Config,
    vocabulary: &Vocabulary,
    section: &dyn Fn(&str) -> Option<At<'n>>,
    scope: &mut Scope<'_>,
) {
    let within = |at: At<'n>, key: &str| Some(at.entry(at.node.get(key)?));
    let general = section("general_settings").and_then(|at| within(at, "litellm_jwtauth"));
    let Some(at) = general.and_then(|at| within(at, "claim_tags")) else { return };
    let templates = config.general.jwt.iter().flat_map(|jwt| &jwt.claim_tags);
    for (_, template) in templates {
        if let Some((objection, mode)) =
            vocabulary.objection_to_rule(&template.tag("*")).filter(|_| template.is_open())
        {
            tell(&objection, mode, &at, scope);
        }
    }
}

/// What a header labels is a caller's word.
fn headers<'n>(config: &Config, section: &dyn Fn(&str) -> Option<At<'n>>, scope: &mut Scope<'_>) {
    let settings = section("litellm_settings");
    let list = settings.and_then(|at| Some(at.entry(at.node.get("extra_spend_tag_headers")?)));
    let Some(list) = list else { return };
    for header in &config.proxy.spend_tag_headers {
        let label = format!("{header}: *");
        let set_by = config.tags.iter().find(|tag| tag.name == label).and_then(|tag| tag.terms.set_by);
        if set_by.is_some_and(|set_by| !set_by.has(Setter::Caller)) {
            scope
                .error(&list, format!("`{label}` may not be set by callers, and this header lets them"))
                .help("add `caller` to its `set_by`, or take the header off this list");
        }
    }
}

fn tell(objection: &Objection, mode: Mode, at: &At<'_>, scope: &mut Scope<'_>) {
    match mode {
        Mode::Enforce => scope.error(at, objection.to_string()),
        Mode::Observe => scope.warning(at, objection.to_string()),
    };
}

fn items<'n>(at: &At<'n>) -> Vec<At<'n>> {
    match &at.node.kind {
        Kind::List(items) => items.iter().enumerate().map(|(index, node)| at.item(index, node)).collect(),
        _ => Vec::new(),
    }
}

/// What a text says; what a variable says is not known here.
fn text<'n>(at: &At<'n>) -> Option<&'n str> {
    match &at.node.kind {
        Kind::Text(text) if !text.starts_with("os.environ/") => Some(text),
        _ => None,
    }
}

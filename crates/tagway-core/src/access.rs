//! What a key and everything above it allow: models, paths, tags. One shape for a key, its team, project,
//! organization, user and customer; a request meets the policies of all of them. Knows neither stores nor HTTP.

use serde_json::Value;

use crate::config::Tier;
use crate::tag::name::{TagName, covers};
use crate::tag::{Aliases, Expression, Origin, RequestTag, UnknownTags};
use crate::wildcard::stars;

/// What one owner (a key, a team, …) gives to requests and demands of them.
#[derive(Debug)]
pub struct Policy {
    /// What kind of owner it is.
    pub origin: Origin,
    /// Its id.
    pub id: Box<str>,
    /// Whether its requests are refused.
    pub blocked: bool,
    /// The tags its requests inherit.
    pub tags: Vec<Box<str>>,
    /// Patterns of the tags a caller may send; any when absent.
    pub allowed_tags: Option<Vec<Box<str>>>,
    /// Whether a caller may send tags at all.
    pub allow_client_tags: bool,
    /// Holds for each of its requests.
    pub expression: Option<Expression>,
    /// Turns tag filtering on.
    pub tag_filtering: bool,
    /// What becomes of tags that nobody knows.
    pub unknown_tags: Option<UnknownTags>,
    /// The tier of deployments it may use.
    pub tier: Option<Tier>,
    /// Where its requests must stay.
    pub region: Option<Box<str>>,
    /// What is said of it beside its tags, for rules; `null` where nothing is.
    pub metadata: Value,
    /// The models it may use.
    pub models: Models,
    /// Other names for models.
    pub aliases: Vec<(Box<str>, Box<str>)>,
    /// The paths it may call.
    pub routes: Routes,
}

/// Why a caller may not send a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagForbidden {
    /// Not this one.
    #[error("Tag '{tag}' is not allowed: {owner} allows {allowed}.")]
    Outside {
        /// The tag.
        tag: String,
        /// Whose rule it is: `key`, `team`, ….
        owner: &'static str,
        /// The patterns that are allowed.
        allowed: String,
    },
    /// None at all.
    #[error("Tags are not allowed in requests: {owner} has allow_client_tags set to false. Remove '{tag}'.")]
    All {
        /// The first tag.
        tag: String,
        /// Whose rule it is.
        owner: &'static str,
    },
}

impl Policy {
    /// Whether a caller may send these tags; inherited ones are not asked about. Who may send a tag may call it by its
    /// former names, and the other way round. `prefix` is the router's `tag_routing_prefix`.
    ///
    /// # Errors
    /// The first tag that may not be sent.
    pub fn check_tags(
        &self,
        tags: &[RequestTag<'_>],
        aliases: &Aliases,
        prefix: &str,
    ) -> Result<(), TagForbidden> {
        if self.allow_client_tags && self.allowed_tags.is_none() {
            return Ok(());
        }
        let owner = self.origin.as_str();
        for tag in tags.iter().filter(|tag| tag.from_caller() && !tag.is_inherited()) {
            let text = tag.text();
            if !self.allow_client_tags {
                return Err(TagForbidden::All { tag: text.to_owned(), owner });
            }
            let Some(allowed) = &self.allowed_tags else { continue };
            // A marker says what to do with a tag, not which one it is; a lone one is nothing.
            let Some(TagName { name, .. }) = TagName::parse(text, prefix) else { continue };
            let is_allowed = |name: &str| allowed.iter().any(|pattern| covers(pattern, name));
            if !is_allowed(name) && !aliases.former(name).any(is_allowed) {
                let list =
                    allowed.iter().map(|pattern| format!("'{pattern}'")).collect::<Vec<_>>().join(", ");
                let allowed = if list.is_empty() { "none".to_owned() } else { list };
                return Err(TagForbidden::Outside { tag: text.to_owned(), owner, allowed });
            }
        }
        Ok(())
    }

    /// What `model` is another name for.
    pub fn alias(&self, model: &str) -> Option<&str> {
        self.aliases.iter().find(|(name, _)| &**name == model).map(|(_, model)| &**model)
    }
}

/// A list of models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Models {
    /// Names, wildcards and access groups; everything when empty.
    names: Vec<Box<str>>,
    /// `all-team-models`: whatever the team may use.
    teams: bool,
    /// `no-default-models`: nothing but what is named.
    none: bool,
}

impl Models {
    /// LiteLLM's list: model names, wildcards, access groups and its words for all and none.
    pub fn new(list: &[String]) -> Self {
        if list.iter().any(|name| matches!(name.as_str(), "all-proxy-models" | "*")) {
            return Self::default();
        }
        let mut models = Self::default();
        for name in list {
            match name.as_str() {
                "all-team-models" => models.teams = true,
                "no-default-models" => models.none = true,
                name => models.names.push(name.into()),
            }
        }
        models
    }

    /// Whether this list leaves everything to others.
    pub fn any(&self) -> bool {
        self.names.is_empty() && !self.none || self.teams
    }

    /// Whether a model may be used that goes by `names` (as asked, its group's name, an id) and belongs to these
    /// access groups.
    pub fn allow(&self, names: &[&str], groups: &[String]) -> bool {
        self.any()
            || self.names.iter().any(|listed| {
                names
                    .iter()
                    .any(|name| **listed == **name || listed.contains('*') && stars(listed, name).is_some())
                    || groups.iter().any(|group| **group == **listed)
            })
    }

    /// Whether some of the names are wildcards.
    pub fn has_patterns(&self) -> bool {
        self.names.iter().any(|name| name.contains('*'))
    }

    /// Everything listed: names, wildcards, access groups.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether this very name is listed.
    pub fn names(&self, name: &str) -> bool {
        self.names.iter().any(|listed| **listed == *name)
    }
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Calls a model, or lists models.
    Llm,
    /// Shows an object of the gateway.
    Info,
    /// Changes one.
    Management,
    /// Shows a key what is its own: whatever else it may do.
    Own,
}

/// The paths a key may call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Paths, wildcards and LiteLLM's names of groups; everything when empty.
    listed: Vec<Box<str>>,
}

impl Routes {
    /// LiteLLM's list: paths, patterns with `*`, and the groups `llm_api_routes`, `openai_routes`,
    /// `info_routes`, `management_routes`, `spend_tracking_routes`, `global_spend_tracking_routes`.
    pub fn new(list: &[String]) -> Self {
        Self { listed: list.iter().map(|path| path.as_str().into()).collect() }
    }

    /// Whether everything is allowed.
    pub fn any(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether a path may be called.
    pub fn allow(&self, path: &str, purpose: Purpose) -> bool {
        self.any()
            || self.listed.iter().any(|listed| match &**listed {
                "llm_api_routes" | "openai_routes" => matches!(purpose, Purpose::Llm | Purpose::Own),
                "info_routes" => matches!(purpose, Purpose::Info | Purpose::Own),
                "management_routes" => purpose != Purpose::Llm,
                "spend_tracking_routes" => purpose != Purpose::Llm && same_path("/spend", path),
                "global_spend_tracking_routes" => purpose != Purpose::Llm && same_path("/global", path),
                listed => same_path(listed, path),
            })
    }

    /// Whether a path is listed as it is, or by a pattern, and not as one of a group.
    pub fn names_path(&self, path: &str) -> bool {
        self.listed.iter().any(|listed| same_path(listed, path))
    }

    /// The list, for an error message.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(|path| &**path)
    }
}

/// Whether a listed path means this one: itself, what lies below it, or a pattern of it.
fn same_path(listed: &str, path: &str) -> bool {
    // Every path lies below an empty one, which nobody means.
    !listed.is_empty()
        && path.strip_prefix(listed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || listed.contains('*') && stars(listed, path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(list: &[&str]) -> Models {
        Models::new(&list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    fn allows(list: &[&str], name: &str, groups: &[&str]) -> bool {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        models(list).allow(&[name], &groups)
    }

    #[test]
    fn an_empty_list_and_the_words_for_all_allow_everything() {
        for list in [&[][..], &["all-proxy-models"], &["a", "*"], &["a", "all-team-models"]] {
            assert!(allows(list, "gpt-4o", &[]), "{list:?}");
        }
    }

    #[test]
    fn names_patterns_and_access_groups_allow_what_they_say() {
        assert!(allows(&["gpt-4o"], "gpt-4o", &[]) && !allows(&["gpt-4o"], "gpt-4", &[]));
        assert!(allows(&["openai/*"], "openai/gpt-4", &[]) && !allows(&["openai/*"], "azure/gpt-4", &[]));
        assert!(allows(&["beta"], "gpt-4o", &["beta"]) && !allows(&["beta"], "gpt-4o", &["alpha"]));
        assert!(!allows(&["no-default-models"], "gpt-4o", &[]));
        assert!(allows(&["no-default-models", "gpt-4o"], "gpt-4o", &[]));
    }

    #[test]
    fn routes_are_paths_patterns_and_groups() {
        let routes =
            |list: &[&str]| Routes::new(&list.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        let chat = "/v1/chat/completions";
        assert!(routes(&[]).allow("/key/generate", Purpose::Management));
        assert!(routes(&["llm_api_routes"]).allow(chat, Purpose::Llm));
        assert!(!routes(&["llm_api_routes"]).allow("/key/info", Purpose::Info));
        assert!(routes(&["/v1/chat"]).allow(chat, Purpose::Llm));
        assert!(!routes(&["/v1/chat"]).allow("/v1/chatter", Purpose::Llm));
        assert!(!routes(&[""]).allow(chat, Purpose::Llm) && !routes(&[""]).names_path("/key/info"));
        assert!(
            routes(&["/v1/*"]).allow(chat, Purpose::Llm) && !routes(&["/v1/*"]).allow("/chat", Purpose::Llm)
        );
        assert!(routes(&["management_routes"]).allow("/key/info", Purpose::Info));
    }
}

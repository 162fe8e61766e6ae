//! Former names of tags: what a tag was called before it was renamed, or before others were merged into it. Whoever
//! says one of them means the tag. Decides nothing else; knows neither deployments nor requests.

use super::hash::NameMap;
use super::name::TagName;
use crate::config::{Config, TagDeclaration};

/// Former names of tags, and the tags that are meant.
#[derive(Debug, Clone, Default)]
pub struct Aliases {
    tags: NameMap<Box<str>>,
    former: NameMap<Vec<Box<str>>>,
}

impl Aliases {
    /// Those that declarations give. A former name leads to a tag and never to another former name.
    pub fn new(declared: &[TagDeclaration]) -> Self {
        let mut aliases = Self::default();
        for tag in declared.iter().filter(|tag| !tag.aliases.is_empty()) {
            let former: Vec<Box<str>> = tag.aliases.iter().map(|alias| alias.as_str().into()).collect();
            aliases.tags.extend(former.iter().map(|alias| (alias.clone(), tag.name.as_str().into())));
            aliases.former.insert(tag.name.as_str().into(), former);
        }
        aliases
    }

    /// Whether no tag ever had another name.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The tag that `name` (no prefix, no marker) means, where it is a former name.
    pub fn meant(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(|tag| &**tag)
    }

    /// What `name` is called today.
    pub fn today<'a>(&'a self, name: &'a str) -> &'a str {
        self.meant(name).unwrap_or(name)
    }

    /// The former names of a tag.
    pub fn former(&self, tag: &str) -> impl Iterator<Item = &str> {
        self.former.get(tag).into_iter().flatten().map(|alias| &**alias)
    }

    /// All pairs of a former name and its tag.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().map(|(alias, tag)| (&**alias, &**tag))
    }

    /// A tag as it would be written today, where it is written with a former name; prefix and marker stay.
    pub fn rewritten(&self, tag: &str, prefix: &str) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let name = TagName::parse(tag, prefix)?.name;
        let before = tag.strip_suffix(name)?;
        Some(format!("{before}{}", self.meant(name)?))
    }

    /// Writes a configuration with the names of today: what deployments carry and limit, and what rules add.
    pub fn settle(&self, config: &mut Config) {
        if self.is_empty() {
            return;
        }
        let now = |name: &mut String| {
            if let Some(tag) = self.meant(name) {
                *name = tag.to_owned();
            }
        };
        for deployment in &mut config.deployments {
            deployment.tags.iter_mut().for_each(now);
            let mut carried: Vec<String> = Vec::new();
            for tag in std::mem::take(&mut deployment.tags) {
                if !carried.contains(&tag) {
                    carried.push(tag);
                }
            }
            deployment.tags = carried;
            deployment.info.tag_rates.iter_mut().for_each(|(tag, _)| now(tag));
            deployment.info.tag_budgets.iter_mut().for_each(|(tag, _)| now(tag));
        }
        for tag in config.tag_rules.iter_mut().flat_map(|rule| &mut rule.add) {
            // A rule's tags have no prefix that would have to be known.
            if let Some(rewritten) = self.rewritten(tag, "") {
                *tag = rewritten.into();
            }
        }
        let variants = config.experiments.iter_mut().flat_map(|it| &mut it.variants).map(|it| &mut it.tag);
        for tag in variants.chain(config.mirrors.iter_mut().map(|mirror| &mut mirror.tag)) {
            if let Some(now) = self.meant(tag) {
                *tag = now.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases() -> Aliases {
        let tag = |name: &str, aliases: &[&str]| TagDeclaration {
            name: name.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..TagDeclaration::default()
        };
        Aliases::new(&[tag("research", &["lab", "r&d"]), tag("sales", &[])])
    }

    #[test]
    fn a_former_name_means_the_tag_whatever_stands_before_it() {
        let aliases = aliases();
        assert_eq!(aliases.rewritten("lab", "").as_deref(), Some("research"));
        assert_eq!(aliases.rewritten("!lab", "").as_deref(), Some("!research"));
        assert_eq!(aliases.rewritten("route:&r&d", "route:").as_deref(), Some("route:&research"));
        assert_eq!(aliases.rewritten("route:lab", ""), None);
        assert_eq!(aliases.rewritten("research", ""), None);
        assert_eq!(aliases.rewritten("!", ""), None);
    }

    #[test]
    fn former_names_are_found_by_their_tag() {
        let aliases = aliases();
        let mut former: Vec<&str> = aliases.former("research").collect();
        former.sort_unstable();
        assert_eq!(former, ["lab", "r&d"]);
        assert_eq!(aliases.former("sales").count(), 0);
    }
}

//! The checks, one after the other. Each looks names up in what the facts are put into first, so that all of them
//! together take as long as the facts are large.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use super::near::{Word, near};
use super::{Check, Declared, Facts, Finding, Place, Seen, Weight};
use crate::config::TagKind;
use crate::tag::name::{Marker, TagName, covers, levels_above, wildcard_stem};

/// The facts by name.
struct Known<'f> {
    facts: &'f Facts<'f>,
    seen: BTreeMap<&'f str, &'f Seen<'f>>,
    declared: HashMap<&'f str, &'f Declared<'f>>,
    /// Stems of declared patterns, and of those granted.
    patterns: BTreeSet<&'f str>,
    /// Tags of deployments.
    served: BTreeSet<&'f str>,
}

/// From here on, by name.
fn from(name: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Included(name), Bound::Unbounded)
}

/// Everything that is found.
pub(super) fn all(facts: &Facts<'_>) -> Vec<Finding> {
    let mut declared = HashMap::new();
    for tag in &facts.declared {
        declared.insert(tag.name, tag);
        for former in tag.former {
            declared.entry(former.as_str()).or_insert(tag);
        }
    }
    let names = facts.declared.iter().map(|tag| tag.name).chain(facts.granted.iter().copied());
    let known = Known {
        facts,
        seen: facts.seen.iter().map(|seen| (seen.name, seen)).collect(),
        declared,
        patterns: names.filter_map(wildcard_stem).collect(),
        served: facts.deployments.iter().flat_map(|place| place.tags).map(String::as_str).collect(),
    };
    let mut found = Vec::new();
    known.declarations(&mut found);
    known.uses(&mut found);
    known.owners(&mut found);
    known.places(&mut found);
    known.endings(&mut found);
    broken(facts, &mut found);
    known.look_alikes(&mut found);
    for id in &facts.budgets {
        let subject = format!("budget {id}");
        found.push(Finding::new(Check::IdleBudget, Weight::Note, subject, "nothing refers to it"));
    }
    found
}

impl<'f> Known<'f> {
    /// Whether somebody has declared a tag, by its name or by a pattern.
    fn is_declared(&self, name: &str) -> bool {
        self.declared.contains_key(name) || self.facts.granted.contains(&name) || self.is_covered(name)
    }

    /// Whether a declared pattern takes a name in.
    fn is_covered(&self, name: &str) -> bool {
        let stems = name.char_indices().map(|(at, _)| &name[..at]).chain([name]);
        !self.patterns.is_empty() && stems.into_iter().any(|stem| self.patterns.contains(stem))
    }

    /// What a name is for.
    fn kind(&self, name: &str) -> Option<TagKind> {
        self.declaration(name).map(|tag| tag.kind)
    }

    /// The declaration that holds for a name: its own, or that of the longest pattern.
    fn declaration(&self, name: &str) -> Option<&'f Declared<'f>> {
        if let Some(tag) = self.declared.get(name) {
            return Some(tag);
        }
        let mut stems: Vec<&str> = name.char_indices().map(|(at, _)| &name[..at]).chain([name]).collect();
        stems.reverse();
        let stem = stems.into_iter().find(|stem| self.patterns.contains(stem))?;
        self.declared.get(format!("{stem}*").as_str()).copied()
    }

    /// Whether some deployment carries what a tag asks for.
    fn is_served(&self, name: &str) -> bool {
        let begins = |stem: &str| {
            self.served.range::<str, _>(from(stem)).next().is_some_and(|carried| carried.starts_with(stem))
        };
        match wildcard_stem(name) {
            Some(stem) => begins(stem),
            None => self.served.contains(name) || self.facts.hierarchy && begins(&format!("{name}:")),
        }
    }

    /// The last use of a tag, or of any under a pattern, and what it was used for of late.
    fn last_use(&self, tag: &Declared<'_>) -> Option<Seen<'f>> {
        let mut all: Option<Seen<'f>> = None;
        let mut add = |seen: &Seen<'f>| {
            let sum = all.get_or_insert(Seen { name: seen.name, ..Seen::default() });
            sum.last = sum.last.max(seen.last);
            sum.requests += seen.requests;
            sum.spend += seen.spend;
        };
        match wildcard_stem(tag.name) {
            Some(stem) => self
                .seen
                .range::<str, _>(from(stem))
                .take_while(|(name, _)| name.starts_with(stem))
                .for_each(|(_, seen)| add(seen)),
            None => {
                let former = tag.former.iter().map(String::as_str);
                std::iter::once(tag.name)
                    .chain(former)
                    .filter_map(|name| self.seen.get(name))
                    .for_each(|seen| add(seen));
            }
        }
        all
    }

    /// Declared tags: nobody uses them, nobody answers for them, no deployment serves them.
    fn declarations(&self, found: &mut Vec<Finding>) {
        for tag in &self.facts.declared {
            if self.facts.granted.contains(&tag.name) {
                continue;
            }
            let used = self.last_use(tag);
            let idle = used.is_none_or(|used| used.last < self.facts.since);
            let last_used = used.map(|used| used.last);
            let when = if used.is_some() {
                "no request has carried it of late"
            } else {
                "no request has carried it"
            };
            if idle {
                found.push(Finding {
                    last_used,
                    ..Finding::new(Check::UnusedTag, Weight::Note, tag.name, when)
                });
            }
            if tag.budget && (idle || used.is_some_and(|used| used.spend.0 == 0)) {
                found.push(Finding {
                    last_used,
                    ..Finding::new(
                        Check::IdleBudget,
                        Weight::Note,
                        tag.name,
                        "nothing has been spent of its budget of late",
                    )
                });
            }
            let missing = match (tag.described, tag.owned) {
                (false, false) => "it has neither a description nor an owner",
                (false, true) => "it has no description",
                (true, false) => "it has no owner",
                (true, true) => "",
            };
            if !missing.is_empty() {
                found.push(Finding::new(Check::UndocumentedTag, Weight::Note, tag.name, missing));
            }
            if tag.kind == TagKind::Routing && !self.is_served(tag.name) {
                let message = "it is declared for routing, and no deployment carries it";
                found.push(Finding::new(Check::UnservedTag, Weight::Error, tag.name, message));
            }
        }
    }

    /// Tags of requests that nobody has declared.
    fn uses(&self, found: &mut Vec<Finding>) {
        // Where there is no vocabulary, nothing is outside of it.
        let weight = if self.facts.declared.is_empty() { Weight::Note } else { Weight::Warning };
        for seen in &self.facts.seen {
            if seen.last < self.facts.since || self.is_declared(seen.name) {
                continue;
            }
            let message = if self.is_served(seen.name) {
                "requests carry it and deployments do, but nobody has declared it"
            } else {
                "requests carry it, and nobody has declared it"
            };
            found.push(Finding {
                last_used: Some(seen.last),
                requests: Some(seen.requests),
                spend: Some(seen.spend),
                ..Finding::new(Check::UndeclaredTag, weight, seen.name, message)
            });
        }
    }

    /// What owners give their requests: undeclared, or served by nothing.
    fn owners(&self, found: &mut Vec<Finding>) {
        let weight = if self.facts.declared.is_empty() { Weight::Note } else { Weight::Warning };
        for carried in &self.facts.carried {
            let Some(tag) = TagName::parse(carried.tag, self.facts.prefix) else { continue };
            let subject = format!("{} {}", carried.kind, carried.id);
            let is_pattern = wildcard_stem(tag.name).is_some();
            if !is_pattern && !self.is_declared(tag.name) {
                let message = format!("it gives its requests `{}`, which nobody has declared", carried.tag);
                found.push(Finding {
                    tag: Some(tag.name.to_owned()),
                    ..Finding::new(Check::UndeclaredOnOwner, weight, subject.as_str(), message)
                });
            }
            if tag.marker == Marker::Excluded || self.is_served(tag.name) {
                continue;
            }
            let kind = self.kind(tag.name);
            let (weight, message) = match (tag.marker, kind) {
                (_, Some(TagKind::Attribution)) => continue,
                (Marker::Required, _) => (
                    Weight::Error,
                    format!("it demands `{}` of deployments, and none carries it", carried.tag),
                ),
                (_, Some(TagKind::Routing)) => (
                    Weight::Error,
                    format!(
                        "it gives its requests `{}` for routing, and no deployment carries it",
                        carried.tag
                    ),
                ),
                _ => (
                    Weight::Note,
                    format!(
                        "it gives its requests `{}`, which keeps them nowhere: no deployment carries it",
                        carried.tag
                    ),
                ),
            };
            found.push(Finding {
                tag: Some(tag.name.to_owned()),
                ..Finding::new(Check::UnservedTag, weight, subject, message)
            });
        }
    }

    /// Tags that retire or are in quarantine, and are in use.
    fn endings(&self, found: &mut Vec<Finding>) {
        for seen in self.facts.seen.iter().filter(|seen| self.facts.since <= seen.last) {
            let Some(tag) = self.declaration(seen.name) else { continue };
            // Of one that has retired, what it was used for until then is history.
            let retires = tag.retires.filter(|(at, _)| self.facts.now < *at || *at <= seen.last);
            let used = |check, message| Finding {
                last_used: Some(seen.last),
                requests: Some(seen.requests),
                spend: Some(seen.spend),
                ..Finding::new(check, Weight::Warning, seen.name, message)
            };
            if let Some(retires) = retires {
                let message = format!("requests carry it, and it {}", self.ending(tag, retires));
                found.push(used(Check::RetiredTag, message));
            }
            if tag.quarantined {
                found.push(used(Check::QuarantinedTag, "requests carry it".to_owned()));
            }
        }
        for carried in &self.facts.carried {
            let Some(name) = TagName::parse(carried.tag, self.facts.prefix) else { continue };
            let Some(tag) = self.declaration(name.name) else { continue };
            let subject = format!("{} {}", carried.kind, carried.id);
            let told = |check, weight, message| Finding {
                tag: Some(name.name.to_owned()),
                ..Finding::new(check, weight, subject.as_str(), message)
            };
            if let Some(retires) = tag.retires {
                let weight = if retires.0 <= self.facts.now { Weight::Error } else { Weight::Warning };
                let ending = self.ending(tag, retires);
                let message = format!("it gives its requests `{}`, which {ending}", carried.tag);
                found.push(told(Check::RetiredTag, weight, message));
            }
            if tag.quarantined {
                let message = format!("it gives its requests `{}`", carried.tag);
                found.push(told(Check::QuarantinedTag, Weight::Warning, message));
            }
        }
    }

    /// When a tag retires, and what to use instead.
    fn ending(&self, tag: &Declared<'_>, (at, text): (i64, &str)) -> String {
        let when = if at <= self.facts.now { "has retired" } else { "retires" };
        match tag.replaced_by {
            Some(other) => format!("{when} ({text}): use `{other}`"),
            None => format!("{when} ({text})"),
        }
    }

    /// Deployments that no tags lead to, or no request went to.
    fn places(&self, found: &mut Vec<Finding>) {
        let mut with_default: HashSet<&str> = HashSet::new();
        for place in &self.facts.deployments {
            if place.tags.iter().any(|tag| tag == "default") {
                with_default.insert(place.group);
            }
        }
        let asked = self.asked_for();
        for place in &self.facts.deployments {
            let of = |message: &str| format!("of {}: {message}", place.group);
            let leads = |tag: &String| self.leads_to(&asked, tag);
            let open = !place.filtered || place.patterns || !with_default.contains(place.group);
            if !open && !place.tags.iter().any(|tag| tag == "default" || leads(tag)) {
                found.push(Finding {
                    requests: Some(place.requests),
                    ..Finding::new(
                        Check::UnreachableDeployment,
                        Weight::Warning,
                        place.id,
                        of(unreached(place)),
                    )
                });
            }
            if place.requests == 0 {
                let message = of("no request went to it of late");
                found.push(Finding::new(Check::IdleDeployment, Weight::Note, place.id, message));
            }
        }
    }

    /// Every name that requests ask by, or may be meant to.
    fn asked_for(&self) -> HashSet<&'f str> {
        let name = |tag: &'f str| {
            let tag = TagName::parse(tag, self.facts.prefix)?;
            (tag.marker != Marker::Excluded).then_some(tag.name)
        };
        let carried = self.facts.carried.iter().filter_map(|carried| name(carried.tag));
        let derived = self.facts.derived.iter().filter_map(|tag| name(tag));
        let declared = self.facts.declared.iter().filter(|tag| tag.kind != TagKind::Attribution);
        let declared =
            declared.flat_map(|tag| std::iter::once(tag.name).chain(tag.former.iter().map(String::as_str)));
        self.facts.seen.iter().map(|seen| seen.name).chain(carried).chain(derived).chain(declared).collect()
    }

    /// Whether one of these names leads to a deployment with this tag.
    fn leads_to(&self, asked: &HashSet<&str>, tag: &str) -> bool {
        if asked.contains(tag) || self.facts.hierarchy && levels_above(tag).any(|level| asked.contains(level))
        {
            return true;
        }
        let stems = tag.char_indices().map(|(at, _)| &tag[..at]).chain([tag]);
        stems.into_iter().any(|stem| asked.contains(format!("{stem}*").as_str()))
    }

    /// Names that look like others.
    fn look_alikes(&self, found: &mut Vec<Finding>) {
        let mut words: BTreeMap<&str, Word<'_>> = BTreeMap::new();
        let mut add = |name: &'f str, declared: bool, weight: u64| {
            if name.is_empty()
                || name.contains('*')
                || self.facts.granted.iter().any(|granted| covers(granted, name))
            {
                return;
            }
            let covered = self.is_covered(name);
            let word = words.entry(name).or_insert(Word { name, declared, weight: 0, covered });
            word.declared |= declared;
            word.weight = word.weight.max(weight);
        };
        for tag in &self.facts.declared {
            add(tag.name, true, 0);
        }
        for name in &self.served {
            // A deployment's tag is as good as declared.
            add(name, true, 0);
        }
        for seen in self.facts.seen.iter().filter(|seen| !self.is_former(seen.name)) {
            add(seen.name, false, seen.requests);
        }
        for carried in &self.facts.carried {
            if let Some(tag) =
                TagName::parse(carried.tag, self.facts.prefix).filter(|tag| !self.is_former(tag.name))
            {
                add(tag.name, false, 0);
            }
        }
        let words: Vec<Word<'_>> = words.into_values().collect();
        for near in near(&words) {
            let message = format!("{} from `{}`", near.by.as_str(), near.like);
            let message = message.replace("is its singular or plural from", "is the singular or plural of");
            let seen = self.seen.get(near.name);
            found.push(Finding {
                similar: Some(near.like.to_owned()),
                last_used: seen.map(|seen| seen.last),
                requests: seen.map(|seen| seen.requests),
                spend: seen.map(|seen| seen.spend),
                ..Finding::new(Check::NearDuplicate, Weight::Warning, near.name, message)
            });
        }
    }

    /// Whether it is a name that a declared tag had before.
    fn is_former(&self, name: &str) -> bool {
        self.declared.get(name).is_some_and(|tag| tag.name != name)
    }
}

/// What has broken the vocabulary lately.
fn broken(facts: &Facts<'_>, found: &mut Vec<Finding>) {
    for broken in &facts.broken {
        let weight = if broken.outcome == "warned" { Weight::Note } else { Weight::Warning };
        let by = if broken.by.is_empty() { String::new() } else { format!(", last by {}", broken.by) };
        let times = if broken.count == 1 { "once".to_owned() } else { format!("{} times", broken.count) };
        let message = format!("{} {times}{by}: {}", broken.outcome, broken.message);
        found.push(Finding {
            last_used: Some(broken.last),
            ..Finding::new(Check::Violation, weight, broken.tag, message)
        });
    }
}

fn unreached(place: &Place<'_>) -> &'static str {
    if place.tags.is_empty() {
        "it has no tags, and requests without any go to those tagged `default`"
    } else {
        "no tag of it is declared, seen in requests, or given by a key, team or rule"
    }
}

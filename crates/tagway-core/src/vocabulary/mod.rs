//! The declared vocabulary: which tags there may be, who may set them, and until when. Checks the tags of a request, and
//! those that somebody puts on an object. Knows nothing of deployments, of the time (an argument) and of how values are
//! counted; what a caller's key allows it to send is `access`'s.

mod naming;
mod objection;
mod terms;

use http::HeaderName;

use crate::config::{Config, TagDeclaration, TagSettings, nearest};
use crate::tag::name::{Marker, TagName, wildcard_stem};
use crate::tag::{Aliases, Expression, Origin, Registry, RequestTag, RequestTags, Settings};

use naming::Naming;
pub(crate) use naming::check_name_pattern;
pub use objection::{Objection, Reason, Why};
pub use terms::{Mode, Retirement, Setter, Setters, Terms};

/// The most tags that `max_values` may count: as many the store remembers to have seen.
pub const MOST_VALUES: u64 = 100_000;
/// Where untagged requests go: no name that anybody has chosen.
const DEFAULT: &str = "default";
/// More values than this are not told in an answer.
const FEW: usize = 8;

/// What became of what breaks the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Outcome {
    /// The request is refused.
    Refused,
    /// It would be, were it not only observed.
    Observed,
    /// It is served with a warning.
    Warned,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refused, Self::Observed, Self::Warned];

    /// Its name in metrics and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Observed => "observed",
            Self::Warned => "warned",
        }
    }
}

/// Who counts the values of patterns, and hears what is wrong.
pub trait Watch {
    /// Whether `name` is one of the first `most` tags of `pattern`: it has been seen, or there is room for it.
    fn has_room(&mut self, pattern: &str, name: &str, most: u64) -> bool;

    /// Hears what is wrong with a tag, and what becomes of it.
    fn hear(&mut self, objection: &Objection, outcome: Outcome);
}

/// The compiled vocabulary.
#[derive(Debug, Default)]
pub struct Vocabulary {
    words: Registry<Word>,
    naming: Option<Naming>,
    mode: Mode,
    /// Names, and stems of patterns, that not everybody may set; sorted.
    withheld: Box<[Withheld]>,
    hierarchy: bool,
    prefix: Box<str>,
    /// Former names: who says one of them means the tag.
    aliases: Aliases,
    /// Whether there is anything a request can break.
    binds: bool,
    /// Whether the values of some pattern are counted.
    counts: bool,
}

#[derive(Debug)]
struct Withheld {
    name: Box<str>,
    set_by: Setters,
    mode: Mode,
}

#[derive(Debug)]
struct Word {
    name: Box<str>,
    terms: Terms,
    /// Its values, sorted.
    values: Box<[Box<str>]>,
    /// Its tags are a header's name and value, whatever names should be like.
    of_header: bool,
}

/// Whether a declared name is that of a header's labels (`x-team: *`).
pub fn is_of_header(headers: &[HeaderName], name: &str) -> bool {
    headers.iter().any(|header| name.strip_prefix(header.as_str()) == Some(": *"))
}

/// A tag that somebody sets, taken apart.
#[derive(Clone, Copy)]
struct Said<'a> {
    text: &'a str,
    name: &'a str,
    marker: Marker,
    /// Who gives it beside the caller.
    whose: Option<Origin>,
    /// Who is to be asked about: nobody where it stands on an object already, or a rule of the file adds it.
    setter: Option<Setter>,
}

impl Said<'_> {
    fn objection(&self, why: Why) -> Box<Objection> {
        Box::new(Objection { tag: self.text.into(), why })
    }
}

impl Vocabulary {
    /// Compiles what a checked configuration says.
    pub fn compile(config: &Config) -> Self {
        Self::new(&config.tags, &config.tag_settings, &config.router.tags, &config.proxy.spend_tag_headers)
    }

    /// Compiles declared tags. What `headers` label is declared by the header's name (`x-team: *`).
    pub fn new(
        tags: &[TagDeclaration],
        settings: &TagSettings,
        router: &Settings,
        headers: &[HeaderName],
    ) -> Self {
        let mode_of = |terms: &Terms| terms.mode.unwrap_or(settings.mode);
        let withhold = |tag: &TagDeclaration| {
            let name = wildcard_stem(&tag.name).unwrap_or(&tag.name).into();
            Some(Withheld { name, set_by: tag.terms.set_by?, mode: mode_of(&tag.terms) })
        };
        let mut withheld: Vec<Withheld> = tags.iter().filter_map(withhold).collect();
        withheld.sort_by(|one, other| one.name.cmp(&other.name));
        let naming = settings.name_pattern.as_deref().and_then(Naming::new);
        let word = |tag: &TagDeclaration| {
            let mut values: Vec<Box<str>> =
                tag.terms.values.iter().map(|value| value.as_str().into()).collect();
            values.sort();
            let (name, terms) = (tag.name.as_str().into(), tag.terms.clone());
            Word { name, terms, values: values.into(), of_header: is_of_header(headers, &tag.name) }
        };
        Self {
            words: tags.iter().map(|tag| (tag.name.as_str(), word(tag))).collect(),
            binds: naming.is_some() || tags.iter().any(|tag| tag.terms.bind()),
            counts: tags.iter().any(|tag| tag.terms.max_values.is_some()),
            naming,
            mode: settings.mode,
            withheld: withheld.into(),
            hierarchy: router.hierarchy,
            prefix: router.prefix.as_str().into(),
            aliases: Aliases::new(tags),
        }
    }

    /// Whether there is anything a request can break.
    pub fn binds(&self) -> bool {
        self.binds
    }

    /// Checks all tags of a request, and sets those in quarantine aside. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// The first thing that is wrong and not only observed.
    pub fn check(
        &self,
        tags: &mut RequestTags<'_>,
        expression: Option<&Expression>,
        now: i64,
        watch: &mut impl Watch,
    ) -> Result<(), Box<Objection>> {
        if !self.binds {
            return Ok(());
        }
        for tag in tags.each() {
            let Some(said) = said(tag, &self.prefix) else { continue };
            let word = self.words.get(said.name);
            self.check_one(&said, word, now, watch)?;
            let quarantined = word.is_some_and(|word| word.terms.quarantined);
            if quarantined && said.marker == Marker::Positive && said.whose.is_none() {
                let mode = self.mode_of(word);
                let outcome = if mode == Mode::Enforce { Outcome::Warned } else { Outcome::Observed };
                watch.hear(&said.objection(quarantine(word)), outcome);
                if mode == Mode::Enforce {
                    tag.set_aside();
                }
            } else if quarantined {
                watch.hear(&said.objection(quarantine(word)), Outcome::Warned);
            }
        }
        for text in expression.into_iter().flat_map(Expression::names) {
            let (name, setter) = (self.today(text), Some(Setter::Caller));
            let said = Said { text, name, marker: Marker::Required, whose: None, setter };
            self.check_one(&said, self.words.get(name), now, watch)?;
        }
        if self.counts { self.count(tags, watch) } else { Ok(()) }
    }

    /// Values are counted last: a request that is refused for another tag takes none.
    fn count(&self, tags: &RequestTags<'_>, watch: &mut impl Watch) -> Result<(), Box<Objection>> {
        for tag in tags {
            let Some(said) = said(tag, &self.prefix) else { continue };
            let Some(word) = self.words.get(said.name) else { continue };
            let Some(why) = too_many(word, &said, watch) else { continue };
            // Others' tags are counted, and not refused.
            if said.setter.is_some() {
                self.raise(Some(word), &said, why, watch)?;
            }
        }
        Ok(())
    }

    /// What is wrong with a tag whatever else the request carries.
    fn check_one(
        &self,
        said: &Said<'_>,
        word: Option<&Word>,
        now: i64,
        watch: &mut impl Watch,
    ) -> Result<(), Box<Objection>> {
        if let Some(Word { terms: Terms { retirement: Some(retirement), replaced_by, .. }, .. }) = word {
            let replaced_by = replaced_by.as_deref().map(Into::into);
            let text = retirement.text.clone();
            if now < retirement.at {
                watch.hear(&said.objection(Why::Retiring { on: text, replaced_by }), Outcome::Warned);
            } else {
                self.raise(word, said, Why::Retired { since: text, replaced_by, whose: said.whose }, watch)?;
            }
        }
        let Some(setter) = said.setter else { return Ok(()) };
        if let Some(why) = withheld_from(word, setter) {
            self.raise(word, said, why, watch)?;
        } else if let Some(mode) = self.reaches_withheld(said, setter) {
            self.raise_in(mode, said, Why::Reach { setter }, watch)?;
        }
        if let Some(why) = self.misnamed(word, said.name) {
            self.raise(word, said, why, watch)?;
        }
        if let Some(why) = no_value(word, said.name) {
            self.raise(word, said, why, watch)?;
        }
        Ok(())
    }

    /// What is wrong with putting a tag newly on an object: the first thing that is not only observed.
    ///
    /// # Errors
    /// Why it may not be put there.
    pub fn check_put(
        &self,
        text: &str,
        setter: Setter,
        now: i64,
        watch: &mut impl Watch,
    ) -> Result<(), Box<Objection>> {
        if !self.binds {
            return Ok(());
        }
        let Some(TagName { marker, name, .. }) = TagName::parse(text, &self.prefix) else { return Ok(()) };
        let name = self.today(name);
        let said = Said { text, name, marker, whose: None, setter: Some(setter) };
        let word = self.words.get(name);
        if word.is_some_and(|word| word.terms.quarantined) {
            self.raise(word, &said, quarantine(word), watch)?;
        }
        self.check_one(&said, word, now, watch)?;
        match word.and_then(|word| too_many(word, &said, watch)) {
            Some(why) => self.raise(word, &said, why, watch),
            None => Ok(()),
        }
    }

    /// Whether a declaration says in so many words that somebody may set this tag.
    pub fn grants(&self, text: &str, setter: Setter) -> bool {
        let name = TagName::parse(text, &self.prefix).map(|tag| self.today(tag.name));
        let word = name.and_then(|name| self.words.get(name));
        word.and_then(|word| word.terms.set_by).is_some_and(|set_by| set_by.has(setter))
    }

    /// What is wrong with a tag that the configuration gives to requests, and whether it is only observed.
    pub fn objection_to_rule(&self, text: &str) -> Option<(Box<Objection>, Mode)> {
        let TagName { marker, name, .. } = TagName::parse(text, &self.prefix)?;
        let name = self.today(name);
        let word = self.words.get(name);
        let said = Said { text, name, marker, whose: None, setter: Some(Setter::Rule) };
        let why = withheld_from(word, Setter::Rule)
            .or_else(|| self.misnamed(word, name))
            .or_else(|| no_value(word, name));
        if let Some(why) = why {
            return Some((said.objection(why), self.mode_of(word)));
        }
        let mode = self.reaches_withheld(&said, Setter::Rule)?;
        Some((said.objection(Why::Reach { setter: Setter::Rule }), mode))
    }

    /// What is wrong with a tag that a deployment carries.
    pub fn objection_to_carried(&self, text: &str) -> Option<(Box<Objection>, Mode)> {
        let name = self.today(text);
        let word = self.words.get(name);
        let why = self.misnamed(word, name).or_else(|| no_value(word, name))?;
        let said = Said { text, name, marker: Marker::Positive, whose: None, setter: None };
        Some((said.objection(why), self.mode_of(word)))
    }

    /// What is wrong with a name that somebody declares.
    pub fn objection_to_name(&self, name: &str) -> Option<Box<Objection>> {
        let labels = self.words.get(name).is_some_and(|word| word.of_header);
        let naming =
            self.naming.as_ref().filter(|naming| !labels && name != DEFAULT && !naming.fits(name))?;
        Some(Box::new(Objection { tag: name.into(), why: Why::Name { pattern: naming.text.clone() } }))
    }

    /// Patterns whose tags are counted, and how many each may have.
    pub fn counted(config: &Config) -> impl Iterator<Item = (&str, u64)> {
        config.tags.iter().filter_map(|tag| Some((tag.name.as_str(), tag.terms.max_values?)))
    }

    /// Whether a caller's tag of this name only labels.
    pub fn sets_aside(&self, name: &str) -> bool {
        let word = self.words.get(name);
        word.is_some_and(|word| word.terms.quarantined) && self.mode_of(word) == Mode::Enforce
    }

    /// The pattern by which a tag is counted, if it is.
    pub fn pattern_of(&self, name: &str) -> Option<&str> {
        let word = self.words.get(name)?;
        word.terms.max_values.map(|_| &*word.name)
    }

    /// What a tag is called today. Tags of requests have their names of today already.
    fn today<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.today(name)
    }

    fn mode_of(&self, word: Option<&Word>) -> Mode {
        word.and_then(|word| word.terms.mode).unwrap_or(self.mode)
    }

    fn raise(
        &self,
        word: Option<&Word>,
        said: &Said<'_>,
        why: Why,
        watch: &mut impl Watch,
    ) -> Result<(), Box<Objection>> {
        self.raise_in(self.mode_of(word), said, why, watch)
    }

    fn raise_in(
        &self,
        mode: Mode,
        said: &Said<'_>,
        why: Why,
        watch: &mut impl Watch,
    ) -> Result<(), Box<Objection>> {
        let objection = said.objection(why);
        if mode == Mode::Observe {
            watch.hear(&objection, Outcome::Observed);
            return Ok(());
        }
        watch.hear(&objection, Outcome::Refused);
        Err(objection)
    }

    /// A wildcard, or a level above others, asks for tags that it does not name: in which mode those are withheld.
    fn reaches_withheld(&self, said: &Said<'_>, setter: Setter) -> Option<Mode> {
        if self.withheld.is_empty() || said.marker == Marker::Excluded {
            return None;
        }
        let (stem, level) = match wildcard_stem(said.name) {
            Some(stem) => (stem, ""),
            None if self.hierarchy => (said.name, ":"),
            None => return None,
        };
        let start = self.withheld.partition_point(|withheld| *withheld.name < *stem);
        let from = self.withheld.get(start..).unwrap_or_default().iter();
        let below = from.map_while(|withheld| Some((withheld.name.strip_prefix(stem)?, withheld)));
        let reached = below.filter(|(rest, it)| rest.starts_with(level) && !it.set_by.has(setter));
        reached.map(|(_, withheld)| withheld.mode).min_by_key(|mode| *mode == Mode::Observe)
    }

    fn misnamed(&self, word: Option<&Word>, name: &str) -> Option<Why> {
        let naming = self.naming.as_ref()?;
        // A name that is declared was looked at when it was.
        let exempt = name == DEFAULT || word.is_some_and(|word| word.of_header || *word.name == *name);
        if exempt || naming.fits(name) { None } else { Some(Why::Name { pattern: naming.text.clone() }) }
    }
}

/// Who sets a tag of a request. What stands on an object was looked at when it was put there; what a token claims, the
/// configuration makes tags of. `None` for a lone marker, which is nothing.
fn said<'a>(tag: &'a RequestTag<'_>, prefix: &str) -> Option<Said<'a>> {
    let TagName { marker, name, .. } = TagName::parse(tag.text(), prefix)?;
    let inherited = |origin: &Origin| origin.is_inherited() && *origin != Origin::Jwt;
    let claimed = || tag.origins().find(|origin| *origin == Origin::Jwt);
    let whose = tag.origins().find(inherited).or_else(claimed);
    let setter = match whose {
        None if tag.from_caller() => Some(Setter::Caller),
        Some(Origin::Jwt) => Some(Setter::Rule),
        _ => None,
    };
    Some(Said { text: tag.text(), name, marker, whose, setter })
}

fn quarantine(word: Option<&Word>) -> Why {
    let replaced_by = word.and_then(|word| word.terms.replaced_by.as_deref());
    Why::Quarantined { replaced_by: replaced_by.map(Into::into) }
}

fn withheld_from(word: Option<&Word>, setter: Setter) -> Option<Why> {
    let allowed = word?.terms.set_by?;
    (!allowed.has(setter)).then_some(Why::Setter { setter, allowed })
}

fn too_many(word: &Word, said: &Said<'_>, watch: &mut impl Watch) -> Option<Why> {
    let most = word.terms.max_values?;
    // What is excluded is not used, and a wildcard is no value.
    let counts = said.marker != Marker::Excluded && wildcard_stem(said.name).is_none();
    if !counts || watch.has_room(&word.name, said.name, most) {
        return None;
    }
    Some(Why::TooMany { pattern: word.name.clone(), most })
}

/// Why a name under a pattern is none of its values.
fn no_value(word: Option<&Word>, name: &str) -> Option<Why> {
    let word = word.filter(|word| !word.values.is_empty())?;
    let stem = wildcard_stem(&word.name)?;
    let value = name.strip_prefix(stem)?;
    let beginning = wildcard_stem(value);
    let wanted = beginning.unwrap_or(value);
    let next = word.values.get(word.values.partition_point(|value| **value < *wanted));
    let is_one = match beginning {
        Some(beginning) => next.is_some_and(|value| value.starts_with(beginning)),
        None => next.is_some_and(|known| **known == *value),
    };
    if is_one {
        return None;
    }
    let full = |value: &str| format!("{stem}{value}");
    let values = &word.terms.values;
    Some(Why::Value {
        pattern: word.name.clone(),
        nearest: nearest(value, values.iter().map(String::as_str)).map(full),
        allowed: values.iter().take(FEW).map(|value| full(value)).collect(),
        more: values.len().saturating_sub(FEW),
    })
}

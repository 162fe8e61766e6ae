//! The tags of one model group, turned into numbers and bit sets once, when the configuration is compiled.
//! Decides which deployments a name reaches (hierarchy, wildcards, attribution); knows nothing of requests.

use regex::{Regex, RegexBuilder};

use super::hash::NameMap;
use super::members::Members;
use super::name::{self, TagName};
use super::registry::Registry;
use super::{Aliases, Ask, InheritedTags, RequestTag, Settings, UnknownTags};
use crate::config::{TagDeclaration, TagKind, Tier};
use crate::vocabulary::Setter;

/// What the tag decision needs to know of one deployment.
#[derive(Debug, Clone, Copy)]
pub struct DeploymentTags<'a> {
    /// `model_info.id`.
    pub id: &'a str,
    /// `litellm_params.tags`.
    pub tags: &'a [String],
    /// `litellm_params.tag_regex`.
    pub tag_regex: &'a [String],
    /// `model_info.allow_fail_open`.
    pub allow_fail_open: bool,
    /// `model_info.enable_tag_filtering`.
    pub enable_tag_filtering: Option<bool>,
    /// `model_info.tier`.
    pub tier: Option<Tier>,
    /// `litellm_params.region_name`.
    pub region: Option<&'a str>,
}

/// The index of a model group. Deployments are known by their place in it, which is config order.
#[derive(Debug, Clone)]
pub struct GroupIndex {
    pub(super) match_any: bool,
    pub(super) prefix: Box<str>,
    pub(super) inherited: InheritedTags,
    pub(super) unknown: UnknownTags,
    pub(super) hierarchy: bool,
    pub(super) enabled: bool,
    /// The group's own switch: the first deployment that has one.
    pub(super) switch: Option<bool>,
    pub(super) deployments: Box<[Indexed]>,
    pub(super) all: Members,
    /// Tagged exactly `default`.
    pub(super) default: Members,
    pub(super) fail_open: Members,
    /// With routing tags of their own: a strict policy a pattern must not undo.
    pub(super) plain: Members,
    /// With `tag_regex`, valid or not: LiteLLM looks at the list only.
    pub(super) regexed: Members,
    pub(super) patterns: Box<[Pattern]>,
    /// Free and paid deployments; `None` when no deployment of the group has a tier.
    tiers: Option<(Members, Members)>,
    /// The deployments of each region.
    pub(super) regions: Box<[(Box<str>, Members)]>,
    /// Every name a request may use for routing here → its number: the deployments' tags, with hierarchy the
    /// levels above them, and the wildcards that end at a level.
    numbers: NameMap<u32>,
    /// `words` words for each number.
    postings: Box<[u64]>,
    words: usize,
    /// The deployments' own tags, sorted, for wildcards that end within a level and for suggestions.
    own: Box<[(Box<str>, u32)]>,
    declared: Declared,
}

/// What stays of a deployment.
#[derive(Debug, Clone)]
pub(super) struct Indexed {
    pub(super) id: Box<str>,
    /// Its tags that take part in routing, in file order, with their numbers.
    pub(super) tags: Box<[(Box<str>, u32)]>,
    /// Numbers of its patterns, in file order.
    pub(super) patterns: Box<[u32]>,
}

/// A `tag_regex` pattern and the deployments that have it. Patterns are kept one by one instead of as a
/// `RegexSet`: that allocates for every match, loses the literal prefilters most User-Agent patterns live by,
/// and one pattern too many would take the whole set over its size limit.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) text: Box<str>,
    pub(super) regex: Regex,
    pub(super) on: Members,
}

/// The deployments a name reaches.
pub(super) enum Posting<'i> {
    /// A name with a number, and its words.
    Numbered(u32, &'i [u64]),
    /// A wildcard that ends within a level.
    Joined(Members),
    /// No deployment of the group, healthy or not.
    Nowhere,
}

impl Posting<'_> {
    /// The bits of the deployments; empty for [`Posting::Nowhere`].
    pub(super) fn words(&self) -> &[u64] {
        match self {
            Self::Numbered(_, words) => words,
            Self::Joined(members) => members.words(),
            Self::Nowhere => &[],
        }
    }

    /// Whether the name is known to the group.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Self::Nowhere)
    }
}

impl GroupIndex {
    /// Builds the index of a group from every deployment *configured* for it, in config order. Patterns that
    /// do not compile match nothing here: refusing them is the configuration's part (see [`check_pattern`]).
    pub fn build(
        settings: &Settings,
        declarations: &[TagDeclaration],
        deployments: &[DeploymentTags<'_>],
    ) -> Self {
        let size = deployments.len();
        let members = |is: &dyn Fn(&DeploymentTags<'_>) -> bool| {
            let mut members = Members::none(size);
            (0..size).filter(|&at| is(&deployments[at])).for_each(|at| members.insert(at));
            members
        };
        let declared = Declared::new(declarations);
        let (patterns, numbers) = patterns(deployments);
        let mut indexed: Box<[Indexed]> = deployments
            .iter()
            .zip(numbers)
            .map(|(deployment, patterns)| Indexed {
                id: deployment.id.into(),
                tags: deployment
                    .tags
                    .iter()
                    .filter(|tag| !declared.is_attribution(tag))
                    .map(|tag| (tag.as_str().into(), 0))
                    .collect(),
                patterns,
            })
            .collect();
        let mut names = Names::collect(&mut indexed, settings.hierarchy, &declared);
        names.also_known_as(&Aliases::new(declarations));
        let (free, paid) =
            (members(&|it| it.tier == Some(Tier::Free)), members(&|it| it.tier == Some(Tier::Paid)));
        let mut regions: Vec<&str> = deployments.iter().filter_map(|it| it.region).collect();
        regions.sort_unstable();
        regions.dedup();
        let regions =
            regions.into_iter().map(|name| (name.into(), members(&|it| it.region == Some(name)))).collect();
        Self {
            match_any: settings.match_any,
            prefix: settings.prefix.as_str().into(),
            inherited: settings.inherited,
            unknown: settings.unknown,
            hierarchy: settings.hierarchy,
            enabled: settings.enable_tag_filtering,
            switch: deployments.iter().find_map(|deployment| deployment.enable_tag_filtering),
            all: Members::all(size),
            default: members(&|it| it.tags.iter().any(|tag| tag == "default")),
            fail_open: members(&|it| it.allow_fail_open),
            plain: indexed
                .iter()
                .enumerate()
                .filter(|(_, it)| !it.tags.is_empty())
                .map(|(at, _)| at)
                .collect(),
            regexed: members(&|it| !it.tag_regex.is_empty()),
            tiers: (!free.is_empty() || !paid.is_empty()).then_some((free, paid)),
            regions,
            deployments: indexed,
            patterns,
            numbers: names.numbers,
            postings: names.postings.into(),
            words: names.words,
            own: names.own,
            declared,
        }
    }

    /// How many deployments the group has.
    pub fn len(&self) -> usize {
        self.deployments.len()
    }

    /// Whether the group has no deployment.
    pub fn is_empty(&self) -> bool {
        self.deployments.is_empty()
    }

    /// Every deployment of the group: what `healthy` is when none cools down.
    pub fn all(&self) -> &Members {
        &self.all
    }

    /// `model_info.id` of the deployment at `place`.
    pub fn id(&self, place: usize) -> Option<&str> {
        self.deployments.get(place).map(|deployment| &*deployment.id)
    }

    /// The place of the deployment whose `model_info.id` is `id`. Looks at each: not for the request path.
    pub fn place(&self, id: &str) -> Option<usize> {
        self.deployments.iter().position(|deployment| &*deployment.id == id)
    }

    /// The deployments of a tier, or `None` when the group has no tiers.
    pub(super) fn of_tier(&self, tier: Tier) -> Option<&Members> {
        let (free, paid) = self.tiers.as_ref()?;
        Some(match tier {
            Tier::Free => free,
            Tier::Paid => paid,
        })
    }

    /// The deployments that a name (no prefix, no marker) reaches.
    pub(super) fn posting(&self, name: &str) -> Posting<'_> {
        if let Some(&number) = self.numbers.get(name) {
            return Posting::Numbered(number, self.words_of(number));
        }
        match name::wildcard_stem(name) {
            // A name of attribution is not among the numbers and must not come back as a wildcard.
            Some(stem) if !self.declared.is_attribution(name) => self.below(stem),
            _ => Posting::Nowhere,
        }
    }

    /// Whether a tag of this name reaches any deployment, healthy or not.
    pub fn knows(&self, name: &str) -> bool {
        self.posting(name).is_known()
    }

    /// Whether a name that reaches nothing is declared, and as what.
    pub(super) fn declared(&self, name: &str) -> Option<TagKind> {
        self.declared.kind(name)
    }

    /// The first tag that `unknown_tags: reject` would refuse, told without a decision.
    pub fn stranger<'a>(&self, ask: &Ask<'a>) -> Option<&'a RequestTag<'a>> {
        if !self.filtering(ask.turn_on).0 {
            return None;
        }
        ask.tags.iter().filter(|tag| tag.from_caller() && !tag.is_inherited() && !tag.is_aside()).find(
            |tag| {
                TagName::parse(tag.text(), &self.prefix).is_some_and(|TagName { name, .. }| {
                    !self.posting(name).is_known()
                        && self.declared(name).is_none()
                        && !self.is_confirmed(name, ask.tags)
                })
            },
        )
    }

    /// Whether a name may reach tags other than itself.
    pub(super) fn is_broad(&self, name: &str) -> bool {
        self.hierarchy || name::wildcard_stem(name).is_some()
    }

    fn words_of(&self, number: u32) -> &[u64] {
        let start = number as usize * self.words;
        self.postings.get(start..start + self.words).unwrap_or(&[])
    }

    fn below(&self, stem: &str) -> Posting<'_> {
        let start = self.own.partition_point(|(name, _)| &**name < stem);
        let own = self.own.get(start..).unwrap_or(&[]);
        let mut own = own.iter().take_while(|(name, _)| name.starts_with(stem)).peekable();
        if own.peek().is_none() {
            return Posting::Nowhere;
        }
        let mut joined = Members::none(self.len());
        own.for_each(|&(_, number)| joined.add(self.words_of(number)));
        Posting::Joined(joined)
    }

    /// The names most like `name` that a request could have meant, best first, three at most: declared ones that callers
    /// may use, and those of deployments within what it is `permitted`.
    pub(super) fn nearest(&self, name: &str, permitted: &Members) -> Vec<String> {
        /// Below this Jaro-Winkler similarity a suggestion puzzles more than it helps.
        const ALIKE: f64 = 0.75;
        let reached = self.own.iter().filter(|(_, number)| permitted.touches(self.words_of(*number)));
        let offered = reached.map(|(own, _)| &**own).filter(|own| self.declared.is_offered(own));
        let own = offered.chain(self.declared.routing_names());
        let mut alike: Vec<(f64, &str)> = own
            .map(|known| (strsim::jaro_winkler(name, known), known))
            .filter(|(likeness, _)| *likeness >= ALIKE)
            .collect();
        alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        alike.dedup_by(|a, b| a.1 == b.1);
        alike.into_iter().take(3).map(|(_, known)| known.to_owned()).collect()
    }
}

/// The numbering of names while it is made.
struct Names {
    numbers: NameMap<u32>,
    postings: Vec<u64>,
    words: usize,
    own: Box<[(Box<str>, u32)]>,
}

impl Names {
    fn collect(deployments: &mut [Indexed], hierarchy: bool, declared: &Declared) -> Self {
        let words = deployments.len().div_ceil(64);
        let mut names =
            Self { numbers: NameMap::default(), postings: Vec::new(), words, own: Box::default() };
        let mut own: Vec<(Box<str>, u32)> = Vec::new();
        for (place, deployment) in deployments.iter_mut().enumerate() {
            for (tag, number) in &mut deployment.tags {
                *number = names.note(tag, place);
                own.push((tag.clone(), *number));
                names.note_unless_attribution("*", place, declared);
                for level in name::levels_above(tag) {
                    names.note_unless_attribution(&format!("{level}:*"), place, declared);
                    if hierarchy {
                        names.note_unless_attribution(level, place, declared);
                    }
                }
            }
        }
        own.sort();
        own.dedup();
        names.own = own.into();
        names
    }

    /// Expressions may use former names; where one is a deployment's own tag after all, it means that.
    fn also_known_as(&mut self, aliases: &Aliases) {
        for (alias, tag) in aliases.iter() {
            if let Some(number) = self.numbers.get(tag).copied() {
                self.numbers.entry(alias.into()).or_insert(number);
            }
        }
    }

    fn note_unless_attribution(&mut self, name: &str, place: usize, declared: &Declared) {
        if !declared.is_attribution(name) {
            self.note(name, place);
        }
    }

    fn note(&mut self, name: &str, place: usize) -> u32 {
        let number = match self.numbers.get(name) {
            Some(&number) => number,
            None => {
                let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
                self.numbers.insert(name.into(), number);
                self.postings.resize(self.postings.len() + self.words, 0);
                number
            }
        };
        if let Some(word) = self.postings.get_mut(number as usize * self.words + place / 64) {
            *word |= 1 << (place % 64);
        }
        number
    }
}

/// The declared tags.
#[derive(Debug, Clone, Default)]
struct Declared(Registry<Declaration>);

#[derive(Debug, Clone, Copy)]
struct Declaration {
    kind: TagKind,
    /// Whether it is told to callers who seem to mean it.
    offered: bool,
}

impl Declared {
    fn new(declarations: &[TagDeclaration]) -> Self {
        let declaration = |tag: &TagDeclaration| Declaration {
            kind: tag.kind,
            offered: tag.kind != TagKind::Attribution
                && !tag.terms.quarantined
                && tag.terms.set_by.is_none_or(|set_by| set_by.has(Setter::Caller)),
        };
        Self(declarations.iter().map(|tag| (tag.name.as_str(), declaration(tag))).collect())
    }

    fn kind(&self, name: &str) -> Option<TagKind> {
        Some(self.0.get(name)?.kind)
    }

    fn is_attribution(&self, name: &str) -> bool {
        self.kind(name) == Some(TagKind::Attribution)
    }

    fn is_offered(&self, name: &str) -> bool {
        self.0.get(name).is_none_or(|declaration| declaration.offered)
    }

    fn routing_names(&self) -> impl Iterator<Item = &str> {
        self.0.names().filter(|(_, declaration)| declaration.offered).map(|(name, _)| name)
    }
}

/// The group's distinct patterns that compile, and for each deployment the numbers of its own in file order.
fn patterns(deployments: &[DeploymentTags<'_>]) -> (Box<[Pattern]>, Vec<Box<[u32]>>) {
    let mut numbers = NameMap::<Option<u32>>::default();
    let mut patterns: Vec<Pattern> = Vec::new();
    let of_each = deployments.iter().enumerate().map(|(place, deployment)| {
        let number = |text: &String| {
            let number = *numbers.entry(text.as_str().into()).or_insert_with(|| {
                let regex = compile(text).ok()?;
                let number = u32::try_from(patterns.len()).ok()?;
                patterns.push(Pattern {
                    text: text.as_str().into(),
                    regex,
                    on: Members::none(deployments.len()),
                });
                Some(number)
            });
            let number = number?;
            patterns.get_mut(number as usize)?.on.insert(place);
            Some(number)
        };
        deployment.tag_regex.iter().filter_map(number).collect()
    });
    let of_each = of_each.collect();
    (patterns.into(), of_each)
}

/// Compiles with limits: a pattern may take a megabyte, and matching is linear in the User-Agent's length.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(1 << 20).dfa_size_limit(1 << 20).build()
}

/// Whether a `tag_regex` pattern compiles; if not, why, in words that help someone who wrote it for Python.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    let problem = match compile(pattern) {
        Ok(_) => return Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => {
            return Err("is too big once compiled (1 MiB): shorten it or its repetitions".to_owned());
        }
        Err(error) => error.to_string(),
    };
    // The last line says what is wrong; the ones before draw the pattern.
    let last = problem.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Err(if last.contains("look-around") {
        "uses look-around (`(?=`, `(?!`, `(?<=`, `(?<!`), which Python has and tagway's linear-time matching has \
         not: write a pattern for what should match, and keep the rest out by other patterns or tags"
            .to_owned()
    } else if last.contains("backreference") || pattern.contains("(?P=") {
        "uses a backreference, which Python has and tagway's linear-time matching has not".to_owned()
    } else if pattern.contains("\\Z") {
        "uses Python's `\\Z`: write `\\z` for the end of the text".to_owned()
    } else {
        last
    })
}

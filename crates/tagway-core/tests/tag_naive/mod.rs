//! The rules of tag routing over plain sets, as a reader of the documentation would write them down: slow,
//! direct, sharing no code with the crate.

use std::collections::BTreeSet;

use tagway_core::config::{TagDeclaration, TagKind, Tier};
use tagway_core::tag::{InheritedTags, Origin, Settings, UnknownTags};

pub(crate) const PATTERNS: [&str; 4] = ["^User-Agent: claude-", r"curl/\d", "(?i)MOZILLA", "[bad("];

fn pattern_matches(pattern: &str, agent: &str) -> bool {
    match pattern {
        "^User-Agent: claude-" => agent.starts_with("claude-"),
        r"curl/\d" => agent.contains("curl/8"),
        "(?i)MOZILLA" => agent.to_lowercase().contains("mozilla"),
        _ => false,
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) tags: Vec<String>,
    pub(crate) tag_regex: Vec<String>,
    pub(crate) allow_fail_open: bool,
    pub(crate) enable_tag_filtering: Option<bool>,
    pub(crate) tier: Option<Tier>,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) settings: Settings,
    pub(crate) declarations: Vec<TagDeclaration>,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) healthy: BTreeSet<usize>,
    pub(crate) tags: Vec<(String, Origin)>,
    pub(crate) user_agent: Option<String>,
    pub(crate) turn_on: bool,
    pub(crate) unknown: Option<UnknownTags>,
    pub(crate) expressions: Vec<(Tree, Origin)>,
    pub(crate) tier: Option<Tier>,
}

#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Tag(String),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

impl Tree {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Tag(name) => format!("'{name}'"),
            Self::Not(inner) => format!("not ({})", inner.text()),
            Self::And(left, right) => format!("({}) and ({})", left.text(), right.text()),
            Self::Or(left, right) => format!("({}) or ({})", left.text(), right.text()),
        }
    }

    fn holds(&self, case: &Case, place: usize) -> bool {
        match self {
            Self::Tag(name) => case.carries(place, name),
            Self::Not(inner) => !inner.holds(case, place),
            Self::And(left, right) => left.holds(case, place) && right.holds(case, place),
            Self::Or(left, right) => left.holds(case, place) || right.holds(case, place),
        }
    }
}

type Set = BTreeSet<usize>;

#[derive(Debug, Clone)]
struct Part {
    marker: char,
    name: String,
    origins: Vec<Origin>,
    confirmed: bool,
}

impl Part {
    fn inherited(&self) -> bool {
        self.standing() || self.customers()
    }

    fn standing(&self) -> bool {
        self.origins.iter().any(|origin| {
            use Origin::{Key, Organization, Project, Team, User};
            [Key, Team, Project, Organization, User].contains(origin)
        })
    }

    fn customers(&self) -> bool {
        self.origins.contains(&Origin::Customer)
    }

    fn derived(&self) -> bool {
        self.origins.contains(&Origin::Rule)
    }

    fn caller(&self) -> bool {
        self.origins.iter().any(|origin| {
            [Origin::Header, Origin::Body, Origin::Metadata, Origin::LitellmMetadata].contains(origin)
        })
    }
}

impl Case {
    fn everyone(&self) -> Set {
        (0..self.deployments.len()).collect()
    }

    fn kind(&self, name: &str) -> Option<TagKind> {
        self.declaration(name).map(|it| it.kind)
    }

    fn is_quarantined(&self, name: &str) -> bool {
        self.declaration(name).is_some_and(|it| it.terms.quarantined)
    }

    fn declaration(&self, name: &str) -> Option<&TagDeclaration> {
        let exact = self.declarations.iter().find(|it| it.name == name && !it.name.ends_with('*'));
        let pattern = || {
            self.declarations
                .iter()
                .filter(|it| it.name.ends_with('*') && name.starts_with(it.name.trim_end_matches('*')))
                .max_by_key(|it| it.name.len())
        };
        exact.or_else(pattern)
    }

    fn is_label(&self, name: &str) -> bool {
        self.kind(name) == Some(TagKind::Attribution)
    }

    fn routing_tags(&self, place: usize) -> impl Iterator<Item = &String> {
        self.deployments[place].tags.iter().filter(|tag| !self.is_label(tag))
    }

    fn carries(&self, place: usize, name: &str) -> bool {
        let reaches = |tag: &String| {
            tag == name
                || name.strip_suffix('*').is_some_and(|stem| tag.starts_with(stem))
                || self.settings.hierarchy && tag.starts_with(&format!("{name}:"))
        };
        !self.is_label(name) && self.routing_tags(place).any(reaches)
    }

    fn carried_by_any(&self, name: &str) -> bool {
        self.everyone().iter().any(|&place| self.carries(place, name))
    }

    fn is_default(&self, place: usize) -> bool {
        self.deployments[place].tags.iter().any(|tag| tag == "default")
    }

    fn is_on(&self) -> bool {
        let group = self.deployments.iter().find_map(|it| it.enable_tag_filtering);
        self.turn_on || group.unwrap_or(self.settings.enable_tag_filtering)
    }

    /// Every tag once, taken apart; lone markers and labels are gone.
    fn parts(&self) -> Vec<Part> {
        let mut seen: Vec<(&String, Vec<Origin>)> = Vec::new();
        for (text, origin) in &self.tags {
            match seen.iter_mut().find(|(known, _)| *known == text) {
                Some((_, origins)) => origins.push(*origin),
                None => seen.push((text, vec![*origin])),
            }
        }
        let mut parts = Vec::new();
        for (text, origins) in seen {
            let prefix = self.settings.prefix.as_str();
            let prefixed = !prefix.is_empty() && text.starts_with(prefix);
            let rest = if prefixed { &text[prefix.len()..] } else { text.as_str() };
            let (marker, name) = match rest.chars().next() {
                Some(marker @ ('!' | '&')) => (marker, &rest[1..]),
                _ => ('+', rest),
            };
            let part = Part { marker, name: name.to_owned(), origins, confirmed: prefixed };
            let aside = marker == '+' && self.is_quarantined(name) && !part.inherited();
            if (marker == '+' || !name.is_empty()) && !self.is_label(name) && !aside {
                parts.push(part);
            }
        }
        let confirmed: BTreeSet<String> =
            parts.iter().filter(|part| part.confirmed).map(|part| part.name.clone()).collect();
        parts.iter_mut().for_each(|part| part.confirmed = confirmed.contains(&part.name));
        parts
    }

    fn is_known(&self, part: &Part) -> bool {
        part.confirmed || self.carried_by_any(&part.name)
    }

    fn matches(&self, place: usize, names: &[&str]) -> bool {
        if self.settings.match_any {
            names.iter().any(|name| self.carries(place, name))
        } else {
            !names.is_empty() && names.iter().all(|name| self.carries(place, name))
        }
    }

    /// The inherited positive tags that make the boundary: those of the key and its owners, and those of the
    /// customer, each a boundary of its own. Empty when there is none.
    fn bounds<'p>(&self, parts: &'p [Part]) -> Vec<Vec<&'p str>> {
        let enforced = self.is_on() && self.settings.inherited == InheritedTags::Enforce;
        let known = |part: &&Part| enforced && part.marker == '+' && self.carried_by_any(&part.name);
        let of = |gives: fn(&Part) -> bool| -> Vec<&'p str> {
            parts.iter().filter(known).filter(|part| gives(part)).map(|part| part.name.as_str()).collect()
        };
        let all = vec![of(Part::standing), of(Part::customers)];
        all.into_iter().filter(|names| !names.is_empty()).collect()
    }

    fn within(&self, place: usize, bounds: &[Vec<&str>]) -> bool {
        bounds.iter().all(|names| self.matches(place, names))
    }

    /// Tier and operators' expressions: they hold whether filtering is on or not.
    fn group(&self) -> Set {
        let mut group = self.everyone();
        if self.deployments.iter().any(|it| it.tier.is_some()) && self.tier.is_some() {
            group.retain(|&place| self.deployments[place].tier == self.tier);
        }
        for (tree, _) in self.expressions.iter().filter(|(_, origin)| !origin.is_caller()) {
            group.retain(|&place| tree.holds(self, place));
        }
        group
    }
}

/// Everything the operator's side allows: tier, expressions, boundary and protected `!`/`&`. Whatever else is
/// decided, it must lie within.
pub(crate) fn protected_set(case: &Case) -> Set {
    let mut set = case.group();
    if !case.is_on() {
        return set;
    }
    let parts = case.parts();
    let bounds = case.bounds(&parts);
    if !bounds.is_empty() {
        set.retain(|&place| case.within(place, &bounds));
    }
    for part in parts.iter().filter(|part| part.inherited() || part.derived()) {
        match part.marker {
            '!' => set.retain(|&place| !case.carries(place, &part.name)),
            '&' => set.retain(|&place| case.carries(place, &part.name)),
            _ => {}
        }
    }
    set
}

/// The decision: the candidates, or the reason there are none.
pub(crate) fn decide(case: &Case) -> Result<Set, &'static str> {
    let on = case.is_on();
    let mut parts = if on { case.parts() } else { Vec::new() };
    let stranger = |part: &Part| !case.is_known(part) && case.kind(&part.name).is_none();
    let unknown = case.unknown.unwrap_or(case.settings.unknown);
    if unknown == UnknownTags::Reject
        && parts.iter().any(|part| part.caller() && !part.inherited() && stranger(part))
    {
        return Err("unknown_tag");
    }
    if unknown == UnknownTags::Attribute {
        parts.retain(|part| part.marker != '+' || !stranger(part));
    }
    if case.healthy.is_empty() {
        return Err("cooling_down");
    }
    let mut pool: Set = &case.group() & &case.healthy;
    let callers: Vec<&Tree> =
        case.expressions.iter().filter(|(_, origin)| origin.is_caller()).map(|(tree, _)| tree).collect();
    if !on {
        pool.retain(|&place| callers.iter().all(|tree| tree.holds(case, place)));
        return if pool.is_empty() { Err("tag_policy") } else { Ok(pool) };
    }
    let bounds = case.bounds(&parts);
    if !bounds.is_empty() {
        pool.retain(|&place| case.within(place, &bounds));
    }
    let required: Vec<&Part> = parts.iter().filter(|part| part.marker == '&').collect();
    let excluded: Vec<&Part> = parts.iter().filter(|part| part.marker == '!').collect();
    let clear = |place: usize| !excluded.iter().any(|part| case.carries(place, &part.name));
    let constrained: Set = pool
        .iter()
        .copied()
        .filter(|&place| clear(place))
        .filter(|&place| required.iter().all(|part| case.carries(place, &part.name)))
        .filter(|&place| callers.iter().all(|tree| tree.holds(case, place)))
        .collect();

    let positive: Vec<&Part> = parts
        .iter()
        .filter(|part| part.marker == '+' && (bounds.is_empty() || part.caller() || part.derived()))
        .collect();
    let names: Vec<&str> = positive.iter().map(|part| part.name.as_str()).collect();
    let agent = case.user_agent.as_deref().unwrap_or_default();
    let matched: Set = constrained
        .iter()
        .copied()
        .filter(|&place| {
            let deployment = &case.deployments[place];
            let strict = !case.settings.match_any && case.routing_tags(place).next().is_some();
            let by_agent = || deployment.tag_regex.iter().any(|pattern| pattern_matches(pattern, agent));
            case.matches(place, &names) || !agent.is_empty() && !strict && by_agent()
        })
        .collect();

    if !bounds.is_empty() {
        let known = |part: &&&Part| case.is_known(part);
        let caller_asks = positive.iter().filter(known).any(|part| part.caller());
        if positive.iter().filter(known).count() > 0 && !matched.is_empty() {
            return Ok(matched);
        }
        if caller_asks {
            let inside = case.everyone().into_iter().filter(|&place| case.within(place, &bounds));
            let reachable = inside.filter(|&place| case.matches(place, &names)).count() > 0;
            return Err(if reachable { "tag_policy" } else { "outside_boundary" });
        }
        return if constrained.is_empty() { fall_open(case, &pool, &parts) } else { Ok(constrained) };
    }

    let explicit = !required.is_empty() || !callers.is_empty();
    let by_agent = !agent.is_empty()
        && !explicit
        && constrained.iter().any(|&place| !case.deployments[place].tag_regex.is_empty());
    let defaults =
        |set: &Set| -> Set { set.iter().copied().filter(|&place| case.is_default(place)).collect() };
    let answer = if !positive.is_empty() || by_agent {
        if !matched.is_empty() {
            matched
        } else if positive.iter().any(|part| case.is_known(part)) {
            Set::new()
        } else {
            defaults(&constrained)
        }
    } else if explicit {
        constrained
    } else {
        let chosen = defaults(&pool);
        let chosen = if chosen.is_empty() { pool.clone() } else { chosen };
        chosen.into_iter().filter(|&place| clear(place)).collect()
    };
    if answer.is_empty() { fall_open(case, &pool, &parts) } else { Ok(answer) }
}

fn fall_open(case: &Case, pool: &Set, parts: &[Part]) -> Result<Set, &'static str> {
    let required: Vec<&Part> = parts.iter().filter(|part| part.marker == '&').collect();
    let (known, invented): (Vec<&Part>, Vec<&Part>) = required
        .iter()
        .partition(|part| part.confirmed || pool.iter().any(|&place| case.carries(place, &part.name)));
    let excludes = |part: &Part, place: usize| part.marker == '!' && case.carries(place, &part.name);
    let hidden_answer = !known.is_empty()
        && !invented.is_empty()
        && pool.iter().any(|&place| {
            known.iter().all(|part| case.carries(place, &part.name))
                && !parts.iter().any(|part| excludes(part, place))
        });
    if hidden_answer || !pool.iter().any(|&place| case.deployments[place].allow_fail_open) {
        return Err("tag_policy");
    }
    let keeps = |part: &Part| part.inherited() || part.derived();
    let left: Set = pool
        .iter()
        .copied()
        .filter(|&place| !parts.iter().any(|part| keeps(part) && excludes(part, place)))
        .filter(|&place| {
            parts.iter().all(|part| !(keeps(part) && part.marker == '&') || case.carries(place, &part.name))
        })
        .collect();
    let defaults: Set = left.iter().copied().filter(|&place| case.is_default(place)).collect();
    match (left.is_empty(), defaults.is_empty()) {
        (true, _) => Err("tag_policy"),
        (false, true) => Ok(left),
        (false, false) => Ok(defaults),
    }
}

//! The tag decision: which deployments of a model group may serve a request. Steps and order are LiteLLM's;
//! regions, tiers, operators' expressions and inherited tags first shrink the group the steps run over, so nothing after
//! them can lead out. Does not know strategies, budgets, HTTP, or why a deployment is not healthy.

use smallvec::SmallVec;

use super::ask::Ask;
use super::index::{GroupIndex, Posting};
use super::members::Members;
use super::name::{self, Marker, TagName};
use super::observe::{Observer, Role, Silent, Step, Switch};
use super::refusal::Refusal;
use super::request::RequestTag;
use super::{InheritedTags, UnknownTags};
use crate::config::TagKind;

/// The deployments a strategy may choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'i> {
    /// Never empty.
    pub candidates: Members,
    /// What the first candidate was found by; `None` when nothing was matched (untagged, default, fail-open).
    pub matched: Option<Matched<'i>>,
}

/// What a deployment was found by: LiteLLM's `matched_via` and `matched_value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched<'i> {
    /// How.
    pub via: Via,
    /// The deployment's tag, or its pattern.
    pub value: &'i str,
}

/// How a deployment was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By a tag in common.
    Tags,
    /// By one of its `tag_regex`.
    TagRegex,
}

impl Via {
    /// LiteLLM's `matched_via`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::TagRegex => "tag_regex",
        }
    }
}

/// A request tag that takes part, looked up in the group.
struct Term<'a, 'i> {
    tag: &'a RequestTag<'a>,
    name: &'a str,
    marker: Marker,
    posting: Posting<'i>,
    /// Carried by a deployment of the group, or confirmed by the routing prefix.
    known: bool,
    confirmed: bool,
}

impl Term<'_, '_> {
    /// A `!` or `&` that fail-open must not drop: it stands with the operator, not (only) with the caller.
    fn is_protected(&self) -> bool {
        self.tag.is_inherited() || self.tag.is_derived()
    }
}

type Terms<'a, 'i> = SmallVec<[Term<'a, 'i>; 6]>;

/// One decision under way.
struct Deciding<'a, 'i> {
    index: &'i GroupIndex,
    ask: &'a Ask<'a>,
    terms: &'a [Term<'a, 'i>],
    /// Whether inherited tags bound the group.
    bounded: bool,
    /// The healthy part of the (shrunk) group.
    pool: Members,
    /// `pool` less what `!`, `&` and the caller's expression forbid.
    constrained: Members,
}

impl GroupIndex {
    /// Decides which of the `healthy` deployments may serve a request, telling `observer` each step.
    pub fn decide<'i>(
        &'i self,
        ask: &Ask<'_>,
        healthy: &Members,
        observer: &mut impl Observer,
    ) -> Result<Decision<'i>, Refusal> {
        let (on, by) = self.filtering(ask.turn_on);
        observer.filtering(on, by);
        let mut terms = Terms::new();
        if on {
            self.look_up(ask, &mut terms, observer)?;
        }
        if let Some(region) = self.foreign_region(ask) {
            return Err(Refusal::Region { region: region.to_owned() });
        }
        let mut pool = healthy.and(self.all.words());
        observer.step(Step::Healthy, &pool);
        if pool.is_empty() {
            return Err(Refusal::CoolingDown);
        }
        self.shrink(ask, &mut pool, observer);
        if !on {
            self.narrow_by_caller(ask, &mut pool, observer);
            observer.step(Step::FilteringOff, &pool);
            return if pool.is_empty() { Err(Refusal::Tags) } else { Ok(found(pool, None)) };
        }
        let bounded = self.bound(&terms, &mut pool);
        if bounded {
            observer.step(Step::Boundary, &pool);
        }
        let mut constrained = pool.clone();
        for term in &terms {
            match term.marker {
                Marker::Positive => continue,
                Marker::Excluded => constrained.drop_all(term.posting.words()),
                Marker::Required => constrained.keep(term.posting.words()),
            }
            observer.step(Step::Constraint(term.tag), &constrained);
        }
        self.narrow_by_caller(ask, &mut constrained, observer);
        let deciding = Deciding { index: self, ask, terms: &terms, bounded, pool, constrained };
        if bounded { deciding.inside_boundary(observer) } else { deciding.among_all(observer) }
    }

    /// Whether the request would be served if no deployment were cooling down: tells a refusal that time heals
    /// from one that it does not.
    pub fn serves_when_all_healthy(&self, ask: &Ask<'_>) -> bool {
        self.decide(ask, &self.all, &mut Silent).is_ok()
    }

    pub(super) fn filtering(&self, turn_on: bool) -> (bool, Switch) {
        match (turn_on, self.switch) {
            (true, _) => (true, Switch::Request),
            (false, Some(on)) => (on, Switch::Group),
            (false, None) => (self.enabled, Switch::Router),
        }
    }

    /// Looks every tag up and sorts out those that take no part.
    fn look_up<'a, 'i>(
        &'i self,
        ask: &Ask<'a>,
        terms: &mut Terms<'a, 'i>,
        observer: &mut impl Observer,
    ) -> Result<(), Refusal> {
        let tags = ask.tags;
        let unknown = ask.unknown.unwrap_or(self.unknown);
        for tag in tags {
            let Some(TagName { marker, name, .. }) = TagName::parse(tag.text(), &self.prefix) else {
                observer.tag(tag, "", Role::Nothing, false);
                continue;
            };
            if tag.is_aside() {
                observer.tag(tag, name, Role::Quarantined, false);
                continue;
            }
            let posting = self.posting(name);
            let (mut known, mut confirmed) = (posting.is_known(), false);
            if !known {
                let declared = self.declared(name);
                if declared == Some(TagKind::Attribution) {
                    observer.tag(tag, name, Role::Attribution, false);
                    continue;
                }
                confirmed = self.is_confirmed(name, tags);
                known = confirmed;
                let stranger = !known && declared.is_none();
                match unknown {
                    // A marker says by itself that the tag is meant for routing: a mistyped `&region:eu` that
                    // turned into a label would let the request go anywhere.
                    UnknownTags::Attribute if stranger && marker == Marker::Positive => {
                        observer.tag(tag, name, Role::Unknown, false);
                        continue;
                    }
                    // The caller cannot mend what is inherited.
                    UnknownTags::Reject if stranger && tag.from_caller() && !tag.is_inherited() => {
                        observer.tag(tag, name, Role::Unknown, false);
                        return Err(Refusal::UnknownTag {
                            tag: tag.text().to_owned(),
                            nearest: self.nearest(name, &self.permitted(ask)),
                        });
                    }
                    _ => {}
                }
            }
            observer.tag(tag, name, Role::of(marker), known);
            terms.push(Term { tag, name, marker, posting, known, confirmed });
        }
        Ok(())
    }

    /// Whether some tag of the request says this name with the routing prefix. LiteLLM confirms values, not
    /// tags: `route:zz` confirms `!zz` too.
    pub(super) fn is_confirmed(&self, name: &str, tags: &[RequestTag<'_>]) -> bool {
        let confirms = |tag: &RequestTag<'_>| {
            !tag.is_aside()
                && TagName::parse(tag.text(), &self.prefix)
                    .is_some_and(|said| said.confirmed && said.name == name)
        };
        !self.prefix.is_empty() && tags.iter().any(confirms)
    }

    fn narrow_by_caller(&self, ask: &Ask<'_>, pool: &mut Members, observer: &mut impl Observer) {
        for &(expression, origin) in ask.expressions.iter().filter(|(_, origin)| origin.is_caller()) {
            expression.narrow(self, pool);
            observer.step(Step::Expression(expression, origin), pool);
        }
    }

    /// Keeps only what the inherited positive tags that the group knows allow; `false` when there are none. The
    /// customer's narrow what the key's and its owners' allow: added to them, they would open to a caller whatever
    /// the customer it names may use.
    fn bound(&self, terms: &[Term<'_, '_>], pool: &mut Members) -> bool {
        if self.inherited == InheritedTags::Merge {
            return false;
        }
        let mut bounded = false;
        for customers in [false, true] {
            let gives = |tag: &RequestTag<'_>| if customers { tag.is_customers() } else { tag.is_standing() };
            let bounds = |term: &&Term<'_, '_>| {
                term.marker == Marker::Positive && gives(term.tag) && term.posting.is_known()
            };
            let mut bounds = terms.iter().filter(bounds).peekable();
            if bounds.peek().is_some() {
                bounded = true;
                self.overlap(bounds, pool);
            }
        }
        bounded
    }

    /// Keeps those of `among` that carry any (or, as configured, all) of `terms`; none when there are no terms.
    fn overlap<'t, 'a: 't, 'i: 't>(
        &self,
        terms: impl Iterator<Item = &'t Term<'a, 'i>>,
        among: &mut Members,
    ) {
        let mut terms = terms.peekable();
        if terms.peek().is_none() {
            among.clear();
        } else if self.match_any {
            let mut any = Members::none(self.len());
            terms.for_each(|term| any.add(term.posting.words()));
            among.keep(any.words());
        } else {
            terms.for_each(|term| among.keep(term.posting.words()));
        }
    }

    /// Those tagged `default`, or all if none is.
    fn or_default(&self, pool: &Members) -> Members {
        if pool.touches(self.default.words()) { pool.and(self.default.words()) } else { pool.clone() }
    }
}

impl<'a, 'i> Deciding<'a, 'i> {
    fn has(&self, marker: Marker) -> bool {
        self.terms.iter().any(|term| term.marker == marker)
    }

    /// The positive terms that choose. With a boundary, a tag that is only inherited has had its say.
    fn choosing(&self) -> impl Iterator<Item = &Term<'a, 'i>> + Clone {
        self.terms.iter().filter(|term| {
            term.marker == Marker::Positive
                && (!self.bounded || term.tag.from_caller() || term.tag.is_derived())
        })
    }

    /// The steps as LiteLLM takes them.
    fn among_all(&self, observer: &mut impl Observer) -> Result<Decision<'i>, Refusal> {
        let asks = self.has(Marker::Positive);
        let required =
            self.has(Marker::Required) || self.ask.expressions.iter().any(|(_, origin)| origin.is_caller());
        let by_agent = || {
            self.ask.header().is_some() && !required && self.constrained.touches(self.index.regexed.words())
        };
        if asks || by_agent() {
            if let Some(decision) = self.matching(observer) {
                return Ok(decision);
            }
            if !self.choosing().any(|term| term.known) && self.constrained.touches(self.index.default.words())
            {
                let defaults = self.constrained.and(self.index.default.words());
                observer.step(Step::NoMatchDefault, &defaults);
                return Ok(found(defaults, None));
            }
            return self.exhausted(observer);
        }
        if required {
            if self.constrained.is_empty() {
                return self.exhausted(observer);
            }
            observer.step(Step::ConstraintsOnly, &self.constrained);
            return Ok(found(self.constrained.clone(), None));
        }
        // LiteLLM picks the defaults first and excludes among them, so that `!x` alone never leads from the
        // default deployments to others.
        let mut defaults = self.index.or_default(&self.pool);
        defaults.keep(self.constrained.words());
        if defaults.is_empty() {
            return self.exhausted(observer);
        }
        observer.step(Step::Untagged, &defaults);
        Ok(found(defaults, None))
    }

    /// The steps inside the boundary: a known tag that matches nothing there is refused, anything less is
    /// answered with the boundary itself.
    fn inside_boundary(&self, observer: &mut impl Observer) -> Result<Decision<'i>, Refusal> {
        if self.choosing().any(|term| term.known) {
            if let Some(decision) = self.matching(observer) {
                return Ok(decision);
            }
            if self.choosing().any(|term| term.known && term.tag.from_caller()) {
                observer.step(Step::NoMatch, &Members::none(self.index.len()));
                return Err(self.refusal_inside_boundary());
            }
        }
        let Some(first) = self.constrained.first() else {
            return self.exhausted(observer);
        };
        observer.step(Step::BoundaryItself, &self.constrained);
        let inherited = self.terms.iter().filter(|term| term.tag.is_inherited());
        Ok(found(self.constrained.clone(), self.tag_in_common(first, &inherited)))
    }

    /// Whether the tags lead outside the boundary, or only to deployments inside that are not to be had now.
    fn refusal_inside_boundary(&self) -> Refusal {
        let mut inside = self.index.all.clone();
        self.index.bound(self.terms, &mut inside);
        self.index.overlap(self.choosing(), &mut inside);
        if inside.is_empty() { Refusal::OutsideBoundary } else { Refusal::Tags }
    }

    /// Matches each constrained deployment by tags, else by User-Agent.
    fn matching(&self, observer: &mut impl Observer) -> Option<Decision<'i>> {
        let mut by_tags = self.constrained.clone();
        self.index.overlap(self.choosing(), &mut by_tags);
        let mut hits = Members::default();
        let mut candidates = by_tags.clone();
        self.add_by_agent(&mut candidates, &mut hits);
        let first = candidates.first()?;
        observer.step(Step::Matched { by_tags: &by_tags }, &candidates);
        let matched = if by_tags.contains(first) {
            self.tag_in_common(first, &self.choosing())
        } else {
            self.first_pattern(first, &hits)
        };
        Some(found(candidates, matched))
    }

    /// Adds deployments not yet `matched` that one of their patterns finds; `hits` are those patterns' numbers.
    fn add_by_agent(&self, matched: &mut Members, hits: &mut Members) {
        /// Longer lines than any browser's fit without the heap.
        type Line = SmallVec<[u8; 320]>;
        let Some(agent) = self.ask.header() else { return };
        if !self.constrained.touches(self.index.regexed.words()) {
            return;
        }
        let mut left = self.constrained.and(self.index.regexed.words());
        left.drop_all(matched.words());
        if !self.index.match_any {
            left.drop_all(self.index.plain.words());
        }
        if left.is_empty() {
            return;
        }
        let mut line = Line::from_slice(b"User-Agent: ");
        line.extend_from_slice(agent.as_bytes());
        let line = std::str::from_utf8(&line).unwrap_or_default();
        for (number, pattern) in self.index.patterns.iter().enumerate() {
            if left.touches(pattern.on.words()) && pattern.regex.is_match(line) {
                matched.add(left.and(pattern.on.words()).words());
                hits.insert(number);
            }
        }
    }

    fn first_pattern(&self, place: usize, hits: &Members) -> Option<Matched<'i>> {
        let index = self.index;
        let number = index.deployments.get(place)?.patterns.iter().find(|&&it| hits.contains(it as usize))?;
        let value = &index.patterns.get(*number as usize)?.text;
        Some(Matched { via: Via::TagRegex, value })
    }

    /// The deployment's first tag that one of `terms` asks for.
    fn tag_in_common<'t>(
        &'t self,
        place: usize,
        terms: &(impl Iterator<Item = &'t Term<'a, 'i>> + Clone),
    ) -> Option<Matched<'i>>
    where
        'a: 't,
        'i: 't,
    {
        let index = self.index;
        let tags = &index.deployments.get(place)?.tags;
        // Numbers settle nearly every case without a look at the text.
        let is_asked = |tag: &str, number: u32, term: &Term<'a, 'i>| match term.posting {
            Posting::Numbered(asked, _) if asked == number => true,
            Posting::Nowhere => false,
            _ => index.is_broad(term.name) && name::matches(term.name, tag, index.hierarchy),
        };
        let (value, _) = tags.iter().find(|(tag, number)| {
            terms.clone().any(|term| term.marker == Marker::Positive && is_asked(tag, *number, term))
        })?;
        Some(Matched { via: Via::Tags, value })
    }

    /// Nothing is left: falls open where the operator allows it, inside the group as it was shrunk and under
    /// every protected constraint.
    fn exhausted(&self, observer: &mut impl Observer) -> Result<Decision<'i>, Refusal> {
        observer.step(Step::NoMatch, &Members::none(self.index.len()));
        if self.pool.touches(self.index.fail_open.words()) && !self.invention_hides_an_answer() {
            let mut left = self.pool.clone();
            for term in self.terms.iter().filter(|term| term.is_protected()) {
                match term.marker {
                    Marker::Positive => {}
                    Marker::Excluded => left.drop_all(term.posting.words()),
                    Marker::Required => left.keep(term.posting.words()),
                }
            }
            if !left.is_empty() {
                let open = self.index.or_default(&left);
                observer.step(Step::FailOpen, &open);
                return Ok(found(open, None));
            }
        }
        Err(Refusal::Tags)
    }

    /// Whether an `&` tag nobody carries is all that stands between the request and an answer: then fail-open
    /// would give a caller who invents tags more than one who does not. "Known" is asked of healthy deployments
    /// here, as in LiteLLM.
    fn invention_hides_an_answer(&self) -> bool {
        let mut left = self.pool.clone();
        let (mut known, mut invented) = (false, false);
        for term in self.terms {
            match term.marker {
                Marker::Positive => {}
                Marker::Excluded => left.drop_all(term.posting.words()),
                Marker::Required if term.confirmed || self.pool.touches(term.posting.words()) => {
                    known = true;
                    left.keep(term.posting.words());
                }
                Marker::Required => invented = true,
            }
        }
        known && invented && !left.is_empty()
    }
}

fn found<'i>(candidates: Members, matched: Option<Matched<'i>>) -> Decision<'i> {
    Decision { candidates, matched }
}

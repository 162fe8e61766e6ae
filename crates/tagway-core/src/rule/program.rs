//! A condition as it is answered: a tree whose types are known. Knows what it costs at most; nothing of its text.

use std::sync::Arc;

use http::HeaderName;
use regex::Regex;
use serde_json::Value;

use super::{Facts, Owner, TextField};
use crate::strategy::{hash, mixed};

/// Texts count up to this length; more of one is not looked at.
const LONGEST_TEXT: usize = 8 << 10;
/// Patterns are searched in so much of a text.
const LONGEST_SEARCHED: usize = 1 << 10;
/// A tag counts up to this length.
const LONGEST_TAG: usize = 256;
/// As many tags of a list are looked at.
const MOST_TAGS: u64 = 256;
/// A condition that may cost more is refused: about 50 microseconds.
pub(super) const MOST_COST: u64 = 50_000;

/// What a condition cannot be answered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong<'p>(pub &'p str);

/// A condition.
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) root: Arc<Bool>,
    pub(super) cost: u64,
    pub(super) asks: Asks,
}

/// Facts that are made for those who ask alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asks {
    /// Whether the texts must be looked through.
    pub contains_pii: bool,
    /// Whether tokens must be estimated.
    pub tokens: bool,
    /// Whether the request's own metadata must be read.
    pub metadata: bool,
}

/// What is true or not.
#[derive(Debug)]
pub(super) enum Bool {
    Is(bool),
    Stream,
    Pii,
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    Choose(Box<[Self; 3]>),
    Same(Box<[Self; 2]>),
    Equal(Text, Text),
    Starts(Text, Text),
    Ends(Text, Text),
    Contains(Text, Text),
    Matches(Text, Regex),
    OneOf(Text, Vec<Box<str>>),
    NumberOneOf(Number, Vec<f64>),
    HasTag(Owner, Text),
    Compare(Number, Order, Number),
    HasHeader(HeaderName),
    HasField(Field),
    Field(Field),
    /// Whether a tag is such, or every one.
    Tags {
        of: Owner,
        every: bool,
        such: Box<Self>,
    },
}

/// How numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// A text.
#[derive(Debug)]
pub(super) enum Text {
    Is(Box<str>),
    Field(TextField),
    /// A header, and what to say when it is not there.
    Header(HeaderName, Box<str>),
    Meta(Field),
    /// The tag that is looked at, so many lists out.
    Tag(usize),
    Lower(Box<Self>),
}

/// A number.
#[derive(Debug)]
pub(super) enum Number {
    Is(f64),
    Tokens,
    Length(Text),
    Count(Owner),
    Field(Field),
    /// Of a text and a salt: the same number from 0 to 1 for the same both.
    Sticky(Text, Text),
}

/// A field of somebody's metadata.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) of: Owner,
    pub(super) path: Vec<Box<str>>,
    /// What to say when it is not there, or is something else.
    pub(super) wrong: Box<str>,
}

impl Program {
    /// Whether it holds.
    ///
    /// # Errors
    /// It asks for what the request does not have.
    pub fn holds(&self, facts: &dyn Facts) -> Result<bool, Wrong<'_>> {
        self.root.holds(facts, &Tag(None))
    }

    /// What it may cost at most: one for a comparison of short texts, so a few nanoseconds.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// What it asks for that is not there anyway.
    pub fn asks(&self) -> Asks {
        self.asks
    }
}

/// The tags that are looked at, the innermost first.
struct Tag<'t>(Option<(&'t str, &'t Self)>);

impl Tag<'_> {
    fn at(&self, out: usize) -> &str {
        match self.0 {
            Some((tag, _)) if out == 0 => &tag[..tag.floor_char_boundary(LONGEST_TAG)],
            Some((_, outer)) => outer.at(out - 1),
            None => "",
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

impl Bool {
    fn holds<'p>(&'p self, facts: &dyn Facts, tag: &Tag<'_>) -> Result<bool, Wrong<'p>> {
        let two = |one: &'p Text, other: &'p Text, compare: fn(&str, &str) -> bool| {
            one.with(facts, tag, |one| other.with(facts, tag, |other| Ok(compare(one, other))))
        };
        match self {
            Self::Is(is) => Ok(*is),
            Self::Stream => Ok(facts.stream()),
            Self::Pii => Ok(facts.contains_pii()),
            Self::Not(one) => Ok(!one.holds(facts, tag)?),
            Self::All(all) => decided(all.iter().map(|one| one.holds(facts, tag)), false),
            Self::Any(any) => decided(any.iter().map(|one| one.holds(facts, tag)), true),
            Self::Choose(parts) => {
                let [when, then, or] = &**parts;
                if when.holds(facts, tag)? { then.holds(facts, tag) } else { or.holds(facts, tag) }
            }
            Self::Same(both) => Ok(both[0].holds(facts, tag)? == both[1].holds(facts, tag)?),
            Self::Equal(one, other) => two(one, other, |one, other| one == other),
            Self::Starts(one, other) => two(one, other, |one, other| one.starts_with(other)),
            Self::Ends(one, other) => two(one, other, |one, other| one.ends_with(other)),
            Self::Contains(one, other) => {
                two(one, other, |one, other| memchr::memmem::find(one.as_bytes(), other.as_bytes()).is_some())
            }
            Self::Matches(text, regex) => text.with(facts, tag, |text| {
                Ok(regex.is_match(&text[..text.floor_char_boundary(LONGEST_SEARCHED)]))
            }),
            Self::OneOf(text, all) => text.with(facts, tag, |text| Ok(all.iter().any(|one| **one == *text))),
            Self::NumberOneOf(number, all) => {
                let number = number.value(facts, tag)?;
                Ok(all.contains(&number))
            }
            Self::HasTag(of, text) => text.with(facts, tag, |text| {
                let mut found = false;
                facts.tags(*of, &mut |tag| {
                    found = tag == text;
                    found
                });
                Ok(found)
            }),
            Self::Compare(one, order, other) => {
                Ok(order.holds(one.value(facts, tag)?, other.value(facts, tag)?))
            }
            Self::HasHeader(name) => Ok(facts.header(name).is_some()),
            Self::HasField(field) => Ok(field.find(facts).is_some()),
            Self::Field(field) => field.find(facts).and_then(Value::as_bool).ok_or(Wrong(&field.wrong)),
            Self::Tags { of, every, such } => {
                let (mut seen, mut answer) = (0, Ok(*every));
                facts.tags(*of, &mut |own| {
                    seen += 1;
                    match such.holds(facts, &Tag(Some((own, tag)))) {
                        // One is enough to answer.
                        Ok(is) if is != *every => answer = Ok(is),
                        Ok(_) => return seen == MOST_TAGS,
                        Err(wrong) => {
                            answer = Err(wrong);
                            return seen == MOST_TAGS;
                        }
                    }
                    true
                });
                answer
            }
        }
    }

    /// What it may cost.
    pub(super) fn cost(&self) -> u64 {
        let sum = |all: &[Self]| all.iter().map(Self::cost).fold(1, u64::saturating_add);
        match self {
            Self::Is(_) | Self::Stream | Self::Pii | Self::HasHeader(_) => 1,
            Self::Not(one) => one.cost() + 1,
            Self::All(all) | Self::Any(all) => sum(all),
            Self::Choose(all) => sum(&**all),
            Self::Same(all) => sum(&**all),
            // Texts are compared and searched some bytes at a time, up to their bound.
            Self::Equal(one, other) | Self::Starts(one, other) | Self::Ends(one, other) => {
                one.cost() + other.cost() + 4
            }
            Self::Contains(one, other) => one.cost() + other.cost() + 64,
            Self::Matches(one, _) => one.cost() + 2048,
            Self::OneOf(one, all) => one.cost() + all.len() as u64 * 2,
            Self::NumberOneOf(one, all) => one.cost() + all.len() as u64,
            Self::HasTag(_, text) => text.cost() + MOST_TAGS,
            Self::Compare(one, _, other) => one.cost() + other.cost() + 1,
            Self::HasField(field) | Self::Field(field) => field.cost(),
            Self::Tags { such, .. } => such.cost().saturating_mul(MOST_TAGS),
        }
    }

    pub(super) fn asks(&self, asks: &mut Asks) {
        match self {
            Self::Is(_) | Self::Stream | Self::HasHeader(_) => {}
            Self::Pii => asks.contains_pii = true,
            Self::Not(one) => one.asks(asks),
            Self::All(all) | Self::Any(all) => all.iter().for_each(|one| one.asks(asks)),
            Self::Choose(all) => all.iter().for_each(|one| one.asks(asks)),
            Self::Same(all) => all.iter().for_each(|one| one.asks(asks)),
            Self::Equal(one, other)
            | Self::Starts(one, other)
            | Self::Ends(one, other)
            | Self::Contains(one, other) => {
                one.asks(asks);
                other.asks(asks);
            }
            Self::Matches(text, _) | Self::OneOf(text, _) | Self::HasTag(_, text) => text.asks(asks),
            Self::NumberOneOf(one, _) => one.asks(asks),
            Self::Compare(one, _, other) => {
                one.asks(asks);
                other.asks(asks);
            }
            Self::HasField(field) | Self::Field(field) => field.asks(asks),
            Self::Tags { such, .. } => such.asks(asks),
        }
    }
}

/// As CEL has it: what decides decides, whatever cannot be answered beside it.
fn decided<'p>(
    all: impl Iterator<Item = Result<bool, Wrong<'p>>>,
    decisive: bool,
) -> Result<bool, Wrong<'p>> {
    let mut wrong = None;
    for one in all {
        match one {
            Ok(is) if is == decisive => return Ok(decisive),
            Ok(_) => {}
            Err(error) => wrong = wrong.or(Some(error)),
        }
    }
    wrong.map_or(Ok(!decisive), Err)
}

impl Order {
    #[expect(clippy::float_cmp, reason = "CEL compares so")]
    fn holds(self, one: f64, other: f64) -> bool {
        match self {
            Self::Less => one < other,
            Self::AtMost => one <= other,
            Self::Equal => one == other,
            Self::AtLeast => other <= one,
            Self::More => other < one,
        }
    }
}

impl Text {
    /// Calls `then` with the text, as far as it counts.
    fn with<'p, T>(
        &'p self,
        facts: &dyn Facts,
        tag: &Tag<'_>,
        then: impl FnOnce(&str) -> Result<T, Wrong<'p>>,
    ) -> Result<T, Wrong<'p>> {
        match self {
            Self::Is(text) => then(text),
            Self::Field(field) => then(cut(facts.text(*field))),
            Self::Header(name, wrong) => then(cut(facts.header(name).ok_or(Wrong(wrong))?)),
            Self::Meta(field) => {
                then(cut(field.find(facts).and_then(Value::as_str).ok_or(Wrong(&field.wrong))?))
            }
            Self::Tag(out) => then(tag.at(*out)),
            Self::Lower(text) => {
                let lower = text.owned(facts, tag)?;
                then(&lower)
            }
        }
    }

    fn owned<'p>(&'p self, facts: &dyn Facts, tag: &Tag<'_>) -> Result<String, Wrong<'p>> {
        // Not by way of `with`, whose type would contain itself.
        Ok(match self {
            Self::Is(text) => text.to_ascii_lowercase(),
            Self::Field(field) => cut(facts.text(*field)).to_ascii_lowercase(),
            Self::Header(name, wrong) => cut(facts.header(name).ok_or(Wrong(wrong))?).to_ascii_lowercase(),
            Self::Meta(field) => {
                let text = field.find(facts).and_then(Value::as_str).ok_or(Wrong(&field.wrong))?;
                cut(text).to_ascii_lowercase()
            }
            Self::Tag(out) => tag.at(*out).to_ascii_lowercase(),
            Self::Lower(text) => text.owned(facts, tag)?,
        })
    }

    fn cost(&self) -> u64 {
        match self {
            Self::Is(_) | Self::Field(_) | Self::Tag(_) => 1,
            Self::Header(..) => 8,
            Self::Meta(field) => field.cost(),
            Self::Lower(text) => text.cost() + 256,
        }
    }

    fn asks(&self, asks: &mut Asks) {
        match self {
            Self::Meta(field) => field.asks(asks),
            Self::Lower(text) => text.asks(asks),
            _ => {}
        }
    }
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "CEL's doubles; counts need no 53 bits")]
    fn value<'p>(&'p self, facts: &dyn Facts, tag: &Tag<'_>) -> Result<f64, Wrong<'p>> {
        match self {
            Self::Is(number) => Ok(*number),
            Self::Tokens => Ok(facts.tokens() as f64),
            Self::Length(text) => text.with(facts, tag, |text| Ok(text.chars().count() as f64)),
            Self::Count(of) => {
                let mut count = 0_u32;
                facts.tags(*of, &mut |_| {
                    count += 1;
                    false
                });
                Ok(f64::from(count))
            }
            Self::Field(field) => field.find(facts).and_then(Value::as_f64).ok_or(Wrong(&field.wrong)),
            Self::Sticky(text, salt) => text.with(facts, tag, |text| {
                if text.is_empty() {
                    return Err(Wrong("nothing to stick by: the text is empty"));
                }
                salt.with(facts, tag, |salt| {
                    Ok((mixed(hash(salt), hash(text)) >> 11) as f64 / (1_u64 << 53) as f64)
                })
            }),
        }
    }

    fn cost(&self) -> u64 {
        match self {
            Self::Is(_) | Self::Tokens => 1,
            Self::Length(Text::Tag(_)) => 16,
            Self::Length(text) => text.cost() + 256,
            Self::Count(_) => MOST_TAGS,
            Self::Field(field) => field.cost(),
            Self::Sticky(text, salt) => text.cost() + salt.cost() + 256,
        }
    }

    fn asks(&self, asks: &mut Asks) {
        match self {
            Self::Tokens => asks.tokens = true,
            Self::Length(text) => text.asks(asks),
            Self::Field(field) => field.asks(asks),
            Self::Sticky(text, salt) => {
                text.asks(asks);
                salt.asks(asks);
            }
            Self::Is(_) | Self::Count(_) => {}
        }
    }
}

impl Field {
    fn find<'f>(&self, facts: &'f dyn Facts) -> Option<&'f Value> {
        let mut value = facts.metadata(self.of)?;
        for name in &self.path {
            value = value.get(&**name)?;
        }
        (!value.is_null()).then_some(value)
    }

    fn cost(&self) -> u64 {
        8 * self.path.len() as u64
    }

    fn asks(&self, asks: &mut Asks) {
        asks.metadata |= self.of == Owner::Request;
    }
}

//! The tags of one request and where each came from. Decides what counts as the same tag; knows nothing of
//! model groups, settings or what a tag means.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Deref;

use serde::Serialize;
use smallvec::SmallVec;

use super::Aliases;

/// Where a tag came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Origin {
    /// The request's `x-litellm-tags` header.
    Header,
    /// `tags` in the request's body.
    Body,
    /// `metadata.tags` in the request's body.
    Metadata,
    /// `litellm_metadata.tags` in the request's body.
    LitellmMetadata,
    /// A claim of the JSON Web Token that the caller came with: the identity provider's word.
    Jwt,
    /// The virtual key.
    Key,
    /// The key's team.
    Team,
    /// The key's project.
    Project,
    /// The organization.
    Organization,
    /// The key's user.
    User,
    /// The customer (end user) named by the request.
    Customer,
    /// A tag rule of the operator.
    Rule,
}

impl Origin {
    const ALL: [Self; 12] = [
        Self::Header,
        Self::Body,
        Self::Metadata,
        Self::LitellmMetadata,
        Self::Jwt,
        Self::Key,
        Self::Team,
        Self::Project,
        Self::Organization,
        Self::User,
        Self::Customer,
        Self::Rule,
    ];
    const CALLER: Origins = Origins(0b1111);
    const INHERITED: Origins = Origins(0b111_1111_0000);
    const STANDING: Origins = Origins(0b011_1111_0000);

    /// Whether this request said so.
    pub fn is_caller(self) -> bool {
        Origins::from(self).meet(Self::CALLER)
    }

    /// Whether it stands with the token, key, team, project, organization, user or customer.
    pub fn is_inherited(self) -> bool {
        Origins::from(self).meet(Self::INHERITED)
    }

    /// Whether a rule of the operator added it.
    pub fn is_derived(self) -> bool {
        self == Self::Rule
    }

    /// Its name in logs and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
            Self::Metadata => "metadata",
            Self::LitellmMetadata => "litellm_metadata",
            Self::Jwt => "jwt",
            Self::Key => "key",
            Self::Team => "team",
            Self::Project => "project",
            Self::Organization => "organization",
            Self::User => "user",
            Self::Customer => "customer",
            Self::Rule => "rule",
        }
    }
}

/// A set of origins: bit *n* is the *n*-th variant of [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origins(u16);

impl Origins {
    fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl From<Origin> for Origins {
    fn from(origin: Origin) -> Self {
        Self(1 << origin as u8)
    }
}

/// One tag of a request, as it was written, with everything that backs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTag<'a> {
    text: Cow<'a, str>,
    origin: Origin,
    backing: Origins,
    /// It labels, and takes no part in decisions.
    aside: bool,
}

impl RequestTag<'_> {
    /// Takes it out of decisions: it is a label from now on.
    pub(crate) fn set_aside(&mut self) {
        self.aside = true;
    }

    /// Whether it is in quarantine: a label that takes no part in decisions.
    pub fn is_aside(&self) -> bool {
        self.aside
    }

    /// The tag as written: prefix and marker included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it was met first.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Everything that gave it, in the order of [`Origin`].
    pub fn origins(&self) -> impl Iterator<Item = Origin> + '_ {
        Origin::ALL.into_iter().filter(|&origin| self.backing.meet(origin.into()))
    }

    /// Whether the caller gave it, perhaps among others.
    pub fn from_caller(&self) -> bool {
        self.backing.meet(Origin::CALLER)
    }

    /// Whether it is inherited, perhaps repeated by the caller: a repetition takes nothing away.
    pub fn is_inherited(&self) -> bool {
        self.backing.meet(Origin::INHERITED)
    }

    /// Whether it stands with the key or something above it, which no request chooses.
    pub fn is_standing(&self) -> bool {
        self.backing.meet(Origin::STANDING)
    }

    /// Whether it stands with the customer, whom the request itself names.
    pub fn is_customers(&self) -> bool {
        self.backing.meet(Origin::Customer.into())
    }

    /// Whether a rule added it, perhaps among others.
    pub fn is_derived(&self) -> bool {
        self.backing.meet(Origin::Rule.into())
    }
}

/// All tags of one request, in the order they were met, each once. Tags differ by case.
#[derive(Debug, Clone, Default)]
pub struct RequestTags<'a> {
    tags: SmallVec<[RequestTag<'a>; 8]>,
}

impl<'a> RequestTags<'a> {
    /// No tags yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tag. If it is there already, its place, spelling and first origin stay and the new origin is
    /// noted beside it.
    pub fn push(&mut self, tag: impl Into<Cow<'a, str>>, origin: Origin) {
        let text = tag.into();
        match self.tags.iter_mut().find(|known| known.text == text) {
            Some(known) => known.backing.0 |= Origins::from(origin).0,
            None => self.tags.push(RequestTag { text, origin, backing: origin.into(), aside: false }),
        }
    }

    /// Takes a tag out, wherever it came from.
    pub fn forget(&mut self, tag: &str) {
        self.tags.retain(|known| known.text != *tag);
    }

    /// Adds the tags of an `x-litellm-tags` header: a comma list, each item trimmed, empty ones dropped.
    pub fn push_header(&mut self, value: &'a str) {
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            self.push(item, Origin::Header);
        }
    }

    /// Gives tags that were written with a former name their name of today. Two that become one are one: where the
    /// first of them stood, and backed by whatever backs either.
    pub fn rename(&mut self, aliases: &Aliases, prefix: &str) {
        if aliases.is_empty() || !self.iter().any(|tag| aliases.rewritten(tag.text(), prefix).is_some()) {
            return;
        }
        for mut tag in std::mem::take(&mut self.tags) {
            if let Some(rewritten) = aliases.rewritten(&tag.text, prefix) {
                tag.text = Cow::Owned(rewritten);
            }
            match self.tags.iter_mut().find(|known| known.text == tag.text) {
                Some(known) => known.backing.0 |= tag.backing.0,
                None => self.tags.push(tag),
            }
        }
    }

    /// Each of them, to be changed.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut RequestTag<'a>> {
        self.tags.iter_mut()
    }

    /// The tags as Python prints a list of strings: the form LiteLLM's error message has.
    pub fn python_list(&self) -> String {
        python_list(self.iter().map(RequestTag::text))
    }

    /// The same tags, borrowing from nothing: for a log record that outlives the request.
    pub fn into_owned(self) -> RequestTags<'static> {
        let own = |tag: RequestTag<'a>| RequestTag {
            text: Cow::Owned(tag.text.into_owned()),
            origin: tag.origin,
            backing: tag.backing,
            aside: tag.aside,
        };
        RequestTags { tags: self.tags.into_iter().map(own).collect() }
    }
}

/// Reads as a slice of its tags.
impl<'a> Deref for RequestTags<'a> {
    type Target = [RequestTag<'a>];

    fn deref(&self) -> &[RequestTag<'a>] {
        &self.tags
    }
}

impl<'s, 'a> IntoIterator for &'s RequestTags<'a> {
    type Item = &'s RequestTag<'a>;
    type IntoIter = std::slice::Iter<'s, RequestTag<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Prints strings as Python's `repr` of a list does: `['a', "it's", '\n']`.
pub fn python_list<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    let mut out = String::from("[");
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        python_string(item, &mut out);
    }
    out.push(']');
    out
}

/// Appends one string as Python's `repr` writes it.
pub fn python_string(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_python_printable(c) => out.push(c),
            // Writing to a `String` cannot fail.
            c => {
                let _ = match u32::from(c) {
                    code @ ..0x100 => write!(out, "\\x{code:02x}"),
                    code @ ..0x1_0000 => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// Python's `str.isprintable` for one character. Rust's `escape_debug` draws the same line (its table is made
/// from the same Unicode categories) except that it also escapes a combining mark in first place, hence the `x`.
fn is_python_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    let mut pair = [b'x'; 5];
    let end = 1 + c.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..end]).unwrap_or_default();
    pair.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_as_python_does() {
        // Each right-hand side is what CPython 3.11 prints.
        for (text, printed) in [
            ("a", r"['a']"),
            ("it's", r#"["it's"]"#),
            (r#"it's "so""#, r#"['it\'s "so"']"#),
            ("back\\slash", r"['back\\slash']"),
            ("a\tb\nc\rd", r"['a\tb\nc\rd']"),
            ("\0\x1b\x7f", r"['\x00\x1b\x7f']"),
            ("é ü 漢 😀", "['é ü 漢 😀']"),
            ("\u{a0}\u{ad}\u{85}", r"['\xa0\xad\x85']"),
            ("\u{200b}\u{2028}\u{feff}", r"['\u200b\u2028\ufeff']"),
            ("\u{301}x", "['\u{301}x']"),
            ("\u{e0001}\u{10ffff}", r"['\U000e0001\U0010ffff']"),
        ] {
            assert_eq!(python_list([text]), printed);
        }
        assert_eq!(python_list([]), "[]");
        assert_eq!(python_list(["", "b"]), "['', 'b']");
    }

    #[test]
    fn a_repetition_by_the_caller_takes_no_backing_away() {
        for order in [[Origin::Body, Origin::Team], [Origin::Team, Origin::Body]] {
            let mut tags = RequestTags::new();
            tags.push("a", order[0]);
            tags.push("a", order[1]);
            let tag = tags.iter().next().unwrap();
            assert_eq!(tags.len(), 1);
            assert_eq!(tag.origin(), order[0]);
            assert!(tag.is_inherited() && tag.from_caller() && !tag.is_derived());
            assert_eq!(tag.origins().map(Origin::as_str).collect::<Vec<_>>(), ["body", "team"]);
        }
    }

    #[test]
    fn every_origin_is_of_one_kind() {
        for origin in Origin::ALL {
            let kinds = [origin.is_caller(), origin.is_inherited(), origin.is_derived()];
            assert_eq!(kinds.into_iter().filter(|&kind| kind).count(), 1, "{origin:?}");
        }
    }

    proptest! {
        #[test]
        fn the_header_is_a_trimmed_comma_list(items in prop::collection::vec("[ a-c]{0,3}", 0..8)) {
            let header = items.join(",");
            let mut tags = RequestTags::new();
            tags.push_header(&header);
            let mut expected: Vec<&str> = Vec::new();
            for item in items.iter().map(|item| item.trim()) {
                if !item.is_empty() && !expected.contains(&item) {
                    expected.push(item);
                }
            }
            prop_assert_eq!(tags.iter().map(RequestTag::text).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_string_prints_without_control_characters(text in any::<String>()) {
            let printed = python_list([text.as_str()]);
            prop_assert!(!printed.contains(|c: char| c.is_control()));
            prop_assert!(printed.len() >= text.len() + 4);
        }

        #[test]
        fn pushing_again_changes_only_the_backing(pushes in prop::collection::vec(("[ab]{1,2}", 0..12_usize), 0..20)) {
            let mut tags = RequestTags::new();
            for (text, origin) in &pushes {
                tags.push(text.as_str(), Origin::ALL[*origin]);
            }
            for tag in &tags {
                let of_tag: Vec<_> = pushes.iter().filter(|(text, _)| text == tag.text()).collect();
                prop_assert_eq!(tag.origin(), Origin::ALL[of_tag[0].1]);
                for origin in Origin::ALL {
                    let pushed = of_tag.iter().any(|(_, at)| Origin::ALL[*at] == origin);
                    prop_assert_eq!(tag.origins().any(|backing| backing == origin), pushed);
                }
            }
            let owned = tags.clone().into_owned();
            prop_assert_eq!(owned.python_list(), tags.python_list());
        }
    }
}

//! A validating walk over JSON text that builds nothing: it says where values begin and end. It knows the
//! grammar (RFC 8259) and a bound on nesting, and nothing of what fields mean.
//!
//! Why not a parser: a gateway reads a dozen top-level fields of a body that may hold megabytes of messages.
//! Strings are skipped 32 bytes at a time (the loop is written so that the compiler vectorises it).

use std::borrow::Cow;
use std::ops::Range;

/// Objects and arrays may nest this deep; more is refused. Python's parser, LiteLLM's, stops near 1,000, the
/// providers' far earlier.
pub const MAX_DEPTH: u32 = 128;

/// What is wrong with a JSON text, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The text breaks the grammar here.
    #[error("{what} at byte {at}")]
    Syntax {
        /// What was expected or found.
        what: &'static str,
        /// Offset in bytes.
        at: usize,
    },
    /// More than [`MAX_DEPTH`] levels.
    #[error("nested deeper than {MAX_DEPTH} levels at byte {at}")]
    TooDeep {
        /// Offset in bytes.
        at: usize,
    },
}

/// Where a field of an object stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpan {
    /// The key without its quotes, escapes as written.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// A position in JSON text.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The offset of the next byte.
    pub fn offset(&self) -> usize {
        self.at
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn fault<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err(Fault::Syntax { what, at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    /// Skips white space and gives the byte that follows, without taking it.
    pub fn next_byte(&mut self) -> Option<u8> {
        while let Some(byte) = self.peek() {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `byte` if it is next (after white space).
    fn take(&mut self, byte: u8) -> bool {
        let found = self.next_byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Enters an object: `false` when the next value is something else.
    pub fn enter_object(&mut self) -> bool {
        self.take(b'{')
    }

    /// The next field of the object entered, or `None` at its end. `first` says whether it is the first one.
    pub fn field(&mut self, first: bool) -> Result<Option<FieldSpan>, Fault> {
        if self.take(b'}') {
            return Ok(None);
        }
        if !first && !self.take(b',') {
            return self.fault("expected ',' or '}'");
        }
        let key = self.key()?;
        let value = self.value()?;
        Ok(Some(FieldSpan { key, value }))
    }

    /// A key and the colon behind it.
    pub fn key(&mut self) -> Result<Range<usize>, Fault> {
        if self.next_byte() != Some(b'"') {
            return self.fault("expected a key in double quotes");
        }
        let span = self.string()?;
        if !self.take(b':') {
            return self.fault("expected ':'");
        }
        Ok(span.start + 1..span.end - 1)
    }

    /// Nothing but white space may be left.
    pub fn end(&mut self) -> Result<(), Fault> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => self.fault("text after the end of the value"),
        }
    }

    /// Passes one value of any kind and says where it stands.
    pub fn value(&mut self) -> Result<Range<usize>, Fault> {
        let Some(first) = self.next_byte() else {
            return self.fault("the text ends where a value is expected");
        };
        let start = self.at;
        match first {
            b'{' | b'[' => self.nested()?,
            _ => self.scalar(first)?,
        }
        Ok(start..self.at)
    }

    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        match first {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.fault("expected a value"),
        }
    }

    /// An object or array with all it holds; iterative, one bit a level.
    fn nested(&mut self) -> Result<(), Fault> {
        let mut objects: u128 = 0; // bit 0: is the innermost level an object?
        let mut depth: u32 = 0;
        loop {
            // A value is expected here.
            match self.next_byte() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(Fault::TooDeep { at: self.at });
                    }
                    self.at += 1;
                    depth += 1;
                    let object = open == b'{';
                    objects = objects << 1 | u128::from(object);
                    let empty = self.take(if object { b'}' } else { b']' });
                    if !empty {
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                    depth -= 1;
                    objects >>= 1;
                }
                Some(first) => self.scalar(first)?,
                None => return self.fault("the text ends where a value is expected"),
            }
            // A value has ended: close levels until a comma opens the next one.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                match self.next_byte() {
                    Some(b',') => {
                        self.at += 1;
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    Some(_) if object => return self.fault("expected ',' or '}'"),
                    Some(_) => return self.fault("expected ',' or ']'"),
                    None => return self.fault("the text ends inside an object or array"),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    fn string(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            self.at += plain_run(&self.bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at);
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.fault("control character in a string"),
                None => return self.fault("the text ends inside a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let hex = self.bytes().get(self.at + 2..self.at + 6);
                if !hex.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return self.fault("\\u needs four hexadecimal digits");
                }
                self.at += 6;
                Ok(())
            }
            _ => self.fault("unknown escape in a string"),
        }
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        start < self.at
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else if !self.digits() {
            return self.fault("expected a digit");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.digits() {
                return self.fault("expected a digit");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.digits() {
                return self.fault("expected a digit");
            }
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Fault> {
        if !self.bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.fault("expected a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// The elements of an array, as spans; `None` when the value is no array. The text must have been walked
    /// before: what does not parse ends the list.
    pub fn elements(text: &'a str, array: Range<usize>) -> Option<impl Iterator<Item = Range<usize>> + 'a> {
        let mut walk = Self { text: text.get(..array.end)?, at: array.start };
        if !walk.take(b'[') {
            return None;
        }
        let mut first = true;
        Some(std::iter::from_fn(move || {
            if walk.next_byte() == Some(b']') || (!first && !walk.take(b',')) {
                return None;
            }
            first = false;
            walk.value().ok()
        }))
    }

    /// The fields of an object, as spans; `None` when the value is no object. The text must have been walked
    /// before: what does not parse ends the list.
    pub fn fields(text: &'a str, object: Range<usize>) -> Option<impl Iterator<Item = FieldSpan> + 'a> {
        let mut walk = Self { text: text.get(..object.end)?, at: object.start };
        if !walk.enter_object() {
            return None;
        }
        let mut first = true;
        Some(std::iter::from_fn(move || {
            let field = walk.field(first).ok().flatten();
            first = false;
            field
        }))
    }
}

/// The text of a JSON string given with its quotes; borrowed when it holds no escape. `None` when the value is
/// no string, or holds half of a surrogate pair.
pub fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

/// Length of the run at the start of `bytes` without a quote, a backslash or a control character.
fn plain_run(bytes: &[u8]) -> usize {
    const STEP: usize = 32;
    let mut at = 0;
    // Most strings are short, or have an escape soon: eight bytes at a time find those with their place.
    for _ in 0..4 {
        let Some(&word) = bytes[at..].first_chunk() else { return at + tail_run(&bytes[at..]) };
        if let Some(place) = special_in(u64::from_le_bytes(word)) {
            return at + place;
        }
        at += 8;
    }
    while let Some(step) = bytes[at..].first_chunk::<STEP>() {
        // No early exit inside a step: that is what lets it become a few vector instructions.
        if step.iter().fold(false, |found, &byte| found | is_special(byte)) {
            break;
        }
        at += STEP;
    }
    while let Some(&word) = bytes[at..].first_chunk() {
        if let Some(place) = special_in(u64::from_le_bytes(word)) {
            return at + place;
        }
        at += 8;
    }
    at + tail_run(&bytes[at..])
}

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

fn tail_run(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| is_special(byte)).unwrap_or(bytes.len())
}

/// The first special byte of eight, the lowest first. Each line marks the high bit of the bytes it looks for;
/// a borrow can mark others, but only above one that is rightly marked.
fn special_in(word: u64) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let found = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    let found = found & HIGH;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walks(text: &str) -> bool {
        let mut walk = Walk::new(text);
        walk.value().and_then(|_| walk.end()).is_ok()
    }

    #[test]
    fn nesting_is_bounded() {
        let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(walks(&nest(128)));
        assert!(!walks(&nest(129)));
    }

    #[test]
    fn fields_and_elements_are_where_they_stand() {
        let text = r#"{"a" : [1, "x\"y", {}] , "b":{"c":null}}"#;
        let mut walk = Walk::new(text);
        let whole = walk.value().unwrap();
        let fields: Vec<_> =
            Walk::fields(text, whole).unwrap().map(|f| (&text[f.key], &text[f.value])).collect();
        assert_eq!(fields, [("a", r#"[1, "x\"y", {}]"#), ("b", r#"{"c":null}"#)]);
        let array = text.find('[').unwrap()..text.find(']').unwrap() + 1;
        let elements: Vec<_> = Walk::elements(text, array).unwrap().map(|e| &text[e]).collect();
        assert_eq!(elements, ["1", r#""x\"y""#, "{}"]);
        assert!(Walk::fields(text, 7..text.len()).is_none());
    }

    #[test]
    fn strings_unescape() {
        assert_eq!(text_of(r#""a\u00e9\n""#).unwrap(), "aé\n");
        assert_eq!(text_of("12"), None);
        assert_eq!(text_of(r#""\ud800""#), None);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,60}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((".{0,8}", inner), 0..6)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_plain_run_ends_at_the_first_special_byte(bytes in prop::collection::vec(prop_oneof![20 => 0x20..=255_u8, 1 => Just(b'"'), 1 => Just(b'\\'), 1 => 0..0x20_u8], 0..120)) {
            prop_assert_eq!(plain_run(&bytes), tail_run(&bytes));
        }

        /// serde_json is the second opinion: it ignores values iteratively and checks the same grammar, but
        /// for half surrogate pairs in text it does not keep.
        #[test]
        fn agrees_with_serde_json_on_valid_text(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert!(walks(&text));
        }

        #[test]
        fn agrees_with_serde_json_on_broken_text(value in json(), at: prop::sample::Index, with in "[\\[\\]{}:,\"\\\\0-9eE.a-z \u{1}é-]{0,2}") {
            let mut text = serde_json::to_string(&value).unwrap();
            let mut at = at.index(text.len());
            while !text.is_char_boundary(at) { at -= 1; }
            let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
            text.replace_range(at..end, &with);
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(walks(&text), theirs, "{}", text);
        }
    }
}

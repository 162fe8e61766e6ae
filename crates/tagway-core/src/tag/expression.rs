//! Tag expressions: `region:eu and (tier:paid or team:research) and not preview`. Decides what is a
//! well-formed expression and which deployments satisfy it; does not know who may say one or when it applies.

use std::fmt;

use smallvec::SmallVec;

use super::index::{GroupIndex, Posting};
use super::members::Members;

/// The most tag names one expression may hold.
pub const MOST_TERMS: usize = 64;
/// How deep parentheses and `not` may nest.
const DEEPEST: usize = 64;

/// A parsed expression: bound to no model group, so one text can be parsed once and asked of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// In postfix order, so that evaluation needs no recursion.
    ops: Box<[Op]>,
    /// The tag names, in the order of the [`Op::Tag`]s.
    names: Box<[Box<str>]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Tag,
    Not,
    And,
    Or,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {problem}")]
pub struct SyntaxError {
    /// Where, in characters, from 1.
    pub column: usize,
    /// What is wrong there, in words.
    pub problem: String,
}

impl Expression {
    /// Parses `and`, `or`, `not` (in any case), parentheses and tag names; `not` binds tightest, then `and`.
    /// A name may end in `*`. It must be quoted (`"…"` or `'…'`, with `\` before a quote or backslash) when it
    /// is one of the three words, is empty, begins with a marker or holds spaces, parentheses or quotes.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser { rest: text, column: 1, ops: Vec::new(), names: Vec::new() };
        parser.either(0)?;
        parser.skip_space();
        match parser.rest.chars().next() {
            None => Ok(Self { ops: parser.ops.into(), names: parser.names.into() }),
            Some(')') => Err(parser.error("this `)` closes nothing")),
            Some(_) => Err(parser.error("expected `and`, `or` or the end")),
        }
    }

    /// The tag names it mentions, in order, repetitions included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// Keeps those of `pool` that satisfy the expression.
    pub(super) fn narrow(&self, index: &GroupIndex, pool: &mut Members) {
        let postings: SmallVec<[Posting<'_>; 8]> =
            self.names.iter().map(|name| index.posting(name)).collect();
        let mut stack = [0; MOST_TERMS];
        let satisfied: SmallVec<[u64; 2]> =
            (0..pool.words().len()).map(|at| self.word(&postings, at, &mut stack)).collect();
        pool.keep(&satisfied);
    }

    /// Evaluates 64 deployments at once. The stack cannot outgrow the number of names.
    fn word(&self, postings: &[Posting<'_>], at: usize, stack: &mut [u64; MOST_TERMS]) -> u64 {
        let (mut height, mut postings) = (0, postings.iter());
        for op in &self.ops {
            match op {
                Op::Tag => {
                    stack[height] =
                        postings.next().and_then(|posting| posting.words().get(at)).copied().unwrap_or(0);
                    height += 1;
                }
                Op::Not => stack[height - 1] = !stack[height - 1],
                Op::And | Op::Or => {
                    height -= 1;
                    let right = stack[height];
                    let left = &mut stack[height - 1];
                    *left = if *op == Op::And { *left & right } else { *left | right };
                }
            }
        }
        stack[0]
    }
}

/// The shortest text that parses to the same expression.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each entry: a text and how tightly its outermost word binds (or 0, and 1, not 2, name 3).
        let mut stack: Vec<(String, u8)> = Vec::new();
        let mut names = self.names();
        let wrapped = |(text, binds): (String, u8), least: u8| {
            if binds < least { format!("({text})") } else { text }
        };
        for op in &self.ops {
            let last = match op {
                Op::Tag => (quoted(names.next().unwrap_or_default()), 3),
                Op::Not => (format!("not {}", wrapped(stack.pop().unwrap_or_default(), 2)), 2),
                Op::And | Op::Or => {
                    let (word, binds) = if *op == Op::And { ("and", 1) } else { ("or", 0) };
                    let right = wrapped(stack.pop().unwrap_or_default(), binds + 1);
                    let left = wrapped(stack.pop().unwrap_or_default(), binds);
                    (format!("{left} {word} {right}"), binds)
                }
            };
            stack.push(last);
        }
        stack.pop().map_or(Ok(()), |(text, _)| f.write_str(&text))
    }
}

fn is_keyword(word: &str) -> bool {
    ["and", "or", "not"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

fn ends_name(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"' | '\'')
}

fn quoted(name: &str) -> String {
    if !name.is_empty() && !name.starts_with(['!', '&']) && !name.contains(ends_name) && !is_keyword(name) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

struct Parser<'t> {
    rest: &'t str,
    column: usize,
    ops: Vec<Op>,
    names: Vec<Box<str>>,
}

impl<'t> Parser<'t> {
    fn error(&self, problem: impl Into<String>) -> SyntaxError {
        SyntaxError { column: self.column, problem: problem.into() }
    }

    fn advance(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.column += gone.chars().count();
        self.rest = rest;
    }

    fn skip_space(&mut self) {
        self.advance(self.rest.len() - self.rest.trim_start().len());
    }

    /// The bare word that comes next; empty when something else does.
    fn word(&self) -> &'t str {
        &self.rest[..self.rest.find(ends_name).unwrap_or(self.rest.len())]
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let word = self.word();
        let found = word.eq_ignore_ascii_case(keyword);
        if found {
            self.advance(word.len());
        }
        found
    }

    fn either(&mut self, depth: usize) -> Result<(), SyntaxError> {
        self.both(depth)?;
        while self.take_keyword("or") {
            self.both(depth)?;
            self.ops.push(Op::Or);
        }
        Ok(())
    }

    fn both(&mut self, depth: usize) -> Result<(), SyntaxError> {
        self.one(depth)?;
        while self.take_keyword("and") {
            self.one(depth)?;
            self.ops.push(Op::And);
        }
        Ok(())
    }

    fn one(&mut self, depth: usize) -> Result<(), SyntaxError> {
        self.skip_space();
        if depth > DEEPEST {
            return Err(self.error(format!("nested more than {DEEPEST} deep")));
        }
        if self.take_keyword("not") {
            self.one(depth + 1)?;
            self.ops.push(Op::Not);
            return Ok(());
        }
        if self.rest.starts_with('(') {
            let open = self.column;
            self.advance(1);
            self.either(depth + 1)?;
            self.skip_space();
            if !self.rest.starts_with(')') {
                return Err(self.error(format!("expected `and`, `or` or the `)` for column {open}")));
            }
            self.advance(1);
            return Ok(());
        }
        self.name()
    }

    fn name(&mut self) -> Result<(), SyntaxError> {
        if self.names.len() == MOST_TERMS {
            return Err(self.error(format!("more than {MOST_TERMS} tags")));
        }
        let name = match self.rest.chars().next() {
            None => return Err(self.error("expected a tag, but the text ends here")),
            Some(quote @ ('"' | '\'')) => self.quoted_name(quote)?,
            Some('!') => return Err(self.error("write `not tag` instead of `!tag`")),
            Some('&') => return Err(self.error("write `and` instead of `&`")),
            Some(_) => {
                let word = self.word();
                if word.is_empty() || is_keyword(word) {
                    let found = if word.is_empty() { ")" } else { word };
                    return Err(self.error(format!("expected a tag, found `{found}`")));
                }
                self.advance(word.len());
                word.to_owned()
            }
        };
        self.names.push(name.into());
        self.ops.push(Op::Tag);
        Ok(())
    }

    fn quoted_name(&mut self, quote: char) -> Result<String, SyntaxError> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.advance(at + 1);
                    return Ok(name);
                }
                '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
                c => name.push(c),
            }
        }
        Err(self.error("this quote is never closed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_point_at_the_column() {
        for (text, column) in [
            ("", 1),
            ("a and", 6),
            ("a b", 3),
            ("(a", 3),
            ("a)", 2),
            ("é and !x", 7),
            ("a and or b", 7),
            ("'a", 1),
            ("()", 2),
            ("a & b", 3),
        ] {
            assert_eq!(Expression::parse(text).unwrap_err().column, column, "{text}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let terms = |count: usize| vec!["a"; count].join(" or ");
        assert!(Expression::parse(&terms(MOST_TERMS)).is_ok());
        assert!(Expression::parse(&terms(MOST_TERMS + 1)).is_err());
        for open in ["(", "not "] {
            let nested = open.repeat(100_000);
            assert!(Expression::parse(&nested).unwrap_err().problem.contains("deep"));
        }
    }

    #[test]
    fn prints_the_shortest_text() {
        for (text, printed) in [
            ("a AND (b or (c)) and NOT x", "a and (b or c) and not x"),
            ("((a or b) or c)", "a or b or c"),
            ("a or (b or c)", "a or (b or c)"),
            ("not (not a)", "not not a"),
            ("'and' or \"it's\" or team:*", "\"and\" or \"it's\" or team:*"),
        ] {
            assert_eq!(Expression::parse(text).unwrap().to_string(), printed);
        }
    }
}

//! YAML as a tree of nodes that know where they stand. Reads one document with anchors and merge keys, within
//! bounds; says what is wrong with its form. Knows nothing of which keys mean what.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::mask;
use super::scalar::{Meaning, meaning};

/// Deeper documents are refused: the checks recurse.
const MAX_DEPTH: usize = 48;
/// What a document may weigh once its aliases are expanded; each node counts 64 and its text.
const MAX_WEIGHT: usize = 64 << 20;
const NODE_WEIGHT: usize = 64;

/// A place in one of the files read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Mark {
    pub(super) file: usize,
    /// From 1; 0 when the place is the file as a whole.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// Characters to underline.
    pub(super) width: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// The number, and its text in the file.
    Int(i64, String),
    Float(f64, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Int(..) | Kind::Float(..) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    fn weight_and_depth(&self) -> (usize, usize) {
        let children: &mut dyn Iterator<Item = (usize, &Self)> = match &self.kind {
            Kind::List(items) => &mut items.iter().map(|item| (0, item)),
            Kind::Map(entries) => &mut entries.iter().map(|entry| (entry.key.len(), &entry.value)),
            Kind::Text(text) | Kind::Int(_, text) | Kind::Float(_, text) => {
                return (NODE_WEIGHT + text.len(), 1);
            }
            Kind::Null | Kind::Bool(_) => return (NODE_WEIGHT, 1),
        };
        let (weight, depth) = children.fold((NODE_WEIGHT, 0), |(weight, depth), (key, child)| {
            let (w, d) = child.weight_and_depth();
            (weight + key + w, depth.max(d))
        });
        (weight, depth + 1)
    }
}

/// Something wrong with the form of a document.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) mark: Mark,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Whether the document as a whole could not be read.
    pub(super) fatal: bool,
}

/// A document: its root as far as it could be read, its faults, and where its secrets stand.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Option<Node>,
    pub(super) faults: Vec<Fault>,
    /// Byte ranges of the text that must not be shown.
    pub(super) secrets: Vec<std::ops::Range<usize>>,
}

/// Reads `text`, the content of file number `file`.
pub(super) fn parse(file: usize, text: &str) -> Document {
    let mut builder = Builder::new(file, text);
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut root = None;
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((Event::DocumentStart(..), span)) => {
                documents += 1;
                if documents > 1 {
                    let help = "remove the `---` line, or put the second part into a file under `include:`";
                    builder.fault(builder.mark(span), "a second YAML document starts here", Some(help), true);
                    break;
                }
            }
            Ok((event, span)) => {
                if let Some(node) = builder.take(event, span) {
                    root = Some(node);
                }
            }
            Err(error) => {
                builder.syntax(&error);
                break;
            }
        }
        if builder.faults.last().is_some_and(|fault| fault.fatal) {
            break;
        }
    }
    let root = if builder.faults.iter().any(|fault| fault.fatal) { None } else { root };
    Document { root, faults: builder.faults, secrets: builder.secrets }
}

struct Builder<'t> {
    file: usize,
    text: &'t str,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    weight: usize,
    faults: Vec<Fault>,
    secrets: Vec<std::ops::Range<usize>>,
}

/// A collection whose end has not come yet.
struct Open {
    mark: Mark,
    anchor: usize,
    secret: bool,
    /// Whether its keys are names of secrets rather than parts of one.
    names: bool,
    body: Body,
}

/// A key whose value has not come yet.
struct Key {
    text: String,
    mark: Mark,
}

enum Body {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, usize>, merges: Vec<Node>, key: Option<Key> },
}

impl<'t> Builder<'t> {
    fn new(file: usize, text: &'t str) -> Self {
        Self {
            file,
            text,
            open: Vec::new(),
            anchors: HashMap::new(),
            weight: 0,
            faults: Vec::new(),
            secrets: Vec::new(),
        }
    }

    fn mark(&self, span: Span) -> Mark {
        let (start, end) = (span.start, span.end);
        let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
        Mark { file: self.file, line: start.line(), column: start.col() + 1, width: width.max(1) }
    }

    fn fault(&mut self, mark: Mark, message: impl Into<String>, help: Option<&str>, fatal: bool) {
        self.faults.push(Fault { mark, message: message.into(), help: help.map(str::to_owned), fatal });
    }

    /// Whether the next value stands under a secret-looking key.
    fn secret(&self) -> bool {
        self.open.last().is_some_and(|open| {
            open.secret
                || matches!(&open.body, Body::Map { key: Some(key), .. } if mask::is_secret(&key.text))
        })
    }

    /// Hides a scalar or alias under a secret-looking key.
    fn hide(&mut self, span: Span) {
        let names =
            matches!(self.open.last(), Some(Open { names: true, body: Body::Map { key: None, .. }, .. }));
        if !names {
            self.secrets.extend(span.byte_range());
        }
    }

    /// Hides what looks like anchors and tags after a secret-looking key that ends at this byte: to YAML, so
    /// does a password that begins with `&` or `!`.
    fn hide_properties(&mut self, key_end: usize) {
        let text = self.text.get(key_end..).unwrap_or_default();
        let mut rest = text.trim_start_matches([':', ' ', '\t', '\n', '\r', '"', '\'']);
        while rest.starts_with(['&', '!']) {
            let start = key_end + text.len() - rest.len();
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            self.secrets.push(start..start + end);
            rest = rest.get(end..).unwrap_or_default().trim_start();
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { body: Body::Map { key: None, .. }, .. }))
    }

    /// One event; gives the root when it is complete.
    fn take(&mut self, event: Event<'_>, span: Span) -> Option<Node> {
        let mark = self.mark(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                if self.secret() && !text.starts_with("os.environ/") {
                    self.hide(span);
                }
                if self.expects_key() {
                    self.key(&text, mark, span);
                    return None;
                }
                let kind = if style == ScalarStyle::Plain && !is_text {
                    match meaning(&text) {
                        Meaning::Null => Kind::Null,
                        Meaning::Bool(value) => Kind::Bool(value),
                        Meaning::Int(value) => Kind::Int(value, text.into_owned()),
                        Meaning::Float(value) => Kind::Float(value, text.into_owned()),
                        Meaning::Text => Kind::Text(text.into_owned()),
                    }
                } else {
                    Kind::Text(text.into_owned())
                };
                self.value(Node { mark, kind }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.start(mark, anchor, Body::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                let body =
                    Body::Map { entries: Vec::new(), seen: HashMap::new(), merges: Vec::new(), key: None };
                self.start(mark, anchor, body)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let kind = match open.body {
                    Body::List(items) => Kind::List(items),
                    Body::Map { entries, merges, .. } => Kind::Map(self.merged(entries, merges)),
                };
                self.value(Node { mark: open.mark, kind }, open.anchor)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    self.fault(mark, "an anchor that refers to itself", None, true);
                    return None;
                };
                let (weight, depth) = node.weight_and_depth();
                if self.weight + weight > MAX_WEIGHT || self.open.len() + depth > MAX_DEPTH {
                    self.fault(
                        mark,
                        "the document grows too large or too deep through its aliases",
                        None,
                        true,
                    );
                    return None;
                }
                let node = node.clone();
                self.weight += weight;
                if self.expects_key() {
                    if let Kind::Text(text) = &node.kind {
                        self.key(text, mark, span);
                        return None;
                    }
                    self.fault(mark, "a key must be a plain text", None, true);
                    return None;
                }
                self.value(node, 0)
            }
            Event::UnresolvedAlias(name) => {
                let secret = self.secret();
                if secret {
                    self.hide(span);
                }
                let shown = if secret { "***" } else { &name };
                let message = format!("the alias `*{shown}` has no anchor `&{shown}` before it");
                self.fault(mark, message, Some("a text that begins with `*` needs quotes"), false);
                if self.expects_key() {
                    self.key(&name, mark, span);
                    return None;
                }
                self.value(Node { mark, kind: Kind::Null }, 0)
            }
            _ => None,
        }
    }

    fn start(&mut self, mark: Mark, anchor: usize, body: Body) -> Option<Node> {
        if self.expects_key() {
            self.fault(mark, "a key must be a plain text", Some("quote it, or check the braces"), true);
            return None;
        }
        if self.open.len() >= MAX_DEPTH {
            self.fault(mark, "the document is nested too deeply", None, true);
            return None;
        }
        let secret = self.secret();
        let names = matches!(self.open.last(), Some(Open { body: Body::Map { key: Some(key), .. }, .. })
            if mask::holds_names(&key.text));
        self.open.push(Open { mark, anchor, secret, names, body });
        None
    }

    fn key(&mut self, text: &str, mark: Mark, span: Span) {
        let end = span.byte_range().map_or(0, |range| range.end);
        if mask::is_secret(text) || self.secret() {
            self.hide_properties(end);
        }
        if let Some(Open { body: Body::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(Key { text: text.to_owned(), mark });
        }
    }

    fn value(&mut self, node: Node, anchor: usize) -> Option<Node> {
        self.weight += NODE_WEIGHT
            + match &node.kind {
                Kind::Text(text) | Kind::Int(_, text) | Kind::Float(_, text) => text.len(),
                _ => 0,
            };
        if anchor != 0 {
            self.weight += node.weight_and_depth().0;
            self.anchors.insert(anchor, node.clone());
        }
        if self.weight > MAX_WEIGHT {
            self.fault(node.mark, "the document is too large", None, true);
        }
        let Some(open) = self.open.last_mut() else { return Some(node) };
        match &mut open.body {
            Body::List(items) => items.push(node),
            Body::Map { entries, seen, merges, key } => {
                let Key { text: key, mark } = key.take()?;
                if key == "<<" {
                    merges.push(node);
                } else if let Some(first) = seen.get(&key).and_then(|index| entries.get(*index)) {
                    let line = first.mark.line;
                    let message = format!("the key `{key}` is given twice; the first is in line {line}");
                    let help = "keep one of the two: LiteLLM silently takes the last";
                    self.fault(mark, message, Some(help), false);
                } else {
                    seen.insert(key.clone(), entries.len());
                    entries.push(Entry { key, mark, value: node });
                }
            }
        }
        None
    }

    /// Merge keys (`<<: *anchor`): the map's own keys win, then the first merged map that has one.
    fn merged(&mut self, mut entries: Vec<Entry>, merges: Vec<Node>) -> Vec<Entry> {
        if merges.is_empty() {
            return entries;
        }
        let maps = merges.into_iter().flat_map(|node| match node.kind {
            Kind::List(items) => items,
            _ => vec![node],
        });
        let mut taken: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        for node in maps {
            match node.kind {
                Kind::Map(merged) => {
                    entries.extend(merged.into_iter().filter(|entry| taken.insert(entry.key.clone())));
                }
                Kind::Null => {}
                _ => self.fault(node.mark, "`<<` takes a map, or a list of maps", None, false),
            }
        }
        entries
    }

    fn syntax(&mut self, error: &ScanError) {
        let marker = error.marker();
        let lines: Vec<&str> = self.text.lines().collect();
        // An error at the end of the file is shown at its last line that says something.
        let last = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(1, |at| at + 1);
        let line = marker.line().clamp(1, last);
        let column = if marker.line() > last { 1 } else { marker.col() + 1 };
        let mark = Mark { file: self.file, line, column, width: 1 };
        let written = lines.get(line - 1).copied().unwrap_or_default();
        let above = lines.get(..line - 1).unwrap_or_default().iter().rev().find(|l| !l.trim().is_empty());
        let help = form_help(written, above.copied().unwrap_or_default());
        self.fault(mark, format!("not valid YAML: {}", error.info()), help, true);
    }
}

/// The usual slips that break a file's form.
fn form_help(line: &str, above: &str) -> Option<&'static str> {
    let (trimmed, before) = (line.trim_start(), above.trim_start());
    let indent = |text: &str| text.len() - text.trim_start().len();
    let glued = |text: &str| {
        text.split_once(':').is_some_and(|(key, value)| {
            !key.is_empty()
                && key.chars().all(|c| c.is_alphanumeric() || c == '_')
                && value.starts_with(|c: char| matches!(c, '[' | '"' | '\'' | '{') || c.is_alphanumeric())
        })
    };
    let dashed = |text: &str| {
        text.strip_prefix('-').is_some_and(|rest| rest.starts_with(char::is_alphabetic) && rest.contains(':'))
    };
    let open = |text: &str, pair: [char; 2]| text.matches(pair[0]).count() > text.matches(pair[1]).count();
    if line.get(..indent(line)).is_some_and(|start| start.contains('\t')) {
        Some("indent with spaces: YAML does not allow tabs")
    } else if dashed(trimmed) || dashed(before) {
        Some("put a space after the `-`")
    } else if glued(trimmed) || glued(before) {
        Some("put a space after the colon")
    } else if open(before, ['[', ']']) || open(before, ['{', '}']) {
        Some("close the bracket that is open in the line above")
    } else if before.matches('"').count() % 2 == 1 {
        Some("close the quote that is open in the line above")
    } else if trimmed.contains(": *") || trimmed.starts_with("- *") {
        Some("a text that begins with `*` needs quotes")
    } else if indent(line) != indent(above) || trimmed.starts_with("- ") {
        Some(
            "check the indentation: keys of one map start in the same column, further right than what they belong to",
        )
    } else {
        None
    }
}

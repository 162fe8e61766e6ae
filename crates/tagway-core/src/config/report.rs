//! Collects problems by place while files are read and checked, and turns them into [`Problem`]s at the end,
//! when every text is at hand. The only place where lines of a file become output: it masks them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use super::mask;
use super::problem::{Problem, Problems, Severity, Snippet};
use super::yaml::Mark;

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) secrets: Vec<Range<usize>>,
    /// Whether its form was good enough to know every secret by its key.
    pub(super) parsed: bool,
}

#[derive(Debug)]
struct Entry {
    severity: Severity,
    mark: Mark,
    path: String,
    message: String,
    help: Option<String>,
}

/// Problems in the making.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) sources: Vec<Source>,
    entries: Vec<Entry>,
    ignored: BTreeSet<String>,
}

/// Gives the problem just reported its way out.
pub(super) struct Said<'r>(&'r mut Entry);

impl Said<'_> {
    pub(super) fn help(self, text: impl Into<String>) {
        self.0.help = Some(text.into());
    }
}

impl Report {
    fn say(&mut self, severity: Severity, mark: Mark, path: &str, message: String) -> Said<'_> {
        self.entries.push(Entry { severity, mark, path: path.to_owned(), message, help: None });
        let last = self.entries.len() - 1;
        Said(&mut self.entries[last])
    }

    pub(super) fn error(&mut self, mark: Mark, path: &str, message: impl Into<String>) -> Said<'_> {
        self.say(Severity::Error, mark, path, message.into())
    }

    pub(super) fn warning(&mut self, mark: Mark, path: &str, message: impl Into<String>) -> Said<'_> {
        self.say(Severity::Warning, mark, path, message.into())
    }

    /// A key LiteLLM knows and tagway does without: listed once, all together.
    pub(super) fn ignored(&mut self, path: &str) {
        // `model_list[3].litellm_params.x` and `model_list[4].litellm_params.x` are one thing to know.
        let mut shown = String::with_capacity(path.len());
        let mut inside = false;
        for c in path.chars() {
            inside = (inside && c != ']') || c == '[';
            if !inside || c == '[' {
                shown.push(c);
            }
        }
        self.ignored.insert(shown);
    }

    /// What [`Self::ignored`] was told.
    pub(super) fn ignored_paths(&self) -> Vec<String> {
        self.ignored.iter().cloned().collect()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.entries.iter().any(|entry| entry.severity == Severity::Error)
    }

    /// Everything reported, by file and line, with what was ignored last.
    pub(super) fn finish(mut self) -> (Problems, Vec<(PathBuf, String)>) {
        self.entries.sort_by_key(|entry| (entry.mark.file, entry.mark.line, entry.mark.column));
        let lines: Vec<Lines<'_>> = self.sources.iter().map(Lines::of).collect();
        let mut problems: Vec<Problem> =
            self.entries.iter().map(|entry| self.problem(entry, &lines)).collect();
        if !self.ignored.is_empty() {
            let names: Vec<&str> = self.ignored.iter().map(String::as_str).collect();
            problems.push(Problem {
                severity: Severity::Note,
                file: self.sources.first().map(|source| source.path.clone()).unwrap_or_default(),
                line: 0,
                column: 0,
                path: String::new(),
                message: format!("not supported, ignored: {}", names.join(", ")),
                suggestion: None,
                snippet: None,
            });
        }
        problems.dedup();
        let files = self.sources.into_iter().map(|source| (source.path, source.text)).collect();
        (Problems(problems), files)
    }

    fn problem(&self, entry: &Entry, lines: &[Lines<'_>]) -> Problem {
        let source = self.sources.get(entry.mark.file);
        Problem {
            severity: entry.severity,
            file: source.map(|source| source.path.clone()).unwrap_or_default(),
            line: entry.mark.line,
            column: entry.mark.column,
            path: entry.path.clone(),
            message: entry.message.clone(),
            suggestion: entry.help.clone(),
            snippet: source
                .zip(lines.get(entry.mark.file))
                .and_then(|(source, lines)| snippet(source, lines, entry.mark)),
        }
    }
}

/// Longer lines are cut around the place: a minified file must not flood a terminal.
const SHOWN: usize = 160;

/// The lines of a file and where each begins.
struct Lines<'s> {
    lines: Vec<&'s str>,
    begins: Vec<usize>,
}

impl<'s> Lines<'s> {
    fn of(source: &'s Source) -> Self {
        let lines: Vec<&str> = source.text.split('\n').collect();
        let mut begin = 0;
        let begins = lines
            .iter()
            .map(|line| {
                let this = begin;
                begin += line.len() + 1;
                this
            })
            .collect();
        Self { lines, begins }
    }
}

fn snippet(source: &Source, lines: &Lines<'_>, mark: Mark) -> Option<Snippet> {
    let at = mark.line.checked_sub(1)?;
    let (text, begin) = (lines.lines.get(at)?.trim_end_matches('\r'), *lines.begins.get(at)?);
    let mut secrets: Vec<Range<usize>> = source
        .secrets
        .iter()
        .filter(|range| range.start < begin + text.len() && begin < range.end)
        .map(|range| range.start.saturating_sub(begin)..(range.end - begin).min(text.len()))
        .collect();
    if !source.parsed {
        secrets.extend(mask::unparsed(&lines.lines, at));
    }
    let at = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |(byte, _)| byte);
    let (start, end) = (at(mark.column.saturating_sub(1)), at(mark.column.saturating_sub(1) + mark.width));
    let cut = |range: Range<usize>| {
        let inside = secrets
            .iter()
            .filter(|s| s.start < range.end && range.start < s.end)
            .map(|s| s.start.max(range.start) - range.start..s.end.min(range.end) - range.start)
            .collect::<Vec<_>>();
        mask::line(text.get(range).unwrap_or_default(), &inside)
    };
    // Masked as a whole first, so that a token is not split into harmless halves at the caret.
    let whole = cut(0..text.len()).replace('\t', " ");
    let (before, middle) = (cut(0..start).replace('\t', " "), cut(start..end));
    let consistent = whole.starts_with(&before);
    let mut before = if consistent { before.chars().count() } else { 0 };
    let mut width = if consistent { middle.chars().count().max(1) } else { 1 };
    let mut shown = whole;
    if shown.chars().count() > SHOWN {
        let skip = before.saturating_sub(SHOWN / 2);
        shown = shown.chars().skip(skip).take(SHOWN).collect();
        before -= skip;
    }
    width = width.min(shown.chars().count().saturating_sub(before)).max(1);
    // Control characters would move the caret, or the terminal.
    let shown = shown.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    Some(Snippet { text: shown, before, width })
}

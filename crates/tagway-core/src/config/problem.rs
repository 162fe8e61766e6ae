//! What is wrong with a configuration, and how it is shown: like a compiler does, with the place, the line and
//! a way out. Knows nothing of YAML; the lines it gets are already without secrets.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing to do.
    Note,
    /// Works, but probably not as meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file it is in.
    pub file: PathBuf,
    /// Line from 1; 0 when the problem has no place in the file.
    pub line: usize,
    /// Column from 1, in characters; 0 when the problem has no place in the file.
    pub column: usize,
    /// Where it is in the document, e.g. `model_list[2].litellm_params.tags`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The line of the file, with everything secret masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<Snippet>,
}

/// A line of the file, and which part of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// The line.
    pub text: String,
    /// How many characters of it precede the part that is meant.
    pub before: usize,
    /// How many characters are meant, at least 1.
    pub width: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity, self.message)?;
        let gutter = if self.line == 0 { 1 } else { self.line.to_string().len() };
        write!(f, "{:gutter$}--> {}", "", self.file.display())?;
        if self.line != 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        writeln!(f)?;
        if let Some(snippet) = &self.snippet {
            writeln!(f, "{:gutter$} |", "")?;
            writeln!(f, "{} | {}", self.line, snippet.text)?;
            let carets = "^".repeat(snippet.width);
            writeln!(f, "{:gutter$} | {:before$}{carets}", "", "", before = snippet.before)?;
        }
        if let Some(suggestion) = &self.suggestion {
            writeln!(f, "{:gutter$} = help: {suggestion}", "")?;
        }
        Ok(())
    }
}

/// Several problems, in the order of the files and their lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// How many problems there are of one severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Whether any of them makes the configuration unusable.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) != 0
    }

    /// `2 errors, 1 warning`; empty when there is nothing to count.
    pub fn summary(&self) -> String {
        [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .filter_map(|severity| match self.count(severity) {
                0 => None,
                1 => Some(format!("1 {severity}")),
                n => Some(format!("{n} {severity}s")),
            })
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        if self.0.is_empty() { Ok(()) } else { writeln!(f, "{}", self.summary()) }
    }
}

impl std::error::Error for Problems {}

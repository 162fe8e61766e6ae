//! `tagway check`: every problem of a configuration, what deserves a second look, and where its tags lead. Reads
//! files and variables; starts nothing.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;
use tagway_core::config::{self, Matrix, Problem, Problems, Severity};

use super::Format;
use crate::host::System;

/// What to check, and how to say it.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// LiteLLM's config.yaml.
    config: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// What else makes the check fail, with exit code 1.
    #[arg(long, value_enum)]
    deny: Option<Deny>,
    /// Print which deployments each tag reaches, too.
    #[arg(long)]
    matrix: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    Warnings,
}

/// Checks: exit code 0 when clean, 1 for warnings with `--deny warnings`, 2 for errors.
pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    let (problems, matrix) = match config::check(&args.config, &System) {
        Ok(loaded) => {
            let matrix = args.matrix.then(|| config::matrix(&loaded.config));
            (Problems(loaded.notes), matrix)
        }
        Err(problems) => (problems, None),
    };
    let text = match args.format {
        Format::Text => in_words(&problems, matrix.as_ref()),
        Format::Json => in_json(&problems.0, matrix.as_ref()),
    };
    // A closed pipe is the reader's wish.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    if problems.has_errors() {
        ExitCode::from(2)
    } else if args.deny.is_some() && problems.count(Severity::Warning) != 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

fn in_words(problems: &Problems, matrix: Option<&Matrix>) -> String {
    let clean = if problems.0.is_empty() { "no problems\n" } else { "" };
    let matrix = matrix.map(|matrix| format!("\n{matrix}")).unwrap_or_default();
    format!("{problems}{clean}{matrix}")
}

fn in_json(problems: &[Problem], matrix: Option<&Matrix>) -> String {
    let mut answer = json!({ "problems": problems });
    if let (Some(matrix), Some(fields)) = (matrix, answer.as_object_mut()) {
        fields.insert("matrix".to_owned(), json!(matrix));
    }
    format!("{answer:#}\n")
}

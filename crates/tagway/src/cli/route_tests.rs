//! `tagway test`: whether requests go where a file says they do, for pipelines. Reads files and variables; starts
//! nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tagway_core::config::{self, Case, Expected, ExpectedError};

use super::supposed::{self, Told};
use super::{fail, junit, words};
use crate::data::suppose::Refused;
use crate::host::System;

/// Which cases, and by which configuration.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The file with the cases: requests, and where each is to go.
    routes: PathBuf,
    /// LiteLLM's config.yaml.
    #[arg(short, long, env = "TAGWAY_CONFIG_FILE_PATH")]
    config: PathBuf,
    /// How to print what came out.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
}

/// A case, and what came out.
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) told: Told,
    /// What was expected and is not so; nothing when the case passes.
    pub(super) wrong: Vec<Wrong>,
}

/// An expectation that is not met.
pub(super) struct Wrong {
    pub(super) expected: String,
    pub(super) found: String,
}

impl Outcome {
    pub(super) fn passes(&self) -> bool {
        self.wrong.is_empty()
    }

    /// What is wrong, and how it was decided.
    pub(super) fn reasons(&self) -> String {
        let mut lines = Vec::new();
        for Wrong { expected, found } in &self.wrong {
            lines.push(format!("expected  {expected}"));
            lines.push(format!("found     {found}"));
        }
        lines.extend(self.told.hops().iter().map(words::decision));
        lines.join("\n")
    }
}

/// Tests: exit code 0 when all cases pass, 1 when some do not, 2 when a file is wrong.
pub(crate) fn run(args: &TestArgs) -> ExitCode {
    let snapshot = match supposed::snapshot(&args.config) {
        Ok(snapshot) => snapshot,
        Err(problems) => return fail(&problems, 2),
    };
    let known: Vec<&str> = snapshot.deployments.iter().map(|it| it.entry.info.id.as_str()).collect();
    let cases = match config::route_tests(&args.routes, &System, &known) {
        Ok(cases) => cases,
        Err(problems) => return fail(&problems.to_string(), 2),
    };
    let outcome = |case: Case| {
        let told = supposed::decide(&snapshot, case.request);
        let wrong = judge(&case.expected, &told);
        Outcome { name: case.name, line: case.line, told, wrong }
    };
    let outcomes: Vec<Outcome> = cases.into_iter().map(outcome).collect();
    let text = match args.format {
        Format::Text => in_words(&args.routes, &outcomes),
        Format::Json => in_json(&outcomes),
        Format::Junit => junit::report(&args.routes, &outcomes),
    };
    // A closed pipe is the reader's wish.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::from(u8::from(!outcomes.iter().all(Outcome::passes)))
}

/// What is expected and not so.
fn judge(expected: &Expected, told: &Told) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let found = found(&told.served);
    let mut say = |expected: String, found: &str| wrong.push(Wrong { expected, found: found.to_owned() });
    let served = told.served.as_deref().unwrap_or_default();
    if let Some(ids) = &expected.deployments {
        let same = ids.len() == served.len() && ids.iter().all(|id| served.contains(id));
        if !same {
            say(format!("exactly {}", ids.join(", ")), &found);
        }
    }
    let missing: Vec<&str> =
        expected.includes.iter().filter(|id| !served.contains(id)).map(|id| &**id).collect();
    if !missing.is_empty() {
        say(format!("{} among them", missing.join(", ")), &found);
    }
    let extra: Vec<&str> =
        expected.excludes.iter().filter(|id| served.contains(id)).map(|id| &**id).collect();
    if !extra.is_empty() {
        say(format!("{} not among them", extra.join(", ")), &found);
    } else if !expected.excludes.is_empty() && told.served.is_err() {
        say("some deployment serves it".to_owned(), &found);
    }
    if let Some(error) = &expected.error
        && !told.served.as_ref().is_err_and(|refused| is_so(error, refused))
    {
        say(described(error), &found);
    }
    let has = |tag: &String| told.tags.iter().any(|(known, _)| known == tag);
    let tags: Vec<&str> = told.tags.iter().map(|(tag, _)| tag.as_str()).collect();
    let tags = if tags.is_empty() { "no tags".to_owned() } else { format!("the tags {}", tags.join(", ")) };
    for tag in expected.tags.iter().filter(|tag| !has(tag)) {
        say(format!("the tag {tag}"), &tags);
    }
    for tag in expected.without_tags.iter().filter(|tag| has(tag)) {
        say(format!("no tag {tag}"), &tags);
    }
    wrong
}

fn is_so(error: &ExpectedError, refused: &Refused) -> bool {
    error.status.is_none_or(|status| status == refused.status.as_u16())
        && error.message.as_ref().is_none_or(|part| refused.message.contains(part))
        && error.reason.as_deref().is_none_or(|reason| refused.reason == Some(reason))
}

fn described(error: &ExpectedError) -> String {
    let status = error.status.map(|status| format!("HTTP {status}"));
    let reason = error.reason.as_ref().map(|reason| format!("reason {reason}"));
    let message = error.message.as_ref().map(|message| format!("a message with \"{message}\""));
    let parts: Vec<String> = [status, reason, message].into_iter().flatten().collect();
    if parts.is_empty() { "an error".to_owned() } else { parts.join(", ") }
}

fn found(served: &Result<Vec<String>, Refused>) -> String {
    match served {
        Ok(ids) => ids.join(", "),
        Err(Refused { status, reason, message, .. }) => {
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("HTTP {}{reason}: {message}", status.as_u16())
        }
    }
}

fn in_words(file: &Path, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        if outcome.passes() {
            text.push_str(&format!("ok      {}\n", outcome.name));
            continue;
        }
        text.push_str(&format!("FAILED  {} ({}:{})\n", outcome.name, file.display(), outcome.line));
        outcome.reasons().lines().for_each(|line| text.push_str(&format!("        {line}\n")));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passes()).count();
    text.push_str(&format!("{} passed, {failed} failed\n", outcomes.len() - failed));
    text
}

fn in_json(outcomes: &[Outcome]) -> String {
    let shown = |outcome: &Outcome| {
        let wrong =
            outcome.wrong.iter().map(|wrong| json!({"expected": wrong.expected, "found": wrong.found}));
        let tags = outcome.told.tags.iter().map(|(tag, origins)| json!({"tag": tag, "origins": origins}));
        json!({
            "name": outcome.name,
            "line": outcome.line,
            "passed": outcome.passes(),
            "problems": wrong.collect::<Vec<_>>(),
            "tags": tags.collect::<Vec<_>>(),
            "candidates": outcome.told.served.as_deref().unwrap_or_default(),
            "error": outcome.told.error(),
            "decisions": outcome.told.hops(),
        })
    };
    let failed = outcomes.iter().filter(|outcome| !outcome.passes()).count();
    let cases: Vec<Value> = outcomes.iter().map(shown).collect();
    format!("{:#}\n", json!({"passed": outcomes.len() - failed, "failed": failed, "cases": cases}))
}

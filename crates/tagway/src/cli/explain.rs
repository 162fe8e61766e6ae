//! `tagway explain`: where a request would go by a configuration file, and why, without a server.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use tagway_core::config;
use tagway_core::snapshot::Snapshot;
use tagway_core::tag::{Expression, Origin, RequestTags};

use super::fail;
use crate::health::Board;
use crate::host::System;
use crate::route::{self, Hop, Trail, Wanted};

/// A request in question.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// LiteLLM's config.yaml.
    #[arg(short, long)]
    config: PathBuf,
    /// The model asked for.
    #[arg(short, long)]
    model: String,
    /// Tags of the caller: a comma list, may be repeated.
    #[arg(short, long)]
    tags: Vec<String>,
    /// Tags inherited from the caller's key or team: a comma list, may be repeated.
    #[arg(long)]
    inherited_tags: Vec<String>,
    /// A tag expression of the caller.
    #[arg(long)]
    tag_expression: Option<String>,
    /// The User-Agent header.
    #[arg(long)]
    user_agent: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Explains: exit code 0 when some deployment may serve, 1 when none may, 2 when the question is wrong.
pub(crate) fn run(args: &ExplainArgs) -> ExitCode {
    let loaded = match config::load(&args.config, &System) {
        Ok(loaded) => loaded,
        Err(problems) => return fail(&problems.to_string(), 2),
    };
    let snapshot = match Snapshot::compile(loaded.config) {
        Ok(snapshot) => snapshot,
        Err(unusable) => return fail(&unusable.to_string(), 2),
    };
    let expression = match args.tag_expression.as_deref().map(Expression::parse).transpose() {
        Ok(expression) => expression,
        Err(error) => return fail(&format!("--tag-expression: {error}"), 2),
    };
    let mut tags = RequestTags::default();
    args.inherited_tags
        .iter()
        .flat_map(|list| list.split(','))
        .for_each(|tag| tags.push(tag.trim(), Origin::Key));
    args.tags.iter().for_each(|list| tags.push_header(list));
    let now = Instant::now();
    let board = Board::new(&snapshot, None, now);
    let expression = expression.as_ref().map(|expression| (expression, Origin::Body));
    let wanted = Wanted {
        expressions: expression.as_slice(),
        user_agent: args.user_agent.as_deref(),
        ..Wanted::new(&args.model, &tags)
    };
    let mut trail: Trail = Some(Vec::new());
    let planned = route::plan(&snapshot, &board, &wanted, now, &mut trail);
    let hop = trail.into_iter().flatten().next();
    let text = match (args.format, &hop) {
        (Format::Json, _) => serde_json::to_string_pretty(&hop).unwrap_or_default(),
        (Format::Text, Some(hop)) => in_words(hop),
        (Format::Text, None) => String::new(),
    };
    // A closed pipe is the reader's wish.
    let _ = writeln!(std::io::stdout(), "{text}");
    match planned {
        Ok(_) => ExitCode::SUCCESS,
        Err(no_route) => fail(&no_route.to_string(), 1),
    }
}

fn in_words(hop: &Hop) -> String {
    let explained = &hop.explanation;
    let mut lines = vec![format!(
        "model group {}: tag filtering is {}",
        hop.model_group,
        if explained.filtering { "on" } else { "off" }
    )];
    for tag in &explained.tags {
        let known = if tag.known { "known to the group" } else { "not known to the group" };
        lines.push(format!("  tag {:<20} from {:<10} {:?}, {known}", tag.tag, tag.origin.as_str(), tag.role));
    }
    lines.push("steps".to_owned());
    lines.extend(explained.steps.iter().map(|step| format!("  {:>5} left  {}", step.left, step.step)));
    lines.push("deployments".to_owned());
    for verdict in &explained.deployments {
        let mark = if verdict.kept { "kept   " } else { "dropped" };
        lines.push(format!("  {mark} {:<24} {}", verdict.id, verdict.reason));
    }
    if 1 < explained.deployments.iter().filter(|verdict| verdict.kept).count() {
        lines.push(format!("among these chooses {}", hop.strategy));
    }
    lines.join("\n")
}

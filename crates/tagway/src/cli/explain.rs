//! `tagway explain`: where a request would go by a configuration file, and why, without a server; or where one that a
//! gateway has answered has gone.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use tagway_core::config;
use tagway_core::snapshot::Snapshot;
use tagway_core::tag::{Expression, Origin, RequestTags};

use super::{fail, remote, words};
use crate::health::Board;
use crate::host::System;
use crate::route::{self, Trail, Wanted};

/// A request in question.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A request that a running gateway has answered, by its `x-litellm-call-id`.
    #[arg(long, conflicts_with_all = ["config", "model", "tags", "inherited_tags", "tag_expression", "user_agent"])]
    call_id: Option<String>,
    /// LiteLLM's config.yaml.
    #[arg(short, long, required_unless_present = "call_id")]
    config: Option<PathBuf>,
    /// The model asked for.
    #[arg(short, long, required_unless_present = "call_id")]
    model: Option<String>,
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
    #[command(flatten)]
    gateway: remote::Gateway,
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
    match (&args.call_id, &args.config, &args.model) {
        (Some(call), ..) => answered(args, call),
        (None, Some(config), Some(model)) => decided(args, config, model),
        (None, ..) => fail("give --config and --model, or --call-id", 2),
    }
}

/// How a gateway has routed a request.
fn answered(args: &ExplainArgs, call: &str) -> ExitCode {
    let told = match remote::decision(&args.gateway, call) {
        Ok(told) => told,
        Err(code) => return code,
    };
    let text = match args.format {
        Format::Json => format!("{told:#}"),
        Format::Text => words::request(&told),
    };
    // A closed pipe is the reader's wish.
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn decided(args: &ExplainArgs, config: &Path, model: &str) -> ExitCode {
    let loaded = match config::load(config, &System) {
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
        ..Wanted::new(model, &tags)
    };
    let mut trail: Trail = Some(Vec::new());
    let planned = route::plan(&snapshot, &board, &wanted, now, &mut trail);
    let hop = trail.into_iter().flatten().next();
    let text = match (args.format, &hop) {
        (Format::Json, _) => serde_json::to_string_pretty(&hop).unwrap_or_default(),
        (Format::Text, Some(hop)) => {
            serde_json::to_value(hop).map(|hop| words::decision(&hop)).unwrap_or_default()
        }
        (Format::Text, None) => String::new(),
    };
    // A closed pipe is the reader's wish.
    let _ = writeln!(std::io::stdout(), "{text}");
    match planned {
        Ok(_) => ExitCode::SUCCESS,
        Err(no_route) => fail(&no_route.to_string(), 1),
    }
}

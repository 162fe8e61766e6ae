//! `tagway explain`: where a request would go by a configuration file, and why, without a server; or where one that a
//! gateway has answered has gone.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use http::{HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use tagway_core::config::Supposed;
use tagway_core::tag::Expression;

use super::{Format, fail, remote, supposed, words};

/// A request in question.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A request that a running gateway has answered, by its `x-litellm-call-id`.
    #[arg(long, conflicts_with_all = ["config", "model", "tags", "inherited_tags", "tag_expression", "user_agent", "header", "message", "user"])]
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
    /// Another header, which rules may ask for; may be repeated.
    #[arg(long, value_name = "NAME:VALUE", value_parser = header_of)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// What the user says in the request; may be repeated.
    #[arg(long, value_name = "TEXT")]
    message: Vec<String>,
    /// The end user that the request names.
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    gateway: remote::Gateway,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A header as an argument gives it.
pub(super) fn header_of(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME:VALUE")?;
    let name = name.trim().parse::<HeaderName>().map_err(|_| format!("`{name}` is no name of a header"))?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes());
    Ok((name, value.map_err(|_| "no header can hold this value")?))
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

/// The request that the arguments tell of.
fn question(args: &ExplainArgs, model: &str) -> Result<Supposed, String> {
    let mut asked = supposed::plain(model);
    let list = |lists: &[String]| {
        let tags = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
        tags.filter(|tag| !tag.is_empty()).map(Box::from).collect::<Vec<Box<str>>>()
    };
    let inherited = list(&args.inherited_tags);
    if !inherited.is_empty() {
        asked.owners.push(supposed::key(inherited));
    }
    asked.headers.extend(args.header.iter().cloned().map(|(name, value)| (Some(name), value)));
    let value = |text: &str, flag: &str| {
        HeaderValue::from_bytes(text.as_bytes()).map_err(|_| format!("{flag}: no header can hold this"))
    };
    if !args.tags.is_empty() {
        asked.headers.insert("x-litellm-tags", value(&args.tags.join(","), "--tags")?);
    }
    if let Some(agent) = &args.user_agent {
        asked.headers.insert(header::USER_AGENT, value(agent, "--user-agent")?);
    }
    if let Some(text) = &args.tag_expression {
        Expression::parse(text).map_err(|error| format!("--tag-expression: {error}"))?;
        asked.body.insert("tag_expression".to_owned(), text.as_str().into());
    }
    if let Some(user) = &args.user {
        asked.body.insert("user".to_owned(), user.as_str().into());
    }
    let said = args.message.iter().map(|text| json!({"role": "user", "content": text}));
    asked.body.insert("messages".to_owned(), said.collect());
    Ok(asked)
}

fn decided(args: &ExplainArgs, config: &Path, model: &str) -> ExitCode {
    let snapshot = match supposed::snapshot(config) {
        Ok(snapshot) => snapshot,
        Err(problems) => return fail(&problems, 2),
    };
    let asked = match question(args, model) {
        Ok(asked) => asked,
        Err(wrong) => return fail(&wrong, 2),
    };
    let told = supposed::decide(&snapshot, asked);
    let hops = told.hops();
    let text = match args.format {
        Format::Json => format!("{:#}", shown(&hops, told.error())),
        Format::Text => hops.iter().map(words::decision).collect::<Vec<_>>().join("\n"),
    };
    // A closed pipe is the reader's wish.
    let _ = writeln!(std::io::stdout(), "{text}");
    match told.served {
        Ok(_) => ExitCode::SUCCESS,
        Err(refused) => fail(&refused.message, 1),
    }
}

/// The decision about the group that was asked for, with those about its fallbacks, and the refusal.
fn shown(hops: &[Value], error: Value) -> Value {
    let (mut shown, fallbacks) = match hops {
        [first, fallbacks @ ..] => (first.clone(), fallbacks),
        [] => (json!({}), hops),
    };
    if let Value::Object(fields) = &mut shown {
        if !fallbacks.is_empty() {
            fields.insert("fallbacks".to_owned(), fallbacks.into());
        }
        if !error.is_null() {
            fields.insert("error".to_owned(), error);
        }
    }
    shown
}

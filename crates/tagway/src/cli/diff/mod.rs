//! `tagway diff`: what a change of the configuration does to requests, before it is put in force. Over all sets of known
//! tags up to a size, or over the requests of a log. Reads files and variables; starts nothing.

mod print;
mod replay;
mod rows;
mod side;
mod space;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Format, fail, supposed};
use side::Side;

/// What to compare, and how far.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The configuration in force.
    old: PathBuf,
    /// The one that shall be.
    new: PathBuf,
    /// Requests carry up to so many tags.
    #[arg(long, default_value_t = 2, value_name = "N")]
    max_tags: usize,
    /// At most so many tag sets and models are compared, the small sets first.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    max_combinations: u64,
    /// With the tags as `!tag` and `&tag`, too.
    #[arg(long)]
    markers: bool,
    /// With the tags as those of a key, too, which bound its requests.
    #[arg(long)]
    inherited: bool,
    /// The User-Agent of all requests, for `tag_regex` and rules.
    #[arg(long)]
    user_agent: Option<String>,
    /// Another header of all requests; may be repeated.
    #[arg(long, value_name = "NAME:VALUE", value_parser = super::explain::header_of)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Compare over the requests of a log instead: CSV or JSON as `/spend/logs`, or CSV as `/spend/export` gives it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["max_tags", "max_combinations", "markers", "inherited"])]
    replay: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Compares: exit code 0 when nothing changes, 1 when something does, 2 when a file is wrong.
pub(crate) fn run(args: &DiffArgs) -> ExitCode {
    let (old, new) = match (supposed::snapshot(&args.old), supposed::snapshot(&args.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            let problems: Vec<String> = [old.err(), new.err()].into_iter().flatten().collect();
            return fail(problems.join("\n").trim_end(), 2);
        }
    };
    let mut headers: HeaderMap = args.header.iter().cloned().collect();
    if let Some(agent) = &args.user_agent {
        let Ok(agent) = HeaderValue::from_bytes(agent.as_bytes()) else {
            return fail("--user-agent: no header can hold this", 2);
        };
        headers.insert(header::USER_AGENT, agent);
    }
    let [old, new] = Side::pair(&old, &new);
    let (text, changed) = if let Some(file) = &args.replay {
        let flows = match rows::read(file) {
            Ok(rows) => replay::flows(rows, &old, &new),
            Err(wrong) => return fail(&format!("{}: {wrong}", file.display()), 2),
        };
        let replayed = replay::run(flows, &headers, &old, &new);
        let text = match args.format {
            Format::Text => print::replayed(&replayed, &old, &new),
            Format::Json => format!("{:#}\n", print::replayed_json(&replayed, &old, &new)),
        };
        (text, !replayed.changed.is_empty())
    } else {
        let space = space::Space {
            tags: space::vocabulary(&old, &new, args.markers),
            models: space::models(&old, &new),
            size: args.max_tags,
            most: args.max_combinations,
            inherited: args.inherited,
        };
        let compared = space.compare(&headers, &old, &new);
        let text = match args.format {
            Format::Text => print::compared(&space, &compared, &old, &new),
            Format::Json => format!("{:#}\n", print::compared_json(&space, &compared, &old, &new)),
        };
        (text, !compared.changes.is_empty())
    };
    // A closed pipe is the reader's wish.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::from(u8::from(changed))
}

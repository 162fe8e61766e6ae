//! The scripted upstream as a program: an OpenAI-compatible provider to point a gateway at, by hand, in a
//! demo or under load. It decides only how arguments become scripts.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::Value;
use tagway_fake::{Fake, OpenAi, Reply, Script, Seen};
use tokio::signal::unix::{SignalKind, signal};

/// Replies in progress get this long when a signal comes; a stalled one would take for ever.
const GRACE: Duration = Duration::from_secs(2);

/// A scripted LLM provider: decent by default, broken on request.
///
/// Without a script it behaves like an OpenAI-compatible provider that says "Hello from NAME" on
/// /chat/completions, /completions, /responses, /embeddings and /models, under any prefix and with any key.
/// These models fail as they are called: fake-400, fake-401, fake-429, fake-500, fake-reset, fake-stall,
/// fake-slow, fake-truncated, fake-garbage.
#[derive(Parser)]
#[command(name = "tagway-fake", version, after_long_help = SCRIPT_HELP)]
struct Args {
    /// Address to listen on; repeat it for several fakes at once
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    listen: Vec<SocketAddr>,

    /// What the fake calls itself; repeat it for the second, third … address
    #[arg(long)]
    name: Vec<String>,

    /// Milliseconds before the first byte of a reply
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,

    /// Milliseconds between the chunks of a stream
    #[arg(long, value_name = "MS", default_value_t = 0)]
    chunk_delay_ms: u64,

    /// Content chunks per stream
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,

    /// A JSON list of replies to give instead, one per request; the last repeats (see --help)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "delay_ms", "chunk_delay_ms", "chunks"])]
    script: Option<PathBuf>,

    /// No line per request on stderr
    #[arg(long)]
    quiet: bool,
}

const SCRIPT_HELP: &str = r#"Scripts:
  A script is a JSON list of replies. Every field may be left out:

  status, reason, headers
      {"retry-after": "2", "set-cookie": ["a=1", "b=2"]}
  json | text | error | events | chat | size | garbage
      the body, one of them: any JSON; a string; a message in the shape of
      OpenAI's errors (status 500 unless given); a list of events; a list of
      deltas; a number of bytes; a string that is sent without a head
  usage
      [prompt, completion] tokens for chat
  framing, declare_length
      "length", "chunked" or "until_close"; or a content-length, true or not
  cut, split_every
      bytes to keep of a whole body; bytes per write
  crlf, connection_close, ignore_body
      true: CRLF in events; close afterwards; never read the request's body
  delay_ms, chunk_delay_ms, head_line_delay_ms
      before the head; between chunks; between the lines of the head
  stall, reset, close
      where: "request" (before the head), "head", {"chunks": n}, {"bytes": n},
      or "body" (before the mark of its end)

  An event is its data, or an object: event (its name), after_ms, and one of
  data, comment, raw.

  [
    {"status": 429, "headers": {"retry-after": "2"}, "error": "slow down"},
    {"chat": ["Hel", "lo"], "usage": [9, 2], "chunk_delay_ms": 100},
    {"events": ["{\"n\": 1}", {"comment": "ping"},
                {"event": "end", "data": {"n": 2}, "after_ms": 500}],
     "split_every": 7, "reset": {"chunks": 3}},
    {"json": {"ok": true}, "close": {"bytes": 5}}
  ]
"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Caught before the ports open, so that whoever waits for the address may already send one.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    ensure!(args.name.len() <= args.listen.len(), "more names than addresses");

    let mut fakes = Vec::new();
    for (index, &addr) in args.listen.iter().enumerate() {
        let name = args.name.get(index).cloned().unwrap_or_else(|| match args.listen.len() {
            1 => "fake".to_owned(),
            _ => addr.to_string(),
        });
        let script = script(&args, &name)?;
        let quiet = args.quiet;
        let label = name.clone();
        let witness = move |seen: &Seen| {
            if !quiet {
                // Nobody reads stderr any more: no reason to stop serving.
                drop(writeln!(io::stderr(), "{label} {}", line(seen)));
            }
        };
        let fake =
            Fake::listen(addr, script, witness).await.with_context(|| format!("cannot listen on {addr}"))?;
        writeln!(io::stdout(), "{name} listens on {}", fake.url())?;
        fakes.push(fake);
    }
    io::stdout().flush()?;

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let ends: tokio::task::JoinSet<()> = fakes.into_iter().map(|fake| fake.finish(GRACE)).collect();
    ends.join_all().await;
    Ok(())
}

fn script(args: &Args, name: &str) -> anyhow::Result<Script> {
    if let Some(path) = &args.script {
        return Ok(Script::replies(replies(path)?));
    }
    let mut openai = OpenAi::named(name)
        .delay(Duration::from_millis(args.delay_ms))
        .chunk_delay(Duration::from_millis(args.chunk_delay_ms));
    if let Some(count) = args.chunks {
        openai = openai.chunks(count);
    }
    Ok(openai.into())
}

fn replies(path: &Path) -> anyhow::Result<Vec<Reply>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let replies: Vec<Reply> =
        serde_json::from_str(&text).with_context(|| format!("not a script: {}", path.display()))?;
    ensure!(!replies.is_empty(), "the script {} has no replies", path.display());
    Ok(replies)
}

/// Method, path, model. No query and no headers, where credentials travel.
fn line(seen: &Seen) -> String {
    let body: Option<Value> = serde_json::from_slice(&seen.body).ok();
    let model = body.as_ref().and_then(|body| body.get("model")).and_then(Value::as_str).unwrap_or("-");
    format!("{} {} {}", seen.method, seen.route().escape_debug(), model.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_in_the_help_is_a_script() {
        let start = SCRIPT_HELP.find("  [\n").unwrap();
        let replies: Vec<Reply> = serde_json::from_str(&SCRIPT_HELP[start..]).unwrap();
        assert_eq!(replies.len(), 4);
    }

    #[test]
    fn a_log_line_holds_no_query() {
        let seen = Seen {
            method: "POST".into(),
            path: "/v1/x?key=secret".into(),
            body: br#"{"model":"m\nx"}"#.to_vec(),
            ..Seen::default()
        };
        assert_eq!(line(&seen), r"POST /v1/x m\nx");
    }
}

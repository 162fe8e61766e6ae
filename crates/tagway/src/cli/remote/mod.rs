//! `tagway key|team|tag|model|user …`: the management API from the command line. Speaks HTTP to a running gateway,
//! as every other client does, and knows nothing the API does not tell.

mod client;
mod fields;
mod keys;
mod models;
mod print;
mod spend;
mod tags;
mod teams;
mod users;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use client::{Client, Failed};
pub(super) use keys::Key;
pub(super) use models::Model;
use print::{Output, print};
pub(super) use spend::Spend;
pub(super) use tags::Tag;
pub(super) use teams::Team;
pub(super) use users::User;

/// The gateway to speak to.
#[derive(Debug, Args)]
pub(super) struct Gateway {
    /// The gateway's address.
    #[arg(long, env = "TAGWAY_URL", default_value = "http://localhost:4000", global = true)]
    url: String,
    /// A key that may do this; LITELLM_MASTER_KEY is understood, too. Better in the environment than on the
    /// command line, where others can see it.
    #[arg(long = "key", value_name = "KEY", env = "TAGWAY_API_KEY", hide_env_values = true, global = true)]
    api_key: Option<String>,
}

impl Gateway {
    fn client(&self) -> Result<Client, Failed> {
        let other = ["LITELLM_PROXY_API_KEY", "TAGWAY_MASTER_KEY", "LITELLM_MASTER_KEY"];
        let key = self
            .api_key
            .clone()
            .filter(|key| !key.is_empty())
            .or_else(|| other.into_iter().find_map(super::variable));
        Client::new(&self.url, key)
    }
}

/// The gateway to speak to, and what to ask of it.
#[derive(Debug, Args)]
pub(super) struct Asked<T: Subcommand> {
    #[command(subcommand)]
    what: T,
    #[command(flatten)]
    gateway: Gateway,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
}

/// Something that can be asked of a gateway.
pub(super) trait Ask: Subcommand {
    fn ask(&self, client: &Client) -> Result<Answer, Failed>;
}

/// An answer, and which of its fields a table shows.
pub(super) struct Answer {
    value: Value,
    columns: &'static [&'static str],
    /// How it is told to people, in place of a table.
    text: Option<String>,
    /// What the command exits with.
    code: u8,
}

impl Answer {
    /// One object.
    fn one(value: Value) -> Self {
        Self { value, columns: &[], text: None, code: 0 }
    }

    /// One that is printed already.
    fn nothing() -> Self {
        Self { value: Value::Null, columns: &[], text: None, code: 0 }
    }

    /// One that people read as this text; the command exits with `code`.
    fn told(text: String, value: Value, code: u8) -> Self {
        Self { value, columns: &[], text: Some(text), code }
    }

    /// Several objects.
    fn many(value: Value, columns: &'static [&'static str]) -> Self {
        Self { value, columns, text: None, code: 0 }
    }
}

/// Asks: exit code 0 when the gateway did what was asked, 1 when it refused, 2 when it could not be asked; an answer may
/// say another one.
pub(super) fn run<T: Ask>(asked: &Asked<T>) -> ExitCode {
    match asked.gateway.client().and_then(|client| asked.what.ask(&client)) {
        Ok(answer) => {
            match answer.text {
                Some(text) if asked.output == Output::Table => {
                    // A closed pipe is the reader's wish.
                    let _ = std::io::stdout().lock().write_all(text.as_bytes());
                }
                _ if answer.value.is_null() => {}
                _ => print(&answer.value, answer.columns, asked.output),
            }
            ExitCode::from(answer.code)
        }
        Err(failed) => sorry(failed),
    }
}

/// How a gateway has routed a request, by its call id.
///
/// # Errors
/// What to exit with; why has been said.
pub(super) fn decision(gateway: &Gateway, call: &str) -> Result<Value, ExitCode> {
    let call: String = url::form_urlencoded::byte_serialize(call.as_bytes()).collect();
    let path = format!("/route/decision/{}", call.replace('+', "%20"));
    gateway.client().and_then(|client| client.get(&path, &[])).map_err(sorry)
}

fn sorry(failed: Failed) -> ExitCode {
    match failed {
        Failed::Refused { status, message } => super::fail(&format!("refused ({status}): {message}"), 1),
        Failed::Unasked(why) => super::fail(&why, 2),
    }
}

//! Requests to a gateway: JSON in, JSON out, and its errors in words.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::web;

/// A gateway that does not answer within this time will not.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
pub(in super::super) enum Failed {
    /// The gateway said no.
    Refused { status: u16, message: String },
    /// It was not asked, or did not answer.
    Unasked(String),
}

/// A gateway.
pub(in super::super) struct Client {
    agent: Agent,
    url: String,
    key: Option<String>,
}

impl Client {
    /// The gateway at `url`, asked with `key`.
    pub(super) fn new(url: &str, key: Option<String>) -> Result<Self, Failed> {
        let parsed =
            url::Url::parse(url).map_err(|error| Failed::Unasked(format!("--url {url}: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(Failed::Unasked(format!("--url {url}: must begin with http:// or https://")));
        }
        let agent = web::agent(parsed.scheme() == "https", PATIENCE);
        Ok(Self { agent, url: url.trim_end_matches('/').to_owned(), key })
    }

    /// `GET`, with these parameters.
    pub(super) fn get(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<Value, Failed> {
        self.read(self.call(path, query))
    }

    /// Writes the answer to a `GET` to standard output, however long it is.
    pub(super) fn copy(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<(), Failed> {
        let answer = self.call(path, query);
        match answer {
            Ok(answer) if answer.status().is_success() => {
                let mut body = answer.into_body().into_reader();
                match std::io::copy(&mut body, &mut std::io::stdout().lock()) {
                    // A closed pipe is the reader's wish.
                    Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                        Err(Failed::Unasked(format!("{} broke off: {error}", self.url)))
                    }
                    _ => Ok(()),
                }
            }
            refused => self.read(refused).map(drop),
        }
    }

    fn call(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in query {
            if let Some(value) = value {
                request = request.query(name, value);
            }
        }
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        request.call()
    }

    /// `POST`, with this body.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failed> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        self.read(request.send_json(body))
    }

    fn read(&self, answer: Result<http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Failed> {
        let mut answer =
            answer.map_err(|error| Failed::Unasked(format!("{} does not answer: {error}", self.url)))?;
        let status = answer.status();
        let text = answer
            .body_mut()
            .read_to_string()
            .map_err(|error| Failed::Unasked(format!("{} broke off: {error}", self.url)))?;
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if status.is_success() {
            return Ok(value);
        }
        let message = value.pointer("/error/message").or_else(|| value.get("detail")).unwrap_or(&value);
        let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
        let hint = match (status.as_u16(), &self.key) {
            (401, None) => " (no key given: set TAGWAY_API_KEY, or --key)",
            _ => "",
        };
        Err(Failed::Refused { status: status.as_u16(), message: message + hint })
    }
}

/// `text` as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut url = url::Url::parse("http://gateway").ok();
    if let Some(url) = &mut url
        && let Ok(mut segments) = url.path_segments_mut()
    {
        segments.push(text);
    }
    url.map_or_else(String::new, |url| url.path().trim_start_matches('/').to_owned())
}

//! Server-sent events as bytes: data, names, comments, either line end. How the bytes are cut into writes
//! is `plan`'s business.

use std::time::Duration;

/// One event of a stream, or anything else that may stand between events.
#[derive(Clone, Debug)]
pub struct Event {
    pub(crate) text: Text,
    pub(crate) after: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Text {
    Data { name: Option<String>, data: String },
    Comment(String),
    Raw(Vec<u8>),
}

impl Event {
    /// An event with this data; a line break in it makes several `data:` lines.
    pub fn data(data: impl Into<String>) -> Self {
        Text::Data { name: None, data: data.into() }.into()
    }

    /// An event with an `event:` line.
    pub fn named(name: impl Into<String>, data: impl Into<String>) -> Self {
        Text::Data { name: Some(name.into()), data: data.into() }.into()
    }

    /// A comment line, as providers send to keep a connection alive.
    pub fn comment(text: impl Into<String>) -> Self {
        Text::Comment(text.into()).into()
    }

    /// These bytes, with nothing added.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Text::Raw(bytes.into()).into()
    }

    /// Waits this long before the event.
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    pub(crate) fn bytes(&self, crlf: bool) -> Vec<u8> {
        let end = if crlf { "\r\n" } else { "\n" };
        match &self.text {
            Text::Raw(bytes) => bytes.clone(),
            Text::Comment(text) => format!(": {text}{end}{end}").into_bytes(),
            Text::Data { name, data } => {
                let mut out = String::with_capacity(data.len() + 16);
                if let Some(name) = name {
                    out.extend(["event: ", name, end]);
                }
                for line in data.split('\n') {
                    out.extend(["data: ", line, end]);
                }
                out.push_str(end);
                out.into_bytes()
            }
        }
    }
}

impl From<Text> for Event {
    fn from(text: Text) -> Self {
        Self { text, after: Duration::ZERO }
    }
}

impl From<&str> for Event {
    fn from(data: &str) -> Self {
        Self::data(data)
    }
}

impl From<String> for Event {
    fn from(data: String) -> Self {
        Self::data(data)
    }
}

impl From<serde_json::Value> for Event {
    fn from(data: serde_json::Value) -> Self {
        Self::data(data.to_string())
    }
}

//! The reading of values: typed getters that report what is wrong and give nothing then, and the walk over a
//! section by its declared table of keys. Knows no key by name.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::report::{Report, Said};
use super::yaml::{Entry, Kind, Mark, Node};
use super::{homes, mask};

/// A value on its way into the configuration, and where it stands.
#[derive(Clone)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    /// Where its key stands; its own place for an item of a list.
    pub(super) key: Mark,
    pub(super) path: String,
    /// Whether its value must not be shown.
    pub(super) secret: bool,
}

impl<'n> At<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        Self { node, key: node.mark, path: String::new(), secret: false }
    }

    pub(super) fn entry(&self, entry: &'n Entry) -> Self {
        // Below a secret even a key may be a part of it; of headers and variables the names are none. A missing
        // line break can put a credential in the place of a key.
        let last = self.path.rsplit('.').next().unwrap_or_default();
        let hidden = self.secret && !mask::holds_names(last) || mask::looks_secret(&entry.key);
        let key = if hidden { "***" } else { &entry.key };
        let path = match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        let secret = self.secret || mask::is_secret(&entry.key);
        Self { node: &entry.value, key: entry.mark, path, secret }
    }

    pub(super) fn item(&self, index: usize, node: &'n Node) -> Self {
        Self { node, key: node.mark, path: format!("{}[{index}]", self.path), secret: self.secret }
    }

    /// The value for a message: quoted, or unnamed when it must not be shown.
    pub(super) fn shown(&self) -> String {
        let text = match &self.node.kind {
            Kind::Text(text) | Kind::Int(_, text) | Kind::Float(_, text) => text.as_str(),
            Kind::Bool(true) => "true",
            Kind::Bool(false) => "false",
            _ => return self.node.what().to_owned(),
        };
        if text.starts_with(PREFIX) {
            return format!("what `{text}` says");
        }
        if self.secret || mask::looks_secret(text) || text.chars().count() > 80 {
            return "the value".to_owned();
        }
        format!("`{text}`")
    }

    /// Whether the setting is switched off: leaving it out changes nothing.
    fn is_off(&self) -> bool {
        match &self.node.kind {
            Kind::Null | Kind::Bool(false) => true,
            Kind::List(items) => items.is_empty(),
            Kind::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }
}

/// How a section treats one of its keys.
pub(super) enum Rule<T> {
    /// Read by this function.
    Works(fn(&mut T, &At<'_>, &mut Scope<'_>)),
    /// Known to LiteLLM, without meaning here.
    Ignored,
    /// Known to LiteLLM and missed by those who set it: why, or what to do.
    Missed(&'static str),
    /// Ignoring it would change who may do what, or what is enforced: what to do instead.
    Refused(&'static str),
}

/// A section's table: every key and its rule.
pub(super) type Table<T> = &'static [(&'static str, Rule<T>)];

/// What checks share while they run.
pub(super) struct Scope<'h> {
    pub(super) report: Report,
    env: &'h dyn Fn(&str) -> Option<String>,
    /// `environment_variables` of the file: they go before the process's own, as in LiteLLM.
    variables: HashMap<String, String>,
    /// Whether what is read has the sections of a configuration.
    has_homes: bool,
}

const PREFIX: &str = "os.environ/";

impl<'h> Scope<'h> {
    pub(super) fn new(report: Report, env: &'h dyn Fn(&str) -> Option<String>) -> Self {
        Self { report, env, variables: HashMap::new(), has_homes: true }
    }

    /// For a file that is no configuration: nothing belongs under a section of one.
    pub(super) fn without_homes(self) -> Self {
        Self { has_homes: false, ..self }
    }

    pub(super) fn set_variable(&mut self, name: &str, value: String) {
        self.variables.insert(name.to_owned(), value);
    }

    /// The variable's value; one that is set to nothing counts as unset.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().or_else(|| (self.env)(name)).filter(|value| !value.is_empty())
    }

    pub(super) fn error(&mut self, at: &At<'_>, message: impl Into<String>) -> Said<'_> {
        self.report.error(at.node.mark, &at.path, message)
    }

    pub(super) fn error_at_key(&mut self, at: &At<'_>, message: impl Into<String>) -> Said<'_> {
        self.report.error(at.key, &at.path, message)
    }

    pub(super) fn warning(&mut self, at: &At<'_>, message: impl Into<String>) -> Said<'_> {
        self.report.warning(at.node.mark, &at.path, message)
    }

    pub(super) fn warning_at_key(&mut self, at: &At<'_>, message: impl Into<String>) -> Said<'_> {
        self.report.warning(at.key, &at.path, message)
    }

    /// Says which of these keys a map does not have.
    pub(super) fn demand(&mut self, at: &At<'_>, keys: &[&str]) {
        if !matches!(at.node.kind, Kind::Map(_)) {
            return;
        }
        for key in keys {
            if at.node.get(key).is_none() {
                self.error(at, format!("`{key}` is missing"));
            }
        }
    }

    /// Reads a map by its table. A key the table does not have goes to `other`, which says whether it took it.
    pub(super) fn walk<T>(
        &mut self,
        at: &At<'_>,
        table: Table<T>,
        target: &mut T,
        other: fn(&mut T, &At<'_>, &str, &mut Self) -> bool,
    ) {
        for entry in self.entries(at) {
            let value = at.entry(entry);
            match table.iter().find(|(name, _)| *name == entry.key) {
                // `key:` with nothing after it is how YAML spells "not set".
                Some(_) if matches!(value.node.kind, Kind::Null) => {}
                Some((_, Rule::Works(read))) => read(target, &value, self),
                Some((_, Rule::Refused(_) | Rule::Missed(_))) if value.is_off() => {}
                Some((_, Rule::Ignored)) => self.report.ignored(&value.path),
                Some((name, Rule::Missed(why))) => {
                    self.warning_at_key(&value, format!("`{name}` is not supported yet and ignored"))
                        .help(*why);
                }
                Some((name, Rule::Refused(instead))) => {
                    let message = format!(
                        "`{name}` is not supported yet, and ignoring it would change who may do what, or what is enforced"
                    );
                    self.error_at_key(&value, message).help(*instead);
                }
                None if other(target, &value, &entry.key, self) => {}
                None => {
                    let names = table.iter().map(|(name, _)| *name);
                    self.unknown_key(&value, &entry.key, names);
                }
            }
        }
    }

    fn unknown_key(&mut self, at: &At<'_>, key: &str, known: impl Iterator<Item = &'static str>) {
        let near = nearest(key, known);
        let home = homes::of(key).filter(|_| self.has_homes);
        // A key may be a value that slipped: it is shown only when it looks like a key.
        let shown = if mask::looks_secret(key) { "***" } else { key };
        let said = self.error_at_key(at, format!("unknown key `{shown}`"));
        match (home, near) {
            (Some(home), _) => said.help(format!("it belongs under `{home}:`")),
            (None, Some(near)) => said.help(format!("did you mean `{near}`?")),
            (None, None) => {}
        }
    }

    /// The entries of a map; anything else is a problem.
    pub(super) fn entries<'n>(&mut self, at: &At<'n>) -> &'n [Entry] {
        match &at.node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            _ => {
                self.error(at, format!("must be a map of keys and values, not {}", at.node.what()));
                &[]
            }
        }
    }

    /// The items of a list; anything else is a problem.
    pub(super) fn items<'n>(&mut self, at: &At<'n>) -> &'n [Node] {
        match &at.node.kind {
            Kind::List(items) => items,
            Kind::Null => &[],
            Kind::Text(_) | Kind::Int(..) | Kind::Bool(_) | Kind::Float(..) => {
                let (shown, what) = (at.shown(), at.node.what());
                let said = self.error(at, format!("must be a list, not {what}"));
                if let Some(text) = shown.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
                    said.help(format!("write [{}]", quoted(text)));
                }
                &[]
            }
            Kind::Map(_) => {
                self.error(at, "must be a list, not a map").help("begin each item with `- `");
                &[]
            }
        }
    }

    /// A text, `os.environ/` resolved. A number or a boolean is a problem: YAML may have changed its spelling.
    pub(super) fn text(&mut self, at: &At<'_>) -> Option<String> {
        match &at.node.kind {
            Kind::Text(text) => self.resolved(at, text),
            Kind::Int(_, text) | Kind::Float(_, text) => {
                let message = format!("must be a text, but {} is a number", at.shown());
                let fix =
                    if at.secret { "put it in quotes".to_owned() } else { format!("write {}", quoted(text)) };
                self.error(at, message).help(fix);
                None
            }
            Kind::Bool(_) => {
                self.error(at, format!("must be a text, but YAML reads {} as a boolean", at.shown()))
                    .help("put it in quotes");
                None
            }
            _ => {
                self.error(at, format!("must be a text, not {}", at.node.what()));
                None
            }
        }
    }

    fn resolved(&mut self, at: &At<'_>, text: &str) -> Option<String> {
        let Some(name) = text.strip_prefix(PREFIX) else { return Some(text.to_owned()) };
        let value = self.env(name);
        if value.is_none() {
            self.error(at, format!("the environment variable `{name}` is not set"))
                .help("set it, or give it under `environment_variables:`");
        }
        value
    }

    /// What a scalar says once `os.environ/` is resolved, for values that are not texts; the flag tells that
    /// it came from a variable.
    fn scalar(&mut self, at: &At<'_>) -> Option<(String, bool)> {
        match &at.node.kind {
            Kind::Text(text) => Some((self.resolved(at, text)?, text.starts_with(PREFIX))),
            Kind::Int(_, text) | Kind::Float(_, text) => Some((text.clone(), false)),
            _ => None,
        }
    }

    pub(super) fn bool(&mut self, at: &At<'_>) -> Option<bool> {
        if let Kind::Bool(value) = at.node.kind {
            return Some(value);
        }
        if let Kind::Text(text) = &at.node.kind {
            let (value, from_env) = (self.resolved(at, text)?, text.starts_with(PREFIX));
            let read = match value.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            };
            match (read, from_env) {
                (Some(value), true) => return Some(value),
                (Some(value), false) => {
                    // LiteLLM's Python takes any text for true, even "false".
                    self.error(at, format!("must be true or false, but {} is a text", at.shown()))
                        .help(format!("write {value} without quotes"));
                    return None;
                }
                (None, true) => {
                    self.error(at, "must be true or false, but the environment variable says something else");
                    return None;
                }
                (None, false) => {}
            }
        }
        self.error(at, format!("must be true or false, not {}", at.shown()));
        None
    }

    /// A finite number of at least `least`.
    pub(super) fn number(&mut self, at: &At<'_>, least: f64) -> Option<f64> {
        let number = match &at.node.kind {
            Kind::Int(value, _) => Some(*value as f64),
            Kind::Float(value, _) => Some(*value),
            Kind::Text(_) => self.scalar(at)?.0.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number.is_finite() && number >= least => Some(number),
            Some(_) => {
                self.error(at, format!("must be {least} or more, not {}", at.shown()));
                None
            }
            None => {
                self.error(at, format!("must be a number, not {}", at.shown()));
                None
            }
        }
    }

    /// A whole number within the bounds.
    pub(super) fn whole(&mut self, at: &At<'_>, least: i64, most: i64) -> Option<i64> {
        let number = match &at.node.kind {
            Kind::Int(value, _) => Some(*value),
            // `1000.0` and `1e6` are whole.
            Kind::Float(value, _) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
            Kind::Text(_) => self.scalar(at)?.0.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(_) if most == i64::MAX => {
                self.error(at, format!("must be {least} or more, not {}", at.shown()));
                None
            }
            Some(_) => {
                self.error(at, format!("must be between {least} and {most}, not {}", at.shown()));
                None
            }
            None => {
                self.error(at, format!("must be a whole number, not {}", at.shown()));
                None
            }
        }
    }

    pub(super) fn count(&mut self, at: &At<'_>) -> Option<u32> {
        self.whole(at, 0, i64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok())
    }

    /// How many at once: 1 or more.
    pub(super) fn places(&mut self, at: &At<'_>) -> Option<u64> {
        self.whole(at, 1, i64::from(u32::MAX)).map(i64::unsigned_abs)
    }

    /// Seconds of 0 or more; of more than 0 when a wait of nothing makes no sense.
    pub(super) fn seconds(&mut self, at: &At<'_>, zero: bool) -> Option<Duration> {
        let seconds = self.number(at, 0.0)?;
        if seconds == 0.0 && !zero {
            self.error(at, "must be more than 0 seconds")
                .help("leave the key out to have no limit of your own");
            return None;
        }
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if duration.as_secs() <= 366 * 86_400 => Some(duration),
            _ => {
                self.error(at, format!("{} seconds is more than a year", at.shown()));
                None
            }
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, at: &At<'_>) -> Vec<String> {
        let items = self.items(at);
        items.iter().enumerate().filter_map(|(i, node)| self.text(&at.item(i, node))).collect()
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, at: &At<'_>, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(at)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let near = nearest(&text, words.iter().map(|(word, _)| *word));
        let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let said = self.error(at, format!("must be {}, not {}", all.join(" or "), at.shown()));
        if let Some(near) = near {
            said.help(format!("did you mean `{near}`?"));
        }
        None
    }

    /// Any value as JSON, `os.environ/` resolved at every depth.
    pub(super) fn json(&mut self, at: &At<'_>) -> Option<Value> {
        Some(match &at.node.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value, _) => Value::from(*value),
            Kind::Float(value, _) => match Number::from_f64(*value) {
                Some(number) => Value::Number(number),
                None => {
                    self.error(at, format!("{} is no number JSON can hold", at.shown()));
                    return None;
                }
            },
            Kind::Text(text) => Value::String(self.resolved(at, text)?),
            Kind::List(items) => {
                let items = items.iter().enumerate();
                Value::Array(items.filter_map(|(i, node)| self.json(&at.item(i, node))).collect())
            }
            Kind::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    if let Some(value) = self.json(&at.entry(entry)) {
                        map.insert(entry.key.clone(), value);
                    }
                }
                Value::Object(map)
            }
        })
    }
}

/// No key but those of the table.
pub(super) fn strict<T>(_: &mut T, _: &At<'_>, _: &str, _: &mut Scope<'_>) -> bool {
    false
}

/// A text as YAML takes it for one whatever it holds.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The known name that `word` was probably meant to be.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .map(|name| (strsim::osa_distance(&word, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(word.len()) / 4 && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

//! The fallbacks a request names itself: names of model groups, or LiteLLM's objects. Reads the body; knows no
//! configuration.

use serde_json::{Map, Value};
use tagway_core::wire::peek::{Known, Peek};

use crate::tags::{Malformed, kind_of};

/// A model group to fall back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) model: String,
    /// Fields that replace the request's own (`{"model": "b", "messages": [...]}`).
    pub(crate) fields: Map<String, Value>,
}

impl Target {
    /// The same request to another group.
    pub(crate) fn named(model: String) -> Self {
        Self { model, fields: Map::new() }
    }
}

/// The fallbacks of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets(Vec<(Option<String>, Target)>);

impl Targets {
    /// The request wants none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of those for a request that asked for `model`.
    pub(crate) fn names(&self, model: &str) -> impl Iterator<Item = &str> {
        let meant = self.0.iter().filter(move |(from, _)| from.as_deref().is_none_or(|from| from == model));
        meant.map(|(_, target)| target.model.as_str())
    }

    /// Those for a request that asked for `model`.
    pub(crate) fn of(&self, model: &str) -> Vec<Target> {
        let meant = self.0.iter().filter(|(from, _)| from.as_deref().is_none_or(|from| from == model));
        meant.map(|(_, target)| target.clone()).collect()
    }
}

/// Reads a field: a list of names, of `{"from": ["to"]}` or of `{"model": "to", ...}`.
///
/// # Errors
/// It holds something else.
pub(crate) fn read(peek: &Peek<'_>, known: Known, name: &'static str) -> Result<Option<Targets>, Malformed> {
    let Some(json) = peek.json(known).filter(|json| *json != "null") else { return Ok(None) };
    let list: Option<Vec<Value>> = serde_json::from_str(json).ok();
    let mut targets = Vec::new();
    let complete = list.is_some_and(|list| list.into_iter().all(|item| add(item, &mut targets).is_some()));
    if complete {
        return Ok(Some(Targets(targets)));
    }
    Err(Malformed {
        name,
        message: format!(
            "Invalid type for '{name}': expected a list of model names, but got {} instead.",
            if json.starts_with('[') { "a list of something else" } else { kind_of(json) }
        ),
    })
}

fn add(item: Value, targets: &mut Vec<(Option<String>, Target)>) -> Option<()> {
    match item {
        Value::String(model) => targets.push((None, Target::named(model))),
        Value::Object(mut fields) => {
            if let Some(Value::String(model)) = fields.shift_remove("model") {
                targets.push((None, Target { model, fields }));
                return Some(());
            }
            for (from, to) in fields {
                for model in to.as_array()? {
                    let target = Target::named(model.as_str()?.to_owned());
                    targets.push((Some(from.clone()), target));
                }
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str, model: &str) -> Option<Vec<String>> {
        let targets = read(&Peek::read(body.as_bytes()).unwrap(), Known::Fallbacks, "fallbacks").unwrap()?;
        Some(targets.of(model).into_iter().map(|target| target.model).collect())
    }

    #[test]
    fn names_objects_and_mappings_are_fallbacks() {
        assert_eq!(names("{}", "m"), None);
        assert_eq!(names(r#"{"fallbacks":null}"#, "m"), None);
        assert_eq!(names(r#"{"fallbacks":[]}"#, "m"), Some(vec![]));
        let all = r#"{"fallbacks":["a",{"model":"b","messages":[]},{"m":["c","d"]},{"other":["e"]}]}"#;
        assert_eq!(names(all, "m"), Some(vec!["a".into(), "b".into(), "c".into(), "d".into()]));
    }

    #[test]
    fn anything_else_is_refused() {
        for body in [r#"{"fallbacks":"a"}"#, r#"{"fallbacks":[1]}"#, r#"{"fallbacks":[{"m":"a"}]}"#] {
            let peek = Peek::read(body.as_bytes()).unwrap();
            assert_eq!(read(&peek, Known::Fallbacks, "fallbacks").unwrap_err().name, "fallbacks");
        }
    }
}

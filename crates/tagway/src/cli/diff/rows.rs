//! A log of requests as tagway exports it: CSV with a row of names, JSON, or a JSON object on each line. Reads what
//! routing and cost depend on; knows nothing of configurations.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};
use tagway_core::money::Nanos;
use tagway_core::tag::Origin;

/// One row: a request, or several alike.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) model: String,
    pub(super) tags: Vec<(String, Option<Origin>)>,
    pub(super) path: String,
    pub(super) key_alias: String,
    pub(super) team_id: String,
    pub(super) team_alias: String,
    pub(super) user_id: String,
    pub(super) customer: String,
    pub(super) requests: u64,
    pub(super) spend: Nanos,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['[', '{']) { of_json(text) } else { of_csv(text) }
}

fn of_json(text: &str) -> Result<Vec<Row>, String> {
    let rows = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(rows)) => rows,
        Ok(mut whole) => match whole.get_mut("data").map(Value::take) {
            Some(Value::Array(rows)) => rows,
            _ => vec![whole],
        },
        // Not one value: one on each line.
        Err(_) => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let read = |(at, line): (usize, &str)| {
                serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))
            };
            lines.map(read).collect::<Result<_, _>>()?
        }
    };
    let object = |(at, row): (usize, &Value)| match row {
        Value::Object(fields) => Ok(of_object(fields)),
        _ => Err(format!("entry {}: no object", at + 1)),
    };
    rows.iter().enumerate().map(object).collect()
}

fn of_object(fields: &Map<String, Value>) -> Row {
    let within = |name: &str| fields.get("metadata").and_then(|metadata| metadata.get(name));
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| fields.get(*name).or_else(|| within(name))?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let count = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
    let tags = ["tags", "request_tags"].iter().find_map(|name| fields.get(*name).filter(|it| !it.is_null()));
    Row {
        model: text(&["asked_model", "original_model_group", "model_group", "model"]),
        tags: tags.map(tags_of).unwrap_or_default(),
        path: path(&text(&["endpoint", "call_type"])),
        key_alias: text(&["key_alias", "user_api_key_alias"]),
        team_id: text(&["team_id"]),
        team_alias: text(&["team_alias", "user_api_key_team_alias"]),
        user_id: text(&["user_id", "user"]),
        customer: text(&["end_user"]),
        requests: fields.get("requests").and_then(Value::as_u64).unwrap_or(1),
        spend: fields.get("spend").and_then(Value::as_f64).map(Nanos::from_dollars).unwrap_or_default(),
        prompt_tokens: count("prompt_tokens"),
        completion_tokens: count("completion_tokens"),
    }
}

/// Tags as texts, or with their origin; as a list, or as the JSON text of one.
fn tags_of(value: &Value) -> Vec<(String, Option<Origin>)> {
    let tag = |tag: &Value| match tag {
        Value::String(text) => Some((text.clone(), None)),
        tag => Some((tag.get("tag")?.as_str()?.to_owned(), tag.get("origin")?.as_str().and_then(origin))),
    };
    match value {
        Value::Array(tags) => tags.iter().filter_map(tag).collect(),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(list @ Value::Array(_)) => tags_of(&list),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn origin(name: &str) -> Option<Origin> {
    use Origin::{
        Body, Customer, Header, Key, LitellmMetadata, Metadata, Organization, Project, Rule, Team, User,
    };
    let all =
        [Header, Body, Metadata, LitellmMetadata, Key, Team, Project, Organization, User, Customer, Rule];
    all.into_iter().find(|origin| origin.as_str() == name)
}

/// The path of an endpoint, or of LiteLLM's name for what it does.
fn path(name: &str) -> String {
    match name {
        "atext_completion" => "/v1/completions".to_owned(),
        "aembedding" => "/v1/embeddings".to_owned(),
        "aresponses" => "/v1/responses".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        _ => String::new(),
    }
}

fn of_csv(text: &str) -> Result<Vec<Row>, String> {
    let mut records = records(text).into_iter();
    let names = records.next().ok_or("the file is empty")?;
    let columns: HashMap<&str, usize> =
        names.iter().enumerate().map(|(at, name)| (name.trim(), at)).collect();
    let known = |name: &str| columns.contains_key(name);
    if !(known("asked_model") || known("model_group")) || !known("tags") {
        return Err(
            "no log of requests: the columns `asked_model` (or `model_group`) and `tags` are needed, \
                    as `GET /spend/logs?format=csv` and `GET /spend/export` give them"
                .to_owned(),
        );
    }
    let row = |record: &Vec<String>| {
        let cell =
            |name: &str| columns.get(name).and_then(|at| record.get(*at)).map_or("", |cell| plain(cell));
        let text = |name: &str| cell(name).to_owned();
        let count = |name: &str| cell(name).parse::<u64>().unwrap_or_default();
        let asked = if known("asked_model") { "asked_model" } else { "model_group" };
        Row {
            model: text(asked),
            tags: tags_of(&Value::String(text("tags"))),
            path: path(cell("endpoint")),
            key_alias: text("key_alias"),
            team_id: text("team_id"),
            team_alias: text("team_alias"),
            user_id: text("user_id"),
            customer: text("end_user"),
            requests: if known("requests") { count("requests") } else { 1 },
            spend: cell("spend").parse().map(Nanos::from_dollars).unwrap_or_default(),
            prompt_tokens: count("prompt_tokens"),
            completion_tokens: count("completion_tokens"),
        }
    };
    Ok(records.map(|record| row(&record)).collect())
}

/// A cell without the quote that keeps a spreadsheet from running it.
fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => rest,
        _ => cell,
    }
}

/// The records of RFC 4180.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            c if quoted => cell.push(c),
            ',' => record.push(std::mem::take(&mut cell)),
            '\n' => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records.retain(|record| record.iter().any(|cell| !cell.is_empty()));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_read_as_it_is_written() {
        let text = "asked_model,tags,spend,error\r\nm,\"[\"\"a\"\",\"\"b,c\"\"]\",0.5,\"two\nlines\"\r\n\"'=m\",[],,\r\n";
        let rows = of_csv(text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].tags, [("a".to_owned(), None), ("b,c".to_owned(), None)]);
        assert_eq!((rows[0].spend, rows[0].requests), (Nanos(500_000_000), 1));
        assert_eq!((rows[1].model.as_str(), rows[1].tags.len()), ("=m", 0));
    }

    #[test]
    fn json_is_a_list_an_object_with_data_or_lines() {
        let row = r#"{"asked_model":"m","tags":[{"tag":"a","origin":"team"}],"spend":1}"#;
        for text in
            [format!("[{row}]"), format!(r#"{{"data":[{row}],"total":1}}"#), format!("{row}\n{row}\n")]
        {
            let rows = of_json(&text).unwrap();
            assert_eq!(rows[0].tags, [("a".to_owned(), Some(Origin::Team))]);
        }
        assert!(of_json("[1]").is_err() && of_json("{\"a\":1}\nx").is_err());
        assert!(of_csv("a,b\n1,2\n").is_err());
    }
}

//! Answers for people and for programs.

use std::io::Write as _;

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints an answer: a list as rows with these columns, an object as its fields.
pub(super) fn print(value: &Value, columns: &[&str], output: Output) {
    let text = match output {
        Output::Json => format!("{value:#}"),
        Output::Table => table(value, columns),
    };
    // A closed pipe is the reader's wish.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn table(value: &Value, columns: &[&str]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    match value {
        Value::Array(items) if items.is_empty() => return "none".to_owned(),
        Value::Array(items) => {
            table.set_header(columns.iter().copied());
            for item in items {
                table.add_row(columns.iter().map(|column| cell(at(item, column))));
            }
        }
        Value::Object(fields) => {
            table.set_header(["field", "value"]);
            for (name, value) in fields.iter().filter(|(_, value)| !says_nothing(value)) {
                table.add_row([name.clone(), cell(value)]);
            }
        }
        other => return cell(other),
    }
    table.to_string()
}

/// A field, or with dots one within it.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(value, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

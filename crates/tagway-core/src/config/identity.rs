//! The id of a deployment that names none: a hash of what its entry says. It does not depend on the entry's
//! place, on the order of its keys, on includes or on the value of any secret, so that restarts, edits
//! elsewhere and key rotation keep counters and cooldowns where they belong.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::mask;
use super::yaml::{Kind, Node};

/// The id of an entry of `model_list`: 64 hexadecimal digits.
pub(super) fn of_entry(node: &Node) -> String {
    let mut canonical = String::new();
    write(node, false, &mut canonical);
    let mut id = String::with_capacity(64);
    for byte in Sha256::digest(canonical.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// Everything with its length, so that no two entries read the same.
fn write(node: &Node, secret: bool, out: &mut String) {
    match &node.kind {
        Kind::Null => out.push('n'),
        Kind::Bool(value) => out.push(if *value { 't' } else { 'f' }),
        Kind::Int(_, _) | Kind::Float(_, _) | Kind::Text(_) if secret && !is_variable(node) => out.push('*'),
        Kind::Int(value, _) => text('i', &value.to_string(), out),
        Kind::Float(value, _) => text('d', &value.to_string(), out),
        Kind::Text(value) => text('s', value, out),
        Kind::List(items) => {
            out.push('[');
            items.iter().for_each(|item| write(item, secret, out));
            out.push(']');
        }
        Kind::Map(entries) => {
            let mut entries: Vec<_> =
                entries.iter().filter(|entry| !matches!(entry.value.kind, Kind::Null)).collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for entry in entries {
                text('k', &entry.key, out);
                write(&entry.value, secret || mask::is_secret(&entry.key), out);
            }
            out.push('}');
        }
    }
}

/// The name of a variable is no secret, and tells two keys of one provider apart.
fn is_variable(node: &Node) -> bool {
    matches!(&node.kind, Kind::Text(text) if text.starts_with("os.environ/"))
}

fn text(kind: char, text: &str, out: &mut String) {
    out.push(kind);
    out.push_str(&text.len().to_string());
    out.push(':');
    out.push_str(text);
}

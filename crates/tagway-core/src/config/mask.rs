//! Which names hold secrets, and how a line of the file is shown without them. Errs on the side of masking:
//! a masked model name is a nuisance, a shown key is an incident.

use std::ops::Range;

/// Keys whose every value, at any depth, is a secret.
const SECRET_SUBTREES: &[&str] =
    &["environment_variables", "headers", "extra_headers", "default_headers", "aws_session_tags"];

/// Names whose misspellings are treated as the secret they were meant to be.
const COMMON: &[&str] =
    &["api_key", "master_key", "client_secret", "password", "database_url", "redis_url", "aws_session_token"];

const ENDINGS: &[&str] = &[
    "key",
    "keys",
    "token",
    "tokens",
    "_pat",
    "dsn",
    "cookie",
    "authorization",
    "credential",
    "credentials",
];

const PARTS: &[&str] =
    &["secret", "password", "passwd", "credential", "database_url", "redis_url", "webhook_url", "conn"];

/// Whether the secrets under this key are known by names that may be shown.
pub(super) fn holds_names(key: &str) -> bool {
    SECRET_SUBTREES.contains(&key.to_ascii_lowercase().as_str())
}

/// Whether a value under this key must never be shown.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    if SECRET_SUBTREES.contains(&key.as_str()) {
        return true;
    }
    // Prices, limits and names speak of tokens and keys without holding one.
    let harmless = key.contains("cost") || key.contains("max_") || key.ends_with("_name");
    if harmless || matches!(key.as_str(), "input_tokens" | "output_tokens" | "tokens" | "monkey") {
        return false;
    }
    ENDINGS.iter().any(|end| key.ends_with(end))
        || PARTS.iter().any(|part| key.contains(part))
        || COMMON.iter().any(|known| key.len() > 4 && strsim::osa_distance(known, &key) <= 2)
}

/// Whether a text looks like a credential wherever it stands.
pub(super) fn looks_secret(text: &str) -> bool {
    tokens(text).any(|range| is_token_secret(text.get(range).unwrap_or_default()))
        || credentials_in_urls(text).next().is_some()
}

/// A line with the given byte ranges, and whatever looks like a credential, replaced by `***`.
pub(super) fn line(text: &str, secrets: &[Range<usize>]) -> String {
    let mut ranges: Vec<Range<usize>> = secrets.to_vec();
    ranges.extend(tokens(text).filter(|range| is_token_secret(text.get(range.clone()).unwrap_or_default())));
    ranges.extend(credentials_in_urls(text));
    ranges.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut done = 0;
    for range in ranges {
        let (start, end) = (range.start.max(done), range.end.min(text.len()));
        if start >= end {
            continue;
        }
        shown.push_str(text.get(done..start).unwrap_or_default());
        shown.push_str("***");
        done = end;
    }
    shown.push_str(text.get(done..).unwrap_or_default());
    shown
}

/// What to hide of a line of a file that could not be parsed: everything after the colon of a secret-looking
/// key, the whole line when it continues such a key, or everything after any colon once structure is lost.
pub(super) fn unparsed(lines: &[&str], index: usize) -> Vec<Range<usize>> {
    let Some(text) = lines.get(index) else { return Vec::new() };
    let whole = text.len() - text.trim_start().len()..text.len();
    let mut ranges = Vec::new();
    for (colon, _) in text.match_indices([':', '=']) {
        let before = text.get(..colon).unwrap_or_default().trim_end_matches([' ', '"', '\'']);
        let start = before.rfind(|c: char| !is_name(c)).map_or(0, |at| at + 1);
        if is_secret(before.get(start..).unwrap_or_default()) {
            ranges.push(colon + 1..text.len());
        }
    }
    // A value may stand below its key: look up to the nearest line that is indented less.
    let indent = indent_of(text);
    let parent = lines.get(..index).unwrap_or_default().iter().rev().find(|above| {
        !above.trim().is_empty() && (indent_of(above) < indent || above.trim_end().ends_with([':', '|', '>']))
    });
    if let Some(parent) = parent {
        let name = parent.split(':').next().unwrap_or_default().trim().trim_start_matches("- ");
        if is_secret(name.trim_matches(['"', '\''])) {
            ranges.push(whole);
        }
    }
    ranges
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let tail = text.get(rest..)?;
        let start = rest + tail.find(|c| is_name(c) || c == '.')?;
        let tail = text.get(start..)?;
        let end = start + tail.find(|c| !(is_name(c) || c == '.')).unwrap_or(tail.len());
        rest = end;
        Some(start..end)
    })
}

/// Prefixes that providers give their keys.
const KEY_STARTS: &[&str] = &["sk-", "sk_", "gsk_", "xai-", "AKIA", "AIza", "ghp_", "hf_", "pplx-", "nvapi-"];

fn is_token_secret(token: &str) -> bool {
    KEY_STARTS.iter().any(|start| token.len() > start.len() + 2 && token.starts_with(start))
        || is_random(token)
}

/// Long runs of mixed letters and digits with hardly a separator: no model or host looks like this.
fn is_random(token: &str) -> bool {
    let longest = token.split(['-', '_', '.']).map(str::len).max().unwrap_or(0);
    longest >= 20
        && token.bytes().any(|b| b.is_ascii_digit())
        && token.bytes().any(|b| b.is_ascii_alphabetic())
}

/// `user:password` and the query of every URL in the text.
fn credentials_in_urls(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.match_indices("://").flat_map(|(at, _)| {
        let start = at + 3;
        let tail = text.get(start..).unwrap_or_default();
        let end =
            start + tail.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(tail.len());
        let url = text.get(start..end).unwrap_or_default();
        let authority = url.find(['/', '?']).map_or(url, |cut| url.get(..cut).unwrap_or_default());
        let user = authority.rfind('@').map(|at| start..start + at);
        let query = url.find('?').map(|at| start + at + 1..end);
        user.into_iter().chain(query)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known() {
        for key in ["api_key", "MASTER_KEY", "api-key", "aws_secret_access_key", "api_kye", "redis_password"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in
            ["input_cost_per_token", "max_tokens", "litellm_key_header_name", "model", "api_base", "tags"]
        {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn a_line_is_shown_without_credentials() {
        assert_eq!(line("url: https://me:pw@host/v1?key=1 # x", &[]), "url: https://***@host/v1?*** # x");
        assert_eq!(line("foo: sk-abcdef, bar", &[]), "foo: ***, bar");
        assert_eq!(line("model: gpt-4o-mini-2024-07-18", &[]), "model: gpt-4o-mini-2024-07-18");
        assert_eq!(unparsed(&["api_key:", "\thunter2"], 1), vec![1..8]);
        assert_eq!(unparsed(&["a: 1", "  api_key: hunter2 :"], 1), vec![10..20]);
    }
}

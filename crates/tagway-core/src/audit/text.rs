//! Findings as text for people: grouped, with what to do about each group.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Check, Finding, Weight};

/// The findings in words. `left_out` says how many more there are of a check than are listed.
pub fn in_words(
    findings: &[Finding],
    left_out: &BTreeMap<Check, u64>,
    moment: impl Fn(i64) -> String,
) -> String {
    let mut text = String::new();
    for check in Check::ALL {
        let of_check: Vec<&Finding> = findings.iter().filter(|finding| finding.check == check).collect();
        if of_check.is_empty() {
            continue;
        }
        let more = left_out.get(&check).copied().unwrap_or(0);
        let count = of_check.len() as u64 + more;
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{} ({count})", check.heading());
        let width =
            of_check.iter().map(|finding| subject(finding).chars().count()).max().unwrap_or(0).min(40);
        for finding in of_check {
            let mark = match finding.weight {
                Weight::Error => "✗",
                Weight::Warning => "!",
                Weight::Note => "·",
            };
            let _ = write!(text, "  {mark} {:width$}  {}", shown(subject(finding)), shown(&finding.message));
            let mut beside = Vec::new();
            beside.extend(finding.requests.filter(|count| 0 < *count).map(|count| match count {
                1 => "1 request".to_owned(),
                count => format!("{count} requests"),
            }));
            beside.extend(finding.spend.filter(|spend| 0 < spend.0).map(|spend| format!("{spend} dollars")));
            beside.extend(finding.last_used.map(|at| format!("last used {}", moment(at))));
            if !beside.is_empty() {
                let _ = write!(text, " ({})", beside.join(", "));
            }
            text.push('\n');
        }
        if 0 < more {
            let _ = writeln!(text, "    … and {more} more");
        }
        let _ = writeln!(text, "  → {}\n", check.advice());
    }
    if text.is_empty() {
        text.push_str("Nothing found: the vocabulary is in order.\n");
        return text;
    }
    let count = |weight: Weight| findings.iter().filter(|finding| finding.weight == weight).count();
    let _ = writeln!(
        text,
        "{} errors, {} warnings, {} notes listed",
        count(Weight::Error),
        count(Weight::Warning),
        count(Weight::Note)
    );
    text
}

fn subject(finding: &Finding) -> &str {
    finding.name.as_deref().unwrap_or(&finding.subject)
}

/// A name that a terminal shows as it is: no control characters.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

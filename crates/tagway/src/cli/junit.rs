//! Route tests as JUnit's XML, which pipelines show. Knows the form, and not what is tested.

use std::path::Path;

use super::route_tests::Outcome;

/// A report of all cases of a file.
pub(super) fn report(file: &Path, outcomes: &[Outcome]) -> String {
    let (file, total) = (escaped(&file.display().to_string()), outcomes.len());
    let failed = outcomes.iter().filter(|outcome| !outcome.passes()).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"tagway\" tests=\"{total}\" failures=\"{failed}\" errors=\"0\">\n  <testsuite name=\"{file}\" tests=\"{total}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\">\n"
    );
    for outcome in outcomes {
        let name = escaped(&outcome.name);
        text.push_str(&format!(
            "    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{}\"",
            outcome.line
        ));
        let Some(first) = outcome.wrong.first() else {
            text.push_str("/>\n");
            continue;
        };
        let message = escaped(&format!("expected {}, found {}", first.expected, first.found));
        text.push_str(&format!(
            ">\n      <failure message=\"{message}\">{}</failure>\n    </testcase>\n",
            escaped(&outcome.reasons())
        ));
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// A text as XML may hold it, in attributes too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            // XML 1.0 knows no others, not even as references.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

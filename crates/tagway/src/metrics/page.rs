//! The text formats of Prometheus: its own (0.0.4) and OpenMetrics (1.0.0). Knows no metric by name.

use std::fmt::Write as _;

use tagway_core::metrics::{Family, Kind};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    /// The one that an `Accept` header likes most.
    pub(crate) fn accepted(accept: &str) -> Self {
        let liking = |wanted: &str| {
            accept
                .split(',')
                .filter_map(|range| {
                    let mut parts = range.split(';').map(str::trim);
                    let kind = parts.next().filter(|kind| kind.eq_ignore_ascii_case(wanted))?;
                    let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
                    (!kind.is_empty()).then_some(weight.unwrap_or(0.0))
                })
                .fold(0.0, f64::max)
        };
        let open = liking("application/openmetrics-text");
        if 0.0 < open && liking("text/plain") <= open { Self::OpenMetrics } else { Self::Text }
    }

    /// Its name for HTTP.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A label and its value.
pub(super) type Pair<'a> = (&'a str, &'a str);

/// Metrics as text.
pub(crate) struct Page {
    format: Format,
    text: String,
}

impl Page {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(64 << 10) }
    }

    /// The name under which a family's numbers stand.
    fn name(family: &Family) -> (&'static str, &'static str) {
        (family.stem(), if family.kind == Kind::Counter { "_total" } else { "" })
    }

    /// Begins a family: its numbers are to follow before the next one begins.
    pub(crate) fn begin(&mut self, family: &Family) {
        let (stem, ending) = Self::name(family);
        // OpenMetrics knows that a counter's numbers end so.
        let ending = if self.format == Format::Text { ending } else { "" };
        let help = family.help.replace('\\', "\\\\");
        let kind = family.kind.as_str();
        let _ = writeln!(self.text, "# HELP {stem}{ending} {help}\n# TYPE {stem}{ending} {kind}");
    }

    /// A number of a family.
    pub(crate) fn number(&mut self, family: &Family, labels: &[Pair<'_>], value: f64) {
        let (stem, ending) = Self::name(family);
        self.sample(stem, ending, labels, None, value);
    }

    /// A histogram of a family: each bucket's bound in seconds and how many are in it alone, those beyond the last
    /// bound, and the sum of all.
    pub(super) fn histogram(
        &mut self,
        family: &Family,
        labels: &[Pair<'_>],
        buckets: impl Iterator<Item = (f64, u64)>,
        beyond: u64,
        sum: f64,
    ) {
        let mut count = 0;
        for (bound, within) in buckets {
            count += within;
            self.sample(family.name, "_bucket", labels, Some(&format!("{bound:?}")), float(count));
        }
        count += beyond;
        self.sample(family.name, "_bucket", labels, Some("+Inf"), float(count));
        self.sample(family.name, "_sum", labels, None, sum);
        self.sample(family.name, "_count", labels, None, float(count));
    }

    fn sample(&mut self, stem: &str, ending: &str, labels: &[Pair<'_>], bound: Option<&str>, value: f64) {
        self.text.push_str(stem);
        self.text.push_str(ending);
        let bound = bound.map(|bound| ("le", bound));
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(bound) {
            self.text.push(before);
            self.text.push_str(name);
            self.text.push_str("=\"");
            self.value(value);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        // Infinity is spelt otherwise than in Rust; nothing here is infinite.
        let _ = writeln!(self.text, " {value:?}");
    }

    fn value(&mut self, value: &str) {
        for letter in value.chars() {
            match letter {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
    }

    /// All of it.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// A count as Prometheus has it.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_liked_most() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("text/plain, application/openmetrics-text; q=0.1"), Format::Text);
        assert_eq!(Format::accepted("application/openmetrics-text; q=0"), Format::Text);
        assert_eq!(Format::accepted("*/*"), Format::Text);
        assert_eq!(Format::accepted(""), Format::Text);
    }

    #[test]
    fn values_are_escaped() {
        let family = &tagway_core::metrics::requests::TAG_REQUESTS;
        let mut page = Page::new(Format::OpenMetrics);
        page.begin(family);
        page.number(family, &[("tag", "a\"b\\c\nd")], 2.0);
        let text = page.finish();
        assert!(text.contains("\ntagway_tag_requests_total{tag=\"a\\\"b\\\\c\\nd\"} 2.0\n# EOF\n"), "{text}");
        assert!(text.contains("# TYPE tagway_tag_requests counter\n"), "{text}");
    }
}

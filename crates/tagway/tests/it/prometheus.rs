//! A strict reader of what `/metrics` says: whatever Prometheus might stumble over fails the test.

use std::collections::{BTreeMap, BTreeSet};

use crate::gateway::{Answered as _, Gateway};

/// A number, with its name and its labels.
#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All that was told.
pub struct Metrics {
    pub text: String,
    pub samples: Vec<Sample>,
    /// Kinds of families, by the names their lines begin with.
    pub kinds: BTreeMap<String, String>,
}

/// Asks with the master key.
pub async fn metrics(gateway: &Gateway) -> Metrics {
    let answer = gateway.get("/metrics").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    Metrics::read(answer.text().await.unwrap())
}

impl Metrics {
    /// Reads the text format.
    pub fn read(text: String) -> Self {
        let (mut samples, mut kinds) = (Vec::new(), BTreeMap::new());
        let (mut helped, mut current, mut seen) = (None, String::new(), BTreeSet::new());
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && helped.replace(name.to_owned()).is_none(), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(helped.take().as_deref(), Some(name), "a TYPE without its HELP: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                current = name.to_owned();
            } else {
                let sample = Sample::read(line);
                let kind = kinds[&current].as_str();
                let ending =
                    sample.name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} within {current}"));
                match kind {
                    "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&ending), "{line}"),
                    "counter" => {
                        assert!(ending.is_empty() && current.ends_with("_total") && 0.0 <= sample.value)
                    }
                    _ => assert_eq!(ending, "", "{line}"),
                }
                assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
                samples.push(sample);
            }
        }
        let read = Self { text, samples, kinds };
        read.histograms_add_up();
        read
    }

    fn histograms_add_up(&self) {
        for name in self.kinds.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            let bucket = format!("{name}_bucket");
            let mut last: BTreeMap<BTreeMap<String, String>, (f64, f64)> = BTreeMap::new();
            for sample in self.samples.iter().filter(|sample| sample.name == bucket) {
                let mut labels = sample.labels.clone();
                let bound: f64 = labels.remove("le").unwrap().replace('+', "").parse().unwrap();
                let (before, count) = last.insert(labels, (bound, sample.value)).unwrap_or((-1.0, 0.0));
                assert!(before < bound && count <= sample.value, "{sample:?}");
            }
            for sample in self.samples.iter().filter(|sample| sample.name == format!("{name}_count")) {
                assert_eq!(last[&sample.labels], (f64::INFINITY, sample.value));
            }
        }
    }

    /// The sum of a metric's numbers that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).map(|sample| sample.value).sum()
    }

    /// A metric's numbers that have these labels.
    pub fn all<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        let has = |sample: &&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        };
        self.samples.iter().filter(move |sample| sample.name == name).filter(has)
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let end = line.find(['{', ' ']).unwrap();
        let (name, mut rest) = line.split_at(end);
        let named = |name: &str| {
            let mut letters = name.chars();
            let first = letters.next().unwrap();
            assert!(first.is_ascii_alphabetic() || first == '_', "{line}");
            assert!(letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_'), "{line}");
        };
        named(name);
        let mut labels = BTreeMap::new();
        if let Some(mut inside) = rest.strip_prefix('{') {
            while !inside.starts_with('}') {
                let (label, after) = inside.split_once("=\"").unwrap();
                named(label);
                let (mut value, mut letters, mut length) = (String::new(), after.chars(), 1);
                loop {
                    let letter = letters.next().unwrap();
                    length += letter.len_utf8();
                    match letter {
                        '"' => break,
                        '\\' => {
                            let escaped = letters.next().unwrap();
                            length += 1;
                            value.push(match escaped {
                                'n' => '\n',
                                '\\' | '"' => escaped,
                                _ => panic!("{line}"),
                            });
                        }
                        other => value.push(other),
                    }
                }
                assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
                inside = after[length - 1..].trim_start_matches(',');
            }
            rest = &inside[1..];
        }
        let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
        Self { name: name.to_owned(), labels, value }
    }
}

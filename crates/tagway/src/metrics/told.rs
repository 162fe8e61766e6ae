//! From cells to what is told: each metric has its own labels, so that cells which differ in others are added up. Runs
//! when somebody asks, and takes nothing from requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;
use tagway_core::config::MetricRules;
use tagway_core::metrics::{Family, Label, requests, tag_label};

use super::Metrics;
use super::cell::{BUCKETS, Bounds, Cell, Histogram, LATENCY, OVERHEAD, Times, Used};
use super::name::{OTHER, What};
use super::page::{Page, float};

/// Where a metric's numbers are.
enum Source {
    /// How many of these.
    Count(&'static [What]),
    Used(What, fn(&Used) -> &AtomicU64),
    /// In nano-dollars.
    Spent(What),
    Times(&'static Bounds, fn(&Times) -> &Histogram),
}

/// All metrics of requests.
const SOURCES: &[(&Family, Source)] = {
    use Source::{Count, Spent, Times, Used};
    use What::{CallFailed, Cooled, Failed, FellBack, FellBackInVain, Retried, Served, Tag, Undecided};
    &[
        (&requests::REQUESTS, Count(&[Served, Failed])),
        (&requests::FAILED, Count(&[Failed])),
        (&requests::SERVED, Count(&[Served])),
        (&requests::LATENCY, Times(&LATENCY, |times| &times.total)),
        (&requests::API_LATENCY, Times(&LATENCY, |times| &times.provider)),
        (&requests::FIRST_TOKEN, Times(&LATENCY, |times| &times.first_token)),
        (&requests::OVERHEAD, Times(&OVERHEAD, |times| &times.overhead)),
        (&requests::PER_TOKEN, Times(&LATENCY, |times| &times.per_token)),
        (&requests::SPEND, Spent(Served)),
        (&requests::TOTAL_TOKENS, Used(Served, |used| &used.total)),
        (&requests::INPUT_TOKENS, Used(Served, |used| &used.input)),
        (&requests::OUTPUT_TOKENS, Used(Served, |used| &used.output)),
        (&requests::CACHED_TOKENS, Used(Served, |used| &used.cache_read)),
        (&requests::CACHE_WRITES, Used(Served, |used| &used.cache_write)),
        (&requests::AUDIO_INPUT, Used(Served, |used| &used.audio_in)),
        (&requests::REASONING, Used(Served, |used| &used.reasoning)),
        (&requests::AUDIO_OUTPUT, Used(Served, |used| &used.audio_out)),
        (&requests::UNPRICED, Used(Served, |used| &used.unpriced)),
        (&requests::ESTIMATED, Used(Served, |used| &used.estimated)),
        (&requests::CALLS, Count(&[Served, CallFailed])),
        (&requests::CALLS_SERVED, Count(&[Served])),
        (&requests::CALLS_FAILED, Count(&[CallFailed])),
        (&requests::COOLED_DOWN, Count(&[Cooled])),
        (&requests::FELL_BACK, Count(&[FellBack])),
        (&requests::FELL_BACK_IN_VAIN, Count(&[FellBackInVain])),
        (&requests::RETRIES, Count(&[Retried])),
        (&requests::DECISIONS, Count(&[Served, Undecided])),
        (&requests::TAG_REQUESTS, Count(&[Tag])),
        (&requests::TAG_SPEND, Spent(Tag)),
        (&requests::TAG_INPUT_TOKENS, Used(Tag, |used| &used.input)),
        (&requests::TAG_OUTPUT_TOKENS, Used(Tag, |used| &used.output)),
    ]
};

/// Values of a metric's labels.
type Row<'a> = SmallVec<[&'a str; 12]>;

/// How a metric is told.
struct Shape<'a> {
    family: &'a Family,
    labels: Vec<Label>,
    /// Its labels' names, those of tags behind the others.
    names: Vec<&'a str>,
    /// How many of them are tags.
    tags: usize,
}

/// Tells what requests have done.
pub(crate) fn tell(page: &mut Page, metrics: &Metrics, rules: &MetricRules) {
    let cells = metrics.cells();
    let tags: Vec<String> = rules.tags.iter().map(|tag| tag_label(tag)).collect();
    for (family, source) in SOURCES {
        let Some(labels) = rules.labels(family) else { continue };
        let tags = if family.is_tagged() { tags.as_slice() } else { &[] };
        let names = labels.iter().map(|label| label.name()).chain(tags.iter().map(String::as_str)).collect();
        let shape = Shape { family, labels, names, tags: tags.len() };
        page.begin(family);
        match source {
            Source::Count(what) => shape.numbers(page, of(&cells, what), 1.0, |cell| Some(&cell.count)),
            Source::Used(what, used) => {
                shape.numbers(page, of(&cells, std::slice::from_ref(what)), 1.0, |cell| {
                    Some(used(cell.used.as_ref()?))
                })
            }
            Source::Spent(what) => shape.numbers(page, of(&cells, std::slice::from_ref(what)), 1e9, |cell| {
                Some(&cell.used.as_ref()?.spend)
            }),
            Source::Times(bounds, times) => {
                shape.histograms(page, of(&cells, &[What::Served]), bounds, |cell| {
                    Some(times(cell.times.as_ref()?))
                });
            }
        }
    }
}

/// The cells of these.
fn of<'c>(cells: &'c [Arc<Cell>], what: &[What]) -> impl Iterator<Item = &'c Cell> {
    cells.iter().map(|cell| &**cell).filter(|cell| what.contains(&cell.labels.what))
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl Shape<'_> {
    fn row<'c>(&self, cell: &'c Cell) -> Row<'c> {
        let labels = &cell.labels;
        let tag = |bit: usize| match labels.tags {
            u32::MAX if labels.others => OTHER,
            tags if tags >> bit & 1 == 1 => "true",
            _ => "false",
        };
        self.labels.iter().map(|label| labels.get(*label)).chain((0..self.tags).map(tag)).collect()
    }

    fn pairs<'p>(&'p self, row: &'p [&'p str]) -> SmallVec<[(&'p str, &'p str); 12]> {
        self.names.iter().copied().zip(row.iter().copied()).collect()
    }

    /// Adds up and tells numbers; what is nothing is not told.
    fn numbers<'c>(
        &self,
        page: &mut Page,
        cells: impl Iterator<Item = &'c Cell>,
        unit: f64,
        number: impl Fn(&'c Cell) -> Option<&'c AtomicU64>,
    ) {
        let mut rows: BTreeMap<Row<'c>, u64> = BTreeMap::new();
        for cell in cells {
            let count = number(cell).map_or(0, read);
            if 0 < count {
                *rows.entry(self.row(cell)).or_default() += count;
            }
        }
        for (row, count) in &rows {
            page.number(self.family, &self.pairs(row), float(*count) / unit);
        }
    }

    fn histograms<'c>(
        &self,
        page: &mut Page,
        cells: impl Iterator<Item = &'c Cell>,
        bounds: &Bounds,
        histogram: impl Fn(&'c Cell) -> Option<&'c Histogram>,
    ) {
        let mut rows: BTreeMap<Row<'c>, ([u64; BUCKETS], u64)> = BTreeMap::new();
        for cell in cells {
            let Some(histogram) = histogram(cell) else { continue };
            let buckets: [u64; BUCKETS] = std::array::from_fn(|at| read(&histogram.buckets[at]));
            if buckets.iter().all(|count| *count == 0) {
                continue;
            }
            let (counts, sum) = rows.entry(self.row(cell)).or_default();
            counts.iter_mut().zip(buckets).for_each(|(count, more)| *count += more);
            *sum += read(&histogram.sum);
        }
        for (row, (counts, sum)) in &rows {
            let buckets = bounds.iter().zip(counts).map(|(bound, count)| (float(*bound) / 1e6, *count));
            page.histogram(self.family, &self.pairs(row), buckets, counts[BUCKETS - 1], float(*sum) / 1e6);
        }
    }
}

#[cfg(test)]
mod tests {
    use tagway_core::metrics::Kind;

    use super::*;

    #[test]
    fn every_metric_of_requests_has_a_source() {
        let told: Vec<&str> = SOURCES.iter().map(|(family, _)| family.name).collect();
        let first = tagway_core::metrics::ALL.iter().position(|family| family.kind == Kind::Gauge).unwrap();
        let named: Vec<&str> = tagway_core::metrics::ALL[..first].iter().map(|family| family.name).collect();
        assert_eq!(told, named);
    }
}

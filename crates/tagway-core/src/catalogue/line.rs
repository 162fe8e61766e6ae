//! A line of a catalogue: `provider/model`, the most tokens in and out, the day of its last change, and prices in
//! dollars for a million: `in=2.5 out=10 in>200000=5 in@flex=1.25`. Numbers are read without floats.

use std::fmt::Write as _;

use crate::price::{Item, Name, Price, Prices};
use crate::usage::Service;

/// What each price is called.
const CODES: [(&str, Item); 8] = [
    ("in", Item::Input),
    ("out", Item::Output),
    ("cr", Item::CacheRead),
    ("cw", Item::CacheWrite),
    ("re", Item::Reasoning),
    ("ai", Item::AudioIn),
    ("ao", Item::AudioOut),
    ("rq", Item::Request),
];

/// Pico-dollars of a unit, when a million of them cost a dollar.
const MILLIONTH: u64 = 1_000_000;

/// What a catalogue says of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'t> {
    /// `provider/model`
    pub name: &'t str,
    /// The most tokens of a prompt.
    pub max_input: Option<u64>,
    /// The most tokens of an answer.
    pub max_output: Option<u64>,
    /// When this was last changed: `2026-11-21`.
    pub updated: &'t str,
    prices: &'t str,
}

impl<'t> Listed<'t> {
    /// Reads a line.
    pub(super) fn read(line: &'t str) -> Option<Self> {
        let mut parts = line.split('\t');
        let name = parts.next()?;
        let (max_input, max_output) = (parts.next()?.parse().ok(), parts.next()?.parse().ok());
        Some(Self { name, max_input, max_output, updated: parts.next()?, prices: parts.next()? })
    }

    /// Its prices.
    pub fn prices(&self) -> Option<Prices> {
        Prices::of(&self.given(), has_inclusive_tiers(self.name.split('/').next().unwrap_or_default()))
    }

    /// Its prices one by one.
    pub fn given(&self) -> Vec<Price> {
        self.prices.split(' ').filter_map(price).collect()
    }
}

/// Whether "above 200k" means "from 200k on" at a provider.
pub(super) fn has_inclusive_tiers(provider: &str) -> bool {
    provider == "xai"
}

/// Whether two lines differ in their dates alone.
pub(super) fn same_but_date(a: &str, b: &str) -> bool {
    let undated = |listed: Listed<'_>| (listed.max_input, listed.max_output, listed.prices.to_owned());
    Listed::read(a).map(undated) == Listed::read(b).map(undated)
}

/// Writes a line.
pub(super) fn write(
    name: &str,
    [max_input, max_output]: [Option<u64>; 2],
    updated: &str,
    given: &[Price],
) -> String {
    let number = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
    let mut line = format!("{name}\t{}\t{}\t{updated}\t", number(max_input), number(max_output));
    for (at, price) in given.iter().enumerate() {
        let Some((code, _)) = CODES.iter().find(|(_, item)| *item == price.name.item) else { continue };
        let space = if at == 0 { "" } else { " " };
        let _ = write!(line, "{space}{code}");
        if 0 < price.name.above {
            let _ = write!(line, ">{}", price.name.above);
        }
        if price.name.service != Service::Standard {
            let _ = write!(line, "@{}", price.name.service.name());
        }
        let (whole, part) = (price.picos / MILLIONTH, price.picos % MILLIONTH);
        let _ = write!(line, "={whole}");
        if 0 < part {
            let _ = write!(line, ".{}", format!("{part:06}").trim_end_matches('0'));
        }
    }
    line
}

/// Reads `in>200000@flex=1.25`.
fn price(text: &str) -> Option<Price> {
    let (what, amount) = text.split_once('=')?;
    let (what, service) = match what.split_once('@') {
        Some((what, service)) => (what, Service::read(service)),
        None => (what, Service::Standard),
    };
    let (code, above) = match what.split_once('>') {
        Some((code, above)) => (code, above.parse().ok()?),
        None => (what, 0),
    };
    let (_, item) = CODES.iter().find(|(known, _)| *known == code)?;
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    let picos = whole.parse::<u64>().ok()?.checked_mul(MILLIONTH)?.checked_add(part)?;
    Some(Price { name: Name { item: *item, above, service }, picos })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            given in prop::collection::vec((0..8_usize, any::<u32>(), 0..4_usize, any::<u64>()), 0..8),
            max: [Option<u64>; 2],
        ) {
            let services = [Service::Standard, Service::Flex, Service::Priority, Service::Ultrafast];
            let given: Vec<Price> = given
                .into_iter()
                .map(|(item, above, service, picos)| {
                    let (above, service) = (above.into(), services[service]);
                    Price { name: Name { item: CODES[item].1, above, service }, picos }
                })
                .collect();
            let line = write("a/b", max, "2026-11-21", &given);
            let read = Listed::read(&line).unwrap();
            prop_assert_eq!([read.max_input, read.max_output], max);
            prop_assert_eq!((read.name, read.updated, read.given()), ("a/b", "2026-11-21", given));
        }
    }
}

//! What tokens cost: the prices of a deployment, compiled to whole numbers, and the cost of a usage by them. Knows
//! LiteLLM's names of prices; knows no models.
//!
//! A price stands in pico-dollars, a cost is summed up in them and rounded once for each of its two parts.

use std::sync::Arc;
use std::time::Duration;

use crate::money::Nanos;
use crate::usage::{Service, Usage};

/// Pico-dollars (10⁻¹² US dollars) in a dollar: fine enough for a tenth of a cent a million tokens.
const PICOS: f64 = 1e12;

/// What has a price of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A token of the prompt.
    Input,
    /// A token of the answer.
    Output,
    /// A token of the prompt that the provider had in its cache.
    CacheRead,
    /// A token of the prompt that the provider put into its cache.
    CacheWrite,
    /// A token of the answer spent on reasoning.
    Reasoning,
    /// A token of audio in the prompt.
    AudioIn,
    /// A token of audio in the answer.
    AudioOut,
    /// The request itself.
    Request,
    /// A second that the call takes, where tokens have no price.
    Second,
    /// The same under another name, which counts where the first one is not given.
    OutputSecond,
}

/// LiteLLM's names.
const NAMES: [(&str, Item); 11] = [
    ("input_cost_per_token", Item::Input),
    ("output_cost_per_token", Item::Output),
    ("cache_read_input_token_cost", Item::CacheRead),
    ("input_cost_per_token_cache_hit", Item::CacheRead),
    ("cache_creation_input_token_cost", Item::CacheWrite),
    ("output_cost_per_reasoning_token", Item::Reasoning),
    ("input_cost_per_audio_token", Item::AudioIn),
    ("output_cost_per_audio_token", Item::AudioOut),
    ("input_cost_per_request", Item::Request),
    ("input_cost_per_second", Item::Second),
    ("output_cost_per_second", Item::OutputSecond),
];

/// What a price is for: `input_cost_per_token_above_200k_tokens_flex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// What it is the price of.
    pub item: Item,
    /// It applies to prompts of more tokens than this.
    pub above: u64,
    /// It applies to calls served like this.
    pub service: Service,
}

impl Name {
    /// Reads LiteLLM's name; `None` for what has no price at the endpoints tagway serves.
    pub fn read(name: &str) -> Option<Self> {
        let exact = NAMES.iter().find(|(known, _)| *known == name).map(|(_, item)| *item);
        if let Some(item) = exact {
            return Some(Self { item, above: 0, service: Service::Standard });
        }
        let (service, rest) = without_service(name);
        let (service, rest, above) = match rest.split_once("_above_") {
            None => (service, rest, 0),
            Some((start, above)) => {
                let above = above.strip_suffix("_tokens")?;
                let (count, unit) =
                    above.strip_suffix('k').map_or((above, 1), |thousands| (thousands, 1000_u64));
                let above = count.parse::<u64>().ok()?.checked_mul(unit)?;
                let (inner, start) = without_service(start);
                (if service == Service::Standard { inner } else { service }, start, above)
            }
        };
        let (_, item) = NAMES.iter().find(|(known, _)| *known == rest)?;
        Some(Self { item: *item, above, service })
    }

    /// Every name without a condition.
    pub fn plain() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}

/// A name without the service tier it ends with.
fn without_service(name: &str) -> (Service, &str) {
    let special = Service::SPECIAL.into_iter().find_map(|service| {
        let rest = name.strip_suffix(service.name())?.strip_suffix('_')?;
        Some((service, rest))
    });
    special.unwrap_or((Service::Standard, name))
}

/// A price as given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// What it is for.
    pub name: Name,
    /// Pico-dollars.
    pub picos: u64,
}

/// The whole number of pico-dollars nearest to a price in dollars.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
pub fn picos(dollars: f64) -> u64 {
    (dollars * PICOS).round() as u64
}

/// The prices of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices(Arc<[Band]>);

/// Prices that hold from a size of the prompt on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Band {
    service: Service,
    /// The least number of tokens in the prompt.
    from: u64,
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    reasoning: u64,
    audio_in: u64,
    audio_out: u64,
    request: u64,
    second: u64,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// The prompt's part.
    pub input: Nanos,
    /// The answer's part.
    pub output: Nanos,
}

impl Cost {
    /// All of it.
    pub fn total(self) -> Nanos {
        self.input + self.output
    }
}

impl Prices {
    /// Prices by LiteLLM's names, in dollars; `None` when neither a prompt's tokens nor the request nor time
    /// have one.
    pub fn new(named: &[(String, f64)]) -> Option<Self> {
        let given: Vec<_> = named
            .iter()
            .filter_map(|(name, dollars)| Some(Price { name: Name::read(name)?, picos: picos(*dollars) }))
            .collect();
        Self::of(&given, false)
    }

    /// The same from prices that were read. `inclusive`: "above 200k" means "from 200k on" at this provider.
    pub fn of(given: &[Price], inclusive: bool) -> Option<Self> {
        let base = |item| given.iter().any(|price| price.name.item == item && price.name.above == 0);
        let bases = [Item::Input, Item::Request, Item::Second, Item::OutputSecond];
        if !bases.into_iter().any(base) {
            return None;
        }
        let mut bands = Vec::new();
        for service in [Service::Standard].into_iter().chain(Service::SPECIAL) {
            let own = |price: &&Price| price.name.service == service;
            if service != Service::Standard && !given.iter().any(|price| own(&price)) {
                continue;
            }
            let shared = |price: &&Price| own(price) || price.name.service == Service::Standard;
            let mut steps: Vec<u64> = given.iter().filter(shared).map(|price| price.name.above).collect();
            steps.push(0);
            steps.sort_unstable();
            steps.dedup();
            bands.extend(
                steps.iter().map(|step| Band::at(given, service, *step, u64::from(!inclusive && *step > 0))),
            );
        }
        Some(Self(bands.into()))
    }

    /// Whether no call costs anything.
    pub fn are_free(&self) -> bool {
        self.0.iter().all(|band| {
            let Band {
                input,
                output,
                cache_read,
                cache_write,
                reasoning,
                audio_in,
                audio_out,
                request,
                second,
                ..
            } = *band;
            [input, output, cache_read, cache_write, reasoning, audio_in, audio_out, request, second]
                == [0; 9]
        })
    }

    /// Dollars for a token of the prompt and of the answer, without any condition.
    pub fn per_token(&self) -> (f64, f64) {
        let Some(band) = self.0.first() else { return (0.0, 0.0) };
        #[expect(clippy::cast_precision_loss, reason = "shown, never added up")]
        let dollars = |picos: u64| picos as f64 / PICOS;
        (dollars(band.input), dollars(band.output))
    }

    /// The prices of a call that took so long: its time is part of what the request itself costs.
    pub fn lasting(self, took: Duration) -> Self {
        if self.0.iter().all(|band| band.second == 0) {
            return self;
        }
        let timed = |band: &Band| {
            let time = took.as_micros().saturating_mul(u128::from(band.second)) / 1_000_000;
            let request = band.request.saturating_add(u64::try_from(time).unwrap_or(u64::MAX));
            Band { request, second: 0, ..*band }
        };
        Self(self.0.iter().map(timed).collect())
    }

    /// What `usage` costs.
    pub fn cost(&self, usage: &Usage) -> Cost {
        let band =
            |service| self.0.iter().rev().find(|band| band.service == service && band.from <= usage.prompt);
        let Some(band) = band(usage.service).or_else(|| band(Service::Standard)) else {
            return Cost::default();
        };
        let cache_read = usage.cache_read.min(usage.prompt);
        let cache_write = usage.cache_write.min(usage.prompt - cache_read);
        let audio_in = usage.audio_in.min(usage.prompt - cache_read - cache_write);
        let reasoning = usage.reasoning.min(usage.completion);
        let audio_out = usage.audio_out.min(usage.completion - reasoning);
        Cost {
            input: sum([
                (usage.prompt - cache_read - cache_write - audio_in, band.input),
                (cache_read, band.cache_read),
                (cache_write, band.cache_write),
                (audio_in, band.audio_in),
                (1, band.request),
            ]),
            output: sum([
                (usage.completion - reasoning - audio_out, band.output),
                (reasoning, band.reasoning),
                (audio_out, band.audio_out),
            ]),
        }
    }
}

impl Band {
    /// The prices for prompts of more than `step` tokens: what is not given there is what holds for smaller ones,
    /// and what a service does not name is what holds for all.
    fn at(given: &[Price], service: Service, step: u64, more: u64) -> Self {
        let price = |item| {
            let holds = |price: &&Price| {
                price.name.item == item
                    && price.name.above <= step
                    && (price.name.service == service || price.name.service == Service::Standard)
            };
            // Of two that hold, the nearer threshold wins, then the service's own.
            let nearest =
                given.iter().filter(holds).max_by_key(|price| (price.name.above, price.name.service));
            nearest.map(|price| price.picos)
        };
        let input = price(Item::Input).unwrap_or(0);
        let output = price(Item::Output).unwrap_or(0);
        let or = |item, other| price(item).unwrap_or(other);
        // A service's own price of answers holds for reasoning too, unless it names that as well.
        let names = |item| given.iter().any(|price| price.name.item == item && price.name.service == service);
        let reasoning = if service != Service::Standard && names(Item::Output) && !names(Item::Reasoning) {
            output
        } else {
            or(Item::Reasoning, output)
        };
        Self {
            service,
            from: step.saturating_add(more),
            input,
            output,
            cache_read: or(Item::CacheRead, input),
            cache_write: or(Item::CacheWrite, input),
            reasoning,
            audio_in: or(Item::AudioIn, input),
            audio_out: or(Item::AudioOut, output),
            request: or(Item::Request, 0),
            // As in LiteLLM, the price of tokens goes before that of time.
            second: match price(Item::Input) {
                Some(_) => 0,
                None => or(Item::Second, or(Item::OutputSecond, 0)),
            },
        }
    }
}

/// Counts at their prices, rounded once.
fn sum<const N: usize>(parts: [(u64, u64); N]) -> Nanos {
    let picos = parts
        .into_iter()
        .fold(0_u128, |sum, (count, price)| sum.saturating_add(u128::from(count) * u128::from(price)));
    Nanos(i64::try_from(picos.saturating_add(500) / 1000).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;

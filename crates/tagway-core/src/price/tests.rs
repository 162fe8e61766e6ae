//! What prices make of usages, and that no order of sizes breaks them.

use proptest::prelude::*;

use super::*;

fn prices(named: &[(&str, f64)]) -> Option<Prices> {
    Prices::new(&named.iter().map(|(name, price)| ((*name).to_owned(), *price)).collect::<Vec<_>>())
}

fn usage(prompt: u64, completion: u64) -> Usage {
    Usage { prompt, completion, ..Usage::NONE }
}

#[test]
fn every_kind_of_token_has_its_price() {
    let prices = prices(&[
        ("input_cost_per_token", 1e-6),
        ("output_cost_per_token", 10e-6),
        ("cache_read_input_token_cost", 0.1e-6),
        ("cache_creation_input_token_cost", 2e-6),
        ("output_cost_per_reasoning_token", 20e-6),
        ("input_cost_per_audio_token", 3e-6),
        ("output_cost_per_audio_token", 30e-6),
        ("input_cost_per_request", 0.005),
    ])
    .unwrap();
    let usage = Usage {
        cache_read: 100,
        cache_write: 10,
        audio_in: 40,
        reasoning: 5,
        audio_out: 2,
        ..usage(1000, 50)
    };
    let cost = prices.cost(&usage);
    assert_eq!(cost.input, Nanos(850_000 + 10_000 + 20_000 + 120_000 + 5_000_000));
    assert_eq!(cost.output, Nanos(430_000 + 100_000 + 60_000));
}

#[test]
fn a_kind_without_a_price_costs_what_its_side_costs() {
    let prices = prices(&[("input_cost_per_token", 1e-6), ("output_cost_per_token", 2e-6)]).unwrap();
    let detailed = Usage { cache_read: 5, audio_in: 1, reasoning: 4, ..usage(10, 10) };
    assert_eq!(prices.cost(&detailed), prices.cost(&usage(10, 10)));
}

#[test]
fn a_long_prompt_has_the_prices_of_its_tier() {
    let prices = prices(&[
        ("input_cost_per_token", 1e-6),
        ("output_cost_per_token", 2e-6),
        ("cache_read_input_token_cost", 0.5e-6),
        ("input_cost_per_token_above_128k_tokens", 3e-6),
        ("input_cost_per_token_above_1000000_tokens", 4e-6),
        ("output_cost_per_token_above_1000000_tokens", 9e-6),
    ])
    .unwrap();
    let cost = |prompt| prices.cost(&usage(prompt, 1));
    assert_eq!(cost(128_000).input, Nanos(128_000_000));
    assert_eq!(cost(128_001).input, Nanos(3 * 128_001_000));
    assert_eq!(cost(128_001).output, Nanos(2000));
    assert_eq!(cost(1_000_001), Cost { input: Nanos(4 * 1_000_001_000), output: Nanos(9000) });
    let cached = prices.cost(&Usage { cache_read: 128_001, ..usage(128_001, 0) });
    assert_eq!(cached.input, Nanos(64_000_500));
}

#[test]
fn a_threshold_belongs_to_the_upper_tier_where_the_provider_says_so() {
    let given = [("input_cost_per_token", 1), ("input_cost_per_token_above_200k_tokens", 2)]
        .map(|(name, picos)| Price { name: Name::read(name).unwrap(), picos: picos * 1000 });
    let cost = |inclusive| Prices::of(&given, inclusive).unwrap().cost(&usage(200_000, 0)).input;
    assert_eq!((cost(false), cost(true)), (Nanos(200_000), Nanos(400_000)));
}

#[test]
fn a_service_tier_has_its_prices_and_everybody_elses_for_the_rest() {
    let prices = prices(&[
        ("input_cost_per_token", 2e-6),
        ("output_cost_per_token", 8e-6),
        ("output_cost_per_reasoning_token", 16e-6),
        ("input_cost_per_token_above_272k_tokens", 4e-6),
        ("input_cost_per_token_flex", 1e-6),
        ("input_cost_per_token_above_272k_tokens_flex", 3e-6),
        ("output_cost_per_token_priority", 9e-6),
    ])
    .unwrap();
    let cost = |service, prompt| prices.cost(&Usage { service, reasoning: 1, ..usage(prompt, 1) });
    assert_eq!(cost(Service::Flex, 1), Cost { input: Nanos(1000), output: Nanos(16_000) });
    assert_eq!(cost(Service::Flex, 300_000).input, Nanos(900_000_000));
    assert_eq!(cost(Service::Priority, 1), Cost { input: Nanos(2000), output: Nanos(9000) });
    assert_eq!(cost(Service::Priority, 300_000).input, Nanos(1_200_000_000));
    assert_eq!(cost(Service::Ultrafast, 1), cost(Service::Standard, 1));
}

#[test]
fn a_price_that_is_not_known_is_not_nothing() {
    assert_eq!(prices(&[]), None);
    assert_eq!(prices(&[("output_cost_per_token", 1.0)]), None);
    assert_eq!(prices(&[("input_cost_per_image", 1.0)]), None);
    assert!(prices(&[("input_cost_per_token", 0.0)]).unwrap().are_free());
}

#[test]
fn time_has_a_price_where_tokens_have_none() {
    let both = [("input_cost_per_second", 0.002), ("output_cost_per_second", 0.5)];
    let took = Duration::from_millis(1500);
    let cost = |named: &[(&str, f64)]| prices(named).unwrap().lasting(took).cost(&usage(10, 10)).total();
    assert_eq!(cost(&both), Nanos(3_000_000));
    assert_eq!(cost(&both[1..]), Nanos(750_000_000));
    assert_eq!(cost(&[both[0], ("input_cost_per_request", 1.0)]), Nanos(1_003_000_000));
    assert_eq!(cost(&[both[0], ("input_cost_per_token", 0.1)]), Nanos(1_000_000_000));
    assert!(!prices(&both).unwrap().are_free());
}

#[test]
fn reads_names() {
    let read = |name| Name::read(name).map(|name| (name.item, name.above, name.service));
    assert_eq!(
        read("cache_read_input_token_cost_above_272k_tokens_flex"),
        Some((Item::CacheRead, 272_000, Service::Flex))
    );
    assert_eq!(
        read("input_cost_per_token_priority_above_200k_tokens"),
        Some((Item::Input, 200_000, Service::Priority))
    );
    for other in ["input_cost_per_token_batches", "cost_per_second", "cost_per_token", "_above_"] {
        assert_eq!(read(other), None, "{other}");
    }
}

fn any_prices() -> impl Strategy<Value = Prices> {
    let name = prop::sample::select(&[
        "output_cost_per_token",
        "cache_read_input_token_cost",
        "output_cost_per_reasoning_token",
        "cache_creation_input_token_cost_flex",
        "input_cost_per_audio_token",
    ]);
    prop::collection::vec((name, 0.0..1e-3), 0..6).prop_map(|mut named| {
        named.push(("input_cost_per_token", 1.5e-7));
        prices(&named).unwrap()
    })
}

fn any_usage(most: u64) -> impl Strategy<Value = Usage> {
    (0..most, 0..most, 0..most, 0..most, 0..most).prop_map(|(prompt, completion, read, write, reasoning)| {
        let cache_read = read.min(prompt);
        Usage {
            cache_read,
            cache_write: write.min(prompt - cache_read),
            reasoning: reasoning.min(completion),
            ..usage(prompt, completion)
        }
    })
}

fn plus(a: &Usage, b: &Usage) -> Usage {
    Usage {
        cache_read: a.cache_read + b.cache_read,
        cache_write: a.cache_write + b.cache_write,
        reasoning: a.reasoning + b.reasoning,
        ..usage(a.prompt + b.prompt, a.completion + b.completion)
    }
}

proptest! {
    #[test]
    fn more_is_never_cheaper(prices in any_prices(), a in any_usage(1 << 30), b in any_usage(1 << 30)) {
        let (one, both) = (prices.cost(&a), prices.cost(&plus(&a, &b)));
        prop_assert!(one.input <= both.input && one.output <= both.output);
    }

    #[test]
    fn costs_add_up_but_for_rounding(
        prices in any_prices(),
        a in any_usage(1 << 20),
        b in any_usage(1 << 20),
    ) {
        let (apart, both) = (prices.cost(&a).total() + prices.cost(&b).total(), prices.cost(&plus(&a, &b)));
        prop_assert!((apart - both.total()).0.abs() <= 3);
    }

    #[test]
    fn nothing_overflows(
        picos in prop::collection::vec(any::<u64>(), NAMES.len()),
        prompt: u64,
        completion: u64,
        parts: [u64; 5],
    ) {
        let given: Vec<_> = NAMES
            .iter()
            .zip(picos)
            .map(|((name, _), picos)| Price { name: Name::read(name).unwrap(), picos })
            .collect();
        let [cache_read, cache_write, reasoning, audio_in, audio_out] = parts;
        let usage =
            Usage { cache_read, cache_write, reasoning, audio_in, audio_out, ..usage(prompt, completion) };
        let cost = Prices::of(&given, false).unwrap().lasting(Duration::MAX).cost(&usage);
        prop_assert!(Nanos::ZERO <= cost.input && Nanos::ZERO <= cost.output);
    }
}

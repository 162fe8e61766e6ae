//! Costs in LiteLLM's headers.

use http::{HeaderMap, HeaderValue};
use tagway_core::money::Nanos;
use tagway_core::price::Prices;
use tagway_core::usage::Usage;

use super::names;

/// Tells what a call cost, and what its key has spent with it. `usage` is not known yet when an answer streams.
pub(crate) fn tell(headers: &mut HeaderMap, prices: Option<&Prices>, usage: Option<&Usage>, spent: Nanos) {
    const NOTHING: HeaderValue = HeaderValue::from_static("0.0");
    let Some((prices, usage)) = prices.zip(usage) else {
        headers.insert(&names::RESPONSE_COST_INPUT, NOTHING);
        headers.insert(&names::RESPONSE_COST_OUTPUT, NOTHING);
        headers.insert(&names::KEY_SPEND, text(spent));
        return;
    };
    let cost = prices.cost(usage);
    headers.insert(&names::KEY_SPEND, text(spent + cost.total()));
    headers.insert(&names::RESPONSE_COST, text(cost.total()));
    headers.insert(&names::RESPONSE_COST_INPUT, text(cost.input));
    headers.insert(&names::RESPONSE_COST_OUTPUT, text(cost.output));
}

/// Dollars as Python prints a number (`8.55e-06`), since that is what scripts parse.
pub(super) fn text(amount: Nanos) -> HeaderValue {
    let dollars = amount.dollars();
    let text = if dollars != 0.0 && dollars.abs() < 1e-4 {
        let scientific = format!("{dollars:e}");
        let (mantissa, exponent) = scientific.split_once("e-").unwrap_or((&scientific, "0"));
        format!("{mantissa}e-{exponent:0>2}")
    } else {
        format!("{dollars:?}")
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_written_as_python_writes_them() {
        let written = |nanos| text(Nanos(nanos)).to_str().unwrap().to_owned();
        assert_eq!(written(8_550), "8.55e-06");
        assert_eq!(written(1), "1e-09");
        assert_eq!(written(100_000), "0.0001");
        assert_eq!(written(0), "0.0");
        assert_eq!(written(250_000_000), "0.25");
        assert_eq!(written(3_000_000_000), "3.0");
    }
}

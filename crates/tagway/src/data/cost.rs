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

/// Dollars as scripts parse them.
pub(super) fn text(amount: Nanos) -> HeaderValue {
    HeaderValue::from_str(amount.text(&mut [0; 32])).unwrap_or(HeaderValue::from_static("0.0"))
}

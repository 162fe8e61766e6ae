//! What a call cost by the prices of its deployment, as LiteLLM's headers show it.

use http::HeaderValue;
use tagway_core::usage::Usage;

/// Dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    pub(crate) input: f64,
    pub(crate) output: f64,
}

/// The cost of `usage`; `None` when the prices are not known.
pub(crate) fn of(usage: Usage, prices: &[(String, f64)]) -> Option<Cost> {
    let price = |name: &str| prices.iter().find(|(key, _)| key == name).map(|(_, price)| *price);
    let (input, output) = (price("input_cost_per_token")?, price("output_cost_per_token").unwrap_or(0.0));
    #[expect(clippy::cast_precision_loss, reason = "nobody counts tokens beyond 2^53")]
    let times = |tokens: u64, price: f64| tokens as f64 * price;
    Some(Cost { input: times(usage.prompt, input), output: times(usage.completion, output) })
}

/// A number as Python prints it (`8.55e-06`), since that is what scripts parse.
pub(crate) fn text(dollars: f64) -> HeaderValue {
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
        let written = |dollars| text(dollars).to_str().unwrap().to_owned();
        assert_eq!(written(8.55e-6), "8.55e-06");
        assert_eq!(written(0.0), "0.0");
        assert_eq!(written(0.25), "0.25");
    }
}

//! What tokens cost: the prices of a deployment, compiled to whole numbers, and the cost of a usage by them.

use crate::money::Nanos;
use crate::usage::Usage;

/// Pico-dollars (10⁻¹² US dollars) in a dollar: fine enough for a tenth of a cent a million tokens.
const PICOS: f64 = 1e12;

/// The prices of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    input: u64,
    output: u64,
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
    /// Prices by LiteLLM's names, in dollars; `None` when the price of a prompt's tokens is not among them.
    pub fn new(named: &[(String, f64)]) -> Option<Self> {
        let price = |name: &str| named.iter().find(|(known, _)| known == name).map(|(_, price)| *price);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let picos = |dollars: f64| (dollars * PICOS).round() as u64;
        let input = price("input_cost_per_token")?;
        Some(Self { input: picos(input), output: picos(price("output_cost_per_token").unwrap_or(0.0)) })
    }

    /// What `usage` costs.
    pub fn cost(&self, usage: &Usage) -> Cost {
        let nanos = |tokens: u64, price: u64| {
            let picos = u128::from(tokens) * u128::from(price);
            Nanos(i64::try_from((picos + 500) / 1000).unwrap_or(i64::MAX))
        };
        Cost { input: nanos(usage.prompt, self.input), output: nanos(usage.completion, self.output) }
    }
}

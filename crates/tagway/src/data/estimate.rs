//! What a call may cost, before it is made: a cheap guess from the size of its body and what it asks for, no less than
//! what it probably costs. Knows neither budgets nor callers.

use tagway_core::money::Nanos;
use tagway_core::snapshot::{Deployment, DeploymentId, Endpoint};
use tagway_core::usage::Usage;
use tagway_core::wire::peek::{Known, Peek};

use super::attempt::Around;
use super::intake::Call;
use crate::accounts::Estimate;
use crate::health::Board;
use crate::route::Plan;

/// Bytes of JSON for which a token is counted: text has four or more to a token.
const BYTES_A_TOKEN: u64 = 3;
/// The parameters that limit an answer.
const LIMITS: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
/// What providers add to a prompt.
const OVERHEAD: u64 = 8;

/// The cost of a call by the dearest of the deployments that may serve it; nothing where prices are not known. Its
/// answer is taken to have as many tokens as it asks for, else `output`, else as many as answers of the deployment
/// have had.
pub(super) fn of(
    around: &Around<'_>,
    plan: &Plan<'_>,
    model: &str,
    call: &Call<'_>,
    output: Option<u64>,
) -> Estimate {
    let size = size(&call.peek);
    let asked = asked_for(&call.peek);
    let answers = call.peek.json_of("n").and_then(|n| n.parse().ok()).unwrap_or(1_u64).clamp(1, 128);
    let mut dearest = Estimate::default();
    for position in plan.candidates.iter() {
        let Some(id) = plan.group.deployments.get(position) else { continue };
        let deployment = around.snapshot.deployment(*id);
        let Some(prices) = deployment.prices_for(model) else { continue };
        let learned = around.board.learned(*id);
        let known = asked.or_else(|| limit_of(deployment)).or(output);
        let tokens = |unknown: u64| match call.endpoint {
            Endpoint::Embeddings => 0,
            _ => known.unwrap_or(unknown).saturating_mul(answers),
        };
        let usual = learned.map_or(0, |learned| learned.output());
        let cost = |prompt: u64, completion: u64| {
            prices.cost(&Usage { prompt, completion, ..Usage::default() }).total()
        };
        let correct = |cost| learned.map_or(cost, |learned| learned.correct(cost));
        let guess = cost(size / BYTES_A_TOKEN + OVERHEAD, tokens(usual));
        // No text has more tokens than bytes.
        let most = cost(size + OVERHEAD, tokens(usual.saturating_mul(2)));
        dearest = Estimate {
            probable: dearest.probable.max(correct(guess)),
            most: dearest.most.max(correct(most)),
            guess: dearest.guess.max(guess),
        };
    }
    dearest
}

/// The most tokens a deployment lets answers have whose requests do not say.
fn limit_of(deployment: &Deployment) -> Option<u64> {
    LIMITS.into_iter().find_map(|name| deployment.entry.defaults.get(name)?.as_u64())
}

/// The bytes of what becomes the prompt.
fn size(peek: &Peek<'_>) -> u64 {
    let spans = [Known::Messages, Known::Input, Known::Prompt].map(|known| peek.json(known));
    let others = ["tools", "functions", "instructions", "response_format"].map(|name| peek.json_of(name));
    spans.into_iter().chain(others).flatten().map(|json| json.len() as u64).sum()
}

/// The most tokens the call lets its answer have.
fn asked_for(peek: &Peek<'_>) -> Option<u64> {
    LIMITS.into_iter().find_map(|name| peek.json_of(name)?.parse().ok())
}

/// Notes what a call did cost that had been estimated so.
pub(super) fn learn(board: &Board, id: DeploymentId, usage: &Usage, estimate: Estimate, cost: Nanos) {
    if let Some(learned) = board.learned(id) {
        learned.note(usage.completion, estimate.guess, cost);
    }
}

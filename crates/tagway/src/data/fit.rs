//! Whether a prompt fits a deployment's context window: those it does not fit are no candidates, where
//! `enable_pre_call_checks` asks for it. A prompt is counted only where its bytes do not show already that it fits.

use tagway_core::snapshot::Deployment;
use tagway_core::tag::Members;
use tagway_core::tokens;
use tagway_core::wire::peek::Peek;

use super::attempt::Around;
use super::failure::Failure;
use super::intake::Call;
use crate::route::Plan;

/// A longer body is counted apart from the thread that serves.
const AT_ONCE: usize = 16 << 10;

/// A prompt that fits no candidate, in LiteLLM's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "litellm.ContextWindowExceededError: litellm.BadRequestError: litellm._pre_call_checks: Context Window exceeded for given call. No models have context window large enough for this call.\n{0}"
)]
pub(crate) struct TooLong(String);

/// Leaves out the candidates whose context windows the prompt exceeds.
///
/// # Errors
/// That is all of them.
pub(super) async fn keep_fitting(
    around: &Around<'_>,
    plan: &Plan<'_>,
    model: &str,
    call: &Call<'_>,
    left: &mut Members,
) -> Result<(), Failure> {
    if !around.snapshot.config.router.check_context_windows {
        return Ok(());
    }
    let bytes = call.peek.text().len();
    let mut counted = None;
    let mut said: Vec<String> = Vec::new();
    for position in left.clone().iter() {
        let Some(id) = plan.group.deployments.get(position) else { continue };
        let deployment = around.snapshot.deployment(*id);
        let Some(window) = deployment.max_input(model) else { continue };
        if tokens::most_prompt(bytes) <= window {
            continue;
        }
        let count = match counted {
            Some(count) => count,
            None => *counted.insert(count(&call.peek).await),
        };
        if window < count {
            left.remove(position);
            said.push(in_words(deployment, window, count));
        }
    }
    if left.is_empty() && !said.is_empty() {
        return Err(Failure::TooLong(Box::new(TooLong(said.join("\n")))));
    }
    Ok(())
}

async fn count(body: &Peek<'_>) -> u64 {
    if body.text().len() <= AT_ONCE {
        return tokens::count_prompt(body);
    }
    let text = body.text().to_owned();
    let counting = tokio::task::spawn_blocking(move || {
        Peek::read(text.as_bytes()).map_or(0, |body| tokens::count_prompt(&body))
    });
    // What cannot be counted is the provider's to refuse.
    counting.await.unwrap_or(0)
}

fn in_words(deployment: &Deployment, window: u64, count: u64) -> String {
    let entry = &deployment.entry;
    let model = entry.base_model.as_deref().unwrap_or(&entry.model);
    format!("Model={model}, Max Input Tokens={window}, Got={count}")
}

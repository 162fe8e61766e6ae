//! From model group to model group: when one fails, the configured ones after it. Each hop decides anew with the
//! same tags; when all fail, the first failure is the answer.

use std::time::Instant;

use tagway_core::config::Router;

use super::attempt::{self, Around, Reply, Tries};
use super::failure::Failure;
use super::intake::Call;
use super::refused::Class;
use crate::route::{self, NoRoute, Plan, Trail, Wanted};

/// Serves a call by the group it names, or by one of its fallbacks.
pub(crate) async fn run<'s>(
    around: &Around<'s>,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
    trail: &mut Trail,
    tries: &mut Tries,
) -> Result<(Plan<'s>, Reply), Failure> {
    let failure = match hop(around, wanted, call, trail, tries).await {
        Ok(served) => return Ok(served),
        Err(failure) => failure,
    };
    let router = &around.snapshot.config.router;
    if call.disable_fallbacks || !failure.may_fall_back() {
        return Err(failure);
    }
    let most = usize::try_from(router.max_fallbacks).unwrap_or(usize::MAX);
    let mut last = None;
    for target in targets(router, wanted.model, call, &failure)
        .iter()
        .filter(|target| *target != wanted.model)
        .take(most)
    {
        tries.fallbacks += 1;
        // What may be chosen is decided anew, with the same tags, in the other group.
        match hop(around, &Wanted { model: target, ..*wanted }, call, trail, tries).await {
            Ok(served) => return Ok(served),
            Err(next) => last = Some(format!("Fallback to {target} also failed: {next}")),
        }
    }
    tries.about_fallbacks = Some(about(router, last));
    Err(failure)
}

/// LiteLLM's words on what became of fallbacks.
fn about(router: &Router, last: Option<String>) -> String {
    if let Some(last) = last {
        return format!("' failed with the error above. {last}");
    }
    if router.fallbacks.is_empty() {
        return "' failed with the error above. No fallback was attempted.".to_owned();
    }
    let configured: Vec<&str> = router.fallbacks.iter().map(|(group, _)| group.as_str()).collect();
    format!(
        "' failed with the error above and no fallback model group was found for it, so the request was not retried on another model. Fallbacks are configured for: {}. Add a fallbacks entry for that model group (Router fallbacks or proxy router_settings.fallbacks) to retry on another model.",
        configured.join(", ")
    )
}

async fn hop<'s>(
    around: &Around<'s>,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
    trail: &mut Trail,
    tries: &mut Tries,
) -> Result<(Plan<'s>, Reply), Failure> {
    let now = Instant::now();
    let plan =
        route::plan(around.snapshot, around.board, wanted, now, trail).map_err(
            |no_route| match no_route {
                NoRoute::UnknownModel { model } => {
                    Failure::UnknownModel { route: call.endpoint.path(), model }
                }
                other => other.into(),
            },
        )?;
    let reply = attempt::run(around, &plan, wanted.model, call, tries).await?;
    Ok((plan, reply))
}

/// The groups to try after a failure: the request's own, those for its kind of failure, those of the group, the
/// default ones.
fn targets(router: &Router, model: &str, call: &Call<'_>, failure: &Failure) -> Vec<String> {
    if let Some(own) = &call.fallbacks {
        return own.clone();
    }
    let of = |lists: &[(String, Vec<String>)]| {
        let list = lists
            .iter()
            .find(|(group, _)| group == model)
            .or_else(|| lists.iter().find(|(group, _)| group == "*"));
        list.map(|(_, targets)| targets.clone())
    };
    let special = match failure {
        Failure::Refused(refused) => match refused.class {
            Class::ContextWindow => of(&router.context_window_fallbacks),
            Class::ContentPolicy => of(&router.content_policy_fallbacks),
            Class::Other => None,
        },
        _ => None,
    };
    special.or_else(|| of(&router.fallbacks)).unwrap_or_else(|| router.default_fallbacks.clone())
}

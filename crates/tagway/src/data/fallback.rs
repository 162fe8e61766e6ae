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
    let targets = targets(router, wanted.model, call, &failure);
    for target in targets.iter().take(most) {
        // What may be chosen is decided anew, with the same tags, in the other group.
        if target == wanted.model {
            continue;
        }
        tries.fallbacks += 1;
        let wanted = Wanted { model: target, ..*wanted };
        match hop(around, &wanted, call, trail, tries).await {
            Ok(served) => return Ok(served),
            Err(next) => tracing::debug!(group = target, error = %next, "a fallback failed too"),
        }
    }
    Err(failure)
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

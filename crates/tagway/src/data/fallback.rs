//! From model group to model group: when one fails, the configured ones after it. Each hop decides anew with the
//! same tags; when all fail, the first failure is the answer.

use std::time::Instant;

use tagway_core::config::Router;

use super::attempt::{self, Around, Reply, Tries};
use super::explain::Trail;
use super::failure::Failure;
use super::intake::Call;
use super::refused::Class;
use crate::route::{self, Plan, Wanted};

/// Serves a call by the group it names, or by one of its fallbacks.
pub(crate) async fn run<'s>(
    around: &Around<'s>,
    wanted: &Wanted<'s>,
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
        let Some(target) = around.snapshot.name_of(target).filter(|target| *target != wanted.model) else { continue };
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
    wanted: &Wanted<'s>,
    call: &Call<'_>,
    trail: &mut Trail,
    tries: &mut Tries,
) -> Result<(Plan<'s>, Reply), Failure> {
    let now = Instant::now();
    let planned = trail.observe(wanted, |observer| match observer {
        Some(observer) => route::plan(around.snapshot, around.board, wanted, now, observer),
        None => route::plan(around.snapshot, around.board, wanted, now, &mut ()),
    });
    let Some(plan) = planned else {
        return Err(Failure::UnknownModel { route: call.endpoint.path(), model: wanted.model.to_owned() });
    };
    let plan = plan?;
    let reply = attempt::run(around, &plan, call, tries).await?;
    Ok((plan, reply))
}

/// The groups to try after a failure: the request's own, those for its kind of failure, those of the group, the
/// default ones.
fn targets(router: &Router, model: &str, call: &Call<'_>, failure: &Failure) -> Vec<String> {
    if let Some(own) = &call.fallbacks {
        return own.clone();
    }
    let of = |lists: &[(String, Vec<String>)]| {
        let list = lists.iter().find(|(group, _)| group == model).or_else(|| lists.iter().find(|(group, _)| group == "*"));
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

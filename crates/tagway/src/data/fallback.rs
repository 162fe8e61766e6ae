//! From model group to model group: when one fails, the configured ones after it. Each hop decides anew with the
//! same tags; when all fail, the first failure is the answer.

use std::time::Instant;

use serde_json::{Map, Value};
use tagway_core::config::Router;
use tagway_core::snapshot::Snapshot;
use tagway_core::strategy::Strategy;
use tagway_core::wire::json::text_of;
use tagway_core::wire::peek::Peek;

use super::attempt::{self, Around, Reply, Tries};
use super::failure::Failure;
use super::fit;
use super::intake::Call;
use super::refused::Class;
use super::wanted_fallbacks::{Target, Targets};
use super::{budgets, retry};
use crate::access;
use crate::accounts::Holds;
use crate::auth::Caller;
use crate::health::Board;
use crate::route::{self, NoRoute, Plan, Trail, Wanted};
use crate::tags::stick::{self, Sticking};

/// Serves a call by the group it names, or by one of its fallbacks.
pub(crate) async fn run<'s>(
    around: &Around<'s>,
    caller: &Caller,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
    trail: &mut Trail,
    tries: &mut Tries,
) -> Result<(Plan<'s>, Reply), Failure> {
    let failure = match hop(around, caller, wanted, call, trail, tries).await {
        Ok(served) => return Ok(served),
        Err(failure) => failure,
    };
    let router = &around.snapshot.config.router;
    if call.disable_fallbacks || !failure.may_fall_back() {
        return Err(failure);
    }
    let mut last = None;
    for Target { model, fields } in &usable(around.snapshot, caller, wanted.model, call, &failure) {
        // LiteLLM counts how deep fallbacks are nested, not how many were tried.
        tries.fallbacks = 1;
        // What may be chosen is decided anew, with the same tags, in the other group.
        let wanted = Wanted { model: access::meant(caller, model), ..*wanted };
        let served = if fields.is_empty() {
            hop(around, caller, &wanted, call, trail, tries).await
        } else {
            let body = with_fields(call, fields);
            let peek = Peek::read(body.as_bytes()).map_err(Failure::Unreadable)?;
            hop(around, caller, &wanted, &call.with(peek), trail, tries).await
        };
        tries.told.fell_back(model, &failure, served.is_ok());
        match served {
            Ok(served) => return Ok(served),
            Err(next) => last = Some(also_failed(model, &next, tries)),
        }
    }
    let forbidden = call.fallbacks.as_ref().is_some_and(Targets::is_empty);
    tries.about_fallbacks = Some(about(router, last, forbidden));
    Err(failure)
}

/// The targets for a failure that the caller may use, as many as are tried.
fn usable(
    snapshot: &Snapshot,
    caller: &Caller,
    model: &str,
    call: &Call<'_>,
    failure: &Failure,
) -> Vec<Target> {
    let router = &snapshot.config.router;
    let mut targets = targets(router, model, call, failure);
    targets.retain(|target| target.model != model || !target.fields.is_empty());
    // What the caller may not use is no fallback for it.
    targets.retain(|target| access::check(snapshot, caller, &target.model).is_ok());
    targets.truncate(usize::try_from(router.max_fallbacks).unwrap_or(usize::MAX));
    targets
}

/// Where a call would be served if whatever is called answered: by the group it names, or by the first of its fallbacks
/// that its tags allow.
///
/// # Errors
/// No group may serve it.
pub(super) fn planned<'s>(
    snapshot: &'s Snapshot,
    board: &Board,
    caller: &Caller,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
    trail: &mut Trail,
) -> Result<Plan<'s>, Failure> {
    let now = Instant::now();
    let failure = match plan(snapshot, board, wanted, call, now, trail) {
        Ok(plan) => return Ok(plan),
        Err(failure) => failure,
    };
    if call.disable_fallbacks || !failure.may_fall_back() {
        return Err(failure);
    }
    for target in usable(snapshot, caller, wanted.model, call, &failure) {
        let wanted = Wanted { model: access::meant(caller, &target.model), ..*wanted };
        if let Ok(plan) = plan(snapshot, board, &wanted, call, now, trail) {
            return Ok(plan);
        }
    }
    Err(failure)
}

/// The body of a call with other fields. Whether it streams has been said to the client's side already.
fn with_fields(call: &Call<'_>, fields: &Map<String, Value>) -> String {
    let text = call.peek.text();
    let mut parts = Vec::new();
    for field in call.peek.fields() {
        let span = &field.span;
        let name = text_of(&text[span.key.start - 1..span.key.end + 1]).unwrap_or_default();
        if name == "stream" || !fields.contains_key(&*name) {
            parts.push(text[span.key.start - 1..span.value.end].to_owned());
        }
    }
    let others = fields.iter().filter(|(name, _)| *name != "stream");
    parts.extend(others.map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))));
    format!("{{{}}}", parts.join(","))
}

/// LiteLLM's words on what became of fallbacks.
fn about(router: &Router, last: Option<String>, forbidden: bool) -> String {
    if let Some(last) = last {
        return format!("' failed with the error above. {last}");
    }
    if router.fallbacks.is_empty() {
        return "' failed with the error above. No fallback was attempted.".to_owned();
    }
    let configured: Vec<&str> = router.fallbacks.iter().map(|(group, _)| group.as_str()).collect();
    let configured = if forbidden {
        "No fallbacks are configured".to_owned()
    } else {
        format!("Fallbacks are configured for: {}", configured.join(", "))
    };
    format!(
        "' failed with the error above and no fallback model group was found for it, so the request was not retried on another model. {configured}. Add a fallbacks entry for that model group (Router fallbacks or proxy router_settings.fallbacks) to retry on another model."
    )
}

fn plan<'s>(
    snapshot: &'s Snapshot,
    board: &Board,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
    now: Instant,
    trail: &mut Trail,
) -> Result<Plan<'s>, Failure> {
    route::plan(snapshot, board, wanted, now, trail).map_err(|no_route| match no_route {
        NoRoute::UnknownModel { model } => Failure::UnknownModel { route: call.endpoint.path(), model },
        other => other.into(),
    })
}

async fn hop<'s>(
    around: &Around<'s>,
    caller: &Caller,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
    trail: &mut Trail,
    tries: &mut Tries,
) -> Result<(Plan<'s>, Reply), Failure> {
    let now = Instant::now();
    let plan = plan(around.snapshot, around.board, wanted, call, now, trail)?;
    retry::count(around, &plan, now);
    let model = around.snapshot.meant(wanted.model);
    let mut left = plan.candidates.clone();
    // What was held for another group is free for this one.
    tries.holds = Holds::default();
    fit::keep_fitting(around, &plan, &model, call, &mut left).await?;
    budgets::keep_open(around, &plan, &mut left)?;
    tries.holds = budgets::reserve(around, caller, wanted, call, &plan).await?;
    let stick = match &plan.group.strategy {
        Strategy::Sticky(by) => stick::key(
            by,
            &Sticking {
                caller,
                headers: around.headers,
                peek: &call.peek,
                customer: around.customer,
                tags: wanted.tags,
                prefix: &around.snapshot.config.router.tags.prefix,
            },
        ),
        _ => None,
    };
    let mut first = None;
    loop {
        let failure = match attempt::run(around, &plan, &mut left, &model, call, stick, tries).await {
            Ok(reply) => return Ok((plan, reply)),
            Err(failure) => failure,
        };
        let last = left.is_empty() || call.disable_fallbacks || !failure.may_fall_back();
        let failure = first.get_or_insert(failure);
        if last {
            return Err(failure.clone());
        }
        // The next `order` of the same group is a fallback too.
        tries.fallbacks = 1;
    }
}

fn also_failed(target: &str, failure: &Failure, tries: &Tries) -> String {
    let mut said = format!("Fallback to {target} also failed: {failure}");
    if 0 < tries.retries {
        said.push_str(&format!(
            " LiteLLM Retried: {} times, LiteLLM Max Retries: {}",
            tries.retries, tries.max_retries
        ));
    }
    said
}

/// The groups to try after a failure: those for its kind of failure, those of the group, the default ones. What
/// the request names itself goes first in each.
fn targets(router: &Router, model: &str, call: &Call<'_>, failure: &Failure) -> Vec<Target> {
    let of = |lists: &[(String, Vec<String>)]| {
        let list = lists
            .iter()
            .find(|(group, _)| group == model)
            .or_else(|| lists.iter().find(|(group, _)| group == "*"));
        list.map(|(_, targets)| targets.iter().cloned().map(Target::named).collect::<Vec<_>>())
    };
    let own = |targets: &Option<Targets>| targets.as_ref().map(|targets| targets.of(model));
    let longer = || own(&call.context_fallbacks).or_else(|| of(&router.context_window_fallbacks));
    let special = match failure {
        Failure::TooLong(_) => longer(),
        Failure::Refused(refused) => match refused.class {
            Class::ContextWindow => longer(),
            Class::ContentPolicy => {
                own(&call.policy_fallbacks).or_else(|| of(&router.content_policy_fallbacks))
            }
            Class::Other => None,
        },
        _ => None,
    };
    own(&call.fallbacks)
        .filter(|_| special.is_none() || call.context_fallbacks.is_none() && call.policy_fallbacks.is_none())
        .or(special)
        .or_else(|| of(&router.fallbacks))
        .unwrap_or_else(|| router.default_fallbacks.iter().cloned().map(Target::named).collect())
}

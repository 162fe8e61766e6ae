//! `experiments`: shares of requests that get different tags, by weight or by a schedule. Reads and checks them; who is in
//! which variant is `experiment`'s.

use super::model::Config;
use super::scope::{At, Rule as Key, Scope, Table, strict};
use super::yaml::{Kind, Node};
use super::{TagDeclaration, TagKind, rules, tags, times};
use crate::experiment::{Experiment, Hold, OnBreach, Ramp, Step, Variant};
use crate::rule::Program;
use crate::strategy::By;
use crate::vocabulary::{Mode, Vocabulary};

/// More experiments are none that anybody looks at.
const MOST: usize = 100;
/// Requests of each variant before one is judged.
const MIN_REQUESTS: u64 = 100;

const HELP_STICKY: &str = "write `user`, `key`, `session`, `header:<name>`, `tag:<prefix>`, or `none`";

#[derive(Default)]
struct Draft {
    name: Option<String>,
    models: Vec<Box<str>>,
    when: Option<Program>,
    sticky: Option<Option<By>>,
    variants: Vec<Variant>,
    ramp: Option<RampDraft>,
}

#[derive(Default)]
struct RampDraft {
    variant: Option<Box<str>>,
    control: Option<Box<str>>,
    starts_at: Option<i64>,
    steps: Vec<Step>,
    hold: Option<Hold>,
}

#[derive(Default)]
struct StepDraft {
    share: Option<f64>,
    lasts: Option<i64>,
}

const KEYS: Table<Draft> = &[
    ("name", Key::Works(|it, at, scope| it.name = scope.text(at))),
    ("models", Key::Works(|it, at, scope| it.models = models(at, scope))),
    ("when", Key::Works(|it, at, scope| it.when = rules::condition(at, scope))),
    ("sticky", Key::Works(|it, at, scope| it.sticky = sticky(at, scope))),
    ("variants", Key::Works(|it, at, scope| it.variants = variants(at, scope))),
    ("ramp", Key::Works(|it, at, scope| it.ramp = Some(ramp(at, scope)))),
];

const RAMP: Table<RampDraft> = &[
    ("variant", Key::Works(|ramp, at, scope| ramp.variant = tag(at, scope))),
    ("control", Key::Works(|ramp, at, scope| ramp.control = tag(at, scope))),
    ("starts_at", Key::Works(|ramp, at, scope| ramp.starts_at = times::time(at, scope))),
    ("steps", Key::Works(|ramp, at, scope| ramp.steps = steps(at, scope))),
    ("hold", Key::Works(|ramp, at, scope| ramp.hold = Some(hold(at, scope)))),
];

const STEP: Table<StepDraft> = &[
    ("share", Key::Works(|step, at, scope| step.share = times::share(at, scope))),
    ("for", Key::Works(|step, at, scope| step.lasts = times::span(at, scope))),
];

const HOLD: Table<Hold> = &[
    ("error_rate", Key::Works(|hold, at, scope| hold.error_rate = times::share(at, scope))),
    ("latency", Key::Works(|hold, at, scope| hold.latency = scope.number(at, 1.0))),
    (
        "min_requests",
        Key::Works(|hold, at, scope| {
            hold.min_requests = scope.whole(at, 1, i64::from(u32::MAX)).map_or(1, i64::unsigned_abs);
        }),
    ),
    (
        "on_breach",
        Key::Works(|hold, at, scope| {
            let words = [("hold", OnBreach::Hold), ("rollback", OnBreach::Rollback)];
            hold.on_breach = scope.word(at, &words).unwrap_or_default();
        }),
    ),
];

/// Names of model groups.
pub(super) fn models(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Box<str>> {
    let models = scope.texts(at);
    if models.is_empty() && matches!(&at.node.kind, Kind::List(items) if items.is_empty()) {
        scope.error(at, "no model: nothing would be in it").help("leave `models` out to mean all");
    }
    models.into_iter().map(Box::from).collect()
}

/// What requests have in common.
#[expect(clippy::option_option, reason = "nothing said, and `none` said")]
pub(super) fn sticky(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Option<By>> {
    let text = scope.text(at)?;
    if text == "none" {
        return Some(None);
    }
    let by = By::parse(&text);
    if by.is_none() {
        scope.error(at, format!("{} is nothing that requests have in common", at.shown())).help(HELP_STICKY);
    }
    by.map(Some)
}

fn tag(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    let text = scope.text(at)?;
    tags::is_plain(&text, at, scope).then(|| text.into())
}

fn variants(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Variant> {
    let mut variants = Vec::new();
    for entry in scope.entries(at) {
        let value = at.entry(entry);
        let sound = tags::is_plain(&entry.key, &value, scope);
        let Some(weight) = scope.number(&value, 0.0).filter(|_| sound) else { continue };
        variants.push(Variant::new(&entry.key, weight));
    }
    if scope.entries(at).len() < 2 {
        scope.error(at, "there must be two variants or more").help("write {control: 95, canary: 5}");
    } else if !variants.is_empty() && variants.iter().all(|variant| variant.weight == 0.0) {
        scope.error(at, "all weights are 0").help("give one of them a share");
    }
    variants
}

fn ramp(at: &At<'_>, scope: &mut Scope<'_>) -> RampDraft {
    let mut ramp = RampDraft::default();
    scope.walk(at, RAMP, &mut ramp, strict);
    scope.demand(at, &["variant", "control", "starts_at", "steps"]);
    if ramp.variant.is_some() && ramp.variant == ramp.control {
        scope.error(at, "`variant` and `control` are the same tag").help("give them two");
    }
    ramp
}

fn steps(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Step> {
    let items = scope.items(at);
    let mut steps: Vec<Step> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = at.item(index, node);
        let mut draft = StepDraft::default();
        scope.walk(&item, STEP, &mut draft, strict);
        let last = index + 1 == items.len();
        if node.get("share").is_none() {
            scope.error(&item, "`share` is missing").help("write {share: 5%, for: 1d}");
        }
        match (node.get("for").is_some(), last) {
            (false, false) => {
                scope.error(&item, "`for` is missing: only the last step has no end").help("add `for: 1d`");
            }
            (true, true) => {
                scope.error(&item, "the last step has no end").help("leave `for` out, or add a step");
            }
            _ => {}
        }
        let Some(share) = draft.share else { continue };
        if steps.last().is_some_and(|before| share < before.share) {
            scope.warning(&item, "a smaller share than before: some users go back to the control");
        }
        steps.push(Step { share, lasts: draft.lasts });
    }
    if items.is_empty() {
        scope.error(at, "no steps").help("write [{share: 5%, for: 1d}, {share: 50%}]");
    }
    steps
}

fn hold(at: &At<'_>, scope: &mut Scope<'_>) -> Hold {
    let mut hold =
        Hold { error_rate: None, latency: None, min_requests: MIN_REQUESTS, on_breach: OnBreach::default() };
    scope.walk(at, HOLD, &mut hold, strict);
    if ["error_rate", "latency"].iter().all(|key| at.node.get(key).is_none()) {
        scope
            .error(at, "nothing to hold for")
            .help("add `error_rate: 1%` (percentage points) or `latency: 1.2` (times the control's)");
    }
    hold
}

/// Reads the section.
pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Experiment> {
    let mut all: Vec<Experiment> = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let mut draft = Draft::default();
        scope.walk(&item, KEYS, &mut draft, strict);
        if !matches!(node.kind, Kind::Map(_)) {
            continue;
        }
        scope.demand(&item, &["name"]);
        match (node.get("variants").is_some(), node.get("ramp").is_some()) {
            (false, false) => {
                scope
                    .error(&item, "neither `variants` nor a `ramp`")
                    .help("write `variants: {control: 95, canary: 5}`");
            }
            (true, true) => {
                scope
                    .error(&item, "a `ramp` says the shares by itself")
                    .help("leave `variants` out, or the ramp");
            }
            _ => {}
        }
        let Some(name) = draft.name else { continue };
        if all.iter().any(|it| *it.name == *name) {
            scope.error(&item, format!("there is another experiment called `{name}`"));
        }
        all.extend(settled(Draft { name: Some(name), ..draft }));
    }
    if MOST < all.len() {
        scope.error(at, format!("there may be {MOST} experiments, not {}", all.len()));
    }
    all
}

fn settled(draft: Draft) -> Option<Experiment> {
    let mut variants = draft.variants;
    let ramp = match draft.ramp {
        None => None,
        Some(RampDraft { variant, control, starts_at, steps, hold }) => {
            variants = [control?, variant?].map(|tag| Variant::new(&tag, 0.0)).into();
            (!steps.is_empty()).then_some(())?;
            Some(Ramp { control: 0, variant: 1, starts_at: starts_at?, steps, hold })
        }
    };
    Some(Experiment {
        name: draft.name?.into(),
        models: draft.models,
        when: draft.when,
        sticky: draft.sticky.unwrap_or(Some(By::User)),
        variants,
        ramp,
    })
}

/// What an experiment does not do although it looks so.
pub(super) fn check(config: &Config, tree: &Node, scope: &mut Scope<'_>) {
    let Some(section) = tree.get("experiments").map(|entry| At::root(tree).entry(entry)) else { return };
    let Kind::List(items) = &section.node.kind else { return };
    let vocabulary = Vocabulary::compile(config);
    let filters = config.router.tags.enable_tag_filtering
        || config.deployments.iter().any(|it| it.info.enable_tag_filtering == Some(true));
    for (index, node) in items.iter().enumerate() {
        let item = section.item(index, node);
        let name = node.get("name").map(|entry| &entry.value.kind);
        let Some(experiment) =
            config.experiments.iter().find(|it| matches!(name, Some(Kind::Text(name)) if **name == *it.name))
        else {
            continue;
        };
        // What it lacks altogether has been said.
        if experiment.variants.len() < 2 {
            continue;
        }
        let carried = |tag: &str| {
            config.deployments.iter().any(|deployment| deployment.tags.iter().any(|it| it == tag))
        };
        if !filters {
            scope
                .warning(&item, "tag filtering is off: the variants are labels, and lead nowhere")
                .help("set `router_settings.enable_tag_filtering: true`");
        } else if !experiment.variants.iter().any(|variant| carried(&variant.tag)) {
            scope
                .warning(
                    &item,
                    "no deployment carries the tag of a variant: they are labels, and lead nowhere",
                )
                .help("put the tags on the deployments they are for");
        }
        for variant in &experiment.variants {
            match vocabulary.objection_to_rule(&variant.tag) {
                Some((objection, Mode::Enforce)) => scope.error(&item, objection.to_string()),
                Some((objection, Mode::Observe)) => scope.warning(&item, objection.to_string()),
                None => continue,
            };
        }
        let labels = |tag: &TagDeclaration| {
            tag.kind == TagKind::Attribution
                && experiment.variants.iter().any(|variant| *variant.tag == *tag.name)
        };
        if let Some(tag) = config.tags.iter().find(|tag| labels(tag)) {
            scope
                .warning(&item, format!("`{}` is declared as a label, which leads nowhere", tag.name))
                .help("give it `kind: both`");
        }
    }
}

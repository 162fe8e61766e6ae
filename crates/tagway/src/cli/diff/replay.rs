//! The requests of a log, decided by two configurations: which of them would go elsewhere, and what that would cost. What a
//! log does not tell (headers, messages) rules do not see; tags that a rule has added stay as long as one still adds them.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use tagway_core::config::Owner;
use tagway_core::money::Nanos;
use tagway_core::tag::Origin;
use tagway_core::usage::Usage;

use super::rows::Row;
use super::side::{Answer, Side};
use crate::auth::Caller;
use crate::data::suppose::{self, Request};

/// What owners can be known by.
const OWNERS: [Origin; 7] = [
    Origin::Jwt,
    Origin::Key,
    Origin::Team,
    Origin::Project,
    Origin::Organization,
    Origin::User,
    Origin::Customer,
];

/// What a decision may depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) model: String,
    pub(super) tags: Vec<(String, Option<Origin>)>,
    path: String,
    key_alias: String,
    team_id: String,
    team_alias: String,
    user_id: String,
    customer: String,
}

/// Requests that are decided alike.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) requests: u64,
    pub(super) spend: Nanos,
    rows: Vec<(u64, Usage)>,
}

/// All requests of a log by kind, in the order they came.
pub(super) struct Flows {
    kinds: Vec<(Kind, Flow)>,
    /// Requests that named no model.
    pub(super) unnamed: u64,
}

/// Requests that go elsewhere.
pub(super) struct Moved {
    pub(super) kind: Kind,
    pub(super) flow: Flow,
    pub(super) old: Answer,
    pub(super) new: Answer,
    /// What they would cost at the cheapest and at the dearest of the new deployments.
    pub(super) would_cost: Option<(Nanos, Nanos)>,
}

/// What came out.
pub(super) struct Replayed {
    pub(super) requests: u64,
    pub(super) spend: Nanos,
    pub(super) kinds: usize,
    pub(super) unnamed: u64,
    /// The most requests first.
    pub(super) changed: Vec<Moved>,
}

/// Counts what is decided alike. Rules and experiments may ask who calls, so that callers differ where there are some.
pub(super) fn flows(rows: Vec<Row>, old: &Side<'_>, new: &Side<'_>) -> Flows {
    let rules = [old, new]
        .map(Side::snapshot)
        .into_iter()
        .any(|snapshot| !snapshot.config.tag_rules.is_empty() || !snapshot.trials.is_empty());
    let mut places: HashMap<Kind, usize> = HashMap::new();
    let mut flows = Flows { kinds: Vec::new(), unnamed: 0 };
    for row in rows {
        if row.model.is_empty() {
            flows.unnamed += row.requests;
            continue;
        }
        let who = |text: String| if rules { text } else { String::new() };
        let kind = Kind {
            model: row.model,
            tags: row.tags,
            path: who(row.path),
            key_alias: who(row.key_alias),
            team_id: who(row.team_id),
            team_alias: who(row.team_alias),
            user_id: who(row.user_id),
            customer: who(row.customer),
        };
        let place = *places.entry(kind).or_insert_with_key(|kind| {
            flows.kinds.push((kind.clone(), Flow::default()));
            flows.kinds.len() - 1
        });
        let Some((_, flow)) = flows.kinds.get_mut(place) else { continue };
        flow.requests += row.requests;
        flow.spend += row.spend;
        // Sums of days say what a request has used on average.
        let each = row.requests.max(1);
        let (prompt, completion) = (row.prompt_tokens / each, row.completion_tokens / each);
        let usage = Usage { prompt, completion, total: prompt + completion, ..Usage::default() };
        flow.rows.push((row.requests, usage));
    }
    flows
}

/// Decides every kind of request by both configurations.
pub(super) fn run(flows: Flows, headers: &HeaderMap, old: &Side<'_>, new: &Side<'_>) -> Replayed {
    let Flows { kinds, unnamed } = flows;
    let mut replayed =
        Replayed { requests: 0, spend: Nanos::ZERO, kinds: kinds.len(), unnamed, changed: Vec::new() };
    for (kind, flow) in kinds {
        replayed.requests += flow.requests;
        replayed.spend += flow.spend;
        let [before, after] = decide(&kind, headers, [old, new]);
        if before != after {
            let would_cost = cost(&kind.model, &flow, &after, new);
            replayed.changed.push(Moved { kind, flow, old: before, new: after, would_cost });
        }
    }
    replayed.changed.sort_by_key(|moved| std::cmp::Reverse(moved.flow.requests));
    replayed
}

/// Decides requests of a kind.
fn decide(kind: &Kind, headers: &HeaderMap, sides: [&Side<'_>; 2]) -> [Answer; 2] {
    let (mut own, mut derived, mut headers) = (Vec::new(), Vec::new(), headers.clone());
    for (tag, origin) in &kind.tags {
        match origin {
            Some(Origin::Rule) => derived.push(tag.clone()),
            Some(origin) if origin.is_inherited() => {}
            Some(Origin::Header) | None => match label(tag, sides) {
                Some((name, value)) => {
                    headers.insert(name, value);
                }
                None => own.push(tag.as_str()),
            },
            Some(_) => own.push(tag.as_str()),
        }
    }
    let caller = Caller::supposed(owners(kind));
    let mut body = Map::new();
    body.insert("model".to_owned(), kind.model.as_str().into());
    body.insert("tags".to_owned(), json!(own));
    if !kind.customer.is_empty() {
        body.insert("user".to_owned(), kind.customer.as_str().into());
    }
    let path = if kind.path.is_empty() { suppose::PATH } else { &kind.path };
    let body = suppose::body_text(path, body);
    match Request::read(&caller, &headers, path, &body) {
        Ok(request) => sides.map(|side| side.answer(&request, &derived)),
        Err(refused) => [Answer::Refused(refused.clone()), Answer::Refused(refused)],
    }
}

/// The header that a tag was made of, where one of the configurations makes labels of it.
fn label(tag: &str, sides: [&Side<'_>; 2]) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = tag.split_once(": ")?;
    let name = name.parse::<HeaderName>().ok()?;
    let labels = |side: &&Side<'_>| side.snapshot().config.proxy.spend_tag_headers.contains(&name);
    let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    sides.iter().any(labels).then_some((name, value))
}

/// Whose requests they are, as far as the log tells.
fn owners(kind: &Kind) -> Vec<Owner> {
    let known = OWNERS.into_iter().filter_map(|origin| {
        let (id, alias) = match origin {
            Origin::Key => ("", kind.key_alias.as_str()),
            Origin::Team => (kind.team_id.as_str(), kind.team_alias.as_str()),
            Origin::User => (kind.user_id.as_str(), ""),
            _ => ("", ""),
        };
        let tags = kind.tags.iter().filter(|(_, from)| *from == Some(origin));
        let tags: Vec<Box<str>> = tags.map(|(tag, _)| tag.as_str().into()).collect();
        if id.is_empty() && alias.is_empty() && tags.is_empty() {
            return None;
        }
        let mut owner = Owner::new(origin);
        owner.policy.id = id.into();
        owner.policy.tags = tags;
        owner.alias = (!alias.is_empty()).then(|| alias.into());
        Some(owner)
    });
    known.collect()
}

/// The least and the most that requests would cost.
fn cost(model: &str, flow: &Flow, answer: &Answer, side: &Side<'_>) -> Option<(Nanos, Nanos)> {
    let Answer::Served(numbers) = answer else { return None };
    let mut bounds: Option<(Nanos, Nanos)> = None;
    for number in numbers {
        let prices = side.deployment(*number)?.prices_for(model)?;
        let mut sum = Nanos::ZERO;
        for (requests, usage) in &flow.rows {
            let each = prices.cost(usage).total();
            sum += Nanos(each.0.saturating_mul(i64::try_from(*requests).unwrap_or(i64::MAX)));
        }
        let (least, most) = bounds.unwrap_or((sum, sum));
        bounds = Some((least.min(sum), most.max(sum)));
    }
    bounds
}

/// A kind as JSON.
pub(super) fn shown(kind: &Kind) -> Value {
    let tags = kind.tags.iter().map(|(tag, origin)| json!({"tag": tag, "origin": origin}));
    let mut shown = json!({"model": kind.model, "tags": tags.collect::<Vec<_>>()});
    let known = [
        ("path", &kind.path),
        ("key_alias", &kind.key_alias),
        ("team_id", &kind.team_id),
        ("team_alias", &kind.team_alias),
        ("user_id", &kind.user_id),
        ("end_user", &kind.customer),
    ];
    if let Value::Object(fields) = &mut shown {
        let known = known.into_iter().filter(|(_, text)| !text.is_empty());
        fields.extend(known.map(|(name, text)| (name.to_owned(), text.as_str().into())));
    }
    shown
}

//! What becomes of a request that is supposed, for all commands that ask: by the code that decides real ones. Prints
//! nothing.

use std::path::Path;

use http::HeaderMap;
use serde_json::{Map, Value, json};
use tagway_core::config::{self, Owner, Problems, Supposed};
use tagway_core::snapshot::Snapshot;
use tagway_core::tag::Origin;

use crate::accounts::now_millis;
use crate::auth::Caller;
use crate::data::suppose::{self, Ground, Refused, Request};
use crate::host::System;
use crate::route::{Hop, Plan, Trail};

/// A configuration as it would be served; what is wrong with it, in words, where it would not.
pub(super) fn snapshot(config: &Path) -> Result<Snapshot, String> {
    let loaded = config::load(config, &System).map_err(|problems: Problems| problems.to_string())?;
    Snapshot::compile(loaded.config)
        .map_err(|unusable| format!("error: {unusable}\n --> {}\n", config.display()))
}

/// What became of a request.
pub(super) struct Told {
    /// Its tags, and where each came from.
    pub(super) tags: Vec<(String, Vec<Origin>)>,
    /// The deployments that may serve it, or why none may.
    pub(super) served: Result<Vec<String>, Refused>,
    /// How that was decided, group by group.
    pub(super) hops: Vec<Hop>,
}

impl Told {
    /// The decisions as JSON.
    pub(super) fn hops(&self) -> Vec<Value> {
        self.hops.iter().map(|hop| json!(hop)).collect()
    }

    /// The refusal as JSON; `null` where there is none.
    pub(super) fn error(&self) -> Value {
        self.served.as_ref().err().map_or(Value::Null, refusal)
    }
}

/// A refusal as JSON.
pub(super) fn refusal(refused: &Refused) -> Value {
    let Refused { status, reason, message, .. } = refused;
    json!({"status": status.as_u16(), "reason": reason, "message": message})
}

/// Decides.
pub(super) fn decide(snapshot: &Snapshot, supposed: Supposed) -> Told {
    let Supposed { path, mut owners, claims, headers, mut body, cooling_down, at } = supposed;
    let at = at.unwrap_or_else(now_millis);
    if let Some(claims) = claims {
        match suppose::of_claims(snapshot, &claims, &mut owners) {
            Ok(customer) => body.extend(customer.map(|id| ("user".to_owned(), (&*id).into()))),
            Err(refused) => return Told { tags: Vec::new(), served: Err(refused), hops: Vec::new() },
        }
    }
    let path = if path.is_empty() { suppose::PATH } else { &path };
    let (caller, body) = (Caller::supposed(owners), suppose::body_text(path, body));
    let ground = Ground::new(snapshot, &cooling_down);
    let (mut tags, mut trail): (_, Trail) = (Vec::new(), Some(Vec::new()));
    let served = follow(&ground, &caller, (&headers, path, &body), at, &mut tags, &mut trail);
    Told { tags, served, hops: trail.unwrap_or_default() }
}

fn follow(
    ground: &Ground<'_>,
    caller: &Caller,
    (headers, path, body): (&HeaderMap, &str, &str),
    at: i64,
    noted: &mut Vec<(String, Vec<Origin>)>,
    trail: &mut Trail,
) -> Result<Vec<String>, Refused> {
    let request = Request::read(caller, headers, path, body)?;
    let labels = request.tags(ground, at)?;
    noted.extend(labels.tags.iter().map(|tag| (tag.text().to_owned(), tag.origins().collect())));
    Ok(ids(ground.snapshot, &request.plan(ground, &labels, trail)?))
}

fn ids(snapshot: &Snapshot, plan: &Plan<'_>) -> Vec<String> {
    let members = plan.candidates.iter().filter_map(|at| plan.group.deployments.get(at));
    members.map(|id| snapshot.deployment(*id).entry.info.id.clone()).collect()
}

/// A request of the bearer of the master key, that only says this.
pub(super) fn plain(model: &str) -> Supposed {
    let body = Map::from_iter([("model".to_owned(), Value::from(model))]);
    Supposed { body, ..Supposed::default() }
}

/// A key with these tags.
pub(super) fn key(tags: Vec<Box<str>>) -> Owner {
    let mut key = Owner::new(Origin::Key);
    key.policy.tags = tags;
    key
}

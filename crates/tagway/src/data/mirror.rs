//! Copies of requests for mirrors: once a request is being answered, it is sent once more, to deployments that its own tags
//! and all it inherits allow, and what comes back is read and dropped. A copy is nobody's request: it has no retry, cools
//! nothing down, and is booked to the mirror's tag alone. The client waits for none of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use tagway_core::config::Rates;
use tagway_core::experiment::Mirror;
use tagway_core::snapshot::{DeploymentId, Endpoint};
use tagway_core::tag::{Members, Origin, RequestTags};
use tagway_core::wire::peek::Peek;

use super::attempt::Around;
use super::content::{self, Content};
use super::failure::Failure;
use super::pipeline::Gateway;
use super::rates::{self, Limited};
use super::record::Record;
use super::upstream::Pool;
use super::{budgets, choose, intake, room};
use crate::accounts::now_millis;
use crate::auth::{Caller, Who};
use crate::directory::Directory;
use crate::health::Standing;
use crate::ledger::{Seen, Writer};
use crate::live::Current;
use crate::meter::NamedMeters;
use crate::mirrors::{Copy, End, Mirrored};
use crate::route::{self, Plan, Unknown, Variant, Wanted};
use crate::tags::{self, Asked, Moment};
use crate::tasks::Tasks;

/// Larger bodies are not copied.
const LARGEST: usize = 1 << 20;
/// Larger answers are not read to their end.
const LARGEST_ANSWER: usize = 16 << 20;
/// No copy takes longer.
const LONGEST: Duration = Duration::from_secs(600);

/// The copies of one worker.
pub(crate) struct Copies(Mutex<Tasks>);

impl Copies {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Tasks::new()))
    }
}

/// A request that is being answered.
pub(super) struct Original<'a, 't> {
    pub(super) gateway: &'a Gateway,
    pub(super) record: &'a Record,
    pub(super) asked: &'a Asked<'a>,
    pub(super) tags: &'a RequestTags<'t>,
    pub(super) wanted: &'a Wanted<'a>,
    /// The model of its path.
    pub(super) model: Option<&'a str>,
    /// The model group that serves it.
    pub(super) group: &'a str,
}

/// What a copy is made with.
struct Shadow {
    current: Arc<Current>,
    directory: Arc<Directory>,
    pool: Arc<Pool>,
    ledger: Arc<Writer>,
    tag_meters: Arc<NamedMeters>,
    default_meters: Arc<NamedMeters>,
    endpoint: Endpoint,
    model: Option<Box<str>>,
    body: Bytes,
    mirror: usize,
    candidates: Members,
    /// Any of the group's.
    first: DeploymentId,
    of: String,
}

/// Sends the copies that mirrors ask for.
pub(super) fn send(original: &Original<'_, '_>) {
    let current = &original.record.current;
    let mirrors = &current.snapshot.config.mirrors;
    let moment = Moment { now: now_millis(), supposed: false };
    for (place, mirror) in mirrors.iter().enumerate() {
        if !is_for(mirror, original)
            || !tags::is_among(&current.snapshot, mirror, original.asked, original.tags, moment)
        {
            continue;
        }
        let Some(mirrored) = current.mirrors.of(place) else { continue };
        match shadow(original, place, mirror) {
            Ok(shadow) => begin(original.gateway, shadow, mirror, mirrored),
            Err(end) => mirrored.note(end),
        }
    }
}

fn is_for(mirror: &Mirror, original: &Original<'_, '_>) -> bool {
    let named = |name: &str| name == original.group || name == original.wanted.model;
    if mirror.models.is_empty() { !named(&mirror.to) } else { mirror.models.iter().any(|model| named(model)) }
}

/// Decides where a copy may go: by the tags of the request and all it inherits, as if it had asked for that model.
fn shadow(original: &Original<'_, '_>, place: usize, mirror: &Mirror) -> Result<Shadow, End> {
    let Original { gateway, record, wanted, .. } = *original;
    if LARGEST < record.request.len() {
        return Err(End::Large);
    }
    let current = &record.current;
    let now = Instant::now();
    let wanted = Wanted { model: &mirror.to, ..*wanted };
    let planned = route::plan(&current.snapshot, &current.board, &wanted, now, &mut None);
    let mut plan = planned.map_err(|refused| match refused {
        route::NoRoute::CoolingDown { .. } => End::Ill,
        _ => End::Refused,
    })?;
    for position in plan.candidates.clone().iter() {
        let id = plan.group.deployments.get(position);
        if id.is_none_or(|id| current.board.state(*id, now).standing != Standing::Healthy) {
            plan.candidates.remove(position);
        }
    }
    let first =
        plan.candidates.first().and_then(|place| plan.group.deployments.get(place)).ok_or(End::Ill)?;
    Ok(Shadow {
        directory: Arc::clone(&gateway.directory),
        pool: Arc::clone(&gateway.pool),
        ledger: Arc::clone(&gateway.ledger),
        tag_meters: Arc::clone(&gateway.tag_meters),
        default_meters: Arc::clone(&gateway.default_meters),
        endpoint: record.endpoint,
        model: original.model.map(Box::from),
        body: record.request.clone(),
        mirror: place,
        first: *first,
        candidates: plan.candidates,
        of: record.call_id.to_str().unwrap_or_default().to_owned(),
        current: Arc::clone(current),
    })
}

fn begin(gateway: &Gateway, shadow: Shadow, mirror: &Mirror, mirrored: &Arc<Mirrored>) {
    let Some(copy) = mirrored.begin(mirror.most) else { return mirrored.note(End::Busy) };
    let mut tasks = gateway.copies.0.lock().unwrap_or_else(PoisonError::into_inner);
    tasks.spawn("mirror", |mut stop| async move {
        tokio::select! {
            () = stop.asked() => {}
            () = follow(shadow, copy) => {}
        }
    });
}

async fn follow(shadow: Shadow, copy: Copy) {
    let end = match tokio::time::timeout(LONGEST, shadow.run()).await {
        Ok(Ok(())) => End::Answered,
        Ok(Err(end)) => end,
        Err(_) => End::Failed,
    };
    copy.ended(end);
}

impl Shadow {
    async fn run(self) -> Result<(), End> {
        let current = Arc::clone(&self.current);
        let snapshot = &current.snapshot;
        let mirror = snapshot.config.mirrors.get(self.mirror).ok_or(End::Refused)?;
        let (headers, caller) = (HeaderMap::new(), Caller::supposed(Vec::new()));
        let read = Peek::read(&self.body).map_err(Failure::Unreadable);
        let read = read.and_then(|peek| intake::call(self.endpoint, self.model.as_deref(), &headers, peek));
        let (mut call, _) = read.map_err(|_| End::Refused)?;
        call.largest = LARGEST_ANSWER;
        let mut tags = RequestTags::new();
        tags.push(&*mirror.tag, Origin::Rule);
        let accounts = &*self.directory.accounts;
        let table = accounts.table();
        let limited = Limited {
            tags: &snapshot.limited_tags,
            meters: &self.tag_meters,
            key_places: None,
            customer: Option::<(&str, Rates)>::None,
            default_meters: &self.default_meters,
            prefix: &snapshot.config.router.tags.prefix,
        };
        let began = Instant::now();
        let permits =
            rates::admit(&caller, &mirror.to, &tags, &limited, began).await.map_err(|_| End::Full)?;
        let named = rates::names(&tags, limited.prefix);
        let around = Around {
            snapshot,
            board: &current.board,
            capacity: &current.capacity,
            pool: &self.pool,
            accounts,
            table: &table,
            tags: &named,
            customer: None,
            headers: &headers,
        };
        let group = snapshot.group(snapshot.deployment(self.first).group);
        let plan = Plan {
            group,
            asked: group.header.clone(),
            candidates: self.candidates.clone(),
            matched: None,
            variant: Variant::Apart,
        };
        let mut record = Record::new(self.endpoint, None, Arc::clone(&current), Arc::clone(&self.ledger));
        // Until it is sent it is nobody's, and leaves no receipt.
        record.permits = permits;
        record.asked(&mirror.to, call.stream);
        record.tagged(&tags);
        let mut left = plan.candidates.clone();
        budgets::keep_open(&around, &plan, &mut left).map_err(|_| End::Full)?;
        let wanted = Wanted {
            model: &mirror.to,
            tags: &tags,
            expressions: &[],
            turn_on: false,
            unknown: Unknown::default(),
            tier: None,
            regions: &[],
            user_agent: None,
            variants: &[],
        };
        let held = budgets::reserve(&around, &caller, &wanted, &call, &plan).await;
        record.tries.holds = held.map_err(|_| End::Full)?;
        let model = snapshot.meant(&mirror.to);
        let id = loop {
            let id = choose::pick(&around, &plan, &left, &model, &call, None).ok_or(End::Full)?;
            if room::take(&around, &mut record.tries, id).await.is_ok() {
                break id;
            }
            left.remove(snapshot.deployment(id).position);
        };
        record.known(&Who::Master);
        record.request = self.body.clone();
        record.decided =
            Some(json!({"mirror": mirror.name, "mirror_of": self.of}).to_string().into_boxed_str());
        let reply = match content::fetch(&around, id, &model, &call, &mut record.tries.begun).await {
            Ok(reply) => reply,
            Err(failure) => {
                record.failed(&failure);
                record.settle(|| Seen::Nothing, true);
                return Err(End::Failed);
            }
        };
        record.served(&plan, &reply);
        match reply.content {
            Content::Whole { body, usage } => {
                record.usage(usage);
                record.settle(|| Seen::Whole(body), true);
            }
            Content::Events { usage, .. } => {
                record.usage(Some(usage));
                record.settle(|| Seen::Nothing, true);
            }
            Content::Stream(mut relay) => {
                relay.record = Some(record);
                let mut seen = 0;
                while let Some(data) = std::future::poll_fn(|context| relay.poll_bytes(context)).await {
                    seen += data.len();
                    if LARGEST_ANSWER < seen {
                        return Err(End::Failed);
                    }
                }
                if relay.record.as_ref().is_some_and(Record::has_failed) {
                    return Err(End::Failed);
                }
            }
        }
        Ok(())
    }
}

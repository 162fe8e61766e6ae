//! The request, as one sentence: read it, know the caller, resolve its tags, admit it, choose the deployment,
//! call it, relay the answer, settle. Each verb is a file of this folder.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response, request};
use hyper::body::Incoming;
use smallvec::SmallVec;
use tagway_core::access::Purpose;
use tagway_core::config::Rates;
use tagway_core::wire::peek::Peek;

use super::answer::{self, Body};
use super::attempt::Around;
use super::decided;
use super::explain;
use super::failure::Failure;
use super::fallback;
use super::mirror::{Copies, Original};
use super::record::Record;
use super::texts::Keep;
use super::upstream::Pool;
use super::{admit, customer, intake, mirror, rates, settle, wanted};
use crate::accounts::now_millis;
use crate::auth::Presented;
use crate::call::Route;
use crate::directory::Directory;
use crate::ledger::Writer;
use crate::live::{Current, Live};
use crate::meter::NamedMeters;
use crate::metrics::Meter;
use crate::route::{Trail, Wanted};
use crate::seen::Notes;
use crate::tags::{Asked, Moment, Watch, Watched};
use crate::{access, auth, tags};

/// What a worker thread serves requests with.
pub(crate) struct Gateway {
    pub(crate) live: Arc<Live>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) seen: Notes,
    pub(crate) watch: Watch,
    pub(crate) pool: Arc<Pool>,
    pub(crate) ledger: Arc<Writer>,
    /// What was used of the limits of tags.
    pub(crate) tag_meters: Arc<NamedMeters>,
    pub(crate) meter: Meter,
    /// What keys and customers without limits of their own have used of those that the configuration gives them.
    pub(crate) default_meters: Arc<NamedMeters>,
    /// What is sent once more for mirrors.
    pub(crate) copies: Copies,
}

/// Answers a call to a model.
pub(crate) async fn serve(gateway: &Gateway, route: Route, request: Request<Incoming>) -> Response<Body> {
    // One configuration for the whole request, whatever is loaded meanwhile.
    let current = gateway.live.current();
    let (head, body) = request.into_parts();
    let own = intake::call_id(&head.headers);
    let mut record = Record::new(route.endpoint, own, Arc::clone(&current), Arc::clone(&gateway.ledger));
    record.progress = current.snapshot.config.proxy.metrics.on.then(|| gateway.meter.begin());
    let asked = explain::is_asked_for(&head.headers);
    let sampled = decided::is_sampled(&current.snapshot.config);
    let mut trail: Trail = (asked || sampled).then(Vec::new);
    match proceed(gateway, &current, &route, &head, body, &mut trail, &mut record).await {
        Ok(answer) => answer.with(record),
        Err(failure) => answer::failed(&failure, &trail.filter(|_| asked), record),
    }
}

async fn proceed(
    gateway: &Gateway,
    current: &Current,
    route: &Route,
    head: &request::Parts,
    body: Incoming,
    trail: &mut Trail,
    record: &mut Record,
) -> Result<answer::Answer, Failure> {
    let snapshot = &current.snapshot;
    let presented = Presented { headers: &head.headers, path: head.uri.path(), purpose: Purpose::Llm };
    let mut caller = auth::identify(snapshot, &gateway.directory, presented).await?;
    gateway.ledger.admits(snapshot.config.general.spend)?;
    record.known(&caller.who);
    let door = admit::enter(&gateway.live.places, current, &caller)?;
    let body = intake::body(body, snapshot.config.general.max_request_bytes).await?;
    record.request = body.clone();
    record.keep = Keep::of(&snapshot.config, &head.headers);
    let peek = Peek::read(if body.is_empty() { b"{}" } else { &body }).map_err(Failure::Unreadable)?;
    let (call, model) = intake::call(route.endpoint, route.model.as_deref(), &head.headers, peek)?;
    if let Some(model) = &model
        && access::find_team(snapshot, &mut caller, model, &head.headers)
    {
        record.known(&caller.who);
    }
    // What a token says of its end user no request contradicts.
    let own = caller.own_customer().map(|id| Cow::Owned(id.to_owned()));
    let customer = own.or_else(|| customer::of(&head.headers, &call.peek));
    let customer = customer.as_deref();
    if let Some(customer) = customer {
        record.owners.customer = Some(settle::cut(customer));
        if gateway.directory.has_customers() {
            caller.on_behalf_of(&gateway.directory, customer).await?;
        }
    }
    let caller = caller;
    record.owned(&caller);
    // Not even a wildcard serves a request that names no model.
    let unnamed = || Failure::UnknownModel { route: call.endpoint.path(), model: "None".to_owned() };
    let model = model.ok_or_else(unnamed)?;
    record.asked(&model, call.stream);
    let own_fallbacks = call.named_fallbacks(&model);
    for model in own_fallbacks.iter().map(String::as_str).chain([&*model]) {
        access::check(snapshot, &caller, model)?;
    }
    let asked = Asked {
        caller: &caller,
        headers: &head.headers,
        peek: &call.peek,
        path: head.uri.path(),
        model: &model,
        stream: call.stream,
        customer,
        expression: call.expression.as_ref(),
    };
    let tags::Resolved { mut tags, warning } =
        tags::resolve(snapshot, &asked, call.endpoint, Watched::Made(&gateway.watch))?;
    record.warning = warning;
    let moment = Moment { now: now_millis(), supposed: false };
    let meant = access::meant(&caller, &model);
    let variants = tags::assign(snapshot, &current.ramps, &asked, meant, moment, &mut tags);
    let tags = tags;
    record.tagged(&tags);
    record.counts = variants.counts;
    if let Some(door) = door {
        record.place = Some(door.admit(&tags).await?);
    }
    gateway.seen.note(&tags, &snapshot.config.router.tags.prefix, record.began);
    let accounts = &*gateway.directory.accounts;
    let table = accounts.table();
    let limited = rates::Limited {
        tags: &snapshot.limited_tags,
        meters: &gateway.tag_meters,
        key_places: snapshot.config.general.max_parallel_requests,
        customer: customer.zip(Some(table.customer_rates()).filter(Rates::any)),
        default_meters: &gateway.default_meters,
        prefix: &snapshot.config.router.tags.prefix,
    };
    record.permits = rates::admit(&caller, meant, &tags, &limited, record.began).await?;
    let regions = wanted::regions(&caller);
    let expressions = wanted::expressions(&caller, call.expression.as_ref())?;
    let wanted = wanted::of(&snapshot.config, &caller, &model, &tags, &expressions, &regions, &head.headers);
    let wanted = Wanted { variants: &variants.assigned, ..wanted };
    let Current { board, capacity, .. } = current;
    let named = if capacity.limits_tags() || table.limits_place_tags() {
        rates::names(&tags, limited.prefix)
    } else {
        SmallVec::new()
    };
    let pool = &gateway.pool;
    let around = Around {
        snapshot,
        board,
        capacity,
        pool,
        accounts,
        table: &table,
        tags: &named,
        customer,
        headers: &head.headers,
    };
    let served = fallback::run(&around, &caller, &wanted, &call, trail, &mut record.tries).await;
    wanted::note_unknown(snapshot, &wanted, served.as_ref().err(), &gateway.watch, &caller);
    record.decided = decided::text(snapshot, board, &wanted, trail, served.as_ref().err());
    if trail.is_some() && !explain::is_asked_for(&head.headers) {
        *trail = None;
    }
    if caller.bearer().is_some() {
        explain::only_candidates(trail);
    }
    let (plan, reply) = served?;
    record.served(&plan, &reply);
    if !snapshot.config.mirrors.is_empty() {
        let (model, group) = (route.model.as_deref(), plan.group.name.as_str());
        let (asked, tags, wanted, record) = (&asked, &tags, &wanted, &*record);
        mirror::send(&Original { gateway, record, asked, tags, wanted, model, group });
    }
    Ok(answer::build(&around, &plan, reply, record, trail, Instant::now()))
}

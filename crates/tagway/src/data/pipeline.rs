//! The request, as one sentence: read it, know the caller, resolve its tags, admit it, choose the deployment,
//! call it, relay the answer, settle. Each verb is a file of this folder.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response, request};
use hyper::body::Incoming;
use tagway_core::wire::peek::Peek;

use super::answer::{self, Body};
use super::attempt::{Around, Tries};
use super::explain;
use super::failure::Failure;
use super::fallback;
use super::record::Record;
use super::upstream::Pool;
use super::{admit, intake};
use crate::call::Route;
use crate::live::{Current, Live};
use crate::route::{Trail, Wanted};
use crate::{auth, tags};

/// What a worker thread serves requests with.
pub(crate) struct Gateway {
    pub(crate) live: Arc<Live>,
    pub(crate) pool: Arc<Pool>,
}

/// Answers a call to a model.
pub(crate) async fn serve(gateway: &Gateway, route: Route, request: Request<Incoming>) -> Response<Body> {
    // One configuration for the whole request, whatever is loaded meanwhile.
    let current = gateway.live.current();
    let (head, body) = request.into_parts();
    let mut record = Record::new(route.endpoint, intake::call_id(&head.headers), Arc::clone(&current));
    let mut trail = explain::wanted(&head.headers);
    match proceed(gateway, &current, &route, &head, body, &mut trail, &mut record).await {
        Ok(answer) => answer.with(record),
        Err(failure) => answer::failed(&failure, &trail, record),
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
    let caller = auth::identify(snapshot, &head.headers)?;
    record.known(caller);
    record.hold = admit::reserve(&gateway.live, snapshot)?;
    let body = intake::body(body, snapshot.config.general.max_request_bytes).await?;
    let peek = Peek::read(if body.is_empty() { b"{}" } else { &body }).map_err(Failure::Unreadable)?;
    let (call, model) = intake::call(route.endpoint, route.model.as_deref(), &head.headers, peek)?;
    let tags = tags::resolve(&snapshot.config.general, &head.headers, &call.peek, call.endpoint)?;
    record.asked(model.as_deref(), &tags, call.stream);
    // Not even a wildcard serves a request that names no model.
    let unnamed = || Failure::UnknownModel { route: call.endpoint.path(), model: "None".to_owned() };
    let model = model.ok_or_else(unnamed)?;
    let wanted = Wanted {
        model: &model,
        tags: &tags,
        expression: call.expression.as_ref(),
        user_agent: intake::user_agent(&head.headers),
    };
    let around = Around { snapshot, board: &current.board, pool: &gateway.pool };
    let mut tries = Tries::default();
    let served = fallback::run(&around, &wanted, &call, trail, &mut tries).await;
    record.tried(tries);
    let (plan, reply) = served?;
    record.served(&plan, &reply);
    Ok(answer::build(&around, &plan, reply, record, trail, Instant::now()))
}

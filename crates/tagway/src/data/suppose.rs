//! A request that nobody has sent: read, labelled and decided as a real one is, and then not made. For questions about a
//! configuration; knows no budgets and limits, and no deployment answers or fails.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use tagway_core::claims;
use tagway_core::config::Owner;
use tagway_core::fault::Cooling;
use tagway_core::snapshot::{DeploymentId, Endpoint, Snapshot};
use tagway_core::tag::{Origin, RequestTags};
use tagway_core::wire::peek::Peek;

use super::failure::Failure;
use super::intake::{self, Call};
use super::{customer, fallback, wanted};
use crate::access;
use crate::auth::{Caller, Denied};
use crate::call::{self, Route};
use crate::health::{Board, Failed};
use crate::jwt::Wrong;
use crate::live::Current;
use crate::ramps::Ramps;
use crate::route::{Plan, Trail, Wanted};
use crate::seen::Values;
use crate::tags::{self, Asked, Moment, Resolved, Variants, Watched};

/// Cooldowns that are supposed do not end meanwhile.
const COOLING: Duration = Duration::from_secs(86_400);

/// A configuration that is asked, and how its deployments are.
pub(crate) struct Ground<'s> {
    pub(crate) snapshot: &'s Snapshot,
    standings: Standings<'s>,
    watched: Watched<'s>,
}

/// How deployments and ramps are.
enum Standings<'s> {
    /// As somebody supposes.
    Supposed(Board, Ramps),
    /// As requests find them now.
    Real(&'s Board, &'s Ramps),
}

impl<'s> Ground<'s> {
    /// One with these deployments cooling down, and all others well.
    pub(crate) fn new(snapshot: &'s Snapshot, cooling: &[String]) -> Self {
        let now = Instant::now();
        let board = Board::new(snapshot, None, now);
        let failed = Failed { cooling: Cooling::AtOnce, time: COOLING, weak: false };
        for (deployment, at) in snapshot.deployments.iter().zip(0..) {
            if cooling.contains(&deployment.entry.info.id) {
                board.failed(DeploymentId(at), None, &failed, now);
            }
        }
        let standings = Standings::Supposed(board, Ramps::new(snapshot, None));
        Self { snapshot, standings, watched: Watched::Supposed }
    }

    /// The one in force, as it is, with the tags that were counted.
    pub(crate) fn in_force(current: &'s Current, values: &'s Values) -> Self {
        let standings = Standings::Real(&current.board, &current.ramps);
        Self { snapshot: &current.snapshot, standings, watched: Watched::Asked(values) }
    }

    fn board(&self) -> &Board {
        match &self.standings {
            Standings::Supposed(board, _) => board,
            Standings::Real(board, _) => board,
        }
    }

    fn ramps(&self) -> &Ramps {
        match &self.standings {
            Standings::Supposed(_, ramps) => ramps,
            Standings::Real(_, ramps) => ramps,
        }
    }
}

/// The path of a request that names none.
pub(crate) const PATH: &str = "/v1/chat/completions";

/// The text of a body: what the path's endpoint demands is there, empty where nothing is said.
pub(crate) fn body_text(path: &str, mut body: Map<String, Value>) -> String {
    if let Some(Route { endpoint, .. }) = call::recognise(path)
        && let Some((field, _)) = intake::required(endpoint)
    {
        let nothing = if endpoint == Endpoint::Chat { Value::Array(Vec::new()) } else { "".into() };
        body.entry(field).or_insert(nothing);
    }
    Value::Object(body).to_string()
}

/// Adds whoever these claims name to the owners of a request; what is said of an owner beside them stays. Gives the end
/// user that they name.
///
/// # Errors
/// No tokens are taken, or none with such claims.
pub(crate) fn of_claims(
    snapshot: &Snapshot,
    claims: &Value,
    owners: &mut Vec<Owner>,
) -> Result<Option<Box<str>>, Refused> {
    let Some(jwt) = &snapshot.config.general.jwt else {
        let message = "The configuration takes no tokens: general_settings.enable_jwt_auth is not true.";
        return Err(Refused { message: message.to_owned(), ..Failure::from(Denied::Unknown).into() });
    };
    let (identity, more) = claims::supposed(jwt, claims).map_err(|unfit| {
        let wrong = unfit.map_or(Wrong::Issuer, Wrong::Unfit);
        Failure::from(Denied::Token(wrong))
    })?;
    for mut owner in more {
        match owners.iter_mut().find(|known| known.policy.origin == owner.policy.origin) {
            Some(known) => known.policy.id = std::mem::take(&mut owner.policy.id),
            None => owners.push(owner),
        }
    }
    Ok(identity.customer)
}

/// A request as it was read.
pub(crate) struct Request<'a> {
    caller: &'a Caller,
    headers: &'a HeaderMap,
    path: &'a str,
    call: Call<'a>,
    model: Cow<'a, str>,
    customer: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// It cannot be one: the path calls no model, the body holds what it cannot hold, or no model is named.
    pub(crate) fn read(
        caller: &'a Caller,
        headers: &'a HeaderMap,
        path: &'a str,
        body: &'a str,
    ) -> Result<Self, Refused> {
        let Some(Route { endpoint, model }) = call::recognise(path) else {
            return Err(Refused::no_call(path));
        };
        let peek = Peek::read(body.as_bytes()).map_err(Failure::Unreadable)?;
        let (call, model) = intake::call(endpoint, model.as_deref(), headers, peek)?;
        let own = caller.own_customer().map(Cow::Borrowed);
        let customer = own.or_else(|| customer::of(headers, &call.peek));
        let unnamed = || Failure::UnknownModel { route: endpoint.path(), model: "None".to_owned() };
        let model = model.ok_or_else(unnamed)?;
        Ok(Self { caller, headers, path, call, model, customer })
    }

    /// The same request for another model.
    pub(crate) fn ask_for(&mut self, model: &'a str) {
        self.model = Cow::Borrowed(model);
    }

    /// Its tags, from everywhere, and the variants it is in `at` a time, in milliseconds since 1970.
    ///
    /// # Errors
    /// The caller may not use the model or send such a tag, or a rule denies what it cannot judge.
    pub(crate) fn tags<'t>(&'t self, ground: &'t Ground<'_>, at: i64) -> Result<Labels<'t>, Refused> {
        let named = self.call.named_fallbacks(&self.model);
        for model in named.iter().map(String::as_str).chain([&*self.model]) {
            access::check(ground.snapshot, self.caller, model).map_err(Failure::from)?;
        }
        let asked = Asked {
            caller: self.caller,
            headers: self.headers,
            peek: &self.call.peek,
            path: self.path,
            model: &self.model,
            stream: self.call.stream,
            customer: self.customer.as_deref(),
            expression: self.call.expression.as_ref(),
        };
        let (snapshot, watched) = (ground.snapshot, ground.watched);
        let Resolved { mut tags, warning } =
            tags::resolve(snapshot, &asked, self.call.endpoint, watched).map_err(Failure::from)?;
        let (moment, meant) = (Moment { now: at, supposed: true }, access::meant(self.caller, &self.model));
        let variants = tags::assign(snapshot, ground.ramps(), &asked, meant, moment, &mut tags);
        Ok(Labels { tags, warning, variants })
    }

    /// Which deployments may serve it with these tags.
    ///
    /// # Errors
    /// None may.
    pub(crate) fn plan<'g>(
        &self,
        ground: &'g Ground<'_>,
        labels: &Labels<'_>,
        trail: &mut Trail,
    ) -> Result<Plan<'g>, Refused> {
        let regions = wanted::regions(self.caller);
        let expressions = wanted::expressions(self.caller, self.call.expression.as_ref())?;
        let (config, tags) = (&ground.snapshot.config, &labels.tags);
        let wanted = wanted::of(config, self.caller, &self.model, tags, &expressions, &regions, self.headers);
        let wanted = Wanted { variants: &labels.variants.assigned, ..wanted };
        Ok(fallback::planned(ground.snapshot, ground.board(), self.caller, &wanted, &self.call, trail)?)
    }
}

/// What a request is labelled with.
pub(crate) struct Labels<'a> {
    pub(crate) tags: RequestTags<'a>,
    /// What the caller would be warned of.
    pub(crate) warning: Option<HeaderValue>,
    variants: Variants<'a>,
}

impl Labels<'_> {
    /// The variants it had when it was made, where nothing of it says which they are now.
    pub(crate) fn had(&mut self, derived: &[String]) {
        let Variants { assigned, guessed, .. } = &mut self.variants;
        for (assigned, _) in assigned.iter_mut().zip(guessed).filter(|(_, guessed)| **guessed) {
            let mut variants = assigned.trial.experiment.variants.iter();
            let had = variants.position(|variant| derived.iter().any(|tag| **tag == *variant.tag));
            if let Some(had) = had.filter(|had| *had != assigned.variant) {
                self.tags.forget(assigned.trial.tag(assigned.variant));
                assigned.variant = had;
                self.tags.push(assigned.trial.tag(had).to_owned(), Origin::Rule);
            }
        }
    }
}

/// How a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// `error.type` and `error.param` of the answer.
    pub(crate) kind: &'static str,
    pub(crate) param: Option<String>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: String,
}

impl Refused {
    fn no_call(path: &str) -> Self {
        let message = format!("{path} calls no model.");
        let (status, kind) = (StatusCode::NOT_FOUND, "invalid_request_error");
        Self { status, kind, param: None, reason: None, message }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self {
            status: failure.status(),
            kind: failure.kind(),
            param: failure.param().map(str::to_owned),
            reason: failure.reason(),
            message: failure.to_string(),
        }
    }
}

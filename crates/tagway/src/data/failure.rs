//! Why a request got no answer: who is to blame, whether another attempt may help, and the words for the
//! outside. The only place where a failure becomes a status, a type and a message; the messages are LiteLLM's
//! where it has one, since clients match on them.

use std::time::Duration;

use http::StatusCode;
use tagway_core::access::TagForbidden;
use tagway_core::vocabulary::Objection;
use tagway_core::wire::peek::Unreadable;

use super::budgets::OverBudget;
use super::fit::TooLong;
use super::rates::OverLimit;
use super::refused::Refused;
use super::room::AllFull;
use crate::access::Forbidden;
use crate::auth::Denied;
use crate::jwt::Wrong;
use crate::ledger::Stuck;
use crate::route::NoRoute;
use crate::tags::{BadTags, Malformed, Undecided};

/// A request that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("{}", unreadable(.0))]
    Unreadable(Unreadable),
    #[error(
        "Request body is larger than {limit} bytes. Raise general_settings.max_request_size_mb to allow it."
    )]
    TooLarge { limit: usize },
    #[error("The request body did not arrive within {} seconds.", .0.as_secs())]
    SlowBody(Duration),
    #[error("The request body could not be read.")]
    BrokenBody,
    #[error("'model' must be a string.")]
    ModelNotText,
    #[error("{route}: Missing required parameter: '{parameter}'.")]
    MissingParameter { route: &'static str, parameter: &'static str },
    #[error(
        "{route}: Invalid model name passed in model={model}. Call `/v1/models` to view available models for your key."
    )]
    UnknownModel { route: &'static str, model: String },
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// `fail_closed_rate_limit_enforcement`
    #[error(
        "Rate limits cannot be checked: Valkey (or Redis), by which gateways share them, does not answer, and general_settings.fail_closed_rate_limit_enforcement is on. Try again."
    )]
    Uncounted,
    #[error(transparent)]
    Stuck(#[from] Stuck),
    #[error(transparent)]
    OverBudget(#[from] Box<OverBudget>),
    #[error(transparent)]
    AllFull(#[from] Box<AllFull>),
    #[error(transparent)]
    TooLong(Box<TooLong>),
    #[error(transparent)]
    TagForbidden(#[from] TagForbidden),
    #[error(transparent)]
    Undecided(#[from] Undecided),
    /// A tag breaks the vocabulary.
    #[error(transparent)]
    Objection(#[from] Box<Objection>),
    #[error(transparent)]
    ModelForbidden(#[from] Forbidden),
    #[error(transparent)]
    NoRoute(#[from] NoRoute),
    #[error("Gateway at capacity: {taken} in-flight, {queued} queued requests. Retry later.")]
    Busy { taken: u32, queued: u32 },
    /// The provider answered with an error.
    #[error("{}", .0.message)]
    Refused(Box<Refused>),
    #[error("{}", late(*.limit, *.taken, *.stream, *.own))]
    Timeout {
        limit: Duration,
        taken: Duration,
        stream: bool,
        /// What the deployment's own `timeout` says.
        own: Option<Duration>,
        /// The caller would not wait longer; the gateway might.
        impatient: bool,
    },
    /// No connection, or one that broke before the answer was complete. What exactly is for the log.
    #[error("litellm.InternalServerError: InternalServerError: {blame} - Connection error.")]
    Unreachable { blame: String, detail: String },
    /// An answer that is no JSON.
    #[error("litellm.InternalServerError: InternalServerError: {blame} - {detail}")]
    Garbled { blame: String, detail: String },
    /// A stream that began with an error event.
    #[error("litellm.APIConnectionError: APIConnectionError: {blame} - {detail}")]
    Event { blame: String, detail: String },
    /// The configuration changed to something this request can no longer be served by, or a wildcard deployment
    /// has no address.
    #[error("Deployment '{id}' has no upstream for this endpoint.")]
    NoUpstream { id: String },
}

fn late(limit: Duration, taken: Duration, stream: bool, own: Option<Duration>) -> String {
    let mut said =
        "litellm.Timeout: APITimeoutError - Request timed out. Error_str: Request timed out.".to_owned();
    if !stream {
        let (limit, taken) = (limit.as_secs_f64(), taken.as_secs_f64());
        said.push_str(&format!(" - timeout value={limit:?}, time taken={taken:.2} seconds"));
    }
    said + &deployment_info(own)
}

/// What LiteLLM adds to messages about time.
pub(crate) fn deployment_info(timeout: Option<Duration>) -> String {
    let timeout = timeout.map_or("None".to_owned(), |timeout| format!("{:?}", timeout.as_secs_f64()));
    format!("\n\nDeployment Info: request_timeout: None\ntimeout: {timeout}")
}

/// The default words for a body that cannot be read start as LiteLLM's do.
fn unreadable(why: &Unreadable) -> String {
    match why {
        Unreadable::Encoding(_) | Unreadable::Json(_) => format!("Invalid JSON payload: {why}"),
        Unreadable::NoObject => "Invalid JSON payload: the request body must be a JSON object.".into(),
        Unreadable::Repeated(key) => {
            format!("The field '{key}' stands in the request body twice. Send it once.")
        }
        Unreadable::Refused(key) if for_tests(key) => format!(
            "Mock testing request params are disabled on this proxy: {key}. Remove it from the request."
        ),
        Unreadable::Refused(key) => format!(
            "Authentication Error, Rejected Request: {key} is not allowed in request body. The gateway's configuration decides it; remove it from the request."
        ),
    }
}

/// Whether a refused field is one of LiteLLM's for tests of a configuration.
fn for_tests(key: &str) -> bool {
    key.starts_with("mock_")
}

/// Whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The same request would fail the same way everywhere.
    Never,
    /// This deployment refused the gateway: only another one may help.
    Elsewhere,
    /// It may pass, here or elsewhere.
    Anywhere,
}

impl From<BadTags> for Failure {
    fn from(bad: BadTags) -> Self {
        match bad {
            BadTags::Malformed(malformed) => malformed.into(),
            BadTags::Forbidden(forbidden) => forbidden.into(),
            BadTags::Undecided(undecided) => undecided.into(),
            BadTags::Objection(objection) => objection.into(),
        }
    }
}

impl Failure {
    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            // A client that chooses an upstream or a credential asks for what it may not have.
            Self::Unreadable(Unreadable::Refused(key)) if for_tests(key) => StatusCode::BAD_REQUEST,
            Self::Denied(denied) => denied.status(),
            Self::Unreadable(Unreadable::Refused(_)) => StatusCode::UNAUTHORIZED,
            Self::TagForbidden(_) | Self::Undecided(_) | Self::ModelForbidden(_) => StatusCode::FORBIDDEN,
            Self::Objection(objection) if objection.is_about_setter() => StatusCode::FORBIDDEN,
            Self::Unreadable(_)
            | Self::BrokenBody
            | Self::ModelNotText
            | Self::MissingParameter { .. }
            | Self::UnknownModel { .. }
            | Self::TooLong(_)
            | Self::Objection(_)
            | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody(_) | Self::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoute(NoRoute::UnknownModel { .. }) => StatusCode::BAD_REQUEST,
            Self::NoRoute(NoRoute::Tags { status, .. }) => *status,
            Self::NoRoute(NoRoute::CoolingDown { .. }) | Self::OverLimit(_) | Self::AllFull(_) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::OverBudget(over) => over.status,
            Self::Refused(refused) => refused.status,
            Self::Stuck(_) | Self::Uncounted | Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable { .. }
            | Self::Garbled { .. }
            | Self::Event { .. }
            | Self::NoUpstream { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// `error.type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Unreadable(Unreadable::Refused(key)) if !for_tests(key) => "auth_error",
            Self::TagForbidden(_) | Self::Undecided(_) => "permission_error",
            Self::Objection(objection) if objection.is_about_setter() => "permission_error",
            Self::ModelForbidden(forbidden) => forbidden.kind(),
            Self::ModelNotText => "bad_request_error",
            Self::Malformed(malformed) if malformed.name.ends_with("metadata") => "bad_request_error",
            Self::NoRoute(NoRoute::Tags { status, .. }) if *status == StatusCode::BAD_REQUEST => {
                "invalid_request_error"
            }
            Self::NoRoute(NoRoute::UnknownModel { .. }) => "invalid_request_error",
            Self::NoRoute(NoRoute::Tags { .. }) => "internal_server_error",
            Self::Unreadable(_)
            | Self::TooLarge { .. }
            | Self::SlowBody(_)
            | Self::BrokenBody
            | Self::MissingParameter { .. }
            | Self::UnknownModel { .. }
            | Self::Malformed(_)
            | Self::Objection(_)
            | Self::TooLong(_)
            | Self::Timeout { .. } => "invalid_request_error",
            Self::NoRoute(NoRoute::CoolingDown { .. }) => "all_deployments_in_cooldown",
            Self::Busy { .. } => "overloaded_error",
            Self::OverLimit(_) | Self::AllFull(_) => "throttling_error",
            Self::OverBudget(_) => "budget_exceeded",
            Self::Refused(refused) => refused.kind,
            Self::Stuck(_) | Self::Uncounted => "service_unavailable",
            Self::Unreachable { .. }
            | Self::Garbled { .. }
            | Self::Event { .. }
            | Self::NoUpstream { .. } => "internal_server_error",
        }
    }

    /// `error.param`; `None` is `null`.
    pub(crate) fn param(&self) -> Option<&str> {
        match self {
            Self::Denied(denied) => Some(denied.param()),
            Self::TagForbidden(_) | Self::Undecided(_) | Self::Objection(_) => Some("tags"),
            Self::ModelForbidden(_) => Some("model"),
            Self::Unreadable(Unreadable::Refused(key)) => (!for_tests(key)).then_some("None"),
            Self::Unreadable(Unreadable::Repeated(key)) => Some(key),
            Self::Unreadable(_) | Self::TooLarge { .. } | Self::SlowBody(_) | Self::BrokenBody => {
                Some("request_body")
            }
            Self::ModelNotText => Some("model"),
            Self::MissingParameter { parameter, .. } => Some(parameter),
            Self::Malformed(malformed) => Some(malformed.name),
            Self::UnknownModel { .. }
            | Self::NoRoute(_)
            | Self::OverLimit(_)
            | Self::AllFull(_)
            | Self::TooLong(_)
            | Self::Stuck(_)
            | Self::Uncounted
            | Self::OverBudget(_)
            | Self::Busy { .. }
            | Self::Refused(_)
            | Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Garbled { .. }
            | Self::Event { .. }
            | Self::NoUpstream { .. } => None,
        }
    }

    /// `error.reason`, for machines; tagway's own addition.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::NoRoute(NoRoute::Tags { reason, .. }) => Some(reason),
            Self::NoRoute(NoRoute::CoolingDown { .. }) => Some("cooling_down"),
            Self::Busy { .. } => Some("overload"),
            Self::OverLimit(_) | Self::AllFull(_) => Some("rate_limit"),
            Self::Stuck(_) => Some("ledger"),
            Self::Uncounted => Some("valkey_unreachable"),
            Self::OverBudget(_) => Some("budget"),
            Self::TooLong(_) => Some("context_window"),
            Self::TagForbidden(_) => Some("tag_policy"),
            Self::Undecided(_) => Some("tag_rule"),
            Self::Objection(objection) => Some(objection.reason().as_str()),
            Self::ModelForbidden(_) => Some("model_access"),
            Self::Denied(Denied::Unreachable(_)) => Some("store_unreachable"),
            Self::Denied(Denied::Token(Wrong::NoKeys)) => Some("identity_provider_unreachable"),
            Self::Timeout { .. } => Some("timeout"),
            Self::Unreachable { .. } | Self::Garbled { .. } => Some("upstream_broken"),
            Self::Event { .. } => Some("upstream_error"),
            Self::Refused(_) => Some("upstream_refused"),
            Self::Denied(_)
            | Self::Unreadable(_)
            | Self::TooLarge { .. }
            | Self::SlowBody(_)
            | Self::BrokenBody
            | Self::ModelNotText
            | Self::MissingParameter { .. }
            | Self::UnknownModel { .. }
            | Self::Malformed(_)
            | Self::NoRoute(NoRoute::UnknownModel { .. })
            | Self::NoUpstream { .. } => None,
        }
    }

    /// Whether another attempt may help.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Refused(refused) => match refused.status.as_u16() {
                401 => Retry::Elsewhere,
                403 | 408 | 409 | 429 | 500.. => Retry::Anywhere,
                _ => Retry::Never,
            },
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Garbled { .. } => Retry::Anywhere,
            Self::NoUpstream { .. } => Retry::Elsewhere,
            Self::Denied(_)
            | Self::Unreadable(_)
            | Self::TooLarge { .. }
            | Self::SlowBody(_)
            | Self::BrokenBody
            | Self::ModelNotText
            | Self::MissingParameter { .. }
            | Self::UnknownModel { .. }
            | Self::Malformed(_)
            | Self::OverLimit(_)
            | Self::AllFull(_)
            | Self::TooLong(_)
            | Self::Stuck(_)
            | Self::Uncounted
            | Self::OverBudget(_)
            | Self::TagForbidden(_)
            | Self::Undecided(_)
            | Self::Objection(_)
            | Self::ModelForbidden(_)
            | Self::NoRoute(_)
            // The provider took the request and began to answer.
            | Self::Event { .. }
            | Self::Busy { .. } => Retry::Never,
        }
    }

    /// How long the client should wait before it tries again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoRoute(NoRoute::CoolingDown { wait, .. }) => Some(*wait),
            Self::OverLimit(over) => Some(over.wait()),
            Self::AllFull(full) => Some(full.wait),
            Self::Stuck(stuck) => Some(stuck.wait()),
            Self::OverBudget(over) => over.wait,
            Self::Busy { .. }
            | Self::Uncounted
            | Self::Denied(Denied::Unreachable(_) | Denied::Token(Wrong::NoKeys)) => {
                Some(Duration::from_secs(1))
            }
            Self::Refused(refused) => refused.retry_after,
            _ => None,
        }
    }

    /// Whether a provider was called, and its answer is what failed.
    pub(crate) fn is_providers(&self) -> bool {
        matches!(
            self,
            Self::Refused(_)
                | Self::Timeout { .. }
                | Self::Unreachable { .. }
                | Self::Garbled { .. }
                | Self::Event { .. }
        )
    }

    /// Whether a provider that had begun to answer broke off or fell silent: it may have worked for nothing.
    pub(crate) fn broke_off(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Unreachable { .. })
    }

    /// Whether another model group may serve the request instead.
    pub(crate) fn may_fall_back(&self) -> bool {
        self.is_providers()
            || matches!(self, Self::OverBudget(over) if over.elsewhere)
            || matches!(
                self,
                Self::NoRoute(NoRoute::Tags { .. } | NoRoute::CoolingDown { .. })
                    | Self::NoUpstream { .. }
                    | Self::TooLong(_)
                    | Self::AllFull(_)
            )
    }

    /// The provider's refusal, if that is what it is.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }
}

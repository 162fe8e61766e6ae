//! Failures by the names of LiteLLM's exceptions, as its metrics tell them. Only names: what a failure means to the
//! client is decided elsewhere.

use tagway_core::fault::Fault;

use super::failure::Failure;
use super::refused;
use crate::auth::Denied;
use crate::route::NoRoute;

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) name: &'static str,
    /// A provider's answer is what failed.
    pub(super) is_providers: bool,
    /// Why tags or cooldowns left no deployment.
    pub(super) undecided: Option<&'static str>,
}

impl Class {
    pub(super) fn of(failure: &Failure) -> Self {
        let undecided = match failure {
            Failure::NoRoute(NoRoute::Tags { .. } | NoRoute::CoolingDown { .. }) => failure.reason(),
            _ => None,
        };
        Self { name: name(failure), is_providers: failure.is_providers(), undecided }
    }
}

/// The class that policies of retries and cooldowns go by; `None` where no provider has failed.
pub(super) fn fault(failure: &Failure) -> Option<Fault> {
    Some(match failure {
        Failure::Refused(refused) => match refused.class {
            refused::Class::ContextWindow => Fault::BadRequest,
            refused::Class::ContentPolicy => Fault::ContentPolicy,
            refused::Class::Other => Fault::of_status(refused.status.as_u16()),
        },
        Failure::Timeout { .. } => Fault::Timeout,
        Failure::Unreachable { .. } | Failure::Garbled { .. } => Fault::InternalServer,
        Failure::Event { .. } => Fault::Other,
        _ => return None,
    })
}

fn name(failure: &Failure) -> &'static str {
    match failure {
        Failure::Refused(refused) => match (refused.class, refused.status.as_u16()) {
            (refused::Class::ContextWindow, _) => "ContextWindowExceededError",
            (refused::Class::ContentPolicy, _) => "ContentPolicyViolationError",
            // Here LiteLLM calls its exception by its own name, not by that of its policies.
            (refused::Class::Other, 408 | 504) => "Timeout",
            (refused::Class::Other, status) => Fault::of_status(status).name().unwrap_or("APIError"),
        },
        Failure::TooLong(_) => "ContextWindowExceededError",
        Failure::Timeout { .. } => "Timeout",
        Failure::Unreachable { .. } | Failure::Garbled { .. } => "InternalServerError",
        Failure::Event { .. } => "APIConnectionError",
        Failure::OverBudget(_) => "BudgetExceededError",
        // LiteLLM's own limits.
        Failure::OverLimit(_) => "HTTPException",
        Failure::AllFull(_) => "RateLimitError",
        Failure::NoRoute(NoRoute::CoolingDown { .. }) => "RouterRateLimitError",
        Failure::NoRoute(NoRoute::UnknownModel { .. }) | Failure::UnknownModel { .. } => {
            "ProxyModelNotFoundError"
        }
        Failure::Stuck(_)
        | Failure::Uncounted
        | Failure::Busy { .. }
        | Failure::Denied(Denied::Unreachable(_)) => "ServiceUnavailableError",
        Failure::Unreadable(_)
        | Failure::TooLarge { .. }
        | Failure::SlowBody(_)
        | Failure::BrokenBody
        | Failure::ModelNotText
        | Failure::MissingParameter { .. }
        | Failure::Malformed(_) => "BadRequestError",
        Failure::Denied(_)
        | Failure::TagForbidden(_)
        | Failure::Undecided(_)
        | Failure::Objection(_)
        | Failure::ModelForbidden(_)
        | Failure::NoRoute(NoRoute::Tags { .. })
        | Failure::NoUpstream { .. } => "ProxyException",
    }
}

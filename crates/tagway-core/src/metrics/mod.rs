//! The metrics a gateway tells: their names, what they count, and by which labels. LiteLLM's names where it has one.
//! Knows nothing of how anything is counted; the configuration is checked against it, and `/metrics` is written by it.

pub mod budgets;
pub mod gateway;
pub mod process;
pub mod requests;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the gateway starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are spread.
    Histogram,
}

impl Kind {
    /// Prometheus's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// By what a metric is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// A key's stable id.
    HashedApiKey,
    /// A key's name.
    ApiKeyAlias,
    /// A team's id.
    Team,
    /// A team's name.
    TeamAlias,
    /// A user's id.
    User,
    /// An organization's id.
    OrgId,
    /// A project's id.
    ProjectId,
    /// The model as it was asked for.
    RequestedModel,
    /// The model group that served.
    ModelGroup,
    /// The model as the provider knows it.
    Model,
    /// `litellm_params.model`.
    LitellmModelName,
    /// `model_info.id`.
    ModelId,
    /// The provider.
    ApiProvider,
    /// `api_base`.
    ApiBase,
    /// The endpoint.
    Route,
    /// Whether the answer streams.
    Stream,
    /// The answer's status.
    StatusCode,
    /// A failure's status.
    ExceptionStatus,
    /// A failure's class, by LiteLLM's names.
    ExceptionClass,
    /// The model group that took over.
    FallbackModel,
    /// Why a cost is not known.
    Reason,
    /// How a decision ended.
    Outcome,
    /// By what a deployment was found.
    MatchedVia,
    /// A tag of the list of those that may be labels.
    Tag,
    /// How important requests are.
    Priority,
    /// How a deployment is.
    State,
    /// The gateway's version.
    Version,
    /// An experiment's name.
    Experiment,
    /// The tag of a variant.
    Variant,
    /// A mirror's name.
    Mirror,
}

impl Label {
    /// So many there are.
    pub const COUNT: usize = 30;

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::HashedApiKey => "hashed_api_key",
            Self::ApiKeyAlias => "api_key_alias",
            Self::Team => "team",
            Self::TeamAlias => "team_alias",
            Self::User => "user",
            Self::OrgId => "org_id",
            Self::ProjectId => "project_id",
            Self::RequestedModel => "requested_model",
            Self::ModelGroup => "model_group",
            Self::Model => "model",
            Self::LitellmModelName => "litellm_model_name",
            Self::ModelId => "model_id",
            Self::ApiProvider => "api_provider",
            Self::ApiBase => "api_base",
            Self::Route => "route",
            Self::Stream => "stream",
            Self::StatusCode => "status_code",
            Self::ExceptionStatus => "exception_status",
            Self::ExceptionClass => "exception_class",
            Self::FallbackModel => "fallback_model",
            Self::Reason => "reason",
            Self::Outcome => "outcome",
            Self::MatchedVia => "matched_via",
            Self::Tag => "tag",
            Self::Priority => "priority",
            Self::State => "state",
            Self::Version => "version",
            Self::Experiment => "experiment",
            Self::Variant => "variant",
            Self::Mirror => "mirror",
        }
    }
}

/// All numbers of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name; a counter's gets `_total` at its end when told, unless it is there already.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it counts.
    pub help: &'static str,
    /// By what it is divided.
    pub labels: &'static [Label],
}

impl Family {
    /// The family of this name, with or without `_total`.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|family| family.name == name || family.stem() == name)
    }

    /// Whether it is divided by the listed tags, too (`tag_<name>`): all that has a key as a label, but for budgets.
    pub fn is_tagged(&self) -> bool {
        self.kind != Kind::Gauge && self.labels.contains(&Label::HashedApiKey)
    }

    /// Its name without `_total`.
    pub fn stem(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }
}

/// The label of a tag: `tag_` and its name, with `_` for whatever Prometheus does not take.
pub fn tag_label(tag: &str) -> String {
    let taken = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    std::iter::once("tag_".to_owned()).chain(tag.chars().map(|letter| taken(letter).to_string())).collect()
}

const fn family(name: &'static str, kind: Kind, labels: &'static [Label], help: &'static str) -> Family {
    Family { name, kind, help, labels }
}

/// All of them, in the order in which they are told.
pub const ALL: &[&Family] = &[
    // requests
    &requests::REQUESTS,
    &requests::FAILED,
    &requests::SERVED,
    &requests::LATENCY,
    &requests::API_LATENCY,
    &requests::FIRST_TOKEN,
    &requests::OVERHEAD,
    &requests::PER_TOKEN,
    &requests::SPEND,
    &requests::TOTAL_TOKENS,
    &requests::INPUT_TOKENS,
    &requests::OUTPUT_TOKENS,
    &requests::CACHED_TOKENS,
    &requests::CACHE_WRITES,
    &requests::AUDIO_INPUT,
    &requests::REASONING,
    &requests::AUDIO_OUTPUT,
    &requests::UNPRICED,
    &requests::ESTIMATED,
    &requests::CALLS,
    &requests::CALLS_SERVED,
    &requests::CALLS_FAILED,
    &requests::COOLED_DOWN,
    &requests::FELL_BACK,
    &requests::FELL_BACK_IN_VAIN,
    &requests::RETRIES,
    &requests::DECISIONS,
    &requests::TAG_REQUESTS,
    &requests::TAG_SPEND,
    &requests::TAG_INPUT_TOKENS,
    &requests::TAG_OUTPUT_TOKENS,
    // budgets
    &budgets::KEY_LEFT,
    &budgets::KEY_MOST,
    &budgets::KEY_HOURS,
    &budgets::TEAM_LEFT,
    &budgets::TEAM_MOST,
    &budgets::TEAM_HOURS,
    &budgets::USER_LEFT,
    &budgets::USER_MOST,
    &budgets::USER_HOURS,
    &budgets::ORG_LEFT,
    &budgets::ORG_MOST,
    &budgets::ORG_HOURS,
    &budgets::PROVIDER_LEFT,
    &budgets::DEPLOYMENT_LEFT,
    &budgets::DEPLOYMENT_MOST,
    &budgets::PROJECT_LEFT,
    &budgets::PROJECT_MOST,
    &budgets::TAG_LEFT,
    &budgets::TAG_MOST,
    &budgets::GLOBAL_LEFT,
    &budgets::GLOBAL_MOST,
    // gateway
    &gateway::IN_FLIGHT,
    &gateway::ADMITTED,
    &gateway::QUEUED,
    &gateway::SHED,
    &gateway::STATE,
    &gateway::STANDING,
    &gateway::COOLDOWN,
    &gateway::RETRIES_DENIED,
    &gateway::EXPERIMENT_SHARE,
    &gateway::EXPERIMENT_HELD,
    &gateway::MIRRORING,
    &gateway::MIRRORED,
    &gateway::RPM_LIMIT,
    &gateway::TPM_LIMIT,
    &gateway::BACKLOG,
    &gateway::IN_MEMORY,
    &gateway::LAG,
    &gateway::DROPPED,
    &gateway::SHIPPED,
    &gateway::SHIPPED_AT,
    &gateway::JOURNAL_FAILING,
    &gateway::STORE_UP,
    &gateway::VALKEY_UP,
    &gateway::GATEWAYS,
    &gateway::REJECTED,
    &gateway::TAG_VIOLATIONS,
    &gateway::LABEL_SETS,
    &gateway::BUILD,
    // process
    &process::CPU,
    &process::RESIDENT,
    &process::VIRTUAL,
    &process::OPEN_FDS,
    &process::MOST_FDS,
    &process::STARTED,
];

/// Every label, in the order of their numbers.
pub const EVERY_LABEL: &[Label] = {
    use Label::*;
    &[
        HashedApiKey,
        ApiKeyAlias,
        Team,
        TeamAlias,
        User,
        OrgId,
        ProjectId,
        RequestedModel,
        ModelGroup,
        Model,
        LitellmModelName,
        ModelId,
        ApiProvider,
        ApiBase,
        Route,
        Stream,
        StatusCode,
        ExceptionStatus,
        ExceptionClass,
        FallbackModel,
        Reason,
        Outcome,
        MatchedVia,
        Tag,
        Priority,
        State,
        Version,
        Experiment,
        Variant,
        Mirror,
    ]
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_valid_and_each_is_there_once() {
        let mut seen = HashSet::new();
        for family in ALL {
            assert!(seen.insert(family.stem()), "{}", family.name);
            assert!(
                family
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            );
            assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{}", family.name);
            let unique: HashSet<_> = family.labels.iter().collect();
            assert_eq!(unique.len(), family.labels.len(), "{}", family.name);
            assert!(family.labels.iter().all(|label| EVERY_LABEL.contains(label)));
        }
        assert_eq!(EVERY_LABEL.len(), Label::COUNT);
        for (place, label) in EVERY_LABEL.iter().enumerate() {
            assert_eq!(*label as usize, place);
        }
    }

    #[test]
    fn a_metric_is_found_by_both_of_its_names() {
        assert_eq!(
            Family::named("litellm_zero_cost_requests"),
            Family::named("litellm_zero_cost_requests_total")
        );
        assert!(Family::named("litellm_spend_metric").is_some());
        assert!(Family::named("litellm_spend").is_none());
    }

    #[test]
    fn a_tags_label_is_one_that_prometheus_takes() {
        assert_eq!(tag_label("User-Agent: x/*"), "tag_User_Agent__x__");
    }
}

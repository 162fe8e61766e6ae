//! One immutable picture of everything a request needs: names have become numbers, URLs and headers are made.
//! A reload compiles a new one; a request keeps the one it began with. Knows no sockets and no state of health.

mod endpoint;
mod headers;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use endpoint::Endpoint;
pub use headers::header_value;
use headers::{blame, reply_headers, request_headers};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::catalogue::{Listed, Pricing};
use crate::config::{Config, Deployment as Entry, Rates, Router};
use crate::dialect::resolve;
use crate::experiment::Trial;
use crate::limits::LimitedTags;
use crate::price::Prices;
use crate::priority::Admission;
use crate::secret;
use crate::strategy::{self, Strategy};
use crate::tag::{Aliases, DeploymentTags, GroupIndex};
use crate::vocabulary::Vocabulary;
use crate::wildcard::{fill, stars};

/// A deployment of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeploymentId(pub u32);

/// A model group of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupId(pub u32);

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `scheme://host:port`: the name of the connection pool.
    pub key: Arc<str>,
    /// Host name or address.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// A deployment, ready to be called.
#[derive(Debug)]
pub struct Deployment {
    /// What the config says of it.
    pub entry: Entry,
    /// Its model group.
    pub group: GroupId,
    /// Its place among the group's deployments.
    pub position: usize,
    /// Where to call; `None` when it only answers by itself.
    pub origin: Option<Origin>,
    /// The provider's model name as a JSON string; `None` when the request's name decides (wildcards).
    pub model_json: Option<String>,
    defaults: Vec<(String, String)>,
    /// Those of them that `/responses` knows too.
    response_defaults: Vec<(String, String)>,
    /// Headers of every call to it.
    pub request_headers: HeaderMap,
    /// Headers that tell clients about it.
    pub reply_headers: Vec<(HeaderName, HeaderValue)>,
    /// What its upstream is called in error messages (`OpenAIException`).
    pub blame: String,
    /// What it may be given: a minute's requests and tokens where they are enforced, and calls in progress.
    pub limits: Rates,
    /// The same for tags at it.
    pub tag_limits: LimitedTags,
    /// The hash of its id.
    pub hash: u64,
    paths: Vec<PathAndQuery>,
    pricing: Pricing,
}

impl Deployment {
    /// Path and query of an endpoint at the provider.
    pub fn path(&self, endpoint: Endpoint) -> Option<&PathAndQuery> {
        self.paths.get(endpoint as usize)
    }

    /// Default parameters of calls to an endpoint, as JSON text. `/responses` has other parameters than chat and
    /// refuses those it does not know; its own are told from chat's by name.
    pub fn defaults(&self, endpoint: Endpoint) -> &[(String, String)] {
        if endpoint == Endpoint::Responses { &self.response_defaults } else { &self.defaults }
    }

    /// Where it is called, as clients may know.
    pub fn shown_base(&self) -> &str {
        headers::shown_base(&self.entry)
    }

    /// What `litellm_params.model` stands for when a client asks for `asked`: a `*` takes what the group's
    /// wildcard matched.
    pub fn model_for(&self, asked: &str) -> String {
        fill(&self.entry.model, &self.entry.model_name, asked)
    }

    /// What a call costs when a client asks for `asked`; `None` when that is not known.
    pub fn prices_for(&self, asked: &str) -> Option<Prices> {
        self.pricing.prices(&self.entry, asked)
    }

    /// Whether calls have no known price, whatever model is asked for.
    pub fn is_unpriced(&self) -> bool {
        self.pricing.is_unknown()
    }

    /// What the catalogue says of the deployment's model.
    pub fn listed(&self) -> Option<Listed<'_>> {
        self.pricing.listed(&self.entry, &self.entry.upstream_model)
    }

    /// The longest prompt it takes, when a client asks for `asked`; `None` when that is not known.
    pub fn max_input(&self, asked: &str) -> Option<u64> {
        self.entry.info.max_input.or_else(|| self.pricing.max_input(&self.entry, asked))
    }

    /// The provider's name of the model as a JSON string, when a client asks for `asked`.
    pub fn upstream_model_json(&self, asked: &str) -> Cow<'_, str> {
        match &self.model_json {
            Some(json) => json.into(),
            None => json_string(&fill(&self.entry.upstream_model, &self.entry.model_name, asked)).into(),
        }
    }
}

/// All deployments with one model name.
#[derive(Debug)]
pub struct Group {
    /// The model name; a wildcard group's pattern.
    pub name: String,
    /// Its deployments in config order.
    pub deployments: Vec<DeploymentId>,
    /// What tags choose among them.
    pub index: GroupIndex,
    /// What chooses among those that tags leave.
    pub strategy: Strategy,
    /// Header with the group's name.
    pub header: HeaderValue,
    /// `model_info.access_groups` of any of its deployments: names that lists of models may use for it.
    pub access_groups: Vec<String>,
}

/// What a model name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A model group, directly or by alias or wildcard.
    Group(GroupId),
    /// One deployment, by its id.
    Deployment(DeploymentId),
}

/// The compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// The settings. Its `deployments` and `experiments` have moved to where they are ready.
    pub config: Config,
    /// Every deployment.
    pub deployments: Vec<Deployment>,
    /// Every model group.
    pub groups: Vec<Group>,
    /// The declared tags with limits of rate.
    pub limited_tags: LimitedTags,
    /// Who is let in while many are in progress; `None` where they have no limit.
    pub admission: Option<Admission>,
    /// Former names of tags.
    pub aliases: Aliases,
    /// `experiments`, among the model groups.
    pub trials: Vec<Trial>,
    /// Digest of the master key.
    pub master_digest: Option<[u8; 32]>,
    /// What holds for the use of tags.
    pub vocabulary: Vocabulary,
    /// Names of declared tags.
    declared: HashSet<Box<str>>,
    names: HashMap<Box<str>, Named>,
    /// Aliases of what only a wildcard knows: the name the wildcard is to match.
    meant: HashMap<Box<str>, Box<str>>,
    /// Wildcard groups, the most specific pattern first.
    wildcards: Vec<(String, GroupId)>,
}

/// A problem that shows only when everything is put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deployment '{id}': {why}")]
pub struct Unusable {
    /// `model_info.id`.
    pub id: String,
    /// What is wrong.
    pub why: String,
}

impl Snapshot {
    /// Compiles a checked configuration.
    ///
    /// # Errors
    /// A deployment's URL or headers cannot be sent.
    pub fn compile(mut config: Config) -> Result<Self, Unusable> {
        let aliases = Aliases::new(&config.tags);
        aliases.settle(&mut config);
        let mut groups: Vec<Group> = Vec::new();
        let mut names: HashMap<Box<str>, Named> = HashMap::new();
        let mut deployments = Vec::new();
        for entry in std::mem::take(&mut config.deployments) {
            let next = GroupId(u32::try_from(groups.len()).unwrap_or(u32::MAX));
            let named = names.entry(entry.model_name.as_str().into()).or_insert(Named::Group(next));
            let Named::Group(group) = *named else { continue };
            if group == next {
                groups.push(Group {
                    name: entry.model_name.clone(),
                    deployments: Vec::new(),
                    index: GroupIndex::build(&config.router.tags, &config.tags, &[]),
                    strategy: config.router.strategy_of(&entry.model_name).clone(),
                    header: header_value(&entry.model_name),
                    access_groups: Vec::new(),
                });
            }
            let Group { deployments: members, access_groups, .. } = &mut groups[group.0 as usize];
            for name in &entry.info.access_groups {
                if !access_groups.contains(name) {
                    access_groups.push(name.clone());
                }
            }
            let id = DeploymentId(u32::try_from(deployments.len()).unwrap_or(u32::MAX));
            deployments.push(deployment(entry, group, members.len(), &config)?);
            members.push(id);
        }
        for group in &mut groups {
            let tags: Vec<_> =
                group.deployments.iter().map(|id| tags_of(&deployments[id.0 as usize].entry)).collect();
            group.index = GroupIndex::build(&config.router.tags, &config.tags, &tags);
        }
        let mut wildcards: Vec<_> = groups
            .iter()
            .zip(0..)
            .filter(|(group, _)| group.name.contains('*'))
            .map(|(group, at)| (group.name.clone(), GroupId(at)))
            .collect();
        wildcards
            .sort_by_key(|(pattern, _)| (std::cmp::Reverse(pattern.len()), pattern.matches('*').count()));
        // A group's own name wins over an alias, and an alias over a deployment id.
        let mut meant = HashMap::new();
        for alias in &config.router.aliases {
            let direct = names.get(alias.group.as_str()).copied();
            let target = direct.or_else(|| wildcard(&wildcards, &alias.group).map(Named::Group));
            if let Some(target) = target {
                if direct.is_none() {
                    meant.insert(alias.name.as_str().into(), alias.group.as_str().into());
                }
                names.insert(alias.name.as_str().into(), target);
            }
        }
        for (deployment, at) in deployments.iter().zip(0..) {
            names
                .entry(deployment.entry.info.id.as_str().into())
                .or_insert(Named::Deployment(DeploymentId(at)));
        }
        let master_digest = config.general.master_key.as_ref().map(|key| secret::digest(key.expose()));
        let limited_tags = LimitedTags::new(&config.tags);
        let admission = Admission::new(&config.general.overload, &config.tags);
        let vocabulary = Vocabulary::compile(&config);
        let trials = Trial::all(std::mem::take(&mut config.experiments), &groups, &names);
        let declared = config.tags.iter().map(|tag| tag.name.as_str().into()).collect();
        Ok(Self {
            config,
            deployments,
            groups,
            limited_tags,
            admission,
            aliases,
            trials,
            master_digest,
            vocabulary,
            declared,
            names,
            meant,
            wildcards,
        })
    }

    /// Whether a tag is declared by this name.
    pub fn declares(&self, tag: &str) -> bool {
        self.declared.contains(tag)
    }

    /// The deployment with this id.
    pub fn deployment(&self, id: DeploymentId) -> &Deployment {
        &self.deployments[id.0 as usize]
    }

    /// The group with this id.
    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.0 as usize]
    }

    /// The name that a wildcard is to match: `model` itself, or what it is an alias of.
    pub fn meant<'a>(&'a self, model: &'a str) -> Cow<'a, str> {
        if self.wildcards.is_empty() {
            return model.into();
        }
        if let Some(name) = self.meant.get(model) {
            return Cow::Borrowed(name);
        }
        if self.names.contains_key(model) || wildcard(&self.wildcards, model).is_some() {
            return model.into();
        }
        with_provider(model).map_or(model.into(), Cow::Owned)
    }

    /// What a client means by `model`.
    pub fn find(&self, model: &str) -> Option<Named> {
        if let Some(named) = self.names.get(model) {
            return Some(*named);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        let group = wildcard(&self.wildcards, model)
            .or_else(|| with_provider(model).and_then(|model| wildcard(&self.wildcards, &model)));
        group.map(Named::Group)
    }
}

/// A bare known name with its provider in front: `gpt-4o` is served by `openai/*` too.
pub fn with_provider(model: &str) -> Option<String> {
    if model.contains('/') {
        return None;
    }
    resolve(model, None).map(|resolved| format!("{}/{model}", resolved.provider.name))
}

fn wildcard(wildcards: &[(String, GroupId)], model: &str) -> Option<GroupId> {
    wildcards.iter().find(|(pattern, _)| stars(pattern, model).is_some()).map(|(_, id)| *id)
}

fn tags_of(entry: &Entry) -> DeploymentTags<'_> {
    DeploymentTags {
        id: &entry.info.id,
        tags: &entry.tags,
        tag_regex: &entry.tag_regex,
        allow_fail_open: entry.info.allow_fail_open,
        enable_tag_filtering: entry.info.enable_tag_filtering,
        tier: entry.info.tier,
        region: entry.region.as_deref(),
    }
}

fn deployment(
    entry: Entry,
    group: GroupId,
    position: usize,
    config: &Config,
) -> Result<Deployment, Unusable> {
    let unusable = |why: String| Unusable { id: entry.info.id.clone(), why };
    let shown = entry.api_base.clone().unwrap_or_else(|| entry.provider.base_url.to_owned());
    let mut paths = Vec::new();
    let origin = if shown.is_empty() {
        None
    } else {
        let url =
            url::Url::parse(&shown).map_err(|error| unusable(format!("api_base '{shown}': {error}")))?;
        let base = url.path().trim_end_matches('/');
        for endpoint in Endpoint::ALL {
            let query = url.query().map_or(String::new(), |query| format!("?{query}"));
            let path = format!("{base}{}{query}", endpoint.path());
            paths.push(path.parse().map_err(|error| unusable(format!("api_base '{shown}': {error}")))?);
        }
        Some(
            origin(&url)
                .ok_or_else(|| unusable(format!("api_base '{shown}' is no http:// or https:// URL")))?,
        )
    };
    let wild = entry.upstream_model.contains('*');
    let defaults = defaults(&entry);
    Ok(Deployment {
        group,
        position,
        model_json: (!wild).then(|| json_string(&entry.upstream_model)),
        response_defaults: defaults
            .iter()
            .filter(|(key, _)| RESPONSE_PARAMETERS.contains(&key.as_str()))
            .cloned()
            .collect(),
        defaults,
        request_headers: request_headers(&entry, origin.as_ref()).map_err(unusable)?,
        reply_headers: reply_headers(&entry),
        blame: blame(entry.provider.name),
        origin,
        paths,
        limits: limits(&entry, &config.router),
        hash: strategy::hash(&entry.info.id),
        tag_limits: entry.info.tag_rates.iter().map(|(tag, rates)| (tag.as_str(), *rates)).collect(),
        pricing: Pricing::new(&entry, &config.catalogue),
        entry,
    })
}

/// The limits in force. LiteLLM looks for `rpm` and `tpm` in `model_info`, too.
fn limits(entry: &Entry, router: &Router) -> Rates {
    let enforced = router.enforce_rates || router.strategy_of(&entry.model_name).enforces_rates();
    let rate = |own: Option<u64>, name: &str| {
        let own = own.or_else(|| entry.info.fields.get(name)?.as_u64());
        own.filter(|_| enforced)
    };
    Rates {
        requests: rate(entry.rpm, "rpm"),
        tokens: rate(entry.tpm, "tpm"),
        in_progress: entry.max_parallel_requests.or(router.default_max_parallel_requests),
    }
}

/// Parameters of `/responses`.
const RESPONSE_PARAMETERS: [&str; 22] = [
    "background",
    "include",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The default parameters; `extra_body` stands for the parameters in it.
fn defaults(entry: &Entry) -> Vec<(String, String)> {
    let mut defaults = Vec::new();
    for (key, value) in &entry.defaults {
        match value.as_object().filter(|_| key == "extra_body") {
            Some(fields) => {
                defaults.extend(fields.iter().map(|(key, value)| (key.clone(), value.to_string())));
            }
            None => defaults.push((key.clone(), value.to_string())),
        }
    }
    defaults
}

fn origin(url: &url::Url) -> Option<Origin> {
    let tls = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    Some(Origin {
        key: format!("{}://{host}:{port}", url.scheme()).into(),
        // An IPv6 address is written in brackets in a URL, and without them everywhere else.
        host: host.trim_matches(['[', ']']).into(),
        port,
        tls,
    })
}

/// `text` as JSON, with its quotes.
pub fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

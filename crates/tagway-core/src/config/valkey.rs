//! Where Valkey (or Redis) is, in LiteLLM's names: `general_settings.coordination_redis`, `router_settings`, the Redis of
//! a response cache, or the environment. Gateways share budgets, limits and news there; they do without it, so that
//! what is not set is not an error.

use serde_json::Value;

use super::model::{Valkey, ValkeyServer};
use super::scope::{At, Rule, Scope, Table, strict};
use super::yaml::{Kind, Node};
use crate::secret::Secret;

/// Redis' own.
const PORT: u16 = 6379;
const SCHEMES: &[&str] = &["redis", "rediss", "valkey", "valkeys"];
const NO_SENTINEL: &str =
    "give the address of the server or of the cluster's nodes: `host`, `url`, `startup_nodes`";
const NO_IAM: &str = "give `username` and `password`";

/// As far as read.
#[derive(Default)]
pub(super) struct Draft {
    url: Option<Secret>,
    host: Option<String>,
    port: Option<u16>,
    nodes: Option<Vec<(String, u16)>>,
    username: Option<String>,
    password: Option<Secret>,
    tls: Option<bool>,
    db: Option<u32>,
    ca_certs: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Draft {
    fn has_server(&self) -> bool {
        self.url.is_some() || self.host.is_some() || self.nodes.is_some()
    }
}

/// A Redis as LiteLLM's client takes it.
const REDIS: Table<Draft> = &[
    ("url", Rule::Works(url)),
    ("host", Rule::Works(host)),
    ("port", Rule::Works(port)),
    ("username", Rule::Works(username)),
    ("password", Rule::Works(password)),
    ("ssl", Rule::Works(tls)),
    ("db", Rule::Works(db)),
    ("startup_nodes", Rule::Works(nodes)),
    ("redis_startup_nodes", Rule::Works(nodes)),
    ("ssl_ca_certs", Rule::Works(ca_certs)),
    ("ssl_certfile", Rule::Works(|draft, at, scope| draft.certificate = scope.text(at))),
    ("ssl_keyfile", Rule::Works(|draft, at, scope| draft.key = scope.text(at))),
    ("ssl_cert_reqs", Rule::Works(verified)),
    ("ssl_check_hostname", Rule::Works(verified)),
    ("sentinel_nodes", Rule::Refused(NO_SENTINEL)),
    ("sentinel_password", Rule::Refused(NO_SENTINEL)),
    ("service_name", Rule::Refused(NO_SENTINEL)),
    ("aws_iam_auth", Rule::Refused(NO_IAM)),
    ("gcp_service_account", Rule::Refused(NO_IAM)),
    ("azure_redis_ad_token", Rule::Refused(NO_IAM)),
    ("aws_iam_user_name", Rule::Ignored),
    ("aws_iam_cache_name", Rule::Ignored),
    ("aws_iam_region", Rule::Ignored),
    ("aws_iam_serverless", Rule::Ignored),
    ("gcp_ssl_ca_certs", Rule::Ignored),
    ("max_connections", Rule::Ignored),
    ("namespace", Rule::Ignored),
    ("ttl", Rule::Ignored),
    ("socket_timeout", Rule::Ignored),
    ("socket_connect_timeout", Rule::Ignored),
    ("socket_keepalive", Rule::Ignored),
    ("health_check_interval", Rule::Ignored),
    ("decode_responses", Rule::Ignored),
];

/// `general_settings.coordination_redis`, and `router_settings.cache_kwargs`.
pub(super) fn redis(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    scope.walk(at, REDIS, draft, strict);
}

/// `general_settings.coordination_redis`
pub(super) fn coordination(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    redis(draft, at, scope);
    let says = |name: &str| at.node.get(name).is_some();
    if !["url", "host", "startup_nodes", "redis_startup_nodes", "sentinel_nodes"].into_iter().any(says) {
        scope.error(at, "no server is named").help("set one of `host`, `url` and `startup_nodes`");
    }
}

/// The Redis of `litellm_settings.cache_params`, where there is one: LiteLLM's gateways share it, too.
pub(super) fn of_cache(settings: &At<'_>, scope: &mut Scope<'_>) -> Draft {
    let mut draft = Draft::default();
    let is = |node: &Node, name: &str, text: &str| match node.get(name).map(|entry| &entry.value.kind) {
        Some(Kind::Text(value)) => value == text,
        Some(_) => false,
        None => true,
    };
    let on = settings.node.get("cache").is_some_and(|entry| matches!(entry.value.kind, Kind::Bool(true)));
    let params = settings.node.get("cache_params").map(|entry| settings.entry(entry));
    if let Some(params) = params.filter(|params| on && is(params.node, "type", "redis"))
        && let Kind::Map(_) = params.node.kind
    {
        // The rest is the response cache's own.
        scope.walk(&params, REDIS, &mut draft, |_, _, _, _| true);
    }
    draft
}

pub(super) fn url(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(url) = given(at, scope).and_then(|()| scope.text(at)) else { return };
    if is_url(&url) {
        draft.url = Some(Secret::new(url));
    } else {
        scope.error(at, "not the URL of a Redis").help("write `redis://…`, or `rediss://…` for TLS");
    }
}

pub(super) fn host(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.host = given(at, scope).and_then(|()| scope.text(at));
}

pub(super) fn port(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let port = given(at, scope).and_then(|()| scope.whole(at, 1, i64::from(u16::MAX)));
    draft.port = port.and_then(|port| port.try_into().ok());
}

pub(super) fn username(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.username = given(at, scope).and_then(|()| scope.text(at));
}

pub(super) fn password(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.password = given(at, scope).and_then(|()| scope.text(at)).map(Secret::new);
}

pub(super) fn tls(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.tls = given(at, scope).and_then(|()| scope.bool(at));
}

pub(super) fn db(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let db = given(at, scope).and_then(|()| scope.whole(at, 0, i64::from(u16::MAX)));
    draft.db = db.and_then(|db| db.try_into().ok());
}

pub(super) fn ca_certs(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.ca_certs = given(at, scope).and_then(|()| scope.text(at));
}

/// `[{host: a, port: 7000}, …]`, or JSON of it.
pub(super) fn nodes(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    if given(at, scope).is_none() {
        return;
    }
    if let Kind::Text(_) = at.node.kind {
        let Some(text) = scope.text(at) else { return };
        draft.nodes = in_json(&text);
        if draft.nodes.is_none() {
            scope.error(at, "not a list of nodes").help("write `[{\"host\": \"a\", \"port\": 7000}]`");
        }
        return;
    }
    let mut found = Vec::new();
    for (index, node) in scope.items(at).iter().enumerate() {
        let item = at.item(index, node);
        let mut one = Draft::default();
        scope.walk(&item, NODE, &mut one, strict);
        match one.host {
            Some(host) => found.push((host, one.port.unwrap_or(PORT))),
            None if matches!(item.node.kind, Kind::Map(_)) => {
                scope.error(&item, "`host` is missing");
            }
            None => {}
        }
    }
    draft.nodes = (!found.is_empty()).then_some(found);
}

const NODE: Table<Draft> = &[("host", Rule::Works(host)), ("port", Rule::Works(port))];

fn in_json(text: &str) -> Option<Vec<(String, u16)>> {
    let Ok(Value::Array(nodes)) = serde_json::from_str(text) else { return None };
    let node = |node: &Value| {
        let host = node.get("host")?.as_str()?.to_owned();
        let port = match node.get("port") {
            None => PORT,
            Some(Value::String(port)) => port.parse().ok()?,
            Some(port) => port.as_u64()?.try_into().ok()?,
        };
        Some((host, port))
    };
    nodes.iter().map(node).collect::<Option<Vec<_>>>().filter(|nodes| !nodes.is_empty())
}

/// Certificates are always verified.
fn verified(_: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let off = match &at.node.kind {
        Kind::Bool(on) => !on,
        Kind::Text(text) => !matches!(text.to_ascii_lowercase().as_str(), "required" | "true"),
        _ => true,
    };
    if off {
        scope
            .warning(at, "certificates are always verified")
            .help("name yours in `ssl_ca_certs`, or add it to the system's store");
    }
}

/// Whether there is anything to read: a variable that is not set is worth a word, not a refusal.
fn given(at: &At<'_>, scope: &mut Scope<'_>) -> Option<()> {
    let Kind::Text(text) = &at.node.kind else { return Some(()) };
    let Some(name) = text.strip_prefix("os.environ/") else { return Some(()) };
    if scope.env(name).is_some() {
        return Some(());
    }
    scope.warning(at, format!("the environment variable `{name}` is not set: taken as left out"));
    None
}

fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| SCHEMES.contains(&url.scheme()) && url.has_host())
}

/// What the file says, completed by the environment: `coordination_redis` goes first, then the router's settings, then
/// the cache's. As in LiteLLM a cluster goes before a URL and a URL before a host, except that a host in the file goes
/// before a URL in the environment.
pub(super) fn settle(drafts: [Draft; 3], scope: &Scope<'_>) -> Option<Valkey> {
    let in_env = |name: &str| scope.env(name).map(|text| text.trim().to_owned());
    let [coordination, router, cache] = drafts;
    // Without a server in the file, the router's settings say the rest of what the environment says.
    let draft = if coordination.has_server() {
        coordination
    } else if cache.has_server() && !router.has_server() {
        cache
    } else {
        router
    };
    let in_file = draft.has_server();
    let from_env = |name: &str| if in_file { None } else { in_env(name) };
    let is_true = |text: String| matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on");
    let nodes = draft.nodes.or_else(|| in_json(&from_env("REDIS_CLUSTER_NODES")?));
    let url = draft.url.or_else(|| from_env("REDIS_URL").filter(|url| is_url(url)).map(Secret::new));
    // Kubernetes sets REDIS_PORT to a URL for a service named redis.
    let port = || draft.port.or_else(|| in_env("REDIS_PORT")?.parse().ok()).unwrap_or(PORT);
    let server = match (nodes, url) {
        (Some(nodes), _) => ValkeyServer::Cluster(nodes),
        (None, Some(url)) => ValkeyServer::Url(url),
        (None, None) => {
            let port = port();
            ValkeyServer::Address(draft.host.or_else(|| in_env("REDIS_HOST"))?, port)
        }
    };
    let certificate = draft.certificate.or_else(|| in_env("REDIS_SSL_CERTFILE"));
    let key = draft.key.or_else(|| in_env("REDIS_SSL_KEYFILE"));
    let mut valkey = Valkey::new(server);
    valkey.ca_certs = draft.ca_certs.or_else(|| in_env("REDIS_SSL_CA_CERTS"));
    // redis-py takes a file that holds both as well.
    valkey.certificate = certificate.map(|certificate| (certificate.clone(), key.unwrap_or(certificate)));
    if !matches!(valkey.server, ValkeyServer::Url(_)) {
        valkey.username = draft.username.or_else(|| in_env("REDIS_USERNAME"));
        valkey.password = draft.password.or_else(|| in_env("REDIS_PASSWORD").map(Secret::new));
        valkey.tls = draft.tls.or_else(|| in_env("REDIS_SSL").map(is_true)).unwrap_or(false);
        valkey.db = draft.db.or_else(|| in_env("REDIS_DB")?.parse().ok()).unwrap_or(0);
    }
    Some(valkey)
}

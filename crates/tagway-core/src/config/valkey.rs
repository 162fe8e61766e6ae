//! Where Valkey (or Redis) is, as `router_settings` or the environment say it in LiteLLM's names. Gateways tell each
//! other of changes there; they do without it, so that what is not set is not an error.

use super::model::Valkey;
use super::scope::{At, Scope};
use super::yaml::Kind;
use crate::secret::Secret;

/// Redis' own.
const PORT: u16 = 6379;
const SCHEMES: &[&str] = &["redis", "rediss", "valkey", "valkeys"];

/// As far as read.
#[derive(Default)]
pub(super) struct Draft {
    url: Option<Secret>,
    host: Option<String>,
    port: Option<u16>,
    username: Option<String>,
    password: Option<Secret>,
    tls: Option<bool>,
    db: Option<u32>,
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

/// What the file says, completed by the environment. As in LiteLLM a URL goes before a host, except that a host in the
/// file goes before a URL in the environment.
pub(super) fn settle(draft: Draft, scope: &Scope<'_>) -> Option<Valkey> {
    let in_env = |name: &str| scope.env(name).map(|text| text.trim().to_owned());
    if let Some(url) = draft.url {
        return Some(Valkey::Url(url));
    }
    if draft.host.is_none()
        && let Some(url) = in_env("REDIS_URL").filter(|url| is_url(url))
    {
        return Some(Valkey::Url(Secret::new(url)));
    }
    let is_true = |text: String| matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on");
    Some(Valkey::Address {
        host: draft.host.or_else(|| in_env("REDIS_HOST"))?,
        // Kubernetes sets REDIS_PORT to a URL for a service named redis.
        port: draft.port.or_else(|| in_env("REDIS_PORT")?.parse().ok()).unwrap_or(PORT),
        username: draft.username.or_else(|| in_env("REDIS_USERNAME")),
        password: draft.password.or_else(|| in_env("REDIS_PASSWORD").map(Secret::new)),
        tls: draft.tls.or_else(|| in_env("REDIS_SSL").map(is_true)).unwrap_or(false),
        db: draft.db.or_else(|| in_env("REDIS_DB")?.parse().ok()).unwrap_or(0),
    })
}

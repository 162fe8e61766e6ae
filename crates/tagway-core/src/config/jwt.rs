//! `enable_jwt_auth` and `litellm_jwtauth`: whose tokens are taken, and what their claims mean. Issuer and audience are
//! always checked, so that both must be known here. Knows neither keys nor signatures.

use std::sync::Arc;
use std::time::Duration;

use super::jwt_keys::SECTION;
use super::scope::{At, Scope, strict};
use super::yaml::{Kind, Mark};
use crate::access::Routes;

/// LiteLLM's names of what those may call whose scope makes them admins.
const ADMIN_ROUTES: [&str; 4] =
    ["management_routes", "spend_tracking_routes", "global_spend_tracking_routes", "info_routes"];
/// And those whose token names a team.
const TEAM_ROUTES: [&str; 2] = ["openai_routes", "info_routes"];
/// LiteLLM's scope of admins.
const ADMIN_SCOPE: &str = "litellm_proxy_admin";
/// LiteLLM's time after which keys are read again …
const KEY_TTL: Duration = Duration::from_secs(600);
/// … and for how much longer they serve where that fails.
const STALE_TTL: Duration = Duration::from_secs(3600);
/// Clocks differ by so much, usually.
const LEEWAY: Duration = Duration::from_secs(30);

/// Whose tokens are taken, and what their claims mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// Who may sign tokens.
    pub issuers: Vec<Issuer>,
    /// `public_key_ttl`: the issuers' keys are read again after so long.
    pub key_ttl: Duration,
    /// `public_key_stale_ttl`: for so much longer they are used where that fails.
    pub stale_ttl: Duration,
    /// `leeway`: clocks may differ by so much.
    pub leeway: Duration,
    /// `team_id_default`
    pub team_default: Option<String>,
    /// `admin_jwt_scope`
    pub admin_scope: String,
    /// `admin_allowed_routes`
    pub admin_routes: Routes,
    /// `team_allowed_routes`
    pub team_routes: Routes,
    /// `enforce_rbac`: a token must name a user or a team, or be an admin's.
    pub needs_role: bool,
    /// `enforce_team_based_model_access`: a token must name a team.
    pub needs_team: bool,
    /// `user_id_upsert`: users that nobody has made are made.
    pub makes_users: bool,
    /// `team_id_upsert`: so are teams.
    pub makes_teams: bool,
    /// `tags_jwt_field`: the claim that holds tags.
    pub tags: Option<ClaimPath>,
    /// `claim_tags`: tags made of what claims say.
    pub claim_tags: Vec<(ClaimPath, Template)>,
}

/// Who signs tokens, for whom, and what its claims are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issuer {
    /// `iss` of its tokens.
    pub name: String,
    /// One of these is in `aud`.
    pub audiences: Vec<String>,
    /// Where its keys are; a discovery document (`…/.well-known/openid-configuration`) names the place.
    pub key_urls: Vec<String>,
    /// What its claims are called.
    pub fields: Fields,
}

/// Which claims say whose a request is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// `user_id_jwt_field`
    pub user: Option<ClaimPath>,
    /// `team_id_jwt_field`
    pub team: Option<ClaimPath>,
    /// `team_ids_jwt_field`
    pub teams: Option<ClaimPath>,
    /// `org_id_jwt_field`
    pub organization: Option<ClaimPath>,
    /// `end_user_id_jwt_field`
    pub customer: Option<ClaimPath>,
}

impl Fields {
    /// The same with what `others` say where these say nothing.
    fn or(self, others: &Self) -> Self {
        let or = |own: Option<ClaimPath>, other: &Option<ClaimPath>| own.or_else(|| other.clone());
        Self {
            user: or(self.user, &others.user),
            team: or(self.team, &others.team),
            teams: or(self.teams, &others.teams),
            organization: or(self.organization, &others.organization),
            customer: or(self.customer, &others.customer),
        }
    }
}

/// Where a claim is: `sub`, or `realm_access.roles` inside another; `\.` is a dot of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    /// As it is written.
    pub text: Box<str>,
    /// The names on the way.
    pub names: Vec<Box<str>>,
}

impl ClaimPath {
    /// Takes a path apart.
    pub fn new(text: &str) -> Self {
        let mut names = vec![String::new()];
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '.' => names.push(String::new()),
                c => {
                    let escaped = c == '\\' && rest.peek() == Some(&'.');
                    let c = if escaped { rest.next().unwrap_or(c) } else { c };
                    names.extend(names.is_empty().then(String::new));
                    if let Some(name) = names.last_mut() {
                        name.push(c);
                    }
                }
            }
        }
        Self { text: text.into(), names: names.into_iter().map(Into::into).collect() }
    }

    /// Reads one; it must name something.
    pub(super) fn read(at: &At<'_>, scope: &mut Scope<'_>) -> Option<Self> {
        let text = scope.text(at)?;
        let path = Self::new(&text);
        if path.names.iter().any(|name| name.is_empty()) {
            scope
                .error(at, "not a path to a claim")
                .help("write the claim's name, or names with dots between them: `realm_access.roles`");
            return None;
        }
        if let Some(index) = path.names.iter().position(|name| name.contains('[') && name.ends_with(']')) {
            let base = path.names[..index].join(".");
            let name = path.names[index].split('[').next().unwrap_or_default();
            let base = if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") };
            scope
                .error(at, "claims have no positions of lists in their paths")
                .help(format!("write `{base}`: of a list, the first item is a team's id, and all are tags"));
            return None;
        }
        Some(path)
    }
}

/// A tag with a place for what a claim says: `dept:{}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    before: Box<str>,
    after: Box<str>,
}

impl Template {
    /// Reads one; none when it has not exactly one place.
    pub fn new(text: &str) -> Option<Self> {
        let (before, after) = text.split_once("{}")?;
        let once = !after.contains("{}");
        once.then(|| Self { before: before.into(), after: after.into() })
    }

    /// Whether the value stands at the end.
    pub(super) fn is_open(&self) -> bool {
        self.after.is_empty()
    }

    /// The tag for a value.
    pub fn tag(&self, value: &str) -> String {
        format!("{}{value}{}", self.before, self.after)
    }
}

/// The settings as far as read.
#[derive(Default)]
pub(super) struct Draft {
    /// `enable_jwt_auth: true`, and where it says so.
    enabled: Option<(Mark, String)>,
    /// `litellm_jwtauth`
    section: Option<(Mark, String, Section)>,
    /// `general_settings.enforce_rbac`
    needs_role: bool,
}

/// `litellm_jwtauth` as far as read.
#[derive(Default)]
pub(super) struct Section {
    pub(super) name: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) key_urls: Vec<String>,
    pub(super) fields: Fields,
    pub(super) issuers: Vec<Issuer>,
    pub(super) key_ttl: Option<Duration>,
    pub(super) stale_ttl: Option<Duration>,
    pub(super) leeway: Option<Duration>,
    pub(super) team_default: Option<String>,
    pub(super) admin_scope: Option<String>,
    pub(super) admin_routes: Option<Vec<String>>,
    pub(super) team_routes: Option<Vec<String>>,
    pub(super) needs_role: bool,
    pub(super) needs_team: bool,
    pub(super) makes_users: bool,
    pub(super) makes_teams: bool,
    pub(super) tags: Option<ClaimPath>,
    pub(super) claim_tags: Vec<(ClaimPath, Template)>,
}

/// `enable_jwt_auth`
pub(super) fn enable(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    if scope.bool(at) == Some(true) {
        draft.enabled = Some((at.node.mark, at.path.clone()));
    }
}

/// `general_settings.enforce_rbac`: LiteLLM asks it of tokens alone.
pub(super) fn needs_role(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    draft.needs_role = scope.bool(at).unwrap_or(false);
}

/// `litellm_jwtauth`
pub(super) fn section(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let mut section = Section::default();
    scope.walk(at, SECTION, &mut section, strict);
    draft.section = Some((at.key, at.path.clone(), section));
}

/// `audience`: a text, or a list of texts.
pub(super) fn several(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let given = match at.node.kind {
        Kind::List(_) => scope.texts(at),
        _ => scope.text(at).into_iter().collect(),
    };
    if given.iter().any(|text| text.trim().is_empty()) {
        scope.error(at, "must not be empty");
    }
    given
}

/// `jwks_url`: an address, or a list of them.
pub(super) fn urls(at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let given = several(at, scope);
    if !given.iter().all(|url| is_web(url)) {
        scope.error(at, "must begin with `https://` or `http://`");
        return Vec::new();
    }
    given
}

fn is_web(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && url::Url::parse(url).is_ok()
}

impl Draft {
    /// What is in force, with what the environment adds. `open` says that the gateway has no master key.
    pub(super) fn settle(self, open: bool, scope: &mut Scope<'_>) -> Option<Arc<Jwt>> {
        let Some((mark, path)) = self.enabled else {
            if let Some((mark, path, _)) = &self.section {
                scope
                    .report
                    .warning(*mark, path, "no tokens are taken: `enable_jwt_auth` is not true")
                    .help("write `enable_jwt_auth: true` beside it, or remove it");
            }
            return None;
        };
        if open {
            scope
                .report
                .error(mark, &path, "without a master key everybody may come in, with a token or without")
                .help("set `master_key` beside it, or `LITELLM_MASTER_KEY`");
        }
        let section = self.section.map(|(_, _, section)| section).unwrap_or_default();
        let issuers = issuers(&section, (mark, &path), scope);
        let routes = |given: Option<Vec<String>>, usual: &[&str]| {
            Routes::new(&given.unwrap_or_else(|| usual.iter().map(|&name| name.to_owned()).collect()))
        };
        Some(Arc::new(Jwt {
            issuers,
            key_ttl: section.key_ttl.unwrap_or(KEY_TTL),
            stale_ttl: section.stale_ttl.unwrap_or(STALE_TTL),
            leeway: section.leeway.unwrap_or(LEEWAY),
            team_default: section.team_default,
            admin_scope: section.admin_scope.unwrap_or_else(|| ADMIN_SCOPE.to_owned()),
            admin_routes: routes(section.admin_routes, &ADMIN_ROUTES),
            team_routes: routes(section.team_routes, &TEAM_ROUTES),
            needs_role: section.needs_role || self.needs_role,
            needs_team: section.needs_team,
            makes_users: section.makes_users,
            makes_teams: section.makes_teams,
            tags: section.tags,
            claim_tags: section.claim_tags,
        }))
    }
}

/// Everybody whose tokens are taken.
fn issuers(section: &Section, (mark, path): (Mark, &str), scope: &mut Scope<'_>) -> Vec<Issuer> {
    let own = |given: &[String], variable: &str, scope: &Scope<'_>| {
        if given.is_empty() { scope.env(variable).into_iter().collect() } else { given.to_vec() }
    };
    let name = section.name.clone().or_else(|| scope.env("JWT_ISSUER"));
    let audiences = own(&section.audiences, "JWT_AUDIENCE", scope);
    let mut key_urls = section.key_urls.clone();
    if key_urls.is_empty()
        && let Some(list) = scope.env("JWT_PUBLIC_KEY_URL")
    {
        key_urls = list.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect();
        if !key_urls.iter().all(|url| is_web(url)) {
            let message =
                "the variable JWT_PUBLIC_KEY_URL must hold addresses that begin with `https://` or `http://`";
            scope.report.error(mark, path, message);
        }
    }
    let mut all: Vec<Issuer> = Vec::new();
    for issuer in &section.issuers {
        all.push(Issuer { fields: issuer.fields.clone().or(&section.fields), ..issuer.clone() });
    }
    let given = name.is_some() || !audiences.is_empty() || !key_urls.is_empty();
    if !given && !all.is_empty() {
        return all;
    }
    // One of them missing, a token for another service would do, or anybody's.
    let missing = [
        (key_urls.is_empty(), "jwks_url", "JWT_PUBLIC_KEY_URL", "where the identity provider's keys are"),
        (name.is_none(), "issuer", "JWT_ISSUER", "what `iss` of its tokens says"),
        (audiences.is_empty(), "audience", "JWT_AUDIENCE", "what `aud` of tokens for this gateway says"),
    ];
    for (_, key, variable, what) in missing.iter().filter(|(missing, ..)| *missing) {
        scope
            .report
            .error(mark, path, format!("tokens cannot be checked: `litellm_jwtauth.{key}` is not given"))
            .help(format!("give it, or set {variable}: {what}"));
    }
    let name = name.unwrap_or_default();
    if all.iter().any(|issuer| issuer.name == name) {
        scope.report.error(mark, path, format!("the issuer `{name}` is given twice"));
    }
    all.push(Issuer { name, audiences, key_urls, fields: section.fields.clone() });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_inside_by_dots_that_are_not_escaped() {
        let names = |text: &str| ClaimPath::new(text).names.join("|");
        assert_eq!(names("sub"), "sub");
        assert_eq!(names("realm_access.roles"), "realm_access|roles");
        assert_eq!(names(r"kubernetes\.io.namespace"), "kubernetes.io|namespace");
        assert_eq!(names(r"a\b"), r"a\b");
        assert_eq!(names("a..b"), "a||b");
    }

    #[test]
    fn a_template_has_one_place() {
        assert_eq!(Template::new("&region:{}").unwrap().tag("eu"), "&region:eu");
        assert_eq!(Template::new("{}").unwrap().tag("eu"), "eu");
        assert!(Template::new("region").is_none() && Template::new("{}:{}").is_none());
    }
}

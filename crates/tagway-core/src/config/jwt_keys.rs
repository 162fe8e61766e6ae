//! Every key of `litellm_jwtauth` and its rule.

use super::jwt::{ClaimPath, Fields, Issuer, Section, Template, several, urls};
use super::scope::{At, Rule, Scope, Table, strict};
use super::yaml::Kind;
use crate::tag::name::TagName;

const NO_ROLES: &str = "give roles to users in the store (`user_role`), or let a scope make admins (`admin_jwt_scope`); what a token may do is otherwise its team's and its user's policy";
const NO_EMAIL: &str = "name users by `user_id_jwt_field`, and let the identity provider decide who gets a token for this audience";
const NO_NAMES: &str = "let the claim hold the id, and name it by `team_id_jwt_field` or `org_id_jwt_field`";
const NO_KEYS: &str = "remove it: a token is a caller of its own here, with its team's and its user's limits";
const NO_USERINFO: &str = "let the provider put the claims into the token";
const NO_TEAMS_ELSEWHERE: &str =
    "let the token name its teams (`team_id_jwt_field`, `team_ids_jwt_field`), or give `team_id_default`";

pub(super) const SECTION: Table<Section> = &[
    ("issuer", Rule::Works(|s, at, scope| s.name = named(at, scope))),
    ("audience", Rule::Works(|s, at, scope| s.audiences = several(at, scope))),
    ("jwks_url", Rule::Works(|s, at, scope| s.key_urls = urls(at, scope))),
    ("issuers", Rule::Works(issuers)),
    ("user_id_jwt_field", Rule::Works(|s, at, scope| s.fields.user = ClaimPath::read(at, scope))),
    ("team_id_jwt_field", Rule::Works(|s, at, scope| s.fields.team = ClaimPath::read(at, scope))),
    ("team_ids_jwt_field", Rule::Works(|s, at, scope| s.fields.teams = ClaimPath::read(at, scope))),
    ("org_id_jwt_field", Rule::Works(|s, at, scope| s.fields.organization = ClaimPath::read(at, scope))),
    ("end_user_id_jwt_field", Rule::Works(|s, at, scope| s.fields.customer = ClaimPath::read(at, scope))),
    ("team_id_default", Rule::Works(|s, at, scope| s.team_default = named(at, scope))),
    ("user_id_upsert", Rule::Works(|s, at, scope| s.makes_users = scope.bool(at).unwrap_or(false))),
    ("team_id_upsert", Rule::Works(|s, at, scope| s.makes_teams = scope.bool(at).unwrap_or(false))),
    ("admin_jwt_scope", Rule::Works(|s, at, scope| s.admin_scope = named(at, scope))),
    ("admin_allowed_routes", Rule::Works(|s, at, scope| s.admin_routes = Some(scope.texts(at)))),
    ("team_allowed_routes", Rule::Works(|s, at, scope| s.team_routes = Some(scope.texts(at)))),
    ("public_key_ttl", Rule::Works(|s, at, scope| s.key_ttl = scope.seconds(at, false))),
    ("public_key_stale_ttl", Rule::Works(|s, at, scope| s.stale_ttl = scope.seconds(at, true))),
    ("leeway", Rule::Works(leeway)),
    ("enforce_rbac", Rule::Works(|s, at, scope| s.needs_role = scope.bool(at).unwrap_or(false))),
    (
        "enforce_team_based_model_access",
        Rule::Works(|s, at, scope| s.needs_team = scope.bool(at).unwrap_or(false)),
    ),
    ("tags_jwt_field", Rule::Works(|s, at, scope| s.tags = ClaimPath::read(at, scope))),
    ("claim_tags", Rule::Works(claim_tags)),
    ("team_alias_jwt_field", Rule::Refused(NO_NAMES)),
    ("org_alias_jwt_field", Rule::Refused(NO_NAMES)),
    ("user_email_jwt_field", Rule::Refused(NO_EMAIL)),
    ("user_allowed_email_domain", Rule::Refused(NO_EMAIL)),
    ("user_roles_jwt_field", Rule::Refused(NO_ROLES)),
    ("user_allowed_roles", Rule::Refused(NO_ROLES)),
    ("roles_jwt_field", Rule::Refused(NO_ROLES)),
    ("role_mappings", Rule::Refused(NO_ROLES)),
    ("object_id_jwt_field", Rule::Refused(NO_ROLES)),
    ("jwt_litellm_role_map", Rule::Refused(NO_ROLES)),
    ("sync_user_role_and_teams", Rule::Refused(NO_ROLES)),
    ("upsert_sso_user_to_team", Rule::Refused(NO_ROLES)),
    ("team_jwt_scope", Rule::Refused(NO_ROLES)),
    ("scope_mappings", Rule::Refused("list the models that a team or a user may use in its `models`")),
    (
        "enforce_scope_based_access",
        Rule::Refused("list the models that a team or a user may use in its `models`"),
    ),
    ("custom_validate", Rule::Refused("tagway runs no Python; demand claims by the identity provider")),
    (
        "public_allowed_routes",
        Rule::Refused("use `enforce_rbac: true` to refuse tokens without team and user"),
    ),
    ("oidc_userinfo_endpoint", Rule::Refused(NO_USERINFO)),
    ("oidc_userinfo_enabled", Rule::Refused(NO_USERINFO)),
    ("oidc_userinfo_cache_ttl", Rule::Ignored),
    ("virtual_key_claim_field", Rule::Refused(NO_KEYS)),
    ("virtual_key_mapping_cache_ttl", Rule::Ignored),
    ("unregistered_jwt_client_behavior", Rule::Refused(NO_KEYS)),
    ("auto_register_map_existing_key", Rule::Refused(NO_KEYS)),
    ("routing_overrides", Rule::Refused("tagway has no OAuth2 introspection that tokens could go to")),
    ("team_claim_fallback", Rule::Refused(NO_TEAMS_ELSEWHERE)),
    ("fallback_to_db_teams", Rule::Refused(NO_TEAMS_ELSEWHERE)),
    (
        "agent_id_jwt_field",
        Rule::Refused("tagway has no registry of agents; make a tag of the claim by `claim_tags`"),
    ),
    ("mcp_client_id_jwt_field", Rule::Ignored),
];

const ISSUER: Table<Issuer> = &[
    ("issuer", Rule::Works(|i, at, scope| i.name = named(at, scope).unwrap_or_default())),
    ("audience", Rule::Works(|i, at, scope| i.audiences = several(at, scope))),
    ("jwks_url", Rule::Works(|i, at, scope| i.key_urls = urls(at, scope))),
    ("user_id_jwt_field", Rule::Works(|i, at, scope| i.fields.user = ClaimPath::read(at, scope))),
    ("team_id_jwt_field", Rule::Works(|i, at, scope| i.fields.team = ClaimPath::read(at, scope))),
    ("team_ids_jwt_field", Rule::Works(|i, at, scope| i.fields.teams = ClaimPath::read(at, scope))),
    ("org_id_jwt_field", Rule::Works(|i, at, scope| i.fields.organization = ClaimPath::read(at, scope))),
    ("end_user_id_jwt_field", Rule::Works(|i, at, scope| i.fields.customer = ClaimPath::read(at, scope))),
    ("user_email_jwt_field", Rule::Refused(NO_EMAIL)),
    (
        "disable_audience_validation",
        Rule::Refused(
            "the audience is always checked: without it, a token for any other service would do. Give `audience`",
        ),
    ),
    ("virtual_key_claim_field", Rule::Refused(NO_KEYS)),
    ("unregistered_jwt_client_behavior", Rule::Refused(NO_KEYS)),
];

/// A text that says something.
fn named(at: &At<'_>, scope: &mut Scope<'_>) -> Option<String> {
    let text = scope.text(at)?;
    if text.trim().is_empty() {
        scope.error(at, "must not be empty");
        return None;
    }
    Some(text)
}

fn leeway(section: &mut Section, at: &At<'_>, scope: &mut Scope<'_>) {
    const MOST: f64 = 600.0;
    let Some(leeway) = scope.seconds(at, true) else { return };
    if MOST < leeway.as_secs_f64() {
        scope.error(at, "clocks that differ by more than ten minutes are wrong").help("set them by NTP");
    }
    section.leeway = Some(leeway);
}

fn issuers(section: &mut Section, at: &At<'_>, scope: &mut Scope<'_>) {
    for (index, node) in scope.items(at).iter().enumerate() {
        let at = at.item(index, node);
        let mut issuer = Issuer { fields: Fields::default(), ..Issuer::default() };
        scope.walk(&at, ISSUER, &mut issuer, strict);
        if issuer.name.is_empty() {
            scope.error(&at, "`issuer` is not given").help("give what `iss` of its tokens says");
            continue;
        }
        if issuer.audiences.is_empty() {
            scope
                .error(&at, "`audience` is not given: a token for any other service would do")
                .help("give what `aud` of tokens for this gateway says");
        }
        if issuer.key_urls.is_empty() {
            // As LiteLLM finds them.
            let name = issuer.name.trim_end_matches('/');
            if name.starts_with("https://") || name.starts_with("http://") {
                issuer.key_urls.push(format!("{name}/.well-known/openid-configuration"));
            } else {
                scope.error(&at, "`jwks_url` is not given").help("give the address of the issuer's keys");
            }
        }
        if section.issuers.iter().any(|known| known.name == issuer.name) {
            scope.error(&at, format!("the issuer `{}` is given twice", issuer.name));
        }
        section.issuers.push(issuer);
    }
}

fn claim_tags(section: &mut Section, at: &At<'_>, scope: &mut Scope<'_>) {
    for entry in scope.entries(at) {
        let at = at.entry(entry);
        let path = ClaimPath::new(&entry.key);
        if path.names.iter().any(|name| name.is_empty()) {
            scope
                .error_at_key(&at, "not a path to a claim")
                .help("write the claim's name, e.g. `department`");
            continue;
        }
        let several: Vec<At<'_>> = match &at.node.kind {
            Kind::List(items) => items.iter().enumerate().map(|(i, node)| at.item(i, node)).collect(),
            _ => vec![at],
        };
        for at in several {
            let Some(text) = scope.text(&at) else { continue };
            // A marker alone would make every value exclude or demand something by itself: that is meant, and works.
            let names_something = TagName::parse(&text, "").is_some_and(|tag| !tag.name.is_empty());
            match Template::new(&text).filter(|_| names_something) {
                Some(template) => section.claim_tags.push((path.clone(), template)),
                None => scope
                    .error(&at, "must hold `{}` once, where the claim's value goes")
                    .help(format!("write e.g. \"{}:{{}}\"", path.names.last().map_or("", |name| name))),
            }
        }
    }
}

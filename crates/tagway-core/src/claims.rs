//! What the claims of a token that has been verified say: whose a request is, and the tags it inherits by that. The
//! identity provider's word binds the caller, so that a claim which is not what it should be refuses the token: a
//! boundary that cannot be read must not vanish. Knows neither signatures nor clocks.

use serde_json::Value;

use crate::config::{ClaimPath, Issuer, Jwt, Owner};
use crate::tag::Origin;

/// As many tags as a request may carry.
const MOST_TAGS: usize = 256;
/// Tags are searched by, and the index takes no longer ones; the same for ids.
const LONGEST: usize = 255;

/// Whose a token is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `user_id_jwt_field`
    pub user: Option<Box<str>>,
    /// The teams it may act for: the one that counts is the first that may use the model that is asked for.
    pub teams: Vec<Box<str>>,
    /// The first of the teams was named as the one, and no other one takes its place unless the request says so.
    pub one_team: bool,
    /// `org_id_jwt_field`
    pub organization: Option<Box<str>>,
    /// `end_user_id_jwt_field`
    pub customer: Option<Box<str>>,
    /// Its requests inherit these.
    pub tags: Vec<Box<str>>,
    /// Its scope makes it an admin.
    pub admin: bool,
}

/// A token whose claims do not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitClaims {
    /// A claim is of another type.
    #[error("The claim '{claim}' must be {expected}.")]
    Type {
        /// Its path.
        claim: Box<str>,
        /// What it should be.
        expected: &'static str,
    },
    /// A claim holds too much.
    #[error(
        "The claim '{claim}' makes too many or too long tags: a request may carry {MOST_TAGS} of {LONGEST} characters."
    )]
    TooMuch {
        /// Its path.
        claim: Box<str>,
    },
    /// A claim names a pattern of tags.
    #[error("The claim '{claim}' holds a '*': what an identity provider says is a name and no pattern.")]
    Pattern {
        /// Its path.
        claim: Box<str>,
    },
    /// The provider left the claim out of the token, since it is too long.
    #[error(
        "The claim '{claim}' is not in the token: the identity provider says that it is too long and must be asked for. Limit it to the groups assigned to this application."
    )]
    Elsewhere {
        /// Its path.
        claim: Box<str>,
    },
    /// `team_id_jwt_field` is given, and the token has none.
    #[error("No team found in token. Checked team_id field '{claim}'.")]
    NoTeam {
        /// Its path.
        claim: Box<str>,
    },
    /// `enforce_team_based_model_access`
    #[error(
        "No teams found in token. `enforce_team_based_model_access` is set to True. Token must belong to a team."
    )]
    Teamless,
    /// `enforce_rbac`
    #[error(
        "Unmatched token passed in. enforce_rbac is set to True. Token must belong to a proxy admin, team, or user."
    )]
    Roleless,
}

impl UnfitClaims {
    /// Whether the token is sound, and only not allowed to be used so.
    pub fn forbids(&self) -> bool {
        matches!(self, Self::Teamless | Self::Roleless)
    }
}

impl Identity {
    /// What the claims of a token of this issuer say.
    ///
    /// # Errors
    /// A claim is not what it should be, or one is missing that is demanded.
    pub fn read(jwt: &Jwt, issuer: &Issuer, claims: &Value) -> Result<Self, UnfitClaims> {
        let fields = &issuer.fields;
        let mut identity = Self {
            user: id(claims, fields.user.as_ref())?,
            organization: id(claims, fields.organization.as_ref())?,
            customer: id(claims, fields.customer.as_ref())?,
            tags: tags(jwt, claims)?,
            admin: scopes(claims)?.contains(&jwt.admin_scope.as_str()),
            ..Self::default()
        };
        let named = match &fields.team {
            Some(path) => first(claims, path)?,
            None => None,
        };
        let named = named.or_else(|| jwt.team_default.as_deref().map(Into::into));
        identity.one_team = named.is_some();
        identity.teams.extend(named);
        if let Some(path) = &fields.teams {
            for team in list(claims, path)? {
                if !identity.teams.iter().any(|known| **known == *team) {
                    identity.teams.push(team.into());
                }
            }
        }
        if identity.admin {
            return Ok(identity);
        }
        match &fields.team {
            Some(path) if identity.teams.is_empty() => {
                return Err(UnfitClaims::NoTeam { claim: path.text.clone() });
            }
            _ => {}
        }
        if jwt.needs_team && identity.teams.is_empty() {
            return Err(UnfitClaims::Teamless);
        }
        if jwt.needs_role && identity.teams.is_empty() && identity.user.is_none() {
            return Err(UnfitClaims::Roleless);
        }
        Ok(identity)
    }
}

/// Whose a request is that is supposed to be made with a token of these claims: the identity, and the owners it gives.
/// Claims that name no issuer are of the first one.
///
/// # Errors
/// They do not do, or are of an issuer nobody knows.
pub fn supposed(jwt: &Jwt, claims: &Value) -> Result<(Identity, Vec<Owner>), Option<UnfitClaims>> {
    let named = claims.get("iss").and_then(Value::as_str);
    let issuer =
        jwt.issuers.iter().find(|issuer| named.is_none_or(|named| issuer.name == named)).ok_or(None)?;
    let identity = Identity::read(jwt, issuer, claims)?;
    let mut owners = vec![Owner::new(Origin::Jwt)];
    if let Some(own) = owners.first_mut() {
        own.policy.tags.clone_from(&identity.tags);
    }
    let known = [
        (Origin::Team, identity.teams.first()),
        (Origin::Organization, identity.organization.as_ref()),
        (Origin::User, identity.user.as_ref()),
    ];
    for (origin, id) in known {
        let Some(id) = id else { continue };
        let mut owner = Owner::new(origin);
        owner.policy.id.clone_from(id);
        owners.push(owner);
    }
    Ok((identity, owners))
}

/// What is at a path; `null` is nothing.
fn at<'c>(claims: &'c Value, path: &ClaimPath) -> Option<&'c Value> {
    let within = |names: &[Box<str>]| {
        names.iter().try_fold(claims, |value, name| value.get(&**name)).filter(|value| !value.is_null())
    };
    within(&path.names).or_else(|| {
        // LiteLLM passes over a leading `metadata`.
        let (first, rest) = path.names.split_first()?;
        (&**first == "metadata" && !rest.is_empty()).then(|| within(rest)).flatten()
    })
}

fn wrong(path: &ClaimPath, expected: &'static str) -> UnfitClaims {
    UnfitClaims::Type { claim: path.text.clone(), expected }
}

/// A claim that is a text; an empty one is none.
fn id(claims: &Value, path: Option<&ClaimPath>) -> Result<Option<Box<str>>, UnfitClaims> {
    let Some(path) = path else { return Ok(None) };
    match at(claims, path) {
        None => Ok(None),
        Some(Value::String(text)) => name(text, path),
        Some(_) => Err(wrong(path, "a text")),
    }
}

/// An id as the store can hold it.
fn name(text: &str, path: &ClaimPath) -> Result<Option<Box<str>>, UnfitClaims> {
    if LONGEST < text.chars().count() || text.contains('\0') {
        return Err(wrong(path, "a text of at most 255 characters"));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

/// A claim that is a text, or the first of a list of them.
fn first(claims: &Value, path: &ClaimPath) -> Result<Option<Box<str>>, UnfitClaims> {
    match at(claims, path) {
        Some(Value::Array(_)) => match list(claims, path)?.first() {
            Some(first) => name(first, path),
            None => Ok(None),
        },
        _ => id(claims, Some(path)),
    }
}

/// A claim that is a list of texts, or one text. What is left out since it is too long is not nothing.
fn list<'c>(claims: &'c Value, path: &ClaimPath) -> Result<Vec<&'c str>, UnfitClaims> {
    const EXPECTED: &str = "a list of texts";
    match at(claims, path) {
        None => {
            let left_out = claims.get("_claim_names").and_then(|names| names.get(&**path.names.first()?));
            match left_out {
                Some(_) => Err(UnfitClaims::Elsewhere { claim: path.text.clone() }),
                None => Ok(Vec::new()),
            }
        }
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) => {
            if MOST_TAGS < items.len() {
                return Err(UnfitClaims::TooMuch { claim: path.text.clone() });
            }
            let texts = items.iter().map(|item| item.as_str().ok_or_else(|| wrong(path, EXPECTED)));
            let texts: Vec<&str> = texts.collect::<Result<_, _>>()?;
            if texts.iter().any(|text| text.is_empty() || LONGEST < text.chars().count()) {
                return Err(wrong(path, "a list of texts of at most 255 characters"));
            }
            Ok(texts)
        }
        Some(_) => Err(wrong(path, EXPECTED)),
    }
}

/// The scopes of a token: a list, or a text with spaces between them.
fn scopes(claims: &Value) -> Result<Vec<&str>, UnfitClaims> {
    match claims.get("scope") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split_whitespace().collect()),
        Some(Value::Array(items)) => Ok(items.iter().filter_map(Value::as_str).collect()),
        Some(_) => Err(UnfitClaims::Type { claim: "scope".into(), expected: "a text or a list of texts" }),
    }
}

/// The tags of a token: those it lists, and those made of what it says.
fn tags(jwt: &Jwt, claims: &Value) -> Result<Vec<Box<str>>, UnfitClaims> {
    let mut tags: Vec<Box<str>> = Vec::new();
    let mut add = |tag: String, path: &ClaimPath| {
        if tag.contains('*') {
            return Err(UnfitClaims::Pattern { claim: path.text.clone() });
        }
        if MOST_TAGS <= tags.len() || LONGEST < tag.chars().count() {
            return Err(UnfitClaims::TooMuch { claim: path.text.clone() });
        }
        if !tags.iter().any(|known| **known == *tag) {
            tags.push(tag.into());
        }
        Ok(())
    };
    if let Some(path) = &jwt.tags {
        for tag in list(claims, path)? {
            add(tag.to_owned(), path)?;
        }
    }
    for (path, template) in &jwt.claim_tags {
        match at(claims, path) {
            Some(Value::Bool(value)) => add(template.tag(&value.to_string()), path)?,
            Some(Value::Number(value)) => add(template.tag(&value.to_string()), path)?,
            Some(Value::Object(_)) => {
                return Err(wrong(path, "a text, a number, true, false or a list of texts"));
            }
            _ => {
                for value in list(claims, path)? {
                    add(template.tag(value), path)?;
                }
            }
        }
    }
    Ok(tags)
}

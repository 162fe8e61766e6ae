//! What claims make of whoever comes with a token.

#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test that cannot go on should fail"
)]

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tagway_core::access::Routes;
use tagway_core::claims::{Identity, UnfitClaims};
use tagway_core::config::{ClaimPath, Fields, Issuer, Jwt, Template};

fn path(text: &str) -> Option<ClaimPath> {
    Some(ClaimPath::new(text))
}

fn rules() -> Jwt {
    Jwt {
        issuers: Vec::new(),
        key_ttl: Duration::ZERO,
        stale_ttl: Duration::ZERO,
        leeway: Duration::ZERO,
        team_default: None,
        admin_scope: "admin".to_owned(),
        admin_routes: Routes::default(),
        team_routes: Routes::default(),
        needs_role: false,
        needs_team: false,
        makes_users: false,
        makes_teams: false,
        tags: path("groups"),
        claim_tags: vec![(ClaimPath::new("realm.dept"), Template::new("dept:{}").unwrap())],
    }
}

fn issuer() -> Issuer {
    let fields = Fields {
        user: path("sub"),
        team: path("team"),
        teams: path("teams"),
        organization: path("org"),
        customer: path("customer"),
    };
    Issuer { fields, ..Issuer::default() }
}

fn read(jwt: &Jwt, claims: Value) -> Result<Identity, UnfitClaims> {
    Identity::read(jwt, &issuer(), &claims)
}

fn tags(claims: Value) -> Result<Vec<String>, UnfitClaims> {
    let mut claims = claims;
    claims["team"] = "t".into();
    Ok(read(&rules(), claims)?.tags.into_iter().map(String::from).collect())
}

#[test]
fn lists_texts_numbers_and_flags_are_tags() {
    assert_eq!(tags(json!({"groups": ["a", "b", "a"]})).unwrap(), ["a", "b"]);
    assert_eq!(tags(json!({"groups": "a b"})).unwrap(), ["a b"]);
    assert_eq!(tags(json!({"groups": null, "realm": {"dept": ["x", "y"]}})).unwrap(), ["dept:x", "dept:y"]);
    assert_eq!(tags(json!({"realm": {"dept": 7}})).unwrap(), ["dept:7"]);
    assert_eq!(tags(json!({"realm": {"dept": true}})).unwrap(), ["dept:true"]);
    assert!(tags(json!({"groups": [], "realm": {"dept": ""}})).unwrap().is_empty());
    assert!(tags(json!({"realm": "text"})).unwrap().is_empty());
}

#[test]
fn what_cannot_be_read_refuses_the_token_and_is_not_left_out() {
    for wrong in [json!(5), json!(true), json!({"a": 1}), json!(["a", 1]), json!([["a"]]), json!([""])] {
        assert!(tags(json!({"groups": wrong})).is_err(), "{wrong}");
    }
    assert!(tags(json!({"realm": {"dept": {}}})).is_err());
    assert!(tags(json!({"groups": ["team:*"]})).is_err() && tags(json!({"realm": {"dept": "*"}})).is_err());
    assert!(tags(json!({"groups": vec!["x".repeat(256)]})).is_err());
    let many: Vec<String> = (0..257).map(|n| n.to_string()).collect();
    assert!(tags(json!({"groups": many})).is_err());
    assert_eq!(tags(json!({"groups": &many[..256]})).unwrap().len(), 256);
    assert!(tags(json!({"_claim_names": {"groups": "src1"}})).is_err());
    for field in ["sub", "org", "customer", "team"] {
        assert!(read(&rules(), json!({"team": "t", (field): 5})).is_err(), "{field}");
    }
}

#[test]
fn the_team_is_the_named_one_then_the_default_then_the_listed_ones() {
    let with_default = Jwt { team_default: Some("d".to_owned()), ..rules() };
    let teams = |jwt: &Jwt, claims| {
        let identity = read(jwt, claims).unwrap();
        (identity.teams.join(","), identity.one_team)
    };
    assert_eq!(teams(&rules(), json!({"team": "a", "teams": ["b", "a"]})), ("a,b".to_owned(), true));
    assert_eq!(teams(&rules(), json!({"team": ["a", "c"]})), ("a".to_owned(), true));
    assert_eq!(teams(&rules(), json!({"teams": ["b", "c"]})), ("b,c".to_owned(), false));
    assert_eq!(teams(&with_default, json!({"teams": ["b"]})), ("d,b".to_owned(), true));
    assert_eq!(teams(&with_default, json!({"team": []})), ("d".to_owned(), true));
    assert!(matches!(read(&rules(), json!({})), Err(UnfitClaims::NoTeam { .. })));
    // An admin needs none.
    assert!(read(&rules(), json!({"scope": "openid admin"})).unwrap().admin);
    assert!(!read(&rules(), json!({"scope": "administrator", "team": "t"})).unwrap().admin);
}

#[test]
fn who_has_no_role_is_refused_where_one_is_demanded() {
    let plain = Issuer { fields: Fields { user: path("sub"), ..Fields::default() }, ..Issuer::default() };
    let strict = Jwt { needs_role: true, ..rules() };
    assert_eq!(Identity::read(&strict, &plain, &json!({})), Err(UnfitClaims::Roleless));
    assert!(Identity::read(&strict, &plain, &json!({"sub": "ann"})).is_ok());
    let teams = Jwt { needs_team: true, ..rules() };
    assert_eq!(Identity::read(&teams, &plain, &json!({"sub": "ann"})), Err(UnfitClaims::Teamless));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z*!&:]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-d]", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever a provider says, tags are names within bounds, each once, or the token is refused; and nobody becomes an
    /// admin by anything but the scope.
    #[test]
    fn any_claims_make_tags_within_bounds_or_none(
        groups in any_json(), realm in any_json(), scope in any_json(), team in any_json(),
    ) {
        let claims = json!({"groups": groups, "realm": realm, "scope": scope, "team": team});
        if let Ok(identity) = read(&rules(), claims) {
            prop_assert!(identity.tags.len() <= 256);
            prop_assert!(identity.tags.iter().all(|tag| !tag.contains('*') && !tag.is_empty()));
            let mut once = identity.tags.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), identity.tags.len());
            prop_assert!(!identity.admin && !identity.teams.is_empty());
            // No group is left out.
            if let Value::Array(listed) = &groups {
                prop_assert!(listed.iter().all(|one| identity.tags.iter().any(|tag| one == &**tag)));
            }
        }
    }
}

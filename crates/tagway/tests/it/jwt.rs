//! JSON Web Tokens: who gets in with one, what its claims make of a request, and what nobody can do with them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, KEY, PATIENCE, chat_body, error};
use crate::tokens::{AUDIENCE, ISSUER, Provider, Signer, claims, now};

/// Two deployments of `m` for two teams and one for everybody, and one of `other`.
fn config(general: &str) -> String {
    let deployment = |group: &str, id: &str| {
        format!(
            "  - {{model_name: {group}, litellm_params: {{model: openai/x, mock_response: hi, tags: [{id}]}}, model_info: {{id: {group}-{id}}}}}\n"
        )
    };
    let all: String = [("m", "red"), ("m", "blue"), ("m", "default"), ("other", "default")]
        .into_iter()
        .map(|(group, id)| deployment(group, id))
        .collect();
    format!(
        "model_list:\n{all}router_settings: {{enable_tag_filtering: true, num_retries: 0}}\ngeneral_settings:\n  master_key: {KEY}\n{general}"
    )
}

fn chat(gateway: &Gateway, token: &str, model: &str, more: Value) -> RequestBuilder {
    let url = format!("{}/v1/chat/completions", gateway.url);
    gateway.client.post(url).bearer_auth(token).json(&chat_body(model, more))
}

async fn served(request: RequestBuilder) -> String {
    let answer = request.send().await.unwrap();
    let (status, by) = (answer.status(), answer.deployment().to_owned());
    assert_eq!(status, 200, "{}", answer.text().await.unwrap());
    by
}

/// Status and message of the refusal.
async fn refused(request: RequestBuilder) -> (u16, String) {
    let (status, body) = error(request).await;
    (status, body["error"]["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn tags_of_claims_are_a_boundary_that_foreign_tags_do_not_leave() {
    let signer = Signer::new("k1", Algorithm::RS256);
    let provider = Provider::new(&[&signer]).await;
    let more = "    tags_jwt_field: groups\n    claim_tags: {realm.color: \"{}\", region: \"&region:{}\"}\n";
    let gateway = Gateway::start(&config(&provider.settings(more)));
    let red = signer.token(json!({"groups": ["red", "staff"]}));
    assert_eq!(served(chat(&gateway, &red, "m", json!({}))).await, "m-red");
    assert_eq!(served(chat(&gateway, &red, "m", json!({"tags": ["note"]}))).await, "m-red");
    for foreign in [json!(["blue"]), json!(["!red"]), json!(["&blue"]), json!(["default"])] {
        let (status, said) = refused(chat(&gateway, &red, "m", json!({"tags": foreign}))).await;
        assert_eq!(status, 401, "{said}");
        assert!(said.starts_with("Not allowed to access model due to tags configuration"), "{said}");
    }
    let blue = signer.token(json!({"realm": {"color": "blue"}}));
    assert_eq!(served(chat(&gateway, &blue, "m", json!({}))).await, "m-blue");
    assert_eq!(refused(chat(&gateway, &blue, "m", json!({"tags": ["red"]}))).await.0, 401);
    let nobody_there = signer.token(json!({"groups": ["red"], "region": "mars"}));
    assert_eq!(refused(chat(&gateway, &nobody_there, "m", json!({}))).await.0, 401);
    assert_eq!(served(chat(&gateway, &signer.token(json!({})), "m", json!({}))).await, "m-default");
}

#[tokio::test]
async fn every_kind_of_public_key_verifies_what_it_signed() {
    let algorithms = [Algorithm::RS256, Algorithm::PS384, Algorithm::ES256, Algorithm::EdDSA];
    let signers: Vec<Signer> =
        algorithms.iter().map(|algorithm| Signer::new(&format!("{algorithm:?}"), *algorithm)).collect();
    let provider = Provider::new(&signers.iter().collect::<Vec<_>>()).await;
    let gateway = Gateway::start(&config(&provider.settings("")));
    for signer in &signers {
        assert_eq!(served(chat(&gateway, &signer.token(json!({})), "m", json!({}))).await, "m-default");
        // Another one's key under this name proves nothing.
        let forged = Signer::new(&signer.id, signer.algorithm).token(json!({}));
        let (status, said) = refused(chat(&gateway, &forged, "m", json!({}))).await;
        assert_eq!((status, said.contains("Signature verification failed")), (401, true), "{said}");
    }
    // Keys and the master key are what they were, and so is everything that only looks like a token.
    assert_eq!(served(chat(&gateway, KEY, "m", json!({}))).await, "m-default");
    for (key, said) in [("sk-a.b.c", "not known to this gateway"), ("a.b.c", "its header cannot be read")] {
        let (status, message) = refused(chat(&gateway, key, "m", json!({}))).await;
        assert_eq!((status, message.contains(said)), (401, true), "{message}");
    }
}

#[tokio::test]
async fn a_token_that_proves_nothing_is_told_why() {
    let signer = Signer::new("k1", Algorithm::RS256);
    let provider = Provider::new(&[&signer]).await;
    let gateway = Gateway::start(&config(&provider.settings("    leeway: 5\n    tags_jwt_field: groups\n")));
    let none = {
        let part = |value: Value| BASE64.encode(value.to_string());
        format!("{}.{}.", part(json!({"alg": "none", "typ": "JWT"})), part(claims(json!({}))))
    };
    let by_public_key = {
        let public = signer.public();
        let secret = EncodingKey::from_secret(public["n"].as_str().unwrap().as_bytes());
        let head = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&head, &claims(json!({})), &secret).unwrap()
    };
    let unknown = Signer::new("k9", Algorithm::RS256).token(json!({}));
    let critical = {
        let mut head = Header::new(Algorithm::RS256);
        (head.kid, head.crit) = (Some("k1".to_owned()), Some(vec!["b64".to_owned()]));
        signer.token_with(head, json!({}))
    };
    let tampered = {
        let sound = signer.token(json!({}));
        let parts: Vec<&str> = sound.split('.').collect();
        let other = BASE64.encode(claims(json!({"groups": ["red"]})).to_string());
        format!("{}.{other}.{}", parts[0], parts[2])
    };
    let cases = [
        (none, "algorithm"),
        (by_public_key, "algorithm"),
        (critical, "crit"),
        (unknown, "No matching public key"),
        (tampered, "Signature verification failed"),
        (signer.token(json!({"iss": "https://other.example"})), "Invalid issuer"),
        (signer.token(json!({"iss": [ISSUER]})), "Invalid issuer"),
        (signer.token(json!({"iss": null})), "missing the \"iss\" claim"),
        (signer.token(json!({"aud": "another"})), "Invalid audience"),
        (signer.token(json!({"aud": null})), "missing the \"aud\" claim"),
        (signer.token(json!({"exp": null})), "missing the \"exp\" claim"),
        (signer.token(json!({"exp": now() - 60})), "Token Expired"),
        (signer.token(json!({"nbf": now() + 60})), "not yet valid"),
        (signer.token(json!({"groups": {"a": 1}})), "'groups' must be a list of texts"),
        (signer.token(json!({"groups": [1]})), "'groups' must be a list of texts"),
        (signer.token(json!({"groups": ["team:*"]})), "holds a '*'"),
        (signer.token(json!({"_claim_names": {"groups": "src1"}})), "too long and must be asked for"),
    ];
    for (token, reason) in &cases {
        let (status, said) = refused(chat(&gateway, token, "m", json!({}))).await;
        assert_eq!((status, said.contains(reason)), (401, true), "{reason}: {said}");
        assert!(!said.contains(token.split('.').nth(1).unwrap()));
    }
    // Clocks differ, and an audience may be one of several.
    let sound = signer.token(json!({"aud": ["another", AUDIENCE], "exp": now() - 2, "nbf": now() + 3}));
    assert_eq!(served(chat(&gateway, &sound, "m", json!({}))).await, "m-default");
    let log = gateway.ended_with_log();
    for (token, _) in &cases {
        assert!(!log.contains(token.as_str()) && !log.contains(token.split('.').nth(1).unwrap()));
    }
}

#[tokio::test]
async fn a_token_ends_when_it_says_however_often_it_was_used() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let provider = Provider::new(&[&signer]).await;
    let gateway = Gateway::start(&config(&provider.settings("    leeway: 0\n")));
    let token = signer.token(json!({"exp": now() + 3}));
    assert_eq!(served(chat(&gateway, &token, "m", json!({}))).await, "m-default");
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let answer = chat(&gateway, &token, "m", json!({})).send().await.unwrap();
        if answer.status() == 401 {
            let body: Value = answer.json().await.unwrap();
            assert_eq!(
                (&body["error"]["message"], &body["error"]["type"]),
                (&json!("Token Expired"), &json!("expired_key"))
            );
            break;
        }
        assert!(std::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn new_keys_are_found_once_they_are_asked_for_and_old_ones_end() {
    let (old, new) = (Signer::new("old", Algorithm::ES256), Signer::new("new", Algorithm::ES256));
    let provider = Provider::new(&[&old]).await;
    let gateway = Gateway::start(&config(&provider.settings("")));
    let (by_old, by_new) = (old.token(json!({})), new.token(json!({})));
    assert_eq!(served(chat(&gateway, &by_old, "m", json!({}))).await, "m-default");
    provider.publishes(&[&old, &new]);
    // The first token of the new key waits for it.
    assert_eq!(served(chat(&gateway, &by_new, "m", json!({}))).await, "m-default");
    assert_eq!(served(chat(&gateway, &by_old, "m", json!({}))).await, "m-default");
    let asked = provider.fake.hits();
    // Whoever invents names of keys has the provider asked no oftener than it may be.
    let invented: Vec<String> =
        (0..40).map(|n| Signer::new(&format!("x{n}"), Algorithm::ES256).token(json!({}))).collect();
    for token in &invented {
        assert_eq!(refused(chat(&gateway, token, "m", json!({}))).await.0, 401);
    }
    assert!(provider.fake.hits() <= asked + 1, "{} and {asked}", provider.fake.hits());
    // A key that the provider takes back verifies nothing any more, not even what it has verified before.
    provider.publishes(&[&new]);
    let deadline = std::time::Instant::now() + PATIENCE;
    let unknown = Signer::new("unknown", Algorithm::ES256).token(json!({}));
    while chat(&gateway, &by_old, "m", json!({})).send().await.unwrap().status() != 401 {
        assert!(std::time::Instant::now() < deadline);
        chat(&gateway, &unknown, "m", json!({})).send().await.unwrap();
    }
    assert_eq!(served(chat(&gateway, &by_new, "m", json!({}))).await, "m-default");
}

#[tokio::test]
async fn a_provider_that_is_down_takes_nothing_away_that_was_known() {
    let signer = Signer::new("k1", Algorithm::EdDSA);
    let provider = Provider::new(&[&signer]).await;
    let gateway = Gateway::start(&config(&provider.settings("    public_key_ttl: 1\n")));
    assert_eq!(served(chat(&gateway, &signer.token(json!({})), "m", json!({}))).await, "m-default");
    provider.fails(500);
    gateway.log("the keys of an issuer of tokens cannot be read");
    for sub in ["b", "c"] {
        let token = signer.token(json!({"sub": sub}));
        assert_eq!(served(chat(&gateway, &token, "m", json!({}))).await, "m-default");
    }
    // Where keys may not be old, they end with their time; and where there never were some, nobody can tell.
    for settings in ["    public_key_ttl: 1\n    public_key_stale_ttl: 0\n", ""] {
        let provider = Provider::new(&[&signer]).await;
        if settings.is_empty() {
            provider.fails(503);
        }
        let gateway = Gateway::start(&config(&provider.settings(settings)));
        let token = signer.token(json!({}));
        if !settings.is_empty() {
            assert_eq!(served(chat(&gateway, &token, "m", json!({}))).await, "m-default");
            provider.fails(503);
        }
        let deadline = std::time::Instant::now() + PATIENCE;
        let answer = loop {
            let answer = chat(&gateway, &token, "m", json!({})).send().await.unwrap();
            if answer.status() == 503 {
                break answer;
            }
            assert!(std::time::Instant::now() < deadline);
        };
        assert!(answer.headers().contains_key("retry-after"));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["type"], "auth_provider_unavailable");
    }
}

async fn ok(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body = answer.text().await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn teams_users_and_organizations_of_claims_bind_as_those_of_keys_do() {
    let signer = Signer::new("k1", Algorithm::RS256);
    let provider = Provider::new(&[&signer]).await;
    let more = "    user_id_jwt_field: sub\n    team_id_jwt_field: realm.team\n    org_id_jwt_field: org\n    end_user_id_jwt_field: customer\n    team_id_default: everybody\n";
    let gateway = Gateway::start(&config(&provider.settings(more)));
    for (team, tags) in [("reds", json!(["red"])), ("everybody", json!([]))] {
        let team = json!({"team_id": team, "metadata": {"tags": tags}, "models": ["m"]});
        ok(gateway.post("/team/new", &team)).await;
    }
    let token = signer.token(json!({"realm": {"team": ["reds", "others"]}, "customer": "acme"}));
    assert_eq!(served(chat(&gateway, &token, "m", json!({"user": "evil"}))).await, "m-red");
    assert_eq!(refused(chat(&gateway, &token, "m", json!({"tags": ["blue"]}))).await.0, 401);
    let (status, body) = error(chat(&gateway, &token, "other", json!({}))).await;
    assert_eq!((status, &body["error"]["type"]), (403, &json!("team_model_access_denied")));
    // A token without a team gets the one that is given for it; an unknown one is no team.
    assert_eq!(served(chat(&gateway, &signer.token(json!({})), "m", json!({}))).await, "m-default");
    let lost = signer.token(json!({"realm": {"team": "nobodys"}}));
    let (status, said) = refused(chat(&gateway, &lost, "m", json!({}))).await;
    assert_eq!(
        (status, said.as_str()),
        (404, "Team doesn't exist in db. Team=nobodys. Create team via `/team/new` call.")
    );
    ok(gateway.post("/team/new", &json!({"team_id": "nobodys"}))).await;
    assert_eq!(served(chat(&gateway, &lost, "m", json!({}))).await, "m-default");
    let abroad = signer.token(json!({"org": "unknown"}));
    let (status, said) = refused(chat(&gateway, &abroad, "m", json!({}))).await;
    assert_eq!((status, said.contains("organization that does not exist")), (401, true), "{said}");
    // What changes, changes for tokens that were verified before.
    ok(gateway.post("/team/block", &json!({"team_id": "reds"}))).await;
    assert_eq!(refused(chat(&gateway, &token, "m", json!({}))).await.0, 401);
    ok(gateway.post("/team/unblock", &json!({"team_id": "reds"}))).await;
    assert_eq!(served(chat(&gateway, &token, "m", json!({}))).await, "m-red");
    // What it cost is its team's, its user's and its customer's.
    let deadline = std::time::Instant::now() + PATIENCE;
    let rows = loop {
        let page =
            ok(gateway.get("/spend/logs/v2?start_date=2020-01-01&end_date=2099-01-01&page_size=100")).await;
        let rows = page["data"].as_array().unwrap().clone();
        let of_reds: Vec<Value> =
            rows.into_iter().filter(|row| row["team_id"] == "reds" && row["status"] == "success").collect();
        if of_reds.len() == 2 {
            break of_reds;
        }
        assert!(std::time::Instant::now() < deadline);
    };
    for row in &rows {
        assert_eq!((&row["user"], &row["end_user"]), (&json!("ann"), &json!("acme")), "{row}");
        assert!(row["api_key"].as_str().unwrap().starts_with("hashed-jwt-"), "{row}");
    }
    let own = ok(gateway.client.get(format!("{}/me/usage", gateway.url)).bearer_auth(&token)).await;
    assert_eq!((&own["user_id"], &own["team_id"]), (&json!("ann"), &json!("reds")));
    assert!(own["usage"]["total"]["api_requests"].as_u64().is_some_and(|count| 2 <= count), "{own}");
}

#[tokio::test]
async fn of_several_teams_the_first_that_may_use_the_model_counts_or_the_one_of_the_header() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let provider = Provider::new(&[&signer]).await;
    let more = "    team_ids_jwt_field: groups\n    enforce_team_based_model_access: true\n";
    let gateway = Gateway::start(&config(&provider.settings(more)));
    for (team, tag, model) in [("reds", "red", "m"), ("blues", "blue", "m"), ("rest", "default", "other")] {
        let team = json!({"team_id": team, "metadata": {"tags": [tag]}, "models": [model]});
        ok(gateway.post("/team/new", &team)).await;
    }
    let token = signer.token(json!({"groups": ["not-there", "rest", "blues", "reds"]}));
    assert_eq!(served(chat(&gateway, &token, "m", json!({}))).await, "m-blue");
    assert_eq!(served(chat(&gateway, &token, "other", json!({}))).await, "other-default");
    let as_team =
        |team: &str, model: &str| chat(&gateway, &token, model, json!({})).header("x-litellm-team-id", team);
    assert_eq!(served(as_team("reds", "m")).await, "m-red");
    assert_eq!(refused(as_team("rest", "m")).await.0, 403);
    let (status, said) = refused(as_team("foreign", "m")).await;
    assert_eq!((status, said.contains("not name one of the teams")), (403, true), "{said}");
    assert_eq!(refused(as_team("not-there", "m")).await.0, 404);
    let (status, said) = refused(chat(&gateway, &signer.token(json!({})), "m", json!({}))).await;
    assert_eq!((status, said.contains("Token must belong to a team")), (403, true), "{said}");
    let lost = signer.token(json!({"groups": ["not-there"]}));
    assert_eq!(refused(chat(&gateway, &lost, "m", json!({}))).await.0, 404);
}

#[tokio::test]
async fn budgets_of_teams_and_users_hold_for_tokens_and_newcomers_are_made_where_that_is_wanted() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let provider = Provider::new(&[&signer]).await;
    let more = "    user_id_jwt_field: sub\n    team_id_jwt_field: team\n    team_id_default: everybody\n    user_id_upsert: true\n    team_id_upsert: true\n";
    let gateway = Gateway::start(&config(&provider.settings(more)));
    let token = signer.token(json!({"team": "fresh"}));
    assert_eq!(served(chat(&gateway, &token, "m", json!({}))).await, "m-default");
    let user = ok(gateway.get("/user/info?user_id=ann")).await;
    assert_eq!(user["user_info"]["user_role"], "internal_user");
    assert_eq!(ok(gateway.get("/team/info?team_id=fresh")).await["team_id"], "fresh");
    ok(gateway.post("/team/update", &json!({"team_id": "fresh", "max_budget": 0.0}))).await;
    let (status, body) = error(chat(&gateway, &token, "m", json!({}))).await;
    assert_eq!((status, &body["error"]["type"]), (429, &json!("budget_exceeded")), "{body}");
    ok(gateway.post("/team/update", &json!({"team_id": "fresh", "max_budget": null, "rpm_limit": 1}))).await;
    let statuses = [
        chat(&gateway, &token, "m", json!({})).send().await.unwrap().status().as_u16(),
        chat(&gateway, &token, "m", json!({})).send().await.unwrap().status().as_u16(),
    ];
    assert_eq!(statuses, [200, 429]);
}

#[tokio::test]
async fn an_admins_scope_manages_and_calls_no_model_and_others_manage_nothing() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let provider = Provider::new(&[&signer]).await;
    let more = "    user_id_jwt_field: sub\n    team_id_jwt_field: team\n    team_id_default: t\n    admin_jwt_scope: boss\n";
    let gateway = Gateway::start(&config(&provider.settings(more)));
    ok(gateway.post("/team/new", &json!({"team_id": "t"}))).await;
    let with = |token: &str, path: &str, body: &Value| {
        gateway.client.post(format!("{}{path}", gateway.url)).bearer_auth(token).json(body)
    };
    for scope in [json!("openid boss"), json!(["boss"])] {
        let admin = signer.token(json!({"scope": scope}));
        let key = ok(with(&admin, "/key/generate", &json!({"team_id": "t"}))).await;
        assert_eq!(served(chat(&gateway, key["key"].as_str().unwrap(), "m", json!({}))).await, "m-default");
        let (status, said) = refused(chat(&gateway, &admin, "m", json!({}))).await;
        assert_eq!(
            (status, said.starts_with("Admin not allowed to access this route")),
            (403, true),
            "{said}"
        );
        ok(gateway.client.get(format!("{}/global/spend", gateway.url)).bearer_auth(&admin)).await;
    }
    let audit = ok(gateway.get("/audit")).await;
    assert!(audit.to_string().contains("\"ann\""), "{audit}");
    let other = signer.token(json!({"scope": "openid bossy"}));
    for (path, body) in [("/key/generate", json!({})), ("/team/new", json!({"team_id": "own"}))] {
        assert_eq!(refused(with(&other, path, &body)).await.0, 403, "{path}");
    }
    assert_eq!(served(chat(&gateway, &other, "m", json!({}))).await, "m-default");
}

#[tokio::test]
async fn keys_that_the_bearer_of_a_token_makes_carry_the_tags_of_its_claims() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let provider = Provider::new(&[&signer]).await;
    let more = "    user_id_jwt_field: sub\n    user_id_upsert: true\n    tags_jwt_field: groups\n";
    let gateway = Gateway::start(&config(&provider.settings(more)));
    let token = signer.token(json!({"groups": ["red"]}));
    let make = |body: Value| {
        gateway.client.post(format!("{}/key/generate", gateway.url)).bearer_auth(&token).json(&body)
    };
    assert_eq!(served(chat(&gateway, &token, "m", json!({}))).await, "m-red");
    let key = ok(make(json!({}))).await;
    assert_eq!(served(chat(&gateway, key["key"].as_str().unwrap(), "m", json!({}))).await, "m-red");
}

#[tokio::test]
async fn settings_without_an_audience_an_issuer_or_keys_are_refused() {
    for (settings, missing) in [
        (
            "{issuer: https://a.example, jwks_url: http://a.example/k}",
            "`litellm_jwtauth.audience` is not given",
        ),
        ("{audience: a, jwks_url: http://a.example/k}", "`litellm_jwtauth.issuer` is not given"),
        ("{audience: a, issuer: https://a.example}", "`litellm_jwtauth.jwks_url` is not given"),
        (
            "{issuers: [{issuer: https://a.example, disable_audience_validation: true}]}",
            "the audience is always checked",
        ),
    ] {
        let text = config(&format!("  enable_jwt_auth: true\n  litellm_jwtauth: {settings}\n"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        let out = crate::gateway::command().args(["check"]).arg(&path).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
        assert!(!out.status.success() && said.contains(missing), "{settings}: {said}");
    }
}

#[tokio::test]
async fn litellms_variables_say_whose_tokens_are_taken_and_a_discovery_document_where_keys_are() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let provider = Provider::new(&[&signer]).await;
    let keys = provider.url();
    let discovery =
        tagway_fake::Fake::reply(200, &json!({"issuer": ISSUER, "jwks_uri": keys}).to_string()).await;
    let url = format!("{}/.well-known/openid-configuration", discovery.url());
    let env = [("JWT_PUBLIC_KEY_URL", url.as_str()), ("JWT_AUDIENCE", AUDIENCE), ("JWT_ISSUER", ISSUER)];
    let gateway = Gateway::start_with(&config("  enable_jwt_auth: true\n"), &[], &env);
    assert_eq!(served(chat(&gateway, &signer.token(json!({})), "m", json!({}))).await, "m-default");
    let other = signer.token(json!({"aud": "another"}));
    assert_eq!(refused(chat(&gateway, &other, "m", json!({}))).await.0, 401);
}

//! How far a caller reaches: none of the things it may say, name or make takes it past what an admin allowed it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, chat_body, config, deployment, error};
use crate::teams::{granted, key, with};

/// A model of two teams and their customers, and others to be kept from.
fn gateway() -> Gateway {
    let model = |id: &str, tags: &str| {
        deployment("shared", id, &format!("model: openai/fake, mock_response: a, tags: [{tags}]"))
    };
    let other = |name: &str| deployment(name, &format!("{name}-1"), "model: openai/fake, mock_response: a");
    let models = [
        model("a-1", "'team:a'"),
        model("a-2", "'team:a', vip"),
        model("b-1", "'team:b', vip"),
        other("cheap"),
        other("dear"),
    ];
    Gateway::start(&config(&models, "router_settings: {enable_tag_filtering: true, num_retries: 0}\n"))
}

async fn chat(gateway: &Gateway, key: &str, model: &str, more: Value) -> (u16, String) {
    let request = with(gateway, key, Method::POST, "/chat/completions", &chat_body(model, more));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.deployment().to_owned())
}

async fn asked(gateway: &Gateway, key: &str, path: &str, body: Value) -> (u16, Value) {
    let response = with(gateway, key, Method::POST, path, &body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A user of this role, without keys.
async fn user(gateway: &Gateway, id: &str) {
    let fields = json!({"user_id": id, "user_role": "internal_user", "auto_create_key": false});
    granted(gateway, "/user/new", fields).await;
}

#[tokio::test]
async fn naming_a_customer_narrows_and_never_widens() {
    let gateway = gateway();
    granted(&gateway, "/team/new", json!({"team_id": "a", "tags": ["team:a"]})).await;
    for (id, tags) in
        [("of-b", json!(["team:b"])), ("vip", json!(["vip"])), ("both", json!(["team:a", "team:b"]))]
    {
        granted(&gateway, "/customer/new", json!({"user_id": id, "metadata": {"tags": tags}})).await;
    }
    let a = key(&gateway, json!({"team_id": "a"})).await;
    for _ in 0..8 {
        assert_eq!(chat(&gateway, &a, "shared", json!({"user": "of-b"})).await.0, 401);
        assert_eq!(chat(&gateway, &a, "b-1", json!({"user": "of-b"})).await.0, 401);
        assert_eq!(chat(&gateway, &a, "shared", json!({"user": "vip"})).await, (200, "a-2".to_owned()));
        assert_eq!(chat(&gateway, &a, "a-1", json!({"user": "vip"})).await.0, 401);
        let (status, deployment) = chat(&gateway, &a, "shared", json!({"user": "both"})).await;
        assert!(status == 200 && deployment.starts_with("a-"), "{deployment}");
    }
}

#[tokio::test]
async fn an_empty_customer_header_does_not_hide_the_customer_in_the_body() {
    let gateway = gateway();
    granted(&gateway, "/customer/new", json!({"user_id": "barred", "blocked": true})).await;
    let body = chat_body("cheap", json!({"user": "barred"}));
    let request = gateway.post("/chat/completions", &body).header("x-litellm-customer-id", "");
    assert_eq!(error(request).await.0, 401);
    let odd = chat(&gateway, crate::gateway::KEY, "cheap", json!({"user": "\u{0}"})).await;
    assert_eq!(odd.0, 200, "an id that cannot be stored is nobody's");
}

#[tokio::test]
async fn another_name_for_a_model_does_not_get_past_the_lists_above_the_key() {
    let gateway = gateway();
    granted(&gateway, "/team/new", json!({"team_id": "t", "models": ["cheap"]})).await;
    let of_team = key(&gateway, json!({"team_id": "t", "aliases": {"cheap": "dear"}})).await;
    let (status, deployment) = chat(&gateway, &of_team, "cheap", json!({})).await;
    assert!(matches!(status, 401 | 403), "{status} {deployment}");
    let fields = json!({"user_id": "u", "models": ["cheap"], "auto_create_key": false});
    granted(&gateway, "/user/new", fields).await;
    let own = key(&gateway, json!({"user_id": "u"})).await;
    let (status, made) = asked(&gateway, &own, "/key/generate", json!({"aliases": {"cheap": "dear"}})).await;
    assert_eq!(status, 200, "{made}");
    let (status, deployment) = chat(&gateway, made["key"].as_str().unwrap(), "cheap", json!({})).await;
    assert!(matches!(status, 401 | 403), "{status} {deployment}");
    // The names a team has for its models are the team's to list.
    let team = json!({"team_id": "named", "models": ["fast"], "model_aliases": {"fast": "cheap"}});
    granted(&gateway, "/team/new", team).await;
    let named = key(&gateway, json!({"team_id": "named", "models": ["fast"]})).await;
    assert_eq!(chat(&gateway, &named, "fast", json!({})).await, (200, "cheap-1".to_owned()));
    assert_ne!(chat(&gateway, &named, "dear", json!({})).await.0, 200);
}

#[tokio::test]
async fn who_may_only_replace_a_key_does_not_loosen_it() {
    let gateway = gateway();
    user(&gateway, "u").await;
    let fields = json!({"user_id": "u", "models": ["cheap"], "rpm_limit": 100, "duration": "1h"});
    let own = key(&gateway, fields).await;
    for more in [json!({"models": []}), json!({"rpm_limit": null}), json!({"duration": "-1"})] {
        let (status, answer) = asked(&gateway, &own, "/key/regenerate", {
            let mut body = more.clone();
            body["key"] = own.clone().into();
            body
        })
        .await;
        assert_eq!(status, 403, "{more}: {answer}");
    }
    let (status, answer) = asked(&gateway, &own, "/key/regenerate", json!({"key": own})).await;
    assert_eq!((status, &answer["models"], &answer["rpm_limit"]), (200, &json!(["cheap"]), &json!(100)));
    assert!(answer["expires"].is_string());
}

#[tokio::test]
async fn a_key_hands_its_boundary_down_to_those_made_with_it() {
    let gateway = gateway();
    user(&gateway, "u").await;
    let fields =
        json!({"user_id": "u", "tags": ["team:a"], "allowed_tags": ["team:*"], "tag_expression": "not vip"});
    let bound = key(&gateway, fields).await;
    let (status, made) = asked(&gateway, &bound, "/key/generate", json!({"metadata": {"note": 1}})).await;
    assert_eq!((status, &made["metadata"]), (200, &json!({"note": 1, "tags": ["team:a"]})), "{made}");
    let made = made["key"].as_str().unwrap();
    for _ in 0..8 {
        assert_eq!(chat(&gateway, made, "shared", json!({})).await, (200, "a-1".to_owned()));
    }
    assert_eq!(chat(&gateway, made, "shared", json!({"tags": ["team:b"]})).await.0, 401);
    assert_eq!(chat(&gateway, made, "shared", json!({"tags": ["vip"]})).await.0, 403);
    let loose = json!({"key": made, "tag_expression": null});
    assert_eq!(asked(&gateway, &bound, "/key/update", loose).await.0, 403);
}

#[tokio::test]
async fn the_admin_of_an_organization_gives_its_teams_no_more_than_it_has() {
    let gateway = gateway();
    user(&gateway, "boss").await;
    let organization = |id: &str, metadata: Value| json!({"organization_id": id, "organization_alias": id, "metadata": metadata});
    granted(
        &gateway,
        "/organization/new",
        organization("o", json!({"tags": ["team:a", "vip"], "tier": "free"})),
    )
    .await;
    granted(&gateway, "/organization/new", organization("p", json!({}))).await;
    for id in ["o", "p"] {
        let member = json!({"organization_id": id, "member": {"user_id": "boss", "role": "org_admin"}});
        granted(&gateway, "/organization/member_add", member).await;
    }
    let boss = key(&gateway, json!({"user_id": "boss"})).await;
    let team = |id: &str, of: &str, metadata: Value| json!({"team_id": id, "organization_id": of, "metadata": metadata});
    for (metadata, wanted) in [
        (json!({"tags": ["team:b"]}), 403),
        (json!({"tier": "paid"}), 403),
        (json!({"tags": ["team:a", "!vip"], "tier": "free"}), 200),
    ] {
        let (status, answer) = asked(&gateway, &boss, "/team/new", team("t", "o", metadata.clone())).await;
        assert_eq!(status, wanted, "{metadata}: {answer}");
    }
    let (status, answer) =
        asked(&gateway, &boss, "/team/update", json!({"team_id": "t", "tags": ["team:b"]})).await;
    assert_eq!(status, 403, "{answer}");
    let (status, answer) =
        asked(&gateway, &boss, "/team/update", json!({"team_id": "t", "tags": ["vip"]})).await;
    assert_eq!(status, 200, "{answer}");
    // What no tag bounds may be divided as its admin likes.
    assert_eq!(asked(&gateway, &boss, "/team/new", team("q", "p", json!({"tags": ["team:b"]}))).await.0, 200);
}

#[tokio::test]
async fn a_key_of_a_team_belongs_to_no_other_organization() {
    let gateway = gateway();
    for id in ["o", "p"] {
        let organization = json!({"organization_id": id, "organization_alias": id});
        granted(&gateway, "/organization/new", organization).await;
    }
    granted(&gateway, "/team/new", json!({"team_id": "t", "organization_id": "o"})).await;
    let foreign = gateway.post("/key/generate", &json!({"team_id": "t", "organization_id": "p"}));
    let (status, refused) = error(foreign).await;
    assert_eq!((status, &refused["error"]["param"]), (400, &json!("organization_id")));
    key(&gateway, json!({"team_id": "t", "organization_id": "o"})).await;
}

#[tokio::test]
async fn an_explanation_tells_a_key_of_no_deployments_but_its_own() {
    let gateway = gateway();
    let a = key(&gateway, json!({"tags": ["team:a"]})).await;
    for tags in [json!([]), json!(["team:b"])] {
        let body = chat_body("shared", json!({"tags": tags}));
        let request = with(&gateway, &a, Method::POST, "/chat/completions", &body);
        let response = request.header("x-tagway-explain", "true").send().await.unwrap();
        let told = response.headers()["x-tagway-route"].to_str().unwrap();
        assert!(!told.contains("b-1"), "{told}");
        assert!(told.contains("a-1"), "{told}");
    }
    let request = gateway.chat("shared", json!({})).header("x-tagway-explain", "true");
    let response = request.send().await.unwrap();
    assert!(response.headers()["x-tagway-route"].to_str().unwrap().contains("b-1"));
}

#[tokio::test]
async fn the_list_of_deployments_shows_a_key_what_it_can_reach() {
    let gateway = gateway();
    let a = key(&gateway, json!({"tags": ["team:a"]})).await;
    let expression = key(&gateway, json!({"tag_expression": "not vip"})).await;
    for (key, wanted) in [
        (&*a, vec!["a-1", "a-2", "cheap-1", "dear-1"]),
        (&*expression, vec!["a-1", "cheap-1", "dear-1"]),
        (crate::gateway::KEY, vec!["a-1", "a-2", "b-1", "cheap-1", "dear-1"]),
    ] {
        let request = with(&gateway, key, Method::GET, "/model/info", &Value::Null);
        let listed: Value = request.send().await.unwrap().json().await.unwrap();
        let listed = listed["data"].as_array().unwrap().iter();
        let ids: Vec<&str> = listed.map(|one| one["model_info"]["id"].as_str().unwrap()).collect();
        assert_eq!(ids, wanted);
    }
}

#[tokio::test]
async fn nothing_is_stored_that_is_too_deep_to_be_read_again() {
    let gateway = gateway();
    user(&gateway, "u").await;
    let own = key(&gateway, json!({"user_id": "u"})).await;
    for (levels, wanted) in [(60, 200), (70, 400), (126, 400), (5000, 400)] {
        for field in ["metadata", "unheard_of"] {
            let deep = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
            let request = gateway.client.post(format!("{}/key/generate", gateway.url)).bearer_auth(&own);
            let response = request.body(format!("{{\"{field}\":{deep}}}")).send().await.unwrap();
            assert_eq!(response.status(), wanted, "{field}, {levels} levels");
        }
    }
    assert_eq!(gateway.get("/key/list?return_full_object=true").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_makes_somebody_a_member_learns_nothing_of_them() {
    let gateway = gateway();
    for id in ["boss", "stranger"] {
        user(&gateway, id).await;
    }
    let own = json!({"user_id": "stranger", "max_budget": 7.0, "metadata": {"note": "private"}});
    granted(&gateway, "/user/update", own).await;
    let member = |role: &str| json!({"user_id": "boss", "role": role});
    granted(&gateway, "/team/new", json!({"team_id": "t", "members_with_roles": [member("admin")]})).await;
    granted(&gateway, "/organization/new", json!({"organization_id": "o", "organization_alias": "o"})).await;
    let boss_of = json!({"organization_id": "o", "member": member("org_admin")});
    granted(&gateway, "/organization/member_add", boss_of).await;
    let boss = key(&gateway, json!({"user_id": "boss"})).await;
    let stranger = |role: &str| json!({"user_id": "stranger", "role": role});
    for (path, body) in [
        ("/team/member_add", json!({"team_id": "t", "member": stranger("user")})),
        ("/organization/member_add", json!({"organization_id": "o", "member": stranger("internal_user")})),
    ] {
        let (status, answer) = asked(&gateway, &boss, path, body).await;
        assert_eq!((status, &answer["updated_users"][0]["user_id"]), (200, &json!("stranger")), "{answer}");
        assert!(!answer["updated_users"].to_string().contains("private"), "{answer}");
        assert_eq!(answer["updated_users"][0].get("max_budget"), None);
    }
}

//! Teams: what their keys share, who belongs to them, and who may change them.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, chat_body, config, deployment, error};

/// The documented example: two teams, each with a deployment of its own, and one for everybody else.
fn two_teams(more: &str) -> String {
    let model = |id: &str, tag: &str| {
        deployment(
            "fake-openai-endpoint",
            id,
            &format!("model: openai/fake, mock_response: a, tags: [{tag}]"),
        )
    };
    let models = [
        model("team-a-model", "teamA"),
        model("team-b-model", "teamB"),
        model("default-model", "default"),
        deployment("other", "other-model", "model: openai/fake, mock_response: a, tags: [default]"),
    ];
    config(&models, &format!("router_settings: {{enable_tag_filtering: true, num_retries: 0{more}}}\n"))
}

/// A request with this key.
pub fn with(gateway: &Gateway, key: &str, method: Method, path: &str, body: &Value) -> RequestBuilder {
    let request = gateway.client.request(method.clone(), format!("{}{path}", gateway.url)).bearer_auth(key);
    if method == Method::GET { request } else { request.json(body) }
}

/// The answer to a request that the gateway grants the master key.
pub async fn granted(gateway: &Gateway, path: &str, body: Value) -> Value {
    let response = gateway.post(path, &body).send().await.unwrap();
    let (status, answer) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{path} {body}: {answer}");
    serde_json::from_str(&answer).unwrap()
}

/// What the master key reads.
pub async fn read(gateway: &Gateway, path: &str) -> Value {
    let response = gateway.get(path).send().await.unwrap();
    let (status, answer) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{path}: {answer}");
    serde_json::from_str(&answer).unwrap()
}

/// A new key with these fields.
pub async fn key(gateway: &Gateway, fields: Value) -> String {
    granted(gateway, "/key/generate", fields).await["key"].as_str().unwrap().to_owned()
}

/// The status of a chat with a key, and the deployment that answered.
async fn chat(gateway: &Gateway, key: &str, model: &str, more: Value) -> (u16, String) {
    let request = with(gateway, key, Method::POST, "/chat/completions", &chat_body(model, more));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.deployment().to_owned())
}

async fn refusal(gateway: &Gateway, path: &str, body: Value) -> (u16, String) {
    let (status, body) = error(gateway.post(path, &body)).await;
    (status, body["error"]["message"].as_str().unwrap().to_owned())
}

fn to(id: &str) -> (u16, String) {
    (200, id.to_owned())
}

const MODEL: &str = "fake-openai-endpoint";

#[tokio::test]
async fn keys_of_a_team_go_where_its_tags_say_and_nowhere_else() {
    let gateway = Gateway::start(&two_teams(""));
    let mut keys = Vec::new();
    for tag in ["teamA", "teamB"] {
        let team = granted(&gateway, "/team/new", json!({"tags": [tag]})).await;
        assert_eq!(team["metadata"]["tags"], json!([tag]));
        keys.push(key(&gateway, json!({"team_id": team["team_id"]})).await);
    }
    assert_eq!(chat(&gateway, &keys[0], MODEL, json!({})).await, to("team-a-model"));
    assert_eq!(chat(&gateway, &keys[1], MODEL, json!({})).await, to("team-b-model"));
    assert_eq!(chat(&gateway, &keys[0], MODEL, json!({"tags": ["teamB"]})).await.0, 401);
    assert_eq!(chat(&gateway, &keys[0], MODEL, json!({"tags": ["teamA"]})).await, to("team-a-model"));
}

#[tokio::test]
async fn merged_tags_let_a_team_reach_what_its_requests_ask_for() {
    let gateway = Gateway::start(&two_teams(", inherited_tags: merge"));
    let team = granted(&gateway, "/team/new", json!({"tags": ["teamA"]})).await;
    let key = key(&gateway, json!({"team_id": team["team_id"]})).await;
    let mut reached = std::collections::HashSet::new();
    for _ in 0..64 {
        reached.insert(chat(&gateway, &key, MODEL, json!({"tags": ["teamB"]})).await.1);
    }
    assert!(reached.contains("team-b-model"), "{reached:?}");
}

#[tokio::test]
async fn a_change_of_a_team_holds_for_the_next_request() {
    let gateway = Gateway::start(&two_teams(""));
    granted(&gateway, "/team/new", json!({"team_id": "t1", "tags": ["teamA"], "metadata": {"a": 1}})).await;
    let key = key(&gateway, json!({"team_id": "t1"})).await;
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await, to("team-a-model"));

    let updated = granted(&gateway, "/team/update", json!({"team_id": "t1", "tags": ["teamB"]})).await;
    assert_eq!(updated["team_id"], "t1");
    assert_eq!(updated["data"]["metadata"], json!({"a": 1, "tags": ["teamB"]}));
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await, to("team-b-model"));

    let blocked = granted(&gateway, "/team/block", json!({"team_id": "t1"})).await;
    assert_eq!(blocked["blocked"], true);
    let request = with(&gateway, &key, Method::POST, "/chat/completions", &chat_body(MODEL, json!({})));
    let (status, body) = error(request).await;
    assert_eq!(status, 401);
    assert_eq!(
        body["error"]["message"],
        "Authentication Error, Team=t1 is blocked. Update via `/team/unblock` if you're an admin."
    );
    granted(&gateway, "/team/unblock", json!({"team_id": "t1"})).await;
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await, to("team-b-model"));

    granted(&gateway, "/team/model/add", json!({"team_id": "t1", "models": ["other"]})).await;
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await.0, 403);
    let models = json!({"team_id": "t1", "models": [MODEL, "other"]});
    assert_eq!(granted(&gateway, "/team/model/add", models.clone()).await["models"], json!(["other", MODEL]));
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await, to("team-b-model"));
    let one = json!({"team_id": "t1", "models": [MODEL]});
    assert_eq!(granted(&gateway, "/team/model/delete", one).await["models"], json!(["other"]));
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await.0, 403);
    assert_eq!(chat(&gateway, &key, "other", json!({})).await, to("other-model"));

    // The last one gone must not open the rest.
    granted(&gateway, "/team/model/delete", models).await;
    assert_eq!(chat(&gateway, &key, "other", json!({})).await.0, 403);

    let cleared =
        granted(&gateway, "/team/update", json!({"team_id": "t1", "metadata": {}, "models": []})).await;
    assert_eq!(cleared["data"]["metadata"], json!({}));
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await, to("default-model"));
}

#[tokio::test]
async fn a_team_is_deleted_with_its_keys_or_not_at_all() {
    let gateway = Gateway::start(&two_teams(""));
    for team in ["t1", "t2"] {
        granted(&gateway, "/team/new", json!({"team_id": team})).await;
    }
    let first = key(&gateway, json!({"team_id": "t1"})).await;
    let second = key(&gateway, json!({"team_id": "t2"})).await;
    let (status, message) = refusal(&gateway, "/team/delete", json!({"team_ids": ["t1", "nope"]})).await;
    assert_eq!((status, &*message), (404, "Team not found, passed team_id=nope"));
    assert_eq!(chat(&gateway, &first, "other", json!({})).await.0, 200);
    let deleted = granted(&gateway, "/team/delete", json!({"team_ids": ["t1", "t1"]})).await;
    assert_eq!(deleted, json!({"deleted_teams": ["t1"]}));
    assert_eq!(chat(&gateway, &first, "other", json!({})).await.0, 401);
    assert_eq!(chat(&gateway, &second, "other", json!({})).await.0, 200);
    assert_eq!(error(gateway.get("/team/info?team_id=t1")).await.0, 404);
    let again = granted(&gateway, "/team/new", json!({"team_id": "t1"})).await;
    assert_eq!(again["team_id"], "t1");
    assert_eq!(chat(&gateway, &first, "other", json!({})).await.0, 401);
}

#[tokio::test]
async fn a_team_answers_with_litellms_fields() {
    let gateway = Gateway::start(&two_teams(""));
    let team = json!({
        "team_id": "t1", "team_alias": "A", "tags": ["teamA"], "metadata": {"k": 1}, "models": ["gpt-4"],
        "model_aliases": {"x": "gpt-4"}, "max_budget": 100, "soft_budget": 50, "tpm_limit": 1000,
        "members_with_roles": [{"user_id": "u1", "role": "user"}],
        "team_member_permissions": ["/key/generate"], "something_new": 5,
    });
    let made = granted(&gateway, "/team/new", team).await;
    let times = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().is_ok();
    assert!(times(&made["created_at"]) && times(&made["updated_at"]));
    insta::assert_json_snapshot!(made, {".created_at" => "[time]", ".updated_at" => "[time]"});
    let secret = key(&gateway, json!({"team_id": "t1", "key_alias": "mine"})).await;
    let update = json!({"team_id": "t1", "user_id": "u1", "max_budget_in_team": 5.0});
    granted(&gateway, "/team/member_update", update).await;
    let info = gateway.get("/team/info?team_id=t1").send().await.unwrap().text().await.unwrap();
    assert!(!info.contains(&secret));
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["team_id"], "t1");
    assert_eq!(info["team_info"]["metadata"], json!({"k": 1, "tags": ["teamA"]}));
    assert_eq!(info["keys"][0]["key_alias"], "mine");
    assert_eq!(info["team_memberships"][0]["user_id"], "u1");
    assert_eq!(info["team_memberships"][0]["litellm_budget_table"]["max_budget"], 5.0);
    assert_eq!(read(&gateway, "/team/info?team_id=t1&key_limit=0").await["keys"], json!([]));
    let patch = json!({"metadata": {"k": null, "new": {"a": 1}}, "team_alias": "B"});
    let request = with(&gateway, crate::gateway::KEY, Method::PATCH, "/team/t1", &patch);
    let patched: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(patched["metadata"], json!({"tags": ["teamA"], "new": {"a": 1}}));
    assert_eq!((&patched["team_alias"], &patched["tpm_limit"]), (&json!("B"), &json!(1000)));
}

#[tokio::test]
async fn what_makes_no_sense_in_a_team_is_refused() {
    let gateway = Gateway::start(&two_teams(""));
    granted(&gateway, "/team/new", json!({"team_id": "t1", "soft_budget": 2})).await;
    for (path, body, status, text) in [
        (
            "/team/new",
            json!({"team_id": "t1"}),
            400,
            "Team id = t1 already exists. Please use a different team id.",
        ),
        ("/team/new", json!({"team_id": "litellm-dashboard"}), 400, "reserved"),
        (
            "/team/new",
            json!({"max_budget": -1.0}),
            400,
            "max_budget must be a non-negative finite number. Received: -1.0",
        ),
        (
            "/team/new",
            json!({"max_budget": 4, "soft_budget": 5}),
            400,
            "soft_budget (5.0) must be strictly lower than max_budget (4.0)",
        ),
        ("/team/new", json!({"budget_duration": "soon"}), 400, "Invalid budget_duration 'soon'"),
        (
            "/team/new",
            json!({"organization_id": "nope"}),
            400,
            "Organization not found for organization_id=nope",
        ),
        ("/team/new", json!({"tags": "teamA"}), 400, "tags"),
        ("/team/new", json!({"metadata": {"tags": 5}}), 400, "metadata.tags"),
        ("/team/new", json!({"metadata": {"tier": "gold"}}), 400, "metadata.tier"),
        ("/team/new", json!({"tag_expression": "a and"}), 400, "tag_expression"),
        ("/team/new", json!({"router_settings": {"num_retries": 3}}), 400, "router_settings"),
        ("/team/new", json!({"guardrails": ["x"]}), 400, "'guardrails' is not supported"),
        ("/team/new", json!({"team_member_permissions": ["/key/fly"]}), 400, "Unknown permission"),
        ("/team/new", json!({"members_with_roles": [{"user_id": "u", "role": "king"}]}), 400, "Invalid role"),
        (
            "/team/new",
            json!({"members_with_roles": [{"role": "user"}]}),
            400,
            "Either user id or user email must be provided",
        ),
        ("/team/new", json!({"team_id": "x".repeat(256)}), 400, "255"),
        (
            "/team/new",
            json!({"members_with_roles": [{"user_id": "x".repeat(256), "role": "user"}]}),
            400,
            "255",
        ),
        ("/team/update", json!({"team_id": "nope"}), 404, "Team not found, passed team_id=nope"),
        ("/team/update", json!({}), 400, "team_id"),
        (
            "/team/update",
            json!({"team_id": "t1", "max_budget": 1}),
            400,
            "max_budget (1.0) must be strictly greater than soft_budget (2.0)",
        ),
        (
            "/team/update",
            json!({"team_id": "t1", "members_with_roles": [{"user_id": "u", "role": "admin"}]}),
            400,
            "/team/member_add",
        ),
        ("/team/block", json!({"team_id": "nope"}), 404, "Team not found, passed team_id=nope"),
        (
            "/team/model/add",
            json!({"team_id": "nope", "models": []}),
            404,
            "Team not found, passed team_id=nope",
        ),
        (
            "/team/member_add",
            json!({"team_id": "nope", "member": {"role": "user", "user_id": "u"}}),
            404,
            "Team doesn't exist in db. Team=nope.",
        ),
        (
            "/team/member_add",
            json!({"team_id": "t1", "member": {"role": "user"}}),
            400,
            "Either user id or user email must be provided",
        ),
        ("/team/member_add", json!({"team_id": "t1"}), 400, "member"),
        (
            "/team/member_update",
            json!({"team_id": "nope", "user_id": "u"}),
            400,
            "Team id=nope does not exist in db",
        ),
        (
            "/team/member_update",
            json!({"team_id": "t1", "user_id": "u", "role": "user"}),
            404,
            "User u is not a member of team t1",
        ),
        ("/team/member_delete", json!({"team_id": "t1", "user_id": "u"}), 400, "User not found in team"),
        ("/team/delete", json!({}), 400, "team_ids"),
        ("/team/nope/reset_spend", json!({"reset_to": 0}), 404, "Team not found, passed team_id=nope"),
        ("/team/a%00b/reset_spend", json!({"reset_to": 0}), 400, "The path must not hold"),
        ("/user/a%00b/reset_spend", json!({"reset_to": 0}), 400, "The path must not hold"),
        (
            "/team/t1/reset_spend",
            json!({"reset_to": 1}),
            400,
            "reset_to (1.0) must be <= current spend (0.0)",
        ),
    ] {
        let (got, message) = refusal(&gateway, path, body.clone()).await;
        assert_eq!(got, status, "{path} {body}: {message}");
        assert!(message.contains(text), "{path} {body}: {message}");
    }
    assert_eq!(error(gateway.get("/team/info")).await.0, 400);
    assert_eq!(error(gateway.get("/team/info?team_id=t1&key_limit=-1")).await.0, 400);
    assert_eq!(error(gateway.get("/v2/team/list?page_size=101")).await.0, 400);
}

#[tokio::test]
async fn members_come_and_go_and_their_keys_go_with_them() {
    let gateway = Gateway::start(&two_teams(""));
    granted(&gateway, "/team/new", json!({"team_id": "t1"})).await;
    let add = json!({"team_id": "t1", "member": {"role": "user", "user_id": "u2"}, "max_budget_in_team": 7});
    let added = granted(&gateway, "/team/member_add", add.clone()).await;
    assert_eq!(added["updated_users"][0]["user_id"], "u2");
    assert_eq!(added["updated_users"][0]["teams"], json!(["t1"]));
    assert_eq!(added["updated_team_memberships"][0]["litellm_budget_table"]["max_budget"], 7.0);
    let (status, body) = error(gateway.post("/team/member_add", &add)).await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("team_member_already_in_team")));
    let list = json!({"team_id": "t1", "member": [
        {"role": "user", "user_id": "u2"}, {"role": "admin", "user_email": "Ann@example.com"},
    ]});
    let added = granted(&gateway, "/team/member_add", list).await;
    let ann = added["updated_users"][0]["user_id"].as_str().unwrap().to_owned();
    assert_eq!(added["updated_users"].as_array().unwrap().len(), 1);
    let roles: Vec<_> =
        added["members_with_roles"].as_array().unwrap().iter().map(|member| &member["role"]).collect();
    assert_eq!(roles, ["admin", "user", "admin"]);

    let own = key(&gateway, json!({"team_id": "t1", "user_id": ann})).await;
    let elsewhere = key(&gateway, json!({"user_id": ann})).await;
    let update = json!({"team_id": "t1", "user_email": "ann@EXAMPLE.com", "role": "user", "tpm_limit": 5});
    let updated = granted(&gateway, "/team/member_update", update).await;
    assert_eq!((&updated["role"], &updated["tpm_limit"]), (&json!("user"), &json!(5)));
    let delete = json!({"team_id": "t1", "user_email": "ann@example.com"});
    let left = granted(&gateway, "/team/member_delete", delete).await;
    assert_eq!(left["members_with_roles"].as_array().unwrap().len(), 2);
    assert_eq!(chat(&gateway, &own, "other", json!({})).await.0, 401);
    assert_eq!(chat(&gateway, &elsewhere, "other", json!({})).await.0, 200);
    assert_eq!(read(&gateway, &format!("/user/info?user_id={ann}")).await["teams"], json!([]));
    assert_eq!(
        error(gateway.post(
            "/team/member_add",
            &json!({
                "team_id": "t1", "member": {"role": "user", "user_id": "u3"}, "allowed_models": ["gpt-4"],
            })
        ))
        .await
        .0,
        400
    );
}

#[tokio::test]
async fn teams_are_listed_a_page_at_a_time_or_all_together() {
    let gateway = Gateway::start(&two_teams(""));
    for number in 0..5 {
        let team = json!({"team_id": format!("t{number}"), "team_alias": format!("Team {number}"), "tags": ["teamA"]});
        granted(&gateway, "/team/new", team).await;
    }
    granted(&gateway, "/team/new", json!({"team_id": "x", "team_alias": "no_tag"})).await;
    key(&gateway, json!({"team_id": "t3"})).await;
    let ids = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|team| team["team_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = read(&gateway, "/team/list").await;
    assert_eq!(ids(&all), ["t0", "t1", "t2", "t3", "t4", "x"]);
    assert_eq!(all[3]["keys"].as_array().unwrap().len(), 1);
    let page = read(&gateway, "/v2/team/list?page=2&page_size=4&sort_by=team_id").await;
    assert_eq!(ids(&page["teams"]), ["t4", "x"]);
    assert_eq!((&page["total"], &page["total_pages"], &page["page"]), (&json!(6), &json!(2), &json!(2)));
    let newest = read(&gateway, "/v2/team/list?page_size=2").await;
    assert_eq!(newest["teams"].as_array().unwrap().len(), 2);
    let next = newest["next_cursor"].as_str().unwrap();
    let rest = read(&gateway, &format!("/v2/team/list?page_size=100&cursor={next}")).await;
    assert_eq!(rest["teams"].as_array().unwrap().len(), 4);
    let found = read(&gateway, "/v2/team/list?search=TEAM%203").await;
    assert_eq!((ids(&found["teams"]), &found["teams"][0]["keys_count"]), (vec!["t3".to_owned()], &json!(1)));
    assert_eq!(ids(&read(&gateway, "/v2/team/list?search=t2").await["teams"]), ["t2"]);
    assert_eq!(ids(&read(&gateway, "/v2/team/list?team_alias=_").await["teams"]), ["x"]);
    assert_eq!(read(&gateway, "/v2/team/list?tag=teamA").await["total"], 5);
    assert_eq!(read(&gateway, "/v2/team/list?user_id=default_user_id").await["total"], 6);
    assert_eq!(error(gateway.get("/v2/team/list?user_id=nobody")).await.0, 404);
    assert_eq!(read(&gateway, "/team/available").await, json!([]));
}

#[tokio::test]
async fn members_do_with_a_teams_keys_what_the_team_permits() {
    let gateway = Gateway::start(&two_teams(""));
    granted(&gateway, "/team/new", json!({"team_id": "t1"})).await;
    let member = json!({"team_id": "t1", "member": {"role": "user", "user_id": "tm"}});
    granted(&gateway, "/team/member_add", member).await;
    let own = key(&gateway, json!({"user_id": "tm"})).await;
    let make = || with(&gateway, &own, Method::POST, "/key/generate", &json!({"team_id": "t1"}));
    assert_eq!(error(make()).await.0, 401);
    let permissions = json!({"team_id": "t1", "team_member_permissions": ["/key/generate"]});
    granted(&gateway, "/team/permissions_update", permissions).await;
    assert_eq!(make().send().await.unwrap().status(), 200);
    let listed = read(&gateway, "/team/permissions_list?team_id=t1").await;
    assert_eq!(listed["team_member_permissions"], json!(["/key/generate"]));
    assert!(listed["all_available_permissions"].as_array().unwrap().contains(&json!("/key/delete")));
}

#[tokio::test]
async fn the_admin_of_a_team_manages_members_and_neither_tags_nor_budgets() {
    let gateway = Gateway::start(&two_teams(""));
    let members = json!([{"role": "admin", "user_id": "ta"}, {"role": "user", "user_id": "tm"}]);
    granted(&gateway, "/team/new", json!({"team_id": "t1", "members_with_roles": members})).await;
    let admin = key(&gateway, json!({"user_id": "ta"})).await;
    let ask = |path: &str, body: Value| with(&gateway, &admin, Method::POST, path, &body);
    let update = |more: Value| {
        let mut body = json!({"team_id": "t1", "user_id": "tm"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask("/team/member_update", body)
    };
    for (field, value) in [("tags", json!(["teamB"])), ("max_budget", json!(5)), ("models", json!([]))] {
        let (status, body) = error(ask("/team/update", json!({"team_id": "t1", field: value}))).await;
        assert_eq!(status, 403);
        assert!(
            body["error"]["message"].as_str().unwrap().starts_with("Team admins on this proxy cannot edit")
        );
    }
    assert_eq!(update(json!({"max_budget_in_team": 5})).send().await.unwrap().status(), 200);
    assert_eq!(update(json!({"max_budget_in_team": 4})).send().await.unwrap().status(), 200);
    for more in [
        json!({"max_budget_in_team": 6}),
        json!({"max_budget_in_team": null}),
        json!({"budget_duration": "1s"}),
    ] {
        assert_eq!(error(update(more)).await.0, 403);
    }
    let stranger = json!({"team_id": "t1", "member": {"role": "user", "user_id": "stranger"}});
    let (status, body) = error(ask("/team/member_add", stranger)).await;
    assert_eq!(status, 403);
    assert!(body["error"]["message"].as_str().unwrap().starts_with("Only proxy admins can add a user_id"));
    let invited = json!({"team_id": "t1", "member": {"role": "user", "user_email": "new@example.com"}});
    assert_eq!(ask("/team/member_add", invited).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_path_granted_to_a_key_does_not_grant_tags() {
    let gateway = Gateway::start(&two_teams(""));
    granted(&gateway, "/user/new", json!({"user_id": "iu", "auto_create_key": false})).await;
    let fields = json!({"user_id": "iu", "allowed_routes": ["/team/new", "/team/delete", "llm_api_routes"]});
    let key = key(&gateway, fields).await;
    let ask = |path: &str, body: Value| with(&gateway, &key, Method::POST, path, &body);
    assert_eq!(ask("/team/new", json!({"team_id": "mine"})).send().await.unwrap().status(), 200);
    for body in [
        json!({"tags": ["teamB"]}),
        json!({"metadata": {"tags": ["teamB"]}}),
        json!({"metadata": {"tier": "paid"}}),
        json!({"tag_expression": "teamB"}),
        json!({"router_settings": {"enable_tag_filtering": true}}),
        json!({"spend": 0}),
    ] {
        assert_eq!(error(ask("/team/new", body.clone())).await.0, 403, "{body}");
    }
    granted(&gateway, "/team/new", json!({"team_id": "theirs"})).await;
    assert_eq!(error(ask("/team/delete", json!({"team_ids": ["theirs"]}))).await.0, 403);
    assert_eq!(ask("/team/delete", json!({"team_ids": ["mine"]})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_team_has_no_more_than_its_organization() {
    let gateway = Gateway::start(&two_teams(""));
    granted(&gateway, "/budget/new", json!({"budget_id": "b1", "tpm_limit": 10})).await;
    let organization = json!({
        "organization_id": "o1", "organization_alias": "O", "models": ["other"], "max_budget": 50, "tags": ["teamA"],
    });
    granted(&gateway, "/organization/new", organization).await;
    let budgeted = json!({"organization_id": "o2", "organization_alias": "P", "budget_id": "b1"});
    granted(&gateway, "/organization/new", budgeted).await;
    for (body, text) in [
        (
            json!({"models": [MODEL]}),
            "Model 'fake-openai-endpoint' not in organization's allowed models. Organization allowed models=['other']. Organization: o1",
        ),
        (
            json!({"max_budget": 500}),
            "Team max_budget (500.0) exceeds organization's max_budget (50.0). Organization: o1",
        ),
        (
            json!({"organization_id": "o2", "tpm_limit": 11}),
            "Team tpm_limit (11) exceeds organization's tpm_limit (10). Organization: o2",
        ),
    ] {
        let mut team = json!({"organization_id": "o1"});
        team.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        assert_eq!(refusal(&gateway, "/team/new", team).await, (400, text.to_owned()));
    }
    granted(&gateway, "/team/new", json!({"team_id": "t1", "organization_id": "o1", "models": ["other"]}))
        .await;
    let more = json!({"team_id": "t1", "models": [MODEL]});
    assert_eq!(refusal(&gateway, "/team/model/add", more.clone()).await.0, 400);
    assert_eq!(refusal(&gateway, "/team/update", more).await.0, 400);
    granted(&gateway, "/team/new", json!({"team_id": "t2", "organization_id": "o1"})).await;
    let key = key(&gateway, json!({"team_id": "t2"})).await;
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await.0, 403);
    granted(&gateway, "/team/update", json!({"team_id": "t2", "organization_id": null})).await;
    assert_eq!(chat(&gateway, &key, MODEL, json!({})).await, to("default-model"));
}

#[tokio::test]
async fn the_admin_of_an_organization_manages_its_teams_alone() {
    let gateway = Gateway::start(&two_teams(""));
    for id in ["o1", "o2", "o3"] {
        granted(&gateway, "/organization/new", json!({"organization_id": id, "organization_alias": id}))
            .await;
    }
    granted(
        &gateway,
        "/user/new",
        json!({"user_id": "oa", "auto_create_key": false, "organizations": ["o3"]}),
    )
    .await;
    granted(&gateway, "/user/new", json!({"user_id": "other", "auto_create_key": false})).await;
    for id in ["o1", "o2"] {
        let admin = json!({"organization_id": id, "member": {"role": "org_admin", "user_id": "oa"}});
        granted(&gateway, "/organization/member_add", admin).await;
    }
    let admin = key(&gateway, json!({"user_id": "oa"})).await;
    let ask = |path: &str, body: Value| with(&gateway, &admin, Method::POST, path, &body);
    let see = |path: &str| with(&gateway, &admin, Method::GET, path, &json!({}));

    for (organization, text) in [
        (
            json!(null),
            "Passed organization_id is None, please specify the organization_id in your request. You are part of multiple organizations: ['o1', 'o2']",
        ),
        (json!("o3"), "Only proxy admin can be used"),
    ] {
        let (status, body) = error(ask("/team/new", json!({"organization_id": organization}))).await;
        assert_eq!(status, 401);
        assert!(body["error"]["message"].as_str().unwrap().contains(text), "{body}");
    }
    let own = json!({"team_id": "t1", "organization_id": "o1", "tags": ["teamA"], "max_budget": 10});
    assert_eq!(ask("/team/new", own).send().await.unwrap().status(), 200);
    granted(&gateway, "/team/new", json!({"team_id": "t2", "organization_id": "o1"})).await;
    granted(&gateway, "/team/new", json!({"team_id": "foreign"})).await;

    let update = |more: Value| {
        let mut body = json!({"team_id": "t1"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask("/team/update", body)
    };
    for more in [json!({"tags": ["teamB"]}), json!({"max_budget": 9}), json!({"organization_id": "o2"})] {
        assert_eq!(update(more.clone()).send().await.unwrap().status(), 200, "{more}");
    }
    for more in [
        json!({"max_budget": 11}),
        json!({"max_budget": null}),
        json!({"spend": 0}),
        json!({"organization_id": "o3"}),
        json!({"organization_id": null}),
    ] {
        assert_eq!(error(update(more.clone())).await.0, 403, "{more}");
    }
    assert_eq!(error(ask("/team/update", json!({"team_id": "foreign", "team_alias": "x"}))).await.0, 403);
    let member =
        |team: &str, user: &str| json!({"team_id": team, "member": {"role": "user", "user_id": user}});
    assert_eq!(ask("/team/member_add", member("t2", "other")).send().await.unwrap().status(), 200);
    assert_eq!(error(ask("/team/member_add", member("t2", "nobody"))).await.0, 403);
    assert_eq!(error(ask("/team/member_add", member("foreign", "other"))).await.0, 403);
    let raise = json!({"team_id": "t2", "user_id": "other", "max_budget_in_team": 3});
    assert_eq!(ask("/team/member_update", raise).send().await.unwrap().status(), 200);

    let teams: Value = see("/team/list").send().await.unwrap().json().await.unwrap();
    assert_eq!(teams.as_array().unwrap().len(), 2);
    let teams: Value = see("/v2/team/list").send().await.unwrap().json().await.unwrap();
    assert_eq!(teams["total"], 2);
    let users: Value = see("/user/list").send().await.unwrap().json().await.unwrap();
    let ids: Vec<_> = users["users"].as_array().unwrap().iter().map(|user| &user["user_id"]).collect();
    assert_eq!(ids, ["oa"]);
    assert_eq!(see("/team/info?team_id=t2").send().await.unwrap().status(), 200);
    assert_eq!(error(see("/team/info?team_id=foreign")).await.0, 403);
    let users = read(&gateway, "/user/list?organization_ids=o3").await;
    assert_eq!(users["users"][0]["user_id"], "oa");
    granted(&gateway, "/user/delete", json!({"user_ids": ["oa"]})).await;
    assert_eq!(read(&gateway, "/user/list?organization_ids=o1,o3").await["total"], 0);
}

//! Projects: parts of a team's work, and what their keys inherit.

use reqwest::Method;
use serde_json::{Value, json};

use crate::customers::{chat_with, gold_and_rest, key, key_of, ok, statuses};
use crate::gateway::{Answered as _, Gateway, error};
use crate::organizations::ask;

/// A gateway with the team `t1`.
async fn with_team(fields: Value) -> Gateway {
    let gateway = Gateway::start(&gold_and_rest());
    let mut body = json!({"team_id": "t1"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    ok(gateway.post("/team/new", &body)).await;
    gateway
}

#[tokio::test]
async fn a_project_is_made_changed_shown_and_deleted() {
    let gateway = with_team(json!({})).await;
    let body = json!({
        "project_id": "p1", "team_id": "t1", "project_alias": "Paint", "models": ["m"], "max_budget": 3,
        "metadata": {"a": 1}, "tags": ["gold"], "model_rpm_limit": {"m": 5},
    });
    let made = ok(gateway.post("/project/new", &body)).await;
    insta::assert_json_snapshot!(made, {".created_at" => "[time]", ".updated_at" => "[time]"});
    let changed = ok(gateway.post("/project/update", &json!({"project_id": "p1", "max_budget": 2}))).await;
    assert_eq!(
        (&changed["litellm_budget_table"]["max_budget"], &changed["models"]),
        (&json!(2.0), &json!(["m"]))
    );
    assert_eq!(ok(gateway.get("/project/info?project_id=p1")).await, changed);
    assert_eq!(ok(gateway.get("/project/list")).await, json!([changed]));
    let ids = json!({"project_ids": ["p1"]});
    let own = key(&gateway, json!({"project_id": "p1", "team_id": "t1"})).await;
    let (status, refused) = error(ask(&gateway, Method::DELETE, "/project/delete", &ids)).await;
    assert_eq!((status, &refused["error"]["param"]), (400, &json!("project_ids")));
    ok(gateway.post("/key/delete", &json!({"keys": [own]}))).await;
    assert_eq!(ok(ask(&gateway, Method::DELETE, "/project/delete", &ids)).await[0]["project_id"], "p1");
    assert_eq!(error(gateway.get("/project/info?project_id=p1")).await.0, 404);
}

#[tokio::test]
async fn keys_inherit_tags_models_and_blocks_of_their_project() {
    let gateway = with_team(json!({})).await;
    let body = json!({"project_id": "p1", "team_id": "t1", "tags": ["gold"], "models": ["m"]});
    ok(gateway.post("/project/new", &body)).await;
    let key = key(&gateway, json!({"project_id": "p1"})).await;
    let chat = |model, more| chat_with(&gateway, &key, model, more);
    let update = |body: Value| ok(gateway.post("/project/update", &body));
    assert_eq!(chat("m", json!({})).send().await.unwrap().deployment(), "gold");
    assert_eq!(error(chat("m", json!({"tags": ["default"]}))).await.0, 401);
    let (status, body) = error(chat("other", json!({}))).await;
    assert_eq!((status, &body["error"]["type"]), (403, &json!("project_model_access_denied")));
    update(json!({"project_id": "p1", "blocked": true})).await;
    let (status, body) = error(chat("m", json!({}))).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!((status, message.contains("Project=p1 is blocked.")) == (401, true), "{message}");
    update(json!({"project_id": "p1", "blocked": false, "tags": [], "models": []})).await;
    assert_eq!(chat("m", json!({})).send().await.unwrap().deployment(), "rest");
    assert_eq!(chat("other", json!({})).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_project_asks_for_no_more_than_its_team_has() {
    let gateway = with_team(json!({"models": ["m"], "max_budget": 10, "rpm_limit": 5})).await;
    ok(gateway.post("/project/new", &json!({"project_id": "p1", "team_id": "t1", "models": ["m"]}))).await;
    for (path, body, status, words) in [
        ("new", json!({}), 400, "'team_id'"),
        ("new", json!({"team_id": "nope"}), 404, "Team not found, team_id=nope"),
        ("new", json!({"team_id": "t1", "project_id": "p1"}), 400, "Project id = p1 already exists."),
        ("new", json!({"team_id": "t1", "models": ["other"]}), 400, "Team allowed models=['m']. Team: t1"),
        (
            "new",
            json!({"team_id": "t1", "max_budget": 11}),
            400,
            "exceeds team's max_budget (10.0). Team: t1",
        ),
        (
            "new",
            json!({"team_id": "t1", "rpm_limit": 500}),
            400,
            "Project rpm_limit (500) exceeds team's rpm_limit (5).",
        ),
        ("new", json!({"team_id": "t1", "soft_budget": 6, "max_budget": 5}), 400, "must be strictly lower"),
        ("new", json!({"team_id": "t1", "guardrails": ["x"]}), 400, "'guardrails'"),
        ("update", json!({}), 400, "'project_id'"),
        ("update", json!({"project_id": "nope"}), 404, "Project not found, project_id=nope"),
        ("update", json!({"project_id": "p1", "models": ["other"]}), 400, "not in team's allowed models"),
        ("update", json!({"project_id": "p1", "team_id": null}), 400, "'team_id'"),
    ] {
        let (got, answer) = error(gateway.post(&format!("/project/{path}"), &body)).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!((got, message.contains(words)) == (status, true), "{path} {body}: {got} {message}");
    }
    let (status, _) =
        error(ask(&gateway, Method::DELETE, "/project/delete", &json!({"project_ids": ["nope"]}))).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn projects_are_changed_by_admins_and_seen_by_their_team() {
    let gateway = Gateway::start(&gold_and_rest());
    ok(gateway.post("/organization/new", &json!({"organization_id": "o1", "organization_alias": "O"}))).await;
    let viewer = key_of(&gateway, "viewer", "proxy_admin_viewer").await;
    let user = key_of(&gateway, "user", "internal_user").await;
    let reader = key_of(&gateway, "reader", "internal_user_viewer").await;
    let team_admin = key_of(&gateway, "ta", "internal_user").await;
    let member = key_of(&gateway, "tm", "internal_user").await;
    let org_admin = key_of(&gateway, "oa", "internal_user").await;
    let nobody = key(&gateway, json!({})).await;
    let members = json!([{"role": "admin", "user_id": "ta"}, {"role": "user", "user_id": "tm"}]);
    let team = json!({"team_id": "t1", "organization_id": "o1", "members_with_roles": members});
    ok(gateway.post("/team/new", &team)).await;
    let joins = json!({"organization_id": "o1", "member": {"role": "org_admin", "user_id": "oa"}});
    ok(gateway.post("/organization/member_add", &joins)).await;
    ok(gateway.post("/project/new", &json!({"project_id": "p1", "team_id": "t1"}))).await;
    let of_team = key(&gateway, json!({"team_id": "t1"})).await;
    let keys = [&viewer, &user, &reader, &team_admin, &member, &org_admin, &nobody, &of_team];
    for (path, body) in
        [("/project/new", json!({"team_id": "t1"})), ("/project/update", json!({"project_id": "p1"}))]
    {
        assert_eq!(statuses(|| gateway.post(path, &body), &keys).await, [403; 8], "{path}");
    }
    let info = || gateway.get("/project/info?project_id=p1");
    assert_eq!(statuses(info, &keys).await, [200, 403, 403, 200, 200, 200, 403, 403]);
    let delete = || ask(&gateway, Method::DELETE, "/project/delete", &json!({"project_ids": ["p1"]}));
    assert_eq!(statuses(delete, &keys).await, [403, 401, 401, 401, 401, 401, 401, 401]);
    let mut seen = Vec::new();
    for key in keys {
        let list = ok(gateway.get("/project/list").header("x-litellm-api-key", key)).await;
        seen.push(list.as_array().unwrap().len());
    }
    assert_eq!(seen, [1, 0, 0, 1, 1, 0, 0, 0]);
}

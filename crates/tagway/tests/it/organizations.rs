//! Organizations: their members, and what keys and teams inherit from them.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::customers::{chat_with, gold_and_rest, key, key_of, ok, statuses};
use crate::gateway::{Answered as _, Gateway, KEY, error};

/// A request with a method of its own.
pub fn ask(gateway: &Gateway, method: Method, path: &str, body: &Value) -> RequestBuilder {
    gateway.client.request(method, format!("{}{path}", gateway.url)).bearer_auth(KEY).json(body)
}

#[tokio::test]
async fn an_organization_is_made_changed_shown_and_deleted() {
    let gateway = Gateway::start(&gold_and_rest());
    let body = json!({
        "organization_id": "o1", "organization_alias": "Orbit", "models": ["m"], "max_budget": 100,
        "metadata": {"tags": ["gold"]},
    });
    let made = ok(gateway.post("/organization/new", &body)).await;
    insta::assert_json_snapshot!(made, {".created_at" => "[time]", ".updated_at" => "[time]"});
    let body = json!({"organization_id": "o1", "organization_alias": "OO", "max_budget": 50, "spend": 2});
    let changed = ok(ask(&gateway, Method::PATCH, "/organization/update", &body)).await;
    assert_eq!((&changed["organization_alias"], &changed["models"]), (&json!("OO"), &json!(["m"])));
    assert_eq!(
        (&changed["litellm_budget_table"]["max_budget"], &changed["spend"]),
        (&json!(50.0), &json!(2.0))
    );
    let second = ok(gateway.post("/organization/new", &json!({"organization_alias": "Second"}))).await;
    let list = ok(gateway.get("/organization/list")).await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(ok(gateway.get("/organization/list?org_alias=seco")).await[0], second);
    let several = ok(gateway.post("/organization/info", &json!({"organizations": ["o1", "nope"]}))).await;
    assert_eq!(several.as_array().unwrap().len(), 1);
    let gone =
        ok(ask(&gateway, Method::DELETE, "/organization/delete", &json!({"organization_ids": ["o1"]}))).await;
    assert_eq!(gone[0]["organization_id"], "o1");
    assert_eq!(error(gateway.get("/organization/info?organization_id=o1")).await.0, 404);
}

#[tokio::test]
async fn keys_inherit_tags_models_and_blocks_of_their_organization() {
    let gateway = Gateway::start(&gold_and_rest());
    let body = json!({"organization_id": "o1", "organization_alias": "O", "tags": ["gold"], "models": ["m"]});
    ok(gateway.post("/organization/new", &body)).await;
    ok(gateway.post("/team/new", &json!({"team_id": "t1", "organization_id": "o1"}))).await;
    let own = key(&gateway, json!({"organization_id": "o1"})).await;
    let through_team = key(&gateway, json!({"team_id": "t1"})).await;
    let update = |more: Value| {
        let mut body = json!({"organization_id": "o1"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ok(ask(&gateway, Method::PATCH, "/organization/update", &body))
    };
    for key in [&own, &through_team] {
        let chat = |model, more| chat_with(&gateway, key, model, more);
        assert_eq!(chat("m", json!({})).send().await.unwrap().deployment(), "gold");
        assert_eq!(error(chat("m", json!({"tags": ["default"]}))).await.0, 401);
        let (status, body) = error(chat("other", json!({}))).await;
        assert_eq!((status, &body["error"]["type"]), (403, &json!("org_model_access_denied")));
        update(json!({"blocked": true})).await;
        assert_eq!(error(chat("m", json!({}))).await.0, 401);
        update(json!({"blocked": false, "tags": [], "models": []})).await;
        assert_eq!(chat("m", json!({})).send().await.unwrap().deployment(), "rest");
        assert_eq!(chat("other", json!({})).send().await.unwrap().status(), 200);
        update(json!({"tags": ["gold"], "models": ["m"]})).await;
    }
    // What belongs to it goes with it.
    ok(ask(&gateway, Method::DELETE, "/organization/delete", &json!({"organization_ids": ["o1"]}))).await;
    for key in [&own, &through_team] {
        assert_eq!(error(chat_with(&gateway, key, "m", json!({}))).await.0, 401);
        assert_eq!(error(gateway.get(&format!("/key/info?key={key}"))).await.0, 404);
    }
    assert_eq!(error(gateway.get("/team/info?team_id=t1")).await.0, 404);
}

#[tokio::test]
async fn members_join_change_and_leave() {
    let gateway = Gateway::start(&gold_and_rest());
    ok(gateway.post("/organization/new", &json!({"organization_id": "o1", "organization_alias": "O"}))).await;
    let add = |member: Value| {
        gateway.post("/organization/member_add", &json!({"organization_id": "o1", "member": member}))
    };
    let joined = ok(add(json!({"role": "org_admin", "user_id": "u1"}))).await;
    assert_eq!(joined["updated_users"][0]["user_role"], "internal_user");
    assert_eq!(joined["updated_organization_memberships"][0]["user_role"], "org_admin");
    let several = json!([{"role": "internal_user", "user_id": "u1"}, {"role": "internal_user", "user_email": "a@b.example"}]);
    let joined = ok(add(several.clone())).await;
    assert_eq!(joined["updated_users"].as_array().unwrap().len(), 1);
    // By the address, whatever its case, it is the same user.
    assert_eq!(error(add(json!({"role": "internal_user", "user_email": "A@B.example"}))).await.0, 400);
    assert_eq!(error(add(several)).await.0, 400);
    let body = json!({"organization_id": "o1", "user_email": "a@b.example", "role": "org_admin", "max_budget_in_organization": 3});
    let changed = ok(ask(&gateway, Method::PATCH, "/organization/member_update", &body)).await;
    assert_eq!(
        (&changed["user_role"], &changed["litellm_budget_table"]["max_budget"]),
        (&json!("org_admin"), &json!(3.0))
    );
    let members = &ok(gateway.get("/organization/info?organization_id=o1")).await["members"];
    assert_eq!((members.as_array().unwrap().len(), &members[1]["user_email"]), (2, &json!("a@b.example")));
    let which = json!({"organization_id": "o1", "user_id": "u1"});
    let left = ok(ask(&gateway, Method::DELETE, "/organization/member_delete", &which)).await;
    assert_eq!((&left["user_id"], &left["user_role"]), (&json!("u1"), &json!("org_admin")));
    assert_eq!(error(ask(&gateway, Method::DELETE, "/organization/member_delete", &which)).await.0, 404);
}

#[tokio::test]
async fn an_organizations_admin_manages_its_members_and_nothing_else() {
    let gateway = Gateway::start(&gold_and_rest());
    ok(gateway.post("/organization/new", &json!({"organization_id": "o1", "organization_alias": "O"}))).await;
    let viewer = key_of(&gateway, "viewer", "proxy_admin_viewer").await;
    let admin = key_of(&gateway, "admin", "internal_user").await;
    let member = key_of(&gateway, "member", "internal_user").await;
    let stranger = key_of(&gateway, "stranger", "internal_user").await;
    let nobody = key(&gateway, json!({})).await;
    let members =
        json!([{"role": "org_admin", "user_id": "admin"}, {"role": "internal_user", "user_id": "member"}]);
    ok(gateway.post("/organization/member_add", &json!({"organization_id": "o1", "member": members}))).await;
    let keys = [&viewer, &admin, &member, &stranger, &nobody];
    let info = || gateway.get("/organization/info?organization_id=o1");
    assert_eq!(statuses(info, &keys).await, [200, 200, 401, 401, 401]);
    let new = || gateway.post("/organization/new", &json!({"organization_alias": "x"}));
    assert_eq!(statuses(new, &keys).await, [401; 5]);
    let update = || ask(&gateway, Method::PATCH, "/organization/update", &json!({"organization_id": "o1"}));
    assert_eq!(statuses(update, &keys).await, [403, 401, 401, 401, 401]);
    let delete =
        || ask(&gateway, Method::DELETE, "/organization/delete", &json!({"organization_ids": ["o1"]}));
    assert_eq!(statuses(delete, &keys).await, [401; 5]);
    let change = || {
        let body = json!({"organization_id": "o1", "user_id": "member", "role": "internal_user_viewer"});
        ask(&gateway, Method::PATCH, "/organization/member_update", &body)
    };
    assert_eq!(statuses(change, &keys).await, [401, 200, 401, 401, 401]);
    let budget = || {
        let body = json!({"organization_id": "o1", "user_id": "member", "max_budget_in_organization": 5});
        ask(&gateway, Method::PATCH, "/organization/member_update", &body)
    };
    assert_eq!(statuses(budget, &keys).await, [401, 403, 401, 401, 401]);
    let add = || {
        let member = json!({"role": "internal_user", "user_id": "stranger"});
        gateway.post("/organization/member_add", &json!({"organization_id": "o1", "member": member}))
    };
    assert_eq!(statuses(add, &keys).await, [401, 200, 401, 401, 401]);
    let remove = || {
        let body = json!({"organization_id": "o1", "user_id": "stranger"});
        ask(&gateway, Method::DELETE, "/organization/member_delete", &body)
    };
    assert_eq!(statuses(remove, &keys).await, [401, 200, 401, 401, 401]);
    let mut seen = Vec::new();
    for key in keys {
        let list = ok(gateway.get("/organization/list").header("x-litellm-api-key", key)).await;
        seen.push(list.as_array().unwrap().len());
    }
    assert_eq!(seen, [1, 1, 1, 0, 0]);
}

#[tokio::test]
async fn a_wrong_request_for_an_organization_is_refused_and_says_why() {
    let gateway = Gateway::start(&gold_and_rest());
    ok(gateway.post("/organization/new", &json!({"organization_id": "o1", "organization_alias": "O"}))).await;
    let add = |member: Value| json!({"organization_id": "o1", "member": member});
    let (post, patch, delete) = (Method::POST, Method::PATCH, Method::DELETE);
    for (method, path, body, status, words) in [
        (&post, "new", json!({}), 400, "'organization_alias'"),
        (&post, "new", json!({"organization_alias": "x", "organization_id": "o1"}), 400, "already exists"),
        (&post, "new", json!({"organization_alias": "x", "budget_id": "nope"}), 404, "budget_id=nope"),
        (&post, "new", json!({"organization_alias": "x", "members": [{"user_id": "u"}]}), 400, "'members'"),
        (&patch, "update", json!({"organization_id": "nope"}), 404, "Organization not found"),
        (&patch, "update", json!({"organization_id": "o1", "models": "m"}), 400, "'models'"),
        (&delete, "delete", json!({"organization_ids": ["o1", "nope"]}), 404, "Organization=nope not found"),
        (&post, "info", json!({"organizations": []}), 400, "Passed in=[]"),
        (&post, "member_add", add(json!({"role": "admin", "user_id": "u"})), 400, "`admin`"),
        (&post, "member_add", add(json!({"role": "org_admin"})), 400, "Either user id or user email"),
        (&post, "member_add", add(json!({"role": "org_admin", "user_email": "x".repeat(256)})), 400, "255"),
        (&post, "member_add", add(Value::Null), 400, "'member'"),
        (&post, "member_add", json!({"organization_id": "nope", "member": []}), 404, "organization_id=nope"),
        (&patch, "member_update", json!({"organization_id": "o1", "user_id": "u"}), 404, "user_id=u"),
        (&patch, "member_update", json!({"organization_id": "o1"}), 400, "Either user id or user email"),
        (&delete, "member_delete", json!({"user_id": "u"}), 400, "'organization_id'"),
    ] {
        let (got, answer) =
            error(ask(&gateway, method.clone(), &format!("/organization/{path}"), &body)).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!((got, message.contains(words)) == (status, true), "{path} {body}: {got} {message}");
    }
    assert_eq!(error(gateway.get("/organization/info")).await.0, 400);
    assert_eq!(ok(gateway.get("/organization/list")).await.as_array().unwrap().len(), 1);
}

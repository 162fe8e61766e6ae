//! Customers: the end users that requests name, managed over HTTP and met by requests.

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, KEY, chat_body, config, deployment, error};

/// Two deployments of `m`, for customers tagged `gold` and for others, and the model `other`.
pub fn gold_and_rest() -> String {
    config(
        &[
            deployment("m", "gold", "model: openai/x, mock_response: a, tags: [gold]"),
            deployment("m", "rest", "model: openai/x, mock_response: b, tags: [default]"),
            deployment("other", "other", "model: openai/x, mock_response: c"),
        ],
        "",
    )
}

/// The JSON of an answer that must be 200.
pub async fn ok(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

/// Makes a virtual key.
pub async fn key(gateway: &Gateway, fields: Value) -> String {
    ok(gateway.post("/key/generate", &fields)).await["key"].as_str().unwrap().to_owned()
}

/// Makes a user with a role, and a key of theirs.
pub async fn key_of(gateway: &Gateway, user: &str, role: &str) -> String {
    let body = json!({"user_id": user, "user_role": role, "auto_create_key": false});
    ok(gateway.post("/user/new", &body)).await;
    key(gateway, json!({"user_id": user})).await
}

/// A chat request with a key.
pub fn chat_with(gateway: &Gateway, key: &str, model: &str, more: Value) -> RequestBuilder {
    gateway
        .client
        .post(format!("{}/v1/chat/completions", gateway.url))
        .bearer_auth(key)
        .json(&chat_body(model, more))
}

/// The statuses of one request with each key.
pub async fn statuses(request: impl Fn() -> RequestBuilder, keys: &[&String]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for key in keys {
        // A later header goes before an earlier one of the same name.
        let response = request().header("x-litellm-api-key", key.as_str()).send().await.unwrap();
        statuses.push(response.status().as_u16());
    }
    statuses
}

async fn sent(request: RequestBuilder) -> Response {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

#[tokio::test]
async fn a_customer_is_made_changed_shown_and_deleted() {
    let gateway = Gateway::start(&gold_and_rest());
    let body = json!({
        "user_id": "c1", "alias": "Ada", "max_budget": 5, "budget_duration": "30d", "models": ["m"],
        "metadata": {"plan": 1}, "tags": ["gold"], "spend": 1.5, "nickname": "A",
    });
    let made = ok(gateway.post("/customer/new", &body)).await;
    insta::assert_json_snapshot!(made, {
        ".created_at" => "[time]", ".updated_at" => "[time]",
        ".budget_reset_at" => "[time]", ".litellm_budget_table.budget_reset_at" => "[time]",
    });
    let info = ok(gateway.get("/customer/info?end_user_id=c1")).await;
    assert_eq!((&info["spend"], &info["metadata"]["tags"]), (&json!(1.5), &json!(["gold"])));
    let changed =
        ok(gateway.post("/customer/update", &json!({"user_id": "c1", "alias": null, "tags": []}))).await;
    assert_eq!((&changed["alias"], &changed["models"]), (&Value::Null, &json!(["m"])));
    assert_eq!(changed["metadata"], json!({"plan": 1, "tags": []}));
    ok(gateway.post("/end_user/new", &json!({"user_id": "c2"}))).await;
    let both = ok(gateway.get("/end_user/list")).await;
    assert_eq!(both.as_array().unwrap().len(), 2);
    assert_eq!(both[1]["litellm_budget_table"], Value::Null);
    let second = ok(gateway.get("/customer/list?size=1&cursor=c1")).await;
    assert_eq!(second[0]["user_id"], "c2");
    let gone = ok(gateway.post("/customer/delete", &json!({"user_ids": ["c1", "c2", "c1"]}))).await;
    assert_eq!(gone["deleted_customers"], 2);
    assert_eq!(ok(gateway.get("/customer/list")).await, json!([]));
}

#[tokio::test]
async fn requests_that_name_a_customer_inherit_its_tags() {
    let gateway = Gateway::start(&gold_and_rest());
    let virtual_key = key(&gateway, json!({})).await;
    ok(gateway.post("/customer/new", &json!({"user_id": "c1", "tags": ["gold"]}))).await;
    for key in [KEY, &virtual_key] {
        let chat = |more| chat_with(&gateway, key, "m", more);
        assert_eq!(sent(chat(json!({"user": "c1"}))).await.deployment(), "gold");
        assert_eq!(sent(chat(json!({"user": "c2"}))).await.deployment(), "rest");
        for header in ["x-litellm-customer-id", "x-litellm-end-user-id"] {
            assert_eq!(sent(chat(json!({})).header(header, "c1")).await.deployment(), "gold", "{header}");
        }
        // The customer's tags are a boundary.
        assert_eq!(error(chat(json!({"user": "c1", "tags": ["default"]}))).await.0, 401);
    }
    ok(gateway.post("/customer/update", &json!({"user_id": "c1", "tags": []}))).await;
    assert_eq!(sent(chat_with(&gateway, KEY, "m", json!({"user": "c1"}))).await.deployment(), "rest");
}

#[tokio::test]
async fn a_blocked_customers_requests_are_refused_at_once_whoever_sends_them() {
    let gateway = Gateway::start(&gold_and_rest());
    let virtual_key = key(&gateway, json!({})).await;
    let ids = json!({"user_ids": ["c1", "c2"]});
    ok(gateway.post("/customer/new", &json!({"user_id": "c1", "tags": ["gold"]}))).await;
    for key in [KEY, &virtual_key] {
        // c2 is not known before it is blocked.
        let blocked = ok(gateway.post("/customer/block", &ids)).await;
        assert_eq!(blocked["blocked_users"][0]["metadata"]["tags"], json!(["gold"]));
        assert_eq!(blocked["blocked_users"][1]["blocked"], true);
        for customer in ["c1", "c2"] {
            let (status, body) = error(chat_with(&gateway, key, "m", json!({"user": customer}))).await;
            assert_eq!((status, &body["error"]["type"]), (401, &json!("auth_error")), "{body}");
        }
        sent(chat_with(&gateway, key, "m", json!({"user": "c3"}))).await;
        ok(gateway.post("/customer/unblock", &ids)).await;
        sent(chat_with(&gateway, key, "m", json!({"user": "c1"}))).await;
        sent(chat_with(&gateway, key, "m", json!({"user": "c2"}))).await;
    }
}

#[tokio::test]
async fn a_customer_uses_its_own_models_alone() {
    let gateway = Gateway::start(&gold_and_rest());
    ok(gateway.post("/customer/new", &json!({"user_id": "c1", "models": ["m"]}))).await;
    sent(chat_with(&gateway, KEY, "m", json!({"user": "c1"}))).await;
    let (status, body) = error(chat_with(&gateway, KEY, "other", json!({"user": "c1"}))).await;
    assert_eq!((status, &body["error"]["type"]), (403, &json!("customer_model_access_denied")));
}

#[tokio::test]
async fn a_wrong_request_for_a_customer_is_refused_and_says_why() {
    let gateway = Gateway::start(&gold_and_rest());
    ok(gateway.post("/customer/new", &json!({"user_id": "c1"}))).await;
    for (path, body, status, words) in [
        ("new", json!({}), 400, "'user_id'"),
        ("new", json!({"user_id": ""}), 400, "'user_id'"),
        ("new", json!({"user_id": "x".repeat(256)}), 400, "255"),
        ("new", json!({"user_id": "c1"}), 400, "Customer already exists, passed user_id=c1."),
        ("new", json!({"user_id": "c2", "budget_id": "nope"}), 404, "Budget not found, budget_id=nope"),
        ("new", json!({"user_id": "c2", "max_budget": -1}), 400, "max_budget must be a non-negative"),
        ("new", json!({"user_id": "c2", "tags": [1]}), 400, "'tags'"),
        ("new", json!({"user_id": "c2", "metadata": {"tags": 5}}), 400, "metadata.tags"),
        ("new", json!({"user_id": "c2", "tags": ["x".repeat(256)]}), 400, "up to 255 characters"),
        ("new", json!({"user_id": "c2", "metadata": {"tier": "gold"}}), 400, "metadata.tier"),
        ("new", json!({"user_id": "c2", "default_model": "m"}), 400, "'default_model'"),
        ("update", json!({"user_id": "nope"}), 404, "End User Id=nope does not exist in db"),
        ("delete", json!({"user_ids": ["c1", "x", "y"]}), 404, "End User Id(s)=x, y do not exist in db"),
        ("delete", json!({"user_ids": []}), 400, "user_ids"),
        ("block", json!({}), 400, "'user_ids'"),
        ("block", json!({"user_ids": ["c1", ""]}), 400, "'user_ids'"),
        ("unblock", json!({"user_ids": ["nope"]}), 404, "End User Id(s)=nope"),
    ] {
        let (got, answer) = error(gateway.post(&format!("/customer/{path}"), &body)).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!((got, message.contains(words)) == (status, true), "{path} {body}: {got} {message}");
    }
    // Nothing of what was refused happened.
    let list = ok(gateway.get("/customer/list")).await;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["blocked"]), (1, &json!(false)));
    assert_eq!(error(gateway.get("/customer/info?end_user_id=nope")).await.0, 404);
    assert_eq!(error(gateway.get("/customer/info")).await.0, 400);
}

#[tokio::test]
async fn customers_and_budgets_are_an_admins_matter() {
    let gateway = Gateway::start(&gold_and_rest());
    let viewer = key_of(&gateway, "viewer", "proxy_admin_viewer").await;
    let user = key_of(&gateway, "user", "internal_user").await;
    let reader = key_of(&gateway, "reader", "internal_user_viewer").await;
    let nobody = key(&gateway, json!({})).await;
    let keys = [&viewer, &user, &reader, &nobody];
    for path in
        ["/customer/new", "/customer/update", "/customer/delete", "/customer/block", "/customer/unblock"]
    {
        let request = || gateway.post(path, &json!({"user_id": "c", "user_ids": ["c"]}));
        assert_eq!(statuses(request, &keys).await, [403, 401, 401, 401], "{path}");
    }
    for path in ["/budget/new", "/budget/update", "/budget/delete"] {
        let request = || gateway.post(path, &json!({}));
        assert_eq!(statuses(request, &keys).await, [403, 401, 401, 401], "{path}");
    }
    ok(gateway.post("/customer/new", &json!({"user_id": "c"}))).await;
    ok(gateway.post("/budget/new", &json!({"budget_id": "b"}))).await;
    for path in
        ["/customer/list", "/customer/info?end_user_id=c", "/budget/list", "/budget/settings?budget_id=b"]
    {
        assert_eq!(statuses(|| gateway.get(path), &keys).await, [200, 401, 401, 401], "{path}");
    }
    let request = || gateway.post("/budget/info", &json!({"budgets": ["b"]}));
    assert_eq!(statuses(request, &keys).await, [200, 401, 401, 401]);
}

//! Tags as objects: what is declared of them, and which deployments carry them.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, chat_body, config, deployment, error};

fn two() -> String {
    config(
        &[
            deployment("gpt-4", "one", "model: openai/x, mock_response: a, tags: [own]"),
            deployment("gpt-4", "two", "model: openai/x, mock_response: b, tags: [default]"),
        ],
        "router_settings: {enable_tag_filtering: true, num_retries: 0}\ntags: [{name: 'customer:*', kind: attribution}]\n",
    )
}

async fn ok(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

async fn served_by(gateway: &Gateway, tag: &str) -> String {
    let answer = gateway.chat("gpt-4", json!({"tags": [tag]})).send().await.unwrap();
    answer.deployment().to_owned()
}

/// A key for this user, made by an admin.
async fn key(gateway: &Gateway, fields: Value) -> String {
    ok(gateway.post("/key/generate", &fields)).await["key"].as_str().unwrap().to_owned()
}

fn as_key(gateway: &Gateway, path: &str, key: &str) -> RequestBuilder {
    gateway.client.get(format!("{}{path}", gateway.url)).bearer_auth(key)
}

#[tokio::test]
async fn the_deployments_a_tag_names_carry_it_at_once_and_until_it_is_deleted() {
    let gateway = Gateway::start(&two());
    assert_eq!(served_by(&gateway, "eng").await, "two", "nobody carries it: the default");
    let made =
        ok(gateway.post("/tag/new", &json!({"name": "eng", "models": ["one"], "description": "engineers"})))
            .await;
    assert_eq!(made["message"], "Tag eng created successfully");
    assert_eq!(made["tag"]["model_info"], json!({"one": "gpt-4"}));
    assert_eq!(served_by(&gateway, "eng").await, "one");
    let changed = ok(gateway.post("/tag/update", &json!({"name": "eng", "models": ["two"]}))).await;
    assert_eq!(changed["message"], "Tag eng updated successfully");
    assert_eq!(changed["tag"]["description"], "engineers", "absent fields stay");
    assert_eq!(served_by(&gateway, "eng").await, "two");
    ok(gateway.post("/tag/update", &json!({"name": "eng", "models": ["gpt-4"], "description": null}))).await;
    assert!(["one", "two"].contains(&&*served_by(&gateway, "eng").await));
    ok(gateway.post("/tag/update", &json!({"name": "eng", "models": ["one"]}))).await;
    assert_eq!(served_by(&gateway, "eng").await, "one");
    let gone = ok(gateway.post("/tag/delete", &json!({"name": "eng"}))).await;
    assert_eq!(gone, json!({"message": "Tag eng deleted successfully"}));
    assert_eq!(served_by(&gateway, "eng").await, "two");
    assert_eq!(served_by(&gateway, "own").await, "one", "what the file says stays");
}

#[tokio::test]
async fn a_declared_tag_is_shown_with_everything_known_of_it() {
    let gateway = Gateway::start(&two());
    let fields = json!({
        "name": "eng", "description": "engineers", "owner": "jane", "kind": "both", "models": ["gpt-4"],
        "max_budget": 500.0, "budget_duration": "30d", "tpm_limit": 1000, "some_new_field": 1,
    });
    let made = ok(gateway.post("/tag/new", &fields)).await;
    assert_eq!(made["ignored_fields"], json!(["some_new_field"]));
    assert_eq!(served_by(&gateway, "eng").await.len(), 3);
    let info = ok(gateway.post("/tag/info", &json!({"names": ["eng"]}))).await;
    insta::assert_json_snapshot!(info, {
        ".eng.created_at" => "[time]", ".eng.updated_at" => "[time]", ".eng.budget_reset_at" => "[time]",
        ".eng.litellm_budget_table.budget_reset_at" => "[time]",
        ".eng.first_used_at" => "[time or null]", ".eng.last_used_at" => "[time or null]",
    });
    assert_eq!(ok(gateway.post("/tag/info", &json!({"names": []}))).await, json!({}));
    let (status, body) = error(gateway.post("/tag/info", &json!({"names": ["eng", "a", "b"]}))).await;
    assert_eq!((status, &body["error"]["message"]), (404, &json!("Tags not found: ['a', 'b']")));
}

#[tokio::test]
async fn what_a_tag_cannot_be_is_refused_before_anything_is_written() {
    let gateway = Gateway::start(&two());
    ok(gateway.post("/tag/new", &json!({"name": "taken"}))).await;
    for (body, status, message) in [
        (json!({"name": "taken"}), 400, "Tag taken already exists"),
        (json!({}), 400, "Missing required field 'name'."),
        (json!({"name": "x", "models": ["nosuch"]}), 404, "Model nosuch not found"),
        (json!({"name": "x", "budget_id": "nosuch"}), 404, "Budget not found, budget_id=nosuch"),
        (json!({"name": "x", "max_budget": -1}), 400, "max_budget must be"),
        (json!({"name": "x", "budget_duration": "often"}), 400, "Invalid budget_duration"),
        (json!({"name": "x", "kind": "odd"}), 400, "Invalid value for 'kind'"),
        (json!({"name": "x", "allowed_tags": ["y"]}), 400, "A tag has no 'allowed_tags'"),
        (json!({"name": "x", "kind": "attribution", "models": ["one"]}), 400, "takes no part in routing"),
        (json!({"name": "x:*", "models": ["one"]}), 400, "A pattern of tags cannot have models"),
        (json!({"name": "&x"}), 400, "must not begin with"),
        (json!({"name": "x,y"}), 400, "comma"),
        (json!({"name": " x"}), 400, "white space"),
        (json!({"name": "*x"}), 400, "comes last"),
        (json!({"name": ""}), 400, "needs a name"),
        (json!({"name": "x".repeat(256)}), 400, "255"),
        (json!({"name": 5}), 400, "Invalid value for 'name'"),
    ] {
        let (got, answer) = error(gateway.post("/tag/new", &body)).await;
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(got == status && said.contains(message), "{body}: {got} {said}");
    }
    for path in ["/tag/update", "/tag/delete"] {
        let (status, body) = error(gateway.post(path, &json!({"name": "x"}))).await;
        assert_eq!((status, &body["error"]["message"]), (404, &json!("Tag x not found")));
        let (status, body) = error(gateway.post(path, &json!({"name": "customer:*"}))).await;
        assert!(status == 400 && body.to_string().contains("configuration file"), "{body}");
    }
    let names: Vec<Value> = ok(gateway.get("/tag/list"))
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].clone())
        .collect();
    assert_eq!(names, ["taken", "customer:*"]);
}

/// Waits until a list shows this tag.
async fn listed(gateway: &Gateway, name: &str, query: &str) -> Value {
    for _ in 0..100 {
        let list = ok(gateway.get(&format!("/tag/list{query}"))).await;
        if let Some(tag) =
            list.as_array().unwrap().iter().find(|tag| tag["name"] == name && !tag["last_used_at"].is_null())
        {
            return tag.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{name} is not listed");
}

#[tokio::test]
async fn tags_only_seen_in_requests_are_listed_with_first_and_last_use() {
    let gateway = Gateway::start(&two());
    ok(gateway.post("/tag/new", &json!({"name": "eng"}))).await;
    let mut header = gateway.chat("gpt-4", json!({}));
    header = header.header("x-litellm-tags", "from-header, eng");
    assert_eq!(header.send().await.unwrap().status(), 200);
    gateway
        .chat("gpt-4", json!({"tags": ["from-body", "!never"], "metadata": {"tags": ["&own"]}}))
        .send()
        .await
        .unwrap();
    let inherits = key(&gateway, json!({"tags": ["from-key"]})).await;
    let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(&inherits);
    request.json(&chat_body("gpt-4", json!({}))).send().await.unwrap();
    for name in ["from-header", "from-body", "own", "from-key"] {
        let tag = listed(&gateway, name, "").await;
        assert_eq!((&tag["models"], &tag["spend"]), (&Value::Null, &json!(0.0)));
        assert_eq!(tag["created_at"], tag["first_used_at"]);
        assert!(tag["description"].as_str().unwrap().starts_with("This is just a spend tag"));
    }
    let declared = listed(&gateway, "eng", "").await;
    assert_eq!(declared["models"], json!([]));
    let all = ok(gateway.get("/tag/list")).await;
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["eng", "customer:*"], "declared ones first");
    assert!(!names.contains(&"never"), "what a request excludes it does not use");
    let long_ago = ok(gateway.get("/tag/list?start_date=2001-01-01&end_date=2001-01-02")).await;
    assert_eq!(long_ago.as_array().unwrap().len(), 2, "days choose among those only seen");
    for (query, message) in [
        ("?start_date=2001-01-01", "start_date and end_date must be provided together"),
        ("?start_date=2001-01-03&end_date=2001-01-02", "start_date must be on or before end_date"),
        ("?start_date=soon&end_date=2001-01-02", "Invalid date format, expected YYYY-MM-DD: soon"),
        (
            "?start_date=2001-02-30&end_date=2001-03-02",
            "Invalid date format, expected YYYY-MM-DD: 2001-02-30",
        ),
        ("?limit=0", "limit must be between 1 and 10000."),
    ] {
        let (status, body) = error(gateway.get(&format!("/tag/list{query}"))).await;
        assert_eq!((status, &body["error"]["message"]), (400, &json!(message)));
    }
}

#[tokio::test]
async fn what_was_seen_is_kept_when_the_gateway_stops() {
    let gateway = Gateway::start(&two());
    gateway.chat("gpt-4", json!({"tags": ["last-words"]})).send().await.unwrap();
    gateway.signal("TERM");
    let gateway = Gateway::start_in(gateway.stopped(), &[], &[]);
    let list = ok(gateway.get("/tag/list")).await;
    assert!(list.to_string().contains("last-words"), "{list}");
}

#[tokio::test]
async fn a_user_lists_the_tags_of_its_keys_and_teams_and_changes_none() {
    let gateway = Gateway::start(&two());
    for name in ["mine", "ours", "theirs"] {
        ok(gateway.post("/tag/new", &json!({"name": name}))).await;
    }
    ok(gateway
        .post("/user/new", &json!({"user_id": "u", "user_role": "internal_user", "auto_create_key": false})))
    .await;
    ok(gateway.post("/team/new", &json!({"team_id": "t", "tags": ["ours", "team-only"]}))).await;
    ok(gateway
        .post("/team/member_add", &json!({"team_id": "t", "member": {"role": "user", "user_id": "u"}})))
    .await;
    let own = key(&gateway, json!({"user_id": "u", "tags": ["mine", "undeclared"]})).await;
    key(&gateway, json!({"tags": ["theirs"]})).await;
    for tag in ["undeclared", "foreign"] {
        gateway.chat("gpt-4", json!({"tags": [tag]})).send().await.unwrap();
        listed(&gateway, tag, "").await;
    }
    let list = ok(as_key(&gateway, "/tag/list", &own)).await;
    let names: Vec<&Value> = list.as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    assert_eq!(names, ["mine", "ours", "undeclared"]);
    refused_everything_but(&gateway, &own, 200).await;
}

#[tokio::test]
async fn a_key_of_nobody_neither_lists_nor_changes_tags() {
    let gateway = Gateway::start(&two());
    let stranger = key(&gateway, json!({})).await;
    refused_everything_but(&gateway, &stranger, 401).await;
}

/// Tries every path with a key; `list` is the status of the list.
async fn refused_everything_but(gateway: &Gateway, key: &str, list: u16) {
    assert_eq!(as_key(gateway, "/tag/list", key).send().await.unwrap().status(), list);
    for path in ["/tag/new", "/tag/update", "/tag/info", "/tag/delete"] {
        let request = gateway.client.post(format!("{}{path}", gateway.url)).bearer_auth(key);
        let (status, body) = error(request.json(&json!({"name": "mine"}))).await;
        assert_eq!(status, 401, "{path}: {body}");
    }
}

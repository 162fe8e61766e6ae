//! Deployments that are added over the API.

use std::sync::Arc;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tagway_fake::Fake;

use crate::gateway::{Answered as _, Gateway, chat_body, config, deployment, error};

const SALT: &[(&str, &str)] = &[("TAGWAY_SALT_KEY", "a salt for tests")];

fn one() -> String {
    config(
        &[deployment("gpt-4", "filed", "model: openai/x, mock_response: from the file, tags: [default]")],
        "router_settings: {enable_tag_filtering: true, num_retries: 0}\n",
    )
}

fn mocked(name: &str, id: &str) -> Value {
    json!({
        "model_name": name,
        "litellm_params": {"model": "openai/x", "mock_response": "from the store", "tags": ["eng"]},
        "model_info": {"id": id},
    })
}

async fn ok(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

async fn served_by(gateway: &Gateway, model: &str, tags: Value) -> String {
    gateway.chat(model, json!({"tags": tags})).send().await.unwrap().deployment().to_owned()
}

#[tokio::test]
async fn a_deployment_serves_from_the_next_request_on_and_survives_a_restart() {
    let gateway = Gateway::start(&one());
    let made = ok(gateway.post("/model/new", &mocked("gpt-4", "stored"))).await;
    insta::assert_json_snapshot!(made, {".created_at" => "[time]", ".updated_at" => "[time]"});
    assert_eq!(served_by(&gateway, "gpt-4", json!(["eng"])).await, "stored");
    assert_eq!(served_by(&gateway, "gpt-4", json!([])).await, "filed");
    let dir = Arc::clone(&gateway.dir);
    drop(gateway);
    let gateway = Gateway::start_in(dir, &[], &[]);
    assert_eq!(served_by(&gateway, "gpt-4", json!(["eng"])).await, "stored");
    let gone = ok(gateway.post("/model/delete", &json!({"id": "stored"}))).await;
    assert_eq!(gone, json!({"message": "Model: stored deleted successfully"}));
    assert_eq!(served_by(&gateway, "gpt-4", json!(["eng"])).await, "filed");
}

#[tokio::test]
async fn a_provider_key_is_sealed_used_and_never_shown() {
    let upstream = Fake::start().await;
    let gateway = Gateway::start_with(&one(), &[], SALT);
    let secret = "sk-upstream-very-secret-123";
    let fields = json!({
        "model_name": "real",
        "litellm_params": {
            "model": "openai/gpt-4o", "api_base": format!("{}/v1?key=query-secret-456", upstream.url()), "api_key": secret,
            "extra_headers": {"x-tenant": "header-secret-789"},
        },
        "model_info": {"id": "real-1"},
    });
    let mut shown = ok(gateway.post("/model/new", &fields)).await.to_string();
    assert_eq!(gateway.chat("real", json!({})).send().await.unwrap().status(), 200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {secret}").as_str()));
    assert_eq!(sent.header("x-tenant"), Some("header-secret-789"));
    // A masked secret that comes back changes nothing.
    let round = json!({"litellm_params": {"api_key": "***", "extra_headers": "***", "rpm": 5}});
    let patched =
        gateway.client.patch(format!("{}/model/real-1/update", gateway.url)).bearer_auth(crate::gateway::KEY);
    shown.push_str(&ok(patched.json(&round)).await.to_string());
    assert_eq!(gateway.chat("real", json!({})).send().await.unwrap().status(), 200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {secret}").as_str()));
    for path in [
        "/model/info",
        "/v1/model/info",
        "/v2/model/info",
        "/model_group/info",
        "/audit",
        "/v1/models",
        "/openapi.json",
    ] {
        shown.push_str(&ok(gateway.get(path)).await.to_string());
    }
    let virtual_key =
        ok(gateway.post("/key/generate", &json!({"metadata": {"note": "sk-written-into-metadata"}}))).await;
    let virtual_key = virtual_key["key"].as_str().unwrap().to_owned();
    let dir = Arc::clone(&gateway.dir);
    let logged = gateway.ended_with_log();
    let stored = dir.stored();
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(&stored, "real-1") && logged.contains("real-1"), "the right places were searched");
    for secret in
        [secret, "query-secret-456", "header-secret-789", &virtual_key, crate::gateway::KEY, SALT[0].1]
    {
        assert!(!holds(&stored, secret), "the store holds {secret}");
        assert!(!logged.contains(secret), "the log holds {secret}");
        assert!(!shown.contains(secret), "an answer holds {secret}");
    }
    // Under another salt key the deployment is out of service, and everything else works.
    let gateway = Gateway::start_in(dir, &[], &[("TAGWAY_SALT_KEY", "another")]);
    assert_eq!(gateway.chat("real", json!({})).send().await.unwrap().status(), 400);
    assert_eq!(served_by(&gateway, "gpt-4", json!([])).await, "filed");
    assert!(ok(gateway.get("/model/info")).await.to_string().contains("real-1"));
}

#[tokio::test]
async fn without_a_salt_key_secrets_are_refused_and_references_are_not() {
    let gateway = Gateway::start_with(&one(), &[], &[("SOME_PROVIDER_KEY", "sk-from-the-environment")]);
    let with = |key: Value| json!({"model_name": "m", "litellm_params": {"model": "openai/x", "mock_response": "a", "api_key": key}});
    for key in [json!("sk-plain-secret"), json!(1_234_567_890)] {
        let (status, body) = error(gateway.post("/model/new", &with(key))).await;
        assert!(status == 400 && body.to_string().contains("TAGWAY_SALT_KEY"), "{body}");
        assert!(!body.to_string().contains("plain-secret"));
    }
    let made = ok(gateway.post("/model/new", &with(json!("os.environ/SOME_PROVIDER_KEY")))).await;
    assert_eq!(made["model_id"].as_str().unwrap().len(), 36, "an id is given");
    assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
    assert!(!ok(gateway.get("/model/info")).await.to_string().contains("sk-from"));
}

#[tokio::test]
async fn a_deployment_is_held_to_what_a_file_is_held_to() {
    let gateway = Gateway::start_with(&one(), &[], SALT);
    let params = |params: Value| json!({"model_name": "m", "litellm_params": params});
    for (body, message) in [
        (json!({"litellm_params": {"model": "openai/x"}}), "Missing required field 'model_name'."),
        (json!({"model_name": "m"}), "Missing required field 'litellm_params'."),
        (json!({"model_name": "m", "litellm_params": 5}), "Invalid value for 'litellm_params'"),
        (json!({"model_name": "", "litellm_params": {}}), "'model_name' must be"),
        (params(json!({})), "`model` is missing"),
        (params(json!({"model": "nosuch/x"})), "unknown provider `nosuch`"),
        (params(json!({"model": "openai/x", "api_base": "nowhere"})), "not a web address"),
        (params(json!({"model": "openai/x", "api_kye": "sk-oops-a-secret"})), "unknown key `api_kye`"),
        (params(json!({"model": "openai/x", "guardrails": ["pii"]})), "guardrails"),
        (params(json!({"model": "openai/x", "tags": ["!x"]})), "begins with"),
        (params(json!({"model": "openai/x", "timeout": "soon"})), "timeout"),
        (params(json!({"model": "openai/x", "api_key": "sealed:1:invented"})), "cannot be read"),
        (params(json!({"model": "openai/x", "api_key": "os.environ/NOT_SET_ANYWHERE"})), "NOT_SET_ANYWHERE"),
        (
            json!({"model_name": "m", "litellm_params": {"model": "openai/x"}, "model_info": {"team_id": "t"}}),
            "team_id",
        ),
        (
            json!({"model_name": "m", "litellm_params": {"model": "openai/x"}, "model_info": {"id": 5}}),
            "model_info.id",
        ),
        (
            json!({"model_name": "m", "litellm_params": {"model": "openai/x"}, "model_info": {"tier": "gold"}}),
            "tier",
        ),
        (mocked("m", "filed"), "exists already"),
        (
            json!({"model_name": "m", "litellm_params": {"model": "openai/x"}, "api_key": "sk-oops"}),
            "belongs into 'litellm_params'",
        ),
    ] {
        let (status, answer) = error(gateway.post("/model/new", &body)).await;
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && said.contains(message), "{body}: {status} {said}");
        assert!(!said.contains("oops"), "{said}");
    }
    let mut more = mocked("m", "more");
    more["litellm_params"]["caching"] = true.into();
    more["some_new_field"] = 1.into();
    let made = ok(gateway.post("/model/new", &more)).await;
    assert_eq!(made["ignored_fields"], json!(["some_new_field", "litellm_params.caching"]));
    let (status, _) = error(gateway.post("/model/new", &mocked("m", "more"))).await;
    assert_eq!(status, 400, "an id is given once");
}

#[tokio::test]
async fn a_stored_deployment_changes_and_one_of_the_file_does_not() {
    let gateway = Gateway::start(&one());
    let patch = |id: &str, body: Value| {
        gateway
            .client
            .patch(format!("{}/model/{id}/update", gateway.url))
            .bearer_auth(crate::gateway::KEY)
            .json(&body)
    };
    ok(gateway.post("/model/new", &mocked("m", "stored"))).await;
    ok(patch("stored", json!({"litellm_params": {"tags": ["ops"]}, "model_info": {"tier": "paid"}}))).await;
    assert_eq!(gateway.chat("m", json!({"tags": ["eng"]})).send().await.unwrap().status(), 401);
    assert_eq!(served_by(&gateway, "m", json!(["ops"])).await, "stored");
    let cleared = ok(patch("stored", json!({"litellm_params": {"tags": null}}))).await;
    assert_eq!(cleared["litellm_params"].get("tags"), None);
    assert_eq!(cleared["model_info"]["tier"], "paid");
    let renamed = json!({"model_info": {"id": "stored"}, "litellm_params": {"model": null, "rpm": 3}, "model_name": "other"});
    let renamed = ok(gateway.post("/model/update", &renamed)).await;
    assert_eq!(
        (&renamed["litellm_params"]["model"], &renamed["litellm_params"]["rpm"]),
        (&json!("openai/x"), &json!(3))
    );
    assert_eq!(served_by(&gateway, "other", json!([])).await, "stored");
    assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 400);
    for (request, status, message) in [
        (patch("nope", json!({})), 404, "Model nope not found on proxy."),
        (
            patch("filed", json!({})),
            400,
            "Cannot edit config-based model. Store model in DB via /model/new first.",
        ),
        (patch("stored", json!({"model_info": {"id": "new"}})), 400, "A deployment's id cannot be changed."),
        (
            patch("stored", json!({"litellm_params": {"model": "nosuch/x", "mock_response": null}})),
            400,
            "unknown provider",
        ),
        (gateway.post("/model/update", &json!({"litellm_params": {}})), 400, "model_info not provided"),
        (
            gateway.post("/model/update", &json!({"model_info": {"id": "stored"}})),
            400,
            "litellm_params not provided",
        ),
        (
            gateway.post("/model/update", &json!({"model_info": {"id": "nope"}, "litellm_params": {}})),
            400,
            "model not found",
        ),
        (
            gateway.post("/model/update", &json!({"model_info": {"id": "filed"}, "litellm_params": {}})),
            400,
            "Model in config",
        ),
        (gateway.post("/model/delete", &json!({"id": "nope"})), 400, "Model with id=nope not found in db"),
        (gateway.post("/model/delete", &json!({"id": "filed"})), 400, "it is in the configuration file"),
        (gateway.post("/model/block", &json!({"model_id": "filed"})), 400, "Cannot edit config-based model"),
    ] {
        let (got, body) = error(request).await;
        assert!(got == status && body.to_string().contains(message), "{got} {body}");
    }
    assert_eq!(ok(gateway.post("/model/block", &json!({"model_id": "stored"}))).await["blocked"], true);
    assert_eq!(gateway.chat("other", json!({})).send().await.unwrap().status(), 400);
    let shown = ok(gateway.get("/model/info?litellm_model_id=stored")).await;
    assert_eq!(shown["data"][0]["model_info"]["blocked"], true);
    ok(gateway.post("/model/unblock", &json!({"model_id": "stored"}))).await;
    assert_eq!(served_by(&gateway, "other", json!([])).await, "stored");
}

#[tokio::test]
async fn a_tag_is_carried_by_stored_deployments_too() {
    let gateway = Gateway::start(&one());
    ok(gateway.post("/model/new", &mocked("gpt-4", "stored"))).await;
    ok(gateway.post("/tag/new", &json!({"name": "added", "models": ["stored"]}))).await;
    assert_eq!(served_by(&gateway, "gpt-4", json!(["added"])).await, "stored");
    let shown = ok(gateway.post("/model/info", &json!({"id": "stored"}))).await;
    assert_eq!(shown["data"][0]["litellm_params"]["tags"], json!(["eng", "added"]));
}

#[tokio::test]
async fn only_admins_manage_deployments() {
    let gateway = Gateway::start(&one());
    let key = ok(gateway.post("/key/generate", &json!({}))).await["key"].as_str().unwrap().to_owned();
    for path in ["/model/new", "/model/update", "/model/delete", "/model/block"] {
        let request = gateway.client.post(format!("{}{path}", gateway.url)).bearer_auth(&key);
        let (status, body) = error(request.json(&mocked("m", "x"))).await;
        assert_eq!(status, 403, "{path}: {body}");
    }
    let chat = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth(&key);
    assert_eq!(chat.json(&chat_body("gpt-4", json!({}))).send().await.unwrap().status(), 200);
}

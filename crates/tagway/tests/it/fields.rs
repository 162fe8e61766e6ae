//! Fields that LiteLLM's clients read in answers without asking whether they are there, and filters of lists that
//! read the same fields.

use serde_json::{Value, json};

use crate::gateway::{Gateway, config, deployment, error};
use crate::teams::{granted, key, read};

fn one() -> Gateway {
    Gateway::start(&config(&[deployment("m", "one", "model: openai/fake, mock_response: hi")], ""))
}

/// The fields that an answer lacks.
fn lacking<'a>(answer: &Value, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().copied().filter(|name| answer.get(name).is_none()).collect()
}

#[tokio::test]
async fn a_key_has_all_of_litellms_fields_be_they_empty() {
    let gateway = one();
    let made = granted(&gateway, "/key/generate", json!({"duration": "30d", "key_type": "llm_api"})).await;
    let names = "key token token_id key_name key_alias key_type duration expires user_id team_id organization_id \
        project_id agent_id budget_id max_budget soft_budget budget_duration budget_limits spend models aliases config \
        permissions metadata tags guardrails policies prompts allowed_cache_controls allowed_routes model_max_budget \
        model_rpm_limit model_tpm_limit tpm_limit rpm_limit max_parallel_requests router_settings access_group_ids \
        litellm_budget_table blocked created_at updated_at created_by updated_by object_permission enforced_params";
    assert_eq!(lacking(&made, &names.split_whitespace().collect::<Vec<_>>()), [""; 0]);
    assert_eq!((&made["permissions"], &made["allowed_cache_controls"]), (&json!({}), &json!([])));
    assert_eq!(made["key_type"], "llm_api");
    let info = &read(&gateway, &format!("/key/info?key={}", made["token"].as_str().unwrap())).await["info"];
    let names =
        ["model_spend", "last_active", "auto_rotate", "rotation_interval", "soft_budget_cooldown", "status"];
    assert_eq!(lacking(info, &names), [""; 0]);
}

#[tokio::test]
async fn a_keys_budget_stands_beside_it() {
    let gateway = one();
    granted(&gateway, "/budget/new", json!({"budget_id": "b", "max_budget": 5.0, "rpm_limit": 7})).await;
    let made = granted(&gateway, "/key/generate", json!({"budget_id": "b"})).await;
    let info = read(&gateway, &format!("/key/info?key={}", made["token"].as_str().unwrap())).await;
    for shown in [&made, &info["info"]] {
        let table = &shown["litellm_budget_table"];
        assert_eq!((&table["budget_id"], &table["max_budget"]), (&json!("b"), &json!(5.0)), "{shown}");
        assert_eq!(shown["max_budget"], Value::Null);
    }
}

#[tokio::test]
async fn limits_by_model_stand_in_metadata_and_are_taken_from_there() {
    let gateway = one();
    for (path, info) in [("/key/generate", "/key/info?key="), ("/team/new", "/team/info?team_id=")] {
        for fields in [
            json!({"model_rpm_limit": {"m": 3}, "metadata": {"a": 1}}),
            json!({"metadata": {"a": 1, "model_rpm_limit": {"m": 3}}}),
        ] {
            let made = granted(&gateway, path, fields).await;
            let id = made["token"].as_str().or(made["team_id"].as_str()).unwrap();
            let found = read(&gateway, &format!("{info}{id}")).await;
            let shown = found.get("info").unwrap_or(&found["team_info"]);
            assert_eq!(shown["model_rpm_limit"], json!({"m": 3}), "{path}");
            assert_eq!(shown["metadata"], json!({"a": 1, "model_rpm_limit": {"m": 3}}), "{path}");
        }
    }
    let wrong = gateway.post("/key/generate", &json!({"metadata": {"model_rpm_limit": "many"}}));
    assert_eq!(error(wrong).await.0, 400);
}

#[tokio::test]
async fn teams_users_customers_organizations_and_budgets_have_litellms_fields() {
    let gateway = one();
    for (path, body, names) in [
        (
            "/team/new",
            json!({}),
            "team_id admins members members_with_roles model_id policies access_group_ids model_spend \
             default_team_member_models budget_limits object_permission litellm_model_table metadata blocked",
        ),
        (
            "/user/new",
            json!({"auto_create_key": false}),
            "user_id key key_alias key_name token expires team_id teams model_spend policies user_role",
        ),
        (
            "/budget/new",
            json!({}),
            "budget_id allowed_models temp_budget_increase temp_budget_expiry tpd_limit",
        ),
        (
            "/customer/new",
            json!({"user_id": "c"}),
            "user_id alias blocked allowed_model_region default_model object_permission litellm_budget_table",
        ),
        (
            "/organization/new",
            json!({"organization_alias": "o"}),
            "organization_id users model_spend object_permission litellm_budget_table models metadata",
        ),
    ] {
        let made = granted(&gateway, path, body).await;
        assert_eq!(lacking(&made, &names.split_whitespace().collect::<Vec<_>>()), [""; 0], "{path}");
    }
}

#[tokio::test]
async fn keys_are_listed_by_how_they_stand() {
    let gateway = one();
    let fresh = granted(&gateway, "/key/generate", json!({"key_alias": "fresh", "duration": "1h"})).await;
    let blocked = granted(&gateway, "/key/generate", json!({"key_alias": "blocked", "blocked": true})).await;
    let brief =
        granted(&gateway, "/key/generate", json!({"key_alias": "brief", "duration": "1s", "user_id": "u"}))
            .await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    for (query, expected) in [
        ("status=active", vec![&fresh]),
        ("status=expired", vec![&brief]),
        ("expires=expired", vec![&brief]),
        ("status=revoked", vec![&blocked]),
        ("status=deleted", vec![]),
        ("expires=active&sort_order=asc", vec![&fresh, &blocked]),
        ("status=active&expires=expired", vec![]),
        ("search=FRE", vec![&fresh]),
        (&format!("search={}", blocked["token"].as_str().unwrap()), vec![&blocked]),
    ] {
        let listed = read(&gateway, &format!("/key/list?{query}")).await;
        let expected: Vec<&Value> = expected.into_iter().map(|key| &key["token"]).collect();
        assert_eq!(listed["keys"], json!(expected), "{query}");
        assert_eq!(listed["total_count"], json!(expected.len()), "{query}");
    }
    for query in ["status=lost", "expires=lost"] {
        assert_eq!(error(gateway.get(&format!("/key/list?{query}"))).await.0, 400);
    }
    granted(&gateway, "/user/new", json!({"user_id": "u", "auto_create_key": false})).await;
    let listed = read(&gateway, "/key/list?expand=user&user_id=u").await;
    assert_eq!(listed["keys"][0]["user"]["user_id"], "u");
}

#[tokio::test]
async fn several_keys_are_shown_at_once() {
    let gateway = one();
    let first = key(&gateway, json!({"key_alias": "a"})).await;
    key(&gateway, json!({"key_alias": "b"})).await;
    let shown = granted(&gateway, "/v2/key/info", json!({"keys": [first, "sk-nobody-knows-this-one"]})).await;
    assert_eq!(shown["info"].as_array().unwrap().len(), 1);
    assert_eq!(shown["info"][0]["key_alias"], "a");
    assert!(!shown.to_string().contains(&first));
    let shown = granted(&gateway, "/v2/key/info", json!({"key_aliases": ["b"]})).await;
    assert_eq!(shown["info"][0]["key_alias"], "b");
    assert_eq!(error(gateway.post("/v2/key/info", &json!({}))).await.0, 400);
}

#[tokio::test]
async fn a_key_asks_for_no_more_than_its_project_has() {
    let gateway = one();
    granted(&gateway, "/team/new", json!({"team_id": "t"})).await;
    let project = json!({"project_id": "p", "team_id": "t", "models": ["m"], "max_budget": 5.0});
    granted(&gateway, "/project/new", project).await;
    for (more, says) in [
        (json!({"models": ["other"]}), "Model 'other' not in project's allowed models."),
        (json!({"max_budget": 9.0}), "Key max_budget (9.0) exceeds project's max_budget (5.0). Project: p"),
    ] {
        let mut fields = json!({"project_id": "p", "team_id": "t"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, body) = error(gateway.post("/key/generate", &fields)).await;
        let message = body["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.starts_with(says), "{status} {message}");
    }
    let made = json!({"project_id": "p", "team_id": "t", "models": ["m"], "max_budget": 5.0});
    let made = granted(&gateway, "/key/generate", made).await;
    granted(&gateway, "/project/update", json!({"project_id": "p", "max_budget": 1.0})).await;
    granted(&gateway, "/key/block", json!({"key": made["token"]})).await;
    granted(&gateway, "/key/update", json!({"key": made["token"], "key_alias": "still"})).await;
}

#[tokio::test]
async fn what_cannot_be_a_key_is_told_from_one_that_is_not_known() {
    let gateway = one();
    for (asked, status) in [("no-key", 400), ("sk-nobody-knows-this-one", 404)] {
        assert_eq!(error(gateway.post("/key/block", &json!({"key": asked}))).await.0, status, "{asked}");
    }
}

#[tokio::test]
async fn the_configuration_bounds_new_keys_and_gives_them_defaults() {
    let settings = "litellm_settings:
  upperbound_key_generate_params: {max_budget: 100, budget_duration: 10d, duration: 30d, rpm_limit: 10}
  default_key_generate_params: {models: [m], metadata: {from: config}}
";
    let gateway =
        Gateway::start(&config(&[deployment("m", "one", "model: openai/fake, mock_response: hi")], settings));
    let made = granted(&gateway, "/key/generate", json!({})).await;
    assert_eq!((&made["max_budget"], &made["rpm_limit"]), (&json!(100.0), &json!(10)));
    assert_eq!((&made["budget_duration"], &made["tpm_limit"]), (&json!("10d"), &Value::Null));
    assert_eq!((&made["models"], &made["metadata"]), (&json!(["m"]), &json!({"from": "config"})));
    assert!(made["expires"].is_string());
    let own = json!({"max_budget": 5.0, "duration": "1h", "models": ["x"]});
    let made = granted(&gateway, "/key/generate", own).await;
    assert_eq!((&made["max_budget"], &made["models"]), (&json!(5.0), &json!(["x"])));
    for (field, value, says) in [
        (
            "max_budget",
            json!(200.0),
            "max_budget is over max limit set in config - user_value=200.0; max_value=100.0",
        ),
        ("rpm_limit", json!(11), "rpm_limit is over max limit set in config - user_value=11; max_value=10"),
        (
            "duration",
            json!("31d"),
            "duration is over max limit set in config - user_value=31d; max_value=30d",
        ),
        ("duration", json!("-1"), "duration is over max limit set in config - user_value=-1; max_value=30d"),
    ] {
        let (status, body) = error(gateway.post("/key/generate", &json!({field: value}))).await;
        assert_eq!((status, body["error"]["message"].as_str().unwrap()), (400, says));
    }
}

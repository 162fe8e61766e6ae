//! Limits that the configuration gives whoever has none, and limits of rate beside budgets by model.

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::budgets_held::{chat, dollar, status};
use crate::customers::{key, ok};
use crate::gateway::{Gateway, KEY, deployment, error};

/// A gateway whose answers cost a dollar each.
async fn costly(settings: &str) -> (Fake, Gateway) {
    let fake = Fake::answer(|_| Reply::completion("hi", 10, 20)).await;
    let model = dollar("m", "one", &fake.url(), "");
    let gateway = Gateway::start(&format!(
        "model_list:\n{model}router_settings: {{num_retries: 0}}\ngeneral_settings: {{master_key: {KEY}}}\nlitellm_settings: {settings}\n"
    ));
    (fake, gateway)
}

#[tokio::test]
async fn a_customer_without_a_budget_has_the_configurations_be_it_known_or_not() {
    let (_fake, gateway) = costly("{max_end_user_budget: 2}").await;
    ok(gateway.post("/customer/new", &json!({"user_id": "rich", "max_budget": 3}))).await;
    ok(gateway.post("/customer/new", &json!({"user_id": "known"}))).await;
    let ask = |gateway: &Gateway, customer: &str| chat(gateway, KEY, json!({"user": customer}));
    for (customer, dollars) in [("unknown", 2), ("known", 2), ("rich", 3), ("*", 2)] {
        for expected in std::iter::repeat_n(200, dollars).chain([429]) {
            assert_eq!(status(ask(&gateway, customer)).await, expected, "{customer}");
        }
    }
    let (_, body) = error(ask(&gateway, "unknown")).await;
    let said = "ExceededBudget: End User=unknown over budget. Spend=2.0, Budget=2.0";
    assert_eq!(
        (&body["error"]["message"], &body["error"]["type"]),
        (&json!(said), &json!("budget_exceeded"))
    );
    assert_eq!(status(chat(&gateway, KEY, json!({}))).await, 200);
    gateway.signal("TERM");
    let gateway = Gateway::start_in(gateway.stopped(), &[], &[]);
    for (customer, expected) in [("unknown", 429), ("known", 429), ("rich", 429), ("another", 200)] {
        assert_eq!(status(ask(&gateway, customer)).await, expected, "{customer}");
    }
}

#[tokio::test]
async fn a_stored_budget_may_be_that_of_all_customers_with_its_limits_of_rate() {
    let (_fake, gateway) = costly("{max_end_user_budget_id: free-tier}").await;
    let ask = |customer: &str| chat(&gateway, KEY, json!({"user": customer}));
    assert_eq!(status(ask("early")).await, 200);
    let budget = json!({"budget_id": "free-tier", "max_budget": 1, "budget_duration": "30d"});
    ok(gateway.post("/budget/new", &budget)).await;
    assert_eq!((status(ask("a")).await, status(ask("a")).await, status(ask("b")).await), (200, 429, 200));
    ok(gateway.post("/budget/update", &json!({"budget_id": "free-tier", "max_budget": 9, "rpm_limit": 1})))
        .await;
    ok(gateway.post("/customer/new", &json!({"user_id": "own", "rpm_limit": 2}))).await;
    for (customer, expected) in [("a", 200), ("a", 429), ("own", 200), ("own", 200), ("own", 429)] {
        assert_eq!(status(ask(customer)).await, expected, "{customer}");
    }
    let (_, body) = error(ask("a")).await;
    let said = body["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("Rate limit exceeded for customer: a. Limit type: requests."), "{said}");
}

#[tokio::test]
async fn a_new_internal_user_has_the_configurations_budget_unless_it_is_given_one() {
    let settings = "{default_max_internal_user_budget: 7, internal_user_budget_duration: 1mo}";
    let (_fake, gateway) = costly(settings).await;
    let made = |fields: Value| {
        let request = gateway.post("/user/new", &fields);
        async move {
            let user: Value = request.send().await.unwrap().json().await.unwrap();
            (user["max_budget"].clone(), user["budget_duration"].clone())
        }
    };
    assert_eq!(made(json!({"user_role": "internal_user"})).await, (json!(7.0), json!("1mo")));
    let own = json!({"user_role": "internal_user", "max_budget": 1, "budget_duration": "1d"});
    assert_eq!(made(own).await, (json!(1.0), json!("1d")));
    for role in ["proxy_admin", "internal_user_viewer"] {
        assert_eq!(made(json!({"user_role": role})).await, (Value::Null, Value::Null), "{role}");
    }
    let viewer = json!({"user_id": "v", "user_role": "internal_user_viewer"});
    assert_eq!(made(viewer).await.0, Value::Null);
    ok(gateway.post("/user/update", &json!({"user_id": "v", "user_role": "internal_user"}))).await;
    let user: Value = gateway.get("/user/info?user_id=v").send().await.unwrap().json().await.unwrap();
    assert_eq!(user["user_info"]["max_budget"], 7.0);
}

#[tokio::test]
async fn limits_of_rate_stand_beside_budgets_by_model() {
    let gateway = Gateway::start(&format!(
        "model_list:\n{}{}general_settings: {{master_key: {KEY}}}\n",
        deployment("m", "one", "model: openai/x, mock_response: a"),
        deployment("n", "two", "model: openai/x, mock_response: a"),
    ));
    let limits = json!({"m": {"rpm_limit": 2}, "n": {"max_budget": 5, "tpm_limit": 10}});
    let both = json!({"model_max_budget": limits, "model_rpm_limit": {"m": 1}});
    let by_key = key(&gateway, json!({"model_max_budget": limits})).await;
    let by_both = key(&gateway, both).await;
    ok(gateway.post("/team/new", &json!({"team_id": "t", "model_max_budget": limits}))).await;
    let by_team = key(&gateway, json!({"team_id": "t"})).await;
    for (key, model, expected) in [
        (&by_key, "m", vec![200, 200, 429]),
        (&by_key, "n", vec![200, 429]),
        (&by_both, "m", vec![200, 429]),
        (&by_team, "m", vec![200, 200, 429]),
    ] {
        for expected in expected {
            assert_eq!(status(chat(&gateway, key, json!({"model": model}))).await, expected, "{model}");
        }
    }
    for bad in [json!({"m": {"rpm_limit": 1.5}}), json!({"m": {"tpm_limit": -1}}), json!({"m": {}})] {
        let (status, body) = error(gateway.post("/key/generate", &json!({"model_max_budget": bad}))).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!("model_max_budget")), "{bad}");
    }
}

#[tokio::test]
async fn a_members_part_of_an_organizations_budget_holds_whatever_team_it_works_for() {
    let (_fake, gateway) = costly("{}").await;
    ok(gateway.post("/organization/new", &json!({"organization_id": "o", "organization_alias": "O"}))).await;
    ok(gateway.post("/team/new", &json!({"team_id": "o", "organization_id": "o"}))).await;
    for user in ["u", "v"] {
        ok(gateway.post("/user/new", &json!({"user_id": user, "auto_create_key": false}))).await;
        let member = json!({"user_id": user, "role": "internal_user"});
        let add = json!({"organization_id": "o", "member": member, "max_budget_in_organization": 2});
        ok(gateway.post("/organization/member_add", &add)).await;
    }
    let one = key(&gateway, json!({"user_id": "u", "organization_id": "o"})).await;
    let two = key(&gateway, json!({"user_id": "u", "team_id": "o"})).await;
    let elsewhere = key(&gateway, json!({"user_id": "u"})).await;
    let other = key(&gateway, json!({"user_id": "v", "team_id": "o"})).await;
    for (key, expected) in
        [(&one, 200), (&two, 200), (&one, 429), (&two, 429), (&elsewhere, 200), (&other, 200)]
    {
        assert_eq!(status(chat(&gateway, key, json!({}))).await, expected);
    }
    let (_, body) = error(chat(&gateway, &one, json!({}))).await;
    let said = "Budget has been exceeded! User=u in Organization=o Current cost: 2.0, Max budget: 2.0";
    assert_eq!(body["error"]["message"], said);
    let more = json!({"organization_id": "o", "user_id": "u", "max_budget_in_organization": 3});
    let raise = gateway.client.patch(format!("{}/organization/member_update", gateway.url));
    ok(raise.bearer_auth(KEY).json(&more)).await;
    assert_eq!(status(chat(&gateway, &two, json!({}))).await, 200);
}

//! Budgets: limits with an id, which others refer to.

use serde_json::{Value, json};

use crate::customers::{gold_and_rest, key, ok};
use crate::gateway::{Gateway, error};

#[tokio::test]
async fn a_budget_is_made_changed_shown_and_deleted() {
    let gateway = Gateway::start(&gold_and_rest());
    let body = json!({"budget_id": "b1", "max_budget": 5, "rpm_limit": 10, "budget_duration": "1d"});
    let made = ok(gateway.post("/budget/new", &body)).await;
    insta::assert_json_snapshot!(made, {
        ".created_at" => "[time]", ".updated_at" => "[time]", ".budget_reset_at" => "[time]",
    });
    let unnamed = ok(gateway.post("/budget/new", &json!({}))).await;
    assert!(!unnamed["budget_id"].as_str().unwrap().is_empty());
    let body = json!({"budget_id": "b1", "max_budget": 7, "budget_duration": null});
    let changed = ok(gateway.post("/budget/update", &body)).await;
    assert_eq!((&changed["max_budget"], &changed["rpm_limit"]), (&json!(7.0), &json!(10)));
    assert_eq!(changed["budget_reset_at"], Value::Null);
    let shown = ok(gateway.post("/budget/info", &json!({"budgets": ["b1", "nope"]}))).await;
    assert_eq!((shown.as_array().unwrap().len(), &shown[0]["budget_id"]), (1, &json!("b1")));
    assert_eq!(ok(gateway.get("/budget/list")).await.as_array().unwrap().len(), 2);
    let settings = ok(gateway.get("/budget/settings?budget_id=b1")).await;
    assert_eq!(
        (&settings[0]["field_name"], &settings[0]["field_value"]),
        (&json!("max_budget"), &json!(7.0))
    );
    assert_eq!(ok(gateway.post("/budget/delete", &json!({"id": "b1"}))).await["max_budget"], 7.0);
    assert_eq!(error(gateway.post("/budget/delete", &json!({"id": "b1"}))).await.0, 404);
}

#[tokio::test]
async fn a_budgets_limits_hold_where_an_object_has_none_of_its_own() {
    let gateway = Gateway::start(&gold_and_rest());
    let body = json!({"budget_id": "b1", "max_budget": 5, "rpm_limit": 10});
    ok(gateway.post("/budget/new", &body)).await;
    let body = json!({"user_id": "c1", "budget_id": "b1", "rpm_limit": 3});
    let customer = ok(gateway.post("/customer/new", &body)).await;
    let table = &customer["litellm_budget_table"];
    assert_eq!(
        (&table["budget_id"], &table["max_budget"], &table["rpm_limit"]),
        (&json!("b1"), &json!(5.0), &json!(3))
    );
    ok(gateway.post("/budget/update", &json!({"budget_id": "b1", "max_budget": 50}))).await;
    let customer = ok(gateway.get("/customer/info?end_user_id=c1")).await;
    assert_eq!(customer["litellm_budget_table"]["max_budget"], 50.0);
    // Who is put under another budget has that budget's limits.
    ok(gateway.post("/budget/new", &json!({"budget_id": "b2", "rpm_limit": 8}))).await;
    let moved = ok(gateway.post("/customer/update", &json!({"user_id": "c1", "budget_id": "b2"}))).await;
    let table = &moved["litellm_budget_table"];
    assert_eq!((&table["max_budget"], &table["rpm_limit"]), (&Value::Null, &json!(8)));
}

#[tokio::test]
async fn what_refers_to_a_deleted_budget_refers_to_none() {
    let gateway = Gateway::start(&gold_and_rest());
    ok(gateway.post("/budget/new", &json!({"budget_id": "b1", "max_budget": 5}))).await;
    let body = json!({"user_id": "c1", "budget_id": "b1", "rpm_limit": 3});
    ok(gateway.post("/customer/new", &body)).await;
    let body = json!({"organization_id": "o1", "organization_alias": "O", "budget_id": "b1"});
    ok(gateway.post("/organization/new", &body)).await;
    let key = key(&gateway, json!({"budget_id": "b1"})).await;
    ok(gateway.post("/budget/delete", &json!({"id": "b1"}))).await;
    let customer = ok(gateway.get("/customer/info?end_user_id=c1")).await;
    assert_eq!(
        (&customer["budget_id"], &customer["litellm_budget_table"]["rpm_limit"]),
        (&Value::Null, &json!(3))
    );
    let organization = ok(gateway.get("/organization/info?organization_id=o1")).await;
    assert_eq!(organization["budget_id"], Value::Null);
    assert_eq!(organization["litellm_budget_table"]["max_budget"], Value::Null);
    let key = ok(gateway.get(&format!("/key/info?key={key}"))).await;
    assert_eq!(key["info"]["budget_id"], Value::Null);
}

#[tokio::test]
async fn a_wrong_request_for_a_budget_is_refused_and_says_why() {
    let gateway = Gateway::start(&gold_and_rest());
    ok(gateway.post("/budget/new", &json!({"budget_id": "b1"}))).await;
    for (path, body, status, words) in [
        ("new", json!({"budget_id": "b1"}), 400, "Budget with id 'b1' already exists."),
        (
            "new",
            json!({"max_budget": -4}),
            400,
            "max_budget must be a non-negative finite number. Received: -4.0",
        ),
        ("new", json!({"max_budget": "much"}), 400, "'max_budget'"),
        ("new", json!({"budget_duration": "x"}), 400, "Invalid budget_duration 'x'."),
        ("new", json!({"model_max_budget": {"m": {}}}), 400, "model_max_budget"),
        ("new", json!({"tpd_limit": 5}), 400, "'tpd_limit'"),
        ("update", json!({"max_budget": 1}), 400, "budget_id is required"),
        ("update", json!({"budget_id": "nope"}), 404, "Budget not found, budget_id=nope"),
        ("info", json!({"budgets": []}), 400, "Specify list of budget id's to query. Passed in=[]"),
        ("delete", json!({}), 400, "'id'"),
        ("delete", json!({"id": "nope"}), 404, "Budget not found, budget_id=nope"),
    ] {
        let (got, answer) = error(gateway.post(&format!("/budget/{path}"), &body)).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!((got, message.contains(words)) == (status, true), "{path} {body}: {got} {message}");
    }
    assert_eq!(error(gateway.get("/budget/settings?budget_id=nope")).await.0, 404);
}

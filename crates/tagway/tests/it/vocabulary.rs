//! The declared vocabulary: which tags there may be, who may set them, until when, and what is only observed.

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::gateway::{Answered as _, Gateway, chat_body, config, deployment, error};
use crate::prometheus::metrics;
use crate::stores::{Home, Store, on_both_stores, until};

on_both_stores!(values_are_counted_over_gateways_and_restarts);

/// Deployments by tag, and one for requests without.
fn deployments() -> [String; 4] {
    let mock = |id: &str, tags: &str| {
        deployment("m", id, &format!("model: openai/x, mock_response: a, tags: {tags}"))
    };
    [
        mock("plain", "[default]"),
        mock("dev", "['env:dev']"),
        mock("old", "[legacy]"),
        mock("inside", "['internal:a']"),
    ]
}

fn with(tags: &str) -> String {
    config(
        &deployments(),
        &format!(
            "router_settings: {{enable_tag_filtering: true, num_retries: 0}}\nlitellm_settings: {{callbacks: [prometheus]}}\n{tags}"
        ),
    )
}

fn gateway(tags: &str) -> Gateway {
    Gateway::start(&with(tags))
}

async fn send(gateway: &Gateway, tags: Value) -> Response {
    gateway.chat("m", json!({"tags": tags})).send().await.unwrap()
}

/// The deployment that served these tags.
async fn serves(gateway: &Gateway, tags: Value) -> String {
    let answer = send(gateway, tags.clone()).await;
    assert_eq!(answer.status(), 200, "{tags}: {:?}", answer.text().await);
    answer.deployment().to_owned()
}

/// Status, reason and message of a refusal.
async fn refused(request: RequestBuilder) -> (u16, String, String) {
    let (status, body) = error(request).await;
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("param"), "tags", "{body}");
    (status, text("reason"), text("message"))
}

async fn ok(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

fn as_key(gateway: &Gateway, key: &str, tags: Value) -> RequestBuilder {
    let url = format!("{}/v1/chat/completions", gateway.url);
    gateway.client.post(url).bearer_auth(key).json(&chat_body("m", json!({"tags": tags})))
}

async fn key(gateway: &Gateway, fields: Value) -> String {
    ok(gateway.post("/key/generate", &fields)).await["key"].as_str().unwrap().to_owned()
}

async fn violations(gateway: &Gateway) -> Vec<(String, String, String, u64)> {
    let listed = ok(gateway.get("/tag/violations")).await;
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let all = listed.as_array().unwrap().iter();
    all.map(|it| (text(it, "tag"), text(it, "reason"), text(it, "outcome"), it["count"].as_u64().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_tag_outside_its_patterns_values_is_refused_with_the_nearest_one() {
    let gateway = gateway("tags:\n  - {name: 'env:*', values: [dev, staging, prod]}\n");
    assert_eq!(serves(&gateway, json!(["env:dev"])).await, "dev");
    let (status, reason, message) = refused(gateway.chat("m", json!({"tags": ["env:pord"]}))).await;
    assert_eq!((status, reason.as_str()), (400, "tag_value"));
    assert_eq!(message, "Tag 'env:pord' is none of those that 'env:*' allows. Did you mean 'env:prod'?");
    let expression = gateway.chat("m", json!({"tag_expression": "env:devel or legacy"}));
    assert_eq!(refused(expression).await.1, "tag_value");
    // An explanation is refused as the request is.
    let (status, body) =
        error(gateway.post("/route/explain", &chat_body("m", json!({"tags": ["env:pord"]})))).await;
    assert_eq!((status, &body["error"]["message"]), (400, &json!(message)));
    let sum = |samples: &[crate::prometheus::Sample]| -> f64 {
        let refused = |it: &&crate::prometheus::Sample| {
            it.name == "tagway_tag_violations_total"
                && it.labels["outcome"] == "refused"
                && it.labels["reason"] == "tag_value"
        };
        samples.iter().filter(refused).map(|it| it.value).sum()
    };
    assert_eq!(sum(&metrics(&gateway).await.samples), 2.0);
}

#[tokio::test]
async fn callers_set_only_what_is_left_to_them() {
    let gateway = gateway(
        "tags:\n  - {name: 'internal:*', set_by: [admin, rule]}\n  - {name: legacy, set_by: [rule]}\ntag_rules:\n  - {name: r, when: 'request.user == \"u\"', add: [legacy]}\n",
    );
    let (status, reason, message) = refused(gateway.chat("m", json!({"tags": ["internal:a"]}))).await;
    assert_eq!((status, reason.as_str()), (403, "tag_set_by"));
    assert_eq!(message, "Tag 'internal:a' may not be set by callers: only by proxy admins and rules.");
    for way in [json!(["int*"]), json!(["&internal:a"]), json!(["legacy"])] {
        assert_eq!(refused(gateway.chat("m", json!({"tags": way}))).await.0, 403);
    }
    let ruled = gateway.chat("m", json!({"user": "u"})).send().await.unwrap();
    assert_eq!(ruled.deployment(), "old");
    // What stands on a key holds, and its bearer may repeat it.
    let inside = key(&gateway, json!({"tags": ["internal:a"]})).await;
    for tags in [json!([]), json!(["internal:a"])] {
        assert_eq!(as_key(&gateway, &inside, tags).send().await.unwrap().deployment(), "inside");
    }
    // An admin puts what admins may, and nothing that is for rules.
    // Deployments carry it, whoever may send it.
    let carries = json!({"model": "openai/x", "mock_response": "a", "tags": ["legacy"]});
    ok(gateway.post("/model/new", &json!({"model_name": "other", "litellm_params": carries}))).await;
    let (status, _, message) = refused(gateway.post("/team/new", &json!({"tags": ["legacy"]}))).await;
    assert_eq!(status, 403);
    assert_eq!(message, "Tag 'legacy' may not be set by proxy admins: only by rules.");
}

#[tokio::test]
async fn on_objects_everybody_sets_what_their_class_may() {
    let gateway = gateway(
        "tags:\n  - {name: 'env:*', set_by: [admin, team_admin], values: [dev]}\n  - {name: legacy, set_by: [key]}\n",
    );
    let lead = json!({"user_id": "lead", "user_role": "internal_user", "auto_create_key": false});
    ok(gateway.post("/user/new", &lead)).await;
    let members = json!([{"role": "admin", "user_id": "lead"}]);
    ok(gateway.post("/team/new", &json!({"team_id": "t", "members_with_roles": members}))).await;
    let own = key(&gateway, json!({"user_id": "lead"})).await;
    let generate = |key: &str, fields: Value| {
        gateway.client.post(format!("{}/key/generate", gateway.url)).bearer_auth(key).json(&fields)
    };
    let made = ok(generate(&own, json!({"team_id": "t", "tags": ["env:dev"]}))).await;
    assert_eq!(made["metadata"]["tags"], json!(["env:dev"]));
    let teams = made["key"].as_str().unwrap().to_owned();
    assert_eq!(as_key(&gateway, &teams, json!([])).send().await.unwrap().deployment(), "dev");
    // What is for admins of teams is not for its own keys, nor the other way round.
    let (status, body) = error(generate(&own, json!({"tags": ["env:dev"]}))).await;
    assert_eq!(status, 403, "{body}");
    let (status, body) = error(generate(&own, json!({"team_id": "t", "tags": ["legacy"]}))).await;
    assert_eq!(status, 403, "{body}");
    ok(generate(&own, json!({"tags": ["legacy"]}))).await;
    // Undeclared ones stay an admin's matter; and the values hold for all.
    let (status, body) = error(generate(&own, json!({"team_id": "t", "tags": ["other"]}))).await;
    assert_eq!((status, &body["error"]["param"]), (403, &json!("tags")));
    assert_eq!(refused(generate(&own, json!({"team_id": "t", "tags": ["env:x"]}))).await.0, 400);
    let customers = gateway.post("/customer/new", &json!({"user_id": "c", "tags": ["env:x"]}));
    assert_eq!(refused(customers).await.0, 400);
    assert_eq!(gateway.get("/customer/info?end_user_id=c").send().await.unwrap().status(), 404);
    // Only what is new is asked about.
    let update = |fields: Value| {
        gateway.client.post(format!("{}/key/update", gateway.url)).bearer_auth(&own).json(&fields).send()
    };
    assert_eq!(update(json!({"key": teams, "key_alias": "x"})).await.unwrap().status(), 200);
    assert_eq!(update(json!({"key": teams, "tags": []})).await.unwrap().status(), 200);
    assert_eq!(update(json!({"key": teams, "tags": ["legacy"]})).await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_pattern_has_no_more_tags_than_it_may() {
    let gateway = gateway("tags:\n  - {name: 'customer:*', max_values: 2, kind: attribution}\n");
    assert_eq!(serves(&gateway, json!(["customer:a"])).await, "plain");
    assert_eq!(serves(&gateway, json!(["customer:b", "!customer:x"])).await, "plain");
    let (status, reason, message) = refused(gateway.chat("m", json!({"tags": ["customer:c"]}))).await;
    assert_eq!((status, reason.as_str()), (400, "tag_max_values"));
    assert_eq!(
        message,
        "Tag 'customer:c' is one too many: 'customer:*' may have 2 different tags, and has them."
    );
    assert_eq!(serves(&gateway, json!(["customer:a", "customer:b"])).await, "plain");
    let explained = gateway.post("/route/explain", &chat_body("m", json!({"tags": ["customer:d"]})));
    assert_eq!(refused(explained).await.2, message.replace("customer:c", "customer:d"));
}

async fn values_are_counted_over_gateways_and_restarts(store: Store) {
    let home = Home::new(store);
    let config = with("tags:\n  - {name: 'customer:*', max_values: 2, kind: attribution}\n");
    let (here, there) = (home.gateway(&config), home.gateway(&config));
    for tag in ["customer:a", "customer:b"] {
        assert_eq!(serves(&here, json!([tag])).await, "plain");
    }
    // Each try is an excluded one, so that none of them is counted while it is not known yet.
    until("the other gateway has heard", || async {
        let explained = there.post("/route/explain", &chat_body("m", json!({"tags": ["customer:c"]})));
        explained.send().await.unwrap().status() == 400
    })
    .await;
    assert_eq!(send(&there, json!(["customer:c"])).await.status(), 400);
    assert_eq!(serves(&there, json!(["customer:b"])).await, "plain");
    drop((here, there));
    let again = home.gateway(&config);
    assert_eq!(send(&again, json!(["customer:c"])).await.status(), 400);
    assert_eq!(serves(&again, json!(["customer:a"])).await, "plain");
}

#[tokio::test]
async fn before_a_tag_retires_there_is_a_warning_and_from_then_on_a_refusal() {
    let gateway = gateway(
        "tags:\n  - {name: legacy, retire_at: 2999-01-01, replaced_by: 'env:dev'}\n  - {name: 'internal:*', retire_at: '2020-01-01T00:00:00Z'}\ntag_rules:\n  - {name: r, when: 'request.user == \"u\"', add: ['&internal:a']}\n",
    );
    let warned = send(&gateway, json!(["legacy"])).await;
    assert_eq!((warned.status().as_u16(), warned.deployment()), (200, "old"));
    assert_eq!(
        warned.header("x-tagway-warning"),
        "Tag 'legacy' retires on 2999-01-01, and is refused from then on. Use 'env:dev' instead."
    );
    assert_eq!(send(&gateway, json!(["env:dev"])).await.header("x-tagway-warning"), "");
    gateway.log("tag_retiring");
    let (status, reason, message) = refused(gateway.chat("m", json!({"tags": ["internal:a"]}))).await;
    assert_eq!((status, reason.as_str()), (400, "tag_retired"));
    assert_eq!(message, "Tag 'internal:a' is retired since 2020-01-01T00:00:00Z.");
    assert_eq!(refused(gateway.chat("m", json!({"user": "u"}))).await.1, "tag_retired");
    assert_eq!(refused(gateway.post("/key/generate", &json!({"tags": ["internal:a"]}))).await.0, 400);
}

#[tokio::test]
async fn a_retired_tag_on_a_team_refuses_its_requests_and_says_whose_it_is() {
    let gateway = gateway("");
    let made = ok(gateway.post("/team/new", &json!({"team_id": "t", "tags": ["legacy"]}))).await;
    assert_eq!(made["metadata"]["tags"], json!(["legacy"]));
    let key = key(&gateway, json!({"team_id": "t"})).await;
    assert_eq!(as_key(&gateway, &key, json!([])).send().await.unwrap().deployment(), "old");
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1500);
    let fields = json!({"name": "legacy", "retire_at": soon.to_string(), "replaced_by": "env:dev"});
    ok(gateway.post("/tag/new", &fields)).await;
    let warned = as_key(&gateway, &key, json!([])).send().await.unwrap();
    assert_eq!(warned.status(), 200);
    assert!(warned.header("x-tagway-warning").starts_with("Tag 'legacy' retires on "));
    until("it retires", || async { as_key(&gateway, &key, json!([])).send().await.unwrap().status() == 400 })
        .await;
    assert!(soon <= jiff::Timestamp::now());
    let (_, reason, message) = refused(as_key(&gateway, &key, json!(["env:dev"]))).await;
    assert_eq!(reason, "tag_retired");
    assert_eq!(
        message,
        format!(
            "Tag 'legacy', which the team gives to this request, is retired since {soon}: it must be taken off the team. Use 'env:dev' instead."
        )
    );
    ok(gateway.post("/team/update", &json!({"team_id": "t", "tags": []}))).await;
    assert_eq!(as_key(&gateway, &key, json!(["env:dev"])).send().await.unwrap().deployment(), "dev");
}

#[tokio::test]
async fn a_tag_in_quarantine_labels_and_widens_nothing() {
    let gateway = gateway("tags: []\n");
    let inherits = key(&gateway, json!({"tags": ["legacy"]})).await;
    ok(gateway.post("/tag/new", &json!({"name": "legacy", "quarantined": true}))).await;
    let answer = send(&gateway, json!(["legacy"])).await;
    assert_eq!((answer.status().as_u16(), answer.deployment()), (200, "plain"));
    assert_eq!(
        answer.header("x-tagway-warning"),
        "Tag 'legacy' is in quarantine: it labels, and takes no part in routing."
    );
    assert_eq!(serves(&gateway, json!(["legacy", "env:dev"])).await, "dev");
    // What bounds a request bounds it as before.
    assert_eq!(as_key(&gateway, &inherits, json!([])).send().await.unwrap().deployment(), "old");
    assert_eq!(as_key(&gateway, &inherits, json!(["env:dev"])).send().await.unwrap().status(), 401);
    assert_eq!(serves(&gateway, json!(["&legacy"])).await, "old");
    assert_eq!(send(&gateway, json!(["!legacy", "&legacy"])).await.status(), 401);
    let (status, reason, _) = refused(gateway.post("/key/generate", &json!({"tags": ["legacy"]}))).await;
    assert_eq!((status, reason.as_str()), (403, ""));
    let explained = ok(gateway.post("/route/explain", &chat_body("m", json!({"tags": ["legacy"]})))).await;
    assert_eq!(explained["decision"]["tags"][0]["role"], "quarantined");
    assert!(explained["warning"].as_str().unwrap().contains("quarantine"));
    // It is a label: its spend is booked.
    until("it has been seen", || async {
        let info = ok(gateway.post("/tag/info", &json!({"names": ["legacy"]}))).await;
        info["legacy"]["last_used_at"].is_string()
    })
    .await;
}

#[tokio::test]
async fn names_follow_the_pattern_for_names() {
    let gateway =
        gateway("tag_settings: {name_pattern: '[a-z]+(:[a-z]+)?'}\ntags: [{name: 'team:*'}, legacy]\n");
    for tags in [json!(["env:dev"]), json!(["legacy"]), json!(["env:*"]), json!(["!x", "&env:dev"])] {
        assert_eq!(send(&gateway, tags.clone()).await.status(), 200, "{tags}");
    }
    for tag in ["Env:dev", "team:a b", "env:dev:x", "!Env", "team:A*", ""] {
        let (status, reason, message) = refused(gateway.chat("m", json!({"tags": [tag]}))).await;
        assert_eq!((status, reason.as_str()), (400, "tag_name"), "{tag}");
        assert!(message.ends_with("names match [a-z]+(:[a-z]+)?"), "{message}");
    }
    let (status, body) = error(gateway.post("/tag/new", &json!({"name": "Env"}))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("name")));
    ok(gateway.post("/tag/new", &json!({"name": "env:*"}))).await;
    let model = json!({
        "model_name": "n", "litellm_params": {"model": "openai/x", "mock_response": "a", "tags": ["Env"]},
    });
    let (status, body) = error(gateway.post("/model/new", &model)).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("litellm_params.tags")), "{body}");
}

#[tokio::test]
async fn what_is_observed_is_let_through_and_told() {
    let gateway = gateway(
        "tag_settings: {mode: observe, name_pattern: '[a-z:]+'}\ntags:\n  - {name: 'env:*', values: [dev]}\n  - {name: 'internal:*', set_by: [admin]}\n  - {name: legacy, quarantined: true, mode: enforce}\n",
    );
    let named = key(&gateway, json!({"key_alias": "batch", "tags": ["Env", "internal:a"]})).await;
    assert_eq!(as_key(&gateway, &named, json!(["env:x"])).send().await.unwrap().deployment(), "inside");
    assert_eq!(serves(&gateway, json!(["internal:a", "env:x"])).await, "inside");
    assert_eq!(
        serves(&gateway, json!(["legacy"])).await,
        "plain",
        "a declaration may be enforced on its own"
    );
    let observed = |tag: &str, reason: &str, count: u64| {
        (tag.to_owned(), reason.to_owned(), "observed".to_owned(), count)
    };
    let all = violations(&gateway).await;
    for expected in [
        observed("env:x", "tag_value", 2),
        observed("internal:a", "tag_set_by", 1),
        observed("Env", "tag_name", 1),
    ] {
        assert!(all.contains(&expected), "{expected:?} is none of {all:?}");
    }
    assert_eq!(all[0], ("legacy".to_owned(), "tag_quarantined".to_owned(), "warned".to_owned(), 1));
    let of_one = ok(gateway.get("/tag/violations?tag=env:x")).await;
    assert_eq!(of_one.as_array().map(Vec::len), Some(1));
    assert!(of_one[0]["message"].as_str().unwrap().contains("'env:dev'"), "{of_one}");
    let told = gateway.log("tag_value");
    assert!(told.contains("batch") && told.contains("env:x"), "{told}");
    // Boundaries are none of it.
    let narrow = key(&gateway, json!({"allowed_tags": ["env:*"]})).await;
    assert_eq!(as_key(&gateway, &narrow, json!(["other"])).send().await.unwrap().status(), 403);
    assert_eq!(as_key(&gateway, &named, json!(["env:dev"])).send().await.unwrap().status(), 401);
    let metrics = metrics(&gateway).await;
    let count = |reason: &str, outcome: &str| {
        let is = |it: &&crate::prometheus::Sample| {
            it.name == "tagway_tag_violations_total"
                && it.labels["reason"] == reason
                && it.labels["outcome"] == outcome
        };
        metrics.samples.iter().find(is).map(|it| it.value)
    };
    assert_eq!(count("tag_value", "observed"), Some(2.0));
    assert_eq!(count("tag_set_by", "refused"), Some(0.0));
}

#[tokio::test]
async fn unknown_tags_are_a_teams_and_a_keys_own_matter_and_the_strictest_holds() {
    let gateway = gateway("");
    let rule = |rule: &str| json!({"unknown_tags": rule});
    let team = json!({"team_id": "t", "router_settings": rule("reject")});
    ok(gateway.post("/team/new", &team)).await;
    let of_team = key(&gateway, json!({"team_id": "t"})).await;
    let laxer = key(&gateway, json!({"team_id": "t", "router_settings": rule("route")})).await;
    let labels = key(&gateway, json!({"router_settings": rule("attribute")})).await;
    let plain = key(&gateway, json!({})).await;
    for strict in [&of_team, &laxer] {
        let (status, body) = error(as_key(&gateway, strict, json!(["env:dve"]))).await;
        assert_eq!((status, &body["error"]["reason"]), (400, &json!("unknown_tag")));
        assert!(body["error"]["message"].as_str().unwrap().contains("`env:dev`"), "{body}");
    }
    for tags in [json!(["env:dev", "nobody"]), json!(["env:dev"])] {
        assert_eq!(as_key(&gateway, &labels, tags).send().await.unwrap().deployment(), "dev");
    }
    assert_eq!(as_key(&gateway, &plain, json!(["nobody"])).send().await.unwrap().deployment(), "plain");
    let counted = violations(&gateway).await;
    assert_eq!(counted, [("env:dve".to_owned(), "unknown_tag".to_owned(), "refused".to_owned(), 2)]);
    let (status, body) =
        error(gateway.post("/key/generate", &json!({"router_settings": rule("rejct")}))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("router_settings")));
}

#[tokio::test]
async fn unknown_tags_that_would_be_rejected_are_observed() {
    let observing = "tag_settings: {mode: observe}\nrouter_settings: {enable_tag_filtering: true, num_retries: 0, unknown_tags: reject}\n";
    let gateway = Gateway::start(&config(&deployments(), observing));
    assert_eq!(serves(&gateway, json!(["env:dve"])).await, "plain", "as unknown_tags: route");
    assert_eq!(serves(&gateway, json!(["env:dev"])).await, "dev");
    let all = violations(&gateway).await;
    assert_eq!(all, [("env:dve".to_owned(), "unknown_tag".to_owned(), "observed".to_owned(), 1)]);
}

#[tokio::test]
async fn what_a_stored_tag_says_goes_with_the_configuration() {
    let gateway = Gateway::start(&config(
        &deployments(),
        "litellm_settings: {extra_spend_tag_headers: [x-site]}\ntags: [{name: 'env:*', values: [dev], owner: ops}]\ntag_rules:\n  - {name: r, when: 'false', add: ['env:dev']}\n",
    ));
    for (fields, param, message) in [
        (json!({"name": "a", "values": ["x"]}), "values", "is for patterns"),
        (json!({"name": "a", "max_values": 1}), "max_values", "is for patterns"),
        (json!({"name": "a:*", "max_values": 0}), "max_values", "between 1 and 100000"),
        (json!({"name": "a:*", "values": ["x,y"]}), "values", "no comma"),
        (json!({"name": "a", "set_by": []}), "set_by", "nobody"),
        (json!({"name": "a", "set_by": ["rules"]}), "set_by", "unknown variant"),
        (json!({"name": "a", "retire_at": "soon"}), "retire_at", "a date"),
        (json!({"name": "a", "replaced_by": "b"}), "replaced_by", "without effect"),
        (json!({"name": "a", "mode": "watch"}), "mode", "unknown variant"),
        (json!({"name": "env:*", "set_by": ["caller"]}), "name", "The rule 'r'"),
        (json!({"name": "env:*", "values": ["prod"]}), "name", "The rule 'r'"),
        (json!({"name": "x-site: *", "set_by": ["rule"]}), "set_by", "extra_spend_tag_headers"),
    ] {
        let (status, body) = error(gateway.post("/tag/new", &fields)).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!(param)), "{body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(message), "{body}");
    }
    // What the stored tag does not say, the file does.
    ok(gateway.post("/tag/new", &json!({"name": "env:*", "description": "stages"}))).await;
    assert_eq!(send(&gateway, json!(["env:x"])).await.status(), 400);
    let fields = json!({
        "name": "site:*", "owner": "ops", "values": ["ber"], "set_by": ["caller", "team_admin"], "max_values": 5,
        "retire_at": "2999-01-01", "replaced_by": "env:*", "quarantined": true, "mode": "observe",
    });
    ok(gateway.post("/tag/new", &fields)).await;
    let info = ok(gateway.post("/tag/info", &json!({"names": ["site:*"]}))).await;
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&info["site:*"][name], value, "{name}");
    }
    ok(gateway.post("/tag/update", &json!({"name": "site:*", "set_by": null, "values": null}))).await;
    let info = ok(gateway.post("/tag/info", &json!({"names": ["site:*"]}))).await;
    assert_eq!((&info["site:*"]["set_by"], &info["site:*"]["values"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn another_name_does_not_lead_out_of_the_vocabulary() {
    let gateway = gateway(
        "tags:\n  - {name: 'env:*', values: [dev, prod]}\n  - {name: 'internal:*', set_by: [admin]}\n  - {name: legacy, set_by: [admin], aliases: [old]}\n",
    );
    for tags in [json!(["old"]), json!(["&old"])] {
        assert_eq!(refused(gateway.chat("m", json!({"tags": tags}))).await.1, "tag_set_by");
    }
    assert_eq!(refused(gateway.chat("m", json!({"tag_expression": "old"}))).await.1, "tag_set_by");
    let rename =
        |from: &str, into: &str| gateway.post("/tag/rename", &json!({"name": from, "new_name": into}));
    let (status, body) = error(rename("env:dev", "env:devel")).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("new_name")), "{body}");
    let renamed = ok(rename("internal:a", "internal:b")).await;
    assert_eq!(renamed["tag"]["set_by"], json!(["admin"]));
    for name in ["internal:a", "internal:b"] {
        assert_eq!(refused(gateway.chat("m", json!({"tags": [name]}))).await.1, "tag_set_by");
    }
}

#[tokio::test]
async fn the_list_of_tags_shows_what_the_file_says_of_them() {
    let gateway = gateway(
        "tags:\n  - {name: 'env:*', owner: ops, values: [dev], set_by: [rule, caller], max_values: 3, mode: observe}\n  - {name: legacy, retire_at: 2999-01-01, replaced_by: x, quarantined: true}\n",
    );
    let list = ok(gateway.get("/tag/list")).await;
    let of = |name: &str| list.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone();
    let env = of("env:*");
    assert_eq!(
        (&env["owner"], &env["values"], &env["max_values"]),
        (&json!("ops"), &json!(["dev"]), &json!(3))
    );
    assert_eq!((&env["set_by"], &env["mode"]), (&json!(["caller", "rule"]), &json!("observe")));
    let legacy = of("legacy");
    assert_eq!((&legacy["retire_at"], &legacy["replaced_by"]), (&json!("2999-01-01"), &json!("x")));
    assert_eq!((&legacy["quarantined"], &legacy["set_by"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_header_that_labels_keeps_to_what_is_declared_of_it() {
    let gateway = Gateway::start(&config(
        &deployments(),
        "tag_settings: {name_pattern: '[a-z:]+'}\nlitellm_settings: {extra_spend_tag_headers: [x-site, x-room]}\n",
    ));
    let sent = |site: &str| gateway.chat("m", json!({})).header("x-room", "A 1").header("x-site", site);
    assert_eq!(sent("Berlin 4").send().await.unwrap().status(), 200, "its form is not the caller's choice");
    ok(gateway.post("/tag/new", &json!({"name": "x-site: *", "values": ["ber", "bonn"]}))).await;
    assert_eq!(sent("ber").send().await.unwrap().status(), 200);
    assert_eq!(refused(sent("berlin")).await.1, "tag_value");
}

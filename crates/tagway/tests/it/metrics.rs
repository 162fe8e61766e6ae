//! `/metrics`: every request is counted once, wherever it ends, under labels whose number has a bound.

use std::time::Duration;

use serde_json::json;
use tagway_fake::{After, Fake, OpenAi, Reply};

use crate::customers::{chat_with, key, key_of, ok};
use crate::gateway::{Answered as _, Gateway, at, config, deployment, error};
use crate::ledger::priced;
use crate::prometheus::{Metrics, metrics};
use crate::stores::{Home, Store, Traffic, Way, given};

const ON: &str = "litellm_settings: {callbacks: [prometheus]}\n";

fn with(settings: &str, router: &str) -> String {
    format!(
        "litellm_settings: {{callbacks: [prometheus], {settings}}}\nrouter_settings: {{enable_tag_filtering: true, num_retries: 0, {router}}}\n"
    )
}

/// Asks until the metrics are so.
async fn until(gateway: &Gateway, reached: impl Fn(&Metrics) -> bool) -> Metrics {
    let deadline = std::time::Instant::now() + crate::gateway::PATIENCE;
    loop {
        let told = metrics(gateway).await;
        if reached(&told) {
            return told;
        }
        assert!(std::time::Instant::now() < deadline, "{}", told.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const ALL: &str = "litellm_proxy_total_requests_metric_total";
const FAILED: &str = "litellm_proxy_failed_requests_metric_total";

#[tokio::test]
async fn requests_are_counted_with_what_they_used_and_cost() {
    let fake = Fake::run(OpenAi::default().usage(1000, 500)).await;
    let gateway = Gateway::start(&config(&[priced("m", "one", &fake.url())], ON));
    ok(gateway.post("/team/new", &json!({"team_id": "t1", "team_alias": "Team \"One\""}))).await;
    let made = key(&gateway, json!({"key_alias": "mine", "team_id": "t1", "user_id": "u1"})).await;
    for _ in 0..3 {
        ok(chat_with(&gateway, &made, "m", json!({}))).await;
    }
    for _ in 0..2 {
        let answer = chat_with(&gateway, &made, "m", json!({"stream": true})).send().await.unwrap();
        assert!(answer.text().await.unwrap().contains("[DONE]"));
    }
    ok(gateway.chat("m", json!({}))).await;
    let told = metrics(&gateway).await;
    let mine = [
        ("api_key_alias", "mine"),
        ("team", "t1"),
        ("team_alias", "Team \"One\""),
        ("user", "u1"),
        ("requested_model", "m"),
        ("model_id", "one"),
        ("api_provider", "openai"),
    ];
    assert_eq!(told.sum(ALL, &mine), 5.0, "{}", told.text);
    assert_eq!(told.sum(ALL, &[("status_code", "200"), ("route", "/chat/completions")]), 6.0);
    assert_eq!(
        told.sum("litellm_requests_metric_total", &[("model", "gpt-4o"), ("api_key_alias", "master")]),
        1.0
    );
    assert_eq!(told.sum("litellm_input_tokens_metric_total", &mine), 5000.0);
    assert_eq!(told.sum("litellm_output_tokens_metric_total", &mine), 2500.0);
    assert_eq!(told.sum("litellm_total_tokens_metric_total", &[]), 9000.0);
    assert!((told.sum("litellm_spend_metric_total", &mine) - 0.01).abs() < 1e-12, "{}", told.text);
    for name in ["litellm_request_total_latency_metric", "litellm_llm_api_latency_metric"] {
        assert_eq!(told.sum(&format!("{name}_count"), &mine), 5.0);
    }
    assert_eq!(told.sum("litellm_llm_api_time_to_first_token_metric_count", &[]), 2.0);
    assert_eq!(told.sum("litellm_deployment_latency_per_output_token_count", &[]), 6.0);
    let place =
        [("api_base", format!("{}/v1", fake.url())), ("litellm_model_name", "openai/gpt-4o".to_owned())];
    let place = place.each_ref().map(|(label, value)| (*label, value.as_str()));
    assert_eq!(told.sum("litellm_overhead_latency_metric_count", &place), 6.0);
    assert_eq!(told.sum("litellm_deployment_total_requests_total", &place), 6.0);
    assert_eq!(told.sum("litellm_deployment_success_responses_total", &place), 6.0);
    assert_eq!(told.sum(FAILED, &[]), 0.0);
    assert_eq!(told.sum("litellm_in_flight_requests", &[]), 0.0);
    // Not one label holds a key.
    assert!(!told.text.contains(&made) && !told.text.contains("sk-"), "{}", told.text);
}

#[tokio::test]
async fn failures_are_counted_once_wherever_they_happen() {
    let fake = Fake::script([
        Reply::error(429, "slow down"),
        Reply::error(400, "no"),
        Reply::chat(["a", "b"]).reset(After::Chunks(2)),
    ])
    .await;
    let gateway = Gateway::start(&config(&[at("m", "one", &fake.url(), "[a]")], &with("", "")));
    let a = || json!({"tags": ["a"]});
    assert_eq!(error(gateway.chat("m", a())).await.0, 429);
    assert_eq!(error(gateway.chat("m", a())).await.0, 400);
    let mut broken = gateway.chat("m", json!({"tags": ["a"], "stream": true})).send().await.unwrap();
    while let Ok(Some(_)) = broken.chunk().await {}
    assert_eq!(error(gateway.chat("m", json!({"tags": ["b"]}))).await.0, 401);
    assert_eq!(error(gateway.chat("nothing-of-this-name", json!({}))).await.0, 400);
    assert_eq!(error(chat_with(&gateway, "sk-unknown", "m", json!({}))).await.0, 401);
    let told = metrics(&gateway).await;
    assert_eq!((told.sum(ALL, &[]), told.sum(FAILED, &[])), (6.0, 6.0), "{}", told.text);
    for (status, class, model) in [
        ("429", "Openai.RateLimitError", "m"),
        ("400", "Openai.BadRequestError", "m"),
        ("500", "Openai.APIConnectionError", "m"),
        ("401", "ProxyException", "m"),
        // What strangers and mistakes name is no label.
        ("400", "ProxyModelNotFoundError", "other"),
        ("401", "ProxyException", "None"),
    ] {
        let labels = [("exception_status", status), ("exception_class", class), ("requested_model", model)];
        assert_eq!(told.sum(FAILED, &labels), 1.0, "{labels:?} {}", told.text);
    }
    assert_eq!(told.sum("litellm_deployment_failure_responses_total", &[("model_id", "one")]), 3.0);
    assert_eq!(told.sum("litellm_deployment_total_requests_total", &[]), 3.0);
    assert_eq!(told.sum("litellm_requests_metric_total", &[]), 0.0);
    assert_eq!(told.sum("tagway_decisions_total", &[("outcome", "tag_policy")]), 1.0, "{}", told.text);
}

#[tokio::test]
async fn who_leaves_is_counted_with_what_was_seen() {
    let fake = Fake::script([Reply::chat(["a", "b", "c"]).stall(After::Chunks(3))]).await;
    let gateway = Gateway::start(&config(&[priced("m", "one", &fake.url())], ON));
    let mut answer = gateway.chat("m", json!({"stream": true})).send().await.unwrap();
    answer.chunk().await.unwrap();
    assert_eq!(metrics(&gateway).await.sum("litellm_in_flight_requests", &[]), 1.0);
    drop(answer);
    let told = until(&gateway, |told| told.sum("litellm_output_tokens_metric_total", &[]) > 0.0).await;
    let left = [("exception_class", "ClientDisconnected"), ("exception_status", "499")];
    assert_eq!((told.sum(FAILED, &left), told.sum(ALL, &[])), (1.0, 1.0), "{}", told.text);
    assert_eq!(told.sum("litellm_in_flight_requests", &[]), 0.0);
    assert_eq!(told.sum("tagway_estimated_usage_requests_total", &[("model_id", "one")]), 1.0);
    assert_eq!(told.sum("litellm_deployment_failure_responses_total", &[]), 0.0);
}

#[tokio::test]
async fn retries_fallbacks_and_cooldowns_are_counted() {
    let (bad, good) = (Fake::reply(429, "{}").await, Fake::start().await);
    let deployments = [
        at("m", "bad", &bad.url(), "[a]"),
        at("m", "worse", &bad.url(), "[a]"),
        at("n", "good", &good.url(), "[a]"),
    ];
    let router = "num_retries: 1, retry_after: 0, fallbacks: [{m: [n]}]";
    let more = format!("{ON}router_settings: {{enable_tag_filtering: true, {router}}}\n");
    let gateway = Gateway::start(&config(&deployments, &more));
    let answer = gateway.chat("m", json!({"tags": ["a"]})).send().await.unwrap();
    assert_eq!(answer.deployment(), "good");
    let told = metrics(&gateway).await;
    let fell = [
        ("requested_model", "m"),
        ("fallback_model", "n"),
        ("exception_status", "429"),
        ("exception_class", "Openai.RateLimitError"),
    ];
    assert_eq!(told.sum("litellm_deployment_successful_fallbacks_total", &fell[..3]), 1.0, "{}", told.text);
    assert_eq!(told.sum("litellm_deployment_failed_fallbacks_total", &[]), 0.0);
    assert_eq!(told.sum("litellm_deployment_failure_responses_total", &fell[2..]), 2.0);
    assert_eq!(told.sum("tagway_retries_total", &[("model_group", "m")]), 1.0);
    assert_eq!(told.sum("litellm_deployment_cooled_down_total", &[("exception_status", "429")]), 2.0);
    assert_eq!(told.sum("litellm_deployment_state", &[("model_id", "bad")]), 2.0);
    assert_eq!(told.sum("litellm_deployment_state", &[("model_id", "good")]), 0.0);
    assert!(told.sum("tagway_deployment_cooldown_seconds", &[("model_id", "bad")]) > 0.0);
    assert_eq!(told.sum(ALL, &[("model_id", "good"), ("requested_model", "m")]), 1.0);
    // It was served in the end.
    assert_eq!(told.sum(FAILED, &[]), 0.0);
}

#[tokio::test]
async fn only_listed_tags_are_labels() {
    let fake = Fake::run(OpenAi::default().usage(1000, 500)).await;
    let one = deployment(
        "m",
        "one",
        &format!("model: openai/gpt-4o, api_base: \"{}/v1\", api_key: k, tags: [prod, default]", fake.url()),
    );
    let gateway =
        Gateway::start(&config(&[one], &with("custom_prometheus_tags: [prod, \"customer:*\"]", "")));
    for tags in [json!(["prod"]), json!(["prod", "customer:acme"]), json!(["secret-project"]), json!([])] {
        ok(gateway.chat("m", json!({"tags": tags}))).await;
    }
    let told = metrics(&gateway).await;
    let spend = "litellm_requests_metric_total";
    assert_eq!(told.sum(spend, &[("tag_prod", "true"), ("tag_customer__", "false")]), 1.0, "{}", told.text);
    assert_eq!(told.sum(spend, &[("tag_prod", "true"), ("tag_customer__", "true")]), 1.0);
    assert_eq!(told.sum(spend, &[("tag_prod", "false"), ("tag_customer__", "false")]), 2.0);
    assert_eq!(told.sum("tagway_tag_requests_total", &[("tag", "prod")]), 2.0);
    assert_eq!(told.sum("tagway_tag_requests_total", &[("tag", "customer:acme")]), 1.0);
    assert_eq!(told.sum("tagway_tag_input_tokens_total", &[("tag", "prod")]), 2000.0);
    assert!(told.sum("tagway_tag_spend_dollars_total", &[("tag", "prod")]) > 0.0);
    let matched = [("outcome", "served"), ("matched_via", "tags"), ("tag", "prod")];
    assert_eq!(told.sum("tagway_decisions_total", &matched), 2.0, "{}", told.text);
    assert_eq!(
        told.sum("tagway_decisions_total", &[("matched_via", "default"), ("tag", "None")]),
        2.0,
        "{}",
        told.text
    );
    assert!(!told.text.contains("secret-project"));
}

#[tokio::test]
async fn beyond_the_bound_requests_are_counted_as_others() {
    let fake = Fake::start().await;
    let more = "litellm_settings: {callbacks: [prometheus], prometheus_metrics_max_series_per_metric: 3}\n";
    let gateway =
        Gateway::start_with(&config(&[priced("m", "one", &fake.url())], more), &["--workers", "2"], &[]);
    for number in 0..8 {
        let made = key(&gateway, json!({"key_alias": format!("k{number}")})).await;
        ok(chat_with(&gateway, &made, "m", json!({}))).await;
        ok(chat_with(&gateway, &made, "m", json!({}))).await;
    }
    let told = metrics(&gateway).await;
    let series = told.all(ALL, &[]).count();
    assert_eq!((series, told.sum(ALL, &[])), (4, 16.0), "{}", told.text);
    let others = [("api_key_alias", "other"), ("hashed_api_key", "other"), ("model_id", "one")];
    assert_eq!(told.sum(ALL, &others), 10.0, "{}", told.text);
    assert_eq!(told.sum("tagway_metrics_label_sets", &[]), 3.0);
}

#[tokio::test]
async fn what_is_left_of_budgets_is_told() {
    let fake = Fake::run(OpenAi::default().usage(1000, 500)).await;
    let more = "tag_budget_config: {prod: {max_budget: 2, budget_duration: 1d}, other: {max_budget: 1}}, max_budget: 50, custom_prometheus_tags: [prod]";
    let gateway = Gateway::start(&config(
        &[priced("m", "one", &fake.url())],
        &format!("litellm_settings: {{callbacks: [prometheus], {more}}}\n"),
    ));
    ok(gateway.post("/team/new", &json!({"team_id": "t1", "team_alias": "T", "max_budget": 5}))).await;
    let fields = json!({"key_alias": "mine", "team_id": "t1", "max_budget": 1, "budget_duration": "1d"});
    let made = key(&gateway, fields).await;
    ok(chat_with(&gateway, &made, "m", json!({"metadata": {"tags": ["prod", "other"]}}))).await;
    let told = metrics(&gateway).await;
    let cost = 0.002;
    for (name, labels, left) in [
        ("litellm_remaining_api_key_budget_metric", &[("api_key_alias", "mine")][..], 1.0),
        ("litellm_remaining_team_budget_metric", &[("team", "t1"), ("team_alias", "T")], 5.0),
        ("tagway_tag_remaining_budget_dollars", &[("tag", "prod")], 2.0),
        ("tagway_global_remaining_budget_dollars", &[], 50.0),
    ] {
        assert!((told.sum(name, labels) - (left - cost)).abs() < 1e-9, "{name} {}", told.text);
    }
    assert_eq!(told.sum("litellm_api_key_max_budget_metric", &[("api_key_alias", "mine")]), 1.0);
    let hours = told.sum("litellm_api_key_budget_remaining_hours_metric", &[]);
    assert!((0.0..=24.0).contains(&hours), "{}", told.text);
    assert_eq!(told.all("tagway_tag_max_budget_dollars", &[]).count(), 1);
}

#[tokio::test]
async fn a_price_that_is_not_known_is_told() {
    let fake = Fake::start().await;
    let unknown = deployment(
        "m",
        "one",
        &format!("model: openai/of-nobody, api_base: \"{}/v1\", api_key: k", fake.url()),
    );
    let gateway = Gateway::start(&config(&[unknown], ON));
    ok(gateway.chat("m", json!({}))).await;
    let answer = gateway.chat("m", json!({"stream": true})).send().await.unwrap();
    answer.text().await.unwrap();
    let told = metrics(&gateway).await;
    let labels = [("model", "of-nobody"), ("reason", "missing_pricing_key")];
    assert_eq!(told.sum("litellm_zero_cost_requests_total", &labels), 2.0, "{}", told.text);
    assert_eq!(told.sum("litellm_spend_metric_total", &[]), 0.0);
}

#[tokio::test]
async fn metrics_are_for_those_who_see_everything_unless_they_are_open() {
    let fake = Fake::start().await;
    let gateway = Gateway::start(&config(&[priced("m", "one", &fake.url())], ON));
    let nobody = gateway.client.get(format!("{}/metrics", gateway.url));
    assert_eq!(error(nobody).await.0, 401);
    let plain = key(&gateway, json!({})).await;
    let granted = key(&gateway, json!({"allowed_routes": ["/metrics"]})).await;
    let viewer = key_of(&gateway, "v", "proxy_admin_viewer").await;
    for (made, status) in [(plain, 401), (granted, 200), (viewer, 200)] {
        let request = gateway.client.get(format!("{}/metrics", gateway.url)).bearer_auth(made);
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    let open =
        "litellm_settings: {success_callback: [prometheus], require_auth_for_metrics_endpoint: false}\n";
    let gateway = Gateway::start(&config(&[priced("m", "one", &fake.url())], open));
    let answer = gateway.client.get(format!("{}/metrics", gateway.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn where_no_callback_asks_for_metrics_there_are_none_and_a_reload_turns_them_on() {
    let fake = Fake::start().await;
    let off = config(&[priced("m", "one", &fake.url())], "");
    let gateway = Gateway::start(&off);
    ok(gateway.chat("m", json!({}))).await;
    let (status, body) = error(gateway.get("/metrics")).await;
    assert_eq!(status, 404);
    assert!(body["error"]["message"].as_str().unwrap().contains("callbacks: [prometheus]"), "{body}");
    std::fs::write(gateway.config_path(), format!("{off}{ON}")).unwrap();
    ok(gateway.post("/config/reload", &json!({}))).await;
    ok(gateway.chat("m", json!({}))).await;
    assert_eq!(metrics(&gateway).await.sum(ALL, &[]), 1.0);
}

#[tokio::test]
async fn the_configuration_says_which_metrics_are_told_by_which_labels() {
    let fake = Fake::start().await;
    let more = "prometheus_metrics_config: [{group: g, metrics: [litellm_spend_metric, litellm_proxy_total_requests_metric], include_labels: [team, model, end_user]}], prometheus_exclude_metrics: [tagway_retries_total], prometheus_emit_stream_label: true";
    let gateway = Gateway::start(&config(&[priced("m", "one", &fake.url())], &with(more, "")));
    for _ in 0..2 {
        let made = key(&gateway, json!({})).await;
        ok(chat_with(&gateway, &made, "m", json!({}))).await;
    }
    let told = metrics(&gateway).await;
    let spend: Vec<_> = told.all("litellm_spend_metric_total", &[]).collect();
    assert_eq!(spend.len(), 1, "{}", told.text);
    assert_eq!(spend[0].labels.keys().collect::<Vec<_>>(), ["model", "team"]);
    assert!(!told.kinds.contains_key("litellm_request_total_latency_metric"));
    assert!(
        !told.kinds.contains_key("tagway_retries_total") && told.kinds.contains_key("tagway_decisions_total")
    );
}

#[tokio::test]
async fn openmetrics_is_spoken_with_those_who_prefer_it() {
    let fake = Fake::start().await;
    let gateway = Gateway::start(&config(&[priced("m", "one", &fake.url())], ON));
    ok(gateway.chat("m", json!({}))).await;
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
    let answer = gateway.get("/metrics").header("accept", accept).send().await.unwrap();
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("# TYPE litellm_spend_metric counter\nlitellm_spend_metric_total{"), "{text}");
}

#[tokio::test]
async fn the_gateway_and_its_process_are_told_of() {
    let fake = Fake::start().await;
    let gateway = Gateway::start(&config(&[priced("m", "one", &fake.url())], ON));
    ok(gateway.chat("m", json!({}))).await;
    let told = until(&gateway, |told| told.sum("tagway_ledger_shipped_receipts_total", &[]) == 1.0).await;
    assert_eq!(told.sum("tagway_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(told.sum("tagway_store_up", &[]), 1.0);
    assert_eq!(told.sum("tagway_ledger_journal_failing", &[]), 0.0);
    assert!(told.sum("tagway_ledger_last_shipment_timestamp_seconds", &[]) > 1.6e9);
    assert_eq!(told.sum("tagway_ledger_dropped_receipts_total", &[]), 0.0);
    assert!(told.sum("process_resident_memory_bytes", &[]) > 1e6);
    assert!(!told.kinds.contains_key("tagway_valkey_up"));
    let unknown: Vec<_> = told.samples.iter().filter(|sample| sample.value.is_nan()).collect();
    assert!(unknown.is_empty());
}

#[tokio::test]
async fn callbacks_and_labels_that_cannot_be_are_problems_of_the_configuration() {
    let fake = Fake::start().await;
    for (setting, said) in [
        ("custom_prometheus_metadata_labels: [metadata.foo]", "metadata does not become labels"),
        ("custom_prometheus_tags: [a-b, a_b]", "would be the same label"),
        ("prometheus_exclude_labels: [modell]", "did you mean `model`?"),
        ("prometheus_exclude_metrics: [tagway_retires_total]", "did you mean `tagway_retries_total`?"),
    ] {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("config.yaml");
        let text = config(&[priced("m", "one", &fake.url())], &format!("litellm_settings: {{{setting}}}\n"));
        std::fs::write(&path, text).unwrap();
        let ended = crate::gateway::command().arg("check").arg(&path).output().unwrap();
        let shown = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert!(!ended.status.success() && shown.contains(said), "{setting}: {shown}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_shows_and_so_does_what_waits_for_it() {
    let home = Home::new(Store::Postgres);
    let Home::Database(database) = &home else { panic!("not a database") };
    let way = Way::to(&database.url);
    let url = way.through(&database.url);
    let fake = Fake::start().await;
    let config = config(&[priced("m", "one", &fake.url())], ON);
    let gateway = Gateway::start_with(&config, &[], &[("DATABASE_URL", url.as_str())]);
    way.set(Traffic::Refused);
    ok(gateway.chat("m", json!({}))).await;
    let away = until(&gateway, |told| told.sum("tagway_store_up", &[]) == 0.0).await;
    assert!(away.sum("tagway_ledger_backlog_bytes", &[]) > 0.0, "{}", away.text);
    let told = until(&gateway, |told| told.sum("tagway_ledger_lag_seconds", &[]) > 1.0).await;
    assert_eq!(told.sum("tagway_ledger_dropped_receipts_total", &[]), 0.0);
    way.set(Traffic::Flows);
    let shipped = |told: &Metrics| told.sum("tagway_ledger_shipped_receipts_total", &[]) == 1.0;
    let told = until(&gateway, |told| shipped(told) && told.sum("tagway_store_up", &[]) == 1.0).await;
    assert_eq!(
        told.sum("tagway_ledger_backlog_bytes", &[]) + told.sum("tagway_ledger_lag_seconds", &[]),
        0.0
    );
}

#[tokio::test]
async fn gateways_that_meet_at_a_valkey_are_counted() {
    let home = Home::new(Store::Postgres);
    let Home::Database(database) = &home else { panic!("not a database") };
    let valkey = given("TAGWAY_TEST_VALKEY_URL");
    let env = [("DATABASE_URL", database.url.as_str()), ("REDIS_URL", valkey.as_str())];
    let fake = Fake::start().await;
    let config = config(&[priced("m", "one", &fake.url())], ON);
    let gateways = [Gateway::start_with(&config, &[], &env), Gateway::start_with(&config, &[], &env)];
    // The last to come sees the others at once.
    let told = until(&gateways[1], |told| told.sum("tagway_gateways", &[]) == 2.0).await;
    assert_eq!(told.sum("tagway_valkey_up", &[]), 1.0);
}

#[test]
fn the_readme_has_every_metric() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    for family in tagway_core::metrics::ALL {
        let ending = if family.kind == tagway_core::metrics::Kind::Counter { "_total" } else { "" };
        let told = format!("`{}{ending}`", family.stem());
        assert!(readme.contains(&told), "{told}");
    }
}

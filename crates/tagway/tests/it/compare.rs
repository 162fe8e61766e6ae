//! `/tag/compare`: two tags side by side, with figures that are those of all other reports.

use serde_json::{Value, json};
use tagway_fake::{Fake, OpenAi, Reply};

use crate::gateway::{Gateway, config, deployment, error};
use crate::spend::{booked, chat, dates, get, key, ok};
use crate::stores::{Store, on_both_stores};

fn priced(model: &str, id: &str, url: &str) -> String {
    let of = format!("model: openai/gpt-4o, api_base: \"{url}/v1\", api_key: sk-u");
    deployment(model, id, &format!("{of}, input_cost_per_token: 0.000001, output_cost_per_token: 0.000002"))
}

on_both_stores!(tags_are_compared_by_what_all_reports_say);

async fn tags_are_compared_by_what_all_reports_say(store: Store) {
    let fast = Fake::run(OpenAi::default().usage(1000, 500)).await;
    let slow =
        Fake::run(OpenAi::default().usage(2000, 500).delay(std::time::Duration::from_millis(300))).await;
    let broken = Fake::script([Reply::error(500, "broken")]).await;
    let deployments = [
        priced("m", "fast", &fast.url()),
        priced("n", "slow", &slow.url()),
        priced("broken", "broken", &broken.url()),
    ];
    let settings = "router_settings: {num_retries: 0, disable_cooldowns: true}\n";
    let (gateway, _home) = Gateway::on(store, &config(&deployments, settings));
    ok(gateway.post("/user/new", &json!({"user_id": "u1", "user_role": "internal_user"}))).await;
    let mine = key(&gateway, json!({"user_id": "u1"})).await;
    for (model, tags) in [
        ("m", ["control", "x"]),
        ("m", ["control", "y"]),
        ("n", ["canary", "x"]),
        ("n", ["canary", "canary"]),
    ] {
        assert_eq!(chat(&gateway, crate::gateway::KEY, model, json!({"tags": tags})).await.status(), 200);
    }
    let streamed = chat(&gateway, &mine, "n", json!({"tags": ["canary"], "stream": true})).await;
    assert!(streamed.text().await.unwrap().contains("[DONE]"));
    assert_eq!(
        chat(&gateway, crate::gateway::KEY, "broken", json!({"tags": ["canary"]})).await.status(),
        500
    );
    booked(&gateway, 6).await;

    let path = format!("/tag/compare?a=control&b=canary&{}", dates());
    let compared = ok(gateway.get(&path)).await;
    let (a, b) = (&compared["a"], &compared["b"]);
    assert_eq!((&a["tag"], &a["requests"], &a["failed_requests"]), (&json!("control"), &json!(2), &json!(0)));
    assert_eq!((&b["tag"], &b["requests"], &b["failed_requests"]), (&json!("canary"), &json!(4), &json!(1)));
    assert_eq!((&a["error_rate"], &b["error_rate"]), (&json!(0.0), &json!(0.25)));
    assert_eq!((&a["prompt_tokens"], &b["prompt_tokens"]), (&json!(2000), &json!(6000)));
    assert_eq!((&a["spend"], &b["spend"]), (&json!(0.004), &json!(0.009)));
    assert_eq!((&a["spend_per_request"], &b["spend_per_request"]), (&json!(0.002), &json!(0.00225)));
    let millis = |side: &Value, which: &str, of: &str| side[which][of].as_f64().unwrap();
    for which in ["latency_ms", "time_to_first_byte_ms"] {
        for of in ["mean", "p50", "p95"] {
            assert!(
                millis(a, which, of) < 300.0 && 300.0 <= millis(b, which, of),
                "{which} {of}: {compared:#}"
            );
        }
    }
    assert_eq!((&a["sampled_requests"], &b["sampled_requests"]), (&json!(2), &json!(3)));
    let difference = &compared["difference"];
    assert_eq!(difference["requests"], json!({"absolute": 2.0, "relative": 1.0}));
    assert_eq!(difference["error_rate"], json!({"absolute": 0.25, "relative": null}));

    let tags = ok(gateway.get(&format!("/spend/tags?{}", dates()))).await;
    for side in [a, b] {
        let row =
            tags.as_array().unwrap().iter().find(|row| row["individual_request_tag"] == side["tag"]).unwrap();
        assert_eq!((&row["log_count"], &row["total_spend"]), (&side["requests"], &side["spend"]));
        assert_eq!(row["total_tokens"], side["total_tokens"]);
    }

    let one = ok(gateway.get(&format!("{path}&model=n"))).await;
    assert_eq!((&one["a"]["requests"], &one["b"]["requests"]), (&json!(0), &json!(3)));
    assert_eq!((&one["a"]["error_rate"], &one["a"]["latency_ms"]["mean"]), (&Value::Null, &Value::Null));
    let own = ok(get(&gateway, &mine, &path)).await;
    assert_eq!((&own["a"]["requests"], &own["b"]["requests"]), (&json!(0), &json!(1)), "others' is theirs");
    assert_eq!(own["b"]["sampled_requests"], 1);

    let sheet = gateway.get(&format!("{path}&format=csv")).send().await.unwrap().text().await.unwrap();
    assert!(sheet.starts_with("figure,control,canary,absolute,relative\r\nrequests,2,4,2,1\r\n"), "{sheet}");
    assert!(sheet.contains("\r\nspend,0.004,0.009,0.005"), "{sheet}");
    let (status, body) = error(gateway.get("/tag/compare?a=control")).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("b")), "{body}");
}

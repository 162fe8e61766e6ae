//! Budgets of several gateways on one store: with a Valkey they hold as if there were one.

use std::time::Duration;

use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

use crate::budgets_held::{chat, dollar, status};
use crate::customers::ok;
use crate::gateway::{Gateway, KEY};
use crate::stores::{Home, Store, given, on_both_stores, until};

on_both_stores!(
    two_gateways_let_in_no_more_than_a_tags_budget_holds,
    what_one_gateway_spends_the_other_knows_at_once,
    a_reset_on_one_gateway_opens_the_budget_on_both,
    what_a_killed_gateway_held_is_free_again,
);

/// Two gateways at one store, one Valkey and one upstream.
fn two(home: &Home, url: &str, more: &str) -> [Gateway; 2] {
    let config = format!(
        "model_list:\n{}router_settings: {{num_retries: 0}}\ngeneral_settings: {{master_key: {KEY}}}\n{more}\n",
        dollar("m", "one", url, "")
    );
    let valkey = given("TAGWAY_TEST_VALKEY_URL");
    let gateways = [(); 2].map(|()| home.gateway_with(&config, &[("REDIS_URL", valkey.as_str())]));
    for gateway in &gateways {
        gateway.log("budgets are shared");
    }
    gateways
}

async fn upstream(delay: Duration) -> Fake {
    Fake::answer(move |_| Reply::completion("hi", 10, 20).delay(delay)).await
}

fn tagged(gateway: &Gateway) -> reqwest::RequestBuilder {
    chat(gateway, KEY, json!({"tags": ["eng"]}))
}

async fn two_gateways_let_in_no_more_than_a_tags_budget_holds(store: Store) {
    let fake = upstream(Duration::from_millis(500)).await;
    for (strict, most) in [(false, 11), (true, 10)] {
        let home = Home::new(store);
        let gateways = two(&home, &fake.url(), &format!("tags:\n  - {{name: eng, max_budget: 10, strict: {strict}}}"));
        let all = (0..200).map(|n| {
            let request = tagged(&gateways[n % 2]);
            tokio::task::spawn(status(request))
        });
        let all: Vec<_> = all.collect();
        let mut served = 0;
        for one in all {
            match one.await.unwrap() {
                200 => served += 1,
                other => assert_eq!(other, 429),
            }
        }
        assert!((9..=most).contains(&served), "strict: {strict}, served: {served}");
    }
}

async fn what_one_gateway_spends_the_other_knows_at_once(store: Store) {
    let fake = upstream(Duration::ZERO).await;
    let home = Home::new(store);
    let gateways = two(&home, &fake.url(), "tags:\n  - {name: eng, max_budget: 6, budget_duration: 30d}");
    let mut served = 0;
    for n in 0..20 {
        served += usize::from(status(tagged(&gateways[n % 2])).await == 200);
    }
    assert_eq!((served, fake.hits()), (6, 6));
}

async fn a_reset_on_one_gateway_opens_the_budget_on_both(store: Store) {
    let fake = upstream(Duration::ZERO).await;
    let home = Home::new(store);
    let [here, there] = two(&home, &fake.url(), "");
    ok(here.post("/tag/new", &json!({"name": "eng", "max_budget": 1}))).await;
    until("the tag is known", || async { status(tagged(&there)).await == 429 }).await;
    until("the spend is stored", || async {
        let tags: Value = ok(here.post("/tag/info", &json!({"names": ["eng"]}))).await;
        1.0 <= tags["eng"]["spend"].as_f64().unwrap()
    })
    .await;
    ok(here.post("/tag/eng/reset_spend", &json!({"reset_to": 0}))).await;
    until("the budget is open", || async { status(tagged(&there)).await == 200 }).await;
}

async fn what_a_killed_gateway_held_is_free_again(store: Store) {
    let fake = upstream(Duration::from_secs(60)).await;
    let home = Home::new(store);
    let [here, there] = two(&home, &fake.url(), "tags:\n  - {name: eng, max_budget: 1}");
    let held = tokio::task::spawn(tagged(&here).send());
    fake.until_hits(1).await;
    assert_eq!(status(tagged(&there)).await, 429);
    here.signal("KILL");
    assert!(held.await.unwrap().is_err());
    let again = tagged(&there).timeout(Duration::from_secs(1));
    until("the dead gateway is forgotten", || async {
        // It is let in when the upstream is asked.
        let _ = again.try_clone().unwrap().send().await;
        2 <= fake.hits()
    })
    .await;
}

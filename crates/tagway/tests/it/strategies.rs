//! Strategies: each prefers whom it should among the deployments that the tags allow, and none ever calls another one,
//! however idle, fast or cheap that may be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagway_fake::{After, Fake, OpenAi, Reply};
use tokio::task::JoinSet;

use crate::gateway::{Answered as _, Gateway, PATIENCE, config, deployment};

/// A deployment of a fake.
fn at(group: &str, id: &str, fake: &Fake, params: &str) -> String {
    deployment(group, id, &format!("model: openai/x, api_base: \"{}/v1\", api_key: k, {params}", fake.url()))
}

fn settings(strategy: &str, more: &str) -> String {
    format!(
        "router_settings: {{enable_tag_filtering: true, disable_cooldowns: true, routing_strategy: {strategy}, {more}}}\n"
    )
}

/// How often each deployment serves so many requests, one after the other.
async fn served(gateway: &Gateway, count: u32, more: Value) -> BTreeMap<String, u32> {
    let mut served = BTreeMap::new();
    for _ in 0..count {
        let answer = gateway.chat("m", more.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        *served.entry(answer.deployment().to_owned()).or_insert(0) += 1;
        answer.bytes().await.unwrap();
    }
    served
}

fn of(served: &BTreeMap<String, u32>, id: &str) -> u32 {
    served.get(id).copied().unwrap_or(0)
}

async fn slow(millis: u64, tokens: u64) -> Fake {
    Fake::run(OpenAi::default().usage(1, tokens).delay(Duration::from_millis(millis))).await
}

#[tokio::test]
async fn the_least_busy_serves_and_streams_count_to_their_end() {
    let script = || [Reply::chat(["a", "b"]).hold(After::Chunks(1))];
    let fakes = [Fake::script(script()).await, Fake::script(script()).await, Fake::script(script()).await];
    let other = Fake::start().await;
    let gateway = Gateway::start(&config(
        &[
            at("m", "one", &fakes[0], "tags: [a]"),
            at("m", "two", &fakes[1], "tags: [a]"),
            at("m", "three", &fakes[2], "tags: [a]"),
            at("m", "idle", &other, "tags: [b]"),
        ],
        &settings("least-busy", "num_retries: 0"),
    ));
    let stream = || gateway.chat("m", json!({"stream": true, "tags": ["a"]})).send();
    let mut streams = Vec::new();
    for _ in 0..12 {
        streams.push(stream().await.unwrap());
    }
    assert_eq!(fakes.each_ref().map(Fake::hits), [4, 4, 4]);
    // Two of its clients leave: it is the least busy, twice.
    let (mut left, mut gone) = (Vec::new(), 0);
    for answer in streams {
        if answer.deployment() == "two" && gone < 2 {
            gone += 1;
        } else {
            left.push(answer);
        }
    }
    fakes[1].until_aborted(2).await;
    // What is in progress is so after a reload, too.
    let changed = std::fs::read_to_string(gateway.config_path()).unwrap() + "# another\n";
    std::fs::write(gateway.config_path(), changed).unwrap();
    assert_eq!(gateway.post("/config/reload", &json!({})).send().await.unwrap().status(), 200);
    left.push(stream().await.unwrap());
    left.push(stream().await.unwrap());
    assert_eq!(fakes.each_ref().map(Fake::hits), [4, 6, 4]);
    left.push(stream().await.unwrap());
    assert_eq!(fakes.iter().map(Fake::hits).sum::<usize>(), 15);
    assert_eq!(other.hits(), 0);
}

#[tokio::test]
async fn answers_go_by_time_for_each_token_and_streams_by_time_to_the_first() {
    let (long, short, other) = (slow(150, 1000).await, slow(30, 1).await, slow(0, 1000).await);
    let gateway = Gateway::start(&config(
        &[
            at("m", "long", &long, "tags: [a]"),
            at("m", "short", &short, "tags: [a]"),
            at("m", "fast", &other, "tags: [b]"),
        ],
        &settings("latency-based-routing", "num_retries: 0"),
    ));
    let whole = served(&gateway, 10, json!({"tags": ["a"]})).await;
    assert_eq!((of(&whole, "long"), of(&whole, "short")), (9, 1), "each is tried once");
    let streams = served(&gateway, 10, json!({"tags": ["a"], "stream": true})).await;
    assert_eq!((of(&streams, "long"), of(&streams, "short")), (1, 9));
    assert_eq!(other.hits(), 0);
}

#[tokio::test]
async fn the_fastest_is_left_alone_when_it_is_no_longer_and_the_slow_get_another_chance() {
    let (slow_one, fast) = (slow(100, 1).await, slow(0, 1).await);
    let gateway = Gateway::start(&config(
        &[at("m", "slow", &slow_one, "tags: [a]"), at("m", "fast", &fast, "tags: [a]")],
        &settings("latency-based-routing", "routing_strategy_args: {ttl: 1}"),
    ));
    served(&gateway, 5, json!({"tags": ["a"]})).await;
    assert_eq!(slow_one.hits(), 1);
    let deadline = Instant::now() + PATIENCE;
    while slow_one.hits() < 2 {
        assert!(Instant::now() < deadline, "the slow one was never tried again");
        served(&gateway, 1, json!({"tags": ["a"]})).await;
    }
    let buffer = settings("latency-based-routing", "routing_strategy_args: {lowest_latency_buffer: 100000}");
    let gateway = Gateway::start(&config(
        &[at("m", "slow", &slow_one, "tags: [a]"), at("m", "fast", &fast, "tags: [a]")],
        &buffer,
    ));
    let both = served(&gateway, 40, json!({"tags": ["a"]})).await;
    assert!(4 < of(&both, "slow") && 4 < of(&both, "fast"), "{both:?}");
}

#[tokio::test]
async fn who_timed_out_counts_as_slow() {
    let (stalled, fast) = (Fake::script([Reply::ok().stall(After::Request)]).await, slow(20, 1).await);
    let gateway = Gateway::start(&config(
        &[at("m", "stalled", &stalled, "timeout: 0.3"), at("m", "fast", &fast, "")],
        &settings("latency-based-routing", "num_retries: 1"),
    ));
    let answers = served(&gateway, 10, json!({})).await;
    assert_eq!((of(&answers, "fast"), stalled.hits()), (10, 1));
}

#[tokio::test]
async fn the_cheapest_serves_while_it_works_and_has_room() {
    let price = |tags: &str, price: &str| {
        format!("tags: [{tags}], input_cost_per_token: {price}, output_cost_per_token: {price}")
    };
    let (cheap, dear, unknown, other) =
        (Fake::start().await, Fake::start().await, Fake::start().await, Fake::start().await);
    let failing = Fake::script([Reply::error(500, "no")]).await;
    let deployments = |cheapest: &Fake, more: &str| {
        [
            at("m", "unknown", &unknown, "tags: [a]"),
            at("m", "dear", &dear, &price("a", "2e-5")),
            at("m", "cheap", cheapest, &format!("{}, {more}", price("a", "1e-6"))),
            at("m", "cheaper", &other, &price("b", "1e-9")),
        ]
    };
    let settings = settings("cost-based-routing", "num_retries: 1, retry_after: 0");
    let tagged = || json!({"tags": ["a"]});
    let gateway = Gateway::start(&config(&deployments(&cheap, ""), &settings));
    assert_eq!(of(&served(&gateway, 20, tagged()).await, "cheap"), 20);
    let gateway = Gateway::start(&config(&deployments(&cheap, "rpm: 3"), &settings));
    let full = served(&gateway, 5, tagged()).await;
    assert_eq!((of(&full, "cheap"), of(&full, "dear")), (3, 2), "`rpm` is a limit");
    let gateway = Gateway::start(&config(&deployments(&failing, ""), &settings));
    assert_eq!(of(&served(&gateway, 5, tagged()).await, "dear"), 5);
    assert_eq!((failing.hits(), unknown.hits(), other.hits()), (5, 0, 0));
}

#[tokio::test]
async fn usage_is_evened_out_by_tokens() {
    for strategy in ["usage-based-routing", "usage-based-routing-v2"] {
        let (large, small, other) = (slow(0, 999).await, slow(0, 99).await, Fake::start().await);
        let gateway = Gateway::start(&config(
            &[
                at("m", "large", &large, "tags: [a]"),
                at("m", "small", &small, "tags: [a]"),
                at("m", "unused", &other, "tags: [b]"),
            ],
            &settings(strategy, "num_retries: 0"),
        ));
        // 1,000 tokens a call there, 100 here: ten times as many calls, even if a minute ends in between.
        let both = served(&gateway, 66, json!({"tags": ["a"]})).await;
        assert!((4..=11).contains(&of(&both, "large")), "{both:?}");
        assert_eq!(other.hits(), 0);
    }
}

#[tokio::test]
async fn of_two_at_random_the_faster_and_less_busy_serves() {
    let (slow_one, fast, faster, other) =
        (slow(300, 1).await, slow(10, 1).await, slow(10, 1).await, slow(0, 1).await);
    let gateway = Gateway::start(&config(
        &[
            at("m", "slow", &slow_one, "tags: [a]"),
            at("m", "fast", &fast, "tags: [a]"),
            at("m", "faster", &faster, "tags: [a]"),
            at("m", "unused", &other, "tags: [b]"),
        ],
        &settings("power-of-two", "num_retries: 0"),
    ));
    for _ in 0..20 {
        let calls = (0..4).map(|_| gateway.chat("m", json!({"tags": ["a"]})).send());
        for answer in calls.collect::<JoinSet<_>>().join_all().await {
            assert_eq!(answer.unwrap().status(), 200);
        }
    }
    // It is called while nothing is known of it yet, and when the others have much to do.
    assert!(slow_one.hits() < 12, "{}", slow_one.hits());
    assert!(20 < fast.hits() && 20 < faster.hits(), "{} {}", fast.hits(), faster.hits());
    assert_eq!(other.hits(), 0);
}

#[tokio::test]
async fn no_strategy_leaves_the_tags_whatever_fails() {
    const ALL: [(&str, &str); 8] = [
        ("simple-shuffle", ""),
        ("least-busy", ""),
        ("latency-based-routing", ""),
        ("cost-based-routing", ""),
        ("usage-based-routing", ""),
        ("usage-based-routing-v2", ""),
        ("power-of-two", ""),
        ("sticky", "by: user"),
    ];
    let failing = Fake::answer(|seen| match seen.body.len() % 2 {
        0 => Reply::error(500, "no"),
        _ => Reply::completion("yes", 1, 1).delay(Duration::from_millis(20)),
    })
    .await;
    let (working, other) = (slow(5, 5).await, Fake::start().await);
    let (mut deployments, mut groups) = (Vec::new(), String::new());
    for (strategy, args) in ALL {
        let id = |name: &str| format!("{strategy}-{name}");
        deployments.push(at(strategy, &id("failing"), &failing, "tags: [a]"));
        deployments.push(at(strategy, &id("working"), &working, "tags: [a]"));
        deployments.push(at(
            strategy,
            &id("cheap"),
            &other,
            "tags: [b], input_cost_per_token: 0, output_cost_per_token: 0",
        ));
        groups.push_str(&format!(
            "    - {{group_name: g-{strategy}, models: [{strategy}], routing_strategy: {strategy}, routing_strategy_args: {{{args}}}}}\n"
        ));
    }
    let settings = format!(
        "router_settings:\n  enable_tag_filtering: true\n  num_retries: 2\n  retry_after: 0\n  allowed_fails: 10\n  cooldown_time: 1\n  routing_groups:\n{groups}"
    );
    let gateway = Gateway::start(&config(&deployments, &settings));
    for (strategy, _) in ALL {
        let calls = (0..24).map(|number| {
            let user = format!("user-{}", "x".repeat(number % 7));
            gateway.chat(strategy, json!({"tags": ["a"], "user": user})).send()
        });
        for answer in calls.collect::<JoinSet<_>>().join_all().await {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), 200, "{strategy}");
            assert!(answer.deployment().starts_with(strategy), "{}", answer.deployment());
        }
        let body = json!({"model": strategy, "tags": ["a"], "messages": []});
        let told: Value = gateway.post("/route/explain", &body).send().await.unwrap().json().await.unwrap();
        let expected =
            if told["candidates"].as_array().unwrap().len() < 2 { "the only candidate" } else { strategy };
        assert_eq!(told["strategy"], expected);
        let path = format!("/model_group/info?model_group={strategy}");
        let told: Value = gateway.get(&path).send().await.unwrap().json().await.unwrap();
        assert_eq!(told["data"][0]["routing_strategy"], strategy);
    }
    assert_eq!(other.hits(), 0);
    for (strategy, _) in ALL {
        let answer = gateway.chat(strategy, json!({"tags": ["b"]})).send().await.unwrap();
        assert_eq!(answer.deployment(), format!("{strategy}-cheap"));
    }
}

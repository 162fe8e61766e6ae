//! One of three deployments is ill in one way after another: clients hardly notice, it gets hardly any traffic, and
//! comes back when it is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tagway_fake::{After, Fake, Reply};

use super::{count, decent, drive, fields, get, tell};
use crate::gateway::{Gateway, PATIENCE, at, config};

/// The ways in which it is ill, one after the other; well before and after them.
const ILLS: [&str; 3] = ["answers 500", "hangs", "resets"];

#[tokio::test]
async fn one_of_three_deployments_dies_in_every_way_and_clients_hardly_notice() {
    let state = Arc::new(AtomicUsize::new(usize::MAX));
    let told = Arc::clone(&state);
    let ill = Fake::answer(move |seen| match told.load(Ordering::SeqCst) {
        0 => Reply::error(500, "ill"),
        1 => decent(seen, "well").stall(After::Request),
        2 => decent(seen, "well").reset(After::Request),
        _ => decent(seen, "well"),
    })
    .await;
    let well =
        [Fake::answer(|seen| decent(seen, "well")).await, Fake::answer(|seen| decent(seen, "well")).await];
    let deployments = [
        at("m", "ill", &ill.url(), "[]"),
        at("m", "one", &well[0].url(), "[]"),
        at("m", "two", &well[1].url(), "[]"),
    ];
    // LiteLLM's default is 5; a short run waits for less.
    let pause = count(1, 5);
    let more = format!(
        "router_settings: {{num_retries: 3, timeout: 1, stream_timeout: 1, cooldown_time: {pause}}}\n"
    );
    let gateway = Gateway::start(&config(&deployments, &more));
    let of_each = count(300, 3400);
    let (mut all, mut failed) = (0, 0);
    for (ill_so, way) in ILLS.iter().enumerate() {
        let before = ill.hits();
        state.store(ill_so, Ordering::SeqCst);
        let outcome = drive(of_each, 8, |number| gateway.chat("m", fields(number, json!({})))).await;
        let hits = ill.hits() - before;
        let bad = outcome.failed("well").len();
        tell(&format!(
            "one of three {way}: {of_each} requests, {bad} failed {:?}, {hits} reached it, p99 {:?}",
            outcome.statuses(),
            outcome.percentile(99),
        ));
        // What finds out that it is ill, and afterwards less than 2 %.
        assert!(hits <= 16 + of_each / 50, "it {way}: {hits} of {of_each} requests reached it");
        all += of_each;
        failed += bad;
        state.store(usize::MAX, Ordering::SeqCst);
        let began = Instant::now();
        let back = ill.hits();
        // Its share is a third: with twenty requests in a row it has come back.
        while ill.hits() < back + 20 {
            assert!(began.elapsed() < PATIENCE, "it {way}, and never came back");
            assert_eq!(get(gateway.chat("m", json!({}))).await.status, 200);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tell(&format!(
            "well again after having been one that {way}: served anew after {:?}",
            began.elapsed()
        ));
    }
    tell(&format!("one of three dead: {failed} of {all} requests failed"));
    assert!(failed * 1000 <= all, "{failed} of {all} requests failed");
}

#[tokio::test]
async fn half_of_a_group_that_is_out_of_quota_is_left_alone_for_as_long_as_it_asks() {
    let full = || Fake::answer(|_| Reply::error(429, "slow down").retry_after(50));
    let well = || Fake::answer(|seen| decent(seen, "well"));
    let (full, well) = ([full().await, full().await], [well().await, well().await]);
    let deployments: Vec<String> = [&full[0], &well[0], &full[1], &well[1]]
        .iter()
        .zip(["full-1", "one", "full-2", "two"])
        .map(|(fake, id)| at("m", id, &fake.url(), "[]"))
        .collect();
    let gateway =
        Gateway::start(&config(&deployments, "router_settings: {num_retries: 3, cooldown_time: 1}\n"));
    let requests = count(300, 5000);
    let outcome = drive(requests, 8, |number| gateway.chat("m", fields(number, json!({})))).await;
    let hits: usize = full.iter().map(Fake::hits).sum();
    tell(&format!("half of four out of quota: {:?}, {hits} of {requests} reached them", outcome.statuses()));
    assert!(outcome.failed("well").is_empty(), "{:?}", outcome.statuses());
    // Those that were under way when the first refusal came.
    assert!(hits <= 16, "{hits}");
}

//! More requests than the gateway serves: the interactive ones are served as ever, the flood gets its answer at once.

use std::time::Duration;

use serde_json::json;
use tagway_fake::Fake;

use super::{count, decent, drive, fields, tell};
use crate::gateway::{Gateway, KEY, at};

#[tokio::test]
async fn a_flood_of_batch_jobs_does_not_reach_interactive_requests() {
    let fake = Fake::answer(|seen| decent(seen, "well").delay(Duration::from_millis(30))).await;
    let gateway = Gateway::start(&format!(
        "model_list:\n{}general_settings: {{master_key: {KEY}, global_max_parallel_requests: 20, \
         max_queued_requests: 10, admission_queue_timeout_seconds: 5, priority_shares: {{low: 0.5}}}}\n\
         tags: [{{name: interactive, priority: high}}, {{name: batch, priority: low}}]\n",
        at("m", "one", &fake.url(), "[]")
    ));
    let tagged = |tag: &'static str| {
        let gateway = &gateway;
        move |number: usize| gateway.chat("m", fields(number, json!({"tags": [tag]})))
    };
    let requests = count(200, 5000);
    let (flood, interactive) =
        tokio::join!(drive(requests * 6, 60, tagged("batch")), drive(requests, 6, tagged("interactive")));
    tell(&format!(
        "interactive beside a flood: {:?}, p99 {:?}; the flood: {:?}, p99 {:?}",
        interactive.statuses(),
        interactive.percentile(99),
        flood.statuses(),
        flood.percentile(99)
    ));
    assert!(interactive.failed("well").is_empty(), "{:?}", interactive.statuses());
    let statuses = flood.statuses();
    assert!(statuses.keys().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert!(statuses.contains_key(&200) && statuses.contains_key(&503), "{statuses:?}");
    // Nobody dies slowly: who is not served hears so before it would have waited in vain.
    assert!(flood.percentile(99) < Duration::from_secs(5), "{:?}", flood.percentile(99));
}

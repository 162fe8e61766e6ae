//! With failures everywhere, fallbacks between groups and a whole team's deployments cooling down, no request lands
//! outside the tags it inherits: counted by the upstreams themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply, Seen};

use super::{count, decent, drive, random, tell};
use crate::gateway::{Gateway, KEY, at, chat_body};
use crate::store::key;

/// Whose an upstream is.
const OWNERS: [&str; 3] = ["teamA", "teamB", "default"];

/// What upstreams have noted.
#[derive(Default)]
struct Noted {
    hits: [AtomicUsize; 3],
    /// Requests of a team that reached what is not the team's.
    strayed: AtomicUsize,
    /// Everything of a team is down.
    down: [AtomicBool; 3],
}

/// An upstream that fails two times of five, and always while its team is down.
async fn upstream(noted: &Arc<Noted>, owner: usize, salt: u64) -> Fake {
    let noted = Arc::clone(noted);
    Fake::answer(move |seen: &Seen| {
        let number = noted.hits[owner].fetch_add(1, Ordering::SeqCst);
        let body = seen.text();
        let strays = |team: &&str| body.contains(&format!("of {team}")) && **team != *OWNERS[owner];
        if OWNERS[..2].iter().any(strays) {
            noted.strayed.fetch_add(1, Ordering::SeqCst);
        }
        if noted.down[owner].load(Ordering::SeqCst) {
            return Reply::error(503, "down");
        }
        match random(salt << 32 | number as u64) % 20 {
            0..=3 => Reply::error(500, "ill"),
            4 => Reply::error(429, "slow down").retry_after(1),
            5 => decent(seen, "well").reset(After::Request),
            6 => decent(seen, "well").close(After::Bytes(20)),
            7 => Reply::garbage("no HTTP"),
            _ => decent(seen, "well"),
        }
    })
    .await
}

#[tokio::test]
async fn no_request_lands_outside_the_tags_it_inherits_whatever_fails() {
    let noted = Arc::new(Noted::default());
    let (mut fakes, mut deployments) = (Vec::new(), Vec::new());
    for group in ["m", "n"] {
        for (owner, name) in OWNERS.iter().enumerate() {
            for number in 0..2 {
                let fake = upstream(&noted, owner, fakes.len() as u64).await;
                let id = format!("{group}-{name}-{number}");
                deployments.push(at(group, &id, &fake.url(), &format!("[{name}]")));
                fakes.push(fake);
            }
        }
    }
    let gateway = Gateway::start(&format!(
        "model_list:\n{}general_settings: {{master_key: {KEY}}}\n\
         router_settings: {{enable_tag_filtering: true, num_retries: 1, cooldown_time: 0.3, allowed_fails: 2, \
         timeout: 2, fallbacks: [{{m: [n]}}, {{n: [m]}}], default_fallbacks: [n]}}\n",
        deployments.concat()
    ));
    let mut keys = Vec::new();
    for team in &OWNERS[..2] {
        let made = gateway.post("/team/new", &json!({"team_id": team, "tags": [team]})).send().await.unwrap();
        assert_eq!(made.status(), 200);
        keys.push(key(&gateway, json!({"team_id": team})).await);
    }
    let url = format!("{}/v1/chat/completions", gateway.url);
    let request = |number: usize| {
        let team = number % 2;
        let body = body(number, OWNERS[team]);
        gateway.client.post(&url).bearer_auth(&keys[team]).json(&body)
    };
    let requests = count(800, 50_000);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    // Nobody down, then one team, then the other, then both.
    let phases = 8;
    for phase in 0..phases {
        for team in 0..2 {
            noted.down[team].store(phase >> team & 1 == 1, Ordering::SeqCst);
        }
        let before = phase * requests;
        let outcome = drive(requests / phases, 16, |number| request(before + number)).await;
        for (status, count) in outcome.statuses() {
            *statuses.entry(status).or_default() += count;
        }
    }
    let hits = [0, 1, 2].map(|owner| noted.hits[owner].load(Ordering::SeqCst));
    let strayed = noted.strayed.load(Ordering::SeqCst);
    tell(&format!("boundary: {statuses:?}, upstreams of A, B and nobody {hits:?}, outside {strayed}"));
    assert_eq!(strayed, 0, "requests outside the boundary");
    // They did go somewhere, the default deployments are nobody's fallback, and some found everything cooling down.
    assert!(requests / 8 < hits[0] && requests / 8 < hits[1], "{hits:?}");
    assert_eq!(hits[2], 0);
    for status in [200, 429] {
        assert!(statuses.contains_key(&status), "{statuses:?}");
    }
}

/// A request of a team that asks for what it may not have, too.
fn body(number: usize, team: &str) -> Value {
    let dice = random(number as u64);
    let tags = [
        json!([]),
        json!(["teamA"]),
        json!(["teamB"]),
        json!(["default"]),
        json!(["unknown"]),
        json!(["!teamA"]),
        json!(["&teamB"]),
        json!(["teamA", "teamB", "default"]),
    ];
    let models = ["m", "n", "m", "n", "m", "m-teamB-0", "n-teamA-1", "m-default-0"];
    let mut body = chat_body(
        models[(dice >> 8) as usize % models.len()],
        json!({
            "messages": [{"role": "user", "content": format!("of {team}")}],
            "tags": tags[dice as usize % tags.len()],
            "stream": dice >> 16 & 1 == 1,
        }),
    );
    match dice >> 20 & 7 {
        0 => body["fallbacks"] = json!(["n", "m-teamA-0", "m-teamB-1"]),
        1 => body["fallbacks"] = json!(["n-default-0", "m"]),
        2 => body["tag_expression"] = json!("teamA or teamB or default"),
        _ => {}
    }
    body
}

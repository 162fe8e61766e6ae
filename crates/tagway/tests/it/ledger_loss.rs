//! What is lost of the books when a gateway is killed, or its store is away: nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tagway_fake::{Fake, OpenAi};
use tokio::sync::mpsc;

use crate::books::{by_call, rows, until_rows};
use crate::gateway::{Folder, Gateway, command, config, deployment};
use crate::ledger::{PLAIN, priced, spent};
use crate::store::key;
use crate::stores::{Home, Store, Traffic, Way, on_both_stores, until};

on_both_stores!(every_answer_is_in_the_books_once_however_often_the_gateway_is_killed);

/// Asks a gateway, by many clients at once, until `stop`; tells the call ids of the answers that came to their end.
fn load(
    gateway: &Gateway,
    key: &str,
    calls: &Arc<AtomicUsize>,
    stop: &Arc<AtomicBool>,
    whole: &mpsc::UnboundedSender<String>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let client = |at: usize| {
        let (http, url, key) = (gateway.client.clone(), gateway.url.clone(), key.to_owned());
        let (calls, stop, whole) = (Arc::clone(calls), Arc::clone(stop), whole.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let id = format!("call-{}", calls.fetch_add(1, Ordering::Relaxed));
                let stream = at.is_multiple_of(2);
                let body = json!({
                    "model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}],
                });
                let request = http.post(format!("{url}/v1/chat/completions")).bearer_auth(&key).json(&body);
                let request = request.header("x-litellm-call-id", &id).header("x-litellm-tags", "a,b");
                let Ok(answer) = request.send().await else { return };
                let status = answer.status();
                let Ok(text) = answer.text().await else { return };
                assert_eq!(status, 200, "{text}");
                if !stream || text.ends_with("data: [DONE]\n\n") {
                    whole.send(id).unwrap();
                }
            }
        })
    };
    (0..8).map(client).collect()
}

async fn nothing_waits(gateway: &Gateway) -> bool {
    let ready = gateway.get("/health/readiness").send().await.unwrap();
    ready.json::<Value>().await.unwrap()["ledger"]["waiting_bytes"] == 0
}

async fn every_answer_is_in_the_books_once_however_often_the_gateway_is_killed(store: Store) {
    const KILLS: usize = 10;
    let fake = Fake::run(OpenAi::default().usage(1000, 500)).await;
    let home = Home::new(store);
    let (name, value) = home.env();
    let env = [(name, value.as_str())];
    let mut gateway = Gateway::start_with(&config(&[priced("m", "one", &fake.url())], PLAIN), &[], &env);
    let made = key(&gateway, json!({})).await;
    let (calls, (whole, mut ended)) = (Arc::default(), mpsc::unbounded_channel());
    for round in 0..KILLS {
        let stop = Arc::default();
        let before = ended.len();
        let clients = load(&gateway, &made, &calls, &stop, &whole);
        // In the middle of it, and not always at the same moment of a shipment.
        until("answers", async || before + 50 < ended.len()).await;
        tokio::time::sleep(Duration::from_millis(37 * round as u64)).await;
        gateway.signal("KILL");
        for client in clients {
            client.await.unwrap();
        }
        gateway = Gateway::start_in(gateway.stopped(), &[], &env);
    }
    let mut acknowledged = Vec::new();
    while let Ok(id) = ended.try_recv() {
        acknowledged.push(id);
    }
    let booked = until_rows(&home, acknowledged.len()).await;
    until("nothing to wait", async || nothing_waits(&gateway).await).await;
    let count = by_call(&booked);
    let lost: Vec<_> = acknowledged.iter().filter(|id| !count.contains_key(id.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
    let twice: Vec<_> = count.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(booked.len() <= fake.hits(), "{} rows for {} calls", booked.len(), fake.hits());
    // And the sums are those of the rows.
    #[expect(clippy::cast_precision_loss, reason = "as the API shows it")]
    let cost = rows(&home).await.iter().filter_map(|row| row.cost).sum::<i64>() as f64 / 1e9;
    assert!((spent(&gateway, &made).await - cost).abs() < 1e-9);
}

#[tokio::test]
async fn a_store_that_is_away_for_a_while_costs_no_request_and_no_receipt() {
    let home = Home::new(Store::Postgres);
    let Home::Database(database) = &home else { panic!("not a database") };
    let way = Way::to(&database.url);
    let url = way.through(&database.url);
    let fake = Fake::run(OpenAi::default().usage(1000, 500)).await;
    let env = [("DATABASE_URL", url.as_str())];
    let gateway = Gateway::start_with(&config(&[priced("m", "one", &fake.url())], PLAIN), &[], &env);
    let made = key(&gateway, json!({})).await;
    for traffic in [Traffic::Refused, Traffic::Silent] {
        let (calls, stop, (whole, mut ended)) = (Arc::default(), Arc::default(), mpsc::unbounded_channel());
        let (before, hits) = (rows(&home).await.len(), fake.hits());
        let clients = load(&gateway, &made, &calls, &stop, &whole);
        until("answers", async || 50 < ended.len()).await;
        way.set(traffic);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let ready: Value = gateway.get("/health/readiness").send().await.unwrap().json().await.unwrap();
        assert!(ready["ledger"]["waiting_bytes"].as_u64().unwrap() > 0, "{ready}");
        way.set(Traffic::Flows);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        let mut count = 0;
        while ended.try_recv().is_ok() {
            count += 1;
        }
        // Not one client gave up.
        assert_eq!(count, fake.hits() - hits);
        until_rows(&home, before + count).await;
        until("nothing to wait", async || nothing_waits(&gateway).await).await;
        assert_eq!(rows(&home).await.len(), before + count);
    }
}

#[tokio::test]
async fn what_a_gateway_leaves_is_shipped_by_another_on_the_same_folder() {
    let home = Home::new(Store::Postgres);
    let Home::Database(database) = &home else { panic!("not a database") };
    let way = Way::to(&database.url);
    let url = way.through(&database.url);
    let fake = Fake::start().await;
    let dir = tempfile::TempDir::new().unwrap();
    let folder = dir.path().to_str().unwrap();
    let env = [("DATABASE_URL", url.as_str()), ("TAGWAY_DATA_DIR", folder)];
    let config = config(&[priced("m", "one", &fake.url())], PLAIN);
    let survivor = Gateway::start_with(&config, &[], &env);
    let victim = Gateway::start_with(&config, &[], &env);
    way.set(Traffic::Refused);
    for at in 0..20 {
        let answer =
            victim.chat("m", json!({})).header("x-litellm-call-id", format!("left-{at}")).send().await;
        assert_eq!(answer.unwrap().status(), 200);
    }
    victim.signal("KILL");
    let left: Arc<Folder> = victim.stopped();
    way.set(Traffic::Flows);
    let booked = until_rows(&home, 20).await;
    assert_eq!(by_call(&booked).len(), 20);
    drop((survivor, left));
}

/// As if the disk had no more room than this for a file, or had it again.
fn room_for_files(gateway: &Gateway, bytes: Option<u64>) {
    let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let mut prlimit = std::process::Command::new("prlimit");
    let set =
        prlimit.arg(format!("--pid={}", gateway.pid())).arg(format!("--fsize={limit}:unlimited")).status();
    assert!(set.unwrap().success());
}

/// A gateway whose journal is full: the disk has no room, and the store does not take anything.
async fn with_a_full_journal(policy: &str) -> (Gateway, Way, Home, Fake) {
    let home = Home::new(Store::Postgres);
    let Home::Database(database) = &home else { panic!("not a database") };
    let way = Way::to(&database.url);
    let url = way.through(&database.url);
    let fake = Fake::start().await;
    let deployments = [priced("m", "one", &fake.url())];
    let config = config(&deployments, PLAIN)
        .replace("general_settings:\n", &format!("general_settings:\n  spend_failure: {policy}\n"));
    let gateway = Gateway::start_with(&config, &[], &[("DATABASE_URL", url.as_str())]);
    room_for_files(&gateway, Some(2 << 10));
    way.set(Traffic::Refused);
    (gateway, way, home, fake)
}

#[tokio::test]
async fn with_a_full_journal_requests_are_served_and_kept_in_memory() {
    let (gateway, way, home, _fake) = with_a_full_journal("serve").await;
    for _ in 0..100 {
        assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
    }
    gateway.log("THE JOURNAL CANNOT BE WRITTEN");
    let ready: Value = gateway.get("/health/readiness").send().await.unwrap().json().await.unwrap();
    assert_eq!(ready["ledger"]["status"], "failing", "{ready}");
    way.set(Traffic::Flows);
    assert_eq!(until_rows(&home, 100).await.len(), 100);
    room_for_files(&gateway, None);
    gateway.log("the journal can be written again");
    until("health", async || {
        let ready: Value = gateway.get("/health/readiness").send().await.unwrap().json().await.unwrap();
        ready["ledger"]["status"] == "healthy"
    })
    .await;
    assert_eq!(rows(&home).await.len(), 100);
}

#[tokio::test]
async fn with_a_full_journal_requests_are_refused_where_that_is_wanted() {
    let (gateway, way, home, fake) = with_a_full_journal("refuse").await;
    let mut served = 0;
    let refused = loop {
        let answer = gateway.chat("m", json!({})).send().await.unwrap();
        if answer.status() == 503 {
            break answer;
        }
        assert_eq!(answer.status(), 200);
        served += 1;
        assert!(served < 100, "nothing is refused");
    };
    assert!(refused.headers().contains_key("retry-after"));
    let error = refused.json::<Value>().await.unwrap()["error"].clone();
    assert_eq!(
        (&error["type"], &error["reason"]),
        (&json!("service_unavailable"), &json!("ledger")),
        "{error}"
    );
    assert_eq!(fake.hits(), served);
    way.set(Traffic::Flows);
    room_for_files(&gateway, None);
    until("service", async || gateway.chat("m", json!({})).send().await.unwrap().status() == 200).await;
    assert_eq!(until_rows(&home, served + 1).await.len(), served + 1);
}

/// An entry of a journal as the gateway writes it.
fn entry(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&length[..], &crc32fast::hash(payload).to_le_bytes(), payload].concat()
}

#[tokio::test]
async fn what_cannot_be_read_is_put_aside_and_holds_nobody_up() {
    let home = Home::new(Store::Postgres);
    let Home::Database(database) = &home else { panic!("not a database") };
    let way = Way::to(&database.url);
    let url = way.through(&database.url);
    let env = [("DATABASE_URL", url.as_str())];
    let config = config(&[deployment("m", "one", "model: openai/x, mock_response: a")], PLAIN);
    let gateway = Gateway::start_with(&config, &["--workers", "1"], &env);
    way.set(Traffic::Refused);
    for _ in 0..3 {
        assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
    }
    gateway.signal("KILL");
    let folder = gateway.stopped();
    let journal = folder.path().join("data/journal/0");
    let file = journal.join("0.log");
    let held = std::fs::read(&file).unwrap();
    let mut damaged = entry(br#"{"status": 200}"#);
    *damaged.last_mut().unwrap() ^= 1;
    let unreadable = entry(br#""no receipt at all""#);
    std::fs::write(&file, [held, unreadable.clone(), damaged, unreadable[..9].to_vec()].concat()).unwrap();
    way.set(Traffic::Flows);
    let gateway = Gateway::start_in(Arc::clone(&folder), &[], &env);
    // All of it is in the books before anybody is served.
    assert_eq!(rows(&home).await.len(), 3);
    let aside = std::fs::read_to_string(journal.join("unreadable")).unwrap();
    assert!(aside.contains("no receipt at all") && aside.contains(r#"{"status": 200"#), "{aside}");
    assert!(!file.exists());
    drop(gateway);
}

#[tokio::test]
async fn without_a_folder_receipts_go_to_the_store_from_memory() {
    let home = Home::new(Store::Postgres);
    let (name, value) = home.env();
    let nowhere =
        [("TAGWAY_DATA_DIR", ""), ("HOME", "/dev/null"), ("XDG_DATA_HOME", ""), (name, value.as_str())];
    let config = config(&[deployment("m", "one", "model: openai/x, mock_response: a")], PLAIN);
    let gateway = Gateway::start_with(&config, &[], &nowhere);
    for _ in 0..3 {
        assert_eq!(gateway.chat("m", json!({})).send().await.unwrap().status(), 200);
    }
    assert_eq!(until_rows(&home, 3).await.len(), 3);
    gateway.signal("TERM");
    assert_eq!(gateway.ended(), Some(0));
}

#[test]
fn a_folder_that_was_asked_for_must_hold_a_journal() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("journal"), "").unwrap();
    let config_file = dir.path().join("config.yaml");
    std::fs::write(
        &config_file,
        config(&[deployment("m", "one", "model: openai/x, mock_response: a")], PLAIN),
    )
    .unwrap();
    let output = command()
        .arg("--config")
        .arg(&config_file)
        .args(["--host", "127.0.0.1", "--port", "0", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot keep a journal"), "{said}");
}

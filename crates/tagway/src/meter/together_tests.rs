//! Limits that gateways share, at a real Valkey: the script counts as the core does, and together they let in what one
//! alone would.

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tagway_core::config::{Valkey, ValkeyServer};
use tagway_core::secret::Secret;

use super::sharing::SHARE;
use super::*;
use crate::tasks::Tasks;
use crate::valkey::Server;

fn url() -> String {
    std::env::var("TAGWAY_TEST_VALKEY_URL").expect("scripts/test sets it")
}

fn store() -> String {
    format!("test-{:032x}", fastrand::u128(..))
}

fn rpm(limit: u64) -> Rates {
    Rates { requests: Some(limit), ..Rates::default() }
}

fn places(limit: u64) -> Rates {
    Rates { in_progress: Some(limit), ..Rates::default() }
}

/// A gateway at the Valkey of scripts/test, and its meter of this name.
async fn gateway(store: &str, tasks: &mut Tasks) -> (Arc<Sharing>, Arc<Meter>) {
    let (sharing, words) = Sharing::new(store);
    let server = Server::new(&Valkey::new(ValkeyServer::Url(Secret::new(url()))), store).unwrap();
    tasks.spawn("valkey", |stop| converse(Arc::clone(&sharing), server, words, || false, stop));
    until(|| !sharing.is_lost()).await;
    let meter = Meter::new("tag:eng", Some(&sharing));
    (sharing, meter)
}

async fn until(is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < deadline, "not within 10 seconds");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn let_in(meter: &Arc<Meter>, rates: Rates) -> Result<Permit, Kept> {
    admit(meter, rates, micros(Instant::now())).await
}

/// What is done to a meter.
#[derive(Debug, Clone)]
struct Step {
    limits: (u64, u64),
    take: u64,
    owed: (u64, u64),
    known: (Window, Window),
}

/// What is known to be used at least, by its age; mostly nothing.
fn known() -> impl Strategy<Value = Window> {
    let count = || prop_oneof![0u64..100, 0u64..2_000_000_000];
    let count = move || prop_oneof![2 => Just(0u64), 1 => count()];
    let some = (0u64..70_000_000, proptest::array::uniform12(count()));
    prop_oneof![
        4 => Just(Window::default()),
        1 => some.prop_map(|(begun, counts)| Window { begun, counts }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    // Few and many, to meet both ways of multiplying.
    let limit = || prop_oneof![0u64..10, 1u64..100_000, 1u64..2_000_000_000];
    let limits = prop_oneof![3 => Just((600, 90_000)), 1 => (limit(), limit())];
    let units = || prop_oneof![3 => Just(0u64), 3 => 0u64..50, 1 => 0u64..2_000_000];
    (limits, units(), (units(), units()), (known(), known())).prop_map(|(limits, take, owed, known)| Step {
        limits,
        take,
        owed,
        known,
    })
}

/// The same by the core.
fn expected(window: Window, limit: u64, owed: u64, known: Window, take: u64, now: u64) -> (u64, Window) {
    let window = window.or_more(Window { begun: now - known.begun, ..known }, now);
    let window = if 0 < owed { window.charge(owed, now) } else { window }.at(now);
    match PerMinute(limit).take_some(window, take, now) {
        Ok((taken, next)) if 0 < take => (taken, next),
        _ => (0, window),
    }
}

#[test]
fn the_script_counts_as_the_core_does() {
    let client = redis::Client::open(url()).unwrap();
    let connection = std::cell::RefCell::new(client.get_connection().unwrap());
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let steps = proptest::collection::vec(step(), 1..30);
    let result = runner.run(&steps, |steps| {
        let name = store();
        let (mut requests, mut tokens) = (Window::default(), Window::default());
        for step in steps {
            let mut call = SHARE.key(format!("{{{name}}}:gateways"));
            call.key(format!("{{{name}}}:meter")).arg("me").arg(1000);
            call.arg(step.limits.0).arg(step.take).arg(step.owed.0);
            call.arg(step.known.0.begun).arg(&step.known.0.counts);
            call.arg(step.limits.1).arg(step.owed.1);
            call.arg(step.known.1.begun).arg(&step.known.1.counts).arg(-1).arg(0).arg(0);
            let got: Vec<u64> = call.invoke(&mut *connection.borrow_mut()).unwrap();
            let stored = |field: &str| -> Window {
                let key = format!("{{{name}}}:meter");
                let text: String =
                    redis::cmd("HGET").arg(key).arg(field).query(&mut *connection.borrow_mut()).unwrap();
                let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().unwrap()).collect();
                Window { begun: numbers[0], counts: numbers[1..].try_into().unwrap() }
            };
            let (own, other) = (stored("r"), stored("t"));
            // The server's own clock: what it tells of the age, and what it has noted.
            let now = own.begun + got[2];
            let (taken, requests_then) =
                expected(requests, step.limits.0, step.owed.0, step.known.0, step.take, now);
            let (_, tokens_then) = expected(tokens, step.limits.1, step.owed.1, step.known.1, 0, now);
            prop_assert_eq!((got[1], own, other), (taken, requests_then, tokens_then));
            let told = |window: Window| [&[now - window.begun][..], &window.counts].concat();
            prop_assert_eq!(&got[2..], [&told(own)[..], &told(other), &[0, 0]].concat());
            (requests, tokens) = (own, other);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[tokio::test]
async fn two_gateways_let_in_what_one_would() {
    for limit in [7, 250, 5_000] {
        let (mut tasks, store) = (Tasks::new(), store());
        let (_, one) = gateway(&store, &mut tasks).await;
        let (_, two) = gateway(&store, &mut tasks).await;
        let began = Instant::now();
        let mut count = 0;
        let mut refused = [false; 2];
        for n in 0.. {
            match let_in([&one, &two][n % 2], rpm(limit)).await {
                Ok(_) => count += 1,
                Err(kept) => {
                    let Kept::Reached(Reached { what: Unit::Requests, wait, .. }) = kept else {
                        panic!("{kept:?}")
                    };
                    assert!(Duration::from_secs(50) < wait, "{wait:?}");
                    refused[n % 2] = true;
                }
            }
            if refused == [true; 2] {
                break;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(50));
        assert_eq!(count, limit);
        tasks.stop_within(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn tokens_used_on_one_gateway_close_the_limit_on_the_other() {
    let (mut tasks, store) = (Tasks::new(), store());
    let (_, one) = gateway(&store, &mut tasks).await;
    let (_, two) = gateway(&store, &mut tasks).await;
    let rates = Rates { tokens: Some(100), ..Rates::default() };
    assert!(let_in(&two, rates).await.is_ok());
    let_in(&one, rates).await.unwrap().used(150, micros(Instant::now()));
    let deadline = Instant::now() + Duration::from_secs(1);
    while let_in(&two, rates).await.is_ok() {
        assert!(Instant::now() < deadline, "not within a second");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let kept = let_in(&two, rates).await.unwrap_err();
    let Kept::Reached(Reached { what: Unit::Tokens, wait, .. }) = kept else { panic!("{kept:?}") };
    assert!(Duration::from_secs(50) < wait && wait <= Duration::from_secs(60), "{wait:?}");
    tasks.stop_within(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn no_more_are_in_progress_on_two_gateways_than_on_one() {
    for limit in [1, 3, 300] {
        let (mut tasks, store) = (Tasks::new(), store());
        let (_, one) = gateway(&store, &mut tasks).await;
        let (_, two) = gateway(&store, &mut tasks).await;
        let mut held = VecDeque::new();
        let mut refused = [false; 2];
        for n in 0.. {
            match let_in([&one, &two][n % 2], places(limit)).await {
                Ok(permit) => held.push_back(permit),
                Err(kept) => {
                    assert!(
                        matches!(kept, Kept::Reached(Reached { what: Unit::InProgress, .. })),
                        "{kept:?}"
                    );
                    refused[n % 2] = true;
                }
            }
            if refused == [true; 2] {
                break;
            }
        }
        assert_eq!(held.len() as u64, limit);
        // A place that is given back is anybody's at once.
        for n in 0..50 {
            drop(held.pop_front());
            held.push_back(let_in([&one, &two][n % 2], places(limit)).await.unwrap());
        }
        tasks.stop_within(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn what_a_gateway_does_alone_counts_for_all_when_it_is_back() {
    let (mut tasks, store) = (Tasks::new(), store());
    let (sharing, one) = gateway(&store, &mut tasks).await;
    let (_, two) = gateway(&store, &mut tasks).await;
    // Both have been heard of.
    until(|| {
        sharing.tell(&one, one.part().unwrap(), rpm(100), true);
        sharing.gateways() == 2
    })
    .await;
    sharing.lose(true);
    let mut count = 0;
    while let_in(&one, rpm(100)).await.is_ok() {
        count += 1;
    }
    assert_eq!(count, 50, "a share");
    sharing.lose(false);
    until(|| !one.part().unwrap().listed.load(Ordering::Relaxed)).await;
    let mut count = 0;
    while let_in(&two, rpm(100)).await.is_ok() {
        count += 1;
    }
    assert!((48..=52).contains(&count), "{count}");
    tasks.stop_within(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn what_a_new_server_does_not_know_it_is_told() {
    let (mut tasks, store) = (Tasks::new(), store());
    let (_, one) = gateway(&store, &mut tasks).await;
    let (_, two) = gateway(&store, &mut tasks).await;
    while let_in(&one, rpm(50)).await.is_ok() {}
    let held = let_in(&one, places(1)).await.unwrap();
    let client = redis::Client::open(url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys = [format!("tagway:{{{store}}}:limit:tag:eng"), format!("tagway:{{{store}}}:limiters")];
    redis::cmd("DEL").arg(&keys).exec_async(&mut connection).await.unwrap();
    let sharing = &one.part().unwrap().sharing;
    sharing.tell(&one, one.part().unwrap(), Rates { requests: Some(50), ..places(1) }, true);
    until(|| !one.part().unwrap().listed.load(Ordering::Relaxed)).await;
    let mut count = 0;
    while let_in(&two, rpm(50)).await.is_ok() {
        count += 1;
    }
    assert!(count <= 2, "{count}");
    assert!(let_in(&two, places(1)).await.is_err());
    drop(held);
    tasks.stop_within(Duration::from_secs(1)).await;
}

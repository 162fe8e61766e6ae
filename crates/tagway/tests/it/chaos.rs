//! What clients see while upstreams, stores and other clients misbehave: how many requests fail, how long they take,
//! and that none goes where its tags do not lead. Judged by what clients got and by what the upstreams have noted.
//!
//! Short runs are among the tests; `just chaos` makes the long ones (`TAGWAY_CHAOS=long`) and prints the figures.

mod boundary;
mod broken;
mod clients;
mod dead;
mod flood;
mod stores;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::Value;
use tagway_fake::{Reply, Seen};
use tokio::task::JoinSet;

/// How many requests a run makes.
fn count(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

fn is_long() -> bool {
    std::env::var("TAGWAY_CHAOS").is_ok_and(|size| size == "long")
}

/// Prints a figure of a long run.
#[expect(clippy::print_stderr, reason = "figures are what a long run is for")]
fn tell(figure: &str) {
    if is_long() {
        eprintln!("chaos: {figure}");
    }
}

/// A number that looks random and is the same in every run.
fn random(seed: u64) -> u64 {
    fastrand::Rng::with_seed(seed).u64(..)
}

/// What a decent provider answers: a stream where one is asked for.
fn decent(seen: &Seen, says: &str) -> Reply {
    if is_stream(seen) { Reply::chat_with_usage([says], 5, 1) } else { Reply::completion(says, 5, 1) }
}

fn is_stream(seen: &Seen) -> bool {
    seen.json()["stream"] == true
}

/// What a client got, and how long it took.
struct Got {
    /// 0: the connection broke.
    status: u16,
    body: String,
    took: Duration,
}

impl Got {
    /// Whether a whole answer came, which says this.
    fn is_whole(&self, says: &str) -> bool {
        let ended = !self.body.starts_with("data:")
            || self.body.contains("data: [DONE]") && !self.body.contains("\"error\"");
        self.status == 200 && ended && self.body.contains(says)
    }
}

/// Sends a request and reads its answer to the end.
async fn get(request: RequestBuilder) -> Got {
    let began = Instant::now();
    let (status, body) = match request.send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            answer.text().await.map_or((0, String::new()), |text| (status, text))
        }
        Err(_) => (0, String::new()),
    };
    Got { status, body, took: began.elapsed() }
}

/// What came of many requests.
struct Outcome {
    all: Vec<Got>,
}

impl Outcome {
    fn statuses(&self) -> BTreeMap<u16, usize> {
        self.all.iter().fold(BTreeMap::new(), |mut statuses, got| {
            *statuses.entry(got.status).or_default() += 1;
            statuses
        })
    }

    /// Those that got no whole answer.
    fn failed(&self, says: &str) -> Vec<&Got> {
        self.all.iter().filter(|got| !got.is_whole(says)).collect()
    }

    /// So many of a hundred took no longer.
    fn percentile(&self, percent: usize) -> Duration {
        let mut took: Vec<Duration> = self.all.iter().map(|got| got.took).collect();
        took.sort_unstable();
        took.get((took.len() * percent / 100).min(took.len() - 1)).copied().unwrap_or_default()
    }
}

/// Makes so many requests, `at_once` of them at a time.
async fn drive(count: usize, at_once: usize, request: impl Fn(usize) -> RequestBuilder) -> Outcome {
    let (mut running, mut all) = (JoinSet::new(), Vec::with_capacity(count));
    for number in 0..count {
        if at_once <= running.len() {
            all.extend(running.join_next().await.map(Result::unwrap));
        }
        running.spawn(get(request(number)));
    }
    all.extend(running.join_all().await);
    Outcome { all }
}

/// The number behind a metric's name and labels; 0 where there is none.
fn metric(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or(0.0)
}

/// A chat's fields, a stream every second time.
fn fields(number: usize, mut more: Value) -> Value {
    more["stream"] = number.is_multiple_of(2).into();
    more
}

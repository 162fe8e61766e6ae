//! Reads the keys of issuers: when the configuration names an address, when they have become old, and when a request
//! waits for one that nobody knows, but not oftener than they can have changed. What cannot be read leaves the keys of
//! before in force for as long as the configuration says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tagway_core::config::Jwt;
use tokio::sync::mpsc;

use super::{Ring, Source, Verifier, Wanted, keys};
use crate::tasks::Stop;
use crate::web;

/// How often it is looked at what is due.
const TICK: Duration = Duration::from_millis(500);
/// An address that does not answer within this time has failed …
const PATIENCE: Duration = Duration::from_secs(5);
/// … and is asked again after so long.
const AGAIN: Duration = Duration::from_secs(5);
/// Requests with keys that nobody knows have an address asked this often: whoever invents them is no load for it.
const GAP: Duration = Duration::from_secs(5);
/// Longer documents are no keys.
const LONGEST: u64 = 1 << 20;
/// What makes an address one of a discovery document, as for LiteLLM.
const DISCOVERY: &str = ".well-known/openid-configuration";

/// When an address is asked.
struct Plan {
    due: Instant,
    /// When it was asked for the sake of a request.
    asked: Option<Instant>,
    failing: bool,
}

/// Keeps the keys until asked to stop. `settings` tells whose.
pub(crate) async fn read(
    verifier: Arc<Verifier>,
    settings: impl Fn() -> Option<Arc<Jwt>> + Send + 'static,
    mut inbox: mpsc::Receiver<Wanted>,
    mut stop: Stop,
) {
    let mut plans: HashMap<String, Plan> = HashMap::new();
    loop {
        let mut waiting = Vec::new();
        tokio::select! {
            () = stop.asked() => return,
            wanted = inbox.recv() => match wanted {
                Some(wanted) => waiting.push(wanted),
                None => return,
            },
            () = tokio::time::sleep(TICK) => {}
        }
        while let Ok(wanted) = inbox.try_recv() {
            waiting.push(wanted);
        }
        let Some(jwt) = settings() else { continue };
        let now = Instant::now();
        note(&mut plans, &jwt, &waiting, now);
        let due: Vec<String> =
            plans.iter().filter(|(_, plan)| plan.due <= now).map(|(url, _)| url.clone()).collect();
        let fetches: Vec<_> =
            due.into_iter().map(|url| tokio::task::spawn_blocking(move || (fetch(&url), url))).collect();
        let mut fetched = Vec::new();
        for fetch in fetches {
            tokio::select! {
                () = stop.asked() => return,
                done = fetch => fetched.extend(done),
            }
        }
        take_in(&verifier, &mut plans, &jwt, fetched);
        for Wanted { done, .. } in waiting {
            // Who asked may have left.
            let _ = done.send(());
        }
    }
}

/// Notes which addresses there are, and which are to be asked now.
fn note(plans: &mut HashMap<String, Plan>, jwt: &Jwt, waiting: &[Wanted], now: Instant) {
    let urls = || jwt.issuers.iter().flat_map(|issuer| &issuer.key_urls);
    plans.retain(|url, _| urls().any(|known| known == url));
    for url in urls() {
        if !plans.contains_key(url) {
            plans.insert(url.clone(), Plan { due: now, asked: None, failing: false });
        }
    }
    for url in waiting.iter().flat_map(|wanted| &wanted.urls) {
        let Some(plan) = plans.get_mut(url) else { continue };
        // What is due anyway is nobody's doing.
        if now < plan.due && plan.asked.is_none_or(|asked| GAP <= now.saturating_duration_since(asked)) {
            (plan.asked, plan.due) = (Some(now), now);
        }
    }
}

/// Puts what was read in force, and forgets what is too old.
fn take_in(
    verifier: &Verifier,
    plans: &mut HashMap<String, Plan>,
    jwt: &Jwt,
    fetched: Vec<(Result<Source, String>, String)>,
) {
    let before = verifier.ring.load_full();
    let mut sources = before.sources.clone();
    let now = Instant::now();
    let mut changed = false;
    for (outcome, url) in fetched {
        let Some(plan) = plans.get_mut(&url) else { continue };
        match outcome {
            Ok(source) => {
                if plan.failing {
                    tracing::info!(url, "the keys of an issuer of tokens can be read again");
                }
                (plan.due, plan.failing) = (now + jwt.key_ttl, false);
                changed |= sources.get(&url).is_none_or(|known| known.text != source.text);
                sources.insert(url, source);
            }
            Err(why) => {
                if !plan.failing {
                    let kept = sources.contains_key(&url);
                    tracing::warn!(url, why, kept, "the keys of an issuer of tokens cannot be read");
                }
                (plan.due, plan.failing) = (now + AGAIN, true);
            }
        }
    }
    let oldest = jwt.key_ttl + jwt.stale_ttl;
    let all = sources.len();
    sources.retain(|url, source| {
        plans.contains_key(url) && now.saturating_duration_since(source.read) <= oldest + PATIENCE
    });
    changed |= sources.len() != all;
    // An unchanged document is younger now, and verifies what it did.
    let number = before.number + u64::from(changed);
    verifier.ring.store(Arc::new(Ring { number, sources }));
}

/// The keys at an address, or where the document there says.
fn fetch(url: &str) -> Result<Source, String> {
    let mut text = get(url)?;
    if url.contains(DISCOVERY) {
        let document: Value = serde_json::from_str(&text).map_err(|_| "no JSON".to_owned())?;
        let there = document.get("jwks_uri").and_then(Value::as_str);
        let there = there.filter(|there| there.starts_with("https://") || there.starts_with("http://"));
        text = get(there.ok_or("its jwks_uri is no address")?)?;
    }
    let keys: Vec<_> = keys::of(&text)?;
    if keys.is_empty() {
        return Err("it has no public key for signatures".to_owned());
    }
    Ok(Source { text: text.into(), keys: keys.into(), read: Instant::now() })
}

fn get(url: &str) -> Result<String, String> {
    let mut answer = web::agent(url.starts_with("https:"), PATIENCE)
        .get(url)
        .header("Accept", "application/json")
        .call()
        .map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    answer.body_mut().with_config().limit(LONGEST).read_to_string().map_err(|error| error.to_string())
}

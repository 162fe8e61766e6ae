//! Tells people when a budget is crossed, or a ramp is held: a message for Slack, and JSON for a webhook with the fields
//! LiteLLM sends, signed as Standard Webhooks (standardwebhooks.com) says. Told once for each window of a budget, whichever
//! gateway saw it first; knows nothing of how budgets are counted.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};
use tagway_core::config::Alerts;
use tagway_core::money::Nanos;
use tokio::sync::mpsc;

use crate::receipt::{NEVER, Payer};
use crate::store::{Db, StoreError};
use crate::tasks::Stop;
use crate::web;

/// A receiver that does not answer within this time is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
/// So often, with pauses that double from this one.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// A budget that was crossed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crossed {
    pub(crate) payer: Payer,
    pub(crate) id: Box<str>,
    pub(crate) spent: Nanos,
    pub(crate) soft: Option<Nanos>,
    pub(crate) most: Option<Nanos>,
    /// The end of the budget's window.
    pub(crate) until: i64,
}

impl Crossed {
    /// LiteLLM's name of what happened: the budget itself goes before the soft one.
    fn event(&self) -> &'static str {
        match self.most {
            Some(most) if most <= self.spent => "budget_crossed",
            _ => "soft_budget_crossed",
        }
    }

    fn who(&self) -> String {
        if self.id.is_empty() {
            self.payer.as_str().to_owned()
        } else {
            format!("{} {}", self.payer.as_str(), self.id)
        }
    }

    fn resets_at(&self) -> Option<String> {
        if self.until == NEVER {
            return None;
        }
        Some(Timestamp::from_millisecond(self.until).ok()?.to_string())
    }

    fn text(&self) -> String {
        let budget = match (self.event(), self.soft, self.most) {
            ("soft_budget_crossed", Some(soft), _) => format!("soft budget of {soft}"),
            (_, _, Some(most)) => format!("budget of {most}"),
            _ => "budget".to_owned(),
        };
        let resets = self.resets_at().map_or(String::new(), |at| format!(" It begins anew at {at}."));
        format!(
            "The {budget} dollars of the {} is crossed: {} dollars are spent.{resets}",
            self.who(),
            self.spent
        )
    }

    fn payload(&self) -> Value {
        let is = |payer: Payer| (self.payer == payer).then_some(&*self.id);
        let group = match self.payer {
            Payer::Customer => "end_user",
            Payer::Member => "team_member",
            Payer::Global => "proxy",
            other => other.as_str(),
        };
        json!({
            "event": self.event(),
            "event_group": group,
            "event_message": self.text(),
            "spend": self.spent.dollars(),
            "max_budget": self.most.map(Nanos::dollars),
            "soft_budget": self.soft.map(Nanos::dollars),
            "token": is(Payer::Key),
            "customer_id": is(Payer::Customer),
            "user_id": is(Payer::User),
            "team_id": is(Payer::Team),
            "organization_id": is(Payer::Organization),
            "project_id": is(Payer::Project),
            "tag": is(Payer::Tag),
            "id": self.id,
            "budget_reset_at": self.resets_at(),
        })
    }
}

/// Tells of crossed budgets until asked to stop.
pub(crate) async fn tell(alerts: Alerts, db: Db, mut crossed: mpsc::Receiver<Crossed>, mut stop: Stop) {
    let alerts = Arc::new(alerts);
    loop {
        let crossed = tokio::select! {
            () = stop.asked() => return,
            crossed = crossed.recv() => match crossed {
                Some(crossed) => crossed,
                None => return,
            },
        };
        tracing::warn!(
            payer = crossed.payer.as_str(), id = %crossed.id, spent = %crossed.spent, event = crossed.event(),
            "a budget is crossed"
        );
        if alerts.slack.is_empty() && alerts.webhook.is_none() {
            continue;
        }
        match is_first(&db, &crossed).await {
            Ok(true) => {}
            Ok(false) => continue,
            // Told twice is better than not at all.
            Err(error) => tracing::debug!(%error, "the store cannot say who tells of a crossed budget"),
        }
        let alerts = Arc::clone(&alerts);
        let sent = tokio::task::spawn_blocking(move || send(&alerts, &crossed.text(), &crossed.payload()));
        tokio::select! {
            () = stop.asked() => return,
            _ = sent => {}
        }
    }
}

/// Whether nobody has told of it yet.
async fn is_first(db: &Db, crossed: &Crossed) -> Result<bool, StoreError> {
    // Another amount is another budget.
    let amount = if crossed.event() == "budget_crossed" { crossed.most } else { crossed.soft };
    let event = format!("{} {}", crossed.event(), amount.unwrap_or_default());
    match db.claim_alert(crossed.payer.as_str(), &crossed.id, crossed.until, &event).await {
        Err(StoreError::Absent) => Ok(true),
        claimed => claimed,
    }
}

/// Tells of something that has been noted by whoever asks; takes its time.
pub(crate) async fn say(alerts: Alerts, text: String, payload: Value) {
    if !alerts.slack.is_empty() || alerts.webhook.is_some() {
        // What breaks off has been logged.
        let _ = tokio::task::spawn_blocking(move || send(&alerts, &text, &payload)).await;
    }
}

fn send(alerts: &Alerts, text: &str, payload: &Value) {
    let id = format!("msg_{:032x}", fastrand::u128(..));
    for slack in &alerts.slack {
        let body = json!({"text": text}).to_string();
        deliver("slack", slack.expose(), &body, &[]);
    }
    if let Some(webhook) = &alerts.webhook {
        let body = payload.to_string();
        let at = Timestamp::now().as_second().to_string();
        let mut headers = vec![("webhook-id", id.clone()), ("webhook-timestamp", at.clone())];
        if let Some(secret) = &alerts.signing {
            headers.push(("webhook-signature", signature(secret.expose(), &id, &at, &body)));
        }
        deliver("webhook", webhook.expose(), &body, &headers);
    }
}

/// `v1,` and the base64 of the HMAC-SHA256 of id, time and body.
fn signature(secret: &str, id: &str, at: &str, body: &str) -> String {
    let key = secret.strip_prefix("whsec_").and_then(|text| BASE64.decode(text).ok());
    let key = key.unwrap_or_else(|| secret.as_bytes().to_vec());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(tag.as_ref()))
}

/// Sends one message. The address may be a secret, and is not logged.
fn deliver(way: &'static str, url: &str, body: &str, headers: &[(&str, String)]) {
    let agent = web::agent(url.starts_with("https:"), PATIENCE);
    let mut pause = PAUSE;
    for left in (0..TRIES).rev() {
        let mut request = agent.post(url).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let why = match request.send(body) {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => answer.status().to_string(),
            Err(ureq::Error::Timeout(_)) => "no answer in time".to_owned(),
            Err(ureq::Error::HostNotFound) => "host not found".to_owned(),
            Err(_) => "no connection".to_owned(),
        };
        if left == 0 {
            tracing::error!(way, why, "an alert could not be delivered");
            return;
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossed(spent: i64) -> Crossed {
        Crossed {
            payer: Payer::Tag,
            id: "eng".into(),
            spent: Nanos(spent * 1_000_000_000),
            soft: Some(Nanos(5_000_000_000)),
            most: Some(Nanos(10_000_000_000)),
            until: NEVER,
        }
    }

    #[test]
    fn the_budget_goes_before_the_soft_budget() {
        assert_eq!(crossed(6).event(), "soft_budget_crossed");
        assert_eq!(crossed(10).event(), "budget_crossed");
        assert_eq!(
            crossed(6).text(),
            "The soft budget of 5.0 dollars of the tag eng is crossed: 6.0 dollars are spent."
        );
    }

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of the specification's reference libraries.
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let signed = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id, at, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}

//! What is billed where the provider's figures do not come: what was seen, counted by the gateway and marked so.

use serde_json::{Value, json};
use tagway_fake::{After, Fake, Reply};

use crate::books::{Row, until_rows};
use crate::gateway::{Gateway, config};
use crate::ledger::{PLAIN, priced};
use crate::stores::{Home, Store};

const WORDS: usize = 400;

/// Words of one token each.
fn words() -> Vec<String> {
    vec![" the".to_owned(); WORDS]
}

/// As an upstream of OpenAI counts [`asked`]: the words, the role, and what stands around a message and an answer.
const PROMPT: u64 = 400 + 1 + 3 + 3;

fn asked(gateway: &Gateway, stream: bool) -> reqwest::RequestBuilder {
    let messages = json!([{"role": "user", "content": words().concat()}]);
    gateway.chat("m", json!({"stream": stream, "messages": messages}))
}

async fn one(fake: &Fake, more: &str) -> (Gateway, Home) {
    Gateway::on(Store::Sqlite, &config(&[priced("m", "one", &fake.url())], more))
}

/// Whether a row bills what the upstream counts, give or take 5 %.
fn assert_billed(row: &Row, prompt: u64, completion: u64) {
    let (billed_prompt, billed_completion) = row.tokens();
    let near = |billed: u64, counted: u64| billed.abs_diff(counted) * 20 <= counted;
    assert!(
        near(billed_prompt, prompt) && near(billed_completion, completion),
        "{prompt} {completion} {row:?}"
    );
    let cost = i64::try_from(billed_prompt * 1000 + billed_completion * 2000).unwrap();
    assert_eq!(row.cost, Some(cost), "{row:?}");
}

#[tokio::test]
async fn a_client_that_leaves_pays_for_what_it_has_got() {
    // The first chunk tells the role; after the words comes one with the reason of the end.
    let stages = [
        (After::Request, None, 0),
        (After::Head, Some(0), 0),
        (After::Chunks(1), Some(0), 1),
        (After::Chunks(2), Some(1), 2),
        (After::Chunks(1 + WORDS / 2), Some(WORDS / 2), 1 + WORDS / 2),
        (After::Chunks(2 + WORDS), Some(WORDS), 2 + WORDS),
    ];
    let script = stages.map(|(at, ..)| Reply::chat(words()).stall(at));
    let fake = Fake::script(script).await;
    let (gateway, home) = one(&fake, PLAIN).await;
    for (number, (_, billed, chunks)) in stages.into_iter().enumerate() {
        let request = asked(&gateway, true);
        if chunks == 0 {
            let call = tokio::spawn(request.send());
            fake.until_read(number + 1).await;
            if billed.is_some() {
                // The head is at the gateway, which shows nothing before the first event.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            call.abort();
        } else {
            let mut answer = request.send().await.unwrap();
            let mut got = String::new();
            while got.matches("data: ").count() < chunks {
                got.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
            }
            drop(answer);
        }
        fake.until_aborted(number + 1).await;
        let rows = until_rows(&home, number + 1).await;
        let row = rows.last().unwrap();
        assert_eq!(row.rest["error"], "client_left", "{row:?}");
        match billed {
            Some(words) => {
                assert_billed(row, PROMPT, words as u64);
                assert!(row.estimated());
                assert_eq!(row.status, if chunks == 0 { 499 } else { 200 });
            }
            None => assert_eq!((row.cost, &row.rest["usage"], row.status), (Some(0), &Value::Null, 499)),
        }
    }
}

#[tokio::test]
async fn what_ends_without_the_providers_figures_is_counted() {
    let whole = |usage: Value| {
        let message = json!({"role": "assistant", "content": words().concat()});
        let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        Reply::json(
            200,
            &json!({"id": "c", "object": "chat.completion", "model": "x", "choices": choices, "usage": usage}),
        )
    };
    let replies = [
        Reply::chat(words()),
        Reply::chat(words()).close(After::Chunks(101)),
        whole(Value::Null),
        whole(json!({"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16})),
    ];
    let fake = Fake::script(replies).await;
    let (gateway, home) = one(&fake, PLAIN).await;
    for number in 0..4 {
        let answer = asked(&gateway, number < 2).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap();
        let rows = until_rows(&home, number + 1).await;
        let row = rows.last().unwrap();
        let failed = !row.rest["error"].is_null();
        let completion = [400, 100, 400, 9][number];
        assert_billed(row, if number == 3 { 7 } else { PROMPT }, completion);
        assert_eq!((row.estimated(), failed), (number != 3, number == 1), "{row:?}");
    }
}

#[tokio::test]
async fn an_attempt_that_broke_off_is_paid_beside_the_one_that_served() {
    let replies = [
        Reply::completion(&words().concat(), 1, 1).reset(After::Bytes(50)),
        Reply::completion("a", 500, 600),
    ];
    let fake = Fake::script(replies).await;
    let (gateway, home) = one(&fake, "router_settings: {num_retries: 1, retry_after: 0}\n").await;
    let answer = asked(&gateway, false).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let rows = until_rows(&home, 1).await;
    assert_billed(&rows[0], PROMPT + 500, 600);
    assert!(rows[0].estimated());
    assert_eq!(rows[0].rest["retries"], 1);
}

#[tokio::test]
async fn what_a_provider_refuses_costs_nothing_and_is_in_the_books() {
    let fake = Fake::script([Reply::error(400, "no")]).await;
    let (gateway, home) = one(&fake, PLAIN).await;
    assert_eq!(asked(&gateway, false).send().await.unwrap().status(), 400);
    assert_eq!(gateway.chat("nosuch", json!({})).send().await.unwrap().status(), 400);
    // Nobody's request is nobody's.
    let stranger = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).bearer_auth("sk-no");
    assert_eq!(stranger.json(&json!({"model": "m"})).send().await.unwrap().status(), 401);
    let rows = until_rows(&home, 2).await;
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!((row.status, row.cost, &row.rest["usage"]), (400, Some(0), &Value::Null));
        assert!(row.rest["error"].is_string());
    }
}

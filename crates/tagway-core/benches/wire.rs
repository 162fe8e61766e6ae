//! What a request, an answer and a stream cost on the wire side. Run with `cargo bench -p tagway-core --bench wire`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::de::IgnoredAny;
use tagway_core::wire::json::Walk;
use tagway_core::wire::peek::{Known, Peek};
use tagway_core::wire::reply;
use tagway_core::wire::splice::{self, Changes};
use tagway_core::wire::sse::{SseMap, Wishes};

const CHANGES: Changes<'static> = Changes {
    model: "\"gpt-4o-mini\"",
    streams: false,
    include_usage: false,
    keep_metadata: false,
    defaults: &[],
};

/// A chat request of about `size` bytes: turns of a conversation with line breaks and quotes, as clients send.
fn chat(size: usize) -> String {
    let turn = |at: usize| {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        let words = "Please look at \\\"section two\\\" again; it says the opposite.\\nWhich one is right? ";
        let room = if size < 1000 { 2 } else { 7 };
        format!(r#"{{"role": "{role}", "content": "{}"}}"#, words.repeat(room))
    };
    let mut body = String::from(r#"{"model": "bench", "temperature": 0.2, "messages": ["#);
    for at in 0.. {
        let turn = turn(at);
        if 0 < at && size < body.len() + turn.len() + 40 {
            break;
        }
        body.push_str(if at == 0 { "" } else { ", " });
        body.push_str(&turn);
    }
    body.push_str(r#"], "max_tokens": 128, "tags": ["eu", "team-a"]}"#);
    body
}

fn answer() -> Bytes {
    let content = "The second section is right: the first one was written before the change. ".repeat(5);
    format!(
        r#"{{"id":"chatcmpl-0123456789abcdefghij","object":"chat.completion","created":1763700000,"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":42,"completion_tokens":24,"total_tokens":66,"prompt_tokens_details":{{"cached_tokens":0}}}},"system_fingerprint":"fp_0123456789"}}"#
    )
    .into()
}

/// Fifty chunks, the usage and the mark of the end.
fn stream() -> String {
    let head = r#"data: {"id":"chatcmpl-0123456789abcdefghij","object":"chat.completion.chunk","created":1763700000,"model":"gpt-4o-mini-2024-07-18","system_fingerprint":"fp_0123456789","choices":["#;
    let chunk = |at: usize| {
        format!(
            "{head}{{\"index\":0,\"delta\":{{\"content\":\" word{at}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
        )
    };
    let chunks: String = (0..50).map(chunk).collect();
    format!(
        "{chunks}{head}],\"usage\":{{\"prompt_tokens\":42,\"completion_tokens\":50,\"total_tokens\":92}}}}\n\ndata: [DONE]\n\n"
    )
}

fn requests(c: &mut Criterion) {
    for (name, size) in [("small", 300), ("big", 20_000)] {
        let body = chat(size);
        let mut group = c.benchmark_group(format!("request/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("peek", |b| {
            b.iter(|| Peek::read(black_box(body.as_bytes())).map(|peek| peek.span(Known::Model)));
        });
        group.bench_function("peek and splice", |b| {
            b.iter(|| Peek::read(black_box(body.as_bytes())).map(|peek| splice::request(&peek, &CHANGES)));
        });
        group.bench_function("walk", |b| {
            b.iter(|| {
                let mut walk = Walk::new(black_box(&body));
                walk.value().and_then(|_| walk.end())
            });
        });
        group.bench_function("serde_json, all ignored", |b| {
            b.iter(|| serde_json::from_str::<IgnoredAny>(black_box(&body)));
        });
        group.finish();
    }
}

fn replies(c: &mut Criterion) {
    let body = answer();
    let mut group = c.benchmark_group("reply");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("read", |b| b.iter(|| reply::read(black_box(body.clone()), "\"bench\"")));
    group.finish();
}

fn streams(c: &mut Criterion) {
    let stream = stream();
    let mut group = c.benchmark_group("stream");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    for (name, piece) in [("one piece", stream.len()), ("pieces of 1 KB", 1024)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut map = SseMap::new(Wishes { model: "\"bench\"".into(), hide_usage: true });
                let mut sent = 0;
                for piece in black_box(stream.as_bytes()).chunks(piece) {
                    let mut out = Vec::with_capacity(piece.len() + 256);
                    map.push(piece, &mut out).map(|()| sent += out.len()).unwrap_or_default();
                }
                sent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, replies, streams);
criterion_main!(benches);

//! Embeddings: of a string, strings, tokens or lists of tokens; as numbers or as base64. Equal inputs get
//! equal vectors, different ones most likely do not.

use serde_json::{Value, json};

use super::{Refusal, Said, tokens};
use crate::base64;
use crate::reply::Reply;

const DIMENSIONS: u64 = 8;

/// As wide as any model on offer; past it a typing error would fill the memory.
const WIDEST: u64 = 16_384;

pub(super) fn embed(said: &Said) -> Result<Reply, Refusal> {
    let input = said.required("input")?;
    let inputs: Vec<&Value> = match input {
        Value::String(_) => vec![input],
        Value::Array(items) if items.is_empty() => return Err(wrong_input()),
        Value::Array(items) if items.iter().all(Value::is_u64) => vec![input],
        Value::Array(items) if items.iter().all(Value::is_string) || items.iter().all(are_tokens) => {
            items.iter().collect()
        }
        _ => return Err(wrong_input()),
    };
    let width = match said.body.get("dimensions") {
        None | Some(Value::Null) => DIMENSIONS,
        Some(given) => match given.as_u64() {
            Some(width @ 1..=WIDEST) => width,
            _ => return Err(Refusal::new(400, "Invalid value for 'dimensions'.")),
        },
    };
    let as_base64 = match said.body.get("encoding_format").map(Value::as_str) {
        None | Some(Some("float")) => false,
        Some(Some("base64")) => true,
        Some(_) => return Err(Refusal::new(400, "Invalid value for 'encoding_format'.")),
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(&input.to_string(), width);
            let embedding = if as_base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                Value::from(base64::encode(&bytes))
            } else {
                Value::from(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let count = said.usage.map_or_else(|| tokens(input), |(prompt, _)| prompt);
    let usage = json!({"prompt_tokens": count, "total_tokens": count});
    Ok(Reply::json(200, &json!({"object": "list", "data": data, "model": said.model, "usage": usage})))
}

fn are_tokens(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_u64))
}

fn wrong_input() -> Refusal {
    Refusal::new(400, "'$.input' is invalid.")
}

/// A vector of length one, by FNV-1a over the input and the place.
fn vector(input: &str, width: u64) -> Vec<f32> {
    let raw: Vec<f32> = (0..width)
        .map(|place| {
            let bytes = input.bytes().chain(place.to_le_bytes());
            let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            // The top 16 bits, spread over -1 to 1 and never zero.
            (f32::from((hash >> 48) as u16) + 0.5) / 32_768.0 - 1.0
        })
        .collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.iter().map(|x| x / length).collect()
}

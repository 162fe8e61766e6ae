//! Writes the built-in catalogue from a file in LiteLLM's format: `prices JSON TSV DATE`. See `scripts/prices`.

use std::error::Error;

use tagway_core::catalogue::compile;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [json, tsv, date] = arguments.as_slice() else { return Err("usage: prices JSON TSV DATE".into()) };
    let before = std::fs::read_to_string(tsv).unwrap_or_default();
    std::fs::write(tsv, compile(&std::fs::read_to_string(json)?, &before, date)?)?;
    Ok(())
}

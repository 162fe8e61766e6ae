//! The tagway gateway.
fn main() {}

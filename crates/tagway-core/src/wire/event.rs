//! How server-sent events are framed: where one ends, which of its lines are data. Format: the HTML standard,
//! section 9.2. Knows nothing of what the data mean.

use std::ops::Range;

/// Whether a line of an event carries data.
pub(super) fn is_data(line: &[u8]) -> bool {
    line.starts_with(b"data:")
}

/// The payload of a data line: behind the colon and one space, before the line's end.
pub(super) fn payload_of(event: &[u8], line: Range<usize>) -> Range<usize> {
    let mut start = line.start + b"data:".len();
    if event.get(start) == Some(&b' ') {
        start += 1;
    }
    let mut end = line.end;
    while start < end && matches!(event[end - 1], b'\n' | b'\r') {
        end -= 1;
    }
    start..end.max(start)
}

/// Where the first event ends, its blank line included; else how far the search need not be repeated.
pub(super) fn event_end(input: &[u8], from: usize) -> Result<usize, usize> {
    let mut at = from.min(input.len());
    while let Some(found) = memchr::memchr(b'\n', &input[at..]) {
        let next = at + found + 1;
        match input.get(next..) {
            Some([b'\n', ..]) => return Ok(next + 1),
            Some([b'\r', b'\n', ..]) => return Ok(next + 2),
            // The blank line may still come.
            Some([] | [b'\r']) | None => return Err(next - 1),
            Some(_) => at = next,
        }
    }
    Err(input.len())
}

//! Pages of lists, counted from 1 as LiteLLM counts them.

use super::refusal::Refusal;

/// A page number and size that can be used.
pub(super) fn paging(page: i64, size: i64, most: i64) -> Result<(i64, i64), Refusal> {
    if page < 1 || i64::from(i32::MAX) < page {
        return Err(Refusal::field("page", "page must be 1 or more."));
    }
    if size < 1 || most < size {
        return Err(Refusal::field("size", format!("size must be between 1 and {most}.")));
    }
    Ok((page, size))
}

/// How many pages there are.
pub(super) fn pages(total: i64, size: i64) -> i64 {
    total / size + i64::from(total % size != 0)
}

//! The log of requests: what a row of it holds, and which rows one may ask for. Gives receipts as they were booked,
//! without their bookings. How they are found is elsewhere.

use std::sync::Arc;

use serde::Serialize;
use sqlx::FromRow;
use tagway_core::money::Nanos;
use tagway_core::usage::{Service, Usage};

use super::StoreError;
use super::rows::Cells;
use super::subjects::Owners;
use crate::receipt::{Receipt, Subject, Tagged};

/// The log's table and its columns …
pub(super) const TABLE: &str = "spend_logs (id, call_id, subject_id, status, failed, cost, body)";
/// … and what they hold.
pub(super) const COLUMNS: [Cells; 7] =
    [Cells::Bytes, Cells::Texts, Cells::Ints, Cells::Ints, Cells::Ints, Cells::Ints, Cells::Texts];

/// The columns of a subject's owners, in the order of [`Owners`].
pub(super) const OWNERS: &str = "key_id, team_id, user_id, organization_id, project_id, customer_id, group_id, deployment_id, provider_id, model_id";

/// What of a receipt has no column, but for its subject. Empty fields are left out: [`Receipt`] has a default for each.
#[derive(Serialize)]
struct Rest<'r> {
    took: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<u64>,
    #[serde(skip_serializing_if = "empty")]
    upstream: u64,
    #[serde(skip_serializing_if = "empty")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Used>,
    #[serde(skip_serializing_if = "empty")]
    retries: u32,
    #[serde(skip_serializing_if = "empty")]
    fallbacks: u32,
}

/// What of a subject has no column.
#[derive(Serialize)]
struct About<'r> {
    endpoint: &'r str,
    asked: &'r str,
    #[serde(skip_serializing_if = "<[Tagged]>::is_empty")]
    tags: &'r [Tagged],
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<(&'r str, &'r str)>,
}

/// Most bodies fit.
const ROOM: usize = 256;

fn empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// [`Usage`] without what is nothing.
#[derive(Serialize)]
struct Used {
    #[serde(skip_serializing_if = "empty")]
    prompt: u64,
    #[serde(skip_serializing_if = "empty")]
    completion: u64,
    #[serde(skip_serializing_if = "empty")]
    total: u64,
    #[serde(skip_serializing_if = "empty")]
    cache_read: u64,
    #[serde(skip_serializing_if = "empty")]
    cache_write: u64,
    #[serde(skip_serializing_if = "empty")]
    reasoning: u64,
    #[serde(skip_serializing_if = "empty")]
    audio_in: u64,
    #[serde(skip_serializing_if = "empty")]
    audio_out: u64,
    #[serde(skip_serializing_if = "empty")]
    service: Service,
    #[serde(skip_serializing_if = "empty")]
    estimated: bool,
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Self {
        let Usage {
            prompt,
            completion,
            total,
            cache_read,
            cache_write,
            reasoning,
            audio_in,
            audio_out,
            service,
            estimated,
        } = usage;
        Self {
            prompt,
            completion,
            total,
            cache_read,
            cache_write,
            reasoning,
            audio_in,
            audio_out,
            service,
            estimated,
        }
    }
}

/// What of a subject has no column, as JSON.
pub(super) fn about(subject: &Subject) -> Result<String, StoreError> {
    // Named one by one, so that a new field is not forgotten here.
    let Subject {
        endpoint,
        key: _,
        team: _,
        user: _,
        organization: _,
        project: _,
        customer: _,
        asked,
        group: _,
        deployment: _,
        provider: _,
        model: _,
        tags,
        matched,
        bookings: _,
    } = subject;
    let matched = matched.as_ref().map(|(what, value)| (what.as_ref(), value.as_ref()));
    let about = About { endpoint, asked, tags, matched };
    serde_json::to_string(&about).map_err(|error| unreadable(0, &error))
}

/// What of a receipt has no column, as JSON; without its subject.
pub(super) fn body(receipt: &Receipt) -> Result<String, StoreError> {
    let Receipt {
        id,
        named: _,
        // Its number begins with it.
        began: _,
        took,
        first_byte,
        upstream,
        stream,
        status: _,
        error,
        usage,
        cost: _,
        retries,
        fallbacks,
        texts: _,
        decision: _,
        subject: _,
    } = receipt;
    let rest = Rest {
        took: *took,
        first_byte: *first_byte,
        upstream: *upstream,
        stream: *stream,
        error: error.as_deref(),
        usage: usage.map(Used::from),
        retries: *retries,
        fallbacks: *fallbacks,
    };
    let mut body = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut body, &rest).map_err(|error| unreadable(*id, &error))?;
    String::from_utf8(body).map_err(|error| unreadable(*id, &error))
}

fn unreadable(id: u128, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable { table: "spend_logs", id: format!("{id:032x}"), why: why.to_string() }
}

/// The number of a receipt as the store has it.
pub(super) fn number(id: &[u8]) -> Option<u128> {
    id.try_into().ok().map(u128::from_be_bytes)
}

/// Which requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogFilter<'a> {
    /// With this key; empty for those with none, which came with the master key.
    pub(crate) key: Option<&'a str>,
    /// With one of these.
    pub(crate) keys: Option<&'a [String]>,
    pub(crate) team: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    pub(crate) customer: Option<&'a str>,
    /// The model group that served.
    pub(crate) group: Option<&'a str>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) call_id: Option<&'a str>,
    /// The one with this number.
    pub(crate) id: Option<u128>,
    /// The provider's model.
    pub(crate) model: Option<&'a str>,
    pub(crate) deployment: Option<&'a str>,
    /// Cost so much at least, and at most.
    pub(crate) costs: (Option<Nanos>, Option<Nanos>),
    /// Of this user, or of one of these teams.
    pub(crate) any: Option<(&'a str, &'a [String])>,
    /// With this for a key, a team, a user or a customer.
    pub(crate) text: Option<&'a str>,
    /// Began not before this time, in milliseconds since 1970.
    pub(crate) from: Option<i64>,
    /// Began before this time.
    pub(crate) to: Option<i64>,
    pub(crate) status: Option<LogStatus>,
}

/// How requests ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogStatus {
    Succeeded,
    Failed,
    /// With this HTTP status.
    Code(u16),
}

/// Which part of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogPage {
    /// The oldest first.
    pub(crate) ascending: bool,
    /// Begin after the request with this number: the same cost on every page.
    pub(crate) after: Option<u128>,
    pub(crate) limit: i64,
    /// Leave out so many.
    pub(crate) offset: i64,
}

#[derive(FromRow)]
pub(super) struct LogRow {
    pub(super) id: Vec<u8>,
    call_id: String,
    key_id: Option<i64>,
    team_id: Option<i64>,
    user_id: Option<i64>,
    organization_id: Option<i64>,
    project_id: Option<i64>,
    customer_id: Option<i64>,
    group_id: Option<i64>,
    deployment_id: Option<i64>,
    provider_id: Option<i64>,
    model_id: Option<i64>,
    status: i64,
    cost: Option<i64>,
    body: String,
    about: String,
}

impl LogRow {
    pub(super) fn owners(&self) -> Owners {
        [
            self.key_id,
            self.team_id,
            self.user_id,
            self.organization_id,
            self.project_id,
            self.customer_id,
            self.group_id,
            self.deployment_id,
            self.provider_id,
            self.model_id,
        ]
    }
}

pub(super) fn receipt(row: LogRow, text: &dyn Fn(i64) -> Option<Box<str>>) -> Result<Receipt, StoreError> {
    let id = number(&row.id).unwrap_or_default();
    let [key, team, user, organization, project, customer, group, deployment, provider, model] =
        row.owners().map(|id| id.and_then(text));
    let error = |error: serde_json::Error| unreadable(id, &error);
    let rest: Receipt<()> = serde_json::from_str(&row.body).map_err(error)?;
    let about: Subject = serde_json::from_str(&row.about).map_err(error)?;
    let subject = Subject {
        key,
        team,
        user,
        organization,
        project,
        customer,
        group,
        deployment,
        provider,
        model,
        ..about
    };
    let (status, cost) = (u16::try_from(row.status).unwrap_or_default(), row.cost.map(Nanos));
    let (named, began) = (row.call_id.into(), Receipt::began(id));
    Ok(Receipt { id, named, began, status, cost, ..rest.about(Arc::new(subject)).0 })
}

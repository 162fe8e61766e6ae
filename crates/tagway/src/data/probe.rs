//! A small call of one deployment, to see whether it answers. It goes the way of every call, but counts for
//! nothing: no retry, no fallback, no cooldown, no bill.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tagway_core::config::{Config, Deployment};
use tagway_core::snapshot::{DeploymentId, Snapshot};
use tagway_core::wire::peek::Peek;

use super::attempt::Around;
use super::content;
use super::failure::Failure;
use super::intake;
use super::upstream::Pool;
use crate::accounts::Accounts;
use crate::capacity::Capacity;
use crate::checks::Question;
use crate::health::{Board, Ill};
use crate::live::Current;

/// Calls a deployment: the headers it answers with, or what a client's call would have failed with.
pub(crate) async fn call(
    current: Arc<Current>,
    id: DeploymentId,
    question: Question,
) -> Result<HeaderMap, Ill> {
    let asked = ask(&current, id, &question).await;
    asked.map_err(|failure| Ill { status: failure.status().as_u16(), message: failure.to_string() })
}

async fn ask(current: &Current, id: DeploymentId, question: &Question) -> Result<HeaderMap, Failure> {
    let Current { snapshot, board, capacity, .. } = current;
    let Some((written, upstream)) = &question.model else {
        return fetch(snapshot, board, capacity, id, question).await;
    };
    // Called with another model it is another deployment, at the same place.
    let entry = snapshot.deployment(id).entry.clone();
    let entry = Deployment { model: written.clone(), upstream_model: upstream.clone(), ..entry };
    let config = Config { deployments: vec![entry], ..snapshot.config.clone() };
    let unusable = |_| Failure::NoUpstream { id: snapshot.deployment(id).entry.info.id.clone() };
    let alone = Snapshot::compile(config).map_err(unusable)?;
    let now = Instant::now();
    let (board, capacity) = (Board::new(&alone, None, now), Capacity::new(&alone, None, None));
    fetch(&alone, &board, &capacity, DeploymentId(0), question).await
}

async fn fetch(
    snapshot: &Snapshot,
    board: &Board,
    capacity: &Capacity,
    id: DeploymentId,
    question: &Question,
) -> Result<HeaderMap, Failure> {
    let peek = Peek::read(question.body.as_bytes()).map_err(Failure::Unreadable)?;
    let headers = HeaderMap::new();
    let (call, _) = intake::call(question.endpoint, None, &headers, peek)?;
    // A connection of its own: what a check shows is whether one can be opened, too.
    let pool = Arc::new(Pool::default());
    // It counts against nobody's budget.
    let (accounts, _) = Accounts::new(None);
    let table = accounts.table();
    let around = Around {
        snapshot,
        board,
        capacity,
        pool: &pool,
        accounts: &accounts,
        table: &table,
        tags: &[],
        customer: None,
        headers: &headers,
    };
    let model = snapshot.deployment(id).entry.model_name.as_str();
    let reply = content::fetch(&around, id, model, &call, &mut None).await?;
    Ok(reply.headers)
}

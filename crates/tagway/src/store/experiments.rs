//! What requests of the variants of experiments came to, as each gateway counts it. A gateway writes its own rows, and as
//! they are: told twice, they count once.

use std::collections::HashMap;

use tagway_core::experiment::Figures;

use super::StoreError;
use super::db::Db;
use super::row::now_millis;

/// Rows that nobody has written for so long (in milliseconds) are forgotten.
const OLD: i64 = 100 * 86_400_000;

/// Whose figures: an experiment, which of its ramps, and since when they were counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<'a> {
    pub(crate) experiment: &'a str,
    pub(crate) ramp: &'a str,
    pub(crate) since: i64,
}

impl Db {
    /// Writes what a gateway has counted.
    pub(crate) async fn note_figures(
        &self,
        of: Counted<'_>,
        gateway: &str,
        variants: &[(&str, Figures)],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = now_millis();
        let sql = "INSERT INTO experiment_figures (experiment, ramp, since, variant, gateway, requests, failed, times, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (experiment, ramp, since, variant, gateway) DO UPDATE SET requests = excluded.requests, failed = excluded.failed, times = excluded.times, updated_at = excluded.updated_at";
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for (variant, figures) in variants {
            let args = [
                of.experiment.into(),
                of.ramp.into(),
                of.since.into(),
                (*variant).into(),
                gateway.into(),
                whole(figures.requests).into(),
                whole(figures.failed).into(),
                serde_json::to_string(&figures.times).unwrap_or_default().as_str().into(),
                now.into(),
            ];
            tx.run(sql, &args).await?;
        }
        tx.run("DELETE FROM experiment_figures WHERE updated_at < $1", &[(now - OLD).into()]).await?;
        tx.commit().await
    }

    /// What all gateways have counted, by variant.
    pub(crate) async fn figures(&self, of: Counted<'_>) -> Result<HashMap<String, Figures>, StoreError> {
        let sql = "SELECT variant, requests, failed, times FROM experiment_figures WHERE experiment = $1 AND ramp = $2 AND since = $3";
        let args = [of.experiment.into(), of.ramp.into(), of.since.into()];
        let rows: Vec<(String, i64, i64, String)> = self.all(sql, &args).await?;
        let mut figures: HashMap<String, Figures> = HashMap::new();
        for (variant, requests, failed, times) in rows {
            let times = serde_json::from_str(&times).unwrap_or_default();
            let (requests, failed) = (requests.unsigned_abs(), failed.unsigned_abs());
            figures.entry(variant).or_default().add(&Figures { requests, failed, times });
        }
        Ok(figures)
    }
}

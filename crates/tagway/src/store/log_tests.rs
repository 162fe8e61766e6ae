//! The log is found by any filter, in pages that are small and in parts of days; and what is asked of months reads few
//! rows.

use std::collections::BTreeSet;

use tagway_core::money::Nanos;
use tagway_core::usage::Usage;

use super::open::migrate;
use super::trial::{Trial, receipt, subject};
use super::{Db, Dim, LogFilter, LogPage, LogStatus, Slice, TagView};
use crate::receipt::{Receipt, Subject, Tagged};

const DAY: i64 = 86_400_000;

/// Requests of nine days; what is `rare` happens on few of them.
fn receipts() -> Vec<Receipt> {
    let of = |n: u32| {
        let name = |prefix: &str, of: u32| Some(format!("{prefix}{}", n % of).into());
        let tag = |tag: String| Tagged { tag: tag.into(), origin: "body".into() };
        let rare = n % 97 == 5;
        Receipt {
            status: if n.is_multiple_of(13) { 429 } else { 200 },
            cost: Some(Nanos(i64::from(n % 50))),
            subject: subject(|s| {
                s.key = if n.is_multiple_of(4) { None } else { name("k", 5) };
                s.team = if rare { Some("rare".into()) } else { name("t", 3) };
                s.user = name("u", 7);
                s.customer = name("c", 11);
                s.group = name("g", 2);
                s.deployment = name("d", 3);
                s.model = if rare { Some("rare".into()) } else { name("m", 2) };
                s.tags = vec![tag(format!("a{}", n % 3)), tag(format!("b{}", n % 40))];
            }),
            ..receipt(n.into(), 20_000 * DAY + i64::from(n / 40) * DAY + i64::from(n % 40) * 1_000_000)
        }
    };
    (0..360).map(of).collect()
}

fn meant(filter: &LogFilter<'_>, receipt: &Receipt) -> bool {
    let is = |asked: Option<&str>, own: &Option<Box<str>>| {
        asked.is_none_or(|asked| own.as_deref().unwrap_or("") == asked)
    };
    let among = |own: &Option<Box<str>>, all: &[String]| {
        own.as_deref().is_some_and(|own| all.iter().any(|one| one == own))
    };
    let Subject { key, team, user, customer, group, model, deployment, tags, .. } = &*receipt.subject;
    is(filter.key, key)
        && is(filter.team, team)
        && is(filter.user, user)
        && is(filter.customer, customer)
        && is(filter.group, group)
        && is(filter.model, model)
        && is(filter.deployment, deployment)
        && filter.keys.is_none_or(|keys| among(key, keys))
        && filter.tag.is_none_or(|tag| tags.iter().any(|tagged| *tagged.tag == *tag))
        && filter.any.is_none_or(|(one, teams)| user.as_deref() == Some(one) || among(team, teams))
        && filter
            .text
            .is_none_or(|text| [key, team, user, customer].iter().any(|own| own.as_deref() == Some(text)))
        && filter.costs.0.is_none_or(|least| receipt.cost.is_some_and(|cost| least <= cost))
        && filter.from.is_none_or(|from| from <= receipt.began)
        && filter.to.is_none_or(|to| receipt.began < to)
        && match filter.status {
            None => true,
            Some(LogStatus::Failed) => receipt.failed(),
            Some(LogStatus::Succeeded) => !receipt.failed(),
            Some(LogStatus::Code(code)) => receipt.status == code,
        }
}

/// All pages, whatever their size.
async fn paged(db: &Db, filter: &LogFilter<'_>, ascending: bool) -> Vec<u128> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let part = db.spend_logs(filter, &LogPage { ascending, after, limit: 6, offset: 0 }).await.unwrap();
        found.extend(part.receipts.iter().map(|receipt| receipt.id));
        after = part.rest;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn pages_and_counts_of_any_filter_have_each_request_once() {
    let receipts = receipts();
    let any = LogFilter::default;
    let keys = ["k1".to_owned(), "k2".to_owned()];
    let filters = [
        any(),
        LogFilter { key: Some("k1"), ..any() },
        LogFilter { key: Some(""), ..any() },
        LogFilter { keys: Some(&keys), ..any() },
        LogFilter { team: Some("rare"), ..any() },
        LogFilter { model: Some("rare"), ..any() },
        LogFilter { tag: Some("b3"), ..any() },
        LogFilter { tag: Some("a1"), team: Some("rare"), ..any() },
        LogFilter { tag: Some("a1"), team: Some("t1"), model: Some("m1"), ..any() },
        LogFilter { customer: Some("c2"), model: Some("m1"), ..any() },
        LogFilter { customer: Some("c2"), tag: Some("a1"), deployment: Some("d1"), ..any() },
        LogFilter { user: Some("u1"), status: Some(LogStatus::Succeeded), ..any() },
        LogFilter { status: Some(LogStatus::Failed), ..any() },
        LogFilter { group: Some("g1"), status: Some(LogStatus::Code(429)), ..any() },
        LogFilter { status: Some(LogStatus::Code(404)), ..any() },
        LogFilter { any: Some(("u1", &["rare".to_owned()])), ..any() },
        LogFilter { text: Some("c3"), ..any() },
        LogFilter { costs: (Some(Nanos(48)), None), ..any() },
        LogFilter {
            team: Some("t1"),
            from: Some(20_001 * DAY + 5_000_000),
            to: Some(20_005 * DAY + 9),
            ..any()
        },
    ];
    for trial in Trial::all().await {
        let db = &trial.db;
        db.book(&receipts).await.unwrap();
        for (last, forgotten) in [(0, 0), (20_004, 0), (30_000, 100)] {
            while db.roll_up(last).await.unwrap() {}
            db.forget_logs(receipts[forgotten].id, 1_000).await.unwrap();
            for filter in &filters {
                let meant = receipts[forgotten..].iter().filter(|receipt| meant(filter, receipt));
                let mut expected: Vec<u128> = meant.map(|receipt| receipt.id).collect();
                assert_eq!(paged(db, filter, true).await, expected, "{filter:?}");
                let count = i64::try_from(expected.len()).unwrap();
                expected.reverse();
                assert_eq!(paged(db, filter, false).await, expected, "{filter:?}");
                assert_eq!(db.count_spend_logs(filter, 1_000).await.unwrap(), (count, false), "{filter:?}");
                let page = LogPage { limit: 3, offset: 4, ..LogPage::default() };
                let found = db.spend_logs(filter, &page).await.unwrap().receipts;
                let found: Vec<u128> = found.iter().map(|receipt| receipt.id).collect();
                assert_eq!(found, expected.iter().skip(4).take(3).copied().collect::<Vec<_>>(), "{filter:?}");
            }
        }
        trial.end().await;
    }
}

#[tokio::test]
async fn a_log_of_before_subjects_stood_apart_is_the_same_log_behind_it() {
    let said = r#"{"took":812345,"first_byte":301234,"stream":true,"error":"a \u0000 and \u00e9","usage":{"prompt":7,"completion":3,"total":10},"endpoint":"/chat/completions","asked":"m","tags":[{"tag":"env:prod","origin":"key"}],"matched":["tags","env:prod"]}"#;
    let plain = r#"{"took":9,"endpoint":"/embeddings","asked":"e"}"#;
    for trial in Trial::all_after(11).await {
        let db = &trial.db;
        let mut tx = db.begin().await.unwrap();
        for text in ["k1", "openai/m", "env:prod"] {
            tx.run("INSERT INTO terms (text) VALUES ($1)", &[text.into()]).await.unwrap();
        }
        tx.run("INSERT INTO tag_sets (id, tags, size) VALUES (7, '3', 1)", &[]).await.unwrap();
        let member = "INSERT INTO tag_set_members (tag_id, tag_set, position, size) VALUES (3, 7, 0, 1)";
        tx.run(member, &[]).await.unwrap();
        for (number, key, set, body) in [(1, Some(1), 7, said), (2, None, 0, plain), (3, Some(1), 7, said)] {
            let id = Receipt::first_id(20_000 * DAY) + number;
            let args = [
                id.to_be_bytes().as_slice().into(),
                key.into(),
                set.into(),
                body.into(),
                (if number == 2 { "mine" } else { "" }).into(),
            ];
            let sql = "INSERT INTO spend_logs (id, call_id, key_id, model_id, tag_set, status, failed, cost, body) VALUES ($1, $5, $2, 2, $3, 200, 0, 42, $4)";
            tx.run(sql, &args).await.unwrap();
        }
        tx.commit().await.unwrap();
        migrate(&trial.place).await.unwrap();
        let ids = |filter: LogFilter<'static>| async move { paged(db, &filter, true).await };
        let page = LogPage { limit: 9, ..LogPage::default() };
        let mut all = db.spend_logs(&LogFilter::default(), &page).await.unwrap().receipts;
        // PostgreSQL takes no JSON apart that has it.
        all[0].error = all[0].error.take().map(|error| error.replace('\0', "\u{fffd}").into());
        assert_eq!(
            ids(LogFilter { tag: Some("env:prod"), ..LogFilter::default() }).await,
            [all[2].id, all[0].id]
        );
        assert_eq!(ids(LogFilter { key: Some(""), ..LogFilter::default() }).await, [all[1].id]);
        assert_eq!(ids(LogFilter { call_id: Some("mine"), ..LogFilter::default() }).await, [all[1].id]);
        let usage = Usage { prompt: 7, completion: 3, total: 10, ..Usage::default() };
        let tagged = Tagged { tag: "env:prod".into(), origin: "key".into() };
        let expected = Receipt {
            id: Receipt::first_id(20_000 * DAY) + 3,
            began: 20_000 * DAY,
            took: 812_345,
            first_byte: Some(301_234),
            stream: true,
            status: 200,
            error: Some("a \u{fffd} and é".into()),
            usage: Some(usage),
            cost: Some(Nanos(42)),
            subject: subject(|s| {
                s.key = Some("k1".into());
                s.model = Some("openai/m".into());
                s.tags = vec![tagged];
                s.matched = Some(("tags".into(), "env:prod".into()));
            }),
            ..Receipt::default()
        };
        assert_eq!(all[0], expected);
        assert_eq!((&*all[1].subject.endpoint, &all[1].subject.key, all[1].took), ("/embeddings", &None, 9));
        let subjects = "SELECT count(*) FROM spend_log_subjects";
        assert_eq!(trial.numbers(subjects).await.unwrap(), [2], "what is the same stands once");
        trial.end().await;
    }
}

/// What each of these questions asks is known to sums of days that are few.
#[tokio::test]
async fn months_are_read_from_what_is_rolled_up_and_never_from_end_to_end() {
    let trial = Trial::all().await.remove(0);
    let db = &trial.db;
    db.book(&receipts()).await.unwrap();
    while db.roll_up(30_000).await.unwrap() {}
    let owners = [Dim::Key, Dim::Team, Dim::User, Dim::Organization, Dim::Project];
    let served = [Dim::Group, Dim::Deployment, Dim::Provider, Dim::Model];
    let mut asked: BTreeSet<(Vec<usize>, bool)> = BTreeSet::new();
    for (beside, sides) in [
        (None, [&owners[..], &served[..]]),
        (Some(Dim::Tag), [&owners, &served]),
        (Some(Dim::Customer), [&owners, &[]]),
    ] {
        for side in sides {
            for dim in side {
                for filtered in [false, true] {
                    let value = match dim {
                        Dim::Key => "k1",
                        Dim::Team => "t1",
                        Dim::User => "u1",
                        Dim::Model => "m1",
                        _ => "a1",
                    };
                    let mut slice = Slice {
                        from: Some("2024-10-04".parse().unwrap()),
                        to: Some("2024-10-09".parse().unwrap()),
                        ..Slice::default()
                    };
                    if filtered {
                        slice.only.push((*dim, vec![Some(value.to_owned())]));
                    }
                    let mut by = vec![Dim::Day];
                    by.extend(beside);
                    by.push(*dim);
                    let question = db.question(&slice, &by, TagView::Full).await.unwrap().unwrap();
                    assert!(!question.sql.contains("FROM daily d"), "{by:?}: {}", question.sql);
                    let sql = format!("EXPLAIN QUERY PLAN {}", question.sql);
                    let plan: Vec<(i64, i64, i64, String)> = db.all(&sql, &question.args).await.unwrap();
                    for (.., step) in plan {
                        assert!(!step.starts_with("SCAN d"), "{by:?}: {step}");
                    }
                    asked.insert((by.iter().map(|dim| *dim as usize).collect(), filtered));
                }
            }
        }
    }
    assert_eq!(asked.len(), 46);
    trial.end().await;
}

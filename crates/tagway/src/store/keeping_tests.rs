//! What is set, ended and forgotten of the ledger, on both databases.

use super::trial::{Trial, booking, receipt, subject};
use super::{Actor, Db, Dim, Edit, LogFilter, LogPage, Slice, TagView};
use crate::objects::{Key, Kind, Object as _};
use crate::receipt::{NEVER, Payer, Receipt, Tagged};

async fn edit(db: &Db) -> Edit {
    Edit::begin(db, Actor { id: "admin".into(), role: "proxy_admin" }).await.unwrap()
}

/// What counts for a team, by the end of the time it counts for.
async fn counts(db: &Db, id: &str) -> Vec<(i64, i64)> {
    let counted = db.counted(&[(Payer::Team, id.to_owned())]).await.unwrap();
    let mut counts: Vec<(i64, i64)> =
        counted.iter().filter(|c| c.amount.0 != 0).map(|c| (c.until, c.amount.0)).collect();
    counts.sort_unstable();
    counts
}

#[tokio::test]
async fn an_amount_set_by_hand_takes_the_place_of_all_others_and_ends_with_its_window() {
    let now = super::row::now_millis();
    let (soon, later) = (now + 60_000, now + 120_000);
    let spent = |n: u128, until: i64| Receipt {
        subject: subject(|s| {
            s.bookings = vec![booking(Payer::Team, "t", until), booking(Payer::Team, "other", until)]
        }),
        ..receipt(n, now)
    };
    for trial in Trial::all().await {
        let db = &trial.db;
        db.book(&[spent(1, NEVER), spent(2, soon), spent(3, soon)]).await.unwrap();
        let mut change = edit(db).await;
        assert_eq!(change.spend_of(Kind::Team, "t").await.unwrap(), 3_000);
        change.set_spend(Kind::Team, "t", 500, later).await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(counts(db, "t").await, [(later, 500)]);
        assert_eq!(counts(db, "other").await, [(soon, 2_000), (NEVER, 1_000)]);
        // Others that look for what has changed learn that the rest is nothing now.
        let changed = db.spend_changed(now).await.unwrap();
        let ended = changed.iter().filter(|c| c.id == "t" && c.amount.0 == 0).map(|c| c.until);
        assert_eq!(ended.collect::<std::collections::BTreeSet<i64>>(), [soon, NEVER].into());
        db.book(&[spent(4, later)]).await.unwrap();
        assert_eq!(counts(db, "t").await, [(later, 1_500)]);
        let spend = db.spend(Kind::Team, &["t".into(), "other".into()]).await.unwrap();
        assert_eq!((spend["t"], spend["other"]), (1_500, 4_000));
        let mut change = edit(db).await;
        change.set_spend(Kind::Team, "t", i64::MAX, NEVER).await.unwrap();
        change.commit().await.unwrap();
        db.book(&[spent(5, NEVER)]).await.unwrap();
        assert!(i64::MAX / 4 < counts(db, "t").await[0].1, "what is absurd does not stop booking");
        trial.end().await;
    }
}

#[tokio::test]
async fn new_windows_take_along_what_counts_in_the_old_ones() {
    let now = super::row::now_millis();
    let (over, soon, later) = (now - 1, now + 60_000, now + 120_000);
    let spent = |n: u128, id: &str, until: i64| Receipt {
        subject: subject(|s| s.bookings = vec![booking(Payer::Team, id, until)]),
        ..receipt(n, now)
    };
    for trial in Trial::all().await {
        let db = &trial.db;
        let all = [spent(1, "a", NEVER), spent(2, "a", soon), spent(3, "b", later), spent(4, "a", over)];
        db.book(&all).await.unwrap();
        let mut change = edit(db).await;
        let ids: Vec<String> = ["a", "b", "nobody"].map(str::to_owned).into();
        change.retime(Kind::Team, &ids, later).await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(counts(db, "a").await, [(later, 2_000)]);
        assert_eq!(counts(db, "b").await, [(later, 1_000)]);
        assert_eq!(counts(db, "nobody").await, []);
        let mut change = edit(db).await;
        change.retime(Kind::Team, &ids, NEVER).await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(counts(db, "a").await, [(NEVER, 2_000)]);
        trial.end().await;
    }
}

#[tokio::test]
async fn a_key_that_goes_takes_its_own_spend_and_nobody_elses() {
    let now = super::row::now_millis();
    for trial in Trial::all().await {
        let db = &trial.db;
        let mut change = edit(db).await;
        let key = change.insert("k", Key::default()).await.unwrap();
        change.commit().await.unwrap();
        let payers = [
            (Payer::Key, "k"),
            (Payer::Key, "k2"),
            (Payer::KeyModel, "k/m"),
            (Payer::KeyModel, "k2/m"),
            (Payer::Team, "t"),
            (Payer::Tag, "x"),
        ];
        let spent = Receipt {
            subject: subject(|s| {
                s.key = Some("k".into());
                s.bookings = payers.iter().map(|(payer, id)| booking(*payer, id, NEVER)).collect();
            }),
            ..receipt(1, now)
        };
        db.book(&[spent]).await.unwrap();
        let mut change = edit(db).await;
        change.delete(&key).await.unwrap();
        change.commit().await.unwrap();
        let payers = payers.map(|(payer, id)| (payer, id.to_owned()));
        let left: Vec<String> = db.counted(&payers).await.unwrap().into_iter().map(|c| c.id).collect();
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(!left.iter().any(|id| id == "k" || id == "k/m"), "{left:?}");
        let filter = LogFilter { key: Some("k"), ..LogFilter::default() };
        let page = LogPage { limit: 10, ..LogPage::default() };
        assert_eq!(db.spend_logs(&filter, &page).await.unwrap().receipts.len(), 1);
        assert_eq!(Key::KIND, Kind::Key);
        trial.end().await;
    }
}

#[tokio::test]
async fn the_log_is_cut_from_its_old_end_and_totals_stay() {
    let tags = |n: u128| vec![Tagged { tag: format!("t{}", n % 3).into(), origin: "body".into() }];
    let logged = |n: u128| Receipt {
        subject: subject(|s| s.tags = tags(n)),
        decision: Some(format!("{{\"n\":{n}}}").into()),
        ..receipt(n, 1_000_000 + i64::try_from(n).unwrap())
    };
    for trial in Trial::all().await {
        let db = &trial.db;
        let all: Vec<Receipt> = (0..100).map(logged).collect();
        db.book(&all).await.unwrap();
        let left = async || {
            let page = LogPage { limit: 1_000, ascending: true, ..LogPage::default() };
            let found = db.spend_logs(&LogFilter::default(), &page).await.unwrap().receipts;
            found.first().map(|first| first.began - 1_000_000)
        };
        assert_eq!(db.forget_logs(Receipt::first_id(1_000_030), 20).await.unwrap(), 20, "no more at once");
        assert_eq!(left().await, Some(20));
        assert_eq!(db.forget_logs(Receipt::first_id(1_000_030), 20).await.unwrap(), 10);
        assert_eq!(db.forget_logs(Receipt::first_id(1_000_030), 20).await.unwrap(), 0);
        assert_eq!(left().await, Some(30));
        let decision = async |n: usize| db.log_decision(all[n].id).await.unwrap();
        assert_eq!((decision(29).await, decision(30).await), (None, Some("{\"n\":30}".to_owned())));
        for (kept, first) in [(100, 30), (70, 30), (69, 31), (1, 99)] {
            let end = db.log_beyond(kept).await.unwrap();
            db.forget_logs(end, 1_000).await.unwrap();
            assert_eq!(left().await, Some(first), "{kept}");
        }
        let sums = db.activity(&Slice::default(), &[Dim::Tag], TagView::Split).await.unwrap();
        assert_eq!(sums.iter().map(|(_, sums)| sums.requests).sum::<i64>(), 100);
        trial.end().await;
    }
}

#[tokio::test]
async fn amounts_whose_time_is_over_are_forgotten() {
    let now = super::row::now_millis();
    let spent = |n: u128, until: i64| Receipt {
        subject: subject(|s| s.bookings = vec![booking(Payer::Team, "t", until)]),
        ..receipt(n, now)
    };
    for trial in Trial::all().await {
        let db = &trial.db;
        db.book(&[spent(1, now - 1_000), spent(2, now - 2_000), spent(3, now + 60_000), spent(4, NEVER)])
            .await
            .unwrap();
        assert_eq!(db.forget_spent(now - 5_000, 10).await.unwrap(), 0);
        assert_eq!(db.forget_spent(now, 1).await.unwrap(), 1);
        assert_eq!(db.forget_spent(now, 10).await.unwrap(), 1);
        assert_eq!(counts(db, "t").await.len(), 2);
        let mut change = edit(db).await;
        change.set_spend(Kind::Team, "t", 0, NEVER).await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(
            db.forget_spent(super::row::now_millis() + 90_000, 10).await.unwrap(),
            2,
            "nothing is left"
        );
        trial.end().await;
    }
}

//! The ledger on both databases: what is booked is counted once, and everything that is read adds up.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tagway_core::money::Nanos;
use tagway_core::usage::Usage;

use super::trial::{Trial, book, booking, receipt, subject};
use super::{Db, Dim, LogFilter, LogPage, LogStatus, Slice, Sums, TagView};
use crate::receipt::{Counted, NEVER, Payer, Receipt, Subject, Tagged};

const DAY: i64 = 86_400_000;
const DIMS: [Dim; 12] = [
    Dim::Day,
    Dim::Key,
    Dim::Team,
    Dim::User,
    Dim::Organization,
    Dim::Project,
    Dim::Customer,
    Dim::Group,
    Dim::Deployment,
    Dim::Provider,
    Dim::Model,
    Dim::Tag,
];

/// A runtime for properties, which are no async functions.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn tagged(tag: &str) -> Tagged {
    Tagged { tag: tag.into(), origin: "body".into() }
}

async fn total(db: &Db) -> Sums {
    db.activity(&Slice::default(), &[], TagView::Full).await.unwrap()[0].1
}

async fn by(db: &Db, dims: &[Dim], view: TagView) -> BTreeMap<Vec<Option<String>>, Sums> {
    let groups = db.activity(&Slice::default(), dims, view).await.unwrap();
    let count = groups.len();
    let groups: BTreeMap<_, _> = groups.into_iter().collect();
    assert_eq!(groups.len(), count, "every group is there once");
    groups
}

fn sum<'s>(all: impl IntoIterator<Item = &'s Sums>) -> Sums {
    all.into_iter().fold(Sums::default(), |mut sum, more| {
        sum.add(more);
        sum
    })
}

fn amounts(counted: &[Counted]) -> BTreeMap<(String, String, i64), i64> {
    counted.iter().map(|c| ((c.kind.clone(), c.id.clone(), c.until), c.amount.0)).collect()
}

#[tokio::test]
async fn ten_thousand_rows_of_one_flush_add_up_in_every_view() {
    let receipts: Vec<Receipt> = (0..10_000_u32)
        .map(|n| Receipt {
            cost: Some(Nanos(i64::from(n) * 37 + 1)),
            subject: subject(|s| {
                s.key = Some(format!("key-{}", n % 25).into());
                s.team = (n % 25 < 20).then(|| format!("team-{}", n % 5).into());
                s.model = Some(format!("openai/m{}", n / 25 % 20).into());
                s.tags = match n / 500 {
                    0 => Vec::new(),
                    1..10 => vec![tagged(&format!("tag-{}", n / 500)), tagged("shared")],
                    more => vec![tagged(&format!("tag-{more}"))],
                };
            }),
            ..receipt(n.into(), 20_000 * DAY)
        })
        .collect();
    for trial in Trial::all().await {
        let db = &trial.db;
        db.book(&receipts).await.unwrap();
        let expected = Nanos(receipts.iter().filter_map(|receipt| receipt.cost).map(|cost| cost.0).sum());
        let global = total(db).await;
        assert_eq!((global.requests, global.cost), (10_000, expected));
        let finest = by(db, &[Dim::Tag, Dim::Key, Dim::Model], TagView::Split).await;
        assert_eq!((sum(finest.values()), finest.len()), (global, 10_500));
        assert_eq!(sum(by(db, &[Dim::Key], TagView::Full).await.values()), global);
        let teams = by(db, &[Dim::Team], TagView::Full).await;
        assert_eq!((sum(teams.values()), teams.len()), (global, 6));
        assert!(teams.contains_key(&vec![None]), "what belongs to no team");
        let tags = by(db, &[Dim::Tag], TagView::Split).await;
        assert_eq!(sum(tags.values()), global);
        assert_eq!(tags[&vec![None]].requests, 500, "what has no tag");
        trial.end().await;
    }
}

#[tokio::test]
async fn a_batch_told_again_changes_nothing() {
    let booked = |n: u32| Receipt {
        subject: subject(|s| {
            s.key = Some("k".into());
            s.tags = vec![tagged("a"), tagged("b")];
            s.bookings = vec![booking(Payer::Key, "k", NEVER), booking(Payer::Tag, "a", NEVER)];
        }),
        ..receipt(n.into(), 20_000 * DAY)
    };
    let first: Vec<Receipt> = (0..100).map(booked).collect();
    let overlapping: Vec<Receipt> = (50..150).map(booked).collect();
    for trial in Trial::all().await {
        let db = &trial.db;
        let counted = db.book(&first).await.unwrap();
        let expected = |amount: i64| {
            let of = |kind: &str, id: &str| ((kind.to_owned(), id.to_owned(), NEVER), amount);
            BTreeMap::from([of("key", "k"), of("tag", "a")])
        };
        assert_eq!(amounts(&counted), expected(100_000));
        let before = total(db).await;
        assert_eq!(db.book(&first).await.unwrap(), []);
        assert_eq!(total(db).await, before);
        let doubled = [overlapping.clone(), overlapping.clone()].concat();
        assert_eq!(amounts(&db.book(&doubled).await.unwrap()), expected(150_000));
        assert_eq!(total(db).await.requests, 150);
        assert_eq!(trial.numbers("SELECT count(*) FROM spend_logs").await.unwrap(), [150]);
        trial.end().await;
    }
}

#[tokio::test]
async fn two_who_book_the_same_at_once_count_it_once() {
    let of = |from: u32| -> Vec<Receipt> {
        let booked = |n: u32| Receipt {
            subject: subject(|s| {
                s.key = Some(format!("key-{}", n % 97).into());
                s.customer = Some(format!("customer-{n}").into());
                s.tags = vec![tagged(&format!("t{}", n % 50)), tagged(&format!("u{}", n % 7))];
                s.bookings = vec![
                    booking(Payer::Global, "", NEVER),
                    booking(Payer::Key, &format!("key-{}", n % 97), NEVER),
                    booking(Payer::Customer, &format!("customer-{n}"), NEVER),
                ];
            }),
            ..receipt(n.into(), 20_000 * DAY)
        };
        (from..from + 1_000).map(booked).collect()
    };
    for trial in Trial::all().await {
        let others = super::open::open(&trial.place).await.unwrap();
        let (mut forwards, mut backwards) = (Vec::new(), Vec::new());
        for from in (0..5_000).step_by(500) {
            forwards.push(of(from));
            backwards.insert(0, of(from).into_iter().rev().collect::<Vec<_>>());
        }
        let ours = async {
            for batch in &forwards {
                book(&trial.db, batch).await;
            }
        };
        let theirs = async {
            for batch in &backwards {
                book(&others, batch).await;
            }
        };
        tokio::join!(ours, theirs);
        assert_eq!(total(&trial.db).await.requests, 5_500);
        let global = trial.db.counted(&[(Payer::Global, String::new())]).await.unwrap();
        assert_eq!(global[0].amount, Nanos(5_500_000));
        let keys = trial.db.counted_all(Payer::Key).await.unwrap();
        assert_eq!(keys.iter().map(|key| key.amount.0).sum::<i64>(), 5_500_000);
        others.close().await;
        trial.end().await;
    }
}

#[tokio::test]
async fn amounts_end_by_themselves_and_costs_that_are_not_known_count_nowhere() {
    let now = super::row::now_millis();
    let at = |n: u32, cost: Option<i64>, until: i64| Receipt {
        cost: cost.map(Nanos),
        subject: subject(|s| s.bookings = vec![booking(Payer::Team, "t", until)]),
        ..receipt(n.into(), now)
    };
    let soon = now + 3_600_000;
    for trial in Trial::all().await {
        let db = &trial.db;
        db.book(&[
            at(1, Some(5), NEVER),
            at(2, Some(7), soon),
            at(3, Some(11), now - 1),
            at(4, None, NEVER),
            at(5, Some(0), NEVER),
            at(6, Some(13), soon),
            at(7, Some(17), now - 2 * 3_600_000),
        ])
        .await
        .unwrap();
        let of = |until: i64, amount: i64| (("team".to_owned(), "t".to_owned(), until), amount);
        let counts = BTreeMap::from([of(NEVER, 5), of(soon, 20)]);
        let asked =
            [(Payer::Team, "t".to_owned()), (Payer::Team, "u".to_owned()), (Payer::Key, "t".to_owned())];
        assert_eq!(amounts(&db.counted(&asked).await.unwrap()), counts);
        assert_eq!(amounts(&db.counted_all(Payer::Team).await.unwrap()), counts);
        assert_eq!(db.counted_all(Payer::Tag).await.unwrap(), []);
        assert_eq!(db.spend_changed(now).await.unwrap().len(), 3, "what has just ended is told as well");
        let sums = total(db).await;
        assert_eq!((sums.requests, sums.unpriced, sums.cost), (7, 1, Nanos(53)));
        trial.end().await;
    }
}

#[tokio::test]
async fn a_slice_says_whose_part_is_meant() {
    let of = |n: u32, day: i64, team: &str, tags: &[&str], cost: i64| Receipt {
        cost: Some(Nanos(cost)),
        subject: subject(|s| {
            s.team = (!team.is_empty()).then(|| team.into());
            s.tags = tags.iter().map(|tag| tagged(tag)).collect();
        }),
        ..receipt(n.into(), day * DAY)
    };
    let receipts = [
        of(1, 0, "x", &["a", "b"], 101),
        of(2, 0, "", &["a"], 10),
        of(3, 1, "x", &[], 7),
        of(4, 2, "y", &["b", "a", "c"], 1_000),
    ];
    for trial in Trial::all().await {
        let db = &trial.db;
        db.book(&receipts).await.unwrap();
        for last in [-1, 1, 5] {
            while db.roll_up(last).await.unwrap() {}
            slices(db).await;
        }
        trial.end().await;
    }
}

/// Asks all there is to ask of the four requests of the test above.
async fn slices(db: &Db) {
    let only = |dim: Dim, values: &[Option<&str>]| Slice {
        only: vec![(dim, values.iter().map(|value| value.map(str::to_owned)).collect())],
        ..Slice::default()
    };
    let ask = async |slice: &Slice, dims: &[Dim], view: TagView| -> Vec<(Vec<Option<String>>, i64)> {
        let groups = db.activity(slice, dims, view).await.unwrap();
        groups.into_iter().map(|(values, sums)| (values, sums.cost.0)).collect()
    };
    let group = |values: &[&str], cost: i64| {
        let values = values.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned()));
        (values.collect::<Vec<_>>(), cost)
    };
    let all = Slice::default();
    let full = ask(&all, &[Dim::Tag], TagView::Full).await;
    assert_eq!(full, [group(&["a"], 1_111), group(&["b"], 1_101), group(&["c"], 1_000), group(&[""], 7)]);
    let split = ask(&all, &[Dim::Tag], TagView::Split).await;
    assert_eq!(split, [group(&["a"], 395), group(&["b"], 383), group(&["c"], 333), group(&[""], 7)]);
    let days = ask(&all, &[Dim::Day, Dim::Team], TagView::Full).await;
    assert_eq!(
        days,
        [
            group(&["1970-01-01", "x"], 101),
            group(&["1970-01-01", ""], 10),
            group(&["1970-01-02", "x"], 7),
            group(&["1970-01-03", "y"], 1_000)
        ]
    );
    let a_or_c = only(Dim::Tag, &[Some("a"), Some("c")]);
    assert_eq!(ask(&a_or_c, &[], TagView::Full).await, [group(&[], 1_111)], "each request once");
    assert_eq!(ask(&a_or_c, &[], TagView::Split).await, [group(&[], 728)]);
    assert_eq!(ask(&a_or_c, &[Dim::Tag], TagView::Full).await, [group(&["a"], 1_111), group(&["c"], 1_000)]);
    let a_or_none = only(Dim::Tag, &[Some("a"), None]);
    assert_eq!(ask(&a_or_none, &[Dim::Tag], TagView::Split).await, [group(&["a"], 395), group(&[""], 7)]);
    assert_eq!(ask(&a_or_none, &[], TagView::Full).await, [group(&[], 1_118)]);
    assert_eq!(ask(&only(Dim::Tag, &[None]), &[], TagView::Split).await, [group(&[], 7)]);
    assert_eq!(ask(&only(Dim::Team, &[None, Some("y")]), &[], TagView::Full).await, [group(&[], 1_010)]);
    assert_eq!(ask(&only(Dim::Team, &[Some("nobody")]), &[Dim::Team], TagView::Full).await, []);
    assert_eq!(ask(&only(Dim::Team, &[]), &[], TagView::Full).await, [group(&[], 0)]);
    let days = Slice {
        from: Some("1970-01-02".parse().unwrap()),
        to: Some("1970-01-02".parse().unwrap()),
        ..Slice::default()
    };
    assert_eq!(ask(&days, &[], TagView::Full).await, [group(&[], 7)]);
    let dearest = Slice { most: Some(1), ..Slice::default() };
    assert_eq!(ask(&dearest, &[Dim::Team], TagView::Full).await, [group(&["y"], 1_000)]);
}

#[tokio::test]
async fn the_log_is_found_by_everything_it_can_be_filtered_by() {
    let whole = Receipt {
        first_byte: Some(700),
        upstream: 600,
        stream: true,
        retries: 1,
        fallbacks: 2,
        usage: Some(Usage { prompt: 3, estimated: true, ..Usage::default() }),
        subject: subject(|s| {
            s.key = Some("k".into());
            s.team = Some("t".into());
            s.user = Some("u".into());
            s.organization = Some("o".into());
            s.project = Some("p".into());
            s.customer = Some("nul\0".into());
            s.group = Some("g".into());
            s.deployment = Some("d".into());
            s.provider = Some("openai".into());
            s.model = Some("openai/x".into());
            s.tags = vec![tagged("b"), tagged("a")];
            s.matched = Some(("tags".into(), "a".into()));
            s.bookings = vec![booking(Payer::Key, "k", NEVER)];
        }),
        ..receipt(1, 1_000)
    };
    let failed = Receipt {
        status: 429,
        error: Some("too many".into()),
        cost: None,
        usage: None,
        subject: subject(|s| s.tags = vec![tagged("a")]),
        ..receipt(2, 2_000)
    };
    let plain = receipt(3, 3_000);
    for trial in Trial::all().await {
        let db = &trial.db;
        db.book(&[failed.clone(), plain.clone(), whole.clone()]).await.unwrap();
        let page = LogPage { limit: 10, ..LogPage::default() };
        let find = async |filter: LogFilter<'_>, page: LogPage| -> Vec<u128> {
            let found = db.spend_logs(&filter, &page).await.unwrap().receipts;
            let count = db.count_spend_logs(&filter, 2).await.unwrap().0;
            if page.limit == 10 && page.after.is_none() {
                assert_eq!(count, i64::try_from(found.len().min(2)).unwrap(), "{filter:?}");
            }
            found.iter().map(|receipt| receipt.id & 0xff).collect()
        };
        let found = db.spend_logs(&LogFilter::default(), &page).await.unwrap().receipts;
        let with = |mut receipt: Receipt, change: &dyn Fn(&mut Subject)| {
            change(Arc::make_mut(&mut receipt.subject));
            receipt
        };
        let stored = with(whole.clone(), &|subject| subject.bookings.clear());
        let customer = found[2].subject.customer.clone();
        assert!(customer.is_some_and(|customer| customer.starts_with("nul\u{fffd}")));
        let nul = |s: &mut Subject| s.customer = s.customer.take().and(Some("nul\0".into()));
        let found = found.into_iter().map(|r| with(r, &nul));
        assert_eq!(found.collect::<Vec<_>>(), [plain.clone(), failed.clone(), stored]);
        let any = LogFilter::default;
        for filter in [
            LogFilter { key: Some("k"), ..any() },
            LogFilter { team: Some("t"), ..any() },
            LogFilter { user: Some("u"), ..any() },
            LogFilter { customer: Some("nul\0"), ..any() },
            LogFilter { group: Some("g"), ..any() },
            LogFilter { tag: Some("b"), ..any() },
            LogFilter { call_id: Some("call-1"), ..any() },
            LogFilter { to: Some(2_000), ..any() },
            LogFilter { tag: Some("a"), status: Some(LogStatus::Code(200)), ..any() },
        ] {
            assert_eq!(find(filter.clone(), page).await, [1], "{filter:?}");
        }
        assert_eq!(find(LogFilter { tag: Some("a"), ..any() }, page).await, [2, 1]);
        assert_eq!(find(LogFilter { tag: Some("a"), from: Some(2_000), ..any() }, page).await, [2]);
        assert_eq!(find(LogFilter { status: Some(LogStatus::Failed), ..any() }, page).await, [2]);
        assert_eq!(find(LogFilter { status: Some(LogStatus::Code(429)), ..any() }, page).await, [2]);
        assert_eq!(find(LogFilter { status: Some(LogStatus::Succeeded), ..any() }, page).await, [3, 1]);
        assert_eq!(find(LogFilter { key: Some("nobody"), ..any() }, page).await, [0; 0]);
        let after = LogPage { after: Some(failed.id), ..page };
        assert_eq!(find(any(), after).await, [1]);
        assert_eq!(find(LogFilter { tag: Some("a"), ..any() }, after).await, [1]);
        assert_eq!(find(any(), LogPage { ascending: true, ..after }).await, [3]);
        assert_eq!(find(any(), LogPage { limit: 1, offset: 1, ..page }).await, [2]);
        trial.end().await;
    }
}

fn any_receipt() -> impl Strategy<Value = Receipt> {
    let name = |prefix: &'static str| {
        prop::option::weighted(0.7, (0..3_u8).prop_map(move |n| Box::from(format!("{prefix}{n}"))))
    };
    let owners = (name("k"), name("t"), name("u"), name("o"), name("p"), name("c"));
    let served = (name("g"), name("d"), name("v"), name("m"));
    let tags = vec((0..5_u8).prop_map(|n| tagged(&format!("tag{n}"))), 0..4);
    let usage = prop::option::of((0..1_000_u64, 0..1_000_u64, 0..9_u64, 0..9_u64));
    let rest = (
        0..4_i64,
        prop::option::of(0..1_000_000_i64),
        0..1_000_u128,
        prop::sample::select(vec![200, 429, 500]),
    );
    (owners, served, tags, usage, rest).prop_map(
        |(owners, served, tags, usage, (day, cost, number, status))| Receipt {
            status,
            took: number as u64 + 7,
            first_byte: (number % 3 != 0).then_some(number as u64),
            cost: cost.map(Nanos),
            usage: usage.map(|(prompt, completion, cache_read, cache_write)| Usage {
                prompt,
                completion,
                cache_read,
                cache_write,
                ..Usage::default()
            }),
            subject: subject(|s| {
                s.tags = tags;
                s.key = owners.0;
                s.team = owners.1;
                s.user = owners.2;
                s.organization = owners.3;
                s.project = owners.4;
                s.customer = owners.5;
                s.group = served.0;
                s.deployment = served.1;
                s.provider = served.2;
                s.model = served.3;
            }),
            ..receipt(number, day * DAY)
        },
    )
}

/// Whatever is booked, in whatever batches: every view of it adds up to what the receipts say.
#[test]
fn every_view_of_any_receipts_adds_up() {
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
    let batches = vec(vec(any_receipt(), 0..60), 1..4);
    runner
        .run(&batches, |batches| {
            block_on(async {
                for trial in Trial::all().await {
                    let db = &trial.db;
                    let mut known: BTreeMap<u128, Receipt> = BTreeMap::new();
                    for (last, batch) in (0..).zip(&batches) {
                        db.book(batch).await.unwrap();
                        // Some days are rolled up, some not yet, and some no longer.
                        while db.roll_up(last).await.unwrap() {}
                        // A batch holds a number twice only when both are the same request: keep the last, as it does.
                        let last: BTreeMap<u128, Receipt> = batch.iter().map(|r| (r.id, r.clone())).collect();
                        for (id, receipt) in last {
                            known.entry(id).or_insert(receipt);
                        }
                    }
                    let used = |of: fn(&Usage) -> u64| -> i64 {
                        known.values().filter_map(|r| r.usage).map(|usage| of(&usage) as i64).sum()
                    };
                    let timed = || known.values().filter(|r| !r.failed() && r.first_byte.is_some());
                    let expected = Sums {
                        requests: i64::try_from(known.len()).unwrap(),
                        failed: known.values().filter(|r| r.failed()).map(|_| 1).sum(),
                        unpriced: known.values().filter(|r| r.cost.is_none()).map(|_| 1).sum(),
                        prompt_tokens: used(|usage| usage.prompt),
                        completion_tokens: used(|usage| usage.completion),
                        cache_read_tokens: used(|usage| usage.cache_read),
                        cache_write_tokens: used(|usage| usage.cache_write),
                        cost: known.values().filter_map(|r| r.cost).sum(),
                        timed: timed().map(|_| 1).sum(),
                        total_us: timed().map(|r| r.took as i64).sum(),
                        first_us: timed().map(|r| r.first_byte.unwrap() as i64).sum(),
                    };
                    assert_eq!(total(db).await, expected);
                    for dim in DIMS {
                        let view = by(db, &[dim], TagView::Split).await;
                        assert_eq!(sum(view.values()), expected, "{dim:?}");
                        let finer = by(db, &[Dim::Tag, dim], TagView::Split).await;
                        assert_eq!(sum(finer.values()), expected, "{dim:?} and tag");
                        for (tag, sums) in by(db, &[Dim::Tag], TagView::Split).await {
                            let of_tag = finer.iter().filter(|(values, _)| values[0] == tag[0]);
                            assert_eq!(sum(of_tag.map(|(_, sums)| sums)), sums, "{tag:?} by {dim:?}");
                        }
                    }
                    for (tag, sums) in by(db, &[Dim::Tag], TagView::Full).await {
                        let carries = |r: &&Receipt| match &tag[0] {
                            Some(tag) => r.subject.tags.iter().any(|tagged| *tagged.tag == **tag),
                            None => r.subject.tags.is_empty(),
                        };
                        let cost: Nanos = known.values().filter(carries).filter_map(|r| r.cost).sum();
                        assert_eq!(sums.cost, cost, "{tag:?}");
                        let slice = Slice { only: vec![(Dim::Tag, tag)], ..Slice::default() };
                        for view in [TagView::Full] {
                            assert_eq!(db.activity(&slice, &[], view).await.unwrap()[0].1, sums);
                        }
                    }
                    trial.end().await;
                }
            });
            Ok(())
        })
        .unwrap();
}

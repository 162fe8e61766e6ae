//! Who is in which variant of an experiment, and where a ramp is: what holds for all of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

use proptest::prelude::*;
use tagway_core::experiment::{
    Breach, Experiment, Figures, Hold, OnBreach, Ramp, Standing, Step, Unit, Variant, within,
};
use tagway_core::strategy::hash;
use tagway_core::tag::Members;

fn experiment(name: &str, weights: &[f64]) -> Experiment {
    let variants = weights.iter().zip(b'a'..);
    Experiment {
        name: name.into(),
        models: Vec::new(),
        when: None,
        sticky: None,
        variants: variants.map(|(weight, tag)| Variant::new(&char::from(tag).to_string(), *weight)).collect(),
        ramp: None,
    }
}

fn ramp(shares: &[(f64, i64)]) -> Ramp {
    let last = shares.len() - 1;
    let steps = shares.iter().enumerate();
    let steps =
        steps.map(|(at, (share, lasts))| Step { share: *share, lasts: (at < last).then_some(*lasts) });
    Ramp { variant: 1, control: 0, starts_at: 1_000, steps: steps.collect(), hold: None }
}

fn chosen(experiment: &Experiment, share: Option<f64>, user: u32) -> usize {
    let all = Members::all(experiment.variants.len());
    experiment.choose(&all, share, Unit::Sticks(hash(&format!("user-{user}")))).unwrap()
}

#[test]
fn variants_get_their_shares() {
    let experiment = experiment("shares", &[70.0, 20.0, 10.0]);
    let mut counts = [0; 3];
    (0..20_000).for_each(|user| counts[chosen(&experiment, None, user)] += 1);
    for (count, share) in counts.into_iter().zip([14_000, 4000, 2000]) {
        assert!(i32::abs(count - share) < 250, "{counts:?}");
    }
}

#[test]
fn who_is_in_one_experiment_says_nothing_about_another() {
    let [one, other] = ["one", "other"].map(|name| experiment(name, &[1.0, 1.0]));
    let same = (0..10_000).filter(|user| chosen(&one, None, *user) == chosen(&other, None, *user)).count();
    assert!((4700..=5300).contains(&same), "{same} of 10,000");
    let mirrored = |user: &u32| within("mirror", 0.5, Unit::Sticks(hash(&format!("user-{user}"))));
    let both = (0..10_000).filter(|user| mirrored(user) && chosen(&one, None, *user) == 1).count();
    assert!((2300..=2700).contains(&both), "{both} of 10,000");
}

#[test]
fn a_variant_that_is_excluded_is_nobodys() {
    let experiment = experiment("excluded", &[1.0, 99.0]);
    let mut open = Members::all(2);
    open.remove(1);
    assert!((0..100).all(|user| experiment.choose(&open, None, Unit::Drawn(user)) == Some(0)));
    open.remove(0);
    assert_eq!(experiment.choose(&open, None, Unit::Drawn(1)), None);
    assert_eq!(experiment.choose(&Members::all(2), None, Unit::Supposed), Some(1));
}

proptest! {
    #[test]
    fn a_share_that_grows_keeps_those_who_are_in_it(
        mut shares in prop::collection::vec(0.0..=1.0_f64, 2..6),
        users in prop::collection::vec(any::<u32>(), 1..50),
    ) {
        shares.sort_by(f64::total_cmp);
        let mut experiment = experiment("growing", &[0.0, 0.0]);
        experiment.ramp = Some(ramp(&[(0.0, 1)]));
        for user in users {
            let mut was = false;
            for share in &shares {
                let is = chosen(&experiment, Some(*share), user) == 1;
                prop_assert!(is || !was, "user {user} left at {share}");
                was = is;
            }
        }
    }

    #[test]
    fn a_weight_that_grows_keeps_those_who_are_in_it(
        weights in prop::collection::vec(0.1..10.0_f64, 2..6),
        more in 1.0..5.0_f64,
        user in any::<u32>(),
    ) {
        let before = experiment("weights", &weights);
        let is = chosen(&before, None, user);
        let mut grown = before;
        grown.variants[is].weight *= more;
        prop_assert_eq!(chosen(&grown, None, user), is);
    }

    #[test]
    fn a_mirror_that_grows_keeps_those_it_copies(share in 0.0..=1.0_f64, more in 0.0..=1.0_f64, user in any::<u64>()) {
        let unit = Unit::Sticks(user);
        prop_assert!(!within("m", share, unit) || within("m", share + more, unit));
    }

    #[test]
    fn a_ramp_goes_on_where_it_was_held(
        steps in prop::collection::vec((0.0..=1.0_f64, 1..1000_i64), 1..5),
        held in 1000..4000_i64,
        pause in 0..3000_i64,
        later in 0..3000_i64,
    ) {
        let ramp = ramp(&steps);
        let running = Standing::default();
        let stopped = ramp.held(held, &running);
        let at_hold = ramp.at(held, &running);
        let held_later = ramp.at(held + pause, &stopped);
        prop_assert_eq!((at_hold.share, at_hold.step), (held_later.share, held_later.step));
        prop_assert_eq!(held_later.next, None);
        let resumed = ramp.resumed(held + pause, &stopped);
        let (gone_on, never_held) = (ramp.at(held + pause + later, &resumed), ramp.at(held + later, &running));
        prop_assert_eq!((gone_on.share, gone_on.step), (never_held.share, never_held.step));
        prop_assert!(held + pause <= gone_on.since, "what came before is not judged again");
        let back = ramp.rolled_back(held, &running);
        prop_assert_eq!(ramp.at(held + later, &back).share, 0.0);
        let again = ramp.at(ramp.starts_at.max(held), &ramp.resumed(ramp.starts_at.max(held), &back));
        prop_assert_eq!(again.step, Some(0));
    }

    #[test]
    fn p95_is_that_of_the_times_to_a_sixteenth(mut times in prop::collection::vec(64..1_000_000_000_u64, 1..200)) {
        let mut figures = Figures::default();
        for time in &times {
            figures.add(&Figures { requests: 1, failed: 0, times: vec![(Figures::bucket(*time), 1)] });
        }
        times.sort_unstable();
        let exact = times[(times.len() * 19).div_ceil(20) - 1] as f64;
        let found = figures.p95().unwrap();
        prop_assert!((found / exact - 1.0).abs() <= 1.0 / 15.0, "{found} for {exact}");
    }
}

#[test]
fn a_ramp_that_was_held_before_it_began_begins_when_it_is_let_go() {
    let ramp = ramp(&[(0.05, 100), (0.5, 0)]);
    let held = ramp.held(500, &Standing::default());
    assert_eq!(ramp.at(5000, &held).share, 0.0);
    let [early, late] = [800, 1300].map(|now| ramp.resumed(now, &held));
    assert_eq!((ramp.at(999, &early).share, ramp.at(1000, &early).share), (0.0, 0.05));
    assert_eq!((ramp.at(1300, &late).share, ramp.at(1400, &late).share), (0.05, 0.5));
}

#[test]
fn a_ramp_follows_its_schedule() {
    let ramp = ramp(&[(0.05, 100), (0.25, 100), (0.5, 0)]);
    let share = |now: i64| ramp.at(now, &Standing::default());
    assert_eq!((share(999).share, share(999).step, share(999).next), (0.0, None, Some(1000)));
    assert_eq!((share(1000).share, share(1000).next, share(1000).since), (0.05, Some(1100), 1000));
    assert_eq!((share(1099).share, share(1100).share), (0.05, 0.25));
    assert_eq!((share(1200).share, share(1_000_000).share, share(1_000_000).next), (0.5, 0.5, None));
}

fn figures(requests: u64, failed: u64, millis: u64) -> Figures {
    Figures { requests, failed, times: vec![(Figures::bucket(millis * 1000), requests - failed)] }
}

#[test]
fn a_variant_is_held_when_it_is_worse_by_more_than_the_bound() {
    let hold =
        Hold { error_rate: Some(0.01), latency: Some(1.2), min_requests: 100, on_breach: OnBreach::Hold };
    let control = figures(1000, 10, 100);
    assert_eq!(hold.judge(&figures(1000, 20, 100), &control), None, "a percentage point more may fail");
    assert!(matches!(hold.judge(&figures(1000, 21, 100), &control), Some(Breach::Errors { .. })));
    assert_eq!(hold.judge(&figures(99, 99, 100), &control), None, "too few");
    assert_eq!(hold.judge(&figures(1000, 1000, 100), &figures(99, 0, 100)), None, "too few of the control");
    assert!(matches!(hold.judge(&figures(1000, 10, 150), &control), Some(Breach::Latency { .. })));
    assert_eq!(hold.judge(&figures(1000, 10, 105), &control), None);
    let said = hold.judge(&figures(1000, 50, 100), &control).unwrap().to_string();
    assert_eq!(said, "5.00 % of its requests fail, of the control's 1.00 %; 1.00 more may");
}

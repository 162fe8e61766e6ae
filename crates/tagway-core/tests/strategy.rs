//! Strategies: what they choose is always a candidate, in the proportions they promise, and who sticks moves as little
//! as can be. The random numbers are the same in every run.
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use proptest::prelude::*;
use tagway_core::strategy::{
    Latency, Recent, Running, Used, best_of_two, fastest, hash, least, least_used, mixed, rendezvous, shuffle,
};
use tagway_core::tag::Members;

/// Random numbers between 0 and 1, the same for the same seed.
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut count = 0;
    move || {
        count += 1;
        (mixed(seed, count) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Pearson's statistic of how often each was chosen, where it ought to be in proportion to these.
fn chi_square(chosen: &[u32], shares: &[f64]) -> f64 {
    let (total, sum) = (f64::from(chosen.iter().sum::<u32>()), shares.iter().sum::<f64>());
    let expected = shares.iter().map(|share| total * share / sum);
    chosen.iter().zip(expected).map(|(seen, expected)| (f64::from(*seen) - expected).powi(2) / expected).sum()
}

/// What the statistic exceeds once in a thousand times, for two to ten possibilities.
const ONE_IN_A_THOUSAND: [f64; 9] = [10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88];

#[track_caller]
fn assert_shares(chosen: &[u32], shares: &[f64]) {
    let (found, limit) = (chi_square(chosen, shares), ONE_IN_A_THOUSAND[shares.len() - 2]);
    assert!(found < limit, "{chosen:?} for {shares:?}: {found:.1} is over {limit}");
}

/// How often each of `size` is chosen.
fn count(size: usize, times: u32, mut choose: impl FnMut() -> Option<usize>) -> Vec<u32> {
    let mut chosen = vec![0; size];
    (0..times).for_each(|_| chosen[choose().unwrap()] += 1);
    chosen
}

#[test]
fn a_shuffle_goes_by_the_first_kind_of_share_that_anybody_has() {
    let all = Members::all(4);
    let mut next = random(1);
    let weights = [Some(1.0), Some(2.0), Some(5.0), Some(2.0)];
    let others = [Some(9.0), None, None, None];
    let by_first = |kind: usize, place: usize| [weights, others][kind][place];
    assert_shares(&count(4, 20_000, || shuffle(&all, 2, by_first, next())), &[1.0, 2.0, 5.0, 2.0]);
    let by_second = |kind: usize, place: usize| [[None; 4], weights][kind][place];
    assert_shares(&count(4, 20_000, || shuffle(&all, 2, by_second, next())), &[1.0, 2.0, 5.0, 2.0]);
    assert_shares(&count(4, 20_000, || shuffle(&all, 2, |_, _| None, next())), &[1.0; 4]);
    let chosen = count(4, 1000, || shuffle(&all, 1, |_, place| others[place], next()));
    assert_eq!(chosen, [1000, 0, 0, 0], "without a share of the kind that counts there is no traffic");
}

#[test]
fn equals_have_the_same_chance() {
    let (all, mut next) = (Members::all(5), random(2));
    let busy = [3, 1, 1, 4, 1];
    let chosen = count(5, 15_000, || least(&all, |place| busy[place], next()));
    assert_eq!((chosen[0], chosen[3]), (0, 0));
    assert_shares(&[chosen[1], chosen[2], chosen[4]], &[1.0; 3]);
}

#[test]
fn who_is_nearly_as_fast_shares_the_traffic_of_the_fastest() {
    let (all, mut next) = (Members::all(4), random(3));
    let took = [0.5, 0.2, 0.29, 0.31];
    let recent = |place: usize| Recent { took: Some(took[place]), in_progress: 7 };
    assert_eq!(count(4, 500, || fastest(&all, recent, 0.0, next())), [0, 500, 0, 0]);
    let chosen = count(4, 10_000, || fastest(&all, recent, 0.5, next()));
    assert_eq!((chosen[0], chosen[3]), (0, 0));
    assert_shares(&chosen[1..3], &[1.0; 2]);
}

#[test]
fn the_untried_is_tried_by_one_call_at_a_time() {
    let (all, mut next) = (Members::all(3), random(4));
    let mut recent = [
        Recent { took: Some(0.1), in_progress: 0 },
        Recent { took: None, in_progress: 0 },
        Recent { took: Some(0.2), in_progress: 0 },
    ];
    assert_eq!(fastest(&all, |place| recent[place], 0.0, next()), Some(1));
    recent[1].in_progress = 1;
    assert_eq!(count(3, 100, || fastest(&all, |place| recent[place], 0.0, next())), [100, 0, 0]);
    // Nothing else is known of anybody.
    let begun = |_| Recent { took: None, in_progress: 3 };
    assert_shares(&count(3, 9000, || fastest(&all, begun, 0.0, next())), &[1.0; 3]);
}

#[test]
fn usage_evens_out_also_while_calls_are_in_progress() {
    let (all, mut next) = (Members::all(3), random(5));
    // Each serves calls of another size.
    let size = [10, 20, 40];
    let mut used = [Used::default(); 3];
    for _ in 0..7000 {
        let place = least_used(&all, |place| used[place], next()).unwrap();
        used[place].tokens += size[place];
        used[place].calls += 1;
    }
    let (low, high) =
        (used.iter().map(|u| u.tokens).min().unwrap(), used.iter().map(|u| u.tokens).max().unwrap());
    assert!(high - low <= 80, "{used:?}");
    let mut burst = [Used { tokens: 1000, calls: 10, in_progress: 0 }; 3];
    burst[1].tokens = 900;
    for _ in 0..30 {
        let place = least_used(&all, |place| burst[place], next()).unwrap();
        burst[place].in_progress += 1;
    }
    assert!(burst.iter().all(|used| (9..=12).contains(&used.in_progress)), "{burst:?}");
}

#[test]
fn two_choices_avoid_the_worst_and_spread_the_rest() {
    let (all, mut next) = (Members::all(4), random(6));
    let mut choose = |running: &dyn Fn(usize) -> Running| {
        count(4, 12_000, || best_of_two(&all, running, [next(), next(), next()]))
    };
    let alike = |_| Running { takes: Some(1.0), in_progress: 2 };
    assert_shares(&choose(&alike), &[1.0; 4]);
    // The best of two: the nth of four wins against all that are worse.
    let ordered = |place: usize| Running { takes: Some(1.0), in_progress: u32::try_from(place).unwrap() };
    let chosen = choose(&ordered);
    assert_eq!(chosen[3], 0);
    assert_shares(&chosen[..3], &[3.0, 2.0, 1.0]);
    // Twice as fast makes up for one more call.
    let slower = |place: usize| match place {
        0 => Running { takes: Some(1.0), in_progress: 1 },
        _ => Running { takes: Some(2.1), in_progress: 0 },
    };
    let chosen = choose(&slower);
    assert_shares(&chosen, &[3.0, 1.0, 1.0, 1.0]);
    // Of one nothing is known: calls in progress decide.
    let unknown =
        |place: usize| Running { takes: (place != 0).then_some(9.0), in_progress: u32::from(place == 0) };
    assert_eq!(choose(&unknown)[0], 0);
}

#[test]
fn sessions_stick_in_proportion_to_weights() {
    let weights = [1.0, 3.0, 6.0, 0.0];
    let ids: Vec<u64> = ["east", "west", "south", "north"].map(hash).into();
    let all = Members::all(4);
    let mut session = 0;
    let chosen = count(4, 20_000, || {
        session += 1;
        rendezvous(&all, |place| (ids[place], weights[place]), hash(&format!("session-{session}")))
    });
    assert_eq!(chosen[3], 0);
    assert_shares(&chosen[..3], &weights[..3]);
}

#[test]
fn a_new_deployment_takes_its_share_and_moves_nobody_else() {
    let ids: Vec<u64> = (0..5).map(|at| hash(&format!("deployment-{at}"))).collect();
    let serves = |size: usize, session: u32| {
        let of = |place: usize| (ids[place], if place == 4 { 2.0 } else { 1.0 });
        rendezvous(&Members::all(size), of, hash(&format!("user-{session}"))).unwrap()
    };
    let mut moved = 0;
    for session in 0..12_000 {
        let (before, after) = (serves(4, session), serves(5, session));
        assert!(after == before || after == 4, "session {session} moved from {before} to {after}");
        moved += u32::from(after == 4);
    }
    assert_shares(&[moved, 12_000 - moved], &[2.0, 4.0]);
}

#[test]
fn hashes_are_the_same_for_ever() {
    // Changed ones would move every session of every installation.
    assert_eq!((hash(""), hash("a")), (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c));
    let ids = ["one", "two", "three", "four", "five"].map(hash);
    let chosen = ["ann", "bob", "cy", "dee", "eve", "flo"]
        .map(|user| rendezvous(&Members::all(5), |place| (ids[place], 1.0), hash(user)).unwrap());
    assert_eq!(chosen, [2, 1, 1, 1, 3, 2]);
}

#[test]
fn recent_calls_come_to_their_mean_or_to_a_percentile_of_first_tokens() {
    let calls = [0.4, 0.1, 0.2, 0.3];
    let mean = Latency::default();
    let worst = Latency { percentile: Some(0.75), ..mean };
    assert_eq!(mean.typical(&mut calls.clone(), true), Some(0.25));
    assert_eq!(worst.typical(&mut calls.clone(), true), Some(0.3));
    assert_eq!(worst.typical(&mut calls.clone(), false), Some(0.25));
    assert_eq!(worst.typical(&mut [], true), None);
}

proptest! {
    #[test]
    fn the_choice_is_a_candidate(
        places in prop::collection::btree_set(0..150_usize, 0..20),
        figures in prop::collection::vec((prop::option::of(0.0..5.0_f32), 0..5_u32, 0..900_u64), 150),
        buffer in 0.0..2.0_f64,
        seed: u64,
        randoms in prop::array::uniform3(0.0..=1.0_f64),
    ) {
        let among: Members = places.iter().copied().collect();
        let random = randoms[0];
        let chosen = [
            shuffle(&among, 1, |_, place| figures[place].0.map(f64::from), random),
            least(&among, |place| figures[place].1, random),
            fastest(&among, |place| Recent { took: figures[place].0, in_progress: figures[place].1 }, buffer, random),
            least_used(&among, |place| Used { tokens: figures[place].2, calls: 1, in_progress: figures[place].1 }, random),
            best_of_two(&among, |place| Running { takes: figures[place].0, in_progress: figures[place].1 }, randoms),
            rendezvous(&among, |place| (hash(&place.to_string()), f64::from(figures[place].1)), seed),
        ];
        for place in chosen {
            prop_assert_eq!(place.is_none(), places.is_empty());
            prop_assert!(place.is_none_or(|place| places.contains(&place)));
        }
    }

    #[test]
    fn who_leaves_moves_only_its_own(
        weights in prop::collection::vec(0.1..9.0_f64, 2..12),
        leaves: prop::sample::Index,
        key: u64,
    ) {
        let size = weights.len();
        let gone = leaves.index(size);
        let serves = |among: &Members| rendezvous(among, |place| (hash(&format!("d{place}")), weights[place]), key);
        let before = serves(&Members::all(size)).unwrap();
        let mut rest = Members::all(size);
        rest.remove(gone);
        let after = serves(&rest).unwrap();
        prop_assert!(before == gone || after == before);
    }
}

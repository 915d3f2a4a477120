//! The machine against chance: whatever happens in whatever order, some things never do.

use proptest::prelude::*;

use super::*;
use crate::keys::state::{Outcome, State, Step, Why};

#[derive(Debug, Clone)]
enum Event {
    /// The clock moves on.
    Wait(u64),
    /// The clock is set back.
    Back(u64),
    /// A token of this key; whoever must fetch gets this.
    Ask(u8, Option<u8>),
    /// The set of this version is confirmed by a refresh.
    Refresh(Option<u8>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0_u64..400).prop_map(Event::Wait),
        1 => (0_u64..400).prop_map(Event::Back),
        8 => (any::<u8>(), proptest::option::of(0_u8..4)).prop_map(|(kid, answer)| Event::Ask(kid, answer)),
        2 => proptest::option::of(0_u8..4).prop_map(Event::Refresh),
    ]
}

/// What an issuer has in each of its versions.
fn sets() -> Vec<KeySet> {
    let (a, b, c) = (jwk("0"), jwk("1"), jwk("2"));
    [jwks(&[]), jwks(&[&a]), jwks(&[&a, &b]), jwks(&[&b, &c])]
        .iter()
        .map(|jwks| KeySet::from_jwks(jwks.as_bytes(), &[Algorithm::EdDsa]).expect("a set").0)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_never_happens(events in proptest::collection::vec(event(), 1..200)) {
        let settings = KeySettings::default();
        let sets = sets();
        let (mut state, mut now, mut clock_went_back) = (State::new(), UnixTime(START), false);
        let mut unknown_fetches: Vec<u64> = Vec::new();
        let mut epoch = 0;
        for event in events {
            let fetch = |state: &mut State, why, answer: Option<u8>| {
                let before = state.held().map(|held| held.keys.clone());
                let begun = state.begin(now, why, &settings);
                let outcome = match answer {
                    Some(version) => {
                        Outcome::New { set: sets[usize::from(version)].clone(), max_age: None }
                    }
                    None => Outcome::Failed,
                };
                state.end(now, begun, outcome, &settings);
                let after = state.held().map(|held| held.keys.clone());
                if let Some(before) = before {
                    let after = after.expect("keys are never lost");
                    prop_assert!(!after.set.is_empty());
                    prop_assert_eq!(before.epoch == after.epoch, after.set.retains(&before.set));
                }
                Ok(())
            };
            match event {
                Event::Wait(seconds) => now = now.plus(seconds),
                Event::Back(seconds) => {
                    now = UnixTime(now.0 - seconds);
                    clock_went_back = true;
                }
                Event::Refresh(answer) => fetch(&mut state, Why::Refresh, answer)?,
                Event::Ask(kid, answer) => {
                    let kid = kid.to_string();
                    let mark = state.mark();
                    let mut step = state.ask(now, Some(&kid), &settings);
                    if let Step::Fetch(why) = step {
                        fetch(&mut state, why, answer)?;
                        if why == Why::UnknownKid {
                            unknown_fetches.push(now.0);
                        }
                        step = state.ask_again(now, Some(&kid), mark, &settings);
                        prop_assert!(!matches!(step, Step::Fetch(_)), "nobody fetches twice for one request");
                    }
                    if let Step::Serve(serve) = step {
                        let held = state.held().expect("what serves is held");
                        prop_assert!(now.since(held.confirmed) <= settings.max_stale);
                        prop_assert!(!serve.keys.set.is_empty());
                        prop_assert!(serve.keys.epoch >= epoch, "epochs only grow");
                        epoch = serve.keys.epoch;
                        prop_assert_eq!(serve.unknown.is_none(), serve.keys.set.has(&kid));
                    }
                }
            }
            prop_assert!(state.absent() <= 256);
        }
        if !clock_went_back {
            // Of those for unknown keys, no three within a cooldown.
            for three in unknown_fetches.windows(3) {
                prop_assert!(three[2] - three[0] >= settings.unknown_kid_cooldown, "{unknown_fetches:?}");
            }
        }
    }
}

/// What is remembered is bounded, and forgotten in time and with another set.
#[test]
fn absent_keys_are_few_and_forgotten() {
    let settings = KeySettings::default();
    let mut state = State::new();
    let now = UnixTime(START);
    let fetch = |state: &mut State, set| {
        let begun = state.begin(now, Why::Refresh, &settings);
        state.end(now, begun, Outcome::New { set, max_age: None }, &settings);
    };
    let first = set(&["k"]);
    fetch(&mut state, first.clone());
    let mark = state.mark();
    fetch(&mut state, first);
    for at in 0..1000 {
        state.ask_again(now, Some(&format!("x{at}")), mark, &settings);
    }
    assert_eq!(state.absent(), 256);
    let later = now.plus(settings.unknown_kid_memory);
    assert!(matches!(state.ask(now, Some("x0"), &settings), Step::Serve(_)));
    assert!(matches!(state.ask(later, Some("x0"), &settings), Step::Fetch(Why::UnknownKid)));
    fetch(&mut state, set(&["k"]));
    assert_eq!(state.absent(), 0);
}

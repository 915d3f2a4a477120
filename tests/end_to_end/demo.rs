//! The demo, from its beginning to its end.

use std::collections::BTreeMap;

use crate::program::hopseal;

/// Puts words in place of what differs from run to run: pseudonyms, ids, ports, times and lengths of time.
pub(crate) fn settled(out: &str) -> String {
    let people: BTreeMap<&str, &str> = out
        .lines()
        .filter_map(|line| line.trim().split_once(" is p1."))
        .map(|(person, pseudonym)| (pseudonym, person.trim()))
        .collect();
    let mut text = out.to_owned();
    for (pseudonym, person) in people {
        text = text.replace(&format!("p1.{pseudonym}"), &format!("<{person}>"));
    }
    let words = text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric());
    let mut settled = String::new();
    for word in words {
        let (word, after) = match word.char_indices().next_back() {
            Some((at, letter)) if !letter.is_ascii_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        let is = |radix: u32| !word.is_empty() && word.chars().all(|digit| digit.is_digit(radix));
        settled.push_str(match word.len() {
            32 if is(16) => "<trace>",
            4 | 5 if is(10) && settled.ends_with("127.0.0.1:") => "<port>",
            1 | 2 if is(10) && settled.ends_with("had ended ") => "<some>",
            _ => word,
        });
        settled.push_str(after);
    }
    settled
}

/// Scenario: a newcomer runs the demo.
/// Guarantees: each story tells what it finds, which is what it promises, and the demo ends with 0.
#[test]
fn every_story_finds_what_it_promises() {
    let run = hopseal(&["demo"]);
    assert_eq!(run.err, "");
    let out = settled(&run.out);
    let golden = include_str!("../examples/demo.txt");
    assert!(out == golden, "not as in `tests/examples/demo.txt`:\n{out}");
    assert_eq!(run.status, 0);
}

//! The demo, from its beginning to its end.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use clap::Parser as _;
use hopseal_collector::check::Exit;
use hopseal_collector::cli::{self, Cli};

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

/// What is started.
#[test]
#[ignore = "run by the test beside it, in a process of its own"]
fn telling() {
    let cli = Cli::try_parse_from(["hopseal", "demo", "--keep"]).expect("arguments");
    let exit = cli::run(cli, false, &mut std::io::stdout(), &mut std::io::stderr());
    assert_eq!(exit, Exit::Clean);
}

/// Scenario: a newcomer runs the demo, follows every address that it tells, and ends it.
/// Guarantees: each story finds what it promises, and tells so; what was found is where it says; alice is found by her name; the demo ends
/// with 0.
#[tokio::test]
async fn every_story_finds_what_it_promises() {
    let mut process = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "demo::telling", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let mut out = String::new();
    while !out.contains("What alice did") {
        out.push_str(&lines.next().expect("it goes on").expect("a line"));
        out.push('\n');
    }
    // What comes before is told by whoever runs tests.
    let begins = out.find("Five services").expect("a beginning");
    let out = out.split_off(begins);
    let told = settled(&out);
    let golden = include_str!("../examples/demo.txt");
    assert!(told == golden, "not as in `tests/examples/demo.txt`:\n{told}");

    let links: Vec<&str> = out.split_whitespace().filter(|word| word.starts_with("http://")).collect();
    assert_eq!(links.len(), 9);
    // The first is where spans go.
    for link in &links[1..] {
        let answer = reqwest::get(*link).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{link}");
        let page = answer.text().await.expect("a page");
        if link.ends_with("user=alice") {
            let pseudonym = out.lines().find_map(|line| line.trim().strip_prefix("alice is ")).expect("told");
            assert!(page.contains(pseudonym) && page.contains("/receipt"), "{page}");
        }
    }

    let pid = process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("sent").success());
    lines.for_each(drop);
    assert!(process.wait().expect("ended").success());
}

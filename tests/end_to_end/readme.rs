use crate::demo::settled;
use crate::program::hopseal;

/// The fenced block after `before`.
fn block_after<'a>(text: &'a str, before: &str) -> &'a str {
    let (_, after) = text.split_once(before).expect(before);
    let (_, block) = after.split_once("```text\n").expect("a block of text");
    block.split_once("```").expect("an end of the block").0
}

/// Scenario: someone reads how often the program is right.
/// Guarantees: each figure is one of the table that `cargo xtask accuracy` holds the program to.
#[test]
fn the_readme_shows_lines_of_the_table() {
    let table = include_str!("../accuracy.txt");
    let shown = block_after(include_str!("../../README.md"), "cargo xtask accuracy\n");
    assert!(shown.lines().count() > 3);
    for line in shown.lines() {
        assert!(table.lines().any(|kept| kept.starts_with(line)), "{line}");
    }
}

/// Scenario: someone reads what the demo tells.
/// Guarantees: it tells every line of that.
#[test]
fn the_readme_shows_lines_of_the_demo() {
    let told = include_str!("../examples/demo.txt");
    let shown = settled(block_after(include_str!("../../README.md"), "cargo run --release -- demo\n"));
    assert!(shown.lines().count() > 3);
    for line in shown.lines().filter(|line| *line != "...") {
        assert!(told.lines().any(|kept| kept == line), "{line}");
    }
}

/// Scenario: someone reads what the heart of a service is.
/// Guarantees: each line is one of the page of the crate, which is compiled and run with its tests.
#[test]
fn the_readme_shows_lines_of_the_page_that_is_run() {
    let page = include_str!("../../src/hopseal/start.md");
    let (_, block) = include_str!("../../README.md").split_once("```rust\n").expect("a block of Rust");
    let (shown, _) = block.split_once("```").expect("an end of the block");
    assert!(shown.lines().count() > 3);
    for line in shown.lines().map(str::trim) {
        assert!(page.lines().any(|kept| kept.trim() == line), "{line}");
    }
}

/// Scenario: someone reads how an identity goes through services of others.
/// Guarantees: each line is one of what `cargo xtask e2e fleet` holds the fleet to.
#[test]
fn the_readme_shows_the_hops_of_the_fleet() {
    let hops = include_str!("../fleet/polyglot/hops.txt");
    let shown = block_after(include_str!("../../README.md"), "(tests/fleet/polyglot/faults.txt):\n");
    assert_eq!(shown.lines().count(), 11);
    for line in shown.lines() {
        assert!(hops.lines().any(|kept| kept == line), "{line}");
    }
}

/// Scenario: a newcomer runs the README's command for files.
/// Guarantees: it prints what the README shows and ends with 1, for the identity that `orders` drops.
#[test]
fn the_first_command_prints_what_the_readme_shows() {
    let readme = include_str!("../../README.md");
    let command = "cargo run --release -- check tests/examples/checkout.otlp.json\n";
    let run = hopseal(&["check", "examples/checkout.otlp.json"]);
    assert_eq!(run.err, "");
    assert_eq!(run.out, block_after(readme, command));
    assert_eq!(run.status, 1);
}

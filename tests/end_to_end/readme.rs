use crate::program::hopseal;

/// The fenced block after `before`.
fn block_after<'a>(text: &'a str, before: &str) -> &'a str {
    let (_, after) = text.split_once(before).expect(before);
    let (_, block) = after.split_once("```text\n").expect("a block of text");
    block.split_once("```").expect("an end of the block").0
}

/// Scenario: a newcomer runs the README's first command.
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
